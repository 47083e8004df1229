"""Messages for tests, as services would make them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from shared.contracts.base import Wire
from shared.contracts.commands import BackupCreate, BackupDelete
from shared.contracts.envelope import Envelope, type_name

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def envelope(noun: str, verb: str, data: Wire, *, cluster: str = "eu1", name: str = "m1", **more: Any) -> Envelope[Any]:
    fields = {"source": "/test", "time": NOW, **more}
    return Envelope[Wire](id=name, type=type_name(noun, verb), cluster=cluster, data=data, **fields)


def backup_command(
    operation_id: str,
    *,
    name: str = "shop",
    cluster: str = "eu1",
    scope: dict[str, Any] | None = None,
    expires_in: float = 3600,
    now: datetime | None = None,
    **spec: Any,
) -> Envelope[Any]:
    order = BackupCreate.model_validate({"name": name, "scope": scope or {"kind": "all"}, "spec": spec})
    moment = now or NOW
    return envelope(
        "backup",
        "create",
        order,
        cluster=cluster,
        name=operation_id,
        time=moment,
        operationid=operation_id,
        principal="anna",
        expiresat=moment + timedelta(seconds=expires_in),
    )


def delete_command(
    operation_id: str,
    *,
    backup: str,
    name: str = "shop",
    ids: tuple[str, ...] = (),
    cluster: str = "eu1",
    expires_in: float = 3600,
    now: datetime | None = None,
) -> Envelope[Any]:
    moment = now or NOW
    return envelope(
        "backup",
        "delete",
        BackupDelete(backup=backup, name=name, ids=list(ids)),
        cluster=cluster,
        name=operation_id,
        time=moment,
        operationid=operation_id,
        principal="anna",
        expiresat=moment + timedelta(seconds=expires_in),
    )
