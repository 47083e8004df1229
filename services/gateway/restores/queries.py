"""Filters, sorts and search of the list of restores, and the restores of a backup. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from services.gateway.listing.conditions import Condition, one_of
from services.gateway.listing.filters import MADE, MadeQuery, Text, among, enum
from services.gateway.listing.queries import Listing
from shared.contracts.phases import UNLISTED_RESTORES, RestoreStatus

_STATUSES = tuple(status.value for status in RestoreStatus)
ShownRestore = Annotated[str, among(_STATUSES), enum(_STATUSES)]


class RestoreQuery(MadeQuery):
    """Filters of `GET /restores`. `backup`: by its id, or its name."""

    status: list[ShownRestore] = []
    backup: list[Text] = []


def by_backup(values: Sequence[str]) -> list[Condition]:
    """Filter by a backup's id or name."""
    return [{"item.backup.id": one_of(values)}, {"item.backup.name": one_of(values)}]


RESTORES = Listing(
    name="restores",
    sorts={
        "name": "item.name",
        "createdAt": "item.createdAt",
        "status": "item.status",
        "cluster": "item.cluster",
    },
    default_sort="-createdAt",
    filters={**MADE, "backup": by_backup},
    unlisted=frozenset(status.value for status in UNLISTED_RESTORES),
    ties=("item.createdAt",),
)

SORT = [("item.createdAt", -1), ("_id", -1)]


def of_backup(ids: Sequence[str]) -> Condition:
    """Return which restores are of a backup that has these ids."""
    return {"listed": True, "item.backup.id": one_of(ids)}


def named_by_velero(cluster: str, backup: str, since: datetime | None) -> Condition:
    """Return which restores, made past Leeward, are of the backup of that name that was there since then."""
    made = {"item.createdAt": {"$gte": since}} if since else {}
    return {"listed": True, "item.backup.id": None, "item.backup.name": backup, "item.cluster": cluster, **made}


def under_way(cluster: str) -> Condition:
    """Return which restores run in a cluster."""
    return {"listed": True, "item.cluster": cluster, "item.status": RestoreStatus.RESTORING.value}


def named(cluster: str, name: str) -> Condition:
    """Return which restores of a cluster have a name, in its list."""
    return {"listed": True, "item.cluster": cluster, "item.name": name}
