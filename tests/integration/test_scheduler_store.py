"""The scheduler's memory on the database's protocol: what it promises to whoever decides by it."""

from datetime import timedelta

import pytest

from services.scheduler.housekeeping import tidy
from services.scheduler.indexes import INDEXES
from services.scheduler.ports import Ports
from services.scheduler.store import opened
from shared.contracts.documents import Collection
from shared.contracts.ids import slot_operation_id
from shared.contracts.schedules import Decision, Tick
from tests.support.scheduler import NOON, SetClock, World, at, schedule, words
from tests.support.status_service import database_of


@pytest.fixture
async def world(mongo_server):
    database = database_of(mongo_server)
    yield World(database, None)
    await database.client.close()


@pytest.fixture
async def store(world):
    async with opened(world.database.settings) as store:
        await store.ensure()
        yield store


def tick(of, first, last=None, decision=Decision.PAUSED, **fields):
    begin, end = at(first), at(last or first)
    usual = {"count": (end - begin) // timedelta(minutes=1) + 1, "due_at": begin, "decided_at": end, "cluster": "eu1"}
    known = {"id": slot_operation_id(of, begin), "schedule": of, "from_": begin, "to": end, "decision": decision}
    return Tick(**known | usual | fields)


def triggered(of, slot, **fields):
    return tick(of, slot, decision=Decision.TRIGGERED, deadline=at(slot) + timedelta(hours=1), **{"published": False} | fields)


async def test_the_indexes_are_made_once(store, world):
    await world.database[Collection.TICKS].create_index("decidedAt", expireAfterSeconds=9)
    await store.ensure()
    for collection in {index.collection for index in INDEXES}:
        made = await world.database[collection].index_information()
        wanted = {index.keys for index in INDEXES if index.collection is collection}
        assert {tuple(key for key, _ in about["key"]) for about in made.values()} == wanted | {("_id",)}
    ticks = await world.database[Collection.TICKS].index_information()
    forgets = [(about["key"][0][0], about["expireAfterSeconds"]) for about in ticks.values() if "expireAfterSeconds" in about]
    assert forgets == [("forgetAt", 0)]


async def test_a_slot_is_decided_by_the_first_insert(store, world):
    first, other = tick("a", "12:00"), tick("b", "12:00")
    assert list(await store.insert([first])) == []
    later = first.model_copy(update={"decision": Decision.MISSED})
    assert list(await store.insert([later, other])) == [first.id]
    assert [(each.schedule, each.decision) for each in await world.ticks()] == [("a", "Paused"), ("b", "Paused")]


async def test_what_is_said_of_a_schedule_at_a_look(store, world):
    skip = {"id": "wish", "count": 3, "notBefore": NOON}
    scope = {"template": {"scope": {"kind": "nonProduction"}}}
    wanted, plain, new = schedule("wanted", skip=skip, **scope), schedule("plain", cluster="us1"), schedule("new")
    await world.keep(wanted, plain, new)
    await world.judge(wanted, "LocationUnknown")
    await world.database[Collection.CLUSTERS].insert_one({"_id": "eu1", "displayName": "EU", "nonProductionSelector": {"x": 1}})
    used = [tick(wanted.id, f"12:0{n}", decision=Decision.SKIPPED, skip="wish") for n in range(2)]
    await store.insert(used[:1])
    await store.insert([used[1], tick(plain.id, "12:00", "12:04")])
    await store.insert([tick(wanted.id, "12:07", decision=Decision.SKIPPED, skip="another")])
    await store.advance({wanted.id: at("12:07")})
    await store.advance({wanted.id: at("12:03")})
    found = {facts.document["_id"]: facts for facts in await store.facts([wanted.id, plain.id, new.id, "gone"])}
    assert found.keys() == {wanted.id, plain.id, new.id}
    assert (found[wanted.id].decided_to, found[wanted.id].skipped) == (at("12:07"), 2)
    assert (found[plain.id].decided_to, found[plain.id].skipped) == (at("12:04"), 0)  # by its ticks: it has no clock
    assert found[new.id].decided_to is None
    assert found[wanted.id].status["version"] == 1
    assert found[wanted.id].registration == {"_id": "eu1", "nonProductionSelector": {"x": 1}}
    assert (found[plain.id].registration, found[plain.id].status) == (None, None)


async def test_every_schedule_is_sketched_or_those_that_have_changed(store, world):
    many = [schedule(f"s{number}", changedAt=NOON + timedelta(minutes=number)) for number in range(600)]
    many[3] = many[3].model_copy(update={"spread_since": at("12:45")})
    await world.database[Collection.SCHEDULES].insert_many([each.document() for each in many])
    await store.advance({many[3].id: at("12:30")})
    everything = [sketch async for page in store.sketches(None) for sketch in page]
    assert {sketch.document["_id"] for sketch in everything} == {each.id for each in many}
    assert {sketch.document["_id"]: sketch.decided_to for sketch in everything}[many[3].id] == at("12:30")
    assert {sketch.document["_id"]: sketch.document["spreadSince"] for sketch in everything}[many[3].id] == at("12:45")
    assert "template" not in everything[0].document
    changed = [sketch.document["_id"] async for page in store.sketches(many[-2].changed_at) for sketch in page]
    assert set(changed) == {many[-2].id, many[-1].id}


async def test_what_is_not_published_is_found_until_a_day_after_its_deadline(store):
    old, open_, done, quiet = triggered("a", "10:00"), triggered("b", "12:00"), triggered("c", "12:00"), tick("d", "12:00")
    large = triggered("e", "12:00")
    await store.insert([old, open_, done, quiet, large])
    await store.mark({done.id: None, large.id: "CommandTooLarge"})
    assert [each.id async for page in store.unpublished(at("11:30")) for each in page] == [open_.id]


async def test_the_last_slot_that_is_decided(store):
    for each in (tick("a", "12:00", "12:05"), tick("a", "12:06", "12:08"), tick("b", "11:00")):
        await store.insert([each])
    assert await store.newest(["a", "b", "c"]) == {"a": at("12:08"), "b": at("11:00")}


async def test_a_skip_is_kept_as_long_as_the_wish_that_it_has_used_up(store, world):
    wish = {"id": "wish", "count": 1, "notBefore": NOON}
    kept, another, without = schedule("kept", skip=wish), schedule("another", skip={**wish, "id": "new"}), schedule("without")
    await world.keep(kept, another, without)
    skipped = [tick(of, "12:00", decision=Decision.SKIPPED, skip="wish") for of in (kept.id, another.id, without.id, "gone")]
    lately = tick("gone", "12:01", decision=Decision.SKIPPED, skip="wish", decided_at=NOON + timedelta(days=9))
    await store.insert(skipped)
    await store.insert([lately])
    clock = SetClock(NOON + timedelta(days=400))
    await tidy(Ports(store, None, clock), NOON)
    assert len(await world.ticks()) == 5
    clock.step(days=1)
    await tidy(Ports(store, None, clock), NOON)
    assert {each.id for each in await world.ticks()} == {skipped[0].id, lately.id}
    assert (await store.facts([kept.id]))[0].skipped == 1


async def test_quiet_times_become_one_record_and_clocks_of_what_is_gone_go(store, world):
    kept = schedule(id="a")
    await world.keep(kept)
    chain = [
        tick("a", "12:00"),
        tick("a", "12:01"),
        triggered("a", "12:02", published=True),
        tick("a", "12:03"),
        tick("a", "12:04"),
    ]
    young = tick("a", "12:05", decided_at=NOON + timedelta(days=3))
    for each in (*chain, young):
        await store.insert([each])
    await store.advance({"a": at("12:05"), "gone": at("12:05"), "gone lately": NOON + timedelta(days=2)})
    ports = Ports(store, None, SetClock(NOON + timedelta(days=3)))
    assert await tidy(ports, NOON - timedelta(days=1)) == NOON + timedelta(days=2)
    wanted = ["12:00-12:01 Paused 2", "12:02 Triggered", "12:03-12:04 Paused 2", "12:05 Paused"]
    assert [words(each) for each in await world.ticks()] == wanted
    assert {each["_id"] async for each in world.database[Collection.SCHEDULE_CLOCK].find()} == {"a", "gone lately"}
    ports.clock.step(days=2)
    await tidy(ports, NOON - timedelta(days=1))
    assert [words(each) for each in await world.ticks()] == [*wanted[:2], "12:03-12:05 Paused 3"]
    assert (await world.ticks())[-1].decided_at == young.decided_at


@pytest.mark.parametrize(
    "between",
    [{"decision": "of another version"}, {"to": "soon"}, {"decidedAt": NOON + timedelta(days=9)}, {"decidedAt": "yesterday"}],
    ids=["unreadable", "of no slot", "made later", "made nobody knows when"],
)
async def test_what_is_not_adjacent_for_certain_is_not_merged(store, world, between):
    ticks = [tick("a", f"12:0{minute}") for minute in range(5)]
    documents = [each.document() for each in ticks]
    documents[2] |= between
    await world.database[Collection.TICKS].insert_many(documents)
    await tidy(Ports(store, None, SetClock(NOON + timedelta(days=3))), NOON - timedelta(days=1))
    found = world.database[Collection.TICKS].find().sort("from")
    assert [each async for each in found] == documents
