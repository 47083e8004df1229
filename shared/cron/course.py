"""The slots of a schedule over all of its timetables, the past ones included. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, Protocol

from shared.cron.expression import CronInvalidError
from shared.cron.timetable import Timetable, timetable
from shared.cron.zones import ZoneInvalidError

JUST: Final = timedelta(microseconds=1)
"""Less than anything that is told apart: what is at or after a moment is after the moment just before it."""

_AT_ONCE: Final = 10_000


class Era(Protocol):
    """Which timetable was put in force, and when."""

    @property
    def from_(self) -> datetime:
        """When it was."""

    @property
    def cron(self) -> str:
        """The expression."""

    @property
    def timezone(self) -> str:
        """The name of the zone."""


@dataclass(frozen=True, slots=True)
class Span:
    """The slots of one timetable after `after` and not after `until` (None: for ever)."""

    after: datetime
    until: datetime | None
    table: Timetable

    def within(self, after: datetime, until: datetime) -> tuple[datetime, datetime]:
        """Return what it has in common with another span of time; the second is before the first when that is nothing."""
        return max(after, self.after), until if self.until is None else min(until, self.until)


@dataclass(frozen=True, slots=True)
class Course:
    """All slots, oldest first. Bounds are as those of Timetable: the first one is left out, the last one belongs to it."""

    spans: tuple[Span, ...]

    def after(self, moment: datetime) -> datetime | None:
        """Return the first slot after a moment."""
        for span in self.spans:
            if span.until is None or moment < span.until:
                slot = span.table.after(max(moment, span.after))
                if slot is not None and (span.until is None or slot <= span.until):
                    return slot
        return None

    def onwards(self, moment: datetime) -> Iterator[datetime]:
        """Yield the slots after a moment, the soonest first, for as long as there are any."""
        slot = self.after(moment)
        while slot is not None:
            yield slot
            slot = self.after(slot)

    def between(self, after: datetime, until: datetime, limit: int) -> list[datetime]:
        """Return at most so many of the slots, oldest first."""
        found: list[datetime] = []
        for span in self.spans:
            first, last = span.within(after, until)
            if first < last and len(found) < limit:
                found += span.table.between(first, last, limit - len(found))
        return found

    def latest(self, after: datetime, until: datetime) -> datetime | None:
        """Return the newest slot."""
        for span in reversed(self.spans):
            first, last = span.within(after, until)
            if first < last and (slot := span.table.latest(first, last)) is not None:
                return slot
        return None

    def count(self, after: datetime, until: datetime) -> int:
        """Return how many slots there are. A year of minutes is counted in a few seconds, and few of them at a time."""
        parts = ((*span.within(after, until), span.table) for span in self.spans)
        return sum(_count(table, first, last) for first, last, table in parts if first < last)


def course(eras: Sequence[Era]) -> Course:
    """Return the slots of a history of timetables; one that has no meaning has none.

    The last one that was put in force at or before a slot counts, also when the clock of who did so has stepped back between.
    The very first slot is after the beginning: a schedule never fires at the moment in which it is made.
    """
    spans: list[Span] = []
    end: datetime | None = None
    for index in range(len(eras) - 1, -1, -1):
        era = eras[index]
        if end is not None and era.from_ >= end:
            continue
        try:
            table = timetable(era.cron, era.timezone)
        except (CronInvalidError, ZoneInvalidError):
            pass
        else:
            spans.append(Span(era.from_ - JUST if index else era.from_, None if end is None else end - JUST, table))
        end = era.from_
    return Course(tuple(reversed(spans)))


@lru_cache(maxsize=1024)
def _count(table: Timetable, after: datetime, until: datetime) -> int:
    """Count; those that were missed together, as after an outage, often are the same."""
    counted = 0
    while slots := table.between(after, until, _AT_ONCE):
        counted, after = counted + len(slots), slots[-1]
    return counted
