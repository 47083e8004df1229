"""Turning what a watch sees into events: each change once, progress at a gentle pace, a snapshot after every list."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import structlog
from prometheus_client import Counter

from services.executor.epoch import ClusterEpoch
from services.executor.kube import ForbiddenError, Kind, Listed, Object
from services.executor.seeing.observations import fingerprint, observed, pages, poison, uid_of, version_of
from shared.contracts import subjects
from shared.contracts.base import Wire
from shared.contracts.envelope import Envelope, type_name
from shared.contracts.events import Problem
from shared.messaging.outcomes import Unavailable
from shared.messaging.publisher import Publishes
from shared.runtime import logging
from shared.runtime.clock import Clock
from shared.runtime.stopping import unless_cancelled

log = structlog.get_logger(__name__)

_SKIPPED = Counter("leeward_objects_skipped_total", "Objects that could not be told of", ["cluster", "noun"])

_RETRY = 1.0
_WORDS = 500
_THE_KIND = ""
"""Stands among problems for the kind as a whole, where uids of objects stand."""


@dataclass(slots=True)
class _Said:
    """What was last published of an object."""

    version: tuple[int, int]
    fingerprint: int
    at: float


@dataclass(slots=True)
class Observer:
    """Publishes one kind of one cluster. Nothing it is told is dropped: while NATS is away it waits, and the watch with it."""

    cluster: str
    noun: str
    epoch: ClusterEpoch
    publisher: Publishes
    clock: Clock
    progress_every: float
    high_water_every: float
    problems: dict[str, Problem] = field(default_factory=dict)
    """What is wrong with objects now, by uid, and with the kind; presence tells it."""
    absent: bool = False
    """Whether the cluster did not know the kind when it was last asked for it."""
    _epoch: int = 0
    """That of the last list: what is watched from it on is comparable with it, and with nothing else."""
    _said: dict[str, _Said] = field(default_factory=dict)
    _pending: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _noted: float = 0.0

    async def listed(self, listed: Listed, epoch: int) -> None:
        """Publish what is new or different in a list, then a snapshot of what exists."""
        self._epoch, self.absent = epoch, False
        existing = {uid_of(item): item for item in listed.items}
        for uid, item in existing.items():
            self._cancel(uid)
            said = self._said.get(uid)
            if said is None or said.version != (epoch, version_of(item)):
                await self._safely(item, self._say(item, epoch))
        for uid in self._said.keys() - existing.keys():
            self._forget(uid)
        self.problems = {uid: found for uid, item in existing.items() if (found := poison(item))}
        for number, page in enumerate(pages(existing, epoch, listed.resource_version)):
            name = f"{self.cluster}/{self.noun}/{epoch}/{listed.resource_version}/{number}"
            await self._publish(subjects.snapshot(self.cluster, self.noun), name, "snapshot", page)

    async def changed(self, obj: Object, *, deleted: bool) -> None:
        """Publish a change; one that is nothing but progress waits its turn, and only the newest is said."""
        await self._safely(obj, self._changed(obj, deleted=deleted))
        await self.passed(version_of(obj))

    async def _changed(self, obj: Object, *, deleted: bool) -> None:
        uid, epoch = uid_of(obj), self._epoch
        self._cancel(uid)
        if deleted:
            await self._say(obj, epoch, deleted=True)
            self._forget(uid)
            return
        found = poison(obj)
        if found:
            self.problems[uid] = found
        else:
            self.problems.pop(uid, None)
        said, now = self._said.get(uid), asyncio.get_running_loop().time()
        if said and said.fingerprint == fingerprint(obj) and (wait := said.at + self.progress_every - now) > 0:
            self._pending[uid] = asyncio.create_task(self._later(obj, epoch, wait))
        else:
            await self._say(obj, epoch)

    async def passed(self, resource_version: int) -> None:
        """Write down from time to time how far the watch has come."""
        now = asyncio.get_running_loop().time()
        if now - self._noted >= self.high_water_every:
            self._noted = now
            await self.epoch.seen(self._epoch, resource_version)

    def forbidden(self, kind: Kind, no: ForbiddenError) -> None:
        """Have it told that the kind cannot be watched, until a list succeeds: nothing new is known of it meanwhile."""
        message = f"Leeward may not watch {kind.plural}: apply the rights in deploy/rbac/executor.yaml. The cluster says: {no}"
        self.problems[_THE_KIND] = Problem(code="NotAllowed", message=message[:_WORDS])

    def stop(self) -> None:
        """Drop what is waiting its turn; the next list says it again."""
        for uid in list(self._pending):
            self._cancel(uid)

    async def _later(self, obj: Object, epoch: int, wait: float) -> None:
        await asyncio.sleep(wait)
        self._pending.pop(uid_of(obj), None)
        await self._safely(obj, self._say(obj, epoch))

    async def _say(self, obj: Object, epoch: int, *, deleted: bool = False) -> None:
        uid, version = uid_of(obj), version_of(obj)
        name = f"{uid}.{epoch}.{version}{'.deleted' if deleted else ''}"
        data, mark = observed(obj, epoch, deleted=deleted), fingerprint(obj)
        await self._publish(subjects.observed(self.cluster, self.noun, uid), name, "observed", data)
        # Only now: a list that cuts this short has to say it again.
        said = self._said.get(uid)
        if said is None or said.version <= (epoch, version):
            self._said[uid] = _Said((epoch, version), mark, asyncio.get_running_loop().time())

    async def _safely(self, obj: Object, saying: Coroutine[Any, Any, None]) -> None:
        """Say something about an object; one that cannot be told of is counted and skipped, and hides no other."""
        try:
            await saying
        except Exception:
            _SKIPPED.labels(self.cluster, self.noun).inc()
            log.exception("object skipped", **{logging.CLUSTER: self.cluster, logging.OBJECT: uid_of(obj)})

    async def _publish(self, subject: str, name: str, verb: str, data: Wire) -> None:
        envelope = Envelope[Wire](
            id=name,
            source=f"/clusters/{self.cluster}/executor",
            type=type_name(self.noun, verb),
            time=self.clock(),
            cluster=self.cluster,
            data=data,
        )
        while True:
            unless_cancelled()
            try:
                await self.publisher.publish(subject, envelope)
            except Unavailable as missing:
                log.warning("observation waits", **{logging.SUBJECT: subject, logging.REASON: missing.reason})
                await asyncio.sleep(_RETRY)
            else:
                return

    def _forget(self, uid: str) -> None:
        self._cancel(uid)
        self._said.pop(uid, None)
        self.problems.pop(uid, None)

    def _cancel(self, uid: str) -> None:
        if task := self._pending.pop(uid, None):
            task.cancel()
