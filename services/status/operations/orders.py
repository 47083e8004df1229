"""What can be asked of a cluster: which facts of a command are kept, and what it is about. Pure.

Nothing of a credential is kept, nor where one was to be used.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from services.status.rows import Facts
from shared.contracts import ids
from shared.contracts.commands import BackupCreate, BackupDelete, Origin, RestoreCreate, RestoreDelete, ScheduleTrigger
from shared.contracts.documents import to_document
from shared.contracts.envelope import TYPE_PREFIX, TYPE_SUFFIX, Envelope
from shared.contracts.names import Noun


class Deed(StrEnum):
    """What an operation does to a thing: what it makes has the operation's own id, what it applies or removes has another."""

    MAKE = "make"
    APPLY = "apply"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Order:
    """A kind of operation: what it does, to a thing of which noun; `made` is the noun of the object that says yes to it."""

    deed: Deed
    noun: Noun
    made: Noun | None = None


BACKUP_CREATE: Final = "backup.create"
BACKUP_DELETE: Final = "backup.delete"
RESTORE_CREATE: Final = "restore.create"
RESTORE_DELETE: Final = "restore.delete"
_SCHEDULE_TRIGGER: Final = "schedule.trigger"

ORDERS: Final[Mapping[str, Order]] = {
    BACKUP_CREATE: Order(Deed.MAKE, Noun.BACKUP, made=Noun.BACKUP),
    _SCHEDULE_TRIGGER: Order(Deed.MAKE, Noun.BACKUP),
    BACKUP_DELETE: Order(Deed.REMOVE, Noun.BACKUP, made=Noun.DELETION),
    RESTORE_CREATE: Order(Deed.MAKE, Noun.RESTORE, made=Noun.RESTORE),
    RESTORE_DELETE: Order(Deed.REMOVE, Noun.RESTORE),
    "location.apply": Order(Deed.APPLY, Noun.LOCATION, made=Noun.LOCATION),
    "location.delete": Order(Deed.REMOVE, Noun.LOCATION),
    "snapshotlocation.apply": Order(Deed.APPLY, Noun.SNAPSHOT_LOCATION, made=Noun.SNAPSHOT_LOCATION),
    "snapshotlocation.delete": Order(Deed.REMOVE, Noun.SNAPSHOT_LOCATION),
}
"""Every kind of operation, as messages call it."""

_BY_YES: Final = {order.made: kind for kind, order in ORDERS.items() if order.made}
_LOCATIONS: Final[Mapping[Noun, Callable[[str, str], str]]] = {
    Noun.LOCATION: ids.location_id,
    Noun.SNAPSHOT_LOCATION: ids.snapshot_location_id,
}
_UNKNOWN: Final = "unknown"


def asked(command: Envelope[Any]) -> dict[str, Any]:
    """Return what a command asks for, as its operation's row keeps it."""
    kind = command.type.removeprefix(TYPE_PREFIX).removesuffix(TYPE_SUFFIX)
    more = _MORE.get(type(command.data))
    common = {"kind": kind, "principal": command.principal, "deadline": command.expiresat, "name": command.data.name}
    return {**common, **(more(command.data) if more else {})}


def _backup(order: BackupCreate) -> dict[str, Any]:
    """Return the keys of a backup; one that has to do with no schedule has none of its keys: an index is of these alone."""
    slot = {"slot": order.slot} if isinstance(order, ScheduleTrigger) else {}
    origin = {"schedule": order.schedule.id, "scheduleName": order.schedule.name, **slot} if order.schedule else {}
    return {**origin, "labels": _labels(order.labels), "scope": to_document(order.scope.wire()), "spec": _spec(order.spec)}


def _restore(order: RestoreCreate) -> dict[str, Any]:
    """Return the keys of a restore. `latestOf`: the schedule whose latest good backup was asked for, which it is none of."""
    return {
        "source": {"id": order.source.id, "name": order.source.name, "cluster": order.source.cluster},
        "latestOf": _origin(order.schedule),
        "mirrored": order.mirror is not None,
        "labels": _labels(order.labels),
        "spec": _spec(order.spec),
        "modifiers": _spec(order.modifiers) if order.modifiers else None,
        "findings": [each.wire() for each in order.findings],
    }


def _origin(schedule: Origin | None) -> dict[str, Any] | None:
    return {"id": schedule.id, "name": schedule.name} if schedule else None


def _labels(labels: Mapping[str, str]) -> Any:
    return to_document(labels, name="labels")


def _spec(spec: Any) -> Any:
    return to_document(spec.model_dump(mode="json", by_alias=True, exclude_none=True))


_MORE: Final[Mapping[type, Callable[[Any], dict[str, Any]]]] = {
    BackupCreate: _backup,
    ScheduleTrigger: _backup,
    BackupDelete: lambda order: {"backup": order.backup, "ids": list(order.ids)},
    RestoreCreate: _restore,
    RestoreDelete: lambda order: {"restore": order.restore, "ids": list(order.ids)},
}
"""What is kept of a command beside its name."""


def kind(facts: Facts) -> str:
    """Return what was asked for, as far as the command, or the yes to it, says so."""
    command, yes = facts.get("command"), facts.get("accepted")
    if command:
        return str(command["kind"])
    return _BY_YES.get(yes["noun"], f"{yes['noun']}.create") if yes else _UNKNOWN


def order(facts: Facts) -> Order | None:
    """Return the kind of the operation; None while it is not known."""
    return ORDERS.get(kind(facts))


def makes(noun: Noun, facts: Facts) -> bool:
    """Tell whether the operation's id is the id of a thing of that noun, too."""
    known = order(facts)
    return known is not None and (known.deed, known.noun) == (Deed.MAKE, noun)


def removes(noun: Noun, facts: Facts) -> bool:
    """Tell whether the operation is to remove a thing of that noun."""
    known = order(facts)
    return known is not None and (known.deed, known.noun) == (Deed.REMOVE, noun)


def about(operation_id: str, facts: Facts) -> tuple[Noun, str] | None:
    """Return what the operation is about: the noun and the id of its row; None while that is not known.

    Of what is removed it is the id by which it was asked for: people may see it under another by now.
    """
    known = order(facts)
    if known is None:
        return None
    if known.deed is Deed.MAKE:
        return known.noun, operation_id
    told = facts.get("command") or facts.get("accepted") or {}
    if named := _LOCATIONS.get(known.noun):
        return known.noun, named(facts["cluster"], told["name"])
    row_id = told.get(known.noun.value)
    return (known.noun, row_id) if row_id else None
