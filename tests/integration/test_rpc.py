"""Request and reply on a real NATS with every user's permissions on: who is heard, and that nobody waits for nothing."""

import asyncio
import contextlib

import pytest

from services.gateway.bus import Bus
from shared.contracts import subjects
from shared.contracts.artifacts import MAX_CHUNK, Artifact, ArtifactRead, ArtifactReply, Chunk, Trouble
from shared.messaging.outcomes import Unavailable
from shared.messaging.rpc import ask, serve
from shared.messaging.topology import Timing
from tests.support.messages import envelope
from tests.support.timing import takes_nats_away
from tests.support.waiting import PATIENCE, eventually, subscribed

AGENT, HUB = subjects.artifact("eu1", agent=True), subjects.artifact("eu1", agent=False)


def question(name="b", **more):
    return envelope("artifact", "read", ArtifactRead(name=name, ids=["x"], artifact=Artifact.LOG, **more))


@contextlib.asynccontextmanager
async def serving(connection, subject, answers, **limits):
    task = asyncio.create_task(serve(connection, subject, answers, **limits))
    try:
        await eventually("subscribed", lambda: connection.client._subs)
        await subscribed(connection)
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


def chunk_of(size):
    async def answers(envelope):
        order = envelope.data
        return ArtifactReply(chunk=Chunk(etag='"e"', total=size, offset=order.offset, data=bytes(min(size, order.limit))))

    return answers


@pytest.mark.parametrize(("user", "subject"), [("cluster-eu1", AGENT), ("executor", HUB)])
async def test_the_largest_chunk_comes_through_from_an_agent_and_from_the_hub(as_user, user, subject):
    gateway = await as_user("gateway")
    async with serving(await as_user(user), subject, chunk_of(4 * MAX_CHUNK)):
        reply = ArtifactReply.model_validate_json(await ask(gateway, subject, question(), PATIENCE))
    assert reply.chunk is not None
    assert (len(reply.chunk.data), reply.chunk.total) == (MAX_CHUNK, 4 * MAX_CHUNK)


@pytest.mark.parametrize(("user", "subject"), [("cluster-us1", AGENT), ("status", HUB), ("cluster-eu1", HUB)])
async def test_nobody_answers_for_a_cluster_that_is_not_its_own(as_user, user, subject):
    gateway, stranger = await as_user("gateway"), await as_user(user)
    async with serving(stranger, subject, chunk_of(1)):
        with pytest.raises(Unavailable):
            await ask(gateway, subject, question(), 1)


async def test_any_number_of_readers_take_turns_and_none_is_turned_away(as_user):
    """An executor refuses what is more than it can keep waiting; a gateway asks no more than that at a time."""
    bus, under_way, most = Bus(Timing()), 0, 0

    async def answers(envelope):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return await chunk_of(7)(envelope)

    async with serving(await as_user("executor"), HUB, answers, at_once=4, waiting=4):
        with bus.using(await as_user("gateway")):
            replies = await asyncio.gather(*(bus.ask(HUB, question(), PATIENCE) for _ in range(100)))
    assert {ArtifactReply.model_validate_json(reply).chunk.total for reply in replies} == {7}
    assert 1 <= most <= 4


async def test_without_anybody_who_serves_it_is_known_at_once(as_user):
    gateway = await as_user("gateway")
    begun = asyncio.get_running_loop().time()
    with pytest.raises(Unavailable, match="not running"):
        await ask(gateway, AGENT, question(), PATIENCE)
    assert asyncio.get_running_loop().time() - begun < PATIENCE / 2


async def test_a_handler_that_breaks_is_heard_of_and_serves_on(as_user):
    async def answers(envelope):
        if envelope.data.name == "odd":
            raise ValueError("https://bucket/key?X-Amz-Signature=secret")
        return ArtifactReply(trouble=Trouble.NOT_THERE, detail="no log")

    gateway = await as_user("gateway")
    async with serving(await as_user("executor"), HUB, answers):
        with pytest.raises(Unavailable) as broken:
            await ask(gateway, HUB, question("odd"), PATIENCE)
        reply = ArtifactReply.model_validate_json(await ask(gateway, HUB, question(), PATIENCE))
    assert "secret" not in str(broken.value)
    assert reply.trouble is Trouble.NOT_THERE


async def test_a_slow_answer_is_not_waited_for_longer_than_told(as_user):
    async def answers(_envelope):
        await asyncio.Event().wait()
        raise AssertionError

    gateway = await as_user("gateway")
    async with serving(await as_user("executor"), HUB, answers):
        with pytest.raises(Unavailable, match=r"within 0\.3 s"):
            await ask(gateway, HUB, question(), 0.3)


async def test_so_many_at_once_and_the_rest_is_told_so(as_user):
    free, busy, most = asyncio.Event(), 0, 0

    async def answers(_envelope):
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await free.wait()
        busy -= 1
        return ArtifactReply(trouble=Trouble.NOT_THERE)

    gateway = await as_user("gateway")
    async with serving(await as_user("executor"), HUB, answers, at_once=2, waiting=3):
        asked = [asyncio.create_task(ask(gateway, HUB, question(str(n)), PATIENCE)) for n in range(8)]
        await eventually("three are sent away", lambda: sum(t.done() for t in asked) == 3)
        assert all("too much" in str(t.exception()) for t in asked if t.done())
        free.set()
        await asyncio.wait(asked)
    assert (most, sum(t.exception() is None for t in asked)) == (2, 5)


async def test_whoever_stops_lets_nobody_wait(as_user):
    begun = asyncio.Event()

    async def answers(_envelope):
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    gateway = await as_user("gateway")
    async with serving(await as_user("executor"), HUB, answers) as server:
        asked = asyncio.create_task(ask(gateway, HUB, question(), 2 * PATIENCE))
        await begun.wait()
        server.cancel()
        with pytest.raises(Unavailable, match="stopping"):
            await asyncio.wait_for(asked, PATIENCE)


async def test_of_two_that_serve_one_answers(as_user):
    answered = []

    def by(name):
        async def answers(_envelope):
            answered.append(name)
            return ArtifactReply(trouble=Trouble.NOT_THERE)

        return answers

    gateway = await as_user("gateway")
    async with serving(await as_user("executor"), HUB, by("one")), serving(await as_user("executor"), HUB, by("two")):
        for _ in range(20):
            await ask(gateway, HUB, question(), PATIENCE)
    assert len(answered) == 20
    assert set(answered) == {"one", "two"}


@takes_nats_away
async def test_it_serves_again_after_the_broker_was_away(as_user, nats_server):
    gateway = await as_user("gateway")
    async with serving(await as_user("executor"), HUB, chunk_of(1)):
        nats_server.kill()
        with pytest.raises(Unavailable):
            await ask(gateway, HUB, question(), 1)
        nats_server.start()

        async def served() -> bool:
            with contextlib.suppress(Unavailable):
                return bool(await ask(gateway, HUB, question(), 1))
            return False

        await eventually("served again", served)
