"""The state feed inside the gateway: read once per process, given to all who wait for an operation or listen to events."""

import asyncio
import collections
import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import structlog

from shared.contracts.events import Changed, Progressed
from shared.contracts.subjects import Subject
from shared.messaging import feed
from shared.messaging.connection import NATS, Connection
from shared.messaging.outcomes import Unavailable
from shared.runtime import logging
from shared.runtime.health import Dependency
from shared.runtime.stopping import unless_cancelled

log = structlog.get_logger(__name__)

_RETRY = 0.5
_QUIET = 2.0
"""Seconds of silence after which a feed that is being caught up with has nothing more to say."""
_CATCH_UP = 5.0
_KNOWN = 50_000
_ID = re.compile(r"(?P<stream>[0-9a-z]{1,32})-(?P<sequence>[0-9]{1,19})")


@dataclass(frozen=True, slots=True)
class Event:
    """What a listener is told: the item of a noun. Without a sequence it was progress, which nobody can resume from."""

    sequence: int | None
    noun: str
    cluster: str
    item: dict[str, Any]
    stream: str = "0"

    @property
    def id(self) -> str | None:
        """Where to resume from after it: the stream and the place in it."""
        return None if self.sequence is None else f"{self.stream}-{self.sequence}"


@dataclass(frozen=True, slots=True)
class Interest:
    """What a listener wants to hear; empty = everything."""

    clusters: frozenset[str] = frozenset()
    nouns: frozenset[str] = frozenset()

    def covers(self, event: Event) -> bool:
        """Tell whether the listener wants this one."""
        return (not self.clusters or event.cluster in self.clusters) and (not self.nouns or event.noun in self.nouns)


@dataclass(slots=True, eq=False)
class Subscription:
    """One listener with its bounded queue. `missed` events before it make it begin with a reset."""

    interest: Interest
    begin: str
    """Where to resume from before anything has happened."""
    backlog: list[Event]
    reset: bool
    queue: asyncio.Queue[Event | None]
    closed: bool = False

    def offer(self, event: Event) -> None:
        """Give it an event; a full queue closes it, because a gap would be a lie."""
        if self.closed or not self.interest.covers(event):
            return
        try:
            self.queue.put_nowait(event)
        except asyncio.QueueFull:
            log.warning("event listener too slow, closed", waiting=self.queue.qsize())
            self.close()

    def close(self) -> None:
        """End it, also if it is just waiting for the next event."""
        self.closed = True
        with contextlib.suppress(asyncio.QueueFull):
            self.queue.put_nowait(None)

    async def next(self, timeout: float) -> Event | None:
        """Return the next event.

        Raises TimeoutError after so many seconds of silence. None = closed.
        """
        if self.closed:
            return None
        async with asyncio.timeout(timeout):
            return await self.queue.get()


