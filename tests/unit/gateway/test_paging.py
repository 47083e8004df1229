"""Paging against a small model of how MongoDB compares: null and missing sort lowest and compare with nothing."""

import base64
import json
from datetime import UTC, datetime, timedelta
from functools import cmp_to_key

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.gateway.backups.queries import BACKUPS, BackupQuery
from services.gateway.listing import conditions, filters, paging
from services.gateway.listing.filters import PageQuery
from services.gateway.listing.paging import CursorError, Order, Position
from services.gateway.listing.queries import SortError, parse_sort, plan
from services.gateway.listing.slices import slice_of
from services.gateway.locations.queries import LOCATIONS, LocationQuery


def value_at(document, path):
    for step in path.split("."):
        document = document.get(step) if isinstance(document, dict) else None
    return document


def matches(document, query):
    return all(_meets(document, key, wanted) for key, wanted in query.items())


def _meets(document, key, wanted):
    if key == "$or":
        return any(matches(document, q) for q in wanted)
    value = value_at(document, key)
    operators = wanted if isinstance(wanted, dict) else {"$eq": wanted}
    return all(_holds(value, operator, operand) for operator, operand in operators.items())


def _holds(value, operator, operand):
    comparable = value is not None and operand is not None
    return {
        "$eq": lambda: value == operand,
        "$in": lambda: value in operand,
        "$gt": lambda: comparable and value > operand,
        "$lt": lambda: comparable and value < operand,
        "$ne": lambda: value != operand,
    }[operator]()


def in_order(documents, keys):
    def compare(a, b):
        for path, direction in keys:
            x, y = value_at(a, path), value_at(b, path)
            if x != y:
                if x is None or y is None:
                    return direction * (-1 if x is None else 1)
                return direction * (-1 if x < y else 1)
        return 0

    return sorted(documents, key=cmp_to_key(compare))


BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
VALUES = {
    "item.name": st.sampled_from(["a", "b", "c"]),
    "item.createdAt": st.none() | st.integers(0, 3).map(lambda n: BEGIN + timedelta(milliseconds=n)),
    "item.size.totalBytes": st.none() | st.integers(0, 3),
}
ORDERS = st.lists(
    st.tuples(st.sampled_from(sorted(VALUES)), st.booleans()), min_size=1, max_size=3, unique_by=lambda o: o[0]
).map(lambda orders: tuple(Order(path, down) for path, down in orders))


@st.composite
def row(draw):
    size = draw(VALUES["item.size.totalBytes"])
    item = {"name": draw(VALUES["item.name"]), "createdAt": draw(VALUES["item.createdAt"])}
    return {**item, "size": {"totalBytes": size}} if draw(st.booleans()) else item


@st.composite
def collection(draw, prefix="r"):
    return [{"_id": f"{prefix}{i}", "item": item} for i, item in enumerate(draw(st.lists(row(), max_size=12)))]


def pages(documents, orders, limit, between=lambda documents: documents):
    found, cursor = [], None
    while True:
        runs = paging.ranges(paging.decode(cursor, "b", len(orders)), orders) if cursor else [{}]
        keys = paging.sort_keys(orders)
        rows = [d for run in runs for d in in_order([d for d in documents if matches(d, run)], keys)][: limit + 1]
        found += rows[:limit]
        if len(rows) <= limit:
            return found
        cursor = paging.encode(paging.position_of(rows[limit - 1], orders), "b")
        documents = between(documents)


@given(collection(), ORDERS, st.integers(1, 5))
def test_pages_one_after_the_other_are_the_sorted_list(documents, orders, limit):
    assert pages(documents, orders, limit) == in_order(documents, paging.sort_keys(orders))


@given(collection(), collection("new"), ORDERS, st.integers(1, 5))
def test_what_is_inserted_meanwhile_neither_hides_nor_repeats_what_was_there(documents, late, orders, limit):
    waiting = list(late)

    def insert(now):
        return [*now, waiting.pop()] if waiting else now

    found = pages(documents, orders, limit, between=insert)
    old = [d for d in found if d["_id"].startswith("r")]
    assert old == in_order(documents, paging.sort_keys(orders))
    assert len({d["_id"] for d in found}) == len(found)


