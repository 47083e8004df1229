"""Pages of what is held in memory. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.gateway.listing import paging
from services.gateway.listing.filters import PageQuery


@dataclass(frozen=True, slots=True)
class Slice:
    """A page of something that is held in memory, sorted by a unique text."""

    items: list[Any]
    next_cursor: str | None


def slice_of(rows: Mapping[str, Any], query: PageQuery, name: str) -> Slice:
    """Cut a page out of rows by key; stable under inserts, because the cursor is the last key.

    Raises CursorError.
    """
    binding = paging.fingerprint(name)
    begin = paging.decode(query.cursor, binding, 0).id if query.cursor is not None else ""
    keys = sorted(key for key in rows if query.cursor is None or key > begin)
    shown = keys[: query.limit]
    more = len(keys) > len(shown)
    return Slice([rows[key] for key in shown], paging.encode(paging.Position((), shown[-1]), binding) if more else None)
