"""The scheduler between a real broker and a real database: what it fires, and what it survives."""

import asyncio
import contextlib
from datetime import timedelta

import pytest
from nats.js.errors import KeyNotFoundError

from services.scheduler import __main__ as service_module
from services.scheduler.store import Store
from shared.contracts import subjects
from shared.contracts.documents import Collection
from shared.contracts.names import Noun
from shared.contracts.schedules import Decision, Tick
from shared.messaging.hints import hint
from shared.messaging.publisher import Publisher
from tests.support.scheduler import NOON, World, at, schedule, scheduler, words
from tests.support.servers import MongoServer
from tests.support.status_service import database_of
from tests.support.waiting import PATIENCE, eventually

NOON_DAILY, ONE_DAILY = "0 12 * * *", "0 13 * * *"


@pytest.fixture
async def world(mongo_server, admin):
    database = database_of(mongo_server)
    yield World(database, admin)
    await database.client.close()


async def tells(world, of, *wanted):
    """Wait until this is what was decided, and all of it that runs is in the stream, once."""

    async def settled():
        ticks = await world.ticks(of)
        return [words(tick) for tick in ticks] == list(wanted) and all(tick.published is not False for tick in ticks)

    try:
        await eventually("decided and published", settled)
    except AssertionError:
        assert await world.told(of) == list(wanted)
        raise
    commands = [command.operationid for command in await world.commands() if command.data.schedule.id == of.id]
    triggered = [tick.id for tick in await world.ticks(of) if tick.decision is Decision.TRIGGERED]
    assert sorted(commands) == sorted(triggered)


async def ready(service):
    await eventually("ready", lambda: service.runtime.health.ready)


@contextlib.asynccontextmanager
async def fired(nats_server, world, **tunables):
    async with scheduler(nats_server, world.database.settings, world.clock, **tunables) as service:
        await ready(service)
        yield service


def unpublished(of):
    return Tick(
        id=f"op-{of.name}", schedule=of.id, cluster="eu1", from_=NOON, to=NOON, decision=Decision.TRIGGERED,
        backup_name=f"{of.name}-x", due_at=NOON, deadline=at("13:00"), decided_at=NOON, published=False,
    )  # fmt: skip


# ---------------------------------------------------------------- what it says


async def test_a_slot_becomes_a_command(nats_server, world):
    nightly = schedule(cron=ONE_DAILY, startingDeadline="30m")
    await world.keep(nightly)
    async with fired(nats_server, world):
        world.clock.set("13:00:01")
        await tells(world, nightly, "13:00 Triggered")
        (tick,), (command,) = await world.ticks(), await world.commands()
    assert (command.id, command.operationid) == (tick.id, tick.id)
    assert (command.cluster, command.principal, command.expiresat) == ("eu1", "schedule/nightly", at("13:30"))
    assert (command.data.name, command.data.slot, command.data.due) == ("nightly-20310305130000", at("13:00"), at("13:00"))
    assert (command.data.schedule.id, command.data.schedule.name) == (nightly.id, "nightly")
    assert command.data.environments is None
    assert (tick.backup_name, tick.deadline, tick.decided_at) == (command.data.name, at("13:30"), at("13:00:01"))


async def test_a_scope_by_environment_brings_what_the_cluster_calls_production(nats_server, world):
    mine, usual = (schedule(name, cluster=name, template={"scope": {"kind": "production"}}) for name in ("eu1", "us1"))
    selector = {"matchLabels": [{"k": "tier.of", "v": "gold"}], "matchExpressions": []}
    await world.database[Collection.CLUSTERS].insert_one({"_id": "eu1", "productionSelector": selector})
    await world.keep(mine, usual)
    world.clock.set("12:00:01")
    async with fired(nats_server, world):
        await tells(world, mine, "12:00 Triggered")
        await tells(world, usual, "12:00 Triggered")
    told = {command.cluster: command.data.environments for command in await world.commands()}
    assert told["eu1"].production.match_labels == {"tier.of": "gold"}
    assert told["us1"].is_production({"environment": "prod"})


async def test_status_is_told_to_look_at_what_was_decided(nats_server, world, as_user):
    heard = []
    status = await as_user("status")

    async def hear(message):
        heard.append(message.subject.rpartition(".")[2])

    await status.client.subscribe("lw.hint.>", cb=hear)
    await status.client.flush()
    runs, paused = schedule("runs"), schedule("paused", pauses=[{"from": NOON}])
    await world.keep(runs, paused)
    world.clock.set("12:00:01")
    async with fired(nats_server, world):
        await eventually("told of both", lambda: set(heard) == {runs.id, paused.id})


