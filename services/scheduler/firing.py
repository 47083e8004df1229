"""One look at all that is due: decide, publish, write down. It may end anywhere; the next one goes on from what is stored."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Final

import structlog

from services.scheduler.agenda import Agenda
from services.scheduler.deciding import Decided, decide
from services.scheduler.measures import BROKEN, DUE, KNOWN
from services.scheduler.ports import Ports
from services.scheduler.publishing import Published, publish, republish
from services.scheduler.triggers import SOURCE
from shared.messaging.hints import hint
from shared.messaging.outcomes import Unavailable
from shared.runtime import logging

log = structlog.get_logger(__name__)

WAVE: Final = 5000
"""Schedules of one look, and commands that are stored and not written down as such."""
CHUNK: Final = 500
"""Schedules that are read and decided together."""
_SOME: Final = 250
"""So much is written down at a time, before it is looked again at what is due."""
_DECIDING: Final = 2
"""Chunks that are read and decided at the same time, so that neither this process nor the database waits for the other."""


@dataclass(slots=True)
class Firing:
    """The work of whoever holds the lease, with what it remembers between two looks.

    `behind`: something that was decided to run may not have been published. Nothing new is decided before it is.
    """

    ports: Ports
    agenda: Agenda = field(default_factory=Agenda)
    behind: bool = True
    _marks: dict[str, str | None] = field(default_factory=dict)
    _ahead: dict[str, datetime] = field(default_factory=dict)

    async def look(self) -> bool:
        """Look at everything whose time has come, as much as goes at once, and write down some of what was done.

        Returns whether there was anything to do.

        Raises Unavailable when the database or the broker does not answer; what is not done is done by a later look.
        """
        if self.behind:
            await self.catch_up()
        now = self.ports.clock()
        DUE.set(self.agenda.waiting(now))
        KNOWN.set(len(self.agenda))
        schedules = self.agenda.take(now, WAVE) if len(self._marks) < WAVE else []
        if schedules:
            await self._fire(schedules, now)
        return await self._write_down() or bool(schedules)

    async def catch_up(self) -> None:
        """Publish what an earlier look, or an earlier life, has left behind.

        Raises Unavailable when the database or the broker does not answer.
        """
        done = Published()
        try:
            await republish(self.ports, self._marks.keys(), done)
        finally:
            self._marks |= done.ticks
        if done.away:
            raise done.away
        self.behind = False

    async def _fire(self, schedules: Sequence[str], now: datetime) -> None:
        gate = asyncio.Semaphore(_DECIDING)
        chunks = [schedules[first : first + CHUNK] for first in range(0, len(schedules), CHUNK)]
        decided, published = Decided(), Published()
        ends = await asyncio.gather(*(self._chunk(chunk, gate, decided, published) for chunk in chunks), return_exceptions=True)
        for chunk, end in zip(chunks, ends, strict=True):
            for schedule in chunk:
                self.agenda.put(schedule, now if end else decided.again.get(schedule))
        self._ahead.update(decided.to)
        self._marks |= published.ticks
        self.behind = self.behind or decided.met or published.away is not None
        failures = [end for end in ends if end is not None]
        if odd := next((end for end in failures if not isinstance(end, Unavailable)), None):
            raise odd
        if away := published.away or next(iter(failures), None):
            raise away
        for schedule in decided.to:
            await hint(self.ports.publisher, SOURCE, schedule, decided.clusters[schedule], self.ports.clock)

    async def _chunk(self, schedules: Sequence[str], gate: asyncio.Semaphore, decided: Decided, published: Published) -> None:
        """Decide, and publish what came of it, also when the deciding ended halfway."""
        mine = Decided()
        try:
            async with gate:
                await self._decide(schedules, mine)
        finally:
            decided.again |= mine.again
            decided.to |= mine.to
            decided.clusters |= mine.clusters
            decided.met |= mine.met
            await publish(self.ports, mine.orders, published)

    async def _decide(self, schedules: Sequence[str], done: Decided) -> None:
        """Decide; when something about one of many is odd in a way that nobody has foreseen, each by itself."""
        try:
            await decide(self.ports, schedules, self._ahead, done)
        except Unavailable:
            raise
        except Exception as error:
            if len(schedules) == 1:
                BROKEN.labels("decide").inc()
                log.exception("schedule set aside", **{logging.OBJECT: schedules[0], logging.REASON: type(error).__name__})
                done.again[schedules[0]] = None
                return
            for schedule in schedules:
                await self._decide([schedule], done)

    async def _write_down(self) -> bool:
        """Tell the memory of some of what is published, and how far all is decided; return whether there was any.

        Lost, it costs work and nothing else: therefore what is due does not wait for all of it.

        Raises Unavailable.
        """
        marks = dict(islice(self._marks.items(), _SOME))
        ahead = dict(islice(self._ahead.items(), _SOME))
        if marks:
            await self.ports.memory.mark(marks)
        if ahead:
            await self.ports.memory.advance(ahead)
        for tick in marks:
            del self._marks[tick]
        self._ahead = {schedule: slot for schedule, slot in self._ahead.items() if ahead.get(schedule) != slot}
        return bool(marks or ahead)
