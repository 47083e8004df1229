"""What an executor can be told."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, model_validator

from shared.contracts.ids import is_cluster_id
from shared.messaging.connection import NatsSettings
from shared.messaging.consumer import Patience
from shared.runtime.settings import ServiceSettings


def _cluster_id(value: str) -> str:
    if not is_cluster_id(value):
        raise ValueError(f"{value!r} is not a DNS label")
    return value


class ClusterSettings(BaseModel):
    """One cluster to serve: by a context of a kubeconfig (default: the context named like the cluster), or from inside it."""

    id: Annotated[str, AfterValidator(_cluster_id)]
    kubeconfig: Path | None = None
    context: str | None = None
    in_cluster: bool = False
    service_account: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount")
    namespace: str = "velero"
    """The namespace that Velero lives in."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.in_cluster and (self.kubeconfig or self.context):
            raise ValueError("in_cluster excludes kubeconfig and context")
        return self


class Rhythm(BaseModel):
    """How often an executor looks, in seconds."""

    presence: float = 15.0
    velero: float = 60.0
    """Between two status requests to Velero."""
    velero_answers: float = 10.0
    """How long Velero may take to answer one."""
    inventory: float = 60.0
    kinds: float = 600.0
    relist: float = 600.0
    """No watch is trusted for longer than this without a list."""
    inactivity: float = 90.0
    """A watch that is silent for longer, bookmarks included, is cut (the API server sends one about every minute)."""
    progress: float = 2.0
    """Between two events of one object that tell nothing but progress."""
    high_water: float = 5.0
    """How often the highest resource version seen is written down."""


class Measuring(BaseModel):
    """How backups that have ended are looked into. Times in seconds."""

    at_once: int = 2
    """Of one cluster."""
    in_all: int = 4
    """Of all clusters of a process: each may hold some 20 MiB."""
    pause: float = 1.0
    """After each, so that a thousand old ones at once do not keep Velero busy."""
    retries: tuple[float, ...] = (10, 60, 300, 900, 3600)
    """Between two tries while Velero or the storage does not answer; the last one repeats."""
    tries: int = 12
    signing: float = 10.0
    """How long Velero may take to sign a download."""
    piece: float = 15.0
    """How long the object storage may take for one piece."""


class Restoring(BaseModel):
    """How long a restore from another cluster waits at each step, in seconds; for its own end it waits as long as it takes.

    Velero lists a bucket once a minute, and tries a storage location that it cannot use at least twice before that is believed.
    """

    available: float = 120.0
    """For Velero to validate the storage location through which the backup is read."""
    settled: float = 15.0
    """After so long Velero has looked at a location that was made for this at least twice: what it says then is believed."""
    found: float = 300.0
    """For Velero to find the backup in it."""
    failing: float = 120.0
    """For the API server to make what it fails at: a webhook that does not answer, say."""
    looked_into: float = 120.0
    """For log, results and counts to be read, before the way to them is removed."""
    cleaned: float = 120.0
    """For what was made to be gone."""
    sweep: float = 3600.0
    """Between two searches for what could not be removed in that time."""
    look: float = 2.0
    """Between two looks."""


class Surveying(BaseModel):
    """How far it is looked before a restore."""

    most_bytes: int = 256 * 1024 * 1024
    """Of a tarball, packed and unpacked: a larger one is not read."""
    most_objects: int = 10_000
    """Of one kind that are listed in a cluster."""


class Settings(ServiceSettings):
    """What an executor can be told. LEEWARD_CLUSTERS is a JSON list: `[{"id": "eu1", "kubeconfig": "…", "context": "…"}]`."""

    nats: NatsSettings = NatsSettings()
    clusters: list[ClusterSettings]
    rhythm: Rhythm = Rhythm()
    measuring: Measuring = Measuring()
    restoring: Restoring = Restoring()
    surveying: Surveying = Surveying()
    patience: Patience = Patience()
    timeout: float = 5.0
    """Seconds after which an API server that has not answered counts as away."""
    writing: float = 45.0
    """Seconds after which one that has not answered a write does: it ends one itself after 34, having asked its webhooks."""
    heard: float = 1.0
    """Seconds that Velero has to hear of a Secret or of resource modifiers before it hears of what names them: it hears of two
    kinds in any order, and what it has not heard of it calls not found."""
    lease_ttl: float = 15.0

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [cluster.id for cluster in self.clusters]
        if not names or len(set(names)) != len(names):
            raise ValueError("clusters: name at least one, and each only once")
        return self
