"""The status service between a real broker and a real database: what it shows, and what it survives."""

import asyncio
import contextlib
import json
import random
from datetime import timedelta

import pytest

from shared.contracts.documents import Collection
from shared.messaging.topology import STATE
from shared.runtime import clock
from tests.support.servers import MongoServer
from tests.support.status_messages import (
    accepted,
    backup,
    command,
    inventory,
    location,
    observed,
    ours,
    presence,
    rejected,
    snapshot,
)
from tests.support.status_service import (
    Crash,
    announced,
    announced_in_full,
    database_of,
    dead_letters,
    drained,
    dying,
    publish,
    status_service,
    stored,
)
from tests.support.timing import BRIEF
from tests.support.waiting import PATIENCE, eventually

BACKUPS, OPERATIONS, CLUSTERS = Collection.BACKUPS, Collection.OPERATIONS, Collection.CLUSTER_STATE
FAR = "2036-11-22T12:00:00Z"


@pytest.fixture
async def database(mongo_server):
    database = database_of(mongo_server)
    yield database
    await database.client.close()


def life(operation="op1", uid="u1", now=None):
    mine = {"labels": ours(operation)}
    return [
        command(operation, now=now or clock.now()),
        accepted(backup(uid, 10, **mine), operation),
        observed(backup(uid, 11, "InProgress", **mine)),
        observed(backup(uid, 12, "Completed", expiration=FAR, **mine)),
    ]


async def shows(database, collection, row_id, status):
    async def probe():
        return await database.status(collection, row_id) == status

    await eventually(f"{collection} {row_id} is {status}", probe)


async def feed_shows(admin, noun, row_id, statuses):
    async def probe():
        return [status for _, status in await announced(admin, noun, row_id)] == statuses

    await eventually(f"{noun} {row_id} announced as {statuses}", probe)
    await announced_in_full(admin, noun, row_id)


async def test_a_backup_from_the_request_to_its_end(nats_server, admin, as_user, database):
    async with status_service(nats_server, database.settings) as service:
        for message in life():  # one after the other, so that each status is seen
            await publish(as_user, message)
            await eventually("acked", lambda: drained(admin))
        await feed_shows(admin, "backup", "op1", ["Creating", "Completed"])
        await feed_shows(admin, "operation", "op1", ["Queued", "Accepted", "Succeeded"])
        assert service.missing == []
    row = await database[BACKUPS].find_one({"_id": "op1"})
    assert (row["item"]["createdBy"], row["item"]["outcome"]) == ({"kind": "User", "name": "anna"}, "Completed")
    assert (row["unannounced"], row["listed"]) == ([], True)
    assert row["statusSeq"] == (await announced(admin, "backup", "op1"))[-1][0]
    kinds = [(t["kind"], t["to"]) async for t in database[Collection.TRANSITIONS].find({"backupId": "op1"}).sort("_id")]
    assert sorted(kinds) == [("Phase", "Completed"), ("Phase", "InProgress"), ("Status", "Completed"), ("Status", "Creating")]


async def test_a_cluster_and_its_locations(nats_server, admin, as_user, database):
    now = clock.now()
    async with status_service(nats_server, database.settings):
        await publish(as_user, presence(now), inventory(now), observed(location(), noun="location"))
        await shows(database, CLUSTERS, "eu1", "Online")
        await eventually("acked", lambda: drained(admin))
    item = await database.item(CLUSTERS, "eu1")
    assert (item["kubernetesVersion"], item["velero"]["version"]) == ("v1.35.4", "v1.18.3")
    assert now - timedelta(milliseconds=1) <= item["lastSeenAt"] <= clock.now()
    assert [row["item"]["name"] async for row in database[Collection.LOCATIONS].find()] == ["default"]
    assert {s for s, _ in await stored(admin, STATE)} >= {"lw.state.eu1.cluster.Online.eu1"}