@dataclass(slots=True, eq=False)
class Feed:
    """Everything that was announced lately, and everyone who wants to know. `history`: stored changes kept for resuming."""

    dependency: Dependency
    history: int = 5000
    buffer: int = 1000
    stream: str = "0"
    """Which stream is followed: one made anew has another name, and its sequences mean something else."""
    latest: int = 0
    _floor: int = 0
    """Every change after this sequence is in the ring."""
    _ring: collections.deque[Event] = field(default_factory=collections.deque)
    _known: collections.OrderedDict[tuple[str, str], int] = field(default_factory=collections.OrderedDict)
    _subscriptions: set[Subscription] = field(default_factory=set)
    _waiters: dict[str, set[asyncio.Event]] = field(default_factory=dict)
    _caught_up: asyncio.Event = field(default_factory=asyncio.Event)
    _closed: bool = False

    # ------------------------------------------------------------------ waiting for one operation

    @contextlib.contextmanager
    def waiting(self, operation_id: str) -> Iterator[asyncio.Event]:
        """Return an event that is set whenever something of that operation, or of the object it makes, is announced."""
        woken = asyncio.Event()
        self._waiters.setdefault(operation_id, set()).add(woken)
        try:
            yield woken
        finally:
            waiters = self._waiters[operation_id]
            waiters.discard(woken)
            if not waiters:
                del self._waiters[operation_id]

    # ------------------------------------------------------------------ listening to everything

    @contextlib.asynccontextmanager
    async def listening(self, interest: Interest, last_event_id: str | None) -> AsyncIterator[Subscription]:
        """Subscribe, from right behind an event that was heard before if that one is still known.

        Raises Unavailable when the feed has not been read yet.
        """
        try:
            async with asyncio.timeout(_CATCH_UP):
                await self._caught_up.wait()
        except TimeoutError as error:
            raise Unavailable(NATS, "the state feed has not been read yet") from error
        subscription = self._subscribe(interest, last_event_id)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def _subscribe(self, interest: Interest, last_event_id: str | None) -> Subscription:
        place = _ID.fullmatch(last_event_id or "")
        seen = int(place["sequence"]) if place and place["stream"] == self.stream else None
        known = seen is not None and self._floor <= seen <= self.latest
        backlog = [e for e in self._ring if known and (e.sequence or 0) > (seen or 0) and interest.covers(e)]
        reset = bool(last_event_id) and not known
        subscription = Subscription(interest, self.resume, backlog, reset, asyncio.Queue(self.buffer), closed=self._closed)
        self._subscriptions.add(subscription)
        return subscription

    @property
    def resume(self) -> str:
        """The id of the newest place: whoever has been given everything up to now may come back with it."""
        return f"{self.stream}-{self.latest}"

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return len(self._subscriptions)

    def close(self) -> None:
        """End every subscription, so that the server can stop."""
        self._closed = True
        for subscription in self._subscriptions:
            subscription.close()

    # ------------------------------------------------------------------ hearing

    def begin(self, after: int, latest: int, stream: str = "0") -> None:
        """Note where the ring begins and how far it must be filled before anyone may listen."""
        self.stream, self._floor, self.latest = stream, after, after
        if latest <= after:
            self._caught_up.set()

    def take(
        self, sequence: int, subject: Subject, change: Changed, operation_id: str | None, stream: str | None = None
    ) -> None:
        """Take a stored change: wake who waits, keep it for resuming, tell who listens. A stale one only wakes."""
        if sequence < self.latest or stream not in {None, self.stream}:
            self._begin_anew(sequence, stream or self.stream)
        self.latest = sequence
        for key in {change.id, operation_id} - {None}:
            for woken in self._waiters.get(key or "", ()):
                woken.set()
        if not self._is_news(subject.noun, change):
            return
        event = Event(sequence, subject.noun, subject.cluster, change.item, self.stream)
        self._ring.append(event)
        if len(self._ring) > self.history:
            self._floor = self._ring.popleft().sequence or self._floor
        self.tell(event)

    def take_progress(self, subject: Subject, progress: Progressed) -> None:
        """Take something that passes by: told to who listens now, kept by nobody. It may be overtaken by what is stored."""
        if progress.seq >= self._known.get((subject.noun, progress.id), progress.seq):
            self.tell(Event(None, subject.noun, subject.cluster, progress.item))

    def tell(self, event: Event) -> None:
        """Tell who listens now."""
        for subscription in list(self._subscriptions):
            subscription.offer(event)

    def _begin_anew(self, sequence: int, stream: str) -> None:
        """Forget everything: the stream was made anew, or put back. Whoever listens has to list again, and so to come back."""
        log.warning("state feed begins anew", stream=stream, sequence=sequence, was=self.resume)
        self.stream, self._floor = stream, sequence - 1
        self._ring.clear()
        self._known.clear()
        self._caught_up.set()
        for subscription in self._subscriptions:
            subscription.close()

    def _is_news(self, noun: str, change: Changed) -> bool:
        key = (noun, change.id)
        if self._known.get(key, -1) >= change.seq:
            return False
        self._known[key] = change.seq
        self._known.move_to_end(key)
        if len(self._known) > _KNOWN:
            self._known.popitem(last=False)
        return True

    # ------------------------------------------------------------------ following the streams

    async def follow(self, connection: Connection) -> None:
        """Follow stored changes for ever, from as far back as the ring holds."""
        end = await self._newest(connection)
        self.begin(max(0, end.sequence - self.history), end.sequence, end.stream)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._until_quiet(end.sequence))
            while True:
                unless_cancelled()
                try:
                    await self._read(connection, end.sequence)
                except Exception as error:
                    log.exception("state feed lost")
                    self.dependency.missing(str(error) or type(error).__name__)
                await asyncio.sleep(_RETRY)

    async def _read(self, connection: Connection, until: int) -> None:
        """Take changes from where the last one was; at that sequence the feed counts as read."""
        async with contextlib.aclosing(feed.follow(connection, self.dependency, self.latest)) as entries:
            async for entry in entries:
                if isinstance(entry.envelope.data, Changed):
                    self.take(entry.sequence, entry.subject, entry.envelope.data, entry.envelope.operationid, entry.stream)
                if entry.sequence >= until:
                    self._caught_up.set()

    async def follow_progress(self, connection: Connection) -> None:
        """Follow progress for ever."""
        while True:
            unless_cancelled()
            try:
                async for subject, envelope in feed.live(connection):
                    if isinstance(envelope.data, Progressed):
                        self.take_progress(subject, envelope.data)
            except Exception as error:  # noqa: BLE001 - progress may be missed, but never ends the process
                log.warning("progress lost", **{logging.REASON: str(error) or type(error).__name__})
            await asyncio.sleep(_RETRY)

    async def _newest(self, connection: Connection) -> feed.Place:
        while True:
            unless_cancelled()
            try:
                return await feed.newest(connection)
            except Exception as error:  # noqa: BLE001 - the client's own exceptions are not known here; all mean "not yet"
                self.dependency.missing(str(error) or type(error).__name__)
                await asyncio.sleep(_RETRY)

    async def _until_quiet(self, latest: int) -> None:
        """Stop catching up when the feed answers but has nothing more to say: its newest changes may have aged out."""
        heard = -1
        while not self._caught_up.is_set():
            if heard == self.latest and self.dependency.problem is None:
                self.latest = max(self.latest, latest)
                self._caught_up.set()
            heard = self.latest if self.dependency.problem is None else -1
            await asyncio.sleep(_QUIET)
