"""The rules of crontab(5) read a second time, by hand and minute by minute, to compare with. Nothing of ours in here."""

import functools
import itertools
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
RANGES = [(0, 59, []), (0, 23, []), (1, 31, []), (1, 12, MONTHS), (0, 7, DAYS)]
DAY_MINUTES = 24 * 60
MARGIN = 3 * DAY_MINUTES
"""Minutes before and after a year that are looked at too: no zone is further from UTC, and no clock was ever set by more."""
NEVER = -10 * MARGIN


@dataclass(frozen=True)
class Reading:
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    def on(self, day: date) -> bool:
        by_day, by_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return day.month in self.months and (by_day or by_weekday if self.either else by_day and by_weekday)

    def wall(self, year: int) -> bytes:
        """A byte for every minute on the wall from MARGIN before a year to MARGIN after it: 1 if it matches."""
        pattern = bytes(hour in self.hours and minute in self.minutes for hour in range(24) for minute in range(60))
        nothing = bytes(DAY_MINUTES)
        first = date(year, 1, 1) - timedelta(minutes=MARGIN)
        last = date(year + 1, 1, 1) + timedelta(minutes=MARGIN)
        return b"".join(pattern if self.on(first + timedelta(days=day)) else nothing for day in range((last - first).days))


def read(expression: str) -> Reading:
    words = expression.split()
    fields = [_field(word, *bounds) for word, bounds in zip(words, RANGES, strict=True)]
    fields[4] = frozenset(day % 7 for day in fields[4])
    # Any day and Fridays is Fridays: also when any day is written 1-31, if a * beside it shows that it is meant so (croniter).
    any_day = words[2] == "*" or (len(fields[2]) == 31 and "*" in words[4])
    any_weekday = words[4] == "*" or (len(fields[4]) == 7 and "*" in words[2])
    return Reading(*fields, either=not any_day and not any_weekday)


def _field(word, low, high, names):
    def number(text):
        return names.index(text) + low if text in names else int(text)

    found = set()
    for part in word.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        if span == "*":
            begin, end = low, high if high != 7 else 6
        else:
            begin = number(first)
            end = number(last) if last else (high if step else begin)
        found |= set(range(begin, end + 1, int(step or 1)))
    return frozenset(found)


class Year:
    """Every minute of a year in UTC, counted from its beginning, and what the clock on a zone's wall shows in it."""

    def __init__(self, zone: str, year: int) -> None:
        self.begin = datetime(year, 1, 1, tzinfo=UTC)
        self.minutes = (datetime(year + 1, 1, 1, tzinfo=UTC) - self.begin) // timedelta(minutes=1)
        self._runs = self._offsets(ZoneInfo(zone))
        self.changes = [begin for begin, _, _ in self._runs[1:] if 0 < begin < self.minutes]
        # The first minute in UTC in which a reading is shown: runs are written last to first, so that the first one stays.
        self._shown = array("l", [NEVER]) * (self.minutes + 2 * MARGIN)
        for begin, end, offset in reversed(self._runs):
            start, stop = max(begin, -MARGIN - offset), min(end, self.minutes + MARGIN - offset)
            self._shown[start + offset + MARGIN : stop + offset + MARGIN] = array("l", range(start, stop))
        # A reading that is never shown: the first minute in which a later one is.
        for place in range(len(self._shown) - 2, -1, -1):
            if self._shown[place] == NEVER:
                self._shown[place] = self._shown[place + 1]

    def _offsets(self, zone):
        """Runs of one offset, in minutes: looked at by the hour, and by the minute in an hour whose ends differ."""

        @functools.cache
        def offset(minute):
            return (self.begin + timedelta(minutes=minute)).astimezone(zone).utcoffset() // timedelta(minutes=1)

        changes = [
            minute
            for hour in range(-MARGIN, self.minutes + MARGIN, 60)
            if offset(hour) != offset(hour + 60)
            for minute in range(hour + 1, hour + 61)
            if offset(minute) != offset(minute - 1)
        ]
        ends = [-MARGIN, *changes, self.minutes + MARGIN]
        return [(begin, end, offset(begin)) for begin, end in itertools.pairwise(ends)]

    def slots(self, reading: Reading, wall: bytes, after: int, until: int) -> list[int]:
        """The minutes in (after, until] at which something is due. `wall` is what the reading says of the year."""
        if reading.hours == frozenset(range(24)):
            due = [
                place - offset - MARGIN
                for begin, end, offset in self._runs
                for place in _ones(wall, max(begin, after) + offset + MARGIN, min(end, until + 1) + offset + MARGIN)
            ]
        else:
            due = sorted({self._shown[place] for place in _ones(wall, after, until + 2 * MARGIN)})
        return [minute for minute in due if after < minute <= until]


def _ones(wall: bytes, begin: int, end: int) -> Iterator[int]:
    place = wall.find(1, max(begin, 0), max(end, 0))
    while place != -1:
        yield place
        place = wall.find(1, place + 1, end)
