"""What a person should know about a timetable before trusting it: clocks that are set, slots too close, too rare, left out."""

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import pairwise, takewhile
from typing import Final

from shared.cron.expression import ALL_DAYS, members
from shared.cron.offsets import Stretch, changes, instant
from shared.cron.readings import next_reading
from shared.cron.timetable import Timetable
from shared.cron.words import MONTHS, listed, numbered

CLOSEST: Final = timedelta(minutes=5)
"""Slots that are closer than this are remarked on."""
FARTHEST: Final = timedelta(days=365)
"""A next slot that is later than this is remarked on."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SHORTEST_MONTH: Final = 28
_DAY_READINGS: Final = 24 * 60 + 1
"""After so many readings every distance within a day has been seen, and that from one day to the next."""
_LEAP, _COMMON = 2000, 2001
_FEBRUARY: Final = 2


class CautionCode(StrEnum):
    """What is remarked on."""

    SLOT_MOVED = "SlotMoved"
    """The clock is set forward over the time of a slot, which is taken at the first instant after."""
    SLOTS_MERGED = "SlotsMerged"
    """So are several, or one onto another: they are one slot."""
    SLOT_TAKEN_ONCE = "SlotTakenOnce"
    """The clock is set back over the time of a slot, which is taken the first time only."""
    FREQUENT = "Frequent"
    RARE = "Rare"
    DAYS_LEFT_OUT = "DaysLeftOut"
    """A chosen day of the month does not exist in every chosen month."""


@dataclass(frozen=True, slots=True)
class Caution:
    """One remark: a sentence for people, and the instant that it is about, if it is about one."""

    code: CautionCode
    message: str
    at: datetime | None = None


def cautions(timetable: Timetable, now: datetime, horizon: timedelta) -> list[Caution]:
    """Return what is to be said about a timetable, the changes of its clock up to `now + horizon`: the first of each kind."""
    said: dict[CautionCode, Caution] = {}
    for found in (
        *_clock_set(timetable, now, now + horizon),
        *_frequent(timetable, now),
        *_rare(timetable, now),
        *_days_left_out(timetable),
    ):
        if found.at is None or found.at > now:  # a time that comes twice may have come the first time
            said.setdefault(found.code, found)
    return list(said.values())


def _clock_set(timetable: Timetable, now: datetime, until: datetime) -> Iterator[Caution]:
    if timetable.cron.every_hour:  # by elapsed time: nothing is moved, merged or left out
        return
    for before, changed in changes(timetable.zone, now, until):
        shown = changed.start + changed.offset
        if shown > changed.fresh:
            yield from _forward(timetable, changed, _readings(timetable, changed.fresh, shown))
        else:
            yield from _back(timetable, before, _readings(timetable, shown, changed.fresh))


def _forward(timetable: Timetable, changed: Stretch, skipped: list[datetime]) -> Iterator[Caution]:
    if not skipped:
        return
    shown = changed.start + changed.offset
    taken, at = _EPOCH + timedelta(seconds=shown), instant(changed.start)
    clock = f"{taken:%H:%M}" if taken.date() == skipped[0].date() else f"{taken:%H:%M on %Y-%m-%d}"
    which = (
        f"On {skipped[0]:%Y-%m-%d} {_clocks(skipped)} {'does' if len(skipped) == 1 else 'do'} not exist in {timetable.zone.key}"
    )
    if _readings(timetable, shown, shown + 60):
        yield Caution(CautionCode.SLOTS_MERGED, f"{which}; one slot is taken at {clock} for {_clocks([*skipped, taken])}", at)
    elif len(skipped) > 1:
        yield Caution(CautionCode.SLOTS_MERGED, f"{which}; one slot is taken at {clock} for all of them", at)
    else:
        yield Caution(CautionCode.SLOT_MOVED, f"{which}; the slot is taken at {clock}", at)


def _back(timetable: Timetable, before: Stretch, repeated: list[datetime]) -> Iterator[Caution]:
    if repeated:
        first = repeated[0] - timedelta(seconds=before.offset)
        which = f"On {repeated[0]:%Y-%m-%d} {_clocks(repeated)} {'comes' if len(repeated) == 1 else 'come'} twice"
        often = "the slot is taken once" if len(repeated) == 1 else "each slot is taken once"
        yield Caution(CautionCode.SLOT_TAKEN_ONCE, f"{which} in {timetable.zone.key}; {often}, the first time", first)


def _frequent(timetable: Timetable, now: datetime) -> Iterator[Caution]:
    walked = _walk(timetable, now.astimezone(timetable.zone).replace(tzinfo=UTC))
    times = [reading for _, reading in zip(range(_DAY_READINGS), walked, strict=False)]
    closest = min((later - earlier for earlier, later in pairwise(times)), default=CLOSEST)
    if closest < CLOSEST:
        minutes = closest // timedelta(minutes=1)
        apart = "1 minute" if minutes == 1 else f"{minutes} minutes"
        yield Caution(CautionCode.FREQUENT, f"Some slots are only {apart} apart; few backups are done by then")


def _rare(timetable: Timetable, now: datetime) -> Iterator[Caution]:
    coming = timetable.after(now)
    if coming and coming - now > FARTHEST:
        day = coming.astimezone(timetable.zone)
        yield Caution(CautionCode.RARE, f"The next slot is more than a year away, on {day:%Y-%m-%d}", coming)


def _days_left_out(timetable: Timetable) -> Iterator[Caution]:
    cron = timetable.cron
    late = [day for day in members(cron.days) if day > _SHORTEST_MONTH and cron.days != ALL_DAYS]
    months = [month for month in members(cron.months) if late and late[-1] > calendar.monthrange(_COMMON, month)[1]]
    if not months:
        return
    names = [MONTHS[month - 1] for month in months]
    if _FEBRUARY in months and late[-1] <= calendar.monthrange(_LEAP, _FEBRUARY)[1]:
        names[0] += " except in leap years"
    days = numbered("day", late)
    where = f"where the month is too short: {listed(names)}"
    yield Caution(CautionCode.DAYS_LEFT_OUT, f"{days.capitalize()} {'is' if len(late) == 1 else 'are'} left out {where}")


def _readings(timetable: Timetable, begin: int, end: int) -> list[datetime]:
    """Return the readings that match from one to before another, in seconds on the wall; as if the wall were in UTC."""
    first, last = _EPOCH + timedelta(seconds=begin), _EPOCH + timedelta(seconds=end)
    return list(takewhile(lambda reading: reading < last, _walk(timetable, first)))


def _walk(timetable: Timetable, begin: datetime) -> Iterator[datetime]:
    minute = timedelta(minutes=1)
    reading = next_reading(timetable.cron, -((_EPOCH - begin) // minute))
    while reading is not None:
        yield _EPOCH + reading * minute
        reading = next_reading(timetable.cron, reading + 1)


def _clocks(readings: list[datetime]) -> str:
    """Return `02:30`, `02:00 and 02:30`, or `02:00 to 02:45` of more."""
    clocks = [f"{reading:%H:%M}" for reading in readings]
    return listed(clocks) if len(clocks) <= 2 else f"{clocks[0]} to {clocks[-1]}"  # noqa: PLR2004 (two are a pair)
