"""The only place that reads the wall clock; everything else is handed `now`."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns now, in UTC and whole milliseconds (the precision that the database keeps)."""


def now() -> datetime:
    """Return the wall-clock time in UTC, in whole milliseconds."""
    moment = datetime.now(UTC)  # noqa: TID251 - this is the one place
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
