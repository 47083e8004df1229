"""From a request for a page of a list to a query of the database, by the tables that each noun has of its list. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.gateway.listing import paging
from services.gateway.listing.conditions import Condition, every, one_of
from services.gateway.listing.conditions import query as one_query
from services.gateway.listing.filters import Filters, ListQuery
from services.gateway.listing.paging import Order

COUNT_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class Listing:
    """A list: its sorts by name, the one it has by itself, and its filters by parameter.

    `unlisted` are the statuses of the rows that it leaves out unless it is asked for them; `ties` what it sorts by behind what
    a request sorts by, in the same direction.
    """

    name: str
    sorts: Mapping[str, str]
    default_sort: str
    filters: Filters
    unlisted: frozenset[str] = frozenset()
    ties: tuple[str, ...] = ()

    def listed(self, statuses: Sequence[str]) -> Condition:
        """Return where in the list to look: among what stands in it, or wherever rows of the statuses asked for are."""
        return {"listed": one_of(status not in self.unlisted for status in statuses) if statuses else True}


_SORTED_TYPES: Mapping[str, tuple[type, ...]] = {
    "item.createdAt": (datetime,),
    "item.expiresAt": (datetime,),
    "item.nextRunAt": (datetime,),
    "item.lastBackupAt": (datetime,),
    "item.size.totalBytes": (int, float),
}
"""What the values of a sort are where they are not text."""


class SortError(ValueError):
    """The sort names a field that the list cannot be sorted by, or one twice."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to ask the database for one page, and how to write the cursor behind it."""

    filter: Condition
    """Of the whole list; what is counted."""
    runs: tuple[Condition, ...]
    """What the page is in: one after the other until it is full."""
    orders: tuple[Order, ...]
    limit: int
    binding: str
    total: int | None
    """How many rows the list had, if the cursor says so."""

    @property
    def sort(self) -> list[tuple[str, int]]:
        """The sort with the id last."""
        return paging.sort_keys(self.orders)

    def places(self, document: Any) -> bool:
        """Tell whether the values that a document is sorted by are of the types that they should be.

        MongoDB sorts values of different types, but compares none of them: a cursor on one would skip the rest of the list.
        """
        values = ((paging.raw_value_at(document, order.path), _SORTED_TYPES.get(order.path, (str,))) for order in self.orders)
        return all(value is None or isinstance(value, types) for value, types in values)

    def next_cursor(self, last: Any, total: int | None = None) -> str:
        """Return the cursor behind a document of a list of so many."""
        return paging.encode(paging.position_of(last, self.orders, total), self.binding)


def plan(listing: Listing, query: ListQuery) -> Plan:
    """Turn a request for a page into a query.

    Raises SortError and CursorError.
    """
    text = query.sort or listing.default_sort
    orders = parse_sort(listing, text)
    asked = {name: getattr(query, name) for name in listing.filters if getattr(query, name) not in (None, [])}
    wanted = every([listing.listed(asked.get("status", ()))], *(listing.filters[name](value) for name, value in asked.items()))
    binding = paging.fingerprint(
        listing.name, text, {k: sorted(map(str, v)) if isinstance(v, list) else v for k, v in asked.items()}
    )
    whole = one_query(wanted)
    if query.cursor is None:
        return Plan(whole, (whole,), orders, query.limit, binding, None)
    position = paging.decode(query.cursor, binding, len(orders))
    runs = (every(wanted, [run]) for run in paging.ranges(position, orders))
    return Plan(whole, tuple(one_query(run) for run in runs if run), orders, query.limit, binding, position.total)


def parse_sort(listing: Listing, text: str) -> tuple[Order, ...]:
    """Read `-createdAt,name`, and add what tells equals apart.

    Raises SortError.
    """
    orders: list[Order] = []
    for word in text.split(","):
        name = word.removeprefix("-")
        if name not in listing.sorts:
            raise SortError(f"cannot sort by {name!r}: use {', '.join(listing.sorts)}")
        order = Order(listing.sorts[name], descending=word.startswith("-"))
        if any(known.path == order.path for known in orders):
            raise SortError(f"{name!r} stands twice")
        orders.append(order)
    known = {order.path for order in orders}
    return (*orders, *(Order(path, orders[-1].descending) for path in listing.ties if path not in known))
