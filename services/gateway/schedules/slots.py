"""Which slots a schedule has, and what is to become of them by what people want. Pure; cron is read by `shared.cron`."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import islice, takewhile

from services.gateway.schemas import (
    MOST_SKIPPED,
    PreviewInstant,
    PreviewSchedule,
    PreviewWarning,
    SchedulePreview,
)
from shared.contracts.schedules import Schedule
from shared.cron.cautions import cautions
from shared.cron.course import JUST, course
from shared.cron.timetable import timetable
from shared.cron.words import words

YEAR = timedelta(days=366)
HORIZON = 30 * YEAR
"""How far ahead slots are looked for: 29 February comes within 8 years, and a thousand of them would take seconds to find."""
_LOOKED_AT = 2 * MOST_SKIPPED
"""Slots that are looked at, at most: more than any wish can leave out."""


class Fate(StrEnum):
    """What is to become of a slot, as far as people have said."""

    RUNS = "Runs"
    PAUSED = "Paused"
    SKIPPED = "Skipped"


def upcoming(schedule: Schedule, since: datetime) -> Iterator[datetime]:
    """Give the slots at or after a moment, each by the timetable that is in force at it."""
    return course(schedule.eras).onwards(since - JUST)


def fates(schedule: Schedule, since: datetime, left: int) -> Iterator[tuple[datetime, Fate]]:
    """Give the slots that are due at or after a moment, with their fates.

    `left`: how many slots the wish to skip still leaves out. What is being deleted has no slots.
    """
    if schedule.deleting is not None:
        return
    for slot in upcoming(schedule, since - schedule.offset):
        due = schedule.due(slot)
        if due < since:
            continue
        if schedule.paused_at(due):
            yield slot, Fate.PAUSED
        elif schedule.skip is not None and left > 0 and due >= schedule.skip.not_before:
            left -= 1
            yield slot, Fate.SKIPPED
        else:
            yield slot, Fate.RUNS


def first(schedule: Schedule, since: datetime, fate: Fate, left: int) -> datetime | None:
    """Return the first slot due at or after a moment that has a fate; None when there is none before the horizon."""
    if schedule.paused and fate is not Fate.PAUSED and schedule.paused_at(since):
        return None  # nobody knows when it will be resumed
    looked_at = takewhile(lambda each: each[0] < since + HORIZON, islice(fates(schedule, since, left), _LOOKED_AT))
    return next((slot for slot, found in looked_at if found is fate), None)


def preview(wanted: PreviewSchedule, now: datetime) -> SchedulePreview:
    """Tell when a timetable fires next, before the horizon, and what to know of it for a year.

    Raises CronInvalidError and ZoneInvalidError.
    """
    table = timetable(wanted.cron, wanted.timezone)
    instants = table.between(now, now + HORIZON, wanted.count)
    return SchedulePreview(
        cron_text=words(table.cron),
        instants=[PreviewInstant(at=slot, local=slot.astimezone(table.zone).isoformat()) for slot in instants],
        warnings=[PreviewWarning(code=c.code, message=c.message, at=c.at) for c in cautions(table, now, YEAR)],
    )
