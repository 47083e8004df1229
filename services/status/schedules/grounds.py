"""What schedules are judged by, beside themselves: what is known of a cluster, its locations and its namespaces. Pure."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from services.status.clusters.locations import is_read_only
from shared.contracts.phases import ClusterStatus

VELERO_NOT_ANSWERING: Final = "VeleroNotAnswering"
"""The code of the problem that a cluster has while its Velero does not answer."""

LOCATION_FIELDS: Final = ("cluster", "name", "provider", "bucket", "accessMode", "default", "status", "message")
STATE_FIELDS: Final = ("item.status", "item.lastSeenAt", "item.problems", "locationsListed", "namespacesDigest")
SELECTORS: Final = ("productionSelector", "nonProductionSelector")
"""What of a location's item, a cluster's row and a registration a ground is made of."""


@dataclass(frozen=True, slots=True)
class Location:
    """A storage location that a cluster has now."""

    name: str
    provider: str | None
    bucket: str | None
    default: bool
    read_only: bool
    status: str
    message: str | None


@dataclass(frozen=True, slots=True)
class Ground:
    """What is known of a cluster. Two that are equal make every schedule of it valid, or invalid, for the same reasons.

    `selectors`: those of its registration, as they are stored; None when it is not registered. `status`: None when it never
    reported; `silent_since` is told of one that is Offline only. `locations` means nothing until it has told which there are
    (`locations_listed`). `digest` stands for its namespaces.
    """

    selectors: Mapping[str, Any] | None = None
    status: str | None = None
    silent_since: datetime | None = None
    velero_problem: str | None = None
    locations_listed: bool = False
    locations: tuple[Location, ...] = field(default=())
    digest: str | None = None

    @property
    def offline(self) -> bool:
        """Whether it is registered and does not answer, or never has."""
        return self.status != ClusterStatus.ONLINE

    @property
    def spaces(self) -> str:
        """What stands for its namespaces in the rows of the schedules to which they matter."""
        return self.digest or ""

    @property
    def fingerprint(self) -> str:
        """What stands for all of it but the namespaces, in the rows of the schedules that were judged by it.

        Nor for why a location is not available: object storage words that anew at every validation, with the id of a request.
        """
        locations = tuple(replace(location, message=None) for location in self.locations)
        said = json.dumps(asdict(replace(self, digest=None, locations=locations)), default=str, sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()[:16]


def ground(
    registration: Mapping[str, Any] | None, state: Mapping[str, Any] | None, locations: list[Mapping[str, Any]]
) -> Ground:
    """Return the ground of a cluster: from its registration, its row, and the items of its locations that exist."""
    item = state["item"] if state else {}
    problems = {each["code"]: each["message"] for each in item.get("problems") or ()}
    status = item.get("status")
    return Ground(
        selectors=None if registration is None else {name: registration.get(name) for name in SELECTORS},
        status=status,
        silent_since=item.get("lastSeenAt") if status != ClusterStatus.ONLINE else None,
        velero_problem=problems.get(VELERO_NOT_ANSWERING),
        locations_listed=bool(state and state.get("locationsListed")),
        locations=tuple(sorted(map(_location, locations), key=lambda location: location.name)),
        digest=state.get("namespacesDigest") if state else None,
    )


def _location(item: Mapping[str, Any]) -> Location:
    return Location(
        name=item["name"],
        provider=item.get("provider"),
        bucket=item.get("bucket"),
        default=item.get("default") is True,
        read_only=is_read_only(item),
        status=item["status"],
        message=item.get("message"),
    )


def chosen(wanted: str | None, locations: tuple[Location, ...]) -> Location | None:
    """Return where backups go: the location named, else the default, else the only one.

    None, too, when there are several defaults: Velero takes the newest, which is not known here.
    """
    if wanted is not None:
        return next((location for location in locations if location.name == wanted), None)
    defaults = [location for location in locations if location.default] or list(locations)
    return defaults[0] if len(defaults) == 1 else None
