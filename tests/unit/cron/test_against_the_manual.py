"""A year of slots of many expressions in many zones, beside a second reading of the rules (manual.py) and beside croniter."""

import os
import random
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice

import pytest
from croniter import croniter

from shared.cron.timetable import timetable
from tests.unit.cron.expressions import ZONES, expression
from tests.unit.cron.manual import DAY_MINUTES, MARGIN, Year, read

SEED = int(os.environ.get("CRON_SEED") or random.SystemRandom().randrange(1_000_000))
"""To see the same expressions again, set CRON_SEED to the number at the end of what a failure says."""

MANY = 300
"""So many slots are compared as a whole; of more, those around the changes of the clock and the ends of the year."""

MINUTE = timedelta(minutes=1)


@cache
def some_expressions():
    chance = random.Random(SEED)
    return [(text, read(text)) for text in (expression(chance) for _ in range(200))]


@cache
def the_year(zone, number):
    return Year(zone, number)


@pytest.mark.parametrize(("zone", "number"), ZONES)
def test_a_year_of_slots_is_what_the_manual_says(zone, number):
    year = the_year(zone, number)
    for text, reading in some_expressions():
        wall, whole = reading.wall(number), (-1, year.minutes - 1)
        around = [(max(place - DAY_MINUTES // 2, -1), place + DAY_MINUTES // 2) for place in (0, *year.changes, year.minutes)]
        for after, until in around if wall.count(1) > MANY else [whole]:
            begin, end = year.begin + after * MINUTE, year.begin + until * MINUTE
            found = timetable(text, zone).between(begin, end, year.minutes)
            due = year.slots(reading, wall, after, until)
            assert [(slot - year.begin) // MINUTE for slot in found] == due, (text, SEED)
            assert timetable(text, zone).latest(begin, end) == (found[-1] if found else None), (text, SEED)


@pytest.mark.parametrize(("zone", "number"), ZONES)
def test_from_any_instant_the_next_slot_is_the_first_that_the_manual_has_later(zone, number):
    chance, year = random.Random(SEED), the_year(zone, number)
    for text, reading in some_expressions()[::4]:
        wall = reading.wall(number)
        near = [change + chance.randrange(-180, 180) for change in year.changes]
        for place in [chance.randrange(year.minutes - MARGIN), *near]:
            due = year.slots(reading, wall, place, place + MARGIN)[:1]
            found = timetable(text, zone).after(year.begin + timedelta(minutes=place, seconds=chance.randrange(60)))
            expected = [year.begin + minute * MINUTE for minute in due]
            assert ([found] if found <= year.begin + (place + MARGIN) * MINUTE else []) == expected, (text, place, SEED)


def test_croniter_finds_the_same_slots_where_no_clock_is_set():
    begin = datetime(2026, 11, 29, 4, 7, 30, tzinfo=UTC)
    for text, _ in some_expressions():
        theirs = list(islice(croniter(text, begin, ret_type=datetime).all_next(datetime), 20))
        assert timetable(text, "UTC").between(begin, datetime(2200, 1, 1, tzinfo=UTC), 20) == theirs, (text, SEED)
