"""What Velero's objects say of the work that they stand for, cut to what people can read. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from services.status.objects import Record
from services.status.values import cut, mapping, strings, whole
from shared.contracts.names import RESERVED_PREFIXES

REASON_LIMIT: Final = 300
_TEXT_LIMIT: Final = 8 * 1024
_MOST_PROBLEMS: Final = 100

UNANSWERED: Final = "Nobody answered before the deadline: see whether the cluster is online, and ask again."


def complaints(shown: Record) -> tuple[list[str], str | None, bool]:
    """Return Velero's validation errors and its reason for a failure, and whether they had to be shortened."""
    failure, told = shown.status.get("failureReason"), strings(shown.status.get("validationErrors"))
    problems = [short for each in told[:_MOST_PROBLEMS] if (short := cut(each, _TEXT_LIMIT))]
    return problems, cut(failure, _TEXT_LIMIT), len(told) > _MOST_PROBLEMS or any(map(_is_long, (*told, failure)))


def _is_long(value: Any) -> bool:
    return isinstance(value, str) and len(value) > _TEXT_LIMIT


def in_short(sentence: str | None) -> str | None:
    """Return the first line of a sentence, as far as a list shows it."""
    return cut(sentence.strip().partition("\n")[0], REASON_LIMIT) if sentence else None


def count(shown: Record, name: str, *, ended: bool) -> int | None:
    """Return a count that Velero leaves out when it is 0, which it only is once the work has ended."""
    return whole(shown.status[name]) if name in shown.status else 0 if ended else None


def errors(number: int | None) -> str | None:
    """Return how many errors there were, in words; None when there were none."""
    return f"{number} error{'s' if number != 1 else ''}" if number else None


def progress(shown: Record, done: str) -> dict[str, int | None] | None:
    """Return how far the work has come, by Velero's own count; `done` is what it calls what is done."""
    told = mapping(shown.status.get("progress"))
    numbers = {done: whole(told.get(done)), "totalItems": whole(told.get("totalItems"))}
    return None if all(number is None for number in numbers.values()) else numbers


def hooks(shown: Record) -> dict[str, int] | None:
    """Return what became of the hooks; None when nothing is told."""
    return {k: n for k, v in mapping(shown.status.get("hookStatus")).items() if (n := whole(v)) is not None} or None


def own_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that a person may set: those that say whose an object is are left out."""
    return {k: v for k, v in labels.items() if not k.startswith(RESERVED_PREFIXES)}
