"""Publisher, record, lease, feed, epochs and permissions on a real NATS with every user's permissions on."""

import asyncio
import contextlib
import dataclasses
import json

import nats
import nats.errors
import nats.js.errors
import pytest
from nats.js import api

from shared.contracts import subjects
from shared.contracts.events import Accepted, Changed, Observed
from shared.messaging.connection import connect
from shared.messaging.epochs import Epochs
from shared.messaging.feed import follow, newest
from shared.messaging.lease import Lease
from shared.messaging.outcomes import Unavailable
from shared.messaging.publisher import CommandTakenError, Publisher, Record
from shared.messaging.pull import pull
from shared.messaging.topology import COMMANDS, DEAD_LETTERS, EPOCHS, EVENTS, LEASES, STATE, ensure, executor_consumer
from shared.runtime.health import Health
from tests.support.messages import NOW, backup_command, envelope
from tests.support.timing import LONG_LEASES, PATIENT, TIMING, takes_nats_away
from tests.support.waiting import PATIENCE, eventually, subscribed


def subject_of(command):
    return subjects.command(command.cluster, "backup", "create", command.operationid)


def change(seq, view="v1", status="Creating"):
    data = Changed(id=view, seq=seq, from_=None, to=status, at=NOW, item={"id": view})
    return envelope("backup", "changed", data, name=f"{view}/{seq}")


async def tell_state(status, seq, **more):
    message = change(seq, **more)
    await Publisher(status).publish(subjects.state("eu1", "backup", message.data.to, message.data.id), message)


# ---------------------------------------------------------------- commands


async def test_the_stream_keeps_one_command_an_operation_also_after_the_broker_has_forgotten_its_duplicates(admin, as_user):
    publisher = Publisher(await as_user("gateway"))
    command = backup_command("op1")
    await publisher.publish_command(subject_of(command), command)
    with pytest.raises(CommandTakenError) as taken:
        await publisher.publish_command(subject_of(command), command)
    assert taken.value.stored == command
    renamed = command.model_copy(update={"id": "another-message-id"})  # what the duplicate window does not catch
    with pytest.raises(CommandTakenError) as taken:
        await publisher.publish_command(subject_of(command), renamed)
    assert taken.value.stored.id == "op1"
    assert (await admin.stream.stream_info(COMMANDS)).state.messages == 1


async def test_an_operation_is_found_whatever_its_cluster(admin, as_user):
    gateway = await as_user("gateway")
    command = backup_command("op1", cluster="us1")
    await Publisher(gateway).publish_command(subject_of(command), command)
    assert (await Record(gateway).command("op1")) == command
    assert await Record(gateway).command("op2") is None


async def test_one_key_used_for_two_clusters_meets_the_first_command(admin, as_user):
    publisher = Publisher(await as_user("gateway"))
    first, second = backup_command("op1", cluster="eu1"), backup_command("op1", cluster="us1")
    await publisher.publish_command(subject_of(first), first)
    with pytest.raises(CommandTakenError) as taken:
        await publisher.publish_command(subject_of(second), second)
    assert taken.value.stored.cluster == "eu1"


async def test_the_stream_itself_refuses_one_key_for_two_clusters_under_different_message_ids(admin, as_user):
    publisher = Publisher(await as_user("gateway"))
    first = backup_command("op1", cluster="eu1")
    second = backup_command("op1", cluster="us1").model_copy(update={"id": "another-message-id"})
    await publisher.publish_command(subject_of(first), first)
    with pytest.raises(CommandTakenError) as taken:
        await publisher.publish_command(subject_of(second), second)
    assert taken.value.stored == first
    assert (await admin.stream.stream_info(COMMANDS)).state.messages == 1


@takes_nats_away
async def test_without_an_answer_the_outcome_is_unknown_and_saying_it_again_is_safe(nats_server, admin, as_user):
    gateway = await as_user("gateway")
    publisher, command = Publisher(gateway), backup_command("op1")
    nats_server.pause()
    try:
        with pytest.raises(Unavailable) as missing:
            await publisher.publish_command(subject_of(command), command)
    finally:
        nats_server.resume()
    assert missing.value.dependency == "nats"

    async def said() -> bool:
        with contextlib.suppress(CommandTakenError, Unavailable):
            await publisher.publish_command(subject_of(command), command)
        return (await admin.stream.stream_info(COMMANDS)).state.messages == 1

    await eventually("stored", said)


