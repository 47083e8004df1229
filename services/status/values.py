"""Values that may be anything, read as what they should be, and made fit to be stored. Pure."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from pydantic import TypeAdapter

from shared.contracts.base import Instant

_DEEPEST: Final = 24  # MongoDB takes 100 levels, and a map with odd keys becomes three of them
_WIDEST_INTEGER: Final = 2**63 - 1
_LONGEST_WORD: Final = 253
_INSTANT: Final = TypeAdapter(Instant)


def mapping(value: Any) -> Mapping[str, Any]:
    """Return the value if it is a map, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def words(value: Any) -> dict[str, str]:
    """Return the text entries of a map."""
    return {k: v for k, v in mapping(value).items() if isinstance(v, str)}


def strings(value: Any) -> list[str]:
    """Return the texts of a list."""
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []


def text(value: Any, limit: int = _LONGEST_WORD) -> str | None:
    """Return the value if it is a text with something in it and not over the limit."""
    return value if isinstance(value, str) and 0 < len(value) <= limit else None


def cut(value: Any, limit: int) -> str | None:
    """Return the value if it is a text with something in it, without what is over the limit."""
    return (value if len(value) <= limit else f"{value[: limit - 1]}…") if isinstance(value, str) and value else None


def whole(value: Any) -> int | None:
    """Return the value if it is a whole number (JSON's `true` is none)."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def instant(value: Any) -> datetime | None:
    """Return the moment that an RFC 3339 text names; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        return _INSTANT.validate_python(datetime.fromisoformat(value))
    except ValueError:
        return None


def in_milliseconds(moment: datetime) -> datetime:
    """Return the moment as the database keeps it: in UTC and whole milliseconds."""
    return _INSTANT.validate_python(moment)


def storable(value: Any, depth: int = _DEEPEST) -> Any:
    """Return the value with what a database cannot keep made harmless: depth, wide integers, broken text, NUL in keys."""
    if isinstance(value, Mapping):
        return {_clean(k).replace("\0", "\ufffd"): storable(v, depth - 1) for k, v in value.items()} if depth else "…"
    if isinstance(value, list):
        return [storable(v, depth - 1) for v in value] if depth else "…"
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, int) and abs(value) > _WIDEST_INTEGER:
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _clean(value: str) -> str:
    return value.encode(errors="replace").decode()
