"""One look at a time, held at chosen points: what is overlooked, what is thrown away, and what waits for what."""

import asyncio
import random

import pytest

from services.scheduler.firing import Firing
from services.scheduler.ports import Ports
from services.scheduler.watching import rescan
from shared.contracts.ids import slot_operation_id
from shared.contracts.schedules import Decision, Pause
from shared.messaging.outcomes import Unavailable
from tests.support.scheduler import NOON, at, schedule, words
from tests.support.scheduler_memory import Everything, Memory, Stage, Stream


class Held:
    """A scheduler that stops at each fault point until it is let on."""

    def __init__(self, world):
        self.world, self.stage = world, Stage(free=True)
        self.firing = Firing(Ports(Memory(world, self.stage), Stream(world, self.stage), world.clock))

    async def ready(self):
        await rescan(self.firing.ports, self.firing.agenda)
        await self.firing.catch_up()
        return self

    async def look(self):
        while await self.firing.look():
            pass

    async def begin(self, points):
        """Begin a look and let it pass so many fault points."""
        self.stage.free = False
        look = asyncio.create_task(self.firing.look())
        for _ in range(points):
            await self._settled()
            assert self.stage.go_on(random)
        await self._settled()
        return look

    async def finish(self, look):
        self.stage.free = True
        while self.stage.go_on(random):
            await self._settled()
        return await look

    async def _settled(self):
        for _ in range(8):
            await asyncio.sleep(0)


@pytest.fixture
def world():
    return Everything()


def keep(world, *schedules):
    world.schedules |= {each.id: each for each in schedules}
    return schedules[0]


def told(world, of):
    return [words(tick) for tick in world.of(of.id)]


async def test_a_look_decides_nothing_that_came_due_while_it_read(world):
    wanted = keep(world, schedule(cron="30 12 * * *"))
    scheduler = await Held(world).ready()
    scheduler.firing.agenda.put(wanted.id, world.clock())  # a hint
    look = await scheduler.begin(1)  # it has read
    world.clock.set("12:29:59")
    world.schedules[wanted.id] = wanted.model_copy(update={"pauses": [Pause(from_=world.clock())]})
    world.clock.set("12:30:00")
    await scheduler.finish(look)
    assert told(world, wanted) == []
    await scheduler.look()
    assert told(world, wanted) == ["12:30 Paused"]


async def test_a_process_that_was_stopped_for_an_hour_throws_away_what_it_had_read(world):
    wanted = keep(world, schedule(misfire="all"))
    world.clock.set("12:00:01")
    stopped, other = await Held(world).ready(), await Held(world).ready()
    look = await stopped.begin(1)
    world.clock.set("12:59:30")
    changed = wanted.model_copy(update={"pauses": [Pause(from_=at("12:00"))]})
    world.schedules[wanted.id] = changed
    world.clock.set("13:00:01")
    await stopped.finish(look)
    assert told(world, wanted) == []
    await other.look()
    await stopped.look()
    assert told(world, wanted) == ["12:00-13:00 Paused 61"]


async def test_a_process_that_was_stopped_between_two_decisions_throws_away_the_second(world):
    wanted = keep(world, schedule(misfire="all"))
    world.clock.set("12:01:01")
    scheduler = await Held(world).ready()
    look = await scheduler.begin(3)  # the first is inserted
    assert told(world, wanted) == ["12:00 Triggered"]
    world.schedules[wanted.id] = wanted.model_copy(update={"pauses": [Pause(from_=at("12:01"))]})
    world.clock.set("13:00:01")
    await scheduler.finish(look)
    assert told(world, wanted) == ["12:00 Triggered"]
    await scheduler.look()
    assert told(world, wanted) == ["12:00 Triggered", "12:01-13:00 Paused 60"]


async def test_one_that_was_stopped_obeys_what_others_have_decided(world):
    wanted = keep(world, schedule())
    world.clock.set("12:00:01")
    stopped, other = await Held(world).ready(), await Held(world).ready()
    look = await stopped.begin(2)  # it is about to insert
    world.clock.set("12:00:20")
    await other.look()
    world.clock.set("13:00:01")
    await other.look()
    before = dict(world.ticks)
    await stopped.finish(look)
    await stopped.look()
    assert world.ticks == before
    assert told(world, wanted) == ["12:00 Triggered", "12:01-12:59 Superseded 59", "13:00 Triggered"]
    assert len(world.commands) == 2


