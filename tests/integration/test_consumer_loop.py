"""The consumer loop on a real NATS: every outcome of a handler, order, shutdown, loss of the broker."""

import asyncio
import contextlib
import dataclasses
import json
from collections import defaultdict
from dataclasses import dataclass, field

import pytest

from shared.contracts import subjects
from shared.contracts.catalogue import encode
from shared.messaging.consumer import Consumer, Patience
from shared.messaging.outcomes import Retry, Unavailable
from shared.messaging.publisher import Publisher
from shared.messaging.topology import COMMANDS, DEAD_LETTERS, ensure, ensure_cluster, executor_consumer
from shared.runtime import clock
from shared.runtime.health import Health
from tests.support.messages import backup_command
from tests.support.timing import TIMING, takes_nats_away
from tests.support.waiting import PATIENCE, eventually

QUICK = Patience(heartbeat=0.3, retries=(0.05, 0.1), probes=(0.05, 0.1), grace=1.0)


class Crash(BaseException):
    """The process dies here."""


@dataclass
class Script:
    """A handler that records its calls and ends as it is told: one outcome a call for each operation, then success."""

    outcomes: dict[str, list[BaseException | float]] = field(default_factory=lambda: defaultdict(list))
    calls: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    deliveries: list[int] = field(default_factory=list)
    kept: set[tuple[str, int, int]] = field(default_factory=set)

    async def handle(self, message, delivery, _ports) -> None:
        operation = message.operationid
        self.calls.append(operation)
        self.deliveries.append(delivery.deliveries)
        self.kept.add((operation, delivery.behind, delivery.waiting))
        if self.outcomes[operation]:
            outcome = self.outcomes[operation].pop(0)
            if isinstance(outcome, BaseException):
                raise outcome
            await asyncio.sleep(outcome)
        self.done.append(operation)


@pytest.fixture
async def loop_parts(as_user):
    health = Health()
    return await as_user("cluster-eu1", health), health


def consumer(connection, health, script, patience=QUICK):
    return Consumer(
        connection=connection,
        stream=COMMANDS,
        name=executor_consumer("eu1"),
        routes={"dev.leeward.backup.create.v1": script.handle},
        ports=None,
        key=lambda message, _address: message.data.name,
        clock=clock.now,
        health=health,
        sure_acks=True,
        patience=patience,
    )