async def test_the_executor_remembers_by_the_event_stream(admin, as_user):
    agent = await as_user("cluster-eu1")
    seen = Observed(epoch=1, uid="u", resource_version=3, namespace="velero", name="b", object={})
    accepted = envelope("operation", "accepted", Accepted(noun="backup", object=seen), operationid="op1")
    assert await Record(agent).answer("eu1", "op1") is None
    await Publisher(agent).publish(subjects.operation("eu1", "accepted", "op1"), accepted)
    assert (await Record(agent).answer("eu1", "op1")) == accepted


async def test_a_message_said_twice_is_stored_once(admin, as_user):
    agent = await as_user("cluster-eu1")
    message = envelope("operation", "accepted", _accepted(), operationid="op1")
    for _ in range(3):
        await Publisher(agent).publish(subjects.operation("eu1", "accepted", "op1"), message)
    assert (await admin.stream.stream_info(EVENTS)).state.messages == 1


# ---------------------------------------------------------------- topology and permissions


async def test_ensuring_the_topology_again_changes_nothing_and_mends_what_was_changed(admin):
    again = await ensure(admin.stream, ["eu1", "us1"], TIMING)
    assert (again.created, again.updated) == ([], [])
    facts = await admin.stream.stream_info(EVENTS)
    await admin.stream.update_stream(facts.config.evolve(max_msgs_per_subject=5))
    slower = dataclasses.replace(TIMING, lease_ttl=7.0)
    mended = await ensure(admin.stream, ["eu1", "us1"], slower)
    assert mended.updated == [EVENTS, LEASES]
    assert (await admin.stream.stream_info(f"KV_{LEASES}")).config.max_age == 7.0
    assert (await admin.stream.stream_info(EVENTS)).config.max_msgs_per_subject == 64


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        ("cluster-eu1", "lw.evt.us1.presence"),
        ("cluster-eu1", "lw.cmd.eu1.backup.create.op1"),
        ("cluster-eu1", "lw.state.eu1.backup.Completed.v1"),
        ("cluster-eu1", f"$JS.API.CONSUMER.MSG.NEXT.{COMMANDS}.{executor_consumer('us1')}"),
        ("cluster-eu1", f"$JS.API.DIRECT.GET.{EVENTS}.lw.evt.us1.operation.accepted.op1"),
        ("cluster-eu1", f"$JS.API.STREAM.MSG.GET.{COMMANDS}"),
        ("cluster-eu1", "$KV.lw_epochs.us1"),
        ("cluster-eu1", f"$JS.API.STREAM.DELETE.{COMMANDS}"),
        ("executor", "lw.cmd.eu1.backup.create.op1"),
        ("executor", f"$JS.API.STREAM.PURGE.{EVENTS}"),
        ("status", "lw.cmd.eu1.backup.create.op1"),
        ("status", "lw.evt.eu1.presence"),
        ("status", f"$JS.API.STREAM.DELETE.{EVENTS}"),
        ("gateway", "lw.evt.eu1.presence"),
        ("gateway", "lw.state.eu1.backup.Completed.v1"),
        ("gateway", f"$JS.API.STREAM.DELETE.{COMMANDS}"),
        ("gateway", f"$JS.API.CONSUMER.DELETE.{COMMANDS}.{executor_consumer('eu1')}"),
    ],
)
async def test_a_user_can_say_only_what_is_its_own(nats_server, admin, user, subject):
    heard: list[str] = []

    async def hear(message) -> None:
        heard.append(message.subject)

    await admin.client.subscribe(">", cb=hear)
    await subscribed(admin)
    refused: list[str] = []

    async def on_error(error: Exception) -> None:
        refused.append(str(error))

    client = await nats.connect(
        f"nats://127.0.0.1:{nats_server.port}", user=user, password=nats_server.passwords[user], error_cb=on_error
    )
    try:
        await client.publish(subject, b"{}")
        await client.flush()
        await eventually("refused", lambda: any("permissions violation" in r.lower() for r in refused))
    finally:
        await client.close()
    assert subject not in heard


FORGED = (
    "lw.cmd.us1.backup.create.evil",
    "lw.evt.us1.presence",
    "lw.state.us1.backup.Completed.v1",
    "$KV.lw_epochs.us1",
    "$KV.lw_leases.executor.us1",
    f"$JS.API.STREAM.PURGE.{STATE}",
    f"$JS.API.STREAM.DELETE.{STATE}",
    f"$JS.API.CONSUMER.DELETE.{COMMANDS}.{executor_consumer('us1')}",
    f"$JS.API.CONSUMER.DELETE.{EVENTS}.status",
)
"""What the stored word of one must not become by being delivered there."""