@given(st.lists(st.sampled_from([f"k{i:02}" for i in range(40)]), unique=True), st.integers(1, 7))
def test_a_list_in_memory_pages_by_key(keys, limit):
    found, cursor = [], None
    while True:
        part = slice_of({k: k for k in keys}, PageQuery(limit=limit, cursor=cursor), "x")
        found += part.items
        cursor = part.next_cursor
        if cursor is None:
            break
    assert found == sorted(keys)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"))
)


@given(
    st.lists(SCALARS | st.datetimes(min_value=datetime(1970, 1, 2), timezones=st.just(UTC)), max_size=4),
    st.text(st.characters(codec="utf-8")),
    st.none() | st.integers(0, 2**63 - 1),
)
def test_a_cursor_comes_back_as_it_was(values, row_id, total):
    position = Position(tuple(values), row_id, total)
    assert paging.decode(paging.encode(position, "b"), "b", len(values)) == position


def forged(**content):
    return (
        base64.urlsafe_b64encode(json.dumps({"b": "b", "k": ["x"], "i": "y", "n": None, **content}).encode())
        .decode()
        .rstrip("=")
    )


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "!",
        "a",
        "ä",
        base64.urlsafe_b64encode(b"[]").decode(),
        base64.urlsafe_b64encode(b"[" * 50_000).decode(),
        forged(b="other"),
        forged(k=[]),
        forged(k=["x", "y"]),
        forged(k=[{"$gt": ""}]),
        forged(k=[["x"]]),
        forged(k=[{"t": "yesterday"}]),
        forged(k=[{"t": "0001-01-01T00:00:00+14:00"}]),
        forged(k=[10**400]),
        forged(k=["\ud800"]),
        forged(i={"$ne": None}),
        forged(i="\ud800"),
        forged(n=-1),
        forged(n=True),
        forged(n="many"),
        forged(n=10**400),
    ],
)
def test_a_forged_or_broken_cursor_is_refused(cursor):
    with pytest.raises(CursorError):
        paging.decode(cursor, "b", 1)


@given(st.text())
def test_any_text_is_a_cursor_or_is_refused(text):
    with pytest.raises(CursorError):
        paging.decode(text, "b", 1)


# ---------------------------------------------------------------------- filters and sorts


def cursor_of(query):
    return plan(BACKUPS, query).next_cursor({"_id": "x", "item": {}})


def test_a_cursor_holds_for_its_own_sort_and_filters_and_for_any_limit():
    cursor = cursor_of(BackupQuery(cluster=["eu1", "us1"]))
    assert plan(BACKUPS, BackupQuery(cluster=["us1", "eu1"], cursor=cursor, limit=7)).limit == 7
    for other in (
        {"cluster": ["eu1"]},
        {"cluster": ["eu1", "us1"], "search": "a"},
        {"cluster": ["eu1", "us1"], "sort": "createdAt"},
    ):
        with pytest.raises(CursorError):
            plan(BACKUPS, BackupQuery(**other, cursor=cursor))


def test_a_cursor_of_one_list_is_none_of_another():
    with pytest.raises(CursorError):
        plan(LOCATIONS, LocationQuery(sort="name", cursor=cursor_of(BackupQuery(sort="name"))))


@pytest.mark.parametrize("sort", ["nothing", "name,", "", "-", "--name", "name,-name", "item.name"])
def test_a_sort_by_something_else_is_refused(sort):
    with pytest.raises(SortError):
        parse_sort(BACKUPS, sort)


@pytest.mark.parametrize("sort", ["cluster,-name", "-createdAt", "createdAt", "-size"])
def test_age_and_id_end_every_sort_in_its_direction_so_that_no_two_rows_are_equal(sort):
    *_, (created, one), (last, other) = plan(BACKUPS, BackupQuery(sort=sort)).sort
    assert (created, last) == ("item.createdAt", "_id")
    assert one == other == (-1 if sort.rpartition(",")[2].startswith("-") else 1)


def test_no_field_is_sorted_by_twice():
    paths = [path for path, _ in plan(BACKUPS, BackupQuery(sort="createdAt,-name")).sort]
    assert paths == ["item.createdAt", "item.name", "_id"]


