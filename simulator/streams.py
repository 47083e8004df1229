"""The HTTP side of a watch: newline-delimited JSON in chunks, with bookmarks, a time limit, and faults."""

import asyncio
import json
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from simulator.documents import Document
from simulator.errors import ApiError
from simulator.faults import Dropped, Faults
from simulator.kinds import Kind
from simulator.watch import Watch, WatchEvent

INITIAL_EVENTS_END = {"k8s.io/initial-events-end": "true"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the client asked for: `seconds` until the end, whether bookmarks come, how often, and one after the first events."""

    seconds: float
    bookmarks: bool
    bookmark_interval: float
    mark_initial_end: bool


def bookmark(kind: Kind, revision: int, annotations: dict[str, str] | None = None) -> WatchEvent:
    """Return the event that says: up to this version you have seen everything."""
    metadata: Document = {"resourceVersion": str(revision)}
    if annotations:
        metadata["annotations"] = annotations
    return WatchEvent("BOOKMARK", {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata})


class WatchStream:
    """An ASGI response that lasts until its time is up, the client leaves, the watch fails, or a fault cuts it."""

    def __init__(self, kind: Kind, watch: Watch, terms: Terms, faults: Faults) -> None:
        self._kind = kind
        self._watch = watch
        self._terms = terms
        self._faults = faults
        self._ended = False
        self._reset = False

    def cut(self, *, reset: bool) -> None:
        """End the stream; with `reset` without the last chunk."""
        self._ended, self._reset = True, reset
        self._watch.changed.set()

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Stream the events. Raise Dropped when the connection is to be broken."""
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-cache, private")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        leaving = asyncio.create_task(self._until_gone(receive))
        try:
            with self._faults.streaming(self):
                await self._stream(send)
        finally:
            leaving.cancel()
            self._watch.close()
        if self._reset:
            raise Dropped
        await send({"type": "http.response.body", "body": b""})

    async def _until_gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.cut(reset=True)

    async def _stream(self, send: Send) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._terms.seconds
        next_bookmark = loop.time() + self._terms.bookmark_interval
        await self._send_new(send)
        if self._terms.mark_initial_end:
            await self._send_bookmark(send, INITIAL_EVENTS_END)
        while not self._ended and loop.time() < end:
            await self._wait(min(end, next_bookmark) - loop.time())
            await self._faults.pause()
            await self._send_new(send)
            if loop.time() >= next_bookmark:
                next_bookmark = loop.time() + self._terms.bookmark_interval
                await self._send_bookmark(send)
        await self._send_bookmark(send)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(seconds, 0)):
                await self._watch.changed.wait()
        except TimeoutError:
            pass

    async def _send_new(self, send: Send) -> None:
        try:
            events = [] if self._ended else self._watch.take()
        except ApiError as error:
            events = [WatchEvent("ERROR", error.status())]
            self._ended = True
        if events:
            lines = b"".join(_line(event) for event in events)
            await send({"type": "http.response.body", "body": lines, "more_body": True})

    async def _send_bookmark(self, send: Send, annotations: dict[str, str] | None = None) -> None:
        if self._terms.bookmarks and not self._ended:
            event = bookmark(self._kind, self._watch.revision, annotations)
            await send({"type": "http.response.body", "body": _line(event), "more_body": True})


class ErrorStream:
    """A watch that begins and ends with one ERROR event: HTTP 200, as the real server answers a version that is too old."""

    def __init__(self, error: ApiError) -> None:
        self._error = error

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send the one event."""
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": _line(WatchEvent("ERROR", self._error.status()))})


def _line(event: WatchEvent) -> bytes:
    return json.dumps(event.document(), separators=(",", ":")).encode() + b"\n"