# ---------------------------------------------------------------- what a person does just before a slot


async def test_pause_resume_skip_and_edit_are_obeyed_at_the_last_moment(nats_server, world):
    wanted = schedule(cron=NOON_DAILY, made=NOON - timedelta(days=2))
    plain, paused, resumed, skipped, moved = (wanted.model_copy(update={"id": name, "name": name}) for name in "abcde")
    everything = (plain, paused, resumed, skipped, moved)
    resumed = resumed.model_copy(update={"pauses": schedule(pauses=[{"from": NOON - timedelta(days=1)}]).pauses})
    await world.keep(*everything, resumed)
    await world.database[Collection.SCHEDULE_CLOCK].insert_many(
        [{"_id": each.id, "decidedTo": NOON - timedelta(days=1)} for each in everything]
    )
    world.clock.set("11:59:50")
    async with fired(nats_server, world):
        world.clock.set("11:59:59.999")
        now = world.clock()
        await world.change(paused, pauses=[{"from": now}])
        await world.change(resumed, pauses=[{"from": NOON - timedelta(days=1), "to": now}])
        await world.change(skipped, skip={"id": "wish", "count": 1, "notBefore": now})
        await world.change(moved, eras=[wanted.eras[0].wire(), {"from": now, "cron": "30 12 * * *", "timezone": "UTC"}])
        world.clock.set("12:00:00.001")
        await tells(world, plain, "12:00 Triggered")
        await tells(world, paused, "12:00 Paused")
        await tells(world, resumed, "12:00 Triggered")
        await tells(world, skipped, "12:00 Skipped")
        assert await world.told(moved) == []
        world.clock.set("12:30:01")
        await tells(world, moved, "12:30 Triggered")


async def test_resuming_and_editing_fire_nothing_that_is_past(nats_server, world):
    wanted = schedule(cron=ONE_DAILY, pauses=[{"from": NOON}])
    await world.keep(wanted)
    async with fired(nats_server, world):
        world.clock.set("13:00:01")
        await tells(world, wanted, "13:00 Paused")
        world.clock.set("13:05")
        wanted = await world.change(wanted, pauses=[{"from": NOON, "to": world.clock()}])
        eras = [wanted.eras[0].wire(), {"from": world.clock(), "cron": "*/15 * * * *", "timezone": "UTC"}]
        await world.change(wanted, eras=eras)
        world.clock.set("13:15:01")
        await tells(world, wanted, "13:00 Paused", "13:15 Triggered")


async def test_less_spread_brings_forward_what_was_still_to_come(nats_server, world):
    wanted = schedule(cron=NOON_DAILY, spread="24h", startingDeadline="5m", id="s")
    assert wanted.offset > timedelta(hours=2)
    await world.keep(wanted)
    async with fired(nats_server, world):
        world.clock.set("14:00")
        await world.change(wanted, spread="0s", spreadSince=world.clock())
        await tells(world, wanted, "12:00 Triggered")
    (command,) = await world.commands()
    assert (command.data.slot, command.data.due, command.expiresat) == (NOON, at("14:00"), at("14:05"))


async def test_a_hint_is_obeyed_at_once(nats_server, world, as_user):
    gateway = await as_user("gateway")
    async with fired(nats_server, world, rescan_interval=3600):
        world.clock.set("12:29:30")
        wanted = schedule(cron="30 12 * * *", made=world.clock())

        async def told():  # a hint may be missed by a scheduler that does not listen yet
            await world.keep(wanted)
            await hint(Publisher(gateway), "/gateway", wanted.id, "eu1", world.clock)
            return await world.told(wanted)

        world.clock.set("12:30:01")
        assert await eventually("decided", told) == ["12:30 Triggered"]


async def test_a_change_without_a_hint_is_found_by_a_rescan(nats_server, world):
    async with fired(nats_server, world):
        wanted = schedule(cron="30 12 * * *", made=world.clock())
        await world.keep(wanted)
        world.clock.set("12:30:01")
        await tells(world, wanted, "12:30 Triggered")


