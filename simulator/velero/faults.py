"""What can go wrong inside Velero, for a test to order. A Velero that is down is `stop()` or `kill()`."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar


@dataclass(frozen=True, slots=True)
class Flaw:
    """What one backup or restore is to suffer. Texts go into its results, as items that could not be handled would."""

    errors: tuple[str, ...] = ()
    """Errors of items, by which the run ends PartiallyFailed."""
    warnings: tuple[str, ...] = ()
    upload: str = ""
    """Why its upload fails, by which the run ends Failed."""
    operations: int = 0
    """How many asynchronous operations it waits for after its items, as moving the data of volumes does."""
    failed_operations: int = 0
    """How many of them fail."""


@dataclass(slots=True)
class _Hold:
    kind: str
    name: str
    phase: str
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def concerns(self, kind: str, name: str, phase: str) -> bool:
        return kind == self.kind and phase == self.phase and self.name in {name, "*"}


_Order = TypeVar("_Order")


class Faults:
    """The faults of one Velero. They survive its restarts, and all of them can be ordered while it runs."""

    def __init__(self) -> None:
        self.slowness = 1.0
        """By how much all work is slower than it is by itself."""
        self._holds: list[_Hold] = []
        self._flaws: list[tuple[str, str, Flaw]] = []
        self._lost_wake_ups = 0

    # Orders

    def hold(self, name: str = "*", phase: str = "InProgress", *, kind: str = "backups") -> None:
        """Let an object (every one, by `*`) stay in a phase once it is written there, until `release`.

        A location (kind `backupstoragelocations`) stays New before it is looked at for the first time, and Syncing, which no
        object says, before what lies in it is brought.
        """
        self._holds.append(_Hold(kind, name, phase))

    def release(self, name: str = "*") -> None:
        """Let one object go on, or everything that is held."""
        for hold in self._taken(self._holds, lambda hold: name in {"*", hold.name}):
            hold.released.set()

    async def held(self, name: str = "*") -> None:
        """Wait until the object that was ordered to be held is."""
        for hold in [hold for hold in self._holds if hold.name == name]:
            await hold.reached.wait()

    def flaw(self, flaw: Flaw, name: str = "*", *, kind: str = "backups") -> None:
        """Let the object of this name, or the next one, suffer."""
        self._flaws.append((kind, name, flaw))

    def lose_wake_ups(self, count: int = 1) -> None:
        """Let the queue not notice that the next backups end; it looks again at its next tick."""
        self._lost_wake_ups += count

    def clear(self) -> None:
        """Withdraw every order and release what is held."""
        self.slowness = 1.0
        self._flaws.clear()
        self._lost_wake_ups = 0
        self.release()

    # For the controllers

    async def reach(self, kind: str, name: str, phase: str) -> None:
        """Say that a phase has been written, and wait there as long as it is held."""
        for hold in [hold for hold in self._holds if hold.concerns(kind, name, phase)]:
            hold.reached.set()
            await hold.released.wait()

    def suffered(self, kind: str, name: str) -> Flaw:
        """Return what an object suffers, which is nothing unless it was ordered; each order is used once."""
        for order in self._flaws:
            if order[0] == kind and order[1] in {name, "*"}:
                self._flaws.remove(order)
                return order[2]
        return Flaw()

    def loses_wake_up(self) -> bool:
        """Tell whether a wake-up was ordered to be lost, and count it."""
        lost = self._lost_wake_ups > 0
        self._lost_wake_ups -= lost
        return lost

    @staticmethod
    def _taken(orders: list[_Order], which: Callable[[_Order], bool]) -> list[_Order]:
        taken = [order for order in orders if which(order)]
        orders[:] = [order for order in orders if not which(order)]
        return taken
