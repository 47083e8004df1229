"""Whose a backup is: this cluster's, or a copy of another one's that Velero's sync found in a bucket. Pure.

A copy belongs to the cluster that made it while that is registered and can write where it lies. Where nothing can be made,
everything is a copy. When the maker is no more, whoever has the copies takes them over; and gives them back if it returns.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.status.clusters.locations import is_read_only
from services.status.values import mapping
from shared.contracts.locationspec import Place as Storage
from shared.contracts.locationspec import place_of
from shared.contracts.phases import LocationStatus


@dataclass(frozen=True, slots=True)
class Place:
    """A storage location, as far as it tells whose backups are. `storage` is None when it is not known.

    `shared`: a person has said that others may write there.
    """

    cluster: str
    name: str
    storage: Storage | None
    read_only: bool
    writable: bool
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Estate:
    """Clusters that are registered, and storage locations: all, or those that matter."""

    registered: frozenset[str] = frozenset()
    places: frozenset[Place] = frozenset()

    def writes_to(self, cluster: str, storage: Storage | None) -> bool:
        """Tell whether a registered cluster has a location there in which it makes backups."""
        owned = (place for place in self.places if place.cluster == cluster and place.writable)
        return cluster in self.registered and storage is not None and any(place.storage == storage for place in owned)


PLACE_FIELDS: Final = (
    "cluster",
    "name",
    "provider",
    "bucket",
    "prefix",
    "spec.config.storageAccount",
    "accessMode",
    "status",
    "sharedBucket",
)
"""What of a location's item a place is made of."""


def place(item: Mapping[str, Any]) -> Place:
    """Return the place of a location's stored item."""
    where = {"objectStorage": item, "provider": item.get("provider"), "config": mapping(item.get("spec")).get("config")}
    storage = place_of(where) if item.get("provider") and item.get("bucket") else None
    writable = item.get("accessMode") == "ReadWrite" and item.get("status") != LocationStatus.DELETED
    shared = item.get("sharedBucket") is True
    return Place(item["cluster"], item["name"], storage, read_only=is_read_only(item), writable=writable, shared=shared)


def sharing(cluster: str, places: Collection[Place]) -> list[Place]:
    """Return the places in which a cluster makes backups where others are made, too, and those others."""
    where = [p.storage for p in places if p.cluster == cluster and p.writable and p.storage is not None]
    twice = {storage for storage in where if sum(p.storage == storage and p.writable for p in places) > 1}
    return [p for p in places if p.writable and p.storage in twice]


def is_replica(owner: str | None, cluster: str, here: Place | None, estate: Estate) -> bool:
    """Tell whether a backup that is seen in a cluster is a copy; `owner` is whom its labels name, `here` where it lies."""
    if owner == cluster:
        return False
    if here is None:
        return owner is not None
    if here.read_only or owner is None:
        return here.read_only
    return here.storage is None or estate.writes_to(owner, here.storage)


def affected(before: Estate | None, now: Estate) -> set[Place]:
    """Return the places whose backups must be judged anew; all of them when nothing is known of before."""
    if before is None:
        return set(now.places)
    changed = before.places ^ now.places
    moved = before.registered ^ now.registered
    about: Collection[Storage | None] = {p.storage for p in (*before.places, *now.places) if p in changed or p.cluster in moved}
    return {p for p in now.places if p in changed or (p.storage in about and p.storage is not None)}