async def test_one_made_again_under_the_same_name_is_a_new_one(nats_server, world):
    old = schedule()
    await world.keep(old)
    async with fired(nats_server, world):
        world.clock.set("12:00:01")
        await tells(world, old, "12:00 Triggered")
        await world.database[Collection.SCHEDULES].delete_one({"_id": old.id})
        world.clock.set("12:10:30")
        new = schedule(made=world.clock())
        await world.keep(new)
        world.clock.set("12:11:01")
        await tells(world, new, "12:11 Triggered")
    assert await world.told(old) == ["12:00 Triggered"]


async def test_nothing_of_a_schedule_on_its_way_out_fires(nats_server, world):
    gone, other = schedule("gone", deleting={"deleteBackups": True, "by": "anna", "at": NOON}), schedule("other")
    await world.keep(gone, other)
    world.clock.set("12:01:01")
    async with fired(nats_server, world):
        await tells(world, other, "12:00 Superseded", "12:01 Triggered")
    assert await world.told(gone) == []


async def test_what_status_has_found_is_obeyed_for_the_version_that_it_is_about(nats_server, world):
    broken, waiting, mended = schedule("broken"), schedule("waiting"), schedule("mended")
    await world.keep(broken, waiting, mended)
    await world.judge(broken, "LocationUnknown")
    await world.judge(waiting, "ClusterOffline", permanent=False)
    await world.judge(mended, "LocationUnknown")
    await world.change(mended, description="to another location")
    world.clock.set("12:00:01")
    async with fired(nats_server, world):
        await tells(world, broken, "12:00 Invalid")
        await tells(world, waiting, "12:00 Triggered")
        await tells(world, mended, "12:00 Triggered")
    assert [tick.reason for tick in await world.ticks(broken)] == ["LocationUnknown"]


async def test_a_skip_is_used_up_across_looks(nats_server, world):
    wanted = schedule(skip={"id": "wish", "count": 2, "notBefore": NOON})
    await world.keep(wanted)
    told = []
    async with fired(nats_server, world):
        for minute, decision in enumerate(["Skipped", "Skipped", "Triggered"]):
            world.clock.set(NOON + timedelta(minutes=minute, seconds=1))
            told.append(f"12:{minute:02} {decision}")
            await tells(world, wanted, *told)


# ---------------------------------------------------------------- what is broken


async def test_what_is_broken_delays_nobody(nats_server, world):
    good, large, odd = schedule("good"), schedule("large"), schedule("odd")
    huge = {"scope": {"kind": "all"}, "labels": {f"label-{n}": "x" * 60 for n in range(20_000)}}
    await world.keep(good, large.model_copy(update={"template": schedule(template=huge).template}))
    document = odd.document()
    unreadable = [
        {**document, "_id": "1", "template": {"scope": {"kind": "nowhere"}}},
        {**document, "_id": "2", "eras": []},
        {**document, "_id": "3", "eras": [{"from": "yesterday", "cron": 5}]},
        {"_id": "4"},
        {**document, "_id": "5", "cluster": "no.subject.token"},
        {**document, "_id": "6", "startingDeadline": "soon"},
        {**document, "_id": "7", "spread": None},
        {**document, "_id": "8", "template": {"scope": {"kind": ["a list"]}}},
    ]
    await world.database[Collection.SCHEDULES].insert_many(unreadable)
    left = unpublished(odd.model_copy(update={"id": "8"}))
    await world.database[Collection.TICKS].insert_one(left.document())
    world.clock.set("12:00:01")
    async with fired(nats_server, world) as service:
        await tells(world, good, "12:00 Triggered")
        world.clock.set("12:01:01")
        await tells(world, good, "12:00 Triggered", "12:01 Triggered")
        assert not service.task.done()
        assert service.runtime.health.ready

        async def given_up():
            found = [(words(tick), tick.published, tick.reason) for tick in await world.ticks(large)]
            return found == [(f"12:0{minute} Triggered", None, "CommandTooLarge") for minute in range(2)]

        await eventually("what no message can carry is given up", given_up)


# ---------------------------------------------------------------- what goes away, and what dies