@contextlib.asynccontextmanager
async def running(loop):
    task = asyncio.create_task(loop.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def order(connection, operation, name="shop", **more):
    command = backup_command(operation, name=name, **more)
    await Publisher(connection).publish_command(subjects.command("eu1", "backup", "create", operation), command)


async def unanswered(admin) -> int:
    facts = await admin.stream.consumer_info(COMMANDS, executor_consumer("eu1"))
    return facts.num_ack_pending + facts.num_pending


async def dead_letters(admin):
    count = (await admin.stream.stream_info(DEAD_LETTERS)).state.messages
    found = [await admin.stream.get_msg(DEAD_LETTERS, seq=n + 1) for n in range(count)]
    return [decode_letter(m) for m in found]


def decode_letter(message):
    return json.loads(message.data)["data"]


async def test_a_handled_message_is_acked_once_and_for_all(admin, as_user, loop_parts):
    script = Script()
    await order(await as_user("gateway"), "op1")
    async with running(consumer(*loop_parts, script)):
        await eventually("acked", lambda: _none_left(admin))
    assert script.calls == ["op1"]


async def test_a_handler_knows_what_is_behind_its_message_and_how_much_else_waits(admin, as_user, loop_parts):
    script = Script()
    script.outcomes |= {operation: [Retry("not yet", after=0.05)] * 10_000 for operation in ("op1", "op3")}
    gateway = await as_user("gateway")
    for operation, name in (("op1", "shop"), ("op2", "shop"), ("op3", "cart")):
        await order(gateway, operation, name)
    async with running(consumer(*loop_parts, script)):
        await eventually("one is behind it, one other waits", lambda: ("op1", 1, 1) in script.kept)
        await eventually("none is behind it, two others wait", lambda: ("op3", 0, 2) in script.kept)
        script.outcomes.clear()
        await eventually("all done", lambda: len(script.done) == 3)
    assert {behind for operation, behind, _ in script.kept if operation == "op2"} == {0}


async def test_retry_waits_in_place_and_keeps_the_objects_later_messages_behind_it(admin, as_user, loop_parts):
    script = Script()
    script.outcomes["op1"] = [Retry("not yet", after=0.05)] * 10_000
    gateway = await as_user("gateway")
    await order(gateway, "op1", "shop")
    await order(gateway, "op2", "shop")
    await order(gateway, "op3", "cart")
    async with running(consumer(*loop_parts, script)):
        await eventually("another object does not wait", lambda: "op3" in script.done)
        script.outcomes.clear()
        await eventually("all done", lambda: len(script.done) == 3)
        await eventually("acked", lambda: _none_left(admin))
    assert script.done == ["op3", "op1", "op2"]


async def test_an_unknown_exception_is_tried_ten_times_then_buried_with_its_reason(admin, as_user, loop_parts):
    script = Script()
    script.outcomes["op1"] = [ValueError("boom")] * 10
    gateway = await as_user("gateway")
    await order(gateway, "op1", "shop")
    await order(gateway, "op2", "shop")
    async with running(consumer(*loop_parts, script, Patience(retries=(0.01,), probes=(0.05,)))):
        await eventually("the next one is done", lambda: script.done == ["op2"])
    assert script.calls.count("op1") == 10
    (letter,) = await dead_letters(admin)
    assert "boom" in letter["reason"]
    assert letter["subject"].endswith("op1")


@pytest.mark.parametrize(
    ("subject", "payload", "reason"),
    [
        ("lw.cmd.eu1.backup.create.op9", b"not json", "Expecting value"),
        ("lw.cmd.eu1.backup.create.op9", b'{"type": "dev.leeward.backup.explode.v1"}', "unknown type"),
        ("lw.cmd.eu1.backup.create.op9", encode(backup_command("op9", cluster="us1")), "cluster 'us1'"),
        ("lw.cmd.eu1.backup.create.op9", encode(backup_command("op8")), "operation 'op8'"),
        ("lw.cmd.eu1.odd", b"{}", "not a subject"),
    ],
)
async def test_a_message_that_cannot_be_read_is_buried_and_the_loop_goes_on(
    admin, as_user, loop_parts, subject, payload, reason
):
    script = Script()
    await admin.stream.publish(subject, payload)
    await order(await as_user("gateway"), "op1")
    async with running(consumer(*loop_parts, script)):
        await eventually("the good one is done", lambda: script.done == ["op1"])
        (letter,) = await eventually("buried", lambda: dead_letters(admin))
        await eventually("answered", lambda: _none_left(admin))
    assert reason in letter["reason"]


async def test_a_message_of_the_largest_size_can_be_buried_too(admin, as_user, loop_parts):
    script = Script()
    await admin.stream.publish("lw.cmd.eu1.backup.create.op9", b"x" * 1_000_000)
    async with running(consumer(*loop_parts, script)):
        (letter,) = await eventually("buried", lambda: dead_letters(admin))
        await eventually("answered", lambda: _none_left(admin))
    assert letter["truncated"]
    assert letter["sequence"] == 1


async def test_while_a_dependency_is_missing_nothing_is_lost_counted_or_tried_by_everyone(admin, as_user, loop_parts):
    script = Script()
    connection, health = loop_parts
    gateway = await as_user("gateway")
    for n in range(5):
        script.outcomes[f"op{n}"] = [Unavailable("cluster eu1", "connection refused")] * 1
        await order(gateway, f"op{n}", f"b{n}")
    script.outcomes["op0"] = [Unavailable("cluster eu1", "connection refused")] * 30
    async with running(consumer(connection, health, script)):
        await eventually("noticed", lambda: health.report()["dependencies"].get("cluster eu1") == "connection refused")
        assert not health.ready
        await eventually("longer than the ack wait", lambda: script.calls.count("op0") > 25)
        assert len(script.calls) - script.calls.count("op0") <= 8, "one probes, the others wait"
        await eventually("all done", lambda: len(script.done) == 5)
        assert health.report()["dependencies"]["cluster eu1"] == "ok"
        await eventually("acked", lambda: _none_left(admin))
    assert set(script.deliveries) == {1}, "held, not delivered again"


async def test_messages_held_longer_than_the_ack_wait_are_not_delivered_to_another(admin, as_user, loop_parts):
    script = Script()
    script.outcomes["op1"] = [5.0]  # the ack wait of these tests is 2 s
    gateway = await as_user("gateway")
    await order(gateway, "op1", "shop")
    await order(gateway, "op2", "shop")
    other = Script()
    async with running(consumer(*loop_parts, script)):
        await eventually("begun", lambda: script.calls == ["op1"])
        async with running(consumer(await as_user("executor"), Health(), other)):
            await eventually("both done", lambda: script.done == ["op1", "op2"])
    assert other.calls == []


async def test_what_was_marked_missing_on_the_way_is_not_missing_for_ever(admin, as_user, loop_parts):
    script = Script()
    script.outcomes["op1"] = [Unavailable("elsewhere", "timeout"), Unavailable("cluster eu1", "refused"), Retry("not yet")]
    await order(await as_user("gateway"), "op1")
    async with running(consumer(*loop_parts, script)):
        await eventually("done", lambda: script.done == ["op1"])
        assert loop_parts[1].report()["missing"] == []


async def test_what_a_consumer_missed_when_it_was_stopped_is_not_missing_for_ever(admin, as_user, loop_parts):
    script, (_, health) = Script(), loop_parts
    health.depends_on("cluster eu1").answers()
    script.outcomes["op1"] = [Unavailable("cluster eu1", "refused")] * 1000
    await order(await as_user("gateway"), "op1")
    async with running(consumer(*loop_parts, script)):
        await eventually("noticed", lambda: health.report()["missing"] == ["cluster eu1"])
    assert health.report()["missing"] == [], "as when a lease is lost: nobody is left here who would hear the next answer"


async def test_what_others_miss_is_missing_when_a_consumer_stops(admin, as_user, loop_parts):
    script, (_, health) = Script(), loop_parts
    health.depends_on("cluster eu1").missing("no answer to a question")
    script.outcomes["op1"] = [Unavailable("cluster eu1", "refused")] * 1000
    await order(await as_user("gateway"), "op1")
    async with running(consumer(*loop_parts, script)):
        await eventually("noticed", lambda: health.report()["dependencies"]["cluster eu1"] == "refused")
    assert health.report()["dependencies"]["cluster eu1"] == "no answer to a question"


async def test_a_command_of_a_stream_that_was_made_anew_is_not_taken_for_one_that_is_held(admin, as_user, loop_parts):
    script = Script()
    script.outcomes["old"] = [Retry("not yet", after=3)]
    gateway = await as_user("gateway")
    await order(gateway, "old", "old")
    async with running(consumer(*loop_parts, script)):
        await eventually("held", lambda: script.calls == ["old"])
        await admin.stream.delete_stream(COMMANDS)
        await ensure(admin.stream, ["eu1"], TIMING)
        await order(gateway, "new", "new")
        await eventually("done", lambda: "new" in script.done)


async def test_a_stop_lets_what_has_begun_end_and_gives_the_rest_back_at_once(admin, as_user, loop_parts):
    ack_wait = 60.0
    await ensure_cluster(admin.stream, "eu1", dataclasses.replace(TIMING, ack_wait=ack_wait))
    script = Script()
    script.outcomes["op1"] = [2.0]
    gateway = await as_user("gateway")
    await order(gateway, "op1", "shop")
    await order(gateway, "op2", "shop")
    first = consumer(*loop_parts, script, dataclasses.replace(QUICK, grace=PATIENCE))
    async with running(first):
        await eventually("both taken", lambda: len(first._held) == 2)
        assert script.calls == ["op1"]
    assert script.done == ["op1"]
    successor = Script()
    async with running(consumer(*loop_parts, successor)):
        await eventually("the rest is done", lambda: successor.done == ["op2"], timeout=ack_wait / 2)


async def test_after_a_crash_the_message_comes_again(admin, as_user, loop_parts):
    script = Script()
    script.outcomes["op1"] = [Crash()]
    await order(await as_user("gateway"), "op1")
    connection, health = loop_parts
    with pytest.raises(BaseExceptionGroup):
        await asyncio.wait_for(consumer(connection, health, script).run(), PATIENCE)
    async with running(consumer(connection, health, script)):
        await eventually("done", lambda: script.done == ["op1"])
    assert script.deliveries[-1] == 2


@takes_nats_away
async def test_the_broker_may_die_and_come_back(nats_server, admin, as_user, loop_parts):
    script = Script()
    connection, health = loop_parts
    gateway = await as_user("gateway")
    await order(gateway, "op1")
    async with running(consumer(connection, health, script)):
        await eventually("done and acked", lambda: _none_left(admin))
        nats_server.kill()
        await eventually("noticed", lambda: "nats" in health.report()["missing"])  # the consumer may have noticed before
        assert not health.ready
        nats_server.start()
        await eventually("back", lambda: health.ready)
        await eventually("gateway is back", lambda: gateway.client.is_connected)
        await order(gateway, "op2", "cart")
        # An ack is not on the broker's disk yet when it is killed: op1 may come again, and every handler may be called again.
        await eventually("done", lambda: "op2" in script.done)


async def test_without_its_consumer_a_loop_is_not_ready_and_binds_when_it_is_made(admin, as_user, loop_parts):
    script = Script()
    connection, health = loop_parts
    await admin.stream.delete_consumer(COMMANDS, executor_consumer("eu1"))
    async with running(consumer(connection, health, script)):
        await eventually("not ready", lambda: "consumer executor-eu1" in health.report()["missing"])
        await ensure_cluster(admin.stream, "eu1")
        await eventually("ready", lambda: health.ready)
        await order(await as_user("gateway"), "op1")
        await eventually("done", lambda: script.done == ["op1"])


async def _none_left(admin) -> bool:
    return await unanswered(admin) == 0