_READS_OWN = (
    ("lw.evt.eu1.inventory", b""),
    (f"$JS.API.DIRECT.GET.{EVENTS}.lw.evt.eu1.presence", b""),
    (f"$JS.API.CONSUMER.INFO.{COMMANDS}.{executor_consumer('eu1')}", b""),
    (f"$JS.API.CONSUMER.MSG.NEXT.{COMMANDS}.{executor_consumer('eu1')}", b"1"),
    (f"$JS.API.STREAM.INFO.KV_{LEASES}", b""),
    ("$JS.API.DIRECT.GET.KV_lw_epochs.$KV.lw_epochs.eu1", b""),
)


@pytest.mark.parametrize(
    ("user", "requests", "own"),
    [
        ("cluster-eu1", _READS_OWN, ()),
        ("executor", _READS_OWN, ("lw.evt.us1.presence", "$KV.lw_epochs.us1", "$KV.lw_leases.executor.us1")),
        (
            "status",
            (
                ("lw.state.eu1.backup.Completed.v9", b"{}"),
                (f"$JS.API.CONSUMER.MSG.NEXT.{EVENTS}.status", b"1"),
                (f"$JS.API.CONSUMER.MSG.NEXT.{COMMANDS}.status-audit", b"1"),
                (f"$JS.API.STREAM.INFO.KV_{LEASES}", b""),
            ),
            ("lw.state.us1.backup.Completed.v1",),
        ),
        (
            "gateway",
            (
                ("lw.cmd.eu1.backup.create.op9", b"{}"),
                (f"$JS.API.STREAM.MSG.GET.{COMMANDS}", b'{"seq": 1}'),
                (f"$JS.API.STREAM.INFO.{STATE}", b""),
                (f"$JS.API.CONSUMER.MSG.NEXT.{STATE}.feed-1", b"1"),
            ),
            ("lw.cmd.us1.backup.create.evil",),
        ),
    ],
)
async def test_nobody_makes_the_broker_say_what_he_may_not_say_himself(nats_server, admin, user, requests, own):
    """The reply subject of a request is where the broker delivers, and NATS does not ask whether the asker may say that."""
    heard: list[str] = []

    async def hear(message) -> None:
        heard.append(message.subject)

    await admin.stream.add_consumer(STATE, api.ConsumerConfig(name="feed-1", durable_name="feed-1"))
    for _ in range(len(FORGED)):  # what is stored is empty, as an API request may be, and claims to come from HUB
        claim = {"Nats-Request-Info": json.dumps({"acc": "HUB", "svc": "HUB"})}
        for subject in ("lw.cmd.eu1.backup.create.op1", "lw.evt.eu1.presence", "lw.state.eu1.backup.Completed.v1"):
            await admin.stream.publish(subject, b"", headers=claim)
        await admin.stream.publish("$KV.lw_epochs.eu1", b"", headers=claim)
    await admin.client.subscribe(">", cb=hear)
    await subscribed(admin)
    client = await nats.connect(f"nats://127.0.0.1:{nats_server.port}", user=user, password=nats_server.passwords[user])
    try:
        for reply in FORGED:
            for subject, body in requests:
                await client.publish(subject, body, reply=reply)
        await client.flush()
        await eventually("asked", lambda: {subject for subject, _ in requests} <= set(heard))
        await asyncio.sleep(0.3)  # what must not happen would have happened by now
    finally:
        await client.close()
    assert not set(FORGED) - set(own) & set(heard)
    assert (await admin.stream.stream_info(STATE)).state.messages >= len(FORGED)
    again = await ensure(admin.stream, ["eu1", "us1"], TIMING)
    assert (again.created, again.updated) == ([], []), "streams and consumers are where they were"