async def test_nothing_new_is_decided_before_what_was_decided_is_published(world):
    wanted = keep(world, schedule())
    scheduler = await Held(world).ready()
    world.clock.set("12:00:01")
    world.nats_away = True
    with pytest.raises(Unavailable):
        await scheduler.look()
    world.clock.set("12:02:01")
    with pytest.raises(Unavailable):
        await scheduler.look()
    assert told(world, wanted) == ["12:00 Triggered"]
    world.nats_away = False
    await scheduler.look()
    assert told(world, wanted) == ["12:00 Triggered", "12:01 Superseded", "12:02 Triggered"]
    assert all(tick.published for tick in world.ticks.values() if tick.decision is Decision.TRIGGERED)


async def test_a_slot_is_looked_at_not_before_the_spread_by_which_it_is_due_was_wanted(world):
    keep(world, schedule(spreadSince=at("12:30")))
    scheduler = await Held(world).ready()
    assert scheduler.firing.agenda.next() == at("12:30")


async def test_a_look_that_failed_is_made_again(world):
    wanted = keep(world, schedule())
    scheduler = await Held(world).ready()
    world.clock.set("12:00:01")
    world.database_away = True
    with pytest.raises(Unavailable):
        await scheduler.look()
    world.database_away = False
    await scheduler.look()
    assert told(world, wanted) == ["12:00 Triggered"]
    assert scheduler.firing.agenda.next() == at("12:01")


async def test_an_insert_whose_answer_was_lost_is_found_and_published(world):
    wanted = keep(world, schedule())
    scheduler = await Held(world).ready()
    world.clock.set("12:00:01")
    look = await scheduler.begin(3)  # it is inserted, and not answered
    assert told(world, wanted) == ["12:00 Triggered"]
    world.database_away = True
    with pytest.raises(Unavailable):
        await scheduler.finish(look)
    world.database_away = False
    await scheduler.look()
    assert [tick.published for tick in world.ticks.values()] == [True]
    assert len(world.commands) == 1


async def test_an_odd_failure_of_one_does_not_stop_the_others(world):
    odd, *others = (schedule(f"s{number}") for number in range(9))
    keep(world, odd, *others)
    scheduler = await Held(world).ready()
    memory = scheduler.firing.ports.memory
    insert = memory.insert

    async def fails(ticks):
        if any(tick.schedule == odd.id for tick in ticks):
            raise ArithmeticError
        return await insert(ticks)

    memory.insert = fails
    world.clock.set("12:00:01")
    await scheduler.look()
    assert [told(world, each) for each in others] == [["12:00 Triggered"]] * 8
    assert (told(world, odd), len(world.commands)) == ([], 8)


async def test_a_command_that_nobody_can_read_holds_up_nothing(world):
    unread, other = schedule("unread"), schedule("other")
    keep(world, unread, other)
    world.commands[slot_operation_id(unread.id, at("12:00"))] = None
    scheduler = await Held(world).ready()
    for now in ("12:00:01", "12:01:01"):
        world.clock.set(now)
        await scheduler.look()
    assert told(world, other) == told(world, unread) == ["12:00 Triggered", "12:01 Triggered"]
    assert all(tick.published for tick in world.ticks.values())


async def test_what_is_odd_about_one_keeps_nobody_elses_commands_back(world):
    odd, *others = (schedule(f"s{number}") for number in range(4))
    keep(world, odd, *others)
    scheduler = await Held(world).ready()
    world.nats_away = True
    world.clock.set("12:00:01")
    with pytest.raises(Unavailable):
        await scheduler.look()
    memory = scheduler.firing.ports.memory
    facts = memory.facts

    async def fails(names):
        if odd.id in names:
            raise TypeError
        return await facts(names)

    memory.facts, world.nats_away = fails, False
    await scheduler.look()
    assert {tick.schedule for tick in world.ticks.values() if tick.published} == {each.id for each in others}


async def test_more_than_one_look_holds_is_left_for_the_next_one(world, monkeypatch):
    monkeypatch.setattr("services.scheduler.firing.WAVE", 7)
    monkeypatch.setattr("services.scheduler.firing.CHUNK", 3)
    many = [schedule(f"s{number}", made=NOON) for number in range(20)]
    keep(world, *many)
    scheduler = await Held(world).ready()
    world.clock.set("12:01:01")
    assert await scheduler.firing.look()
    assert len(world.commands) == 7
    await scheduler.look()
    assert {each.data.schedule.id for each in world.commands.values()} == {each.id for each in many}
    assert world.clocks == {each.id: at("12:01") for each in many}
