"""The indexes of what status writes, as a table. Each costs every write of a row: there is none that no query needs.

The gateway reads by those of the lists (its queries stand in `queries.py` of each room of
`services/gateway`); who writes rows makes the indexes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from services.status.rows import COLLECTIONS
from shared.contracts.documents import Collection

PAGES: Final = "snapshots"
"""Pages of snapshots, for an hour: long enough for any observation that was overtaken by one. Read by nobody else."""

_PAGES_KEPT: Final = 3600


@dataclass(frozen=True, slots=True)
class Index:
    """An index: the collection, its keys, all upwards, and what else there is to say about it."""

    collection: str
    keys: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


_PENDING: Final = {"partialFilterExpression": {"unannounced.at": {"$exists": True}}}
_CREATED: Final = ("item.createdAt", "_id")
_OF_SCHEDULES: Final = {"partialFilterExpression": {"command.schedule": {"$exists": True}}}
_LEAVING: Final = {"partialFilterExpression": {"item.deleting.at": {"$exists": True}}}
_OF_RESTORES: Final = {"partialFilterExpression": {"command.restore": {"$exists": True}}}
_BY_SCHEDULE: Final = {"partialFilterExpression": {"item.schedule.name": {"$exists": True}}}


def _list(*keys: str) -> Index:
    """Return an index of backups for a list: what is equal first, then the sort, then what is a range or only read.

    It is walked in both directions, because ties are sorted in the direction of the sort.
    """
    return Index(Collection.BACKUPS, ("listed", *keys))


def _restores(*keys: str) -> Index:
    """Return an index of restores for a list. There are few beside backups: what is left is filtered as it is read."""
    return Index(Collection.RESTORES, ("listed", *keys))


def _schedules(*keys: str) -> Index:
    """Return an index of schedules for a list. There are few beside backups: what is left is filtered as it is read."""
    return Index(Collection.SCHEDULE_STATUS, ("listed", *keys, "_id"))


INDEXES: Final[tuple[Index, ...]] = (
    Index(Collection.OBJECTS, ("identity",)),
    Index(Collection.OBJECTS, ("cluster", "noun", "uid")),
    Index(Collection.OBJECTS, ("cluster", "noun", "phase", "createdAt")),
    Index(Collection.OBJECTS, ("cluster", "noun", "location", "owner")),
    Index(PAGES, ("cluster", "noun", "epoch", "listRv", "fromUid")),
    Index(PAGES, ("receivedAt",), {"expireAfterSeconds": _PAGES_KEPT}),
    *(Index(collection, ("recheckAt",)) for collection in COLLECTIONS.values()),
    *(Index(collection, ("unannounced.at",), _PENDING) for collection in COLLECTIONS.values()),
    # What a schedule that goes still has under way.
    Index(Collection.OPERATIONS, ("command.schedule", "item.state"), _OF_SCHEDULES),
    # By whom a restore was to be removed.
    Index(Collection.OPERATIONS, ("command.restore",), _OF_RESTORES),
    Index(Collection.TRANSITIONS, ("backupId", "at")),
    Index(Collection.TRANSITIONS, ("object",)),
    Index(Collection.BACKUPS, ("aliases",)),
    _list(*_CREATED, "item.name"),
    _list("item.cluster", *_CREATED, "item.name"),
    _list("item.status", *_CREATED),
    # The creator at its end lets the summary be counted from this index alone.
    _list("item.cluster", "item.status", *_CREATED, "item.createdBy.kind", "item.createdBy.name"),
    *(
        _list(f"item.{path}", *_CREATED)
        for path in ("outcome", "storageLocation", "createdBy.kind", "createdBy.name", "schedule.id", "schedule.name")
    ),
    _list("item.labels.k", "item.labels.v", *_CREATED),
    *(_list(f"item.{path}", *_CREATED) for path in ("name", "expiresAt", "size.totalBytes")),
    # What a schedule shows of its backups is counted from this index alone.
    Index(
        Collection.BACKUPS,
        (
            "item.schedule.id",
            "item.cluster",
            "item.schedule.name",
            "item.replica",
            *("item.outcome", "item.namespace", "item.createdAt"),
        ),
        _BY_SCHEDULE,
    ),
    Index(Collection.RESTORES, ("aliases",)),
    _restores(*_CREATED),
    *(
        _restores(f"item.{path}", *_CREATED)
        for path in (
            *("cluster", "status", "outcome", "backup.id", "backup.name", "schedule.id", "schedule.name"),
            *("createdBy.kind", "createdBy.name", "name"),
        )
    ),
    _restores("item.labels.k", "item.labels.v", *_CREATED),
    Index(Collection.LOCATIONS, ("listed", "item.cluster", "item.name", "_id")),
    # Who else writes into a place.
    Index(Collection.LOCATIONS, ("listed", "item.bucket", "item.prefix")),
    Index(Collection.SNAPSHOT_LOCATIONS, ("listed", "item.cluster", "item.name", "_id")),
    _schedules("item.name"),
    *(_schedules(f"item.{path}", "item.name") for path in ("createdAt", "nextRunAt", "lastBackupAt")),
    *(_schedules(f"item.{path}", "item.name") for path in ("cluster", "status", "storageLocation.name", "managedBy")),
    Index(Collection.SCHEDULE_STATUS, ("item.deleting.at",), _LEAVING),
)
