"""The scheduler between a real broker and a real database: what it fires, and what it survives."""

import pytest

from tests.support.scheduler import World, at, schedule, scheduler
from tests.support.status_service import database_of
from tests.support.waiting import eventually


@pytest.fixture
async def world(mongo_server, admin):
    database = database_of(mongo_server)
    yield World(database, admin)
    await database.client.close()


async def tells(world, of, *wanted, timeout=20.0):
    async def probe():
        return await world.told(of) == list(wanted)

    try:
        await eventually("decided", probe, timeout)
    except AssertionError:
        assert await world.told(of) == list(wanted)
        raise


async def published(world, count):
    async def probe():
        ticks = [tick for tick in await world.ticks() if tick.published is not None]
        return len(ticks) == count and all(tick.published for tick in ticks) and ticks

    return await eventually("published", probe, 20)


async def test_a_slot_becomes_a_command(nats_server, world):
    nightly = schedule(cron="0 13 * * *", startingDeadline="30m")
    await world.keep(nightly)
    async with scheduler(nats_server, world.database.settings, world.clock) as service:
        await eventually("ready", lambda: service.runtime.health.ready, 20)
        world.clock.set("13:00:01")
        await tells(world, nightly, "13:00 Triggered")
        (tick,) = await published(world, 1)
        (command,) = await world.commands()
    assert (command.id, command.operationid) == (tick.id, tick.id)
    assert (command.cluster, command.principal, command.expiresat) == ("eu1", "schedule/nightly", at("13:30"))
    assert (command.data.name, command.data.slot, command.data.due) == ("nightly-20310305130000", at("13:00"), at("13:00"))
    assert (command.data.schedule.id, command.data.schedule.name) == (nightly.id, "nightly")
    assert (tick.backup_name, tick.deadline, tick.decided_at) == (command.data.name, at("13:30"), at("13:00:01"))
