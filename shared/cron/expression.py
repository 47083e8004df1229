"""What a cron expression says: five fields, read by croniter, as sets of numbers; everything else is refused in words.

The dialect is that of cron (crontab(5)) as croniter reads it, less what only some tools know: seconds, years, `L`, `W`, `#`,
`?`, hashes and time zones. Where croniter reads what it accepts otherwise than cron does, the term is handed to it written
out: a range of one value is that value (croniter: the whole field), and the steps of a range that wraps around are counted
from its beginning.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from croniter import CroniterError, croniter

LONGEST: Final = 256
"""Characters of an expression. All sixty minutes written out are 170."""

ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

ALL_MINUTES: Final = (1 << 60) - 1
ALL_HOURS: Final = (1 << 24) - 1
ALL_DAYS: Final = (1 << 32) - 2
ALL_MONTHS: Final = (1 << 13) - 2
ALL_WEEKDAYS: Final = (1 << 7) - 1

_ECHO: Final = 40
_LONGEST_MONTHS: Final = {1: 31, 2: 29, 3: 31, 4: 30, 5: 31, 6: 30, 7: 31, 8: 31, 9: 30, 10: 31, 11: 30, 12: 31}


class CronInvalidError(ValueError):
    """The expression cannot be read, or can never fire; the text is a sentence for people."""


@dataclass(frozen=True, slots=True)
class Cron:
    """An expression, read. Every field is a set of bits: bit n is set when the value n matches."""

    text: str
    """Five fields with one space between them, names in capitals, aliases spelt out. Reading it gives an equal Cron."""
    minutes: int
    hours: int
    days: int
    """Of the month; bits 1 to 31."""
    months: int
    """Bits 1 to 12."""
    weekdays: int
    """Bits 0 (Sunday) to 6."""
    either: bool
    """A day matches by its day of the month OR by its weekday, because both are restricted. Otherwise both must match."""

    @property
    def every_hour(self) -> bool:
        """Whether every hour matches: such an expression goes by elapsed time, every other one by the clock on the wall."""
        return self.hours == ALL_HOURS


class _Field(NamedTuple):
    name: str
    low: int
    high: int
    """The highest value that is another than those below it: 7 is a second name of Sunday."""
    all: int
    values: str
    """What may be written, in words."""


_FIELDS: Final = (
    _Field("minute", 0, 59, ALL_MINUTES, "0 to 59"),
    _Field("hour", 0, 23, ALL_HOURS, "0 to 23"),
    _Field("day of month", 1, 31, ALL_DAYS, "1 to 31"),
    _Field("month", 1, 12, ALL_MONTHS, "1 to 12 or JAN to DEC"),
    _Field("day of week", 0, 6, ALL_WEEKDAYS, "0 to 7 (0 and 7 are Sunday) or SUN to SAT"),
)
_DAY, _WEEKDAY = 2, 4
_SUNDAY_TOO: Final = 7
_FIVE: Final = "five fields (minute, hour, day of month, month, day of week)"

_TERM: Final = re.compile(r"(\*|(?P<low>\d+|[A-Z]{3})(?:-(?P<high>\d+|[A-Z]{3}))?)(?:/(?P<step>\d+))?", re.ASCII)

_FOREIGN_EXPRESSIONS: Final = (
    (r"(CRON_)?TZ=", "An expression cannot name its time zone: leave {text} out and set the schedule's time zone."),
    (r"@EVERY\b", "@every is not supported, because it names no times: use steps, such as */15 * * * *."),
    (r"@REBOOT\b", "@reboot is not supported: a fleet of clusters has no moment at which it starts."),
    (r"@", f"{{text}} is not known, or has words after it: use one of {', '.join(ALIASES)}."),
)
_FOREIGN_TERMS: Final = (
    (r".*\?", "? is not supported ({field} {text}): use *."),
    (r".*#", "# for the nth weekday of a month is not supported ({field} {text})."),
    (r"(\d*W\d*|LW)$", "W for the nearest weekday is not supported ({field} {text})."),
    (r"(L.*|.*\dL|.*-L)$", "L for the last day is not supported ({field} {text})."),
    (r"[HR](\(.*)?(/.*)?$", "H and R, for times by hash or by chance, are not supported ({field} {text})."),
)
"""What other tools know: how it begins, and what is said about it. The first that fits is said."""


@lru_cache(maxsize=16_384)
def parse(expression: str) -> Cron:
    """Read an expression of five fields or one of the aliases. Raise CronInvalidError."""
    if len(expression) > LONGEST:
        raise CronInvalidError(f"The expression is longer than {LONGEST} characters.")
    if not expression.isascii():
        raise CronInvalidError(f"{_short(expression)} has letters, digits or blanks that cron does not know.")
    words = ALIASES.get(expression.strip().lower(), expression).upper().split()
    if not words:
        raise CronInvalidError(f"The expression is empty: expected {_FIVE}.")
    if said := _first(_FOREIGN_EXPRESSIONS, words[0]):
        raise CronInvalidError(said.format(text=_short(expression.split(maxsplit=1)[0])))
    if len(words) != len(_FIELDS):
        why = ", and seconds and years are not supported" if len(words) in {6, 7} else ""
        raise CronInvalidError(f"Expected {_FIVE}, found {len(words)}{why}.")
    expanded = _expanded([_written_out(word, index) for index, word in enumerate(words)], words)
    minutes, hours, days, months, weekdays = map(_bits, _FIELDS, expanded)
    either = expanded[_DAY] != ["*"] and expanded[_WEEKDAY] != ["*"]
    cron = Cron(" ".join(words), minutes, hours, days, months, weekdays, either)
    _refuse_what_never_fires(cron, words)
    return cron


def members(bits: int) -> list[int]:
    """Return the values of a field's set, lowest first."""
    return [value for value in range(bits.bit_length()) if bits >> value & 1]