async def test_nats_away_across_slots_loses_none(nats_server, world):
    wanted, all_of_them = schedule(), schedule("all", misfire="all")
    await world.keep(wanted, all_of_them)
    async with fired(nats_server, world, lease_ttl=2.0) as service:
        world.clock.set("12:00:01")
        await tells(world, wanted, "12:00 Triggered")
        await tells(world, all_of_them, "12:00 Triggered")
        nats_server.kill()
        await eventually("readiness says what is missing", lambda: service.missing == ["nats"])
        world.clock.set("12:03:01")
        await asyncio.sleep(0.5)  # it does not decide what it cannot send
        assert await world.told(wanted) == ["12:00 Triggered"]
        nats_server.start()
        await tells(world, wanted, "12:00 Triggered", "12:01-12:02 Superseded 2", "12:03 Triggered")
        await tells(world, all_of_them, *[f"12:0{minute} Triggered" for minute in range(4)])
        await ready(service)


async def test_a_database_away_across_slots_loses_none(nats_server, admin, tmp_path):
    server = MongoServer(tmp_path / "mongo")
    if server.external:
        pytest.skip("the database is not ours to kill")
    server.start()
    world = World(database_of(server), admin)
    wanted = schedule()
    try:
        await world.keep(wanted)
        async with fired(nats_server, world) as service:
            world.clock.set("12:00:01")
            await tells(world, wanted, "12:00 Triggered")
            server.kill()
            world.clock.set("12:02:01")
            await eventually("readiness says what is missing", lambda: service.missing == ["mongodb"])
            server.start()
            await tells(world, wanted, "12:00 Triggered", "12:01 Superseded", "12:02 Triggered")
            await ready(service)
    finally:
        with contextlib.suppress(Exception):
            await world.database.client.close()
        server.kill()


async def test_it_is_not_ready_before_there_is_a_lease_to_hold(nats_server, mongo_server):
    database = database_of(mongo_server)
    async with scheduler(nats_server, database.settings, lambda: NOON) as service:  # nobody has made the buckets
        await eventually("says so", lambda: "lease" in str(service.runtime.health.report()))
        assert not service.runtime.health.ready
    await database.client.close()


class Crash(BaseException):
    """The process dies here."""


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", ["facts", "insert", "publish_command", "mark", "advance"])
async def test_it_may_die_anywhere_and_the_next_one_goes_on(nats_server, world, monkeypatch, step, moment):
    owner = Publisher if step == "publish_command" else Store
    whole, spent = getattr(owner, step), []

    async def dying(*arguments):
        mine = not spent
        if mine:
            spent.append(step)
        if mine and moment == "before":
            raise Crash
        answer = await whole(*arguments)
        if mine:
            raise Crash
        return answer

    wanted, other = schedule(misfire="all"), schedule("other", pauses=[{"from": NOON}])
    await world.keep(wanted, other)
    world.clock.set("12:01:01")
    monkeypatch.setattr(owner, step, dying)
    async with scheduler(nats_server, world.database.settings, world.clock) as first:
        with pytest.raises(BaseExceptionGroup) as died:
            await asyncio.wait_for(first.task, PATIENCE)
        assert died.group_contains(Crash)
    async with fired(nats_server, world, instance="s2"):
        await tells(world, wanted, "12:00 Triggered", "12:01 Triggered")
        await tells(world, other, "12:00-12:01 Paused 2")
        world.clock.set("12:02:01")
        await tells(world, wanted, "12:00 Triggered", "12:01 Triggered", "12:02 Triggered")


class NoLease:
    """A lease that everybody holds."""

    def __init__(self, *_, **__):
        pass

    async def work(self, body):
        await body()


async def test_three_at_once_decide_and_fire_each_slot_once(nats_server, world, monkeypatch):
    monkeypatch.setattr(service_module, "Lease", NoLease)
    many = [schedule(f"s{number}", misfire=("all", "latest", "none")[number % 3]) for number in range(12)]
    await world.keep(*many)
    async with contextlib.AsyncExitStack() as stack:
        for name in ("s1", "s2", "s3"):
            await stack.enter_async_context(fired(nats_server, world, instance=name))
        told = []
        for minute in range(4):
            world.clock.set(NOON + timedelta(minutes=minute, seconds=1))
            told.append(f"12:{minute:02} Triggered")
            for each in many:
                await tells(world, each, *told)
    assert len(await world.commands()) == 4 * len(many)


async def test_only_the_holder_fires_and_another_one_takes_over(nats_server, world):
    wanted = schedule()
    await world.keep(wanted)
    async with fired(nats_server, world, lease_ttl=2.0):
        world.clock.set("12:00:01")
        await tells(world, wanted, "12:00 Triggered")
        async with fired(nats_server, world, instance="s2", lease_ttl=2.0) as second:
            assert second.runtime.health.ready  # and waits
    async with fired(nats_server, world, instance="s3"):
        world.clock.set("12:01:01")
        await tells(world, wanted, "12:00 Triggered", "12:01 Triggered")


