"""Commands about locations for tests, as the gateway would make them."""

from datetime import datetime, timedelta
from typing import Any

from nacl.public import PublicKey, SealedBox

from shared.contracts.base import Wire
from shared.contracts.commands import (
    LocationApply,
    LocationDelete,
    Sealed,
    SnapshotLocationApply,
    SnapshotLocationDelete,
)
from shared.contracts.envelope import Envelope
from shared.contracts.events import SealingKey
from tests.support.messages import NOW, envelope

_APPLY: dict[str, type[Wire]] = {"location": LocationApply, "snapshotlocation": SnapshotLocationApply}
_REMOVE: dict[str, type[Wire]] = {"location": LocationDelete, "snapshotlocation": SnapshotLocationDelete}


def apply_command(
    operation_id: str,
    spec: dict[str, Any],
    *,
    noun: str = "location",
    name: str = "offsite",
    cluster: str = "eu1",
    expires_in: float = 3600,
    now: datetime | None = None,
    **more: Any,
) -> Envelope[Any]:
    """The command that makes a location, or with `expected` changes it."""
    order = _APPLY[noun].model_validate({"name": name, "spec": spec, **more})
    return _to_be_done(noun, "apply", order, operation_id, cluster, now or NOW, expires_in)


def remove_command(
    operation_id: str,
    *,
    noun: str = "location",
    name: str = "offsite",
    expected: str | None = None,
    cluster: str = "eu1",
    expires_in: float = 3600,
    now: datetime | None = None,
) -> Envelope[Any]:
    """The command that removes a location."""
    order = _REMOVE[noun].model_validate({"name": name, "expected": expected})
    return _to_be_done(noun, "delete", order, operation_id, cluster, now or NOW, expires_in)


def sealed(key: SealingKey, text: str) -> Sealed:
    """A credential as the gateway seals it."""
    return Sealed(key=key.id, box=SealedBox(PublicKey(key.key)).encrypt(text.encode()))


def _to_be_done(
    noun: str, verb: str, order: Wire, operation_id: str, cluster: str, moment: datetime, expires_in: float
) -> Envelope[Any]:
    facts = {"time": moment, "operationid": operation_id, "principal": "anna"}
    return envelope(
        noun, verb, order, cluster=cluster, name=operation_id, expiresat=moment + timedelta(seconds=expires_in), **facts
    )
