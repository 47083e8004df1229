"""Locations of storages and of volume snapshots: list them, look at one. `writing` and `deleting` do the rest."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from services.gateway import reading
from services.gateway.clusters import looking as clusters
from services.gateway.listing.queries import Listing
from services.gateway.locations.queries import LOCATIONS, SNAPSHOT_LOCATIONS, LocationQuery
from services.gateway.ports import API, Given, NoQuery, Ports, Viewer
from services.gateway.schemas import Page
from services.gateway.web.answers import listed, model
from services.gateway.web.described import told
from services.gateway.web.problems import ProblemError
from shared.contracts import ids
from shared.contracts.documents import Collection
from shared.contracts.locationspec import spec_digest
from shared.contracts.names import Noun
from shared.contracts.views import LocationItem, SnapshotLocationItem

log = structlog.get_logger(__name__)

router = APIRouter(tags=["locations"])

LocationName = Annotated[str, Path(description="The name of a location.")]
Document = dict[str, Any]
Item = LocationItem | SnapshotLocationItem


@dataclass(frozen=True, slots=True)
class Sort:
    """One of the two sorts of locations: what addresses, messages, the database and people call it."""

    segment: str
    noun: Noun
    words: str
    collection: Collection
    listing: Listing
    item: type[Item]
    id_of: Callable[[str, str], str]

    def address(self, cluster: str, name: str | None = None) -> str:
        """Return the address of the locations of a cluster, or of one of them."""
        return f"{API}/clusters/{cluster}/{self.segment}{f'/{name}' if name else ''}"


STORAGE = Sort(
    segment="storage-locations",
    noun=Noun.LOCATION,
    words="storage location",
    collection=Collection.LOCATIONS,
    listing=LOCATIONS,
    item=LocationItem,
    id_of=ids.location_id,
)
SNAPSHOTS = Sort(
    segment="snapshot-locations",
    noun=Noun.SNAPSHOT_LOCATION,
    words="volume snapshot location",
    collection=Collection.SNAPSHOT_LOCATIONS,
    listing=SNAPSHOT_LOCATIONS,
    item=SnapshotLocationItem,
    id_of=ids.snapshot_location_id,
)


async def row_of(ports: Ports, sort: Sort, cluster: str, name: str) -> Document | None:
    """Return the row of a location, also of one that has gone; None if there never was one of that name."""
    found = await ports.store.find(sort.collection, {"_id": sort.id_of(cluster, name)}, [("_id", 1)], 1)
    return found[0] if found else None


async def listed_row_of(ports: Ports, sort: Sort, cluster: str, name: str) -> Document | None:
    """Return the row of a location that is there."""
    row = await row_of(ports, sort, cluster, name)
    return row if row is not None and row.get("listed") else None


def unknown(sort: Sort, cluster: str, name: str) -> ProblemError:
    """Return the problem of a name that no location of a cluster has."""
    return ProblemError("not-found", f"Cluster {cluster} has no {sort.words} {name}.")


def item_of(sort: Sort, row: Document) -> Item:
    """Return what is shown of a location.

    Raises the problem of a row that this version cannot read.
    """
    try:
        return reading.view(sort.item, row.get("item"))
    except reading.UnreadableError as error:
        raise ProblemError("unreadable-document", f"The record of {sort.words} {row['_id']} cannot be read: {error}") from error


def etag(item: Item) -> dict[str, str]:
    """Return the header that says which spec is shown; a validation that finds nothing new does not change it."""
    return {"ETag": f'"{spec_digest(item.spec)}"'}


# ---------------------------------------------------------------------- addresses


@router.get(f"{API}/storage-locations", response_model=Page[LocationItem])
async def list_storage_locations(ports: Given, _who: Viewer, query: Annotated[LocationQuery, Query()]) -> Response:
    """List the storage locations of the whole fleet."""
    return await listed(ports, STORAGE.listing, STORAGE.collection, query, STORAGE.item)


@router.get(f"{API}/snapshot-locations", response_model=Page[SnapshotLocationItem])
async def list_snapshot_locations(ports: Given, _who: Viewer, query: Annotated[LocationQuery, Query()]) -> Response:
    """List the volume snapshot locations of the whole fleet."""
    return await listed(ports, SNAPSHOTS.listing, SNAPSHOTS.collection, query, SNAPSHOTS.item)


@router.get(f"{API}/clusters/{{cluster}}/storage-locations", response_model=Page[LocationItem], responses=told("not-found"))
async def list_storage_locations_of(
    cluster: clusters.ClusterName, ports: Given, _who: Viewer, query: Annotated[LocationQuery, Query()]
) -> Response:
    """List the storage locations of one cluster."""
    return await _listed_of(ports, STORAGE, cluster, query)


@router.get(
    f"{API}/clusters/{{cluster}}/snapshot-locations", response_model=Page[SnapshotLocationItem], responses=told("not-found")
)
async def list_snapshot_locations_of(
    cluster: clusters.ClusterName, ports: Given, _who: Viewer, query: Annotated[LocationQuery, Query()]
) -> Response:
    """List the volume snapshot locations of one cluster."""
    return await _listed_of(ports, SNAPSHOTS, cluster, query)


@router.get(f"{API}/clusters/{{cluster}}/storage-locations/{{name}}", response_model=LocationItem, responses=told("not-found"))
async def get_storage_location(
    cluster: clusters.ClusterName, name: LocationName, ports: Given, _who: Viewer, _no_query: NoQuery
) -> Response:
    """Return one storage location; the ETag stands for its spec."""
    return await _shown(ports, STORAGE, cluster, name)


@router.get(
    f"{API}/clusters/{{cluster}}/snapshot-locations/{{name}}", response_model=SnapshotLocationItem, responses=told("not-found")
)
async def get_snapshot_location(
    cluster: clusters.ClusterName, name: LocationName, ports: Given, _who: Viewer, _no_query: NoQuery
) -> Response:
    """Return one volume snapshot location; the ETag stands for its spec."""
    return await _shown(ports, SNAPSHOTS, cluster, name)


async def _listed_of(ports: Ports, sort: Sort, cluster: str, query: LocationQuery) -> Response:
    await clusters.known(ports, cluster)
    only = query.model_copy(update={"cluster": [cluster]})
    return await listed(ports, sort.listing, sort.collection, only, sort.item)


async def _shown(ports: Ports, sort: Sort, cluster: str, name: str) -> Response:
    row = await listed_row_of(ports, sort, cluster, name)
    if row is None:
        await clusters.known(ports, cluster)
        raise unknown(sort, cluster, name)
    item = item_of(sort, row)
    return model(item, headers=etag(item))
