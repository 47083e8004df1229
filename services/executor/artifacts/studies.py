"""What is found out about backups and about restores that have ended: each sort with the files that are read for it."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol

import structlog

from services.executor.artifacts.causes import Failure, causes, failures, read_results
from services.executor.artifacts.files import Files, aside, captured, parsed
from services.executor.artifacts.reading import target_of
from services.executor.artifacts.unpacking import Unpacked
from services.executor.artifacts.volumes import failed, fitting, volume_bytes, volumes
from services.executor.kube import BACKUPS, DATA_UPLOADS, POD_VOLUME_BACKUPS, RESTORES, Kind, Kube, KubeError, Object
from services.executor.seeing.observations import observed, uid_of, version_of
from shared.contracts.artifacts import Artifact
from shared.contracts.events import Captured, Cause, Measured, Observed, RestoreCounts, RestoreMeasured, Volume
from shared.contracts.names import LABEL_VELERO_BACKUP_UID, OWN_PREFIX, Noun
from shared.contracts.phases import PHASE_OUTCOME, Outcome
from shared.runtime import logging

log = structlog.get_logger(__name__)

_VOLUMES = "BackupVolumeInfos"
_SIZED = ("BackupResourceList", "BackupContents", "BackupItemOperations", "BackupVolumeSnapshots")
_SIZED_WITH_SNAPSHOTS = ("CSIBackupVolumeSnapshots", "CSIBackupVolumeSnapshotContents")
_SNAPSHOTS = frozenset({"CSISnapshot", "DataMovement"})
_BECAME: Final = re.compile(rb"\((created|updated|skipped|failed)\)\"")
"""How an entry of a restore's resource list ends: what has become of the object."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What is published of one backup or restore."""

    measured: Measured | RestoreMeasured
    captured: list[Captured]


class Study(Protocol):
    """A sort of thing that is looked into when it has ended."""

    @property
    def kind(self) -> Kind:
        """What it is in the cluster."""

    @property
    def noun(self) -> Noun:
        """What messages call it."""

    def nothing(self, seen: Observed) -> Findings:
        """Return what is to be said of one of which nothing can be stored."""

    async def look(self, obj: Object, seen: Observed) -> Findings:
        """Look into one.

        Raises NoChunk, Unavailable or KubeError when that cannot be done now.
        """

    def phase(self, data: Any) -> str | None:
        """Return the phase in which one was looked into, from what was said of it."""


@dataclass(frozen=True, slots=True)
class BackupStudy:
    """What backups hold, what their volumes came to, why they failed."""

    kind: ClassVar[Kind] = BACKUPS
    noun: ClassVar[Noun] = Noun.BACKUP
    cluster: str
    kube: Kube
    files: Files

    def nothing(self, seen: Observed) -> Findings:
        """See Study."""
        return Findings(Measured(backup=seen, metadata_bytes=0, volume_bytes=0, volumes=[]), [])

    async def look(self, obj: Object, seen: Observed) -> Findings:
        """See Study."""
        texts = {each: await self.files.read(obj, target_of(obj, each), keep=True) for each in (Artifact.LOG, Artifact.RESULTS)}
        infos = await self.files.read(obj, _VOLUMES)
        well = PHASE_OUTCOME[obj["status"]["phase"]] == Outcome.COMPLETED
        copies, uploads = ([], []) if well else await self._volume_objects(obj)
        found = await aside(_volumes, infos, copies, uploads)
        sized = (*_SIZED, *(_SIZED_WITH_SNAPSHOTS if any(v.method in _SNAPSHOTS for v in found or []) else ()))
        sizes = [await self.files.size(obj, target) for target in sized]
        why, more = await aside(_why, texts[Artifact.RESULTS], list(failed(copies, uploads)))
        told = None if found is None else fitting(found)
        measured = Measured(
            backup=seen,
            metadata_bytes=sum(text.total for text in texts.values()) + infos.total + sum(sizes),
            volume_bytes=volume_bytes(found),
            volumes=told,
            volumes_truncated=len(found or []) > len(told or []),
            causes=why,
            causes_truncated=more or texts[Artifact.RESULTS].cut,
        )
        return Findings(measured, await aside(captured, seen.uid, texts))

    def phase(self, data: Any) -> str | None:
        """See Study."""
        return _phase(data.backup)

    async def _volume_objects(self, backup: Object) -> tuple[list[Object], list[Object]]:
        """Return what node agents were asked to do for a backup; nothing where that cannot be listed."""
        copies, uploads = [await self._of(backup, kind) for kind in (POD_VOLUME_BACKUPS, DATA_UPLOADS)]
        return copies, uploads

    async def _of(self, backup: Object, kind: Kind) -> list[Object]:
        try:
            return (await self.kube.list(kind, f"{LABEL_VELERO_BACKUP_UID}={uid_of(backup)}")).items
        except KubeError as no:  # not allowed, or a Velero without this kind: the results still say something
            log.info("volume objects not read", **{logging.CLUSTER: self.cluster, logging.REASON: str(no)}, kind=kind.plural)
            return []


