"""When a schedule is due: the instants that an expression means in a time zone.

Two rules, as cron has them for jobs with and without a `*` for the hour:

- Every hour matches: by elapsed time. A slot is every instant at which the clock on the wall shows a matching reading. What
  the clock skips does not come, and what it shows twice comes twice: every 15 minutes stays every 15 minutes.
- Otherwise: by the wall. Each matching reading comes once: the first time that the clock shows it, or, if the clock skips it,
  at the first instant after the gap. Readings that fall on one instant are one slot.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from shared.cron.expression import Cron, parse
from shared.cron.offsets import Stretch, instant, stretches
from shared.cron.readings import LAST_YEAR, next_reading, previous_reading
from shared.cron.zones import zone

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Timetable:
    """The slots of an expression in a zone. Instants go in and come out with a zone of their own; out in UTC."""

    cron: Cron
    zone: ZoneInfo

    def after(self, moment: datetime) -> datetime | None:
        """Return the first slot after a moment; None when the calendar ends (year 9998) before one comes.

        Every expression that can be read fires at least once in about 8 years (29 February across 2100).
        """
        return next(self._slots(moment), None)

    def between(self, after: datetime, until: datetime, limit: int) -> list[datetime]:
        """Return the slots after `after` and not after `until`, oldest first and at most `limit`."""
        found: list[datetime] = []
        for slot in islice(self._slots(after), limit):
            if slot > until:
                break
            found.append(slot)
        return found

    def latest(self, after: datetime, until: datetime) -> datetime | None:
        """Return the newest slot after `after` and not after `until`, found from the end; None when there is none."""
        end, year = (until - _EPOCH) // _SECOND, until.astimezone(UTC).year
        while year >= after.astimezone(UTC).year:
            for stretch in reversed(stretches(self.zone, year)):
                if stretch.start <= end and (slot := self._last(stretch, end)) is not None:
                    newest = instant(slot)
                    return newest if newest > after else None
            year -= 1
        return None

    def _slots(self, moment: datetime) -> Iterator[datetime]:
        done = (moment - _EPOCH) // _SECOND
        for year in range(moment.astimezone(UTC).year, LAST_YEAR + 1):
            for stretch in stretches(self.zone, year):
                while done < stretch.end - 1 and (slot := self._first(stretch, done)) is not None:
                    yield instant(slot)
                    done = slot

    def _first(self, stretch: Stretch, done: int) -> int | None:
        """Return the first slot of a stretch that comes after an instant, in seconds since 1970 UTC."""
        earliest = self._beginning(stretch)
        if done >= stretch.start:
            earliest = max(earliest, done + stretch.offset + 1)
        reading = next_reading(self.cron, -(-earliest // 60))
        if reading is None or reading * 60 >= stretch.end + stretch.offset:
            return None
        return max(reading * 60 - stretch.offset, stretch.start)

    def _last(self, stretch: Stretch, end: int) -> int | None:
        """Return the last slot of a stretch that comes not after an instant, in seconds since 1970 UTC."""
        reading = previous_reading(self.cron, (min(end, stretch.end - 1) + stretch.offset) // 60)
        if reading is None or reading * 60 < self._beginning(stretch):
            return None
        return max(reading * 60 - stretch.offset, stretch.start)

    def _beginning(self, stretch: Stretch) -> int:
        """Return the first reading, in seconds on the wall, that counts in a stretch."""
        return stretch.start + stretch.offset if self.cron.every_hour else stretch.fresh


@lru_cache(maxsize=131_072)  # more than the schedules that one process holds
def timetable(expression: str, zone_name: str) -> Timetable:
    """Return the timetable of an expression in an IANA zone. Raise CronInvalidError, ZoneInvalidError.

    Schedules with the same words share one object.
    """
    return Timetable(parse(expression), zone(zone_name))