def _written_out(word: str, index: int) -> str:
    terms = [_term(term, index) for term in word.split(",")]
    return "*" if "*" in terms else ",".join(terms)


def _term(term: str, index: int) -> str:
    """Return the term as croniter and cron read it alike."""
    field = _FIELDS[index]
    if not (match := _TERM.fullmatch(term)):
        if said := _first(_FOREIGN_TERMS, term):
            raise CronInvalidError(said.format(field=field.name, text=_short(term)))
        raise _not_a(field, term)
    step = int(match["step"] or 1)
    if step == 0:
        raise CronInvalidError(f"The step of the {field.name} {_short(term)} is 0: a step is 1 or more.")
    if match["low"] is None:
        return "*" if step == 1 else term
    if match["high"] is None:
        return term
    low, high = _number(match["low"], index, term), _number(match["high"], index, term)
    if index == _WEEKDAY and low == _SUNDAY_TOO:
        low, high = 0, high % _SUNDAY_TOO
    if low == high:
        return str(low)
    if low > high:
        around = [*range(low, field.high + 1), *range(field.low, high + 1)][::step]
        return ",".join(str(value) for value in around)
    return term


def _number(value: str, index: int, term: str) -> int:
    """Return the number that is written or named. It is checked here only as far as ranges are written out."""
    number = int(value) if value.isdigit() else croniter.ALPHACONV[index].get(value.lower())
    if not isinstance(number, int) or number > _FIELDS[index].high + (index == _WEEKDAY) or number < _FIELDS[index].low:
        raise _not_a(_FIELDS[index], term)
    return number


def _expanded(written: list[str], words: list[str]) -> list[list[int | str]]:
    """Return each field's values, or `["*"]`. croniter does not say which field it refuses: that is found one by one."""
    try:
        return [list(values) for values in croniter.expand(" ".join(written))[0]]
    except CroniterError as error:
        for index, word in enumerate(written):
            try:
                croniter.expand(" ".join(["*"] * index + [word] + ["*"] * (_WEEKDAY - index)))
            except CroniterError:
                raise _not_a(_FIELDS[index], words[index]) from error
        raise CronInvalidError(f"The expression cannot be read: {_short(' '.join(words))}.") from error


def _bits(field: _Field, values: list[int | str]) -> int:
    return field.all if values == ["*"] else sum(1 << int(value) for value in values)


def _refuse_what_never_fires(cron: Cron, words: list[str]) -> None:
    longest = max(_LONGEST_MONTHS[month] for month in members(cron.months))
    if not cron.either and members(cron.days)[0] > longest:
        raise CronInvalidError(
            f"It can never fire: no chosen month ({_short(words[3])}) has a chosen day ({_short(words[2])})."
        )


def _first(table: tuple[tuple[str, str], ...], text: str) -> str | None:
    return next((said for pattern, said in table if re.match(pattern, text, re.ASCII)), None)


def _not_a(field: _Field, term: str) -> CronInvalidError:
    return CronInvalidError(
        f"{_short(term)} is not valid for the {field.name}: use {field.values}, *, ranges (1-5), steps (*/2) and lists (1,3)."
    )


def _short(text: str) -> str:
    return repr(text if len(text) <= _ECHO else f"{text[:_ECHO]}…")
