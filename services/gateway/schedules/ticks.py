"""A page of a schedule's slots: read from three collections, put together by `ticking`."""

from datetime import datetime
from typing import Any, Final, TypeVar

import structlog

from services.gateway import reading
from services.gateway.listing.conditions import Condition, every, one_of
from services.gateway.listing.conditions import query as one_query
from services.gateway.listing.paging import CursorError, Position, decode, encode, fingerprint
from services.gateway.ports import Ports
from services.gateway.schedules import keeping, ticking
from services.gateway.schedules.queries import TickQuery
from services.gateway.schemas import Page
from shared.contracts.base import Wire
from shared.contracts.documents import Collection
from shared.contracts.schedules import Decision, Tick
from shared.contracts.views import BackupItem, OperationItem, TickItem
from shared.runtime import logging

log = structlog.get_logger(__name__)

V = TypeVar("V", bound=Wire)

_NEWEST_FIRST: Final = [("to", -1)]


async def page(ports: Ports, schedule_id: str, query: TickQuery) -> Page[TickItem]:
    """Return a page of what became of a schedule's slots.

    Raises the problem of a schedule that is not known and has no slots; CursorError for a cursor that is none of this list.
    """
    binding = fingerprint("ticks", schedule_id, sorted(query.decision), query.from_, query.to)
    behind = None if query.cursor is None else _moment(decode(query.cursor, binding, 1).values[0])
    found = await _found(ports, schedule_id, query, behind)
    if not found and behind is None:
        await _known(ports, schedule_id)
    rows, more = found[: query.limit], len(found) > query.limit
    ticks, unreadable = _readable(rows)
    items = await _joined(ports, ticks)
    return Page[TickItem](
        items=items if query.decision else ticking.runs(items),
        next_cursor=encode(Position((rows[-1]["from"],), str(rows[-1]["_id"])), binding) if more else None,
        unreadable=unreadable,
    )


async def _found(ports: Ports, schedule_id: str, query: TickQuery, behind: datetime | None) -> list[dict[str, Any]]:
    """Return the decisions of a page and one more, behind the beginning of the last one of the page before.

    Old ones are put together as time goes by: what was behind it may be part of one that reaches beyond it now.
    """
    wanted = _wanted(schedule_id, query)
    if behind is None:
        return await ports.store.find(Collection.TICKS, one_query(wanted), _NEWEST_FIRST, query.limit + 1)
    next_one = {"schedule": schedule_id, "to": {"$gte": behind}}
    across = await ports.store.find(Collection.TICKS, next_one, [("to", 1)], 1)
    shown = [each for each in across if each["from"] < behind and (not query.decision or each["decision"] in query.decision)]
    rest = one_query(every(wanted, [{"to": {"$lt": behind}}]))
    return [*shown, *await ports.store.find(Collection.TICKS, rest, _NEWEST_FIRST, query.limit + 1 - len(shown))]


def _wanted(schedule_id: str, query: TickQuery) -> list[Condition]:
    return [
        {
            "schedule": schedule_id,
            **({"decision": one_of(decision.value for decision in query.decision)} if query.decision else {}),
            **({"from": {"$lte": query.to}} if query.to is not None else {}),
            **({"to": {"$gte": query.from_}} if query.from_ is not None else {}),
        }
    ]


def _moment(value: Any) -> datetime:
    if not isinstance(value, datetime):
        raise CursorError("not a cursor")
    return value


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
    rows = await ports.store.pick(Collection.OPERATIONS, sent, ("item", "accepted.at"))
    operations, answered = _views(rows, OperationItem), {str(row["_id"]): _accepted_at(row) for row in rows}
    backups = _views(await ports.store.pick(Collection.BACKUPS, sent, ("item",)), BackupItem)
    now = ports.clock()
    return [ticking.item(tick, operations.get(tick.id), backups.get(tick.id), now, answered.get(tick.id)) for tick in ticks]


def _accepted_at(row: dict[str, Any]) -> datetime | None:
    """Return when the cluster has said yes; None if it has not, or nobody has seen it do so."""
    fact = row.get("accepted")
    at = fact.get("at") if isinstance(fact, dict) else None
    return at if isinstance(at, datetime) else None


def _views(rows: list[dict[str, Any]], item: type[V]) -> dict[str, V]:
    """Return those that can be read, by id; a slot is shown without the others."""
    found: dict[str, V] = {}
    for row in rows:
        try:
            found[str(row["_id"])] = reading.view(item, row.get("item"))
        except reading.UnreadableError as error:
            log.warning("record unreadable", **{logging.OBJECT: str(row["_id"]), logging.REASON: str(error)})
    return found
