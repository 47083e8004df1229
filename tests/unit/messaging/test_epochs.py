"""Epochs: when resource versions begin anew, and only then."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.messaging.epochs import Epoch, after_event, after_list

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
FIRST = int(NOW.timestamp())
NOTHING = Epoch(epoch=0, kube_system_uid="", high_water=0)


def test_the_first_list_begins_the_first_epoch():
    assert after_list(NOTHING, NOTHING, "a", 100, NOW) == Epoch(epoch=FIRST, kube_system_uid="a", high_water=100)


def test_another_kube_system_is_another_epoch_even_at_a_higher_version():
    known = Epoch(epoch=1, kube_system_uid="a", high_water=100)
    assert after_list(known, known, "b", 500, NOW) == Epoch(epoch=FIRST, kube_system_uid="b", high_water=500)


def test_a_list_below_what_was_seen_before_it_began_is_a_restored_etcd():
    known = Epoch(epoch=1, kube_system_uid="a", high_water=100)
    assert after_list(known, known, "a", 99, NOW).epoch > 1
    assert after_list(known, known, "a", 100, NOW).epoch == 1


def test_what_another_watcher_saw_while_the_list_was_under_way_is_no_fall():
    before = Epoch(epoch=1, kube_system_uid="a", high_water=100)
    known = Epoch(epoch=1, kube_system_uid="a", high_water=150)
    assert after_list(known, before, "a", 120, NOW) == known


def test_two_watchers_that_notice_the_same_restore_begin_one_epoch():
    before = Epoch(epoch=1, kube_system_uid="a", high_water=100)
    first = after_list(before, before, "a", 50, NOW)
    second = after_list(first, before, "a", 52, NOW)
    assert first.epoch == second.epoch > 1
    assert second.high_water == 52


def test_an_epoch_goes_on_growing_when_the_bucket_was_lost_and_when_the_clock_stands_still():
    later = NOW + timedelta(days=1)
    again = after_list(NOTHING, NOTHING, "a", 100, later)
    assert again.epoch > after_list(NOTHING, NOTHING, "a", 100, NOW).epoch
    assert after_list(again, again, "b", 100, later).epoch == again.epoch + 1


def test_an_event_of_an_older_epoch_says_nothing():
    known = Epoch(epoch=2, kube_system_uid="a", high_water=50)
    assert after_event(known, 1, 900) == known
    assert after_event(known, 2, 60).high_water == 60


@given(st.lists(st.integers(1, 1000), min_size=1))
def test_while_versions_only_grow_the_epoch_stays(steps):
    known, version = after_list(NOTHING, NOTHING, "a", 1, NOW), 1
    for step in steps:
        version += step
        known = after_list(known, known, "a", version, NOW) if step % 2 else after_event(known, known.epoch, version)
    assert (known.epoch, known.high_water) == (FIRST, version)
