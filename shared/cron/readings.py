"""Which readings of a clock on the wall match an expression: calendar arithmetic on bits, without zones.

A reading is a whole number of minutes since 1970-01-01 00:00 as the clock shows it, whatever the zone.
"""

from datetime import date
from functools import lru_cache
from typing import Final

from shared.cron.expression import Cron

LAST_YEAR: Final = 9998
"""Nothing is due later: datetimes end with the year 9999, and a zone may be ahead of UTC by a day."""

_EPOCH: Final = date(1970, 1, 1).toordinal()
_DAY_MINUTES: Final = 24 * 60
_MONTHS: Final = 12
_WEEKS: Final = sum(1 << 7 * week for week in range(5))
"""A set of weekdays times this is that set in each of the five weeks that a month touches, counted from its first day."""


def next_reading(cron: Cron, earliest: int) -> int | None:
    """Return the first matching reading that is not before `earliest`; None when the calendar ends before one comes."""
    day, time = divmod(earliest, _DAY_MINUTES)
    today = date.fromordinal(_EPOCH + day)
    days = _days(cron, today.year, today.month)
    if days >> today.day & 1:
        hour, minute = divmod(time, 60)
        if cron.hours >> hour & 1 and (minutes := cron.minutes >> minute):
            return earliest + _lowest(minutes)
        if hours := cron.hours >> hour + 1:
            return day * _DAY_MINUTES + (hour + 1 + _lowest(hours)) * 60 + _lowest(cron.minutes)
    year, month, days = today.year, today.month, days >> today.day + 1 << today.day + 1
    while not days:
        if months := cron.months >> month + 1:
            month += 1 + _lowest(months)
        else:
            year, month = year + 1, _lowest(cron.months)
        if year > LAST_YEAR:
            return None
        days = _days(cron, year, month)
    found = date(year, month, _lowest(days)).toordinal() - _EPOCH
    return found * _DAY_MINUTES + _lowest(cron.hours) * 60 + _lowest(cron.minutes)


def previous_reading(cron: Cron, latest: int) -> int | None:
    """Return the last matching reading that is not after `latest`; None when the calendar begins after it."""
    day, time = divmod(latest, _DAY_MINUTES)
    today = date.fromordinal(_EPOCH + day)
    days = _days(cron, today.year, today.month)
    if days >> today.day & 1:
        hour, minute = divmod(time, 60)
        if cron.hours >> hour & 1 and (minutes := cron.minutes & (2 << minute) - 1):
            return latest - minute + _highest(minutes)
        if hours := cron.hours & (1 << hour) - 1:
            return day * _DAY_MINUTES + _highest(hours) * 60 + _highest(cron.minutes)
    year, month, days = today.year, today.month, days & (1 << today.day) - 1
    while not days:
        if months := cron.months & (1 << month) - 1:
            month = _highest(months)
        else:
            year, month = year - 1, _highest(cron.months)
        if year < 1:
            return None
        days = _days(cron, year, month)
    found = date(year, month, _highest(days)).toordinal() - _EPOCH
    return found * _DAY_MINUTES + _highest(cron.hours) * 60 + _highest(cron.minutes)


def _days(cron: Cron, year: int, month: int) -> int:
    """Return the days of a month that match, as bits 1 to 31."""
    if not cron.months >> month & 1:
        return 0
    first, all_days = _month(year, month)
    turned = cron.weekdays >> first | cron.weekdays << 7 - first & 0x7F
    by_weekday = turned * _WEEKS << 1
    return (cron.days | by_weekday if cron.either else cron.days & by_weekday) & all_days


@lru_cache(maxsize=4096)
def _month(year: int, month: int) -> tuple[int, int]:
    """Return the weekday of a month's first day (0 is Sunday), and all its days as bits."""
    first = date(year, month, 1)
    following = date(year + month // _MONTHS, month % _MONTHS + 1, 1)
    return first.isoweekday() % 7, (1 << (following - first).days + 1) - 2


def _lowest(bits: int) -> int:
    return (bits & -bits).bit_length() - 1


def _highest(bits: int) -> int:
    return bits.bit_length() - 1
