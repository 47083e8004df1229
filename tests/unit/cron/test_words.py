"""Expressions in English: the plain ones as anyone would say them, and none of them says anything else than is due."""

import re
from datetime import date, timedelta

import pytest
from hypothesis import given

from shared.cron.expression import parse
from shared.cron.words import MONTHS, WEEKDAYS, words
from tests.unit.cron.expressions import expressions
from tests.unit.cron.manual import read


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("* * * * *", "Every minute"),
        ("*/15 * * * *", "Every 15 minutes"),
        ("@hourly", "Every hour"),
        ("5 * * * *", "At minute 5 of every hour"),
        ("5,35 * * * *", "At minutes 5 and 35 of every hour"),
        ("*/25 * * * *", "At minutes 0, 25 and 50 of every hour"),
        ("0 */6 * * *", "Every 6 hours"),
        ("15 2-23/6 * * *", "Every 6 hours from 02:15"),
        ("0 */12 * * *", "Every day at 00:00 and 12:00"),
        ("0 */5 * * *", "Every day at 00:00, 05:00, 10:00, 15:00 and 20:00"),
        ("@daily", "Every day at 00:00"),
        ("0 2 * * *", "Every day at 02:00"),
        ("30 3 * * 1", "Every Monday at 03:30"),
        ("30 3 * * 1,4,7", "Every Sunday, Monday and Thursday at 03:30"),
        ("0 18 * * MON-FRI", "Weekdays at 18:00"),
        ("0 18 * 6-8 MON-FRI", "Weekdays in June, July and August at 18:00"),
        ("*/15 9-17 * * 1-5", "Weekdays, every 15 minutes from 09:00 to 17:45"),
        ("0 9-17 * * *", "Every day, every hour from 09:00 to 17:00"),
        ("* 2 * * *", "Every day, every minute from 02:00 to 02:59"),
        ("*/15 * * * 6", "Every Saturday, every 15 minutes"),
        ("@monthly", "On day 1 of every month at 00:00"),
        ("0 0 1-7,15 * *", "On days 1 to 7 and 15 of every month at 00:00"),
        ("@yearly", "On day 1 of January at 00:00"),
        ("0 0 * 1 *", "Every day in January at 00:00"),
        ("0 0 1,15 * 5", "On days 1 and 15 of every month and on Fridays at 00:00"),
        ("0 0 13 6 5", "On day 13 and on Fridays in June at 00:00"),
        ("0 0 1-31 * 5", "Every day at 00:00"),
        ("5,20 1,3,7,9 * * *", "Every day at minutes 5 and 20 of hours 1, 3, 7 and 9"),
    ],
)
def test_an_expression_is_said_as_anyone_would(text, said):
    assert words(parse(text)) == said


@given(expressions())
def test_what_is_said_can_be_read_back_and_is_what_is_due(text):
    reading, said = read(text), words(parse(text))
    times, on = understood(said)
    assert times == {(hour, minute) for hour in reading.hours for minute in reading.minutes}, said
    assert [on(day) for day in TWO_YEARS] == [reading.on(day) for day in TWO_YEARS], said


TWO_YEARS = [date(2027, 1, 1) + timedelta(days=day) for day in range(731)]


def understood(said):
    """The times of the day that a sentence names, and whether it names a day."""
    said = said[0].lower() + said[1:]
    found = re.search(r"(?:^|,? )(every (?:\d+ )?(?:minute|hour)s?(?: from .*)?|at (?:minutes? \d|\d\d:).*)$", said)
    return times_of(found[1]), day_of(said[: found.start()] or "every day")


def times_of(said):
    if every := re.fullmatch(r"every (?:(\d+) )?(minute|hour)s?(?: from (\d\d:\d\d))?(?: to (\d\d:\d\d))?", said):
        number, unit, first, last = every.groups()
        step = int(number or 1) * (60 if unit == "hour" else 1)
        return {divmod(time, 60) for time in range(minutes(first or "00:00"), minutes(last or "23:59") + 1, step)}
    if listed := re.fullmatch(r"at minutes? (.*) of (?:hours? (.*)|every hour)", said):
        hours = numbers(listed[2]) if listed[2] else range(24)
        return {(hour, minute) for hour in hours for minute in numbers(listed[1])}
    return {divmod(minutes(clock), 60) for clock in re.split(", | and ", said.removeprefix("at "))}


def day_of(said):
    said, _, within = said.partition(" in ")
    months = {MONTHS.index(name) + 1 for name in re.split(", | and ", within)} if within else set(range(1, 13))
    if said == "every day":
        return lambda day: day.month in months
    if said == "weekdays":
        return lambda day: day.month in months and day.isoweekday() <= 5
    if said.startswith("every "):
        names = re.split(", | and ", said.removeprefix("every "))
        return lambda day: day.month in months and WEEKDAYS[day.isoweekday() % 7] in names
    said, _, weekdays = said.partition(" and on ")
    names = re.split(", | and ", weekdays)
    days, _, of = said.partition(" of ")
    if of not in {"", "every month"}:
        months = {MONTHS.index(name) + 1 for name in re.split(", | and ", of)}
    chosen = numbers(re.fullmatch(r"on days? (.*)", days)[1])
    return lambda day: day.month in months and (day.day in chosen or WEEKDAYS[day.isoweekday() % 7] + "s" in names)


def minutes(clock):
    return int(clock[:2]) * 60 + int(clock[3:])


def numbers(said):
    found = set()
    for part in re.split(", | and ", said):
        first, _, last = part.partition(" to ")
        found |= set(range(int(first), int(last or first) + 1))
    return found
