"""What stands around a backup, read from the real database: whose it is, whether its Velero answers, which texts are kept."""

from datetime import timedelta

import pytest

from services.status.judging import Judge
from services.status.memory.store import opened
from shared.contracts import ids
from shared.contracts.documents import Collection
from shared.contracts.names import Noun
from shared.runtime import clock
from tests.support.messages import NOW
from tests.support.status_memory import Desk
from tests.support.status_messages import (
    STARTED,
    accepted,
    backup,
    captured,
    command,
    delete_command,
    deletion,
    deletion_accepted,
    deletion_seen,
    location,
    measured,
    observed,
    ours,
    presence,
)
from tests.support.status_service import announced_in_full, database_of, publish, status_service
from tests.support.status_views import hear, judged
from tests.support.waiting import eventually

BACKUPS, OPERATIONS = Collection.BACKUPS, Collection.OPERATIONS
FAR = "2036-11-22T12:00:00Z"


@pytest.fixture
async def database(mongo_server):
    database = database_of(mongo_server)
    yield database
    await database.client.close()


@pytest.fixture
async def desk(database):
    async with opened(database.settings) as store:
        await store.ensure()
        yield Desk(store)


def elsewhere(message, cluster="us1"):
    routes, subject, told = message
    return routes, subject.replace(".eu1.", f".{cluster}."), told.model_copy(update={"cluster": cluster})


async def test_the_backups_of_a_dead_cluster_are_taken_over_and_given_back(database, desk):
    copy = backup("u1", 10, "Completed", labels=ours("op1", cluster="us1"), startTimestamp=STARTED)
    external = backup("u2", 11, "Completed", name="external", startTimestamp=STARTED)
    mine = backup("u3", 12, "Completed", name="mine", labels=ours("op3"))
    places = [observed(location("l1"), noun="location"), elsewhere(observed(location("l2"), noun="location"))]
    await database[Collection.CLUSTERS].insert_one({"_id": "us1"})
    await hear(desk, *places, observed(copy), observed(external), observed(mine))
    names = {ids.started_backup_id("eu1", "velero", name, STARTED): name for name in ("shop", "external")} | {"op3": "mine"}

    async def copies():
        rows = database[BACKUPS].find({"item.replica": True}, {"_id": 1})
        return {names[row["_id"]] async for row in rows}

    judge = Judge()
    await judged(desk, judge)
    assert await copies() == {"shop"}
    await database[Collection.CLUSTERS].delete_one({"_id": "us1"})
    await judged(desk, judge)
    assert await copies() == set()
    await database[Collection.CLUSTERS].insert_one({"_id": "us1"})
    await judged(desk, judge)
    assert await copies() == {"shop"}
    await hear(desk, elsewhere(observed(location("l2", rv=9, mode="ReadOnly"), noun="location")))
    await judged(desk, judge)
    assert await copies() == set()
    await hear(desk, observed(location("l1", rv=9, mode="ReadOnly"), noun="location"))
    await judged(desk, judge)
    assert await copies() == {"shop", "external"}
    assert await desk.memory.owners("eu1", "default") == {"us1", None}


async def test_a_backup_says_since_when_velero_has_not_answered_until_it_does(database, desk):
    silent = presence(velero_answered=NOW - timedelta(minutes=3), velero_problem="nothing")
    await hear(desk, command(), accepted(backup("u1", 10, labels=ours("op1"))))
    await hear(desk, silent)
    assert (await database.item(BACKUPS, "op1"))["reason"] == "Velero has not answered since 2026-11-22 11:57:00 UTC"
    assert await desk.memory.unaware(Noun.BACKUP, "eu1", "Velero has not answered since 2026-11-22 11:57:00 UTC") == set()
    await hear(desk, presence(NOW + timedelta(seconds=10)))
    assert (await database.item(BACKUPS, "op1"))["reason"] is None


async def test_captured_texts_are_kept_once_the_newest_and_found_by_their_backup(database, desk):
    done = backup("u1", 10, "Completed", labels=ours("op1"), startTimestamp=STARTED)
    await hear(desk, captured(part=0, parts=2, data=b"new", sequence=9), captured(part=0, parts=2, data=b"old", sequence=3))
    await hear(desk, observed(done), measured(done, metadata_bytes=3, volume_bytes=4), captured("u10", "results"))
    row = await database[BACKUPS].find_one({"_id": "op1"})
    assert (row["detail"]["captured"], row["item"]["size"]["totalBytes"], row["uids"]) == ([], 7, ["u1"])
    await hear(desk, captured(part=1, parts=2), captured(part=1, parts=2))
    row = await database[BACKUPS].find_one({"_id": "op1"})
    assert row["detail"]["captured"] == ["log"]
    kept = {part["_id"]: part["data"] async for part in database[Collection.CAPTURES].find({"uid": "u1"})}
    assert kept == {"eu1/u1/log/0": b"new", "eu1/u1/log/1": b"x"}


async def test_a_deletion_through_the_broker_from_the_request_to_its_end(nats_server, admin, as_user, database):
    mine = {"labels": ours("op1"), "startTimestamp": STARTED, "expiration": FAR}
    later = {"expiresat": clock.now() + timedelta(hours=1)}
    again = deletion("d2", 60, operation="del2", created="2026-11-22T12:10:00Z")
    story = [
        (observed(backup("u1", 10, "Completed", **mine)), BACKUPS, "op1", "Completed"),
        (delete_command(**later), OPERATIONS, "del1", "Queued"),
        (deletion_accepted(deletion()), OPERATIONS, "del1", "Accepted"),
        (deletion_seen(deletion(rv=51, phase="Processed", errors=["on fire"])), OPERATIONS, "del1", "Failed"),
        (delete_command("del2", **later), OPERATIONS, "del2", "Queued"),
        (deletion_accepted(again, "del2"), BACKUPS, "op1", "Deleting"),
        (observed(backup("u1", 61, "Deleting", deleted=True, **mine)), OPERATIONS, "del2", "Succeeded"),
    ]
    async with status_service(nats_server, database.settings):
        for message, collection, row_id, status in story:
            await publish(as_user, message)

            async def reached(collection=collection, row_id=row_id, status=status):
                return await database.status(collection, row_id) == status

            await eventually(f"{row_id} is {status}", reached)
        await eventually("all told", lambda: _said(admin, "del2", "Succeeded"))
        said = [status for _, status in await announced_in_full(admin, "backup", "op1")]
        assert said == ["Completed", "Deleting", "Completed", "Deleting", "Deleted"]


async def _said(admin, operation, status):
    said = await announced_in_full(admin, "operation", operation)
    return bool(said) and said[-1][1] == status
