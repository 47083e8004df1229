"""An expression in plain English. What is said is exact: the fields can be read back from it."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from shared.cron.expression import ALL_DAYS, ALL_HOURS, ALL_MONTHS, ALL_WEEKDAYS, Cron, CronInvalidError, members, parse

MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
WEEKDAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")

_MONDAY_TO_FRIDAY: Final = 0b0111110
_FEW: Final = 6
"""So many times of the day are listed one by one; more are described."""
_RUN: Final = 3
"""So many numbers on end are said as `1 to 3`."""
_HOUR: Final = 60
_DAY_HOURS: Final = 24


class _Times(NamedTuple):
    """When on a day, as it stands after the words for the day."""

    words: str
    alone: bool
    """Whether they say everything when all days match: `Every 15 minutes` needs no `every day`."""


def words(cron: Cron) -> str:
    """Return one line without a full stop, such as `Every day at 02:00` or `On day 1 of every month at 00:00`."""
    times, days = _times(cron), _days(cron)
    if days == "every day" and times.alone:
        said = times.words
    else:
        said = days + (" " if times.words.startswith("at ") else ", ") + times.words
    return said[0].upper() + said[1:]


def in_words(expression: str) -> str | None:
    """Return an expression in words; None for one that has no meaning."""
    try:
        return words(parse(expression))
    except CronInvalidError:
        return None


def listed(texts: Sequence[str]) -> str:
    """Return `a`, `a and b`, or `a, b and c`."""
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def numbered(noun: str, numbers: Sequence[int]) -> str:
    """Return `day 1`, `days 1 and 15` or `days 1 to 7 and 20` of ascending numbers."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    texts = [text for run in runs for text in ([f"{run[0]} to {run[-1]}"] if len(run) >= _RUN else map(str, run))]
    return f"{noun}{'s' if len(numbers) > 1 else ''} {listed(texts)}"


def _times(cron: Cron) -> _Times:
    minutes, hours = members(cron.minutes), members(cron.hours)
    step = _step(minutes, _HOUR)
    first, last = _clock(hours[0], minutes[0]), _clock(hours[-1], minutes[-1])
    if cron.hours == ALL_HOURS:
        if step and minutes[0] == 0:
            return _Times(_every(step), alone=True)
        return _Times(f"at {numbered('minute', minutes)} of every hour", alone=True)
    hour_step = _step(hours, _DAY_HOURS)
    if len(minutes) == 1 and hour_step and len(hours) >= _RUN:
        return _Times(_every(hour_step * _HOUR) + ("" if first == "00:00" else f" from {first}"), alone=True)
    on_end = len(hours) == hours[-1] - hours[0] + 1
    if step and on_end and len(minutes) * len(hours) > _RUN:
        return _Times(f"{_every(step)} from {first} to {last}", alone=False)
    if len(minutes) * len(hours) <= _FEW:
        return _Times("at " + listed([_clock(hour, minute) for hour in hours for minute in minutes]), alone=False)
    return _Times(f"at {numbered('minute', minutes)} of {numbered('hour', hours)}", alone=False)


def _days(cron: Cron) -> str:
    months = "every month" if cron.months == ALL_MONTHS else listed([MONTHS[month - 1] for month in members(cron.months)])
    within = "" if cron.months == ALL_MONTHS else f" in {months}"
    all_days, all_weekdays = cron.days == ALL_DAYS, cron.weekdays == ALL_WEEKDAYS
    names = [WEEKDAYS[day] for day in members(cron.weekdays)]
    days = numbered("day", members(cron.days))
    if (all_days or all_weekdays) if cron.either else (all_days and all_weekdays):
        return f"every day{within}"
    if cron.either:
        return f"on {days}{'' if within else ' of every month'} and on {listed([f'{name}s' for name in names])}{within}"
    if all_weekdays:
        return f"on {days} of {months}"
    if cron.weekdays == _MONDAY_TO_FRIDAY:
        return f"weekdays{within}"
    return f"every {listed(names)}{within}"


def _step(values: Sequence[int], size: int) -> int | None:
    """Return the even distance of values around a dial of a size (one value: the size), or None."""
    step = size // len(values)
    return step if list(values) == list(range(values[0], size, step)) and step * len(values) == size else None


def _every(minutes: int) -> str:
    number, unit = (minutes // _HOUR, "hour") if minutes % _HOUR == 0 else (minutes, "minute")
    return f"every {unit}" if number == 1 else f"every {number} {unit}s"


def _clock(hour: int, minute: int) -> str:
    return f"{hour:02}:{minute:02}"
