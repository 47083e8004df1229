"""Every index serves a query, and every named query has an index: what is equal first, then its sort, then its ranges."""

import itertools

import pytest

from services.gateway import store as gateway
from services.gateway.backups.queries import BACKUPS, NAMED, BackupQuery
from services.gateway.listing.queries import plan
from services.gateway.locations.queries import LOCATIONS, LocationQuery
from services.gateway.restores.queries import RESTORES, RestoreQuery
from services.gateway.schedules.queries import SCHEDULES, ScheduleQuery
from services.status.memory import store as status
from services.status.memory.indexes import INDEXES
from services.status.ports import Maker
from shared.contracts.documents import Collection, to_document
from shared.contracts.names import Noun
from shared.contracts.views import Size
from tests.support.gateway import NOW, backup_item

ROW = {
    "_id": "x",
    "item": to_document(backup_item("x", expires_at=NOW, size=Size(total_bytes=7))),
}
UNKNOWN = {"_id": "x", "item": to_document(backup_item("x", created_at=None))}


def keys_of(collection):
    return [index.keys for index in INDEXES if index.collection == collection]


def parts(query):
    """The paths that a flat query holds equal, and those that it bounds."""
    equal, bounded = set(), set()
    for path, wanted in query.items():
        operators = wanted if isinstance(wanted, dict) else {"$eq": wanted}
        if "$elemMatch" in operators:
            equal |= {f"{path}.{key}" for key in operators["$elemMatch"]}
        else:
            (equal if {"$eq", "$in"} & set(operators) else bounded).add(path)
    return equal, bounded


def serves(keys, query, sort):
    """Whether an index holds what is equal, in any order, then the rest of the sort, then the ranges that are left."""
    equal, bounded = parts(query)
    rest = [(path, way) for path, way in sort if path not in equal]
    end = len(equal) + len(rest)
    one_way = len({way for _, way in rest}) <= 1  # an index is walked in either direction
    ranges = bounded - {path for path, _ in rest}
    return (
        one_way
        and set(keys[: len(equal)]) == equal
        and list(keys[len(equal) : end]) == [path for path, _ in rest]
        and set(keys[end : end + len(ranges)]) == ranges
    )


def pages_of(parameters):
    """The plans of a named query: its first page, and the one behind a row of which all or little is known."""
    first = plan(BACKUPS, BackupQuery.model_validate(parameters))
    behind = [first.next_cursor(row) for row in (ROW, UNKNOWN)]
    return [first, *(plan(BACKUPS, BackupQuery.model_validate({**parameters, "cursor": cursor})) for cursor in behind)]


def asked(parameters):
    """Every flat query, with its sort, that the database is asked for these pages."""
    for page in pages_of(parameters):
        for run in page.runs:
            yield from ((query, page.sort) for query in run.get("$or", [run]))


def lists(parameters):
    return {
        key: value if key.startswith(("sort", "search", "created")) and key != "createdBy" else [value]
        for key, value in parameters.items()
    }


@pytest.mark.parametrize("name", NAMED)
def test_a_named_query_has_an_index_also_behind_a_cursor(name):
    for query, sort in asked(lists(NAMED[name])):
        assert any(serves(keys, query, sort) for keys in keys_of(Collection.BACKUPS)), (query, sort)


def test_the_named_queries_have_every_filter_and_every_sort_both_ways():
    used = set(itertools.chain.from_iterable(NAMED.values()))
    parameters = {(BackupQuery.model_fields[name].alias or name) for name in BACKUPS.filters}
    assert parameters <= used
    assert {f"{way}{name}" for name in BACKUPS.sorts for way in ("", "-")} <= {each.get("sort") for each in NAMED.values()}


def test_no_index_of_a_list_is_without_a_named_query():
    queries = [each for parameters in NAMED.values() for each in asked(lists(parameters))]
    idle = [
        keys
        for keys in keys_of(Collection.BACKUPS)
        if keys[0] == "listed" and not any(serves(keys, query, sort) for query, sort in queries)
    ]
    assert idle == []


SCHEDULE_QUERIES = [
    *({"sort": f"{way}{name}"} for name in SCHEDULES.sorts for way in ("", "-")),
    {"cluster": ["eu1"]},
    {"status": ["New"]},
    {"storageLocation": ["archive"]},
    {"managedBy": ["Velero"]},
    {"search": "shop"},
]


@pytest.mark.parametrize("parameters", SCHEDULE_QUERIES, ids=str)
def test_every_sort_and_every_filter_of_schedules_has_an_index(parameters):
    page = plan(SCHEDULES, ScheduleQuery.model_validate(parameters))
    assert any(serves(keys, page.filter, page.sort) for keys in keys_of(Collection.SCHEDULE_STATUS))


