"""The consumer loop: one object's messages in order, different objects in parallel, every outcome decided in one place.

A handler is a plain coroutine `(message, delivery, ports)`. How it ends decides what happens (architecture, section 3):
return → ack; Retry or an unknown exception → wait and try again; Unavailable → all wait; unreadable → dead letters.
"""

import asyncio
import contextlib
import dataclasses
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

import nats.errors
import structlog
from nats.aio.msg import Msg
from prometheus_client import Counter, Gauge

from shared.contracts import subjects
from shared.contracts.catalogue import UnreadableError, decode
from shared.contracts.envelope import Envelope
from shared.messaging.connection import Connection
from shared.messaging.letters import dead_letter
from shared.messaging.outcomes import Retry, Unavailable
from shared.messaging.publisher import Publisher
from shared.messaging.pull import PullLost, pull
from shared.messaging.traces import handling, trace_of
from shared.runtime import logging
from shared.runtime.clock import Clock
from shared.runtime.health import Health
from shared.runtime.pacing import jittered
from shared.runtime.stopping import unless_cancelled

log = structlog.get_logger(__name__)

_HANDLED = Counter("leeward_messages_total", "Messages by how they ended", ["consumer", "outcome"])
_HELD = Gauge("leeward_messages_held", "Messages taken and not yet answered", ["consumer"])

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a message came: its subject, sequence in the stream, when it was stored, how often it was delivered.

    At each attempt, too: how many later ones of its key are `behind` it, and how many of other keys a Retry keeps `waiting`.
    """

    subject: subjects.Subject
    sequence: int
    stored_at: datetime
    deliveries: int
    behind: int = 0
    waiting: int = 0


Handler = Callable[[Envelope[Any], Delivery, P], Awaitable[None]]
Routes = Mapping[str, Handler[P]]
"""Which handler answers which type; the whole behaviour of a consumer at a glance."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How the loop waits, in seconds. `retries` is the ladder; its last step repeats."""

    heartbeat: float = 10.0
    retries: tuple[float, ...] = (1, 5, 15, 60)
    probes: tuple[float, ...] = (0.5, 1, 2, 5)
    unknown_exceptions: int = 10
    grace: float = 5.0
    capacity: int = 256


_Place = tuple[int, datetime]
"""Where a message lies: a stream that was made anew begins with the same sequences, but not at the same time."""


def _place(message: Msg) -> _Place:
    return message.metadata.sequence.stream, message.metadata.timestamp


@dataclass(slots=True, eq=False)
class _Held:
    """A message that was taken and not yet answered. Without an envelope it could not be read, and `problem` says why."""

    message: Msg
    delivery: Delivery
    key: str
    envelope: Envelope[Any] | None
    problem: str = ""
    running: bool = False