async def test_time_alone_expires_a_backup(nats_server, admin, as_user, database):
    tomorrow = (clock.now() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    async with status_service(nats_server, database.settings) as service:
        await publish(as_user, observed(backup(phase="Completed", labels=ours("op1"), expiration=tomorrow)))
        await feed_shows(admin, "backup", "op1", ["Completed"])
        service.clock.forward(24 * 3600)
        await feed_shows(admin, "backup", "op1", ["Completed", "Expired"])


async def test_an_operation_expires_unanswered_and_a_late_yes_wins(nats_server, admin, as_user, database):
    async with status_service(nats_server, database.settings) as service:
        await publish(as_user, command(now=clock.now(), expires_in=3600))
        await shows(database, OPERATIONS, "op1", "Queued")
        await shows(database, BACKUPS, "op1", "Creating")
        service.clock.forward(3600 + 60 + 1)
        await shows(database, OPERATIONS, "op1", "Expired")
        await shows(database, BACKUPS, "op1", "Failed")
        await publish(as_user, accepted(backup(labels=ours("op1")), at=clock.now()))
        await feed_shows(admin, "operation", "op1", ["Queued", "Expired", "Accepted"])
        await feed_shows(admin, "backup", "op1", ["Creating", "Failed", "Creating"])


async def test_a_vanished_backup_is_gone_when_sync_had_its_time(nats_server, admin, as_user, database):
    done = backup(phase="Completed", labels=ours("op1"), expiration=FAR)
    async with status_service(nats_server, database.settings) as service:
        await publish(as_user, observed(done))
        await shows(database, BACKUPS, "op1", "Completed")
        await publish(as_user, snapshot([], at=clock.now()))
        await eventually("acked", lambda: drained(admin))
        await feed_shows(admin, "backup", "op1", ["Completed"])
        service.clock.forward(181)
        await feed_shows(admin, "backup", "op1", ["Completed", "Deleted"])
        assert not (await database.item(BACKUPS, "op1"))["present"]


async def test_a_silent_cluster_goes_offline(nats_server, admin, as_user, database):
    # In real time, because a clock that jumps means that it was we who did not listen.
    async with status_service(nats_server, database.settings, offline_after=5.0):
        await publish(as_user, presence(clock.now()))
        await feed_shows(admin, "cluster", "eu1", ["Online", "Offline"])


@pytest.mark.parametrize(
    ("subject", "payload", "reason"),
    [
        ("lw.evt.eu1.backup.observed.u1", b"no json", "Expecting value"),
        ("lw.evt.eu1.backup.observed.u1", b"[" * 100_000, "recursion"),
        ("lw.evt.eu1.backup.observed.u1", b'{"type": "dev.leeward.backup.exploded.v1"}', "unknown type"),
        ("lw.evt.eu1.presence", None, "years that a date can hold"),
        ("lw.cmd.eu1.backup.create.op9", b'{"type": "dev.leeward.backup.create.v1", "data": {}}', "Field required"),
    ],
)
async def test_a_malformed_message_is_buried_with_its_reason_and_the_next_one_is_heard(
    nats_server, admin, as_user, database, subject, payload, reason
):
    if payload is None:
        _, _, heard = presence(clock.now())
        body = json.loads(heard.model_dump_json(by_alias=True))
        payload = json.dumps(body | {"time": "0001-01-01T00:00:00+23:00"}).encode()
    async with status_service(nats_server, database.settings):
        await admin.client.publish(subject, payload)
        (letter,) = await eventually("buried", lambda: dead_letters(admin))
        assert reason in letter["reason"]
        assert letter["subject"] == subject
        await publish(as_user, *life())
        await shows(database, BACKUPS, "op1", "Completed")
        await shows(database, OPERATIONS, "op1", "Succeeded")


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("change", ["backup.Completed", "backup.Creating", "operation.Accepted"])
async def test_a_crash_around_an_announcement_neither_loses_nor_repeats_it(
    nats_server, admin, as_user, database, moment, change
):
    async with status_service(nats_server, database.settings, publisher=dying(moment, change)) as first:

        async def heard() -> bool:
            return first.task.done() or await drained(admin)

        for message in life():  # one by one: whoever hears all at once may see the operation succeed before it was accepted
            await publish(as_user, message)
            await eventually("heard, or dead of it", heard)
        with pytest.raises(BaseExceptionGroup) as died:
            await asyncio.wait_for(first.task, PATIENCE)
        assert died.group_contains(Crash)
    async with status_service(nats_server, database.settings, instance="s2"):
        await shows(database, BACKUPS, "op1", "Completed")
        await eventually("acked", lambda: drained(admin))
        for noun, collection in (("backup", BACKUPS), ("operation", OPERATIONS)):
            row = await database[collection].find_one({"_id": "op1"})
            said = await announced_in_full(admin, noun, "op1")
            assert (said[-1][0], row["unannounced"]) == (row["statusSeq"], [])


async def test_two_services_share_the_work_and_announce_each_change_once(nats_server, admin, as_user, database):
    operations = [f"op{n}" for n in range(12)]
    messages = [message for n, op in enumerate(operations) for message in life(op, f"u{n}")]
    async with (
        status_service(nats_server, database.settings),
        status_service(nats_server, database.settings, instance="s2"),
    ):
        await publish(as_user, *messages)
        for operation in operations:
            await shows(database, OPERATIONS, operation, "Succeeded")
        await eventually("acked", lambda: drained(admin))
        for operation in operations:
            row = await database[BACKUPS].find_one({"_id": operation})
            said = await announced_in_full(admin, "backup", operation)
            assert said[-1] == (row["statusSeq"], "Completed")


async def test_it_can_be_stopped_at_any_moment_and_the_next_one_goes_on(nats_server, admin, as_user, database):
    moments = random.Random(7)
    operations = [f"op{n}" for n in range(12)]
    for number, operation in enumerate(operations):
        async with status_service(nats_server, database.settings, instance=f"s{number}", sweep_interval=0.01) as service:
            await publish(as_user, *life(operation, f"u{number}"))
            await asyncio.sleep(moments.uniform(0, 0.25))
            service.task.cancel()
            await asyncio.wait({service.task}, timeout=PATIENCE)
            assert service.task.done()
    async with status_service(nats_server, database.settings):
        for operation in operations:
            await shows(database, OPERATIONS, operation, "Succeeded")
        await eventually("acked", lambda: drained(admin))
    for operation in operations:
        row = await database[BACKUPS].find_one({"_id": operation})
        said = await announced_in_full(admin, "backup", operation)
        assert said[-1] == (row["statusSeq"], "Completed")


async def test_a_database_that_dies_is_waited_for_and_nothing_is_lost(nats_server, admin, as_user, tmp_path):
    server = MongoServer(tmp_path / "mongo", timeout=BRIEF)
    if server.external:
        pytest.skip("the database is not ours to kill")
    server.start()
    database = database_of(server)
    try:
        async with status_service(nats_server, database.settings) as service:
            await publish(as_user, *life("op1", "u1"))
            await shows(database, OPERATIONS, "op1", "Succeeded")
            assert service.missing == []
            server.kill()
            await eventually("readiness says what is missing", lambda: service.missing == ["mongodb"])
            await publish(as_user, *life("op2", "u2"), rejected(operation="op3"))
            await asyncio.sleep(0.5)  # it tries, in vain
            assert not service.task.done()
            server.start()
            await shows(database, OPERATIONS, "op2", "Succeeded")
            await shows(database, OPERATIONS, "op3", "Rejected")
            await shows(database, OPERATIONS, "op1", "Succeeded")
            await eventually("ready again", lambda: service.missing == [])
            await eventually("acked", lambda: drained(admin))
            assert await dead_letters(admin) == []
            said = await announced_in_full(admin, "backup", "op2")
            assert said[-1][1] == "Completed"
    finally:
        with contextlib.suppress(Exception):
            await database.client.close()
        server.kill()


async def test_it_is_not_ready_before_the_database_answers(nats_server, admin, tmp_path):
    server = MongoServer(tmp_path / "mongo", timeout=BRIEF)
    if server.external:
        pytest.skip("the database is not ours to stop")
    async with status_service(nats_server, server.settings()) as service:
        await eventually("only the database is missing", lambda: service.missing == ["mongodb"])
        assert not service.runtime.health.ready
        server.start()
        await eventually(
            "ready", lambda: service.runtime.health.ready and "consumer status" in str(service.runtime.health.report())
        )
    server.kill()
