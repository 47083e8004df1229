"""Looking into backups that have ended, once each: what they hold, what their volumes came to, why they failed.

It is fed by the watch of Backups, remembers by the event stream, and hurries nobody: few at a time, the newest first, with
pauses; what Velero or the storage does not answer is tried again later.
"""

import asyncio
import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import structlog

from services.executor.artifacts import TARGETS, Artifacts, nothing_stored
from services.executor.causes import Failure, causes, failures, mended, read_results
from services.executor.fetching import NoChunk
from services.executor.kube import (
    BACKUPS,
    DATA_UPLOADS,
    POD_VOLUME_BACKUPS,
    Kind,
    Kube,
    KubeError,
    Listed,
    NotFoundError,
    Object,
)
from services.executor.observations import observed, uid_of, version_of
from services.executor.ports import KnowsEpoch
from services.executor.settings import Measuring
from services.executor.unpacking import Unpacked
from services.executor.volumes import failed, fitting, volume_bytes, volumes
from shared.contracts import subjects
from shared.contracts.artifacts import MAX_CHUNK, Artifact, Trouble
from shared.contracts.base import Wire
from shared.contracts.envelope import Envelope, type_name
from shared.contracts.events import Captured, Cause, Measured, Observed, Volume
from shared.contracts.names import LABEL_VELERO_BACKUP_UID, OWN_PREFIX, Noun
from shared.contracts.phases import PHASE_OUTCOME, Outcome
from shared.messaging.outcomes import Unavailable
from shared.messaging.publisher import Publishes
from shared.runtime import logging
from shared.runtime.clock import Clock
from shared.runtime.pacing import jittered
from shared.runtime.stopping import unless_cancelled

log = structlog.get_logger(__name__)

MOST_TEXT = 5 * 1024 * 1024
"""So much is read of a file, and of a log and of results so much outlives the backup."""

_VOLUMES = "BackupVolumeInfos"
_SIZED = (TARGETS[Artifact.RESOURCES], TARGETS[Artifact.CONTENTS], "BackupItemOperations", "BackupVolumeSnapshots")
_SIZED_WITH_SNAPSHOTS = ("CSIBackupVolumeSnapshots", "CSIBackupVolumeSnapshotContents")
_SNAPSHOTS = frozenset({"CSISnapshot", "DataMovement"})
_FINAL = frozenset({Trouble.NOT_THERE})
_ASIDE: Final = ThreadPoolExecutor(2, "measuring")
"""Threads of its own, for all clusters: names of hosts, among others, are looked up in those that everybody uses."""

T = TypeVar("T")


class Remembers(Protocol):
    """The event stream as the executor's memory."""

    async def measured(self, cluster: str, uid: str) -> Envelope[Any] | None:
        """Return what was last found out about a backup, if anything was."""


class _Order(NamedTuple):
    """A backup to look into: as its queue sorts them, the newest first."""

    age: float
    uid: str
    name: str
    phase: str
    tries: int = 0


@dataclass(frozen=True, slots=True)
class _Findings:
    """What is published of one backup."""

    measured: Measured
    captured: list[Captured]


