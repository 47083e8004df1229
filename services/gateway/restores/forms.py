"""What the addresses of restores take and give beyond the shared views."""

import hashlib
import json
from typing import Self

from pydantic import model_validator

from services.gateway.locations.sealing import Credential
from services.gateway.schemas import DEFAULT_DEADLINE, ClusterId, CreatorCount, DeleteMany, ThingId
from shared.contracts.backupspec import Labels, ObjectName
from shared.contracts.base import Instant, Wire
from shared.contracts.durations import GoDuration
from shared.contracts.findings import Finding
from shared.contracts.restorespec import ResourceModifiers, RestoreSpec


class ObjectStorageOverrides(Wire):
    """What of the object storage another cluster has to know otherwise."""

    ca_cert: str | None = None


class StorageOverrides(Wire):
    """How another cluster reaches the storage, where that differs: settings of its provider; null leaves one out."""

    config: dict[str, str | None] = {}
    object_storage: ObjectStorageOverrides | None = None


class CreateRestore(Wire):
    """`POST /restores`: of a backup, or of the latest good one of a schedule; both by their ids.

    `cluster`: where to; by itself where the backup was made. `resourceModifiers`: rules that come along, instead of a ConfigMap
    that is there (`spec.resourceModifier`). `storage` and `credential`: how a cluster reads a backup of another one, when it
    has no storage location that does. `deadline`: how long the command may wait for a cluster that is away, at most 168h.
    """

    name: ObjectName | None = None
    backup: ThingId | None = None
    schedule: ThingId | None = None
    cluster: ClusterId | None = None
    labels: Labels = {}
    spec: RestoreSpec = RestoreSpec()
    resource_modifiers: ResourceModifiers | None = None
    storage: StorageOverrides | None = None
    credential: Credential | None = None
    deadline: GoDuration = DEFAULT_DEADLINE

    @model_validator(mode="after")
    def _of_one(self) -> Self:
        if (self.backup is None) == (self.schedule is None):
            raise ValueError("needs either backup or schedule")
        if self.resource_modifiers is not None and self.spec.resource_modifier is not None:
            raise ValueError("resourceModifiers and spec.resourceModifier exclude each other")
        return self

    def digest(self) -> str:
        """Return what stands for the request when it is made again; of a credential only that there is one."""
        said = self.model_dump(mode="json", by_alias=True, exclude={"credential"})
        text = json.dumps([said, self.credential is not None], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:32]


class RestorePreflight(Wire):
    """What is known against a restore, and for it; `blocked`: it would be refused. `asOf`: when the clusters were asked."""

    findings: list[Finding]
    blocked: bool
    as_of: Instant


class RestoreSummary(Wire):
    """How many restores there are by status, and (Deleted ones left out) by cluster and by creator."""

    status: dict[str, int]
    cluster: dict[str, int]
    created_by: list[CreatorCount]


class DeleteRestores(DeleteMany):
    """`POST /restores/delete`. `deadline`: how long each command may wait for a cluster that is away, at most 168h."""
