"""Durations as Go writes them (`1h30m`), the only form that Velero can read.

A Velero object with any other form stalls every object of its kind in the cluster (velero issue 3236), so nothing may pass
from Leeward to a cluster without going through here.
"""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

_UNIT_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60 * 1_000_000_000,
    "h": 3600 * 1_000_000_000,
    "d": 24 * 3600 * 1_000_000_000,
}
_TERM = re.compile(r"(\d++(?:\.\d*+)?|\.\d++)(ns|us|µs|μs|ms|s|m|h|d)", re.ASCII)
_TERMS = re.compile(rf"(?:{_TERM.pattern})+", re.ASCII)  # a possessive repeat of a group takes too much before Python 3.11.5
_MAX_NANOSECONDS = 2**63 - 1
_LONG = 20
"""Digits from which a number is read as a Decimal: `int` refuses thousands of them."""
_ECHO = 40


class DurationError(ValueError):
    """The text is not a duration that Velero could read."""


def parse(text: str) -> timedelta:
    """Read a Go duration (units ns, us, ms, s, m, h; a sign; `0`), or one with whole or broken days.

    Raises DurationError when it is none, or larger than Go can hold (about 292 years).
    """
    return timedelta(microseconds=_nanoseconds(text) // 1000)


def normalise(text: str) -> str:
    """Return the duration in a form that Go reads: days become hours, everything else stays as it was written.

    Raises DurationError when it is no duration, or a negative one (Velero would take it and make an expired backup).
    """
    text = text.strip()
    nanoseconds = _nanoseconds(text)
    if nanoseconds < 0:
        raise DurationError(f"{_short(text)} is negative")
    return text if "d" not in text else _format(nanoseconds)


def is_go(text: str) -> bool:
    """Tell whether Go, and so Velero, can read the text as a duration. Days are ours, not Go's."""
    try:
        _nanoseconds(text)
    except DurationError:
        return False
    return "d" not in text


def _nanoseconds(text: str) -> int:
    negative, body = text.startswith("-"), text[1:] if text.startswith(("-", "+")) else text
    if body == "0":
        return 0
    if not _TERMS.fullmatch(body):
        raise DurationError(f"{_short(text)} is not a duration such as 90m, 72h or 30d")
    total = sum(_number(number) * _UNIT_NANOSECONDS[unit] for number, unit in _TERM.findall(body))
    if total > _MAX_NANOSECONDS:
        raise DurationError(f"{_short(text)} is longer than a duration can be")
    return -int(total) if negative else int(total)


def _number(digits: str) -> Decimal | int:
    short = len(digits) < _LONG and digits.isdecimal()
    return int(digits) if short else Decimal(digits)


def _short(text: str) -> str:
    return repr(text if len(text) <= _ECHO else f"{text[:_ECHO]}…")


def _format(nanoseconds: int) -> str:
    """Write a duration in hours, minutes and seconds, leaving out what is zero."""
    hours, rest = divmod(nanoseconds, _UNIT_NANOSECONDS["h"])
    minutes, rest = divmod(rest, _UNIT_NANOSECONDS["m"])
    seconds = Decimal(rest) / _UNIT_NANOSECONDS["s"]
    parts = [f"{hours}h" if hours else "", f"{minutes}m" if minutes else "", f"{seconds.normalize():f}s" if seconds else ""]
    return "".join(parts) or "0s"


GoDuration = Annotated[
    str,
    AfterValidator(normalise),
    WithJsonSchema(
        {
            "type": "string",
            "examples": ["72h", "10m", "1h30m"],
            "description": "A Go duration; days are accepted and become hours.",
        }
    ),
]
