"""A zone's year as stretches of one offset each: what makes time zones into arithmetic.

`zoneinfo` answers for one instant and does not say where an answer ends, so the ends are sought: an offset is compared from
day to day, and where it differs the second of the change is found by halving. No zone has ever changed its offset and taken
it back within a day. What a zone's rules are, also beyond 2037, is zoneinfo's to say.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

_DAY: Final = 86_400
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_LOOK_BACK: Final = 2
"""Days before the year from which a clock's readings are followed: more than any clock was ever set back by."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time of one offset: instants from `start` up to `end`, in seconds since 1970 UTC."""

    start: int
    end: int
    offset: int
    """Seconds that the clock on the wall is ahead of UTC."""
    fresh: int
    """The first reading, in seconds since 1970 on the wall, that no clock had shown or skipped before this stretch.

    Less than `start + offset` after a gap: the readings between do not exist. More after a clock was set back: the readings
    between were shown before.
    """


@lru_cache(maxsize=8192)
def stretches(zone: ZoneInfo, year: int) -> tuple[Stretch, ...]:
    """Return the stretches of a year in UTC, oldest first, without a hole; the first begins and the last ends with the year."""
    first, last = _seconds(year), _seconds(year + 1)
    start = max(first - _LOOK_BACK * _DAY, _seconds(1) + _DAY)
    offset = _offset(zone, start)
    fresh = start + offset
    found: list[Stretch] = []
    for next_day in range(start + _DAY, last + _DAY, _DAY):
        if (changed := _offset(zone, next_day)) != offset:
            end = _change(zone, next_day - _DAY, next_day, offset)
            found.append(Stretch(start, end, offset, fresh))
            fresh = max(fresh, end + offset)
            start, offset = end, changed
    found.append(Stretch(start, last, offset, fresh))
    return tuple(_from(first, stretch) for stretch in found if first < stretch.end and stretch.start < last)


def changes(zone: ZoneInfo, after: datetime, until: datetime) -> Iterator[tuple[Stretch, Stretch]]:
    """Yield the stretches before and after every change of the clock in (after, until], oldest first."""
    years = range(after.astimezone(UTC).year, until.astimezone(UTC).year + 1)
    whole = itertools.chain.from_iterable(stretches(zone, year) for year in years)
    for before, changed in itertools.pairwise(whole):
        if before.offset != changed.offset and after < instant(changed.start) <= until:
            yield before, changed


def instant(seconds: int) -> datetime:
    """Return the instant of seconds since 1970 UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def _from(first: int, stretch: Stretch) -> Stretch:
    """Cut off what lies before an instant, and with it the readings that were shown then."""
    if stretch.start >= first:
        return stretch
    return Stretch(first, stretch.end, stretch.offset, max(stretch.fresh, first + stretch.offset))


def _seconds(year: int) -> int:
    return (datetime(year, 1, 1, tzinfo=UTC) - _EPOCH) // _SECOND


def _offset(zone: ZoneInfo, seconds: int) -> int:
    local = instant(seconds).astimezone(zone)
    return (local.utcoffset() or timedelta()) // _SECOND


def _change(zone: ZoneInfo, before: int, after: int, offset: int) -> int:
    """Return the first instant after `before` with another offset."""
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(zone, middle) == offset:
            before = middle
        else:
            after = middle
    return after
