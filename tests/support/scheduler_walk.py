"""A random walk of schedulers through everything that can happen, in step with a model of what has to become of each slot.

What the model knows: a look decides by what was stored when it read, and by the time before that; decisions of a schedule
follow on each other without a hole. `LEEWARD_MODEL_SEED` repeats a walk, `LEEWARD_MODEL_STEPS` makes it longer or shorter.
"""

import asyncio
import os
import random
import secrets
import sys
from dataclasses import dataclass, field
from datetime import timedelta

from services.scheduler.agenda import Agenda
from services.scheduler.firing import Firing
from services.scheduler.housekeeping import tidy
from services.scheduler.ports import Ports
from services.scheduler.publishing import REMEMBERED
from services.scheduler.watching import OVERLAP, rescan
from shared.contracts.schedules import Decision, Deletion, Era, Misfire, Pause, Skip
from shared.messaging.outcomes import Unavailable
from tests.support.scheduler import NOON, SetClock, schedule
from tests.support.scheduler_memory import Everything, Killed, Memory, Stage, Stream
from tests.support.scheduler_reference import decided, every_slot

CRONS = (
    "* * * * *",
    "* * * * *",
    "* * * * *",
    "*/2 * * * *",
    "*/3 * * * *",
    "*/20 * * * *",
    "0 * * * *",
    "30 2 * * *",
    "not cron",
)
ZONES = ("UTC", "Europe/Berlin", "Australia/Lord_Howe", "Not/There")
SPREADS = ("0s", "0s", "30s", "5m", "2h")


@dataclass
class Judged(Everything):
    """Everything, with the model in its middle: it is asked at each decision whether that is the one."""

    ends: dict = field(default_factory=dict)
    seen: dict = field(default_factory=dict)
    used: dict = field(default_factory=dict)

    def read(self, reader, schedule):
        version, codes = self.reasons.get(schedule.id, (0, ()))
        self.seen[reader, schedule.id] = (schedule, codes if version == schedule.version else ())

    def inserted(self, reader, tick):
        wanted, reasons = self.seen[reader, tick.schedule]
        ends = self.ends.setdefault(tick.schedule, [])
        after = ends[-1].slot if ends else None
        slots = every_slot(wanted, tick.decided_at, after)
        skipped = self.used.get(wanted.skip.id, 0) if wanted.skip else 0
        right = decided(wanted, slots, after, tick.decided_at, skipped=skipped, reasons=reasons)[: tick.count]
        assert (right[0].slot, right[-1].slot, len(right)) == (tick.from_, tick.to, tick.count)
        assert {(e.decision, e.reason, e.skip, e.ran) for e in right} == {(tick.decision, tick.reason, tick.skip, tick.ran)}
        ends += right
        if tick.skip:
            self.used[tick.skip] = self.used.get(tick.skip, 0) + tick.count


class Scheduler:
    """One process: what it does now, and the stage on which that waits."""

    def __init__(self, world, memory):
        self.world, self.stage = world, Stage()
        self.ports = Ports(memory(world, self.stage), Stream(world, self.stage), world.clock)
        self.firing, self.tidied = Firing(self.ports, Agenda()), NOON - timedelta(days=2)
        self.last = world.clock()
        self.task = None
        self.begin(rescan(self.ports, self.firing.agenda))

    def begin(self, work):
        assert self.task is None
        self.task = asyncio.get_running_loop().create_task(work)

    def rescan(self):
        self.firing.behind = True
        since, self.last = min(self.last, self.world.clock()) - OVERLAP, self.world.clock()
        return rescan(self.ports, self.firing.agenda, since)

    async def tidy(self):
        self.tidied = await tidy(self.ports, self.tidied)

    def settle(self):
        """Take note of work that has ended; anything but an outage or a death is a mistake."""
        if self.task is not None and self.task.done():
            failure = self.task.exception()
            if failure is not None and not isinstance(failure, Unavailable | Killed):
                raise failure
            self.task = None