async def test_what_was_decided_when_it_is_stopped_is_published_before_it_goes(nats_server, world, as_user):
    reached, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Publisher):
        async def publish_command(self, subject, envelope):
            reached.set()
            await go_on.wait()
            await super().publish_command(subject, envelope)

    wanted = schedule()
    await world.keep(wanted)
    world.clock.set("12:00:01")
    async with scheduler(
        nats_server, world.database.settings, world.clock, publisher=Slow, lease_ttl=60.0, grace=30.0
    ) as service:
        await asyncio.wait_for(reached.wait(), PATIENCE)
        service.task.cancel()
        await asyncio.sleep(0.1)
        assert not service.task.done()
        go_on.set()
        await asyncio.wait({service.task}, timeout=20)
        assert service.task.done()
    assert len(await world.commands()) == 1
    leases = await world.admin.stream.key_value("lw_leases")
    with pytest.raises(KeyNotFoundError):
        await leases.get("scheduler")


async def test_a_command_that_nobody_can_read_holds_up_nobody(nats_server, world):
    unread, other = schedule("unread"), schedule("other")
    await world.keep(unread, other)
    left = unpublished(unread)
    await world.database[Collection.TICKS].insert_one(left.document())
    await world.admin.stream.publish(subjects.command("eu1", Noun.SCHEDULE, "trigger", left.id), b"of another version")
    world.clock.set("12:00:01")

    async def all_published():
        return [(tick.schedule, tick.published) for tick in await world.ticks()] == sorted(
            [(unread.id, True), (other.id, True)]
        )

    async with fired(nats_server, world):
        await eventually("all are published", all_published)


async def test_what_another_life_left_unpublished_is_published_from_the_schedule_as_it_is(nats_server, world):
    wanted, gone = schedule(), schedule("gone")
    await world.keep(wanted.model_copy(update={"description": "changed", "cluster": "eu1"}))
    for each in (wanted, gone):
        await world.database[Collection.TICKS].insert_one(unpublished(each).document())
    async with fired(nats_server, world):
        await tells(world, wanted, "12:00 Triggered")
    assert [command.operationid for command in await world.commands()] == ["op-nightly"]
    assert [tick.published for tick in await world.ticks(gone)] == [False]


async def test_a_term_begins_by_ending_what_another_one_has_begun_to_merge(nats_server, world):
    paused = {"schedule": "s", "cluster": "eu1", "decision": Decision.PAUSED, "due_at": NOON, "decided_at": NOON}
    minutes = [NOON + timedelta(minutes=minute) for minute in range(3)]
    ticks = [Tick(id=f"op-{slot.minute}", from_=slot, to=slot, **paused) for slot in minutes]
    ticks[0] = ticks[0].model_copy(update={"to": minutes[-1], "count": 3})
    await world.database[Collection.TICKS].insert_many([each.document() for each in ticks])
    world.clock.step(days=3)

    async def counted_once():
        return [words(tick) for tick in await world.ticks()] == ["12:00-12:02 Paused 3"]

    async with fired(nats_server, world):
        await eventually("each slot counts once", counted_once)


# ---------------------------------------------------------------- clocks


async def test_a_clock_that_steps_forward_and_back_repeats_nothing(nats_server, world):
    wanted = schedule(misfire="all")
    await world.keep(wanted)
    async with fired(nats_server, world):
        world.clock.set("12:01:01")
        await tells(world, wanted, "12:00 Triggered", "12:01 Triggered")
        world.clock.set("11:30")
        await asyncio.sleep(0.3)
        world.clock.set("12:02:01")
        await tells(world, wanted, *[f"12:0{minute} Triggered" for minute in range(3)])


async def test_who_wakes_after_hours_decides_as_one_who_comes_late(nats_server, world):
    wanted = schedule(startingDeadline="5m")
    await world.keep(wanted)
    async with fired(nats_server, world):
        world.clock.set("12:00:01")
        await tells(world, wanted, "12:00 Triggered")
        world.clock.set("16:00:30")
        await tells(world, wanted, "12:00 Triggered", "12:01-15:55 Missed 235", "15:56-15:59 Superseded 4", "16:00 Triggered")