@pytest.mark.parametrize(
    ("asked", "filtered"),
    [
        ({}, {"listed": True}),
        ({"status": ["Failed"]}, {"listed": True, "item.status": "Failed"}),
        ({"status": ["Deleted"]}, {"listed": False, "item.status": "Deleted"}),
        ({"status": ["Deleted", "Failed"]}, {"listed": {"$in": [False, True]}, "item.status": {"$in": ["Deleted", "Failed"]}}),
        ({"cluster": ["eu1", "eu1"]}, {"listed": True, "item.cluster": "eu1"}),
        (
            {"createdAfter": BEGIN, "createdBefore": BEGIN},
            {"listed": True, "item.createdAt": {"$gt": BEGIN, "$lt": BEGIN}},
        ),
    ],
)
def test_filters_are_flat_and_the_deleted_are_looked_for_only_where_they_are_asked_for(asked, filtered):
    wanted = plan(BACKUPS, BackupQuery(**asked))
    assert (wanted.filter, wanted.runs) == (filtered, (filtered,))


def test_locations_have_no_status_that_lies_elsewhere():
    assert plan(LOCATIONS, LocationQuery(status=["Pending"])).filter == {"listed": True, "item.status": "Pending"}


@given(
    st.lists(row(), max_size=12),
    ORDERS,
    st.sets(st.sampled_from(["a", "b", "c"])),
    st.none() | st.integers(0, 3),
    st.none() | st.integers(0, 3),
)
def test_a_page_behind_a_cursor_is_filtered_as_the_first(items, orders, names, after, before):
    """Also where a filter and the sort are about the same field, and where the cursor stands on a value that is not known."""
    filters = {
        "name": sorted(names),
        "after": None if after is None else BEGIN + timedelta(milliseconds=after),
        "before": None if before is None else BEGIN + timedelta(milliseconds=before),
    }
    wanted = conditions.every(
        [{}],
        *([[{"item.name": conditions.one_of(filters["name"])}]] if names else []),
        *([[{"item.createdAt": {"$gt": filters["after"]}}]] if after is not None else []),
        *([[{"item.createdAt": {"$lt": filters["before"]}}]] if before is not None else []),
    )
    documents = [{"_id": f"r{i}", "item": item} for i, item in enumerate(items)]
    keys = paging.sort_keys(orders)
    listed = in_order([d for d in documents if any(matches(d, each) for each in wanted)], keys)
    for place, document in enumerate(listed):
        runs = (conditions.every(wanted, [run]) for run in paging.ranges(paging.position_of(document, orders), orders))
        behind = [d for run in runs if run for d in in_order([d for d in listed if matches(d, conditions.query(run))], keys)]
        assert behind == listed[place + 1 :]


def test_a_list_is_counted_once_however_many_pages_of_it_are_read():
    first = plan(BACKUPS, BackupQuery())
    assert first.total is None
    second = plan(BACKUPS, BackupQuery(cursor=first.next_cursor({"_id": "x", "item": {}}, 4711)))
    assert second.total == 4711


@pytest.mark.parametrize(
    ("text", "pattern"), [("s", "^s"), ("sh", "^sh"), ("sho", "sho"), ("SHOP", "shop"), ("a.*b", r"a\.\*b"), (".", r"^\.")]
)
def test_a_search_is_a_prefix_below_three_characters_and_never_a_pattern(text, pattern):
    assert filters.by_name(text) == [{"item.name": {"$regex": pattern}}]


def test_labels_are_filtered_by_pair_or_by_name():
    assert filters.by_label(["team=shop", "tier", "note="]) == [
        {"item.labels": {"$elemMatch": {"k": "team", "v": "shop"}}},
        {"item.labels": {"$elemMatch": {"k": "tier"}}},
        {"item.labels": {"$elemMatch": {"k": "note", "v": ""}}},
    ]


def test_creators_are_filtered_by_kind_name_or_both():
    assert filters.by_creator(["Schedule", "anna", "User/eve", "team/a", "User/eve", "External"]) == [
        {"item.createdBy.kind": {"$in": ["Schedule", "External"]}},
        {"item.createdBy.name": {"$in": ["anna", "team/a"]}},
        {"item.createdBy.name": "eve", "item.createdBy.kind": "User"},
    ]


@pytest.mark.parametrize(("model", "status"), [(BackupQuery, "Refused"), (LocationQuery, "Deleted"), (BackupQuery, "Odd")])
def test_a_status_that_no_list_shows_is_not_one_to_filter_by(model, status):
    with pytest.raises(ValidationError, match="must be one of"):
        model(status=[status])
