"""A row: what people see of one thing, as it lies in MongoDB, and what a new view changes in it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from shared.contracts.base import Wire
from shared.contracts.documents import Collection, from_document, to_document
from shared.contracts.names import Noun
from shared.contracts.views import (
    BackupItem,
    ClusterItem,
    LocationItem,
    OperationItem,
    RestoreItem,
    ScheduleItem,
    SnapshotLocationItem,
)

ITEMS: Final[dict[Noun, type[Wire]]] = {
    Noun.BACKUP: BackupItem,
    Noun.RESTORE: RestoreItem,
    Noun.OPERATION: OperationItem,
    Noun.LOCATION: LocationItem,
    Noun.SNAPSHOT_LOCATION: SnapshotLocationItem,
    Noun.CLUSTER: ClusterItem,
    Noun.SCHEDULE: ScheduleItem,
}
"""What people see, by noun: the item in the row, on the state feed and in a list."""

COLLECTIONS: Final[dict[Noun, Collection]] = {
    Noun.BACKUP: Collection.BACKUPS,
    Noun.RESTORE: Collection.RESTORES,
    Noun.OPERATION: Collection.OPERATIONS,
    Noun.LOCATION: Collection.LOCATIONS,
    Noun.SNAPSHOT_LOCATION: Collection.SNAPSHOT_LOCATIONS,
    Noun.CLUSTER: Collection.CLUSTER_STATE,
    Noun.SCHEDULE: Collection.SCHEDULE_STATUS,
}

HISTORIES: Final = (Noun.BACKUP, Noun.RESTORE)
"""Work that a cluster does for people: of each it is kept when it reached which phase and status."""

SHOWS: Final = "shows"
"""The key, in the row of a backup, of all in it that its schedule shows; the id of the schedule's row comes first."""
TOLD: Final = "told"
"""The key of what of that the schedule has been told."""

Facts = Mapping[str, Any]
"""What a row of an operation or a cluster was told, beside what it shows; document form, the keys of the row itself."""


@dataclass(frozen=True, slots=True)
class Stored:
    """When the broker stored a message, by its clock, and where: an order that does not depend on who hears it when."""

    at: datetime
    sequence: int


@dataclass(frozen=True, slots=True)
class Limits:
    """How long each silence is borne before it means something."""

    offline_after: timedelta = timedelta(seconds=90)
    expire_after: timedelta = timedelta(seconds=60)
    gone_after: timedelta = timedelta(minutes=3)
    stalled_after: timedelta = timedelta(seconds=90)
    step_after: timedelta = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Row:
    """A view of one thing now. `recheck_at` is when time alone may change it; `more` are the keys beside the item."""

    cluster: str
    item: Wire
    listed: bool = True
    recheck_at: datetime | None = None
    as_of: datetime | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def fields(self) -> dict[str, Any]:
        """Return the row as it lies in its collection, without what counts and announces its changes."""
        return {
            "cluster": self.cluster,
            "listed": self.listed,
            "item": to_document(self.item),
            "recheckAt": self.recheck_at,
            "asOf": self.as_of,
            **self.more,
        }


@dataclass(frozen=True, slots=True)
class Change:
    """What a new view changes in a stored row: the fields to set, and the announcement if its status has moved."""

    fields: Mapping[str, Any]
    status_seq: int
    announcement: Mapping[str, Any] | None
    progressed: bool


def difference(current: Mapping[str, Any] | None, row: Row, now: datetime) -> Change | None:
    """Compare a row with what is stored; None when it says the same.

    The numbers, `seq` of a change and `revision` of an item, are the time in milliseconds, or one more than the last: they grow
    also when the row was forgotten since, or the database restored from before.
    """
    fields = row.fields()
    stored = current or {}
    item, shown = fields["item"], (stored.get("item") or {}).get("revision")
    item["revision"] = shown
    changed = {name: value for name, value in fields.items() if name not in stored or stored[name] != value}
    if not changed:
        return None
    if "item" in changed:
        item["revision"] = _number(shown, now)
    before, after = status_of(stored.get("item")), status_of(item)
    known = stored.get("statusSeq", 0)
    if before == after:
        return Change(changed, known, None, progressed="item" in changed)
    seq = _number(known, now)
    entry = {"seq": seq, "from": before, "to": after, "at": now, "item": item}
    return Change(changed, seq, entry, progressed=False)


def _number(known: int | None, now: datetime) -> int:
    return max((known or 0) + 1, int(now.timestamp() * 1000))


def status_of(item: Mapping[str, Any] | None) -> str | None:
    """Return the status that people see in a stored item (an operation calls it its state)."""
    return None if item is None else str(item.get("status") or item["state"])


def item_of(noun: Noun, stored: Any) -> Wire:
    """Return the model of a stored item."""
    return ITEMS[noun].read(from_document(stored))


def soonest(now: datetime, *moments: datetime | None) -> datetime | None:
    """Return the first of the moments that is still to come."""
    return min((m for m in moments if m is not None and m > now), default=None)


def after(moment: datetime | None, wait: timedelta) -> datetime | None:
    """Return the moment that much later; None when there is none, or none that a date can hold."""
    try:
        return None if moment is None else moment + wait
    except OverflowError:
        return None
