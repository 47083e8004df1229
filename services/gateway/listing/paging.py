"""Cursors: where a page ended, as an opaque text that holds for one list, one sort and one set of filters. Pure."""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from services.gateway.listing.conditions import Condition

ID = "_id"
_INT64 = 2**63 - 1
Scalar = str | int | float | bool | datetime | None


class CursorError(ValueError):
    """The text is not a cursor of this list."""


@dataclass(frozen=True, slots=True)
class Order:
    """One field of a sort: where it lies and whether it goes down."""

    path: str
    descending: bool


@dataclass(frozen=True, slots=True)
class Position:
    """The sort values and the id of the last row of a page, and how many rows there were when the first page was read."""

    values: tuple[Scalar, ...]
    id: str
    total: int | None = None


def fingerprint(*parts: Any) -> str:
    """Return a short text that is the same only for the same list, sort and filters."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def encode(position: Position, binding: str) -> str:
    """Write a position as a cursor."""
    values = [{"t": v.astimezone(UTC).isoformat()} if isinstance(v, datetime) else v for v in position.values]
    text = json.dumps({"b": binding, "k": values, "i": position.id, "n": position.total}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(cursor: str, binding: str, fields: int) -> Position:
    """Read a cursor of a list that sorts by that many fields.

    Raises CursorError when it is none, or one of another list, sort or filter.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        content = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        bound, values, row, total = content["b"], content["k"], content["i"], content["n"]
        position = Position(tuple(_scalar(v) for v in values), str(_scalar(row)), _count(total))
    except (ValueError, KeyError, TypeError, binascii.Error, RecursionError, OverflowError) as error:
        raise CursorError("not a cursor") from error
    if len(position.values) != fields:
        raise CursorError("not a cursor")
    if bound != binding:
        raise CursorError("a cursor of another list, sort or filter")
    return position


def position_of(document: Any, orders: Sequence[Order], total: int | None = None) -> Position:
    """Return where a document stands in its list."""
    return Position(tuple(_value_at(document, order.path) for order in orders), str(document.get("_id")), total)


def ranges(position: Position, orders: Sequence[Order]) -> list[Condition]:
    """Return what stands behind a position as conditions whose answers follow one another in the list, the nearest first.

    Each is one run of an index: equal in the first fields, behind the position in the next. MongoDB sorts null and missing
    below everything, but compares them with nothing: hence a run of their own.
    """
    values = [(order.path, value) for order, value in zip(orders, position.values, strict=True)]
    runs: list[Condition] = [{**dict(values), ID: {"$lt" if _tie(orders).descending else "$gt": position.id}}]
    for depth in reversed(range(len(orders))):
        same = dict(values[:depth])
        runs += [{**same, orders[depth].path: behind} for behind in _behind(orders[depth], values[depth][1])]
    return runs


def sort_keys(orders: Sequence[Order]) -> list[tuple[str, int]]:
    """Return the whole sort, with the id last, so that no two rows are equal."""
    return [(order.path, -1 if order.descending else 1) for order in (*orders, _tie(orders))]


def _tie(orders: Sequence[Order]) -> Order:
    """Return what tells rows apart that are equal otherwise, in the direction of the sort: so one index serves both."""
    return Order(ID, descending=bool(orders) and orders[-1].descending)


def _behind(order: Order, value: Scalar) -> list[Any]:
    if value is None:
        return [] if order.descending else [{"$ne": None}]
    return [{"$lt": value}, None] if order.descending else [{"$gt": value}]


def _count(value: Any) -> int | None:
    if value is None or (type(value) is int and 0 <= value <= _INT64):
        return value
    raise ValueError("not a number of rows")


def _scalar(value: Any) -> Scalar:
    if isinstance(value, dict):
        moment = datetime.fromisoformat(value["t"])
        if moment.tzinfo is None:
            raise ValueError("a time without zone")
        return moment.astimezone(UTC)
    if isinstance(value, str):
        value.encode()  # half a surrogate pair is no text to the database
    elif isinstance(value, int) and abs(value) > _INT64:
        raise ValueError("larger than any number in the database")
    if value is None or isinstance(value, str | int | float):
        return value
    raise ValueError("not a sort value")


def raw_value_at(document: Any, path: str) -> Any:
    """Return what lies at a path, whatever it is; None where there is nothing."""
    for step in path.split("."):
        document = document.get(step) if isinstance(document, dict) else None
    return document


def _value_at(document: Any, path: str) -> Scalar:
    value = raw_value_at(document, path)
    return value if isinstance(value, str | int | float | datetime) else None