@dataclass(slots=True, eq=False)
class Consumer(Generic[P]):
    """Reads one durable consumer for ever. `key` says which messages must stay in order among themselves.

    `sure_acks` waits for the broker to confirm each ack: for commands, where a lost ack costs a look into the record.
    """

    connection: Connection
    stream: str
    name: str
    routes: Routes[P]
    ports: P
    key: Callable[[Envelope[Any], subjects.Subject], str]
    clock: Clock
    health: Health
    sure_acks: bool = False
    patience: Patience = Patience()
    _held: dict[_Place, _Held] = field(default_factory=dict)
    _queues: dict[str, deque[_Held]] = field(default_factory=dict)
    _workers: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _resting: set[str] = field(default_factory=set)
    """The keys whose first message waits to be tried again."""
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _room: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: bool = False
    _crashed: bool = False

    async def run(self) -> None:
        """Consume until cancelled; then let what has begun end within the grace and give the rest back."""
        self._open.set()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._beat())
                try:
                    await self._fetch(tasks)
                except asyncio.CancelledError:
                    await self._give_back()
                    raise
        finally:
            self.health.forget(self._bound)

    @property
    def _bound(self) -> str:
        return f"consumer {self.name}"

    # ------------------------------------------------------------------ taking messages

    async def _fetch(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            unless_cancelled()
            await self._until_bound()
            try:
                async with contextlib.aclosing(pull(self.connection.client, self.stream, self.name, self._grant)) as messages:
                    async for message in messages:
                        self._take(message, tasks)
            except (PullLost, nats.errors.Error, ConnectionError) as lost:
                self.health.depends_on(self._bound).missing(str(lost) or type(lost).__name__)
                log.warning("consumer lost", **{logging.CONSUMER: self.name, logging.REASON: str(lost)})
                await asyncio.sleep(jittered(0.5))

    async def _until_bound(self) -> None:
        """Wait until the durable consumer exists; the topology command makes it, never a service that reads it."""
        dependency = self.health.depends_on(self._bound)
        for wait in _ladder(self.patience.probes):
            unless_cancelled()
            try:
                await self.connection.stream.consumer_info(self.stream, self.name, timeout=self.connection.timeout)
            except (nats.errors.Error, ConnectionError, TimeoutError) as error:
                dependency.missing(str(error) or type(error).__name__)
                await asyncio.sleep(jittered(wait))
            else:
                dependency.answers()
                return

    async def _grant(self) -> int:
        """Return how many more messages may be taken: none while a dependency is missing or the hands are full."""
        while True:
            await self._open.wait()
            room = self.patience.capacity - len(self._held)
            if room > 0:
                return room
            self._room.clear()
            await self._room.wait()

    def _take(self, message: Msg, tasks: asyncio.TaskGroup) -> None:
        known = self._held.get(_place(message))
        if known is not None:
            known.message = message  # delivered again while we hold it: answer the newest delivery
            return
        held = self._read(message)
        key = held.key
        self._held[_place(message)] = held
        _HELD.labels(self.name).set(len(self._held))
        if key in self._queues:
            self._queues[key].append(held)
        else:
            self._queues[key] = deque((held,))
            self._workers[key] = tasks.create_task(self._work(key))

    def _read(self, message: Msg) -> _Held:
        facts = message.metadata
        where, envelope, problem = self._decode(message)
        delivery = Delivery(where, facts.sequence.stream, facts.timestamp, facts.num_delivered)
        key = self.key(envelope, where) if envelope else f"unreadable/{delivery.sequence}"
        return _Held(message, delivery, key, envelope, problem)

    def _decode(self, message: Msg) -> tuple[subjects.Subject, Envelope[Any] | None, str]:
        try:
            where, envelope = decode(message.subject, message.data)
        except UnreadableError as error:
            return subjects.Subject("", "", "", ""), None, str(error)
        return (where, envelope, "") if envelope.type in self.routes else (where, None, f"no handler for {envelope.type}")

    # ------------------------------------------------------------------ working on them

    async def _work(self, key: str) -> None:
        queue = self._queues[key]
        try:
            while queue and not self._stopping:
                held = queue[0]
                await self._handle(held)
                queue.popleft()
                self._held.pop(_place(held.message), None)
                _HELD.labels(self.name).set(len(self._held))
                self._room.set()
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._crashed = True  # the process is going down: answer nothing, the broker delivers again
            raise
        finally:
            del self._queues[key], self._workers[key]

    async def _handle(self, held: _Held) -> None:
        """Bring one message to its end: acked or buried."""
        failures = 0
        for wait in _ladder(self.patience.retries):
            if held.envelope is None:
                await self._bury(held, held.problem)
                return
            try:
                await self._attempt(held, held.envelope)
            except Retry as retry:
                delay, reason = retry.after if retry.after is not None else wait, str(retry)
            except Exception as error:
                failures += 1
                delay, reason = wait, repr(error)
                log.exception("handler failed", **self._words(held), failures=failures)
                if failures >= self.patience.unknown_exceptions:
                    await self._bury(held, f"failed {failures} times, last with {reason}")
                    return
            else:
                await self._ack(held)
                held.running = False
                return
            held.running = False
            _HANDLED.labels(self.name, "retried").inc()
            log.info("message waits", **self._words(held), **{logging.REASON: reason}, seconds=round(delay, 1))
            self._resting.add(held.key)
            try:
                await asyncio.sleep(jittered(delay))
            finally:
                self._resting.discard(held.key)

    async def _attempt(self, held: _Held, envelope: Envelope[Any]) -> None:
        """Run the handler once, waiting out whatever it depends on: ends as the handler ends, but never with Unavailable."""
        while True:
            await self._open.wait()
            if self._stopping:
                raise asyncio.CancelledError  # begin nothing new: it is given back
            try:
                await self._call(held, envelope)
            except Unavailable as missing:
                held.running = False
                if self._open.is_set():
                    await self._probe(held, envelope, missing)
                    return
            else:
                return

    async def _probe(self, held: _Held, envelope: Envelope[Any], missing: Unavailable) -> None:
        """Close the gate and try this one message until its dependency answers; every other message waits at the gate."""
        self._open.clear()
        marked: set[str] = set()
        try:
            for wait in _ladder(self.patience.probes):
                unless_cancelled()
                for name in marked - {missing.dependency}:
                    self.health.depends_on(name).answers()  # the work came past it
                marked = {missing.dependency}
                self.health.depends_on(missing.dependency).missing(missing.reason, voice=self._bound)
                _HANDLED.labels(self.name, "held").inc()
                facts = {logging.DEPENDENCY: missing.dependency, logging.REASON: missing.reason, logging.CONSUMER: self.name}
                log.warning("dependency missing", **facts)
                await asyncio.sleep(jittered(wait))
                try:
                    await self._call(held, envelope)
                except Unavailable as still:
                    held.running = False
                    missing = still
                except Exception:
                    self.health.depends_on(missing.dependency).answers()
                    raise
                else:
                    self.health.depends_on(missing.dependency).answers()
                    return
        finally:
            self.health.depends_on(missing.dependency).withdraw(self._bound)  # cut short, nobody here asks any more
            self._open.set()

    async def _call(self, held: _Held, envelope: Envelope[Any]) -> None:
        held.running = True
        behind = sum(other.delivery.sequence > held.delivery.sequence for other in self._queues[held.key])
        waiting = sum(len(self._queues[key]) for key in self._resting)
        delivery = dataclasses.replace(held.delivery, behind=behind, waiting=waiting)
        with handling(self.stream, self.name, held.message.subject, held.delivery.deliveries, envelope):
            await self.routes[envelope.type](envelope, delivery, self.ports)

    # ------------------------------------------------------------------ answering

    async def _ack(self, held: _Held) -> None:
        _HANDLED.labels(self.name, "done").inc()
        try:
            if self.sure_acks:
                await held.message.ack_sync(timeout=self.connection.timeout)
            else:
                await held.message.ack()
        except (nats.errors.Error, TimeoutError, ConnectionError) as error:
            # It will be delivered again, and every handler may be called again.
            log.warning("ack lost", **self._words(held), **{logging.REASON: str(error) or type(error).__name__})

    async def _bury(self, held: _Held, reason: str) -> None:
        """Put the message among the dead letters, then end it; it is never lost in between."""
        message, delivery = held.message, held.delivery
        letter = dead_letter(
            self.stream, self.name, message, delivery.sequence, delivery.deliveries, reason=reason, now=self.clock()
        )
        for wait in _ladder(self.patience.probes):
            unless_cancelled()
            try:
                await Publisher(self.connection).publish(subjects.dead_letter(self.stream, self.name), letter)
                await message.term()
            except (Unavailable, nats.errors.Error, ConnectionError) as error:
                log.warning("dead letter waits", **self._words(held), **{logging.REASON: str(error)})
                await asyncio.sleep(jittered(wait))
            else:
                break
        _HANDLED.labels(self.name, "buried").inc()
        log.error("message buried", **self._words(held), **{logging.REASON: reason})

    async def _beat(self) -> None:
        """Tell the broker that what is held is being worked on, or waited with, so that nobody else is given it."""
        while True:
            unless_cancelled()
            await asyncio.sleep(self.patience.heartbeat)
            for held in list(self._held.values()):
                with contextlib.suppress(nats.errors.Error, ConnectionError):
                    await held.message.in_progress()

    async def _give_back(self) -> None:
        """Stop: what runs may end, the rest goes back to the broker at once."""
        self._stopping = True
        if self._crashed:
            return
        running = {self._workers[key] for key, queue in self._queues.items() if any(held.running for held in queue)}
        if running:
            await asyncio.wait(running, timeout=self.patience.grace)
        for held in list(self._held.values()):
            with contextlib.suppress(nats.errors.Error, ConnectionError):
                await held.message.nak()

    def _words(self, held: _Held) -> dict[str, Any]:
        operation = held.envelope.operationid if held.envelope else None
        return {
            logging.CONSUMER: self.name,
            logging.SUBJECT: held.message.subject,
            logging.SEQUENCE: held.delivery.sequence,
            **({logging.OPERATION: operation} if operation else {}),
            **trace_of(held.envelope),
        }


def _ladder(steps: tuple[float, ...]) -> Iterator[float]:
    """Yield the steps, then the last one for ever."""
    return itertools.chain(steps, itertools.repeat(steps[-1]))
