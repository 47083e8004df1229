"""How another cluster reaches where a backup lies: what is the same place, and how it is read from elsewhere. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final

from services.gateway.locations import places
from services.gateway.restores.forms import StorageOverrides
from shared.contracts.locationspec import ObjectStorage, Provider, StorageLocationSpec, place_of, provider_of
from shared.contracts.phases import LocationStatus
from shared.contracts.reaching import Way, rank
from shared.contracts.views import LocationItem

_OF_ITS_CLUSTER = frozenset({"profile"})
"""Settings that mean something only beside the credential of the cluster that they were made for."""
_ADDRESSES: Final = ("s3Url", "storageAccountURI", "storeEndpoint")
_AVAILABLE: Final = {LocationStatus.AVAILABLE: True, LocationStatus.UNAVAILABLE: False}
STEERING: Final[Mapping[Provider, frozenset[str]]] = {
    Provider.AWS: frozenset({"s3Url", "publicUrl", "insecureSkipTLSVerify", "profile", "enableSharedConfig"}),
    Provider.AZURE: frozenset({"storageAccountURI", "activeDirectoryAuthorityURI"}),
    Provider.GCP: frozenset({"storeEndpoint"}),
}
"""Settings that decide to whom Velero shows a credential, and which."""


def lying_there(origin: LocationItem, locations: Iterable[LocationItem]) -> list[LocationItem]:
    """Return the locations that have the same provider, bucket and prefix as another one."""
    return [each for each in locations if place_of(each.spec) == place_of(origin.spec)]


def reaching(origin: LocationItem, locations: Iterable[LocationItem], *, said: bool) -> LocationItem | None:
    """Return the location through which the target will read what lies in another one; None if one is made for it.

    `said`: how the storage is reached is told with the command.
    """
    there = lying_there(origin, locations)
    ways = [(turn, each.name, each) for each in there if (turn := rank(_way(each), said=said)) is not None]
    return min(ways, key=lambda way: way[:2])[2] if ways else None


def is_another_storage(origin: LocationItem, location: LocationItem) -> bool:
    """Tell whether two locations with one bucket and prefix are of two storages: a person and their addresses say so."""
    return (origin.shared_bucket or location.shared_bucket) and _address(origin) != _address(location)


def _way(location: LocationItem) -> Way:
    return Way(location.mirror_of is not None, places.writes(location.spec), _AVAILABLE.get(location.status))


def _address(location: LocationItem) -> list[str | None]:
    return [_config(location).get(name) for name in _ADDRESSES]


def words_for(location: LocationItem) -> str:
    """Return what a person calls the place: provider, bucket and prefix."""
    return " ".join(filter(None, (location.provider, "/".join(filter(None, (location.bucket, location.prefix))))))


def mirror(origin: LocationItem, overrides: StorageOverrides | None) -> StorageLocationSpec:
    """Return the read-only location through which another cluster reads what lies in this one, without any credential.

    Raises pydantic.ValidationError when what is said of it makes no location.
    """
    said = overrides or StorageOverrides()
    own = ObjectStorage.read(origin.spec.get("objectStorage"))
    certificates = said.object_storage.ca_cert if said.object_storage else None
    config: dict[str, str | None] = {**_config(origin), **said.config}
    return StorageLocationSpec(
        provider=origin.provider or "",
        object_storage=ObjectStorage(bucket=own.bucket, prefix=own.prefix, ca_cert=certificates or own.ca_cert),
        config={name: value for name, value in config.items() if value is not None},
        access_mode="ReadOnly",
    )


def steered(origin: LocationItem, overrides: StorageOverrides | None) -> list[str]:
    """Return which of the settings that a person gives decide with whom a cluster talks, and how it trusts them; sorted.

    Of a provider that is not known any may. What is left out, or as it is where the backup lies, is none.
    """
    provider, own = provider_of(origin.provider or ""), _config(origin)
    said = overrides.config if overrides else {}
    changed = {name for name, value in said.items() if value is not None and own.get(name) != value}
    return sorted(changed if provider is None else changed & STEERING[provider])


def _config(origin: LocationItem) -> dict[str, str]:
    """Return the settings of a location that mean the same elsewhere."""
    config = origin.spec.get("config")
    told = config if isinstance(config, dict) else {}
    return {str(name): str(value) for name, value in told.items() if name not in _OF_ITS_CLUSTER}
