"""The shape of a controller, and the queue that it works off.

A controller is a class with `kind`, `reconcile(name)` and, where it needs them, `also`, `tick`, `keys` and `ticked`. It is
listed in the table of `server.py`. What it may use hangs on `self.velero`: `client` (objects), `known(kind)` (the same, to look
through), `storage(location)` (a bucket), `settings`, `work(seconds)`, `sleep(seconds)`, `due(timestamp, period)`, `faults`,
`tracker`, `chance`.

Three rules keep a kill honest: write through `self.velero.client` only, write nothing in `finally`, and take every decision
from the objects, not from what an earlier reconcile remembers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.documents import Document

if TYPE_CHECKING:
    from simulator.velero.server import Velero


@dataclass(frozen=True, slots=True)
class Change:
    """What an informer has noticed about one object: `before` is None when it is new, `after` when it is gone."""

    kind: str
    name: str
    before: Document | None
    after: Document | None


class Retry(Exception):  # noqa: N818 (it says what to do)
    """This cannot be done yet: try again later. The text says why."""


class Controller:
    """One kind of work. `reconcile` is called for one name at a time, never twice at once for the same name."""

    kind: str
    """The kind whose names are its keys, e.g. `backups`."""
    also: tuple[str, ...] = ()
    """Further kinds whose changes it hears of."""
    tick: str = ""
    """The setting that holds the period of `ticked`; empty without one."""
    heeds_changes: bool = True
    """Whether changes give it work; if not, its ticks do."""
    workers: int = 1

    def __init__(self, velero: Velero) -> None:
        self.velero = velero
        self.client = velero.client
        self.settings = velero.settings

    def keys(self, change: Change) -> Iterable[str]:
        """Return what to reconcile after a change: the object itself, unless it is gone or of another kind."""
        heeded = self.heeds_changes and change.kind == self.kind and change.after is not None
        return (change.name,) if heeded else ()

    def ticked(self) -> Iterable[str]:
        """Return what to reconcile at every tick: everything of the kind."""
        return [document["metadata"]["name"] for document in self.velero.known(self.kind)]

    async def reconcile(self, name: str) -> None:
        """Bring one object forward. Whatever it raises is logged, and the name is tried again after a while."""
        raise NotImplementedError


class WorkQueue:
    """Names to work on, each at most once; a name that comes while it is worked on is handed out again afterwards."""

    def __init__(self) -> None:
        self._waiting: deque[str] = deque()
        self._working: set[str] = set()
        self._again: set[str] = set()
        self._arrived = asyncio.Event()
        self._closed = False

    def add(self, name: str) -> None:
        """Ask for work on a name."""
        if name in self._working:
            self._again.add(name)
        elif name not in self._waiting:
            self._waiting.append(name)
            self._arrived.set()

    def close(self) -> None:
        """Hand out nothing more."""
        self._closed = True
        self._arrived.set()

    async def take(self) -> str | None:
        """Wait for a name to work on, for which `done` is due afterwards; None says that there is no more."""
        while not self._waiting and not self._closed:
            self._arrived.clear()
            await self._arrived.wait()
        if self._closed:
            return None
        name = self._waiting.popleft()
        self._working.add(name)
        return name

    def done(self, name: str) -> None:
        """Say that the work on a name has ended."""
        self._working.discard(name)
        if name in self._again:
            self._again.discard(name)
            self.add(name)
