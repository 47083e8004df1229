"""Merging what ran nothing: what stands together, and that it may end anywhere."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.housekeeping import mergers
from shared.contracts.schedules import Decision, Tick
from tests.support.scheduler import NOON, words

MINUTE = timedelta(minutes=1)


def chain(*kinds):
    """Ticks of one minute each, of a schedule of every minute."""
    usual = {"schedule": "s", "cluster": "eu1", "due_at": NOON, "decided_at": NOON}
    slots = [NOON + n * MINUTE for n in range(len(kinds))]
    return [Tick(**{"id": str(n), "from_": slots[n], "to": slots[n]} | usual | kind) for n, kind in enumerate(kinds)]


PAUSED, MISSED, RUN = {"decision": Decision.PAUSED}, {"decision": Decision.MISSED}, {"decision": Decision.TRIGGERED}


def merged(ticks, stop=None):
    """The ticks as they lie in the memory afterwards, when it ends after so many writes."""
    there, writes = {tick.id: tick for tick in ticks}, 0
    for merger in mergers(ticks):
        for write in [("extend", merger.after), *(("drop", name) for name in merger.absorbed)]:
            if writes == stop:
                return list(there.values())
            writes += 1
            if write[0] == "extend":
                there[merger.after.id] = merger.after
            else:
                there.pop(write[1], None)
    return list(there.values())


@pytest.mark.parametrize(
    ("kinds", "wanted"),
    [
        ([PAUSED, PAUSED, PAUSED], ["12:00-12:02 Paused 3"]),
        ([PAUSED, MISSED, MISSED], ["12:00 Paused", "12:01-12:02 Missed 2"]),
        ([RUN, RUN], ["12:00 Triggered", "12:01 Triggered"]),
        ([PAUSED, RUN, PAUSED], ["12:00 Paused", "12:01 Triggered", "12:02 Paused"]),
        ([{"decision": "Skipped", "skip": "a"}] * 2, ["12:00 Skipped", "12:01 Skipped"]),
        ([{"decision": "Invalid", "reason": "A"}, {"decision": "Invalid", "reason": "B"}], ["12:00 Invalid", "12:01 Invalid"]),
    ],
)
def test_what_ended_alike_and_ran_nothing_stands_together(kinds, wanted):
    assert [words(tick) for tick in merged(chain(*kinds))] == wanted


@pytest.mark.parametrize("kind", [MISSED, RUN, {**PAUSED, "to": NOON + 9 * MINUTE}])
def test_what_contradicts_another_is_left_as_it_is(kind):
    before, *rest = chain(PAUSED, PAUSED, kind, PAUSED, PAUSED)
    longer = before.model_copy(update={"to": NOON + 2 * MINUTE, "count": 3})
    assert mergers([longer, *rest]) == []


def test_what_stands_together_is_kept_as_long_as_the_last_of_it():
    kept = [NOON + timedelta(days=day) for day in (400, 402, 401)]
    (tick,) = merged(chain(*({**PAUSED, "forget_at": until} for until in kept)))
    assert tick.forget_at == kept[1]


@given(st.lists(st.sampled_from([PAUSED, MISSED, RUN]), max_size=12), st.integers(0, 12), st.integers(0, 12))
def test_it_may_end_anywhere_and_is_finished_the_next_time(kinds, stop, again):
    ticks = chain(*kinds)
    whole = merged(ticks)
    assert merged(merged(merged(ticks, stop), again)) == whole
    assert sum(tick.count for tick in whole) == len(kinds)
    assert merged(whole) == whole
