"""The state feed as a stream to follow: in order, without gaps, from any point that is still stored. Never for work."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any

import nats.errors
import nats.js.errors
import structlog
from nats.aio.msg import Msg
from nats.js import api

from shared.contracts import subjects
from shared.contracts.catalogue import UnreadableError, decode
from shared.contracts.envelope import Envelope
from shared.messaging.connection import Connection, available
from shared.messaging.letters import dead_letter
from shared.messaging.outcomes import Unavailable
from shared.messaging.publisher import Publisher
from shared.messaging.pull import PullLost, pull
from shared.messaging.topology import STATE
from shared.runtime.health import Dependency
from shared.runtime.stopping import unless_cancelled

log = structlog.get_logger(__name__)

_TROUBLE = (Unavailable, PullLost, nats.errors.Error, nats.js.errors.Error, ConnectionError, TimeoutError)
_BATCH = 256


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the feed. Sequences of one stream say nothing about another, also one of the same name made later."""

    stream: str
    sequence: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of the feed with its place in the stream."""

    sequence: int
    subject: subjects.Subject
    envelope: Envelope[Any]
    stream: str = ""
    """Which stream it lies in, as in Place."""


async def newest(connection: Connection) -> Place:
    """Return where the state feed ends now.

    Raises Unavailable when it does not answer.
    """
    with available():
        info = await connection.stream.stream_info(STATE)
    made = info.created.timestamp() if info.created else 0
    return Place(f"{int(made * 1000):x}", info.state.last_seq)


async def follow(connection: Connection, dependency: Dependency, after: int) -> AsyncGenerator[Entry]:
    """Yield every state change after that sequence, in order, for ever: a lost consumer is made again where it stopped."""
    stream = None
    while True:
        unless_cancelled()
        try:
            end = await newest(connection)
            if end.sequence < after or end.stream != (stream or end.stream):
                after = 0  # the stream was made anew: nothing of it has been seen
            stream = end.stream
            info = await connection.stream.add_consumer(
                STATE,
                api.ConsumerConfig(
                    name=f"feed-{secrets.token_hex(8)}",
                    filter_subject="lw.state.>",
                    ack_policy=api.AckPolicy.NONE,
                    deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
                    opt_start_seq=after + 1,
                    inactive_threshold=60,
                    mem_storage=True,
                    num_replicas=1,
                ),
            )
            dependency.answers()
            async with contextlib.aclosing(pull(connection.client, STATE, info.name, _always)) as messages:
                async for message in messages:
                    after = message.metadata.sequence.stream
                    try:
                        address, envelope = decode(message.subject, message.data)
                    except UnreadableError as error:
                        log.warning("state change skipped", sequence=after, reason=str(error))
                        await _bury(connection, message, after, str(error))
                        continue
                    yield Entry(after, address, envelope, stream)
        except _TROUBLE as error:
            dependency.missing(str(error) or type(error).__name__)
            await asyncio.sleep(0.5)


async def _bury(connection: Connection, message: Msg, sequence: int, reason: str) -> None:
    """Put an unreadable change among the dead letters; without them answering, the log has to do: it is no work."""
    facts = message.metadata
    letter = dead_letter(STATE, "feed", message, sequence, facts.num_delivered, reason=reason, now=facts.timestamp)
    with contextlib.suppress(Unavailable):
        await Publisher(connection).publish(subjects.dead_letter(STATE, "feed"), letter)


async def live(connection: Connection) -> AsyncIterator[tuple[subjects.Subject, Envelope[Any]]]:
    """Yield progress as it passes by; what is missed is missed."""
    subscription = await connection.client.subscribe("lw.live.>")
    try:
        async for message in subscription.messages:
            with contextlib.suppress(UnreadableError):
                yield decode(message.subject, message.data)
    finally:
        with contextlib.suppress(nats.errors.Error):
            await subscription.unsubscribe()


async def _always() -> int:
    return _BATCH
