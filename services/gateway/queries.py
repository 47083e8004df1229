"""Filters, sorts and search of every list: tables from the names that people use to MongoDB queries. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from services.gateway import paging
from services.gateway.conditions import Condition, any_of, every, one_of
from services.gateway.conditions import query as one_query
from services.gateway.paging import CursorError, Order
from shared.contracts.backupspec import Labels
from shared.contracts.phases import UNLISTED, BackupStatus, LocationStatus, Outcome, ScheduleStatus
from shared.contracts.schedules import Decision

COUNT_LIMIT = 10_000
_SUBSTRING_FROM = 3


def _in_range(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is out of range") from error


Text = Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=r"^[^\x00-\x1f]*$")]
Moment = Annotated[AwareDatetime, AfterValidator(_in_range)]


SHOWN_BACKUPS = tuple(s.value for s in BackupStatus if s is not BackupStatus.REFUSED)
SHOWN_LOCATIONS = tuple(s.value for s in LocationStatus if s is not LocationStatus.DELETED)
SHOWN_SCHEDULES = tuple(s.value for s in ScheduleStatus if s is not ScheduleStatus.DELETED)
"""The statuses of rows that a list can show; to filter by another one is a mistake, not an empty list."""
MANAGERS = ("Leeward", "Velero")


def _among(known: Sequence[str]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in known:
            raise ValueError(f"must be one of {', '.join(known)}")
        return value

    return AfterValidator(check)


def _enum(known: Sequence[str]) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": list(known)})


def _label_wish(value: str) -> str:
    """Return `key=value` or `key`; one that no label can be would find nothing, as if there were nothing."""
    key, _, wanted = value.partition("=")
    try:
        _LABELS.validate_python({key: wanted})
    except ValidationError:
        raise ValueError(f"{value!r} is not a label such as team=shop, or team") from None
    return value


_LABELS = TypeAdapter(Labels)
LabelWish = Annotated[Text, AfterValidator(_label_wish)]
ShownBackup = Annotated[str, _among(SHOWN_BACKUPS), _enum(SHOWN_BACKUPS)]
ShownLocation = Annotated[str, _among(SHOWN_LOCATIONS), _enum(SHOWN_LOCATIONS)]
ShownSchedule = Annotated[str, _among(SHOWN_SCHEDULES), _enum(SHOWN_SCHEDULES)]
Manager = Annotated[str, _among(MANAGERS), _enum(MANAGERS)]


class Nothing(BaseModel):
    """The query of an address that has no parameters."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, frozen=True)


class PageQuery(Nothing):
    """How much of a list, from where."""

    limit: Annotated[int, Field(ge=1, le=500)] = 50
    cursor: Annotated[str, StringConstraints(max_length=8192)] | None = None


class ListQuery(PageQuery):
    """A list that can be sorted: comma-separated names, `-` in front for descending."""

    sort: Annotated[str, StringConstraints(max_length=256)] | None = None


class BackupQuery(ListQuery):
    """Filters of `GET /backups`: a repeated one means or, different ones mean and."""

    cluster: list[Text] = []
    status: list[ShownBackup] = []
    outcome: list[Outcome] = []
    created_by: list[Text] = []
    schedule: list[Text] = []
    storage_location: list[Text] = []
    label: list[LabelWish] = []
    search: Text | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None


class LocationQuery(ListQuery):
    """Filters of `GET /storage-locations`."""

    cluster: list[Text] = []
    status: list[ShownLocation] = []
    search: Text | None = None


class ScheduleQuery(ListQuery):
    """Filters of `GET /schedules`."""

    cluster: list[Text] = []
    status: list[ShownSchedule] = []
    storage_location: list[Text] = []
    managed_by: list[Manager] = []
    search: Text | None = None


class TickQuery(PageQuery):
    """Filters of `GET /schedules/{id}/ticks`: by decision, and of slots at or after `from` and not after `to`."""

    decision: list[Decision] = []
    from_: Annotated[Moment | None, Field(alias="from")] = None
    to: Moment | None = None


class DeletionQuery(Nothing):
    """How a schedule is deleted: with the backups that it made or without; by itself as its settings say."""

    delete_backups: bool | None = None


class EventQuery(Nothing):
    """Filters of `GET /events`."""

    cluster: list[Text] = []
    kind: list[Text] = []


def by_label(values: Sequence[str]) -> list[Condition]:
    """Filter by `key=value`, or by `key` for any value."""
    pairs = (value.partition("=") for value in values)
    return [{"item.labels": {"$elemMatch": {"k": key, "v": wanted} if equals else {"k": key}}} for key, equals, wanted in pairs]


CREATOR_KINDS = ("User", "Schedule", "External")


def by_creator(values: Sequence[str]) -> list[Condition]:
    """Filter by a kind (`Schedule`), a name (`anna`), or both (`User/anna`)."""
    kinds = [value for value in values if value in CREATOR_KINDS]
    both = [(kind, name) for kind, slash, name in (value.partition("/") for value in values) if slash and kind in CREATOR_KINDS]
    names = [value for value in values if value.partition("/")[0] not in CREATOR_KINDS]
    return [
        *([{_KIND: one_of(kinds)}] if kinds else []),
        *([{_NAME: one_of(names)}] if names else []),
        *({_NAME: name, _KIND: kind} for kind, name in dict.fromkeys(both)),
    ]