@dataclass(frozen=True, slots=True)
class RestoreStudy:
    """What restores have created, updated, skipped and failed at, and why."""

    kind: ClassVar[Kind] = RESTORES
    noun: ClassVar[Noun] = Noun.RESTORE
    files: Files

    def nothing(self, seen: Observed) -> Findings:
        """See Study."""
        counts = RestoreCounts(created=0, updated=0, skipped=0, failed=0)
        return Findings(RestoreMeasured(restore=seen, counts=counts), [])

    async def look(self, obj: Object, seen: Observed) -> Findings:
        """See Study."""
        kept = (Artifact.LOG, Artifact.RESULTS, Artifact.RESOURCES)
        texts = {each: await self.files.read(obj, target_of(obj, each), keep=True) for each in kept}
        why, more = await aside(_why, texts[Artifact.RESULTS], [])
        measured = RestoreMeasured(
            restore=seen,
            counts=await aside(counts, texts[Artifact.RESOURCES]),
            causes=why,
            causes_truncated=more or texts[Artifact.RESULTS].cut,
        )
        return Findings(measured, await aside(captured, seen.uid, texts))

    def phase(self, data: Any) -> str | None:
        """See Study."""
        return _phase(data.restore)


def counts(listed: Unpacked) -> RestoreCounts:
    """Count what became of the objects in a restore's resource list; nothing is known from one that is not whole. Pure."""
    if not listed.total or listed.cut or listed.broken:
        return RestoreCounts()
    found = Counter(match[1].decode() for match in _BECAME.finditer(listed.text))
    return RestoreCounts(**{each: found[each] for each in ("created", "updated", "skipped", "failed")})


def keepsake(obj: Object, epoch: int) -> Observed:
    """Return of a Backup or Restore what tells whose it is, and what became of it."""
    meta, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    ours = (OWN_PREFIX, "velero.io/")
    marks = {
        field: {key: value for key, value in (meta.get(field) or {}).items() if key.startswith(ours)}
        for field in ("labels", "annotations")
    }
    small = {
        "apiVersion": obj.get("apiVersion"),
        "kind": obj.get("kind"),
        "metadata": _some(meta, ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")) | marks,
        "spec": _some(spec, ("storageLocation", "backupName", "scheduleName")),
        "status": _some(status, ("phase", "startTimestamp", "completionTimestamp", "expiration")),
    }
    return observed(small, epoch).model_copy(update={"resource_version": version_of(obj)})


def _some(found: Mapping[str, Any], kept: tuple[str, ...]) -> Object:
    return {key: found[key] for key in kept if key in found}


def _phase(seen: Observed) -> str | None:
    return (seen.object.get("status") or {}).get("phase")


def _why(results: Unpacked, by_agents: list[Failure]) -> tuple[list[Cause], bool]:
    """Group the errors of the results, and what node agents say that does not stand there."""
    said = list(failures(read_results(results.text, cut=results.cut)))
    reasons = "\n".join({each.reason for each in said})
    return causes([*said, *(each for each in by_agents if each.reason not in reasons)])


def _volumes(infos: Unpacked, copies: list[Object], uploads: list[Object]) -> list[Volume] | None:
    """Read the file of volumes; None where there is none, as of Veleros before 1.13."""
    return volumes(parsed(infos), copies, uploads) if infos.total else None
