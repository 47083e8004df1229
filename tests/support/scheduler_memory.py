"""A world for schedulers in one process: a database, a stream and a clock, with a fault point before and after each effect.

Nothing happens by itself: whoever directs the stage lets one of those who wait go on, or dies there.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.scheduler.housekeeping import QUIET
from services.scheduler.ports import Facts, Sketch
from shared.contracts.envelope import Envelope
from shared.contracts.schedules import Decision, Schedule, Tick
from shared.messaging.outcomes import Unavailable
from shared.messaging.publisher import CommandTakenError, CommandUnreadableError
from tests.support.scheduler import SetClock


class Killed(BaseException):
    """The process dies here."""


@dataclass
class Stage:
    """Where those who act for one scheduler wait to be let on."""

    waiting: list[asyncio.Future[None]] = field(default_factory=list)
    dead: bool = False
    free: bool = False
    """Nobody waits any more."""
    busy: int = 0
    """How many are in the middle of something that takes its time."""

    async def point(self) -> None:
        if self.dead:
            raise Killed
        if not self.free:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.waiting.append(turn)
            await turn

    def go_on(self, chance: random.Random) -> bool:
        """Let one of them go on; False when nobody waits."""
        if not self.waiting:
            return False
        turn = self.waiting.pop(chance.randrange(len(self.waiting)))
        if not turn.done():
            turn.set_result(None)
        return True

    def kill(self) -> None:
        self.dead = True
        for turn in self.waiting:
            if not turn.done():
                turn.set_exception(Killed())
        self.waiting.clear()


@dataclass
class Everything:
    """What is stored, in the database and in the stream, and which of them is away."""

    clock: SetClock = field(default_factory=SetClock)
    schedules: dict[str, Schedule] = field(default_factory=dict)
    reasons: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)
    ticks: dict[str, Tick] = field(default_factory=dict)
    clocks: dict[str, datetime] = field(default_factory=dict)
    commands: dict[str, Envelope[Any] | None] = field(default_factory=dict)
    database_away: bool = False
    nats_away: bool = False

    def read(self, reader: object, schedule: Schedule) -> None:
        """Told of each schedule that somebody reads for a decision."""

    def inserted(self, reader: object, tick: Tick) -> None:
        """Told of each decision that is stored."""

    def of(self, schedule: str) -> list[Tick]:
        return sorted((t for t in self.ticks.values() if t.schedule == schedule), key=lambda tick: tick.from_)


@dataclass(eq=False)
class Memory:
    """See Remembers: what one scheduler sees of everything."""

    world: Everything
    stage: Stage

    async def _meet(self) -> None:
        await self.stage.point()
        if self.world.database_away:
            raise Unavailable("mongodb", "away")

    async def sketches(self, since: datetime | None) -> AsyncIterator[Sequence[Sketch]]:
        await self._meet()
        changed = [each for each in self.world.schedules.values() if since is None or each.changed_at >= since]
        yield [Sketch(each.document(), self.world.clocks.get(each.id)) for each in changed]

    async def facts(self, schedules: Sequence[str]) -> Sequence[Facts]:
        await self._meet()
        world, found = self.world, []
        for schedule in [world.schedules[name] for name in dict.fromkeys(schedules) if name in world.schedules]:
            version, codes = world.reasons.get(schedule.id, (0, ()))
            reasons = [{"code": code, "permanent": True} for code in codes]
            wish = schedule.skip.id if schedule.skip else None
            ticks = world.of(schedule.id)
            decided_to = world.clocks.get(schedule.id) or max((tick.to for tick in ticks), default=None)
            skipped = sum(tick.count for tick in ticks if wish and tick.skip == wish)
            found.append(Facts(schedule.document(), decided_to, skipped, {"version": version, "reasons": reasons}))
            world.read(self, schedule)
        await self._meet()
        return found

    async def insert(self, ticks: Sequence[Tick]) -> Collection[str]:
        taken = set()
        for tick in ticks:
            await self._meet()
            if tick.id in self.world.ticks:
                taken.add(tick.id)
            else:
                self.world.inserted(self, tick)
                self.world.ticks[tick.id] = tick
        await self._meet()
        return taken

    async def newest(self, schedules: Sequence[str]) -> Mapping[str, datetime]:
        await self._meet()
        return {name: max(tick.to for tick in self.world.of(name)) for name in schedules if self.world.of(name)}

    async def mark(self, ticks: Mapping[str, str | None]) -> None:
        await self._meet()
        for name, why in ticks.items():
            if name in self.world.ticks:
                end = {"published": None, "reason": why} if why else {"published": True}
                self.world.ticks[name] = self.world.ticks[name].model_copy(update=end)
        await self._meet()

    async def advance(self, decided_to: Mapping[str, datetime]) -> None:
        await self._meet()
        for name, slot in decided_to.items():
            self.world.clocks[name] = max(slot, self.world.clocks.get(name, slot))
        await self._meet()

    async def unpublished(self, since: datetime) -> AsyncIterator[Sequence[Tick]]:
        await self._meet()
        yield [
            tick for tick in self.world.ticks.values() if tick.published is False and tick.deadline and tick.deadline > since
        ]

    async def resting(self, after: datetime, until: datetime) -> Sequence[str]:
        await self._meet()
        return sorted({t.schedule for t in self.world.ticks.values() if t.decision in QUIET and after < t.decided_at <= until})

    async def chain(self, schedule: str, until: datetime, most: int) -> Sequence[Tick]:
        await self._meet()
        old = [tick for tick in self.world.of(schedule) if tick.decided_at <= until][-most:]
        among = [tick for tick in self.world.of(schedule) if old and old[0].to <= tick.to <= old[-1].to]
        return old if len(old) == len(among) else []

    async def extend(self, before: Tick, after: Tick) -> bool:
        await self._meet()
        if self.world.ticks.get(before.id) != before:
            return False
        self.world.ticks[before.id] = after
        await self._meet()
        return True

    async def drop(self, ticks: Collection[str]) -> None:
        for name in ticks:
            await self._meet()
            self.world.ticks.pop(name, None)

    async def forget_clocks(self, before: datetime) -> int:
        await self._meet()
        gone = [name for name, slot in self.world.clocks.items() if slot < before and name not in self.world.schedules]
        for name in gone:
            del self.world.clocks[name]
        return len(gone)

    async def forget_skips(self, before: datetime) -> None:
        await self._meet()
        wishes = {each.skip.id for each in self.world.schedules.values() if each.skip}
        for tick in list(self.world.ticks.values()):
            if tick.decision is Decision.SKIPPED and tick.decided_at < before and tick.skip not in wishes:
                del self.world.ticks[tick.id]


@dataclass(eq=False)
class Stream:
    """See Speaks: the stream, that takes one command of each operation."""

    world: Everything
    stage: Stage

    async def _meet(self) -> None:
        await self.stage.point()
        if self.world.nats_away:
            raise Unavailable("nats", "away")

    async def publish_command(self, subject: str, envelope: Envelope[Any]) -> None:
        await self._meet()
        operation = str(envelope.operationid)
        if operation in self.world.commands:
            if self.world.commands[operation] is None:
                raise CommandUnreadableError("nats", "cannot be read")
            raise CommandTakenError(self.world.commands[operation])
        assert self.world.ticks[operation].decision is Decision.TRIGGERED
        self.world.commands[operation] = envelope
        await self._meet()

    async def publish(self, subject: str, envelope: Envelope[Any]) -> None:
        raise NotImplementedError

    async def tell(self, subject: str, envelope: Envelope[Any]) -> None:
        if self.stage.dead:
            raise Killed
