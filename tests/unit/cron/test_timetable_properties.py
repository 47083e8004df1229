"""What holds for every expression, zone and instant."""

import itertools
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.cron.timetable import timetable
from tests.unit.cron.expressions import expressions, zones

CHANGES = [
    datetime.fromisoformat(text).replace(tzinfo=UTC)
    for text in (
        "2027-03-28T01:00",  # Europe/Berlin forward
        "2027-10-31T01:00",  # and back
        "2026-11-01T05:00",  # America/Havana back
        "2026-10-03T15:30",  # Australia/Lord_Howe forward
        "2027-04-03T15:00",  # and back
        "2011-12-30T10:00",  # Pacific/Apia
        "2015-08-14T15:00",  # Asia/Pyongyang
        "2028-02-29T00:00",
        "2038-01-19T03:14",
    )
]

tables = st.builds(timetable, expressions(), zones())
near_a_change = st.builds(
    lambda change, minutes, seconds: change + timedelta(minutes=minutes, seconds=seconds),
    st.sampled_from(CHANGES),
    st.integers(-2000, 2000),
    st.sampled_from([0, 0, 1, 59]),
)
anywhere = st.datetimes(datetime(1990, 1, 1), datetime(2120, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))
instants = st.one_of(near_a_change, anywhere)
spans = st.integers(0, 3 * 24 * 60).map(lambda minutes: timedelta(minutes=minutes))


@given(tables, instants)
def test_the_next_slot_is_always_later(table, instant):
    slots = [instant, *itertools.islice(walk(table, instant), 20)]
    assert all(earlier < later for earlier, later in itertools.pairwise(slots))
    assert all(slot.tzinfo is UTC and slot.second == slot.microsecond == 0 for slot in slots[1:])


@given(tables, instants, spans, st.integers(0, 40))
def test_slots_between_are_those_that_come_one_after_the_other(table, instant, span, limit):
    one_by_one = itertools.takewhile(lambda slot: slot <= instant + span, walk(table, instant))
    assert table.between(instant, instant + span, limit) == list(itertools.islice(one_by_one, limit))


@given(tables, instants, spans)
def test_the_newest_slot_is_the_last_of_those_between(table, instant, span):
    slots = table.between(instant, instant + span, 10_000)
    assert table.latest(instant, instant + span) == (slots[-1] if slots else None)


@given(st.builds(timetable, expressions(dense=False), zones()), instants, st.integers(1, 1500))
def test_the_newest_slot_of_years_is_the_last_of_those_between(table, instant, days):
    slot = table.latest(instant, instant + timedelta(days=days))
    if slot is None:
        assert table.after(instant) > instant + timedelta(days=days)
    else:
        assert instant < slot <= instant + timedelta(days=days) < table.after(slot)
        assert table.after(slot - timedelta(seconds=1)) == slot


@given(tables, instants, spans)
def test_a_slot_does_not_depend_on_where_one_starts(table, instant, span):
    slot = table.after(instant)
    between = min(instant + span, slot - timedelta(seconds=1))
    assert table.after(between) == slot
    assert table.latest(between, slot) == slot


@given(tables, instants, spans)
def test_slots_before_and_after_any_instant_are_all_slots(table, instant, span):
    middle = instant + span / 2
    parts = table.between(instant, middle, 10_000) + table.between(middle, instant + span, 10_000)
    assert parts == table.between(instant, instant + span, 10_000)


def walk(table, instant):
    while (instant := table.after(instant)) is not None:
        yield instant
