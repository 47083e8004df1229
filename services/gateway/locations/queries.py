"""Filters, sorts and search of the lists of locations, and what can be said beside a request about one. Pure."""

from dataclasses import replace
from typing import Annotated

from services.gateway.listing.filters import FLEET, ListQuery, Nothing, Text, among, enum
from services.gateway.listing.queries import Listing
from shared.contracts.phases import LocationStatus

_STATUSES = tuple(status.value for status in LocationStatus if status is not LocationStatus.DELETED)
ShownLocation = Annotated[str, among(_STATUSES), enum(_STATUSES)]
"""The status of a row that the list can show; to filter by another one is a mistake, not an empty list."""


class LocationQuery(ListQuery):
    """Filters of `GET /storage-locations`."""

    cluster: list[Text] = []
    status: list[ShownLocation] = []
    search: Text | None = None


class SharedQuery(Nothing):
    """Whether a storage location may write where another one does."""

    allow_shared_bucket: bool = False


LOCATIONS = Listing(
    name="storage-locations",
    sorts={"name": "item.name", "cluster": "item.cluster", "status": "item.status"},
    default_sort="cluster,name",
    filters=FLEET,
)
SNAPSHOT_LOCATIONS = replace(LOCATIONS, name="snapshot-locations")