def test_every_filter_of_schedules_is_among_them():
    used = {name for each in SCHEDULE_QUERIES for name in each}
    assert {(ScheduleQuery.model_fields[name].alias or name) for name in SCHEDULES.filters} <= used


class Asked:
    """A database that holds nothing, and remembers by which fields it was asked for something."""

    def __init__(self):
        self.paths = set()

    def __getitem__(self, _name):
        return self

    get_collection = __getitem__

    def find(self, query, *_, **__):
        self.paths |= {path for each in query.get("$or", [query]) for path in each}
        return self

    def sort(self, *_):
        return self

    limit = sort

    async def aggregate(self, pipeline):
        return self.find(pipeline[0]["$match"])

    async def to_list(self):
        return []

    async def __aiter__(self):
        for nothing in ():
            yield nothing


async def test_the_other_indexes_of_backups_serve_those_who_ask_for_one_row_or_one_schedule_and_who_looks_after_them():
    asked = Asked()
    await gateway.Store(asked).backup("b1")
    await status.Store(asked).due(Noun.BACKUP, NOW, 1)
    await status.Store(asked).unannounced(Noun.BACKUP, NOW, 1)
    await status.Store(asked).made(Maker("s1", "eu1", "nightly"))
    assert {keys[0] for keys in keys_of(Collection.BACKUPS) if keys[0] != "listed"} <= asked.paths


def test_no_index_of_a_list_is_the_beginning_of_another():
    known = keys_of(Collection.BACKUPS)
    assert [(a, b) for a, b in itertools.permutations(known, 2) if b[: len(a)] == a] == []


@pytest.mark.parametrize(
    ("keys", "query", "sort", "right"),
    [
        (("a", "s", "r"), {"a": 1, "r": {"$gt": 1}}, [("s", -1)], True),
        (("a", "r", "s"), {"a": 1, "r": {"$gt": 1}}, [("s", -1)], False),  # a range in front of the sort
        (("s", "a"), {"a": 1}, [("s", 1)], False),  # the sort in front of what is equal
        (("a", "s", "t"), {"a": 1}, [("s", 1), ("t", -1)], False),  # half of it backwards
        (("a", "b", "s"), {"a": 1}, [("s", 1)], False),  # something between
        (("a", "s"), {"a": 1, "r": {"$gt": 1}}, [("s", 1)], False),  # the range has no place
        (("a", "s"), {"a": {"$in": [1, 2]}, "s": {"$gt": 1}}, [("s", 1)], True),
    ],
)
def test_what_it_means_that_an_index_serves(keys, query, sort, right):
    assert serves(keys, query, sort) is right


def test_a_list_of_locations_needs_no_sorting():
    for cluster in ([], ["eu1"]):
        page = plan(LOCATIONS, LocationQuery(cluster=cluster))
        assert any(serves(keys, page.filter, page.sort) for keys in keys_of(Collection.LOCATIONS))


def test_a_list_of_snapshot_locations_needs_no_sorting_either():
    for cluster in ([], ["eu1"]):
        page = plan(LOCATIONS, LocationQuery(cluster=cluster))
        assert any(serves(keys, page.filter, page.sort) for keys in keys_of(Collection.SNAPSHOT_LOCATIONS))


RESTORE_QUERIES = [
    {},
    *({"sort": f"{way}{name}"} for name in RESTORES.sorts for way in ("", "-")),
    *({name: ["eu1"]} for name in ("cluster", "backup", "schedule")),
    *({"status": [status]} for status in ("Failed", "Deleted")),
    {"outcome": ["Failed"]},
    *({"createdBy": [who]} for who in ("anna", "External")),
    {"label": ["team=shop"]},
    {"createdAfter": "2026-02-01T00:00:00Z"},
]


@pytest.mark.parametrize("parameters", RESTORE_QUERIES)
def test_a_list_of_restores_is_sorted_by_an_index_whatever_it_is_filtered_by(parameters):
    page = plan(RESTORES, RestoreQuery.model_validate(parameters))
    for run in page.runs:
        for query in run.get("$or", [run]):
            assert any(serves(keys, query, page.sort) for keys in keys_of(Collection.RESTORES)), query


def test_every_index_of_restores_is_asked_for():
    asked = {"aliases"}
    for parameters in RESTORE_QUERIES:
        page = plan(RESTORES, RestoreQuery.model_validate(parameters))
        for query in (q for run in page.runs for q in run.get("$or", [run])):
            equal, _ = parts(query)
            asked |= equal | {page.sort[0][0]}
    keys = keys_of(Collection.RESTORES)
    assert {key for each in keys for key in each} <= asked | {"recheckAt", "unannounced.at", "item.createdAt", "_id"}
    assert [(a, b) for a, b in itertools.permutations(keys, 2) if b[: len(a)] == a] == []
