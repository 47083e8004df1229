"""What the holder of the lease does, until it is cancelled: it looks, it keeps its agenda, it tidies up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final

import structlog

from services.scheduler.firing import Firing
from services.scheduler.housekeeping import OLD, tidy
from services.scheduler.measures import KNOWN
from services.scheduler.ports import Ports
from services.scheduler.settings import Settings
from services.scheduler.watching import OVERLAP, rescan
from shared.messaging.outcomes import Unavailable
from shared.runtime import logging
from shared.runtime.health import Dependency
from shared.runtime.pacing import jittered
from shared.runtime.stopping import unless_cancelled

log = structlog.get_logger(__name__)

_BREATH: Final = 1.0
"""Seconds until something is tried again that has failed."""
_FIRST_TIDY: Final = timedelta(days=7)
"""How far back the first tidying goes: no scheduler may have been there for a while."""

Hints = Callable[[], AsyncIterator[str]]


@dataclass(slots=True)
class Lead:
    """One term as the holder. Nothing of it outlives the term: the next holder reads everything anew."""

    ports: Ports
    settings: Settings
    hints: Hints
    database: Dependency
    nats: Dependency
    firing: Firing = field(init=False)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.firing = Firing(self.ports)

    async def work(self) -> None:
        """Work until cancelled; a look that has begun is ended then, so that what was decided is published."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen())
                tasks.create_task(self._look_forever())
                tasks.create_task(self._rescan_forever())
                tasks.create_task(self._tidy_forever())
        finally:
            KNOWN.set(0)

    async def _look_forever(self) -> None:
        while True:
            unless_cancelled()
            if self.nats.problem:  # what cannot be sent is not decided: a later look may decide better
                await asyncio.sleep(self.settings.look_interval / 4)
                continue
            look = asyncio.create_task(self.firing.look())
            try:
                busy = await asyncio.shield(look)
            except asyncio.CancelledError:
                await asyncio.wait({look}, timeout=self.settings.grace / 2)
                look.cancel()
                raise
            except Unavailable as missing:
                self._missing(missing)
                await asyncio.sleep(jittered(self.settings.look_interval))
            except Exception:
                log.exception("look failed")
                await asyncio.sleep(_BREATH)
            else:
                self.database.answers()
                if not busy:
                    await self._sleep()

    async def _sleep(self) -> None:
        """Sleep until the next look is due or something is said, and never long: the clock may be set, the process stopped."""
        due, longest = self.firing.agenda.next(), self.settings.look_interval
        if due is not None:
            longest = min(longest, max(0.0, (due - self.ports.clock()).total_seconds()))
        self._woken.clear()
        try:
            async with asyncio.timeout(longest):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _listen(self) -> None:
        """Look at once at what somebody speaks of."""
        while True:
            unless_cancelled()
            try:
                async for schedule in self.hints():
                    self.firing.agenda.put(schedule, self.ports.clock())
                    self._woken.set()
            except Exception as error:  # noqa: BLE001 - a rescan finds what hints said
                log.warning("hints not heard", **{logging.REASON: type(error).__name__})
            await asyncio.sleep(_BREATH)

    async def _rescan_forever(self) -> None:
        """Fill the agenda, then notice changes whose hint was lost, and publish what was left behind, also by others."""
        last = whole = self.ports.clock()
        await self._persistently(partial(rescan, self.ports, self.firing.agenda))
        log.info("agenda filled", schedules=len(self.firing.agenda))
        while True:
            await asyncio.sleep(jittered(self.settings.rescan_interval))
            now = self.ports.clock()
            self.firing.behind = True
            everything = now - whole >= timedelta(seconds=self.settings.full_rescan_interval) or now < whole
            since = None if everything else min(last, now) - OVERLAP
            await self._persistently(partial(rescan, self.ports, self.firing.agenda, since))
            self._woken.set()
            last, whole = now, now if everything else whole

    async def _tidy_forever(self) -> None:
        after = self.ports.clock() - OLD - _FIRST_TIDY

        async def once() -> None:
            nonlocal after
            after = await tidy(self.ports, after)

        while True:
            await self._persistently(once)
            await asyncio.sleep(jittered(self.settings.tidy_interval))

    async def _persistently(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do it; while the database is away, or it fails, again."""
        while True:
            unless_cancelled()
            try:
                await work()
            except Unavailable as missing:
                self._missing(missing)
            except Exception:
                log.exception("failed, tried again")
            else:
                unless_cancelled()  # whoever called sleeps next, and long
                return
            await asyncio.sleep(jittered(_BREATH))

    def _missing(self, missing: Unavailable) -> None:
        if missing.dependency == self.database.name:  # of NATS, its own connection knows best
            self.database.missing(missing.reason)
        log.warning("waiting", **{logging.DEPENDENCY: missing.dependency, logging.REASON: missing.reason})
