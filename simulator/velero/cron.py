"""Cron expressions as Velero 1.18.3 reads them (go-cron 0.15, five fields), and the errors in its words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from simulator.velero.durations import parse_duration

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_FIELDS = (("minute", 0, 59, ()), ("hour", 0, 23, ()), ("day", 1, 31, ()), ("month", 1, 12, _MONTHS), ("weekday", 0, 7, _DAYS))
_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
_LONGEST_GAP = 24 * 60
_FARTHEST = 5 * 366
"""Days ahead that are looked at; later than that there is nothing to come."""


class BadCron(ValueError):  # noqa: N818 (named for the expression)
    """The expression cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class Cron:
    """When something is due: by fields in a time zone, or every so many seconds."""

    fields: tuple[frozenset[int], ...] = ()
    zone: ZoneInfo | None = None
    every: float = 0.0

    def after(self, moment: datetime) -> datetime | None:
        """Return the first time after a moment, or None when there is none in sight."""
        if self.every:
            return moment.replace(microsecond=0) + timedelta(seconds=self.every)
        local = moment.astimezone(self.zone or UTC).replace(second=0, microsecond=0, tzinfo=None) + timedelta(minutes=1)
        return next((found for found in self._times(local) if found > moment), None)

    def _times(self, start: datetime) -> Iterator[datetime]:
        minutes, hours, days, months, weekdays = self.fields
        for offset in range(_FARTHEST):
            day = (start + timedelta(days=offset)).date()
            if day.month not in months or day.day not in days or day.isoweekday() % 7 not in weekdays:
                continue
            for hour in sorted(hours):
                for minute in sorted(minutes):
                    naive = datetime(day.year, day.month, day.day, hour, minute)  # noqa: DTZ001 (the zone is put on below)
                    if naive >= start:
                        yield self._instant(naive)

    def _instant(self, naive: datetime) -> datetime:
        """Return when a clock on the wall shows a time. One that is skipped in spring comes when the clocks are set."""
        zone = self.zone or UTC
        for minutes in range(_LONGEST_GAP):
            shown = naive - timedelta(minutes=minutes)
            instant = shown.replace(tzinfo=zone).astimezone(UTC)
            if instant.astimezone(zone).replace(tzinfo=None) == shown:
                return instant + timedelta(minutes=1 if minutes else 0)
        raise AssertionError("no clock is set by more than a day")


def parse_cron(text: str) -> Cron:
    """Read an expression. Raise BadCron."""
    if not text:
        raise BadCron("Schedule must be a non-empty valid Cron expression")
    try:
        return _parse(text)
    except BadCron as error:
        raise BadCron(f"invalid schedule: {error}") from error


def _parse(text: str) -> Cron:
    zone = None
    if text.startswith(("TZ=", "CRON_TZ=")):
        name, _, text = text.partition(" ")
        name = name.partition("=")[2]
        try:
            zone = ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise BadCron(f'unknown time zone "{name}": unknown time zone {name}') from error
        text = text.strip()
    if text.startswith("@every "):
        try:
            return Cron(every=max(parse_duration(text.removeprefix("@every ")) // 1, 1.0))
        except ValueError as error:
            raise BadCron(f"failed to parse duration {text}: {error}") from error
    if text.startswith("@") and text not in _DESCRIPTORS:
        raise BadCron(f'unrecognized descriptor: "{text}"')
    words = _DESCRIPTORS.get(text, text).split()
    if len(words) != len(_FIELDS):
        raise BadCron(f"expected exactly {len(_FIELDS)} fields, found {len(words)}: [{' '.join(words)}]")
    *fields, weekdays = (_field(word, *bounds[1:]) for word, bounds in zip(words, _FIELDS, strict=True))
    return Cron((*fields, frozenset(day % 7 for day in weekdays)), zone)


def _field(word: str, low: int, high: int, names: Sequence[str]) -> frozenset[int]:
    return frozenset(number for part in word.split(",") for number in _range(part, low, high, names))


def _range(part: str, low: int, high: int, names: Sequence[str]) -> Sequence[int]:
    span, slash, step_text = part.partition("/")
    if slash and not re.fullmatch(r"[1-9]\d*", step_text):
        raise BadCron(f'step of range should be a positive number: "{part}"')
    step = int(step_text) if slash else 1
    if span in {"*", "?"}:
        return range(low, high + 1, step)
    first, dash, last = span.partition("-")
    start = _number(first, low, names)
    end = _number(last, low, names) if dash else high if slash else start
    if start < low:
        raise BadCron(f'beginning of range ({start}) below minimum ({low}): "{part}"')
    if end > high:
        raise BadCron(f'end of range ({end}) above maximum ({high}): "{part}"')
    around = range(start, end + 1) if start <= end else (*range(start, high + 1), *range(low, end + 1))
    return around[::step]


def _number(text: str, low: int, names: Sequence[str]) -> int:
    if text.lower() in names:
        return names.index(text.lower()) + low
    if not text.isdigit():
        raise BadCron(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    return int(text)