async def test_an_agent_has_all_that_its_work_needs(admin, as_user):
    agent = await as_user("cluster-eu1")
    js = agent.stream
    for number in range(5):
        await admin.stream.publish(f"lw.cmd.eu1.backup.create.op{number}", str(number).encode())

    async def room() -> int:
        return 10

    seen: list[bytes] = []
    async with contextlib.aclosing(pull(agent.client, COMMANDS, executor_consumer("eu1"), room)) as messages:
        async for message in messages:
            seen.append(message.data)
            match len(seen):
                case 1:
                    await message.ack_sync(timeout=PATIENT)
                case 2:
                    await message.nak()
                case 3:
                    await message.term()
                case _:
                    await message.in_progress()
                    await message.ack()
            if len(seen) == 6:
                break
    assert sorted(seen) == [b"0", b"1", b"1", b"2", b"3", b"4"]
    await eventually("nothing left", lambda: _settled(js))

    header = {"Nats-Msg-Id": "once", "Nats-Expected-Last-Subject-Sequence": "0"}
    assert not (await js.publish("lw.evt.eu1.presence", b"a", headers=dict(header))).duplicate
    assert (await js.publish("lw.evt.eu1.presence", b"a", headers={"Nats-Msg-Id": "once"})).duplicate
    with pytest.raises(nats.js.errors.BadRequestError):
        await js.publish("lw.evt.eu1.presence", b"b", headers={**header, "Nats-Msg-Id": "twice"})
    assert (await js.get_last_msg(EVENTS, "lw.evt.eu1.presence", direct=True)).data == b"a"
    with pytest.raises(nats.js.errors.NotFoundError):
        await js.get_last_msg(EVENTS, "lw.evt.eu1.inventory", direct=True)
    await js.publish(f"lw.dlq.{COMMANDS}.{executor_consumer('eu1')}", b"letter")

    for bucket, key in ((LEASES, "executor.eu1"), ("lw_epochs", "eu1")):
        entries = await js.key_value(bucket)
        with pytest.raises(nats.js.errors.KeyNotFoundError):
            await entries.get(key)
        first = await entries.create(key, b"1")
        with pytest.raises(nats.js.errors.KeyWrongLastSequenceError):
            await entries.update(key, b"2", last=first + 5)
        assert (await entries.get(key)).value == b"1"
        await entries.delete(key, last=await entries.update(key, b"2", last=first))


async def test_the_gateway_asks_an_agent_and_the_hub_executor_and_hears_what_status_tells(admin, as_user):
    gateway, status = await as_user("gateway"), await as_user("status")
    with pytest.raises(nats.errors.NoRespondersError):
        await gateway.client.request("lw.rpc.eu1.logs", b"", timeout=PATIENT)
    for user, subject in (("cluster-eu1", "lw.rpc.eu1.logs"), ("executor", "lw.hub.eu1.logs")):
        server = await as_user(user)

        async def answer(message) -> None:
            await message.respond(b"x" * 512 * 1024)

        await server.client.subscribe(subject, cb=answer)
        await subscribed(server)
        assert len((await gateway.client.request(subject, b"", timeout=PATIENT)).data) == 512 * 1024
    told = await gateway.client.subscribe("lw.live.>")
    await subscribed(gateway)
    await status.client.publish("lw.live.eu1.backup.v1", b"half")
    assert (await told.next_msg(timeout=PATIENT)).data == b"half"


async def test_nobody_comes_in_without_a_name(nats_server):
    with pytest.raises(nats.errors.Error, match="Authorization Violation"):
        await nats.connect(f"nats://127.0.0.1:{nats_server.port}", allow_reconnect=False, max_reconnect_attempts=0)


@pytest.mark.parametrize("user", ["cluster-eu1", "executor", "status", "gateway"])
@pytest.mark.parametrize("subject", ["lw.cmd.>", "lw.evt.>", ">", "_INBOX.>", "_INBOX_admin.>"])
async def test_a_user_cannot_listen_to_others(nats_server, admin, user, subject):
    refused: list[str] = []

    async def on_error(error: Exception) -> None:
        refused.append(str(error))

    client = await nats.connect(
        f"nats://127.0.0.1:{nats_server.port}", user=user, password=nats_server.passwords[user], error_cb=on_error
    )
    try:
        await client.subscribe(subject)
        await client.flush()
        await eventually("refused", lambda: any("permissions violation" in r.lower() for r in refused))
    finally:
        await client.close()


async def test_nobody_erases_other_clusters_keys_by_writing_its_own(nats_server, admin, as_user):
    agent = await as_user("cluster-eu1")
    bucket = await admin.stream.key_value(EPOCHS)
    await bucket.put("us1", b"{}")
    with contextlib.suppress(nats.js.errors.APIError):
        await agent.stream.publish("$KV.lw_epochs.eu1", b"{}", headers={"Nats-Rollup": "all"})
    assert (await bucket.get("us1")).value == b"{}"


# ---------------------------------------------------------------- lease


async def test_a_lease_has_one_holder_and_another_takes_over_when_it_falls_silent(nats_server, admin, as_user):
    working: list[str] = []
    ttl = 3 * TIMING.lease_ttl  # who holds it renews it every second or two, also on a machine that is busy
    await ensure(admin.stream, timing=dataclasses.replace(TIMING, lease_ttl=ttl))

    async def work(name):
        working.append(name)
        await asyncio.Event().wait()

    def lease(connection, name):
        return Lease(connection, "executor.eu1", name, ttl).work(lambda: work(name))

    dying = connect(nats_server.settings("executor"), name="dying", dependency=Health().depends_on("nats"))
    first = await dying.__aenter__()
    one = asyncio.create_task(lease(first, "one"))
    await eventually("held", lambda: working == ["one"])
    two = asyncio.create_task(lease(await as_user("cluster-eu1"), "two"))
    await asyncio.wait({two}, timeout=ttl * 1.5)
    assert working == ["one"], "the second waits while the first renews"
    await first.client.close()  # as if the process were gone: nothing is released
    await eventually("taken over", lambda: working == ["one", "two"])
    for task in (one, two):
        task.cancel()
    await asyncio.wait({one, two})
    with contextlib.suppress(Exception):
        await dying.__aexit__(None, None, None)


