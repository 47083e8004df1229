"""Publishing so that nothing is said twice and nothing is believed to be said that was not stored."""

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol

import nats.errors
import nats.js.errors
from nats.js import api

from shared.contracts import subjects
from shared.contracts.base import Wire
from shared.contracts.catalogue import UnreadableError, decode, encode
from shared.contracts.envelope import CONTENT_TYPE, Envelope
from shared.messaging.connection import NATS, Connection, available
from shared.messaging.outcomes import Unavailable
from shared.messaging.topology import COMMANDS, EVENTS
from shared.messaging.traces import sending

_WRONG_LAST_SEQUENCE = 10071
_OF_SUBJECT = "Nats-Expected-Last-Subject-Sequence-Subject"
"""Names the filter that an expected sequence speaks of, instead of the message's own subject (nats-server 2.11)."""


class Publishes(Protocol):
    """What a handler needs to speak: the real publisher, or a test's that keeps what was said."""

    async def publish(self, subject: str, envelope: Envelope[Wire]) -> None:
        """Store a message; returns when the stream has it.

        Raises Unavailable when that is not known; publishing the same envelope again is then safe.
        """

    async def tell(self, subject: str, envelope: Envelope[Wire]) -> None:
        """Send a message that nobody stores and nobody may miss."""


class CommandTakenError(Exception):
    """The operation already has a command; `stored` is that one."""

    def __init__(self, stored: Envelope[Any]) -> None:
        super().__init__(f"operation {stored.operationid} is known")
        self.stored = stored


class CommandUnreadableError(Unavailable):
    """The operation already has a command, and nobody of this version can say which; asking again changes nothing."""


class CommandTooLargeError(Exception):
    """No message of this broker can carry the command."""


@dataclass(frozen=True, slots=True)
class Publisher:
    """Publishes through JetStream under the envelope's id, which the broker uses to drop a repeated message."""

    connection: Connection

    async def publish(self, subject: str, envelope: Envelope[Wire]) -> None:
        """See Publishes."""
        with sending(subject, envelope) as sent, available():
            await self.connection.stream.publish(subject, encode(sent), headers=_headers(sent))

    async def publish_command(self, subject: str, envelope: Envelope[Wire]) -> None:
        """Store a command as the first and only one of its operation.

        The stream itself refuses a second one, whatever its cluster, for as long as it keeps the first (14 days).

        Raises CommandTakenError with the stored command when there is one, and CommandUnreadableError when that cannot be read;
        CommandTooLargeError when it never will be stored; Unavailable when the outcome is not known.
        """
        first = {
            str(api.Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value): "0",
            _OF_SUBJECT: subjects.stored_command(str(envelope.operationid)),
        }
        with sending(subject, envelope) as sent, available():
            try:
                ack = await self.connection.stream.publish(subject, encode(sent), headers=_headers(sent) | first)
            except nats.errors.MaxPayloadError as error:
                raise CommandTooLargeError(f"the command of operation {envelope.operationid}") from error
            except nats.js.errors.APIError as error:
                if error.err_code != _WRONG_LAST_SEQUENCE:
                    raise
            else:
                if not ack.duplicate:
                    return
        found = await Record(self.connection).raw(COMMANDS, subjects.stored_command(str(envelope.operationid)), direct=False)
        if found is None:
            raise Unavailable(NATS, f"the command of operation {envelope.operationid} went while it was asked for")
        if (stored := _read(found)) is None:
            raise CommandUnreadableError(NATS, f"operation {envelope.operationid} has a command that cannot be read")
        raise CommandTakenError(stored)

    async def tell(self, subject: str, envelope: Envelope[Wire]) -> None:
        """See Publishes."""
        with available():
            await self.connection.client.publish(subject, encode(envelope))


@dataclass(frozen=True, slots=True)
class Record:
    """The streams as memory: what was asked for, and what a cluster has answered."""

    connection: Connection

    async def command(self, operation_id: str) -> Envelope[Any] | None:
        """Return the stored command of an operation, whatever its cluster; None if there is none (or it is older than 14 days).

        Raises Unavailable when the stream does not answer.
        """
        return await self._last(COMMANDS, subjects.stored_command(operation_id), direct=False)

    async def answer(self, cluster: str, operation_id: str) -> Envelope[Any] | None:
        """Return what this cluster has already said to an operation, `accepted` or `rejected`; None if nothing.

        Raises Unavailable when the stream does not answer.
        """
        accepted, rejected = await asyncio.gather(
            *(self.said(cluster, operation_id, verb) for verb in ("accepted", "rejected"))
        )
        return accepted or rejected

    async def said(self, cluster: str, operation_id: str, verb: str) -> Envelope[Any] | None:
        """Return what this cluster has last said to an operation in one way, such as `finished`; None if nothing.

        Raises Unavailable when the stream does not answer.
        """
        return await self._last(EVENTS, subjects.operation(cluster, verb, operation_id), direct=True)

    async def begun(self, cluster: str, operation_id: str) -> Envelope[Any] | None:
        """Return the last `step` that this cluster has told of an operation; None if it told none.

        Raises Unavailable when the stream does not answer.
        """
        return await self.said(cluster, operation_id, "step")

    async def measured(self, cluster: str, uid: str, noun: str = "backup") -> Envelope[Any] | None:
        """Return what was last found out about a backup or restore that has ended; None if nothing (or 30 days ago).

        Raises Unavailable when the stream does not answer.
        """
        return await self._last(EVENTS, subjects.measured(cluster, uid, noun), direct=True)

    async def raw(self, stream: str, subject: str, *, direct: bool) -> api.RawStreamMsg | None:
        """Return the last message of a subject as it is stored; None if there is none. `direct`: of whichever replica.

        Raises Unavailable when the stream does not answer.
        """
        with available():
            try:
                return await self.connection.stream.get_last_msg(stream, subject, direct=direct)
            except nats.js.errors.NotFoundError:
                return None

    async def _last(self, stream: str, subject: str, *, direct: bool) -> Envelope[Any] | None:
        found = await self.raw(stream, subject, direct=direct)
        return None if found is None else _read(found)


def _read(found: api.RawStreamMsg) -> Envelope[Any] | None:
    try:
        return decode(found.subject or "", found.data or b"")[1]
    except UnreadableError:
        return None


def _headers(envelope: Envelope[Wire]) -> dict[str, str]:
    headers = {str(api.Header.MSG_ID.value): envelope.id, "content-type": CONTENT_TYPE}
    if envelope.traceparent:
        headers["traceparent"] = envelope.traceparent
    return headers
