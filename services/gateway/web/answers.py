"""How views become HTTP answers: one object, one page, one problem."""

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog
from starlette.responses import Response

from services.gateway import reading
from services.gateway.listing.filters import ListQuery
from services.gateway.listing.paging import CursorError
from services.gateway.listing.queries import COUNT_LIMIT, Listing, Plan, SortError, plan
from services.gateway.ports import Ports
from services.gateway.schemas import Page
from services.gateway.validation import InvalidRequestError, NotJsonError
from services.gateway.web.problems import ProblemError
from shared.contracts.base import Wire
from shared.contracts.documents import Collection
from shared.runtime import logging

log = structlog.get_logger(__name__)

_PASSED_OVER = 2000
_GLANCE = 1000
"""How many rows the first page looks at to know whether that is all."""


def model(value: Wire, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return one view."""
    return Response(value.model_dump_json(by_alias=True).encode(), status, headers, "application/json")


def problem_of(error: Exception) -> ProblemError:
    """Return the problem that an error of the pure modules means to a client."""
    match error:
        case NotJsonError():
            return ProblemError("malformed-json", f"The body is not JSON: {error}")
        case InvalidRequestError():
            count, listed_here = error.count, len(error.errors)
            words = f"{count} things are wrong with the request." if count != 1 else "One thing is wrong with the request."
            words += f" The first {listed_here} are listed." if count > listed_here else ""
            return ProblemError("invalid-request", words, errors=error.errors)
        case CursorError():
            return ProblemError(
                "invalid-cursor", f"The cursor is {error}.", errors=[{"parameter": "cursor", "detail": f"is {error}"}]
            )
        case SortError():
            return ProblemError("invalid-query", str(error), errors=[{"parameter": "sort", "detail": str(error)}])
        case _:
            raise error


async def listed(ports: Ports, listing: Listing, collection: Collection, query: ListQuery, item: type[Wire]) -> Response:
    """Return a page of a projection; a document that cannot be read is named, logged and left out.

    Whoever asks for the same page at the same time is given the same answer, which was looked for after all had asked.
    """
    wanted = plan(listing, query)
    page = await ports.shared(
        f"{listing.name}?{query.model_dump_json()}", lambda: _page(ports, collection, query, wanted, item)
    )
    return Response(page, media_type="application/json")


async def _page(ports: Ports, collection: Collection, query: ListQuery, wanted: Plan, item: type[Wire]) -> bytes:
    """Return a page as it is sent.

    A list is counted once, however many pages of it are read: with the first one, and its cursor takes the number along. A
    small first page reads more ids than it shows, which an index knows, so that a list which is not long is counted by that.
    What is long is counted while the rows are read, in the index and only so far.
    """
    first = query.cursor is None
    glance = first and wanted.limit <= _GLANCE // 10
    asked = _GLANCE if glance else wanted.limit + 1
    found = await _found(ports, collection, wanted, asked, "_id" if glance else "item")
    known = len(found) if first and len(found) < asked else wanted.total
    reading_rows = _rows(ports, collection, wanted, found, picked=not glance)
    (rows, more, odd), count = await asyncio.gather(reading_rows, _total(ports, collection, wanted, known))
    items, unreadable = readable(rows, item)
    page = Page[Any](
        items=items,
        next_cursor=wanted.next_cursor(rows[-1], count) if rows and more else None,
        total=count if count <= COUNT_LIMIT else None,
        total_at_least=COUNT_LIMIT if count > COUNT_LIMIT else None,
        unreadable=unreadable + odd,
    )
    return page.model_dump_json(by_alias=True).encode()


async def _found(
    ports: Ports, collection: Collection, wanted: Plan, limit: int, field: str, without: Sequence[Any] = ()
) -> list[dict[str, Any]]:
    """Return a field of the next rows in their order: run by run, until there are as many as asked for."""
    found: list[dict[str, Any]] = []
    for run in wanted.runs:
        query = {"$and": [run, {"_id": {"$nin": without}}]} if without else run
        found += await ports.store.find(collection, query, wanted.sort, limit - len(found), (field,))
        if len(found) >= limit:
            break
    return found


async def _rows(
    ports: Ports, collection: Collection, wanted: Plan, found: list[dict[str, Any]], *, picked: bool
) -> tuple[list[dict[str, Any]], bool, list[str]]:
    """Return the rows of the page, whether there are more behind it, and the ids of what was passed over.

    `picked`: what was found are the rows, not only their ids. Passed over is what no cursor could stand on; what has gone
    meanwhile is left out.
    """
    odd: list[Any] = []
    while True:
        rows = found[: wanted.limit]
        if not picked and not odd:
            ids = [row["_id"] for row in rows]
            there = {row["_id"]: row for row in await ports.store.pick(collection, ids, ("item",))}
            rows = [there[row_id] for row_id in ids if row_id in there]
        wrong = [row["_id"] for row in rows if not wanted.places(row)]
        if not wrong or len(odd) >= _PASSED_OVER:
            placed = [row for row in rows if wanted.places(row)]
            return placed, len(found) > wanted.limit, [str(odd_id) for odd_id in odd]
        for odd_id in wrong:
            log.warning("record cannot be sorted", **{logging.OBJECT: str(odd_id)})
        odd += wrong
        found = await _found(ports, collection, wanted, wanted.limit + 1, "item", odd)


async def _total(ports: Ports, collection: Collection, wanted: Plan, known: int | None) -> int:
    """Return how many rows the list has, counted only if that is not known yet, and only so far."""
    return known if known is not None else await ports.store.count(collection, wanted.filter, COUNT_LIMIT + 1)


def readable(documents: list[dict[str, Any]], item: type[Wire]) -> tuple[list[Wire], list[str]]:
    """Return the items that can be read, and the ids of those that cannot."""
    items: list[Wire] = []
    unreadable: list[str] = []
    for document in documents:
        try:
            items.append(reading.view(item, document.get("item")))
        except reading.UnreadableError as error:
            log.warning("record unreadable", **{logging.OBJECT: str(document.get("_id")), logging.REASON: str(error)})
            unreadable.append(str(document.get("_id")))
    return items, unreadable