async def test_a_released_lease_is_free_at_once(admin, as_user):
    await ensure(admin.stream, timing=LONG_LEASES)
    working: list[str] = []

    async def work(name):
        working.append(name)
        await asyncio.Event().wait()

    connection = await as_user("executor")
    one = asyncio.create_task(Lease(connection, "executor.eu1", "one", TIMING.lease_ttl).work(lambda: work("one")))
    await eventually("held", lambda: working == ["one"])
    one.cancel()
    await asyncio.wait({one})
    two = asyncio.create_task(Lease(connection, "executor.eu1", "two", TIMING.lease_ttl).work(lambda: work("two")))
    await eventually("taken over", lambda: working == ["one", "two"], timeout=LONG_LEASES.lease_ttl / 2)
    two.cancel()
    await asyncio.wait({two})


async def test_a_failure_of_the_work_is_the_failure_of_the_lease(admin, as_user):
    async def fail():
        raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        await asyncio.wait_for(Lease(await as_user("executor"), "executor.eu1", "one", TIMING.lease_ttl).work(fail), PATIENCE)


# ---------------------------------------------------------------- feed


@takes_nats_away
async def test_the_feed_is_in_order_and_resumes_anywhere_also_across_the_brokers_death(nats_server, admin, as_user):
    status, gateway = await as_user("status"), await as_user("gateway")
    seen: list[int] = []

    async def listen(after: int) -> None:
        async for entry in follow(gateway, Health().depends_on("feed"), after):
            seen.append(entry.envelope.data.seq)  # noqa: PERF401 - it never ends

    for seq in (1, 2, 3):
        await tell_state(status, seq)
    assert (await newest(gateway)).sequence == 3
    task = asyncio.create_task(listen(1))
    await eventually("what came after the first", lambda: seen == [2, 3])
    nats_server.kill()
    nats_server.start()
    await eventually("back", lambda: status.client.is_connected and gateway.client.is_connected)
    await eventually("said", lambda: _try(tell_state(status, 4)))
    await eventually("nothing lost, nothing twice", lambda: seen == [2, 3, 4])
    task.cancel()
    await asyncio.wait({task})
    assert (await admin.stream.stream_info(STATE)).state.messages == 4


async def test_a_change_that_cannot_be_read_is_buried_and_the_feed_goes_on(admin, as_user):
    status, gateway = await as_user("status"), await as_user("gateway")
    await admin.stream.publish("lw.state.eu1.backup.Odd.v1", b"not json")
    await tell_state(status, 1)
    feed = follow(gateway, Health().depends_on("feed"), 0)
    entry = await asyncio.wait_for(anext(feed), PATIENCE)
    await feed.aclose()
    assert entry.envelope.data.seq == 1
    letter = json.loads((await admin.stream.get_msg(DEAD_LETTERS, seq=1)).data)["data"]
    assert (letter["stream"], letter["sequence"]) == (STATE, 1)
    assert "Expecting value" in letter["reason"]


# ---------------------------------------------------------------- epochs


async def test_an_epoch_is_shared_by_all_watchers_of_a_cluster(admin, as_user):
    one, two = Epochs(await as_user("executor")), Epochs(await as_user("cluster-eu1"))
    before = await one.read("eu1")
    begun = await one.after_list("eu1", before, "uid-1", 100, NOW)
    assert (await two.read("eu1")).high_water == 100
    await two.after_event("eu1", begun.epoch, 150)
    assert (await one.read("eu1")).high_water == 150
    fallen = await two.after_list("eu1", await two.read("eu1"), "uid-1", 90, NOW)
    assert (fallen.epoch, fallen.high_water) == (begun.epoch + 1, 90)


def _accepted():
    return Accepted(noun="backup", object=Observed(epoch=1, uid="u", resource_version=3, namespace="v", name="b", object={}))


async def _settled(js) -> bool:
    facts = await js.consumer_info(COMMANDS, executor_consumer("eu1"))
    return (facts.num_pending, facts.num_ack_pending) == (0, 0)


async def _try(action) -> bool:
    try:
        await action
    except Unavailable:
        return False
    return True
