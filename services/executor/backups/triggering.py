"""`schedule.trigger`: whether a slot's backup is still wanted beside the others of its schedule, and the making of it.

Two clocks meet here: a slot is due by the scheduler's, a Backup is as old as the API server says. A server whose clock is ahead
by more than a period has every second slot Superseded. One that is behind costs a backup too many at most.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from services.executor.backups.choices import NotYet, Refused
from services.executor.backups.creation import Creation, Surroundings
from services.executor.kube import BACKUPS, Object
from services.executor.manifests import is_of, of_schedule, slot_of
from services.executor.ports import Ports
from shared.contracts.commands import ScheduleTrigger
from shared.contracts.envelope import Envelope
from shared.contracts.names import LABEL_CLUSTER, LABEL_SCHEDULE_ID, Noun
from shared.contracts.notices import Notice
from shared.contracts.phases import DELETING_PHASE, PHASE_OUTCOME, Outcome
from shared.contracts.refusals import Code, refusal
from shared.contracts.schedules import Concurrency, Misfire

Backup = Mapping[str, Any]

_SOONEST, _LATEST = timedelta(seconds=2), timedelta(seconds=15)
"""Between two looks at a storage location that is not available: the longer it takes, the more rarely."""
_RATIO: Final = 10


@dataclass(frozen=True, slots=True)
class Seen:
    """The cluster as the order found it, and the backups of the schedule if they matter."""

    surroundings: Surroundings
    backups: list[Object]


@dataclass(frozen=True, slots=True)
class Firing:
    """The making of the Backup of one slot. `patient`: it may wait until its storage location is available."""

    noun: ClassVar[Noun] = Noun.BACKUP
    ports: Ports
    command: Envelope[ScheduleTrigger]
    patient: bool

    async def find(self) -> Object | None:
        """See Task."""
        return await self._creation.find()

    async def look(self) -> Seen:
        """See Task."""
        return Seen(*await asyncio.gather(self._creation.look(), self._backups()))

    def judge(self, seen: Seen) -> list[Notice]:
        """See Task."""
        check(self.command, seen.backups)
        try:
            return self._creation.judge(seen.surroundings)
        except Refused as no:
            if no.refusal.code != Code.LOCATION_UNAVAILABLE or not self.patient:
                raise
            raise NotYet(str(no), after=self._pause.total_seconds(), instead=no.refusal) from no

    async def make(self, seen: Seen) -> Object:
        """See Task."""
        return await self._creation.make(seen.surroundings)

    @property
    def _creation(self) -> Creation:
        return Creation(self.ports, self.command)

    @property
    def _pause(self) -> timedelta:
        late = self.ports.clock() - self.command.data.due
        return min(max(late / _RATIO, _SOONEST), _LATEST)

    async def _backups(self) -> list[Object]:
        order = self.command.data
        if order.concurrency_policy == Concurrency.ALLOW and order.misfire == Misfire.ALL:
            return []
        labels = f"{LABEL_SCHEDULE_ID}={order.schedule.id},{LABEL_CLUSTER}={self.ports.cluster}"
        return (await self.ports.kube.list(BACKUPS, labels)).items


def check(command: Envelope[ScheduleTrigger], backups: Iterable[Backup]) -> None:
    """Say whether another backup of the schedule covers this slot, or is in its way. Pure.

    Raises Refused. A slot that is covered is not wanted any more, whether or not that backup still runs: so that is told first.
    """
    order = command.data
    others = [x for x in backups if of_schedule(x, command) and not is_of(x, command) and _phase(x) != DELETING_PHASE]
    if order.misfire != Misfire.ALL and (covering := next((x for x in others if _covers(x, order)), None)):
        facts = {"name": _meta(covering)["name"], "at": f"{_made(covering):%Y-%m-%dT%H:%M:%SZ}"}
        raise Refused(refusal(Code.SUPERSEDED, schedule=order.schedule.name, **facts))
    if order.concurrency_policy == Concurrency.FORBID and (running := next((x for x in others if _runs(x)), None)):
        facts = {"name": _meta(running)["name"], "phase": _phase(running) or "New"}
        raise Refused(refusal(Code.OVERLAP, schedule=order.schedule.name, **facts))


def _covers(backup: Backup, order: ScheduleTrigger) -> bool:
    """Tell whether another slot's backup was made when this one was due already, and has not failed."""
    slot = slot_of(backup)
    if slot is None or slot == order.slot or PHASE_OUTCOME.get(_phase(backup)) == Outcome.FAILED:
        return False
    return _made(backup) >= order.due


def _made(backup: Backup) -> datetime:
    """Return when it was made: of one that Velero's sync has made anew from the bucket, when it was begun."""
    told = (_meta(backup)["creationTimestamp"], (backup.get("status") or {}).get("startTimestamp"))
    return min(datetime.fromisoformat(moment) for moment in told if moment)


def _runs(backup: Backup) -> bool:
    return _phase(backup) not in PHASE_OUTCOME


def _phase(backup: Backup) -> str:
    return str((backup.get("status") or {}).get("phase") or "")


def _meta(backup: Backup) -> Mapping[str, Any]:
    return backup.get("metadata") or {}
