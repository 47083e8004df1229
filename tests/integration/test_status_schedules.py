"""Schedules between a real broker and a real database: what is written, seen or falls silent shows, and comes back."""

import asyncio
from datetime import timedelta

import pytest

from shared.contracts import ids
from shared.contracts.documents import Collection
from shared.messaging.hints import hint
from shared.messaging.publisher import Publisher
from shared.messaging.topology import STATE
from shared.runtime import clock
from tests.support.status_messages import inventory, location, observed, presence, snapshot
from tests.support.status_schedules import SCHEDULE, backup_of, schedule_seen, velero_schedule, wanted
from tests.support.status_service import (
    Crash,
    announced,
    announced_in_full,
    database_of,
    drained,
    dying,
    publish,
    status_service,
    stored,
)
from tests.support.waiting import PATIENCE, eventually

ROWS = Collection.SCHEDULE_STATUS


@pytest.fixture
async def database(mongo_server):
    database = database_of(mongo_server)
    yield database
    await database.client.close()


def reports(now):
    """What a cluster tells that is well."""
    return [presence(now), inventory(now), observed(location(), noun="location"), snapshot(["l1"], noun="location", at=now)]


async def write(database, schedule):
    await database[Collection.SCHEDULES].replace_one({"_id": schedule.id}, schedule.document(), upsert=True)


async def hinted(as_user, schedule_id=SCHEDULE):
    await hint(Publisher(await as_user("gateway")), "/test", schedule_id, "eu1", clock.now)


async def shows(database, status, row_id=SCHEDULE, reasons=None):
    async def probe():
        item = await database.item(ROWS, row_id)
        return item.get("status") == status and (reasons is None or [reason["code"] for reason in item["reasons"]] == reasons)

    await eventually(f"schedule {row_id} is {status} {reasons or ''}", probe)


async def feed_shows(admin, statuses, row_id=SCHEDULE):
    async def probe():
        return [status for _, status in await announced(admin, "schedule", row_id)] == statuses

    await eventually(f"{row_id} announced as {statuses}", probe)
    await announced_in_full(admin, "schedule", row_id)


async def test_a_schedule_from_the_document_to_its_end(nats_server, admin, as_user, database):
    async with status_service(nats_server, database.settings):
        await publish(as_user, *reports(clock.now()))
        await eventually("the cluster is known", lambda: drained(admin))
        await write(database, wanted(at=clock.now()))
        await hinted(as_user)
        await shows(database, "New", reasons=[])
        row = await database[ROWS].find_one({"_id": SCHEDULE})
        assert (row["version"], row["item"]["version"], row["listed"]) == (1, 1, True)
        assert row["item"]["nextRunAt"] > clock.now() - timedelta(seconds=10)
        await publish(as_user, observed(backup_of(phase="Completed")))
        await shows(database, "Active")
        item = await database.item(ROWS, SCHEDULE)
        assert (item["counts"]["completed"], item["lastBackup"]["id"]) == (1, "op1")
        await database[Collection.SCHEDULES].delete_one({"_id": SCHEDULE})
        await hinted(as_user)
        await shows(database, "Deleted")
        await feed_shows(admin, ["New", "Active", "Deleted"])
        assert {s for s, _ in await stored(admin, STATE)} >= {f"lw.state.eu1.schedule.Active.{SCHEDULE}"}
        assert not (await database[ROWS].find_one({"_id": SCHEDULE}))["listed"]


async def test_a_hint_that_is_lost_is_found_by_the_rescan(nats_server, admin, as_user, database):
    first = wanted(at=clock.now())
    async with status_service(nats_server, database.settings):
        await write(database, first)
        await shows(database, "FailedValidation", reasons=["ClusterUnknown"])
        again = first.model_copy(update={"version": 2, "description": "better", "changed_at": clock.now()})
        await write(database, again)

        async def better():
            return (await database.item(ROWS, SCHEDULE)).get("description") == "better"

        await eventually("the second version is shown", better)
        leaving = again.model_copy(update={"version": 3, "changed_at": clock.now()})
        await write(
            database,
            leaving.read({**leaving.wire(), "deleting": {"deleteBackups": False, "by": "a", "at": "2026-11-22T12:00:00Z"}}),
        )

        async def leaves():
            return (await database.item(ROWS, SCHEDULE)).get("deleting") is not None

        await eventually("its deletion is shown", leaves)
        await database[Collection.SCHEDULES].delete_one({"_id": SCHEDULE})
        await shows(database, "Deleted")
    await write(database, wanted("s2", at=clock.now() - timedelta(days=9)))  # while no status service lives
    async with status_service(nats_server, database.settings, instance="s2"):
        await shows(database, "FailedValidation", "s2")