@dataclass(slots=True)
class Measurer:
    """Looks into the backups of one cluster."""

    cluster: str
    kube: Kube
    artifacts: Artifacts
    publisher: Publishes
    record: Remembers
    epoch: KnowsEpoch
    clock: Clock
    settings: Measuring
    memory: asyncio.Semaphore
    """What bounds, over all clusters of the process, how many logs and results are held at a time."""
    _seen: dict[str, str] = field(default_factory=dict)
    """The phase as which each backup was last taken up, by uid."""
    _queue: "asyncio.PriorityQueue[_Order]" = field(default_factory=asyncio.PriorityQueue)

    # ------------------------------------------------------------------ what the watch sees

    async def listed(self, listed: Listed, _epoch: int) -> None:
        """Take up every backup that has ended."""
        existing = {uid_of(item) for item in listed.items}
        for uid in self._seen.keys() - existing:
            del self._seen[uid]
        for item in listed.items:
            await self.changed(item, deleted=False)

    async def changed(self, obj: Object, *, deleted: bool) -> None:
        """Take up a backup that has ended; forget one that has gone, or is being deleted."""
        uid, status, meta = uid_of(obj), obj.get("status"), obj.get("metadata") or {}
        phase = status.get("phase") if isinstance(status, dict) else None
        if deleted or not isinstance(phase, str) or phase not in PHASE_OUTCOME:
            self._seen.pop(uid, None)
        elif self._seen.get(uid) != phase:
            self._seen[uid] = phase
            ended = (status or {}).get("completionTimestamp") or meta.get("creationTimestamp")
            self._queue.put_nowait(_Order(-_moment(ended), uid, str(meta.get("name")), phase))

    async def passed(self, resource_version: int) -> None:
        """Nothing happened to any backup."""

    # ------------------------------------------------------------------ the work

    async def run(self) -> None:
        """Look into what was taken up, for ever; by whoever holds the cluster's lease."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self.settings.at_once):
                tasks.create_task(self._work())

    async def _work(self) -> None:
        while True:
            unless_cancelled()
            order = await self._queue.get()
            facts = {logging.CLUSTER: self.cluster, logging.OBJECT: order.uid}
            try:
                looked = await self._measure(order)
            except asyncio.CancelledError:
                self._queue.put_nowait(order)
                raise
            except (NoChunk, Unavailable, KubeError) as error:
                self._later(order)
                log.info("not measured yet", **facts, **{logging.REASON: str(error)}, tries=order.tries + 1)
                looked = True
            except Exception:  # one odd backup hides no other
                log.exception("not measured", **facts)
                looked = True
            if looked:
                await asyncio.sleep(jittered(self.settings.pause))

    def _later(self, order: _Order) -> None:
        """Try again after a while, ever later; in the end, not any more in this run."""
        if order.tries + 1 < self.settings.tries:
            ladder = self.settings.retries
            wait = jittered(ladder[min(order.tries, len(ladder) - 1)])
            again = order._replace(tries=order.tries + 1)
            asyncio.get_running_loop().call_later(wait, self._queue.put_nowait, again)

    async def _measure(self, order: _Order) -> bool:
        """Look into a backup unless that was done; tell whether there was anything to do.

        Raises NoChunk, Unavailable or KubeError when that cannot be done now.
        """
        if self._seen.get(order.uid) != order.phase:
            return False
        known = await self.record.measured(self.cluster, order.uid)
        if known is not None and (known.data.backup.object.get("status") or {}).get("phase") == order.phase:
            return False
        backup = await self._unchanged(order)
        if backup is None:
            return False
        found = await self._look(backup)
        if await self._unchanged(order) is None:
            return True  # files that were not there may have been removed under our eyes
        for part in found.captured:
            name = f"{order.uid}/{order.phase}/{part.artifact}/{part.part}"
            await self._publish(subjects.captured(self.cluster, order.uid), name, "captured", part)
        name = f"{order.uid}/{order.phase}/measured"
        await self._publish(subjects.measured(self.cluster, order.uid), name, "measured", found.measured)
        return True

    async def _unchanged(self, order: _Order) -> Object | None:
        """Return the backup if it is still as it was taken up; else what the watch says of it is on its way."""
        try:
            backup = await self.kube.get(BACKUPS, order.name)
        except NotFoundError:
            return None
        same = uid_of(backup) == order.uid and (backup.get("status") or {}).get("phase") == order.phase
        return backup if same else None

    async def _look(self, backup: Object) -> _Findings:
        seen = keepsake(backup, await self.epoch.current())
        if nothing_stored(backup):
            return _Findings(Measured(backup=seen, metadata_bytes=0, volume_bytes=0, volumes=[]), [])
        await self._size(backup, TARGETS[Artifact.LOG])  # a cluster that does not answer must not keep others waiting
        async with self.memory:
            return await self._look_into(backup, seen)

    async def _look_into(self, backup: Object, seen: Observed) -> _Findings:
        log_text = await self._read(backup, TARGETS[Artifact.LOG], keep=True)
        results = await self._read(backup, TARGETS[Artifact.RESULTS], keep=True)
        infos = await self._read(backup, _VOLUMES)
        well = PHASE_OUTCOME[backup["status"]["phase"]] == Outcome.COMPLETED
        copies, uploads = ([], []) if well else await self._volume_objects(backup)
        found = await aside(_volumes, infos, copies, uploads)
        sized = (*_SIZED, *(_SIZED_WITH_SNAPSHOTS if any(v.method in _SNAPSHOTS for v in found or []) else ()))
        sizes = [await self._size(backup, target) for target in sized]
        why, more = await aside(_why, results, list(failed(copies, uploads)))
        told = None if found is None else fitting(found)
        measured = Measured(
            backup=seen,
            metadata_bytes=log_text.total + results.total + infos.total + sum(sizes),
            volume_bytes=volume_bytes(found),
            volumes=told,
            volumes_truncated=len(found or []) > len(told or []),
            causes=why,
            causes_truncated=more or results.cut,
        )
        texts = {Artifact.LOG: log_text, Artifact.RESULTS: results}
        return _Findings(measured, await aside(captured, seen.uid, texts))

    async def _read(self, backup: Object, target: str, *, keep: bool = False) -> Unpacked:
        """Read a file until enough of its text is known; one that is not there is empty."""
        found, etag = Unpacked(MOST_TEXT, keep=keep), None
        while not found.ended:
            try:
                chunk = await self.artifacts.piece(backup, target, found.read, MAX_CHUNK, etag)
            except NoChunk as no:
                if no.trouble not in _FINAL:
                    raise
                return found
            found.feed(chunk.data, chunk.total)
            etag = chunk.etag
        return found

    async def _size(self, backup: Object, target: str) -> int:
        try:
            return (await self.artifacts.piece(backup, target, 0, 1)).total
        except NoChunk as no:
            if no.trouble not in _FINAL:
                raise
            return 0

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

    async def _publish(self, subject: str, name: str, verb: str, data: Wire) -> None:
        envelope = Envelope[Wire](
            id=name,
            source=f"/clusters/{self.cluster}/executor",
            type=type_name(Noun.BACKUP, verb),
            time=self.clock(),
            cluster=self.cluster,
            data=data,
        )
        await self.publisher.publish(subject, envelope)


async def aside(work: Callable[..., T], *about: Any) -> T:
    """Do pure work that may take seconds, in which nothing else of any cluster may stand still."""
    return await asyncio.get_running_loop().run_in_executor(_ASIDE, work, *about)


def keepsake(backup: Object, epoch: int) -> Observed:
    """Return of a Backup what tells whose it is, and what became of it."""
    meta, status = backup["metadata"], backup.get("status") or {}
    ours = (OWN_PREFIX, "velero.io/")
    marks = {
        field: {key: value for key, value in (meta.get(field) or {}).items() if key.startswith(ours)}
        for field in ("labels", "annotations")
    }
    named = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    kept = ("phase", "startTimestamp", "completionTimestamp", "expiration")
    small = {
        "apiVersion": backup.get("apiVersion"),
        "kind": backup.get("kind"),
        "metadata": {key: meta[key] for key in named if key in meta} | marks,
        "spec": {"storageLocation": (backup.get("spec") or {}).get("storageLocation")},
        "status": {key: status[key] for key in kept if key in status},
    }
    return observed(small, epoch).model_copy(update={"resource_version": version_of(backup)})


def captured(uid: str, texts: Mapping[Artifact, Unpacked]) -> list[Captured]:
    """Return the parts of what is to outlive its backup."""
    return [part for artifact, found in texts.items() for part in _parts(uid, artifact, found)]


def _parts(uid: str, artifact: Artifact, found: Unpacked) -> Iterator[Captured]:
    """Yield the parts of one text: as it lies in the bucket, or cut and packed anew; none of what cannot be read."""
    packed = bytes(found.packed)
    if found.cut:
        text = bytes(found.text)
        whole = mended(text.decode(errors="ignore")).encode() if artifact == Artifact.RESULTS else text[: text.rfind(b"\n") + 1]
        packed = gzip.compress(whole or text, mtime=0)
    pieces = [] if found.broken else [packed[start : start + MAX_CHUNK] for start in range(0, len(packed), MAX_CHUNK)]
    for number, piece in enumerate(pieces):
        yield Captured(uid=uid, artifact=artifact, part=number, parts=len(pieces), data=piece, cut=found.cut)


def _why(results: Unpacked, by_agents: list[Failure]) -> tuple[list[Cause], bool]:
    """Group the errors of the results, and what node agents say that does not stand there."""
    said = list(failures(read_results(results.text, cut=results.cut)))
    reasons = "\n".join({each.reason for each in said})
    return causes([*said, *(each for each in by_agents if each.reason not in reasons)])


def _volumes(infos: Unpacked, copies: list[Object], uploads: list[Object]) -> list[Volume] | None:
    """Read the file of volumes; None where there is none, as of Veleros before 1.13."""
    return volumes(_json(infos), copies, uploads) if infos.total else None


def _json(found: Unpacked) -> Any:
    """Return what a file says; a text if that cannot be known."""
    if found.cut or found.broken:
        return ""
    try:
        return json.loads(found.text)
    except (ValueError, RecursionError):
        return ""


def _moment(value: Any) -> float:
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except (ValueError, OverflowError):
        return 0.0
