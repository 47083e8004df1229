"""Filters, sorts and search of the list of backups. Pure."""

from collections.abc import Mapping
from typing import Annotated

from services.gateway.listing.conditions import any_of
from services.gateway.listing.filters import MADE, MadeQuery, Text, among, enum
from services.gateway.listing.queries import Listing
from shared.contracts.phases import UNLISTED, BackupStatus

_STATUSES = tuple(status.value for status in BackupStatus if status is not BackupStatus.REFUSED)
ShownBackup = Annotated[str, among(_STATUSES), enum(_STATUSES)]
"""The status of a row that the list can show; to filter by another one is a mistake, not an empty list."""


class BackupQuery(MadeQuery):
    """Filters of `GET /backups`."""

    status: list[ShownBackup] = []
    storage_location: list[Text] = []


BACKUPS = Listing(
    name="backups",
    sorts={
        "name": "item.name",
        "createdAt": "item.createdAt",
        "expiresAt": "item.expiresAt",
        "size": "item.size.totalBytes",
        "status": "item.status",
        "cluster": "item.cluster",
    },
    default_sort="-createdAt",
    filters={**MADE, "storage_location": any_of("item.storageLocation")},
    unlisted=frozenset(status.value for status in UNLISTED),
    ties=("item.createdAt",),
)

NAMED: Mapping[str, Mapping[str, str]] = {
    "newest first": {},
    "cluster": {"cluster": "cluster-007"},
    "status": {"status": "Failed"},
    "deleted": {"status": "Deleted"},
    "outcome": {"outcome": "PartiallyFailed"},
    "kind of creator": {"createdBy": "External"},
    "creator": {"createdBy": "anna"},
    "schedule": {"schedule": "nightly-7"},
    "storage location": {"storageLocation": "archive"},
    "label": {"label": "team=shop"},
    "search": {"search": "shop"},
    "prefix": {"search": "ca"},
    "since": {"createdAfter": "2026-02-01T00:00:00Z"},
    "between": {"createdAfter": "2026-01-10T00:00:00Z", "createdBefore": "2026-01-20T00:00:00Z"},
    "cluster and status": {"cluster": "cluster-007", "status": "Completed"},
    "cluster and time": {"cluster": "cluster-007", "createdAfter": "2026-01-10T00:00:00Z"},
    "cluster and search": {"cluster": "cluster-007", "search": "shop"},
    "status and time": {"status": "Failed", "createdBefore": "2026-02-01T00:00:00Z"},
    "label and time": {"label": "team=shop", "createdAfter": "2026-01-10T00:00:00Z"},
    **{f"by {way}{name}": {"sort": f"{way}{name}"} for name in BACKUPS.sorts for way in ("", "-")},
    "search by name": {"search": "shop", "sort": "name"},
}
"""The queries that have an index each, as people ask them. Any other is answered too, by the index that reads least."""
