"""Watches: the changes of one kind as a client sees them through its selector."""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Self

from simulator.documents import Document, clone
from simulator.errors import expired
from simulator.etcd import Change, Compacted, Etcd
from simulator.selectors import Selector

EventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One line of a watch stream."""

    type: EventType
    object: Document

    def document(self) -> Document:
        """Return the event as it goes over the wire."""
        return {"type": self.type, "object": self.object}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects a list or a watch is about; without a namespace, those of all namespaces."""

    resource: str
    namespace: str
    selector: Selector

    def contains(self, document: Document | None) -> bool:
        """Tell whether an object belongs to the selection; nothing does not."""
        if document is None or (self.namespace and document["metadata"].get("namespace") != self.namespace):
            return False
        return self.selector.matches(document)

    def event(self, change: Change) -> WatchEvent | None:
        """Return how a change looks from here: an object that leaves the selection is DELETED, one that enters it ADDED."""
        was, now = self.contains(change.before), self.contains(change.after)
        if now and change.after is not None:
            return WatchEvent("MODIFIED" if was else "ADDED", clone(change.after))
        if was and change.before is not None:
            last = clone(change.before)
            last["metadata"]["resourceVersion"] = str(change.revision)
            return WatchEvent("DELETED", last)
        return None


class Watch:
    """The events after one revision: an asynchronous iterator that ends only by `close()`.

    Raises ApiError (410) when it cannot go on: the changes it starts from are compacted, its reader is far too slow, or etcd
    was restored. A watch from a version that the cluster has not reached is silent until the counter is past it.
    """

    MOST_UNREAD = 100_000

    def __init__(self, etcd: Etcd, selection: Selection, position: int, first: Iterable[WatchEvent] = ()) -> None:
        self._etcd = etcd
        self._selection = selection
        self._position = position
        self._unread = deque(first)
        self._expired = False
        self._closed = False
        self.changed = asyncio.Event()
        """Set when `take()` may have something new."""
        try:
            missed = etcd.since(position, selection.resource)
        except Compacted as gone:
            raise expired(str(gone)) from gone
        for change in missed:
            self._hear(change)
        etcd.listen(selection.resource, self._hear)

    def _hear(self, change: Change | None) -> None:
        if change is None or len(self._unread) > self.MOST_UNREAD:
            self._expired = True
        elif change.revision > self._position and (event := self._selection.event(change)) is not None:
            self._unread.append(event)
        self.changed.set()

    @property
    def revision(self) -> int:
        """The newest version of the cluster: what a reader has seen who has taken everything."""
        return self._etcd.revision

    def take(self) -> list[WatchEvent]:
        """Return everything that has happened and was not taken yet, without waiting. Raise ApiError (410)."""
        self.changed.clear()
        if self._expired:
            raise expired(f"too old resource version: {self._position} ({self._etcd.floor(self._selection.resource)})")
        taken = list(self._unread)
        self._unread.clear()
        return taken

    def close(self) -> None:
        """End the iteration, also one that is waiting."""
        self._closed = True
        self._etcd.unlisten(self._selection.resource, self._hear)
        self.changed.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WatchEvent:
        while not self._closed:
            self._unread.extend(self.take())
            if self._unread:
                return self._unread.popleft()
            await self.changed.wait()
        raise StopAsyncIteration
