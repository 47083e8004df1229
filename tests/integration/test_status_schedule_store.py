"""What schedules are computed from, read from the real database: the same as the memory in tests promises."""

from datetime import timedelta

import pytest

from services.status.memory import knowing
from services.status.memory.store import opened
from services.status.ports import Maker
from services.status.rescan import Rescan
from services.status.schedules.grounds import Ground
from services.status.schedules.projection import Made
from shared.contracts.documents import Collection
from shared.contracts.names import Noun
from shared.contracts.schedules import Decision
from tests.support.messages import NOW
from tests.support.status_memory import Desk, Memory, Ticking, alike, documents
from tests.support.status_messages import inventory, location, observed, presence, snapshot
from tests.support.status_schedules import (
    SCHEDULE,
    backup_of,
    from_schedule_command,
    schedule_seen,
    tick,
    trigger_command,
    velero_schedule,
    wanted,
)
from tests.support.status_service import database_of
from tests.support.status_views import hear

TICKS = [
    tick(Decision.SKIPPED, NOW, skip="k1", count=2, to=NOW + timedelta(minutes=5)),
    tick(Decision.SKIPPED, NOW - timedelta(hours=1), skip="k0"),
    tick(Decision.MISSED, NOW - timedelta(hours=2), count=3),
    tick(Decision.TRIGGERED, NOW - timedelta(hours=3)),
    tick(Decision.MISSED, NOW, schedule="s9"),
]
SCHEDULES = [
    wanted(location="default", skip={"id": "k1", "count": 3, "notBefore": NOW}),
    wanted("s2", scope={"kind": "specific", "namespaces": ["shop", "no*"]}),
    wanted("s3", cluster="nowhere", pauses=[{"from": NOW}]),
    wanted("s4", scope={"kind": "production"}),
]


@pytest.fixture
async def database(mongo_server):
    database = database_of(mongo_server)
    yield database
    await database.client.close()


def told():
    """What a cluster tells, and what it was asked."""
    own = backup_of("op9", "u9", 40, "Failed", name="own", startTimestamp="2026-11-22T11:00:00Z")
    own.object["metadata"] |= {"labels": {"velero.io/schedule-name": "weekly"}, "annotations": {}}
    return [
        presence(),
        inventory(),
        observed(location(), noun="location"),
        snapshot(["l1"], rv=9, noun="location"),
        schedule_seen(velero_schedule()),
        trigger_command("op1"),
        observed(backup_of("op1", phase="Completed")),
        from_schedule_command("op2"),
        observed(own),
    ]


async def ending(desk):
    await hear(desk, *told())
    rescan = Rescan()
    await rescan.look(desk.ports)
    rescan.last = None
    await rescan.look(desk.ports)


async def test_rows_are_the_same_as_from_a_memory_that_keeps_all_in_dicts(database):
    memory = Memory(registered={"us1"}, schedules={s.id: s.document() for s in SCHEDULES}, ticks=TICKS)
    await ending(Desk(memory=memory, clock=Ticking(NOW + timedelta(minutes=1))))
    await database[Collection.SCHEDULES].insert_many([schedule.document() for schedule in SCHEDULES])
    await database[Collection.TICKS].insert_many([each.document() for each in TICKS])
    await database[Collection.CLUSTERS].insert_one({"_id": "us1"})
    async with opened(database.settings) as store:
        await store.ensure()
        await ending(Desk(memory=store, clock=Ticking(NOW + timedelta(minutes=1))))
        expected = documents(memory)
        alike({"rows": (await database.documents())["rows"]}, {"rows": expected["rows"]})
        item = expected["rows"][Noun.SCHEDULE, SCHEDULE]["item"]
        assert (item["status"], item["skipNext"], item["counts"]["missed"]) == ("Active", 1, 3)
        maker = Maker(SCHEDULE, "eu1", "nightly")
        assert await store.made(maker) == await memory.made(maker)
        elsewhere = Maker(SCHEDULE, "us1", "nightly")  # where copies count as that cluster's own, its schedule has made none
        assert await store.made(elsewhere) == await memory.made(elsewhere) == Made()
        assert await store.decided(SCHEDULE) == await memory.decided(SCHEDULE)
        assert await store.grounds() == await memory.grounds()
        assert await store.ground("nowhere") == Ground()
        assert await store.namespaces("eu1") == await memory.namespaces("eu1") == {"shop": {"a.b/c": "d"}}
        other = Ground(status="Online")
        assert await store.misplaced("eu1", other) == await memory.misplaced("eu1", other)
        assert await store.misplaced("eu1", await store.ground("eu1")) == set()


async def test_schedules_that_are_behind_are_found_page_by_page(database, monkeypatch):
    monkeypatch.setattr(knowing, "_PAGE", 3)
    schedules = [wanted(f"s{number}", at=NOW - timedelta(days=number)) for number in range(8)]
    await database[Collection.SCHEDULES].insert_many([schedule.document() for schedule in schedules])
    async with opened(database.settings) as store:
        desk = Desk(memory=store)
        assert await store.outdated(NOW - timedelta(days=2)) == {"s0", "s1", "s2"}
        assert await walked(store) == [{"s0", "s1", "s2"}, {"s3", "s4", "s5"}, {"s6", "s7"}]
        await Rescan().look(desk.ports)
        assert await walked(store) == [set(), set(), set()]
        wants = database[Collection.SCHEDULES]
        await wants.update_one({"_id": "s4"}, {"$set": {"version": 2}})
        await wants.delete_many({"_id": {"$in": ["s0", "s7"]}})
        assert await walked(store) == [{"s0"}, {"s4"}, {"s7"}]
        leaving = {"deleteBackups": True, "by": "bert", "at": NOW}
        await wants.update_one({"_id": "s5"}, {"$set": {"deleting": leaving, "version": 2, "changedAt": NOW}})
        assert await store.outdated(NOW) == {"s5"}
        await Rescan().look(desk.ports)
        assert await store.outdated(NOW) == set()
        await wants.delete_one({"_id": "s5"})
        assert await store.outdated(NOW + timedelta(days=1)) == {"s5"}
        await Rescan().look(desk.ports)
        rows = database[Collection.SCHEDULE_STATUS].find({"listed": True}, {"_id": 1})
        assert {row["_id"] async for row in rows} == {"s1", "s2", "s3", "s4", "s6"}


async def walked(store):
    pages, after = [], None
    while after != "":
        behind, after = await store.walk(after or "")
        pages.append(behind)
    return pages
