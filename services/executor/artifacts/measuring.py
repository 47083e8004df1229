"""Looking into backups, and restores, that have ended, once each: what is found out about a sort is its Study.

It is fed by the watch of the kind, remembers by the event stream, and hurries nobody: few at a time, the newest first, with
pauses; what Velero or the storage does not answer is tried again later.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import structlog

from services.executor.artifacts.files import Files
from services.executor.artifacts.reading import nothing_stored, target_of
from services.executor.artifacts.studies import Findings, Study, keepsake
from services.executor.fetching import NoChunk
from services.executor.kube import Kube, KubeError, Listed, NotFoundError, Object
from services.executor.manifests import is_passing
from services.executor.ports import KnowsEpoch
from services.executor.seeing.observations import uid_of
from services.executor.settings import Measuring
from shared.contracts import subjects
from shared.contracts.artifacts import Artifact
from shared.contracts.base import Wire
from shared.contracts.envelope import Envelope, type_name
from shared.contracts.phases import PHASE_OUTCOME
from shared.messaging.outcomes import Unavailable
from shared.messaging.publisher import Publishes
from shared.runtime import logging
from shared.runtime.clock import Clock
from shared.runtime.pacing import jittered
from shared.runtime.stopping import unless_cancelled

log = structlog.get_logger(__name__)


class Remembers(Protocol):
    """The event stream as the executor's memory."""

    async def measured(self, cluster: str, uid: str, noun: str = "backup") -> Envelope[Any] | None:
        """Return what was last found out about a backup or restore, if anything was."""


class _Order(NamedTuple):
    """What to look into: as its queue sorts them, the newest first."""

    age: float
    uid: str
    name: str
    phase: str
    tries: int = 0


@dataclass(slots=True)
class Measurer:
    """Looks into the backups, or the restores, of one cluster."""

    study: Study
    cluster: str
    kube: Kube
    files: Files
    publisher: Publishes
    record: Remembers
    epoch: KnowsEpoch
    clock: Clock
    settings: Measuring
    memory: asyncio.Semaphore
    """What bounds, over all clusters of the process, how many logs and results are held at a time."""
    _seen: dict[str, str] = field(default_factory=dict)
    """The phase as which each was last taken up, by uid."""
    _queue: "asyncio.PriorityQueue[_Order]" = field(default_factory=asyncio.PriorityQueue)

    # ------------------------------------------------------------------ what the watch sees

    async def listed(self, listed: Listed, _epoch: int) -> None:
        """Take up all that has ended."""
        existing = {uid_of(item) for item in listed.items}
        for uid in self._seen.keys() - existing:
            del self._seen[uid]
        for item in listed.items:
            await self.changed(item, deleted=False)

    async def changed(self, obj: Object, *, deleted: bool) -> None:
        """Take up one that has ended; forget one that has gone, or is being deleted.

        A copy that Velero has brought for a restore is not taken up: it goes again, its contents are known where it was made,
        and each look would have Velero write anew the credential file that the restore is about to read (docs/fidelity.md).
        """
        uid, status, meta = uid_of(obj), obj.get("status"), obj.get("metadata") or {}
        phase = status.get("phase") if isinstance(status, dict) else None
        if deleted or is_passing(obj) or not isinstance(phase, str) or phase not in PHASE_OUTCOME:
            self._seen.pop(uid, None)
        elif self._seen.get(uid) != phase:
            self._seen[uid] = phase
            ended = (status or {}).get("completionTimestamp") or meta.get("creationTimestamp")
            self._queue.put_nowait(_Order(-_moment(ended), uid, str(meta.get("name")), phase))

    async def passed(self, resource_version: int) -> None:
        """Nothing happened to any of them."""

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
            except Exception:  # an odd one hides no other
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
        """Look into one unless that was done; tell whether there was anything to do.

        Raises NoChunk, Unavailable or KubeError when that cannot be done now.
        """
        if self._seen.get(order.uid) != order.phase:
            return False
        known = await self.record.measured(self.cluster, order.uid, self.study.noun)
        if known is not None and self.study.phase(known.data) == order.phase:
            return False
        obj = await self._unchanged(order)
        if obj is None:
            return False
        found = await self._look(obj)
        if await self._unchanged(order) is None:
            return True  # files that were not there may have been removed under our eyes
        for part in found.captured:
            name = f"{order.uid}/{order.phase}/{part.artifact}/{part.part}"
            await self._publish(subjects.captured(self.cluster, order.uid, self.study.noun), name, "captured", part)
        name = f"{order.uid}/{order.phase}/measured"
        await self._publish(subjects.measured(self.cluster, order.uid, self.study.noun), name, "measured", found.measured)
        return True

    async def _unchanged(self, order: _Order) -> Object | None:
        """Return it if it is still as it was taken up; else what the watch says of it is on its way."""
        try:
            obj = await self.kube.get(self.study.kind, order.name)
        except NotFoundError:
            return None
        same = uid_of(obj) == order.uid and (obj.get("status") or {}).get("phase") == order.phase
        return obj if same else None

    async def _look(self, obj: Object) -> Findings:
        seen = keepsake(obj, await self.epoch.current())
        if nothing_stored(obj):
            return self.study.nothing(seen)
        await self.files.size(obj, target_of(obj, Artifact.LOG))  # a cluster that is silent must not keep others waiting
        async with self.memory:
            return await self.study.look(obj, seen)

    async def _publish(self, subject: str, name: str, verb: str, data: Wire) -> None:
        envelope = Envelope[Wire](
            id=name,
            source=f"/clusters/{self.cluster}/executor",
            type=type_name(self.study.noun, verb),
            time=self.clock(),
            cluster=self.cluster,
            data=data,
        )
        await self.publisher.publish(subject, envelope)


def _moment(value: Any) -> float:
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except (ValueError, OverflowError):
        return 0.0