_KIND, _NAME = "item.createdBy.kind", "item.createdBy.name"


def by_schedule(values: Sequence[str]) -> list[Condition]:
    """Filter by a schedule's id or name."""
    return [{"item.schedule.id": one_of(values)}, {"item.schedule.name": one_of(values)}]


def by_name(text: str) -> list[Condition]:
    """Search the name: a substring from three characters, a prefix below. Kubernetes names are lower case, always."""
    pattern = re.escape(text.lower())
    return [{"item.name": {"$regex": pattern if len(text) >= _SUBSTRING_FROM else f"^{pattern}"}}]


@dataclass(frozen=True, slots=True)
class Listing:
    """A list: its sorts by name, the one it has by itself, and its filters by parameter.

    `unlisted` are the statuses of the rows that it leaves out unless it is asked for them; `ties` what it sorts by behind what
    a request sorts by, in the same direction.
    """

    name: str
    sorts: Mapping[str, str]
    default_sort: str
    filters: Mapping[str, Callable[[Any], Sequence[Condition]]]
    unlisted: frozenset[str] = frozenset()
    ties: tuple[str, ...] = ()

    def listed(self, statuses: Sequence[str]) -> Condition:
        """Return where in the list to look: among what stands in it, or wherever rows of the statuses asked for are."""
        return {"listed": one_of(status not in self.unlisted for status in statuses) if statuses else True}


BACKUPS = Listing(
    name="backups",
    sorts={
        "name": "item.name",
        "createdAt": "item.createdAt",
        "expiresAt": "item.expiresAt",
        "size": "item.size.totalBytes",
        "status": "item.status",
        "cluster": "item.cluster",
    },
    default_sort="-createdAt",
    filters={
        "cluster": any_of("item.cluster"),
        "status": any_of("item.status"),
        "outcome": any_of("item.outcome"),
        "created_by": by_creator,
        "schedule": by_schedule,
        "storage_location": any_of("item.storageLocation"),
        "label": by_label,
        "search": by_name,
        "created_after": lambda moment: [{"item.createdAt": {"$gt": moment}}],
        "created_before": lambda moment: [{"item.createdAt": {"$lt": moment}}],
    },
    unlisted=frozenset(status.value for status in UNLISTED),
    ties=("item.createdAt",),
)

LOCATIONS = Listing(
    name="storage-locations",
    sorts={"name": "item.name", "cluster": "item.cluster", "status": "item.status"},
    default_sort="cluster,name",
    filters={"cluster": any_of("item.cluster"), "status": any_of("item.status"), "search": by_name},
)

SCHEDULES = Listing(
    name="schedules",
    sorts={
        "name": "item.name",
        "createdAt": "item.createdAt",
        "cluster": "item.cluster",
        "status": "item.status",
        "nextRunAt": "item.nextRunAt",
        "lastBackupAt": "item.lastBackupAt",
    },
    default_sort="name",
    filters={
        "cluster": any_of("item.cluster"),
        "status": any_of("item.status"),
        "storage_location": any_of("item.storageLocation.name"),
        "managed_by": any_of("item.managedBy"),
        "search": by_name,
    },
    ties=("item.name",),
)

NAMED: Mapping[str, Mapping[str, str]] = {
    "newest first": {},
    "cluster": {"cluster": "cluster-007"},
    "status": {"status": "Failed"},
    "deleted": {"status": "Deleted"},
    "outcome": {"outcome": "PartiallyFailed"},
    "kind of creator": {"createdBy": "External"},
    "creator": {"createdBy": "anna"},
    "schedule": {"schedule": "nightly-7"},
    "storage location": {"storageLocation": "archive"},
    "label": {"label": "team=shop"},
    "search": {"search": "shop"},
    "prefix": {"search": "ca"},
    "since": {"createdAfter": "2026-02-01T00:00:00Z"},
    "between": {"createdAfter": "2026-01-10T00:00:00Z", "createdBefore": "2026-01-20T00:00:00Z"},
    "cluster and status": {"cluster": "cluster-007", "status": "Completed"},
    "cluster and time": {"cluster": "cluster-007", "createdAfter": "2026-01-10T00:00:00Z"},
    "cluster and search": {"cluster": "cluster-007", "search": "shop"},
    "status and time": {"status": "Failed", "createdBefore": "2026-02-01T00:00:00Z"},
    "label and time": {"label": "team=shop", "createdAfter": "2026-01-10T00:00:00Z"},
    **{f"by {way}{name}": {"sort": f"{way}{name}"} for name in BACKUPS.sorts for way in ("", "-")},
    "search by name": {"search": "shop", "sort": "name"},
}
"""The queries that have an index each, as people ask them. Any other is answered too, by the index that reads least."""

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


__all__ = [
    "BACKUPS",
    "LOCATIONS",
    "NAMED",
    "SCHEDULES",
    "CursorError",
    "Listing",
    "Plan",
    "SortError",
    "parse_sort",
    "plan",
]
