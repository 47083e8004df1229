"""A page of a schedule's slots: read from three collections, put together by `ticking`."""

from datetime import datetime
from typing import Any, Final, TypeVar

import structlog

from services.gateway import keeping, reading, ticking
from services.gateway.answers import problem_of
from services.gateway.conditions import Condition, one_of
from services.gateway.paging import CursorError, Position, decode, encode, fingerprint
from services.gateway.ports import Ports
from services.gateway.queries import TickQuery
from services.gateway.schemas import Page
from shared.contracts.base import Wire
from shared.contracts.documents import Collection
from shared.contracts.schedules import Decision, Tick
from shared.contracts.views import BackupItem, OperationItem, TickItem
from shared.runtime import logging

log = structlog.get_logger(__name__)

V = TypeVar("V", bound=Wire)

_NEWEST_FIRST: Final = [("from", -1), ("_id", -1)]


async def page(ports: Ports, schedule_id: str, query: TickQuery) -> Page[TickItem]:
    """Return a page of what became of a schedule's slots.

    Raises the problems of a schedule that is not known and has no slots, and of a cursor that is none of this list.
    """
    binding = fingerprint("ticks", schedule_id, sorted(query.decision), query.from_, query.to)
    try:
        condition = _condition(schedule_id, query, binding)
    except CursorError as error:
        raise problem_of(error) from error
    found = await ports.store.find(Collection.TICKS, condition, _NEWEST_FIRST, query.limit + 1)
    if not found and query.cursor is None:
        await _known(ports, schedule_id)
    rows, more = found[: query.limit], len(found) > query.limit
    ticks, unreadable = _readable(rows)
    items = await _joined(ports, ticks)
    return Page[TickItem](
        items=items if query.decision else ticking.runs(items),
        next_cursor=encode(Position((rows[-1]["from"],), str(rows[-1]["_id"])), binding) if more else None,
        unreadable=unreadable,
    )


def _condition(schedule_id: str, query: TickQuery, binding: str) -> Condition:
    begins: dict[str, Any] = {} if query.to is None else {"$lte": query.to}
    if query.cursor is not None:
        (behind,) = decode(query.cursor, binding, 1).values
        if not isinstance(behind, datetime):
            raise CursorError("not a cursor")
        begins["$lt"] = behind
    return {
        "schedule": schedule_id,
        **({"decision": one_of(decision.value for decision in query.decision)} if query.decision else {}),
        **({"from": begins} if begins else {}),
        **({"to": {"$gte": query.from_}} if query.from_ is not None else {}),
    }


async def _known(ports: Ports, schedule_id: str) -> None:
    """Return if there is such a schedule, or slots of one that was.

    Raises the problem of an id that none has.
    """
    if not await ports.store.find(Collection.TICKS, {"schedule": schedule_id}, _NEWEST_FIRST, 1, ("_id",)):
        await keeping.detail_of(ports, schedule_id)


def _readable(rows: list[dict[str, Any]]) -> tuple[list[Tick], list[str]]:
    ticks: list[Tick] = []
    unreadable: list[str] = []
    for row in rows:
        try:
            ticks.append(Tick.of(row))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("record unreadable", **{logging.OBJECT: str(row.get("_id")), logging.REASON: type(error).__name__})
            unreadable.append(str(row.get("_id")))
    return ticks, unreadable


async def _joined(ports: Ports, ticks: list[Tick]) -> list[TickItem]:
    sent = [tick.id for tick in ticks if tick.decision is Decision.TRIGGERED]
    operations = _views(await ports.store.pick(Collection.OPERATIONS, sent, ("item",)), OperationItem)
    backups = _views(await ports.store.pick(Collection.BACKUPS, sent, ("item",)), BackupItem)
    now = ports.clock()
    return [ticking.item(tick, operations.get(tick.id), backups.get(tick.id), now) for tick in ticks]


def _views(rows: list[dict[str, Any]], item: type[V]) -> dict[str, V]:
    """Return those that can be read, by id; a slot is shown without the others."""
    found: dict[str, V] = {}
    for row in rows:
        try:
            found[str(row["_id"])] = reading.view(item, row.get("item"))
        except reading.UnreadableError as error:
            log.warning("record unreadable", **{logging.OBJECT: str(row["_id"]), logging.REASON: str(error)})
    return found
