"""Questions with an answer, past every stream: core NATS request and reply. What is not answered was not asked.

Every process that serves a subject shares its questions with the others (one queue group). A question never hangs for want of
words: whoever cannot answer says so, and the asker hears Unavailable, as when nobody serves or nobody answers in time.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import nats.errors
import structlog
from nats.aio.msg import Msg

from shared.contracts.base import Wire
from shared.contracts.catalogue import UnreadableError, decode, encode
from shared.contracts.envelope import Envelope
from shared.messaging.connection import NATS, Connection, available
from shared.messaging.outcomes import Unavailable
from shared.messaging.traces import handling, sending
from shared.runtime import logging

log = structlog.get_logger(__name__)

Answers = Callable[[Envelope[Any]], Awaitable[Wire]]
"""Answers one question. What it raises becomes a refusal without details: those are for its own log."""

_QUEUE = "servers"
_PROBLEM = "Leeward-Problem"
"""Header of a reply without a body: why there is no answer."""


async def serve(connection: Connection, subject: str, answers: Answers, *, at_once: int = 4, waiting: int = 32) -> None:
    """Answer questions until cancelled: some at once, some more waiting for their turn, those beyond are told to come again."""
    turn = asyncio.Semaphore(at_once)
    running: set[asyncio.Task[None]] = set()

    async def take(message: Msg) -> None:
        if len(running) >= at_once + waiting:
            await _say(connection, message, problem="is asked too much at once")
            return
        task = asyncio.create_task(_answer(connection, message, turn, answers))
        running.add(task)
        task.add_done_callback(running.discard)

    with available():
        subscription = await connection.client.subscribe(subject, queue=_QUEUE, cb=take)
    try:
        await asyncio.get_running_loop().create_future()  # for ever
    finally:
        with contextlib.suppress(nats.errors.Error, ConnectionError):  # the link is gone, and the subscription with it
            await subscription.unsubscribe()
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)


async def ask(connection: Connection, subject: str, envelope: Envelope[Wire], timeout: float) -> bytes:
    """Ask one question and return the answer as it came.

    Raises Unavailable when nobody serves the subject, nobody answers in time, or whoever was asked could not answer.
    """
    whom = f"executor of {envelope.cluster}"
    if not connection.client.is_connected:
        raise Unavailable(NATS, "disconnected")  # the client would keep the question, and ask it too late
    with sending(subject, envelope) as sent, available():
        try:
            reply = await connection.client.request(subject, encode(sent), timeout=timeout)
        except nats.errors.NoRespondersError as nobody:
            raise Unavailable(whom, "is not running, or cannot be reached") from nobody
        except nats.errors.TimeoutError as late:
            raise Unavailable(whom, f"did not answer within {timeout:g} s") from late
    if problem := (reply.headers or {}).get(_PROBLEM):
        raise Unavailable(whom, problem)
    return reply.data


async def _answer(connection: Connection, message: Msg, turn: asyncio.Semaphore, answers: Answers) -> None:
    try:
        async with turn:
            _, question = decode(message.subject, message.data)
            with handling("", _QUEUE, message.subject, 1, question):
                answer = await answers(question)
        await _say(connection, message, answer.model_dump_json(by_alias=True, exclude_none=True).encode())
    except asyncio.CancelledError:
        await _say(connection, message, problem="is stopping")
        raise
    except UnreadableError as error:
        await _say(connection, message, problem=f"could not read the question: {error}"[:500])
    except Exception:
        log.exception("question failed", **{logging.SUBJECT: message.subject})
        await _say(connection, message, problem="failed at the question; its log says why")


async def _say(connection: Connection, message: Msg, answer: bytes = b"", *, problem: str = "") -> None:
    """Reply, if the link is there: without it nobody can be told, and the asker's time runs out."""
    if not message.reply:
        return
    headers = {_PROBLEM: problem.replace("\r", " ").replace("\n", " ")} if problem else None
    with contextlib.suppress(nats.errors.Error, ConnectionError):
        await connection.client.publish(message.reply, answer, headers=headers)
