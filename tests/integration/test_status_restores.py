"""Restores on a real broker and a real database, from the request to the deletion; and who writes into one place."""

import pytest

from services.status.judging import Judge
from services.status.memory.store import opened
from shared.contracts.documents import Collection
from shared.contracts.events import RestoreCounts
from shared.runtime import clock
from tests.support.status_memory import Desk
from tests.support.status_messages import finished, location, observed, presence
from tests.support.status_restores import (
    mine,
    removal_command,
    restore_accepted,
    restore_captured,
    restore_command,
    restore_measured,
    seen,
    step,
)
from tests.support.status_service import announced_in_full, database_of, drained, publish, status_service
from tests.support.status_stories import PLACE
from tests.support.status_views import hear, judged
from tests.support.waiting import eventually

RESTORES, OPERATIONS = Collection.RESTORES, Collection.OPERATIONS


@pytest.fixture
async def database(mongo_server):
    found = database_of(mongo_server)
    yield found
    await found.client.close()


async def test_a_restore_from_another_cluster_from_the_request_to_its_deletion(nats_server, admin, as_user, database):
    now = clock.now()
    asked = restore_command(at=now, source={"id": "b1", "name": "shop", "cluster": "us1"}, mirror=PLACE)
    done = mine("Completed", 12)
    (routes, subject, message, *_) = restore_measured(done, counts=RestoreCounts(created=3))
    story = [
        (asked, RESTORES, "re1", "Restoring"),
        (step("MirrorLocation", "makes a location", at=now), OPERATIONS, "re1", "Queued"),
        (restore_accepted(mine()), OPERATIONS, "re1", "Accepted"),
        (seen(done), RESTORES, "re1", "Completed"),
        (restore_captured("resources")[:3], OPERATIONS, "re1", "Accepted"),
        ((routes, subject, message), RESTORES, "re1", "Completed"),
        (finished("re1"), OPERATIONS, "re1", "Succeeded"),
        (removal_command(at=now), RESTORES, "re1", "Deleting"),
        (seen(mine("Completed", 13, deleted=True)), RESTORES, "re1", "Deleted"),
        (finished("del1"), OPERATIONS, "del1", "Succeeded"),
    ]
    async with status_service(nats_server, database.settings):
        for told, collection, row_id, status in story:
            await publish(as_user, told)

            async def reached(collection=collection, row_id=row_id, status=status):
                return await database.status(collection, row_id) == status

            await eventually(f"{row_id} is {status}", reached)

        async def whole():
            detail = (await database[RESTORES].find_one({"_id": "re1"}))["detail"]
            return (detail["captured"], detail["counts"]["created"], len(detail["steps"])) == (["resources"], 3, 1)

        await eventually("all that was found out is shown", whole)

        async def all_said():
            said = await announced_in_full(admin, "restore", "re1")
            return [status for _, status in said] == ["Restoring", "Completed", "Deleting", "Deleted"]

        await eventually("every change of the restore is told", all_said)
        await eventually("and kept", lambda: drained(admin))
    kept = [each["to"] async for each in database[Collection.TRANSITIONS].find({"backupId": "re1"})]
    assert {"Completed", "Restoring", "Deleting", "Deleted"} <= set(kept)


async def test_who_writes_into_one_place_is_found_however_its_prefix_is_written(database):
    def place(cluster, rv, prefix, account=None):
        told = location(rv=rv)
        told.object["spec"]["objectStorage"]["prefix"] = prefix
        told.object["spec"] |= {"provider": "azure", "config": {"storageAccount": account}} if account else {}
        return observed(told, noun="location", cluster=cluster)

    async with opened(database.settings) as store:
        desk, judge = Desk(store), Judge()
        await database[Collection.CLUSTERS].insert_one({"_id": "us1"})
        await hear(desk, presence(), presence(cluster="us1"), place("eu1", 1, "/p/"), place("us1", 1, "p"))

        async def told():
            await judged(desk, judge)
            items = [await database.item(Collection.CLUSTER_STATE, name) for name in ("eu1", "us1")]
            return [[problem["code"] for problem in item["problems"]] for item in items]

        assert await told() == [["SharedBucket"], ["SharedBucket"]]
        await hear(desk, place("us1", 2, "other"))
        assert await told() == [[], []]
        await hear(desk, place("us1", 3, "p"))
        assert await told() == [["SharedBucket"], ["SharedBucket"]]
        await hear(desk, place("eu1", 4, "p", "a"), place("us1", 4, "p", "b"))
        assert await told() == [[], []]
        await hear(desk, place("us1", 5, "p", "a"))
        assert await told() == [["SharedBucket"], ["SharedBucket"]]