def seeded():
    """The seed of a walk: said aloud, so that a failure can be repeated."""
    seed = int(os.environ.get("LEEWARD_MODEL_SEED") or secrets.randbelow(2**32))
    sys.stdout.write(f"LEEWARD_MODEL_SEED={seed}\n")
    return seed


def steps(usual):
    return int(os.environ.get("LEEWARD_MODEL_STEPS") or usual)


class Walk:
    """Some schedulers, and somebody who makes things happen. `memory` makes what one of them sees of the world."""

    def __init__(self, seed, memory=Memory):
        self.chance, self.memory = random.Random(seed), memory
        self.world = Judged(clock=SetClock(NOON))
        self.schedulers, self.dead = [self.born() for _ in range(3)], []
        self.names = 0
        self.steps = {
            self.go_on: 60,
            self.look: 15,
            self.tick: 12,
            self.leap: 0.04,
            self.back: 0.4,
            self.create: 1,
            self.edit: 1,
            self.pause: 1,
            self.skip: 1,
            self.judge: 1,
            self.delete: 0.3,
            self.rescan: 1,
            self.tidy: 0.3,
            self.kill: 1,
            self.outage: 0.4,
            self.recovery: 3,
        }

    def born(self):
        return Scheduler(self.world, self.memory)

    async def steps_on(self, count):
        for _ in range(count):
            await self.step()

    async def step(self):
        (what,) = self.chance.choices(list(self.steps), list(self.steps.values()))
        for _ in range(self.chance.choice((1, 2, 8)) if what == self.go_on else 1):
            what()
            await self.rest()

    async def rest(self):
        """Wait until everybody waits."""
        for _ in range(6):
            await asyncio.sleep(0)
        while any(each.stage.busy and not each.stage.waiting for each in self.schedulers):  # noqa: ASYNC110 - none of them tells
            await asyncio.sleep(0.001)
        for each in (*self.schedulers, *self.dead):
            each.settle()
        self.dead = [each for each in self.dead if each.task is not None]

    # ------------------------------------------------------------ what can happen

    def go_on(self):
        """Somebody takes a step."""
        waiting = [each for each in self.schedulers if each.stage.waiting]
        if waiting:
            self.chance.choice(waiting).stage.go_on(self.chance)

    def look(self):
        self._begin(lambda each: each.firing.look())

    def rescan(self):
        self._begin(lambda each: each.rescan())

    def tidy(self):
        self._begin(lambda each: each.tidy())

    def _begin(self, work):
        each = self.chance.choice(self.schedulers)
        if each.task is None:
            each.begin(work(each))

    def tick(self):
        self.world.clock.step(milliseconds=self.chance.choice([1, 500, 20_000, 25_000, 60_000]))

    def leap(self):
        self.world.clock.step(minutes=self.chance.choice([10, 90, 600]))

    def back(self):
        self.world.clock.step(seconds=-self.chance.choice([1, 30, 300]))

    def kill(self):
        place = self.chance.randrange(len(self.schedulers))
        self.dead.append(self.schedulers[place])
        self.dead[-1].stage.kill()
        self.schedulers[place] = self.born()

    def outage(self):
        setattr(self.world, self.chance.choice(["database_away", "nats_away"]), True)

    def recovery(self):
        self.world.database_away = self.world.nats_away = False

    def create(self):
        if len(self.world.schedules) < 6:
            self.names += 1
            self._keep(
                schedule(
                    self.chance.choice(["nightly", "hourly", f"s{self.names}"]),
                    id=f"{self.names}-{self.chance.getrandbits(32)}",
                    made=self.world.clock(),
                    cron=self.chance.choice(CRONS),
                    timezone=self.chance.choice(ZONES),
                    spread=self.chance.choice(SPREADS),
                    startingDeadline=self.chance.choice(["10s", "1m", "10m", "1h", "24h"]),
                    misfire=self.chance.choice(list(Misfire)),
                )
            )

    def edit(self):
        if found := self._some():
            era = Era(from_=self.world.clock(), cron=self.chance.choice(CRONS), timezone=self.chance.choice(ZONES))
            changes = [
                {"eras": [*found.eras, era][-20:]},
                {"spread": self.chance.choice(SPREADS), "spread_since": self.world.clock()},
                {"misfire": self.chance.choice(list(Misfire))},
            ]
            self._change(found, **self.chance.choice(changes))

    def pause(self):
        """Pause, or resume."""
        if found := self._some():
            *before, last = found.pauses or [None]
            if found.paused:
                pauses = [*before, last.model_copy(update={"to": self.world.clock()})]
            elif self.chance.random() < 0.4:
                pauses = [*found.pauses, Pause(from_=self.world.clock())]
            else:
                return
            self._change(found, pauses=pauses[-20:])

    def skip(self):
        if found := self._some():
            wish = Skip(
                id=f"{self.chance.getrandbits(48)}", count=self.chance.choice([0, 1, 1, 3]), not_before=self.world.clock()
            )
            self._change(found, skip=wish)

    def judge(self):
        """Status finds something, or nothing, perhaps about a version that was changed meanwhile."""
        if found := self._some():
            codes = self.chance.choice([(), (), ("LocationUnknown",), ("ScopeInvalid", "LocationUnknown")])
            self.world.reasons[found.id] = (found.version - (self.chance.random() < 0.2), codes)

    def delete(self):
        if found := self._some():
            if found.deleting:
                del self.world.schedules[found.id]
            else:
                self._change(found, deleting=Deletion(delete_backups=False, by="anna", at=self.world.clock()))

    def _some(self):
        return self.chance.choice(list(self.world.schedules.values())) if self.world.schedules else None

    def _change(self, found, **fields):
        version = {"version": found.version + 1, "changed_at": self.world.clock()}
        self._keep(found.model_copy(update=fields | version))

    def _keep(self, wanted):
        self.world.schedules[wanted.id] = wanted
        for each in self.schedulers:
            if self.chance.random() < 0.6:  # a hint, which may be missed
                each.firing.agenda.put(wanted.id, self.world.clock())

    # ------------------------------------------------------------ the end

    async def end(self):
        """All is well again: every scheduler does what it has to do."""
        self.world.database_away = self.world.nats_away = False
        for each in self.schedulers:
            each.stage.free = True
            while each.stage.go_on(self.chance):
                await self.rest()
            while each.task is not None:
                await self.rest()
        for each in self.schedulers:
            await rescan(each.ports, each.firing.agenda)
            each.firing.behind = True
            while await each.firing.look():
                pass
            each.tidied = NOON - timedelta(days=2)
            await each.tidy()

    def judged(self):
        world, now = self.world, self.world.clock()
        for name in {tick.schedule for tick in world.ticks.values()} | set(world.ends):
            left = list(world.ends[name])
            for tick in world.of(name):
                mine, left = left[: tick.count], left[tick.count :]
                assert (mine[0].slot, mine[-1].slot, len(mine)) == (tick.from_, tick.to, tick.count)
                assert {(e.decision, e.reason, e.skip, e.ran) for e in mine} == {
                    (tick.decision, tick.reason, tick.skip, tick.ran)
                }
            assert left == []
        for wanted in world.schedules.values():
            ends = world.ends.get(wanted.id, [])
            after = ends[-1].slot if ends else None
            assert decided(wanted, every_slot(wanted, now, after), after, now) == []
        for tick in world.ticks.values():
            command = world.commands.get(tick.id)
            if tick.decision is Decision.TRIGGERED:
                here = world.schedules.get(tick.schedule)
                given_up = here is None or here.deleting or tick.deadline + REMEMBERED <= now + timedelta(hours=1)
                assert command or given_up, tick
            else:
                assert command is None
            if command:
                assert (command.data.slot, command.data.due, command.expiresat) == (tick.from_, tick.due_at, tick.deadline)
                assert tick.published
        assert all(slot <= world.ends[name][-1].slot for name, slot in world.clocks.items())
