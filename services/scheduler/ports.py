"""What the scheduler works with: the memory, the voice and the clock. Tests bring their own."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from shared.contracts.base import Wire
from shared.contracts.envelope import Envelope
from shared.contracts.schedules import Tick
from shared.runtime.clock import Clock

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sketch:
    """As much of a schedule as says when its next slot is due, and up to which slot all is decided.

    `document` has no more than `_id`, `eras`, `spread`, `spreadSince` and `deleting`.
    """

    document: Document
    decided_to: datetime | None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is stored about a schedule at one moment. `status`: its `version` and `reasons`; `skipped`: see Known."""

    document: Document
    decided_to: datetime | None = None
    skipped: int = 0
    status: Document | None = None
    registration: Document | None = None


class Remembers(Protocol):
    """The memory. Every call raises Unavailable("mongodb") when the database does not answer, and may then be repeated."""

    def sketches(self, since: datetime | None) -> AsyncIterator[Sequence[Sketch]]:
        """Yield every schedule, or those that have changed since then, some hundred at a time."""

    async def facts(self, schedules: Sequence[str]) -> Sequence[Facts]:
        """Return what is known of these schedules; those that are gone are left out.

        What is said of a schedule is not older than the call.
        """

    async def insert(self, ticks: Sequence[Tick]) -> Collection[str]:
        """Store decisions, in any order: no two are of one schedule. Return those whose slot was decided before.

        Raises whatever it may for one that it will never take; then it is not known what became of the others.
        """

    async def newest(self, schedules: Sequence[str]) -> Mapping[str, datetime]:
        """Return the last slot of each of these schedules that is decided, by its ticks."""

    async def mark(self, ticks: Mapping[str, str | None]) -> None:
        """Note that the stream has the commands of these; or the code for which it never will have that of one."""

    async def advance(self, decided_to: Mapping[str, datetime]) -> None:
        """Note up to which slot all is decided, by schedule; never back."""

    def unpublished(self, since: datetime) -> AsyncIterator[Sequence[Tick]]:
        """Yield what was decided to run, with a deadline after then, and is not known to be in the stream."""

    async def resting(self, after: datetime, until: datetime) -> Sequence[str]:
        """Return the schedules of which something that ran nothing was decided in (after, until]."""

    async def chain(self, schedule: str, until: datetime, most: int) -> Sequence[Tick]:
        """Return the last so many decisions of a schedule that were made until then, the oldest first.

        None at all, when there is one among them that cannot be read, or that was made later.
        """

    async def extend(self, before: Tick, after: Tick) -> bool:
        """Replace a tick unless it was changed meanwhile; False if it was."""

    async def drop(self, ticks: Collection[str]) -> None:
        """Remove ticks that others stand for."""

    async def forget_clocks(self, before: datetime) -> int:
        """Remove what says up to which slot all is decided of schedules that are gone; return of how many.

        Of those of which nothing was decided after then.
        """

    async def forget_skips(self, before: datetime) -> None:
        """Remove skips that were decided before then and count against no wish any more."""


class Speaks(Protocol):
    """The voice."""

    async def publish_command(self, subject: str, envelope: Envelope[Wire]) -> None:
        """Store a command as the first of its operation.

        Raises CommandTakenError when there is one, CommandUnreadableError when that cannot be read; CommandTooLargeError for
        one that never will be stored; Unavailable when the outcome is not known.
        """

    async def publish(self, subject: str, envelope: Envelope[Wire]) -> None:
        """Store a message. Not used: the scheduler says nothing but commands."""

    async def tell(self, subject: str, envelope: Envelope[Wire]) -> None:
        """Send a message that nobody stores and nobody may miss."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything that the scheduler may touch."""

    memory: Remembers
    publisher: Speaks
    clock: Clock