async def located(database, where):
    item = await database.item(ROWS, SCHEDULE)
    return item.get("storageLocation") == where


async def test_a_location_that_goes_and_comes_back(nats_server, admin, as_user, database):
    now = clock.now()
    async with status_service(nats_server, database.settings):
        await publish(as_user, *reports(now))
        await eventually("the cluster is known", lambda: drained(admin))
        await write(database, wanted(location="default", at=now))
        known = {"name": "default", "provider": "aws", "bucket": "b"}
        await eventually("it knows where it goes", lambda: located(database, known))
        await shows(database, "New", reasons=[])
        await publish(as_user, observed(location(rv=107, deleted=True), noun="location"))
        await shows(database, "FailedValidation", reasons=["LocationUnknown"])
        await publish(as_user, observed(location("l2", rv=108), noun="location"))
        await shows(database, "New", reasons=[])
        await publish(as_user, observed(location("l2", rv=109, phase="Unavailable"), noun="location"))
        await shows(database, "FailedValidation", reasons=["LocationUnavailable"])
        await feed_shows(admin, ["New", "FailedValidation", "New", "FailedValidation"])


async def test_a_schedule_of_velero_s_own(nats_server, admin, as_user, database):
    row_id = ids.velero_schedule_id("eu1", "weekly")
    async with status_service(nats_server, database.settings):
        await publish(as_user, *reports(clock.now()), schedule_seen(velero_schedule()))
        await shows(database, "New", row_id)
        await publish(as_user, snapshot([], noun="schedule", at=clock.now()))
        await shows(database, "Deleted", row_id)
        await publish(as_user, schedule_seen(velero_schedule("v2", 200, "FailedValidation", validationErrors=["bad cron"])))
        await shows(database, "FailedValidation", row_id)
        await feed_shows(admin, ["New", "Deleted", "FailedValidation"], row_id)


async def test_a_cluster_that_falls_silent_and_speaks_again(nats_server, admin, as_user, database):
    async with status_service(nats_server, database.settings, offline_after=2.0):
        await write(database, wanted(at=clock.now()))
        await publish(as_user, *reports(clock.now()))
        await shows(database, "FailedValidation", reasons=["ClusterOffline"])
        since = (await database.item(ROWS, SCHEDULE))["reasons"][0]["message"]
        assert since.startswith("Cluster eu1 has not been seen since 20")

        async def speaks_and_shows():
            await publish(as_user, presence(clock.now()))
            return await database.status(ROWS, SCHEDULE) == "New"

        await eventually("valid again", speaks_and_shows)
        await eventually("told", lambda: _said(admin, "New"))
        await announced_in_full(admin, "schedule", SCHEDULE)


async def _said(admin, status):
    return status in [to for _, to in await announced(admin, "schedule", SCHEDULE)]


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_crash_around_an_announcement_neither_loses_nor_repeats_it(nats_server, admin, as_user, database, moment):
    await write(database, wanted(at=clock.now()))
    async with status_service(nats_server, database.settings, publisher=dying(moment, "schedule.Active")) as first:
        await publish(as_user, *reports(clock.now()))
        await shows(database, "New")
        await publish(as_user, observed(backup_of(phase="Completed")))
        with pytest.raises(BaseExceptionGroup) as died:
            await asyncio.wait_for(first.task, PATIENCE)
        assert died.group_contains(Crash)
    async with status_service(nats_server, database.settings, instance="s2"):
        await shows(database, "Active")
        await eventually("told", lambda: _said(admin, "Active"))
        said = [status for _, status in await announced_in_full(admin, "schedule", SCHEDULE)]
        assert said[-2:] == ["New", "Active"]
        assert said.count("Active") == 1
