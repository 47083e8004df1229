"""What can go wrong between a client and the API server, for a test to order."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from simulator.errors import ApiError, initializing, internal, timed_out, unavailable


@dataclass(frozen=True, slots=True)
class Call:
    """A request as a fault sees it; `watch` says that it opens a stream."""

    method: str
    path: str
    query: str = ""
    watch: bool = False


Matcher = Callable[[Call], bool]


def every_call(_: Call) -> bool:
    """Match all requests."""
    return True


CANNED: dict[int, Callable[[], ApiError]] = {
    429: initializing,
    500: lambda: internal("a fault that was ordered"),
    503: unavailable,
    504: timed_out,
}


_REMEMBERED = 10_000


class Dropped(Exception):  # noqa: N818 (it ends a request; nobody handles it as an error)
    """The connection is gone: there is nobody to answer."""


class Stream(Protocol):
    """An open watch, as a fault sees it."""

    def cut(self, *, reset: bool) -> None:
        """End the stream."""


@dataclass(slots=True)
class _Order:
    """A fault for the next `left` requests that match."""

    left: int
    when: Matcher
    error: Callable[[], ApiError] | None
    """What the answer is; None when the answer is lost."""
    after: float = 0.0

    def concerns(self, call: Call) -> bool:
        """Tell whether the order is about a request. A watch has no answer to lose: it has `cut_watches`."""
        return self.when(call) and not (call.watch and self.error is None)


class Faults:
    """The faults of one cluster's front door. All of them can be ordered while requests are under way."""

    def __init__(self) -> None:
        self.latency = 0.0
        """Seconds that every request waits before it is handled."""
        self.calls: deque[Call] = deque(maxlen=_REMEMBERED)
        """The latest requests that came in, oldest first, also those that failed; a test may clear it."""
        self._streams: set[Stream] = set()
        self._orders: list[_Order] = []
        self._moving = asyncio.Event()
        self._moving.set()
        self._closing = asyncio.Event()

    # Orders

    def hang(self) -> None:
        """Freeze every request and silence every watch, as a stopped server process does, until `release`."""
        self._moving.clear()

    def release(self) -> None:
        """Let everything that hangs go on."""
        self._moving.set()

    def slow(self, seconds: float) -> None:
        """Let every request wait before it is handled; 0 ends it."""
        self.latency = seconds

    def fail_next(self, count: int = 1, code: int = 500, *, when: Matcher = every_call, after: float = 0.0) -> None:
        """Answer the next requests that match with 429 ("storage is (re)initializing"), 500, 503 or 504, unhandled.

        So many seconds later: a webhook that does not answer is waited for.
        """
        self._orders.append(_Order(count, when, CANNED[code], after))

    def lose_answers(self, count: int = 1, *, when: Matcher = every_call) -> None:
        """Handle the next requests that match, but break the connection instead of answering."""
        self._orders.append(_Order(count, when, None))

    def clear(self) -> None:
        """Withdraw every order, release what hangs, and forget the calls."""
        self._orders.clear()
        self.calls.clear()
        self.latency = 0.0
        self.release()

    def cut_watches(self, *, reset: bool = False) -> int:
        """End every open watch, in good order or with a broken connection. Return how many there were."""
        streams = tuple(self._streams)
        for stream in streams:
            stream.cut(reset=reset)
        return len(streams)

    # State, for the server and for assertions

    @property
    def hanging(self) -> bool:
        """Whether requests are frozen."""
        return not self._moving.is_set()

    @property
    def open_watches(self) -> int:
        """How many watch streams are open."""
        return len(self._streams)

    async def admit(self, call: Call) -> bool:
        """Let a request in, late or not at all; return whether its answer is to be lost.

        Raise ApiError where one was ordered, and Dropped when the server stops meanwhile.
        """
        self.calls.append(call)
        await self._wait(self.latency)
        await self.pause()
        for order in self._orders:
            if order.concerns(call):
                order.left -= 1
                if order.left <= 0:
                    self._orders.remove(order)
                await self._wait(order.after)
                if order.error is not None:
                    raise order.error()
                return True
        return False

    async def _wait(self, seconds: float) -> None:
        if seconds:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._closing.wait()

    async def pause(self) -> None:
        """Wait while the server hangs. Raise Dropped when it stops."""
        while self.hanging and not self._closing.is_set():
            await self._moving.wait()
        if self._closing.is_set():
            raise Dropped

    @contextmanager
    def streaming(self, stream: Stream) -> Iterator[None]:
        """Count a watch among the open ones."""
        self._streams.add(stream)
        try:
            yield
        finally:
            self._streams.discard(stream)

    def open(self) -> None:
        """Begin another life of the server. What hung before it does not hang now."""
        self._closing.clear()
        self._moving.set()

    def close(self) -> None:
        """Wake everything that waits in here, because the server stops."""
        self._closing.set()
        self._moving.set()
