"""What is decided of slots: each decision, each boundary, and every way of cutting time into looks."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.planner import Known, next_due, plan
from shared.contracts.ids import slot_operation_id
from shared.contracts.schedules import Decision, Misfire, Schedule
from tests.support.scheduler import NOON, at, schedule, words
from tests.support.scheduler_reference import decided, every_slot, spelt_out

MILLISECOND = timedelta(milliseconds=1)


def told(wanted, now, **known):
    return [words(tick) for tick in plan(wanted, Known(**known), at(now) if isinstance(now, str) else now).ticks]


def later(text, **duration):
    return at(text) + timedelta(**duration)


def test_nothing_is_decided_before_it_is_due():
    found = plan(schedule(), Known(), at("12:00") - MILLISECOND)
    assert (found.ticks, found.next_due) == ([], at("12:00"))


def test_a_slot_is_triggered_when_it_is_due():
    wanted = schedule(startingDeadline="2h")
    (tick,) = plan(wanted, Known(), at("12:00")).ticks
    assert tick.id == slot_operation_id(wanted.id, at("12:00"))
    assert (tick.schedule, tick.cluster, tick.decision, tick.count) == (wanted.id, "eu1", Decision.TRIGGERED, 1)
    assert (tick.from_, tick.to, tick.due_at, tick.deadline) == (at("12:00"), at("12:00"), at("12:00"), at("14:00"))
    assert (tick.backup_name, tick.published, tick.decided_at) == ("nightly-20310305120000", False, at("12:00"))


def test_what_is_decided_is_not_decided_again():
    found = plan(schedule(), Known(at("12:05")), at("12:05:59"))
    assert (found.ticks, found.next_due) == ([], at("12:06"))


def test_the_first_slot_is_after_the_beginning():
    assert told(schedule(made=at("12:00")), "12:01:30") == ["12:01 Triggered"]


def test_a_clock_that_steps_back_finds_nothing_to_do():
    found = plan(schedule(), Known(at("12:30")), at("12:10"))
    assert (found.ticks, found.next_due) == ([], at("12:31"))


def test_the_backup_of_a_slot_is_due_after_its_part_of_the_spread():
    wanted = schedule(cron="0 * * * *", spread="30m")
    assert timedelta() < wanted.offset <= timedelta(minutes=30)
    due = at("13:00") + wanted.offset
    assert plan(wanted, Known(at("12:00")), due - MILLISECOND).ticks == []
    (tick,) = plan(wanted, Known(at("12:00")), due).ticks
    assert (tick.from_, tick.due_at, tick.deadline) == (at("13:00"), due, due + timedelta(hours=1))
    assert plan(wanted, Known(at("12:00")), due).next_due == at("14:00") + wanted.offset


def less_spread(**fields):
    """One whose slot of 02:00 waited for its part of a spread that a person has taken away at ten."""
    return schedule(cron="0 2 * * *", made=at("2031-03-04 03:00"), spreadSince=at("10:00"), **fields)


def test_a_slot_that_waited_for_its_part_of_a_spread_that_is_no_more_is_due_at_once():
    wanted = less_spread()
    early = plan(wanted, Known(), at("10:00") - MILLISECOND)
    assert (early.ticks, early.next_due, next_due(wanted, None)) == ([], at("10:00"), at("10:00"))
    (tick,) = plan(wanted, Known(), at("10:00")).ticks
    assert (tick.decision, tick.from_, tick.due_at) == (Decision.TRIGGERED, at("02:00"), at("10:00"))
    assert tick.deadline == at("11:00")
    assert plan(wanted, Known(), at("10:00")).next_due == at("2031-03-06 02:00")
    assert plan(less_spread(), Known(at("02:00")), at("10:00")).ticks == []  # it had run before


@pytest.mark.parametrize(("misfire", "last"), [("latest", "11:00"), ("none", "10:01")])
def test_it_is_late_only_as_long_after_the_change_as_it_may_be(misfire, last):
    assert told(less_spread(misfire=misfire), last) == ["02:00 Triggered"]
    assert told(less_spread(misfire=misfire), at(last) + MILLISECOND) == ["02:00 Missed"]


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"pauses": [{"from": at("09:30"), "to": None}]}, "Paused"),
        ({"pauses": [{"from": at("01:00"), "to": at("03:00")}]}, "Triggered"),
        ({"skip": {"id": "s", "count": 1, "notBefore": at("09:30")}}, "Skipped"),
        ({"skip": {"id": "s", "count": 1, "notBefore": at("10:00") + MILLISECOND}}, "Triggered"),
    ],
)
def test_what_a_person_wanted_before_the_change_holds_for_it(fields, wanted):
    assert told(less_spread(**fields), "10:30") == [f"02:00 {wanted}"]


def test_a_slot_after_the_change_is_due_by_the_new_spread():
    wanted = schedule(cron="0 * * * *", spread="30m", spreadSince=at("12:10"))
    due = at("13:00") + wanted.offset
    (tick,) = plan(wanted, Known(at("12:00")), due).ticks
    assert (tick.due_at, tick.deadline) == (due, due + timedelta(hours=1))


def test_of_several_slots_the_latest_runs_and_the_others_say_so():
    ticks = plan(schedule(), Known(), at("12:03:10")).ticks
    assert [words(tick) for tick in ticks] == ["12:00-12:02 Superseded 3", "12:03 Triggered"]
    assert (ticks[0].ran, ticks[0].published, ticks[0].due_at) == (at("12:03"), None, at("12:00"))


def test_all_run_when_a_person_wants_all():
    assert told(schedule(misfire="all"), "12:02:10") == ["12:00 Triggered", "12:01 Triggered", "12:02 Triggered"]


def test_with_misfire_none_what_is_later_than_a_minute_is_missed():
    wanted = schedule(cron="*/2 * * * *", misfire="none")
    (tick,) = plan(wanted, Known(), at("12:01")).ticks
    assert (tick.decision, tick.deadline) == (Decision.TRIGGERED, at("12:01"))
    assert told(wanted, later("12:01", milliseconds=1)) == ["12:00 Missed"]


def test_what_is_older_than_the_deadline_is_missed():
    wanted = schedule(cron="0 * * * *", startingDeadline="30m")
    assert told(wanted, "12:30") == ["12:00 Triggered"]
    assert told(wanted, later("12:30", milliseconds=1)) == ["12:00 Missed"]
    often = schedule(startingDeadline="5m")
    assert told(often, "12:20") == ["12:00-12:14 Missed 15", "12:15-12:19 Superseded 5", "12:20 Triggered"]


def test_a_missed_year_is_one_record():
    ticks = plan(schedule(cron="*/5 * * * *"), Known(), NOON + timedelta(days=365)).ticks
    assert [(tick.decision, tick.count) for tick in ticks] == [
        (Decision.MISSED, 365 * 288 - 12),
        (Decision.SUPERSEDED, 12),
        (Decision.TRIGGERED, 1),
    ]
    assert ticks[0].to == NOON + timedelta(days=365, minutes=-65)


@pytest.mark.parametrize(
    ("pause", "wanted"),
    [
        (
            ("12:02", "12:04"),
            ["12:00-12:01 Superseded 2", "12:02-12:03 Paused 2", "12:04-12:05 Superseded 2", "12:06 Triggered"],
        ),
        (("12:02:01", "12:04:01"), ["12:00-12:02 Superseded 3", "12:03-12:04 Paused 2", "12:05 Superseded", "12:06 Triggered"]),
        (("12:02", None), ["12:00 Superseded", "12:01 Triggered", "12:02-12:06 Paused 5"]),
    ],
)
def test_what_was_due_in_a_pause_is_paused_whenever_it_is_looked_at(pause, wanted):
    begins, ends = pause
    assert told(schedule(pauses=[{"from": at(begins), "to": ends and at(ends)}]), "12:06:30") == wanted


def test_a_pause_counts_at_the_instant_that_is_due():
    wanted = schedule(cron="0 * * * *", spread="30m")
    due = at("13:00") + wanted.offset
    paused = wanted.model_copy(update={"pauses": schedule(pauses=[{"from": due}]).pauses})
    assert told(paused, due, decided_to=at("12:00")) == ["13:00 Paused"]
    resumed = wanted.model_copy(update={"pauses": schedule(pauses=[{"from": at("12:30"), "to": due}]).pauses})
    assert told(resumed, due, decided_to=at("12:00")) == ["13:00 Triggered"]


def test_the_next_slots_are_skipped_as_often_as_a_person_said():
    wanted = schedule(skip={"id": "s", "count": 2, "notBefore": at("12:01")}, misfire="all")
    ticks = plan(wanted, Known(), at("12:04")).ticks
    assert [words(tick) for tick in ticks] == [
        "12:00 Triggered",
        "12:01 Skipped",
        "12:02 Skipped",
        "12:03 Triggered",
        "12:04 Triggered",
    ]
    assert [tick.skip for tick in ticks] == [None, "s", "s", None, None]
    assert told(wanted, "12:03", decided_to=at("12:01"), skipped=1) == ["12:02 Skipped", "12:03 Triggered"]
    assert told(wanted, "12:03", decided_to=at("12:02"), skipped=2) == ["12:03 Triggered"]


def test_a_decision_is_kept_for_400_days_and_a_skip_for_as_long_as_it_counts():
    wanted = schedule(skip={"id": "s", "count": 1, "notBefore": at("12:00")})
    ticks = plan(wanted, Known(), at("12:02")).ticks
    assert [words(tick) for tick in ticks] == ["12:00 Skipped", "12:01 Superseded", "12:02 Triggered"]
    assert [tick.forget_at for tick in ticks] == [None, *[at("12:02") + timedelta(days=400)] * 2]


def test_a_pause_uses_up_no_skip():
    wanted = schedule(skip={"id": "s", "count": 1, "notBefore": at("12:00")}, pauses=[{"from": at("12:00"), "to": at("12:02")}])
    assert told(wanted, "12:03") == ["12:00-12:01 Paused 2", "12:02 Skipped", "12:03 Triggered"]


def test_what_somebody_has_to_change_first_is_invalid_by_its_first_reason():
    ticks = plan(schedule(), Known(reasons=("LocationUnknown", "ScopeInvalid")), at("14:00")).ticks
    assert [(words(tick), tick.reason) for tick in ticks] == [("12:00-14:00 Invalid 121", "LocationUnknown")]


def test_a_timetable_without_a_meaning_has_no_slots():
    found = plan(schedule(cron="61 * * * *"), Known(), at("14:00"))
    assert (found.ticks, found.next_due) == ([], None)
    assert next_due(schedule(timezone="Mars/Olympus"), None) is None


def test_nothing_of_a_schedule_on_its_way_out_is_decided():
    gone = schedule(deleting={"deleteBackups": False, "by": "anna", "at": at("12:00")})
    assert (plan(gone, Known(), at("14:00")).next_due, next_due(gone, None)) == (None, None)
    assert plan(gone, Known(), at("14:00")).ticks == []


def eras(*changes):
    return [{"from": at(moment), "cron": cron, "timezone": zone} for moment, cron, zone in changes]


def test_a_slot_belongs_to_the_timetable_that_was_in_force():
    changed = eras(("11:59", "* * * * *", "UTC"), ("12:03", "*/5 * * * *", "UTC"), ("12:16", "* * * * *", "UTC"))
    found = told(schedule(eras=changed, misfire="all"), "12:17")
    slots = ["12:00", "12:01", "12:02", "12:05", "12:10", "12:15", "12:16", "12:17"]
    assert found == [f"{slot} Triggered" for slot in slots]


def test_a_slot_of_an_old_timetable_that_is_due_later_still_runs():
    wanted = schedule(cron="0 * * * *", spread="30m")
    edited = wanted.model_copy(update={"eras": [*wanted.eras, *schedule(eras=eras(("13:00:01", "0 5 * * *", "UTC"))).eras]})
    due = at("13:00") + wanted.offset
    found = plan(edited, Known(at("12:00")), due)
    assert [words(tick) for tick in found.ticks] == ["13:00 Triggered"]
    assert found.next_due == at("2031-03-06 05:00") + wanted.offset


def test_a_timetable_in_between_that_means_nothing_leaves_a_gap():
    every = "* * * * *"
    changed = eras(("11:59", every, "UTC"), ("12:02", "nonsense", "UTC"), ("12:05", every, "Mars"), ("12:07", every, "UTC"))
    assert told(schedule(eras=changed), "12:08") == ["12:00-12:07 Superseded 3", "12:08 Triggered"]


def test_the_timetable_put_in_force_last_counts_though_the_clock_had_stepped_back():
    changed = eras(("11:59", "* * * * *", "UTC"), ("12:10", "*/2 * * * *", "UTC"), ("12:05", "*/5 * * * *", "UTC"))
    found = told(schedule(eras=changed, misfire="all"), "12:12")
    assert found == [f"12:{minute:02} Triggered" for minute in (0, 1, 2, 3, 4, 5, 10)]


def test_what_is_left_over_of_one_look_is_due_at_once():
    wanted = schedule(misfire="all")
    first = plan(wanted, Known(), at("12:09"), most=4)
    assert [tick.from_.minute for tick in first.ticks] == [0, 1, 2, 3]
    assert first.next_due == at("12:04")


def test_an_hour_that_a_zone_repeats_or_leaves_out():
    zones = {"made": datetime(2031, 10, 25, 12, tzinfo=UTC), "cron": "30 2 * * *", "timezone": "Europe/Berlin"}
    ticks = plan(schedule(**zones), Known(), datetime(2031, 10, 26, 12, tzinfo=UTC)).ticks
    assert [(tick.decision, tick.from_) for tick in ticks] == [(Decision.MISSED, datetime(2031, 10, 26, 0, 30, tzinfo=UTC))]


# ---------------------------------------------------------------- properties

CRONS = st.sampled_from(["* * * * *", "*/2 * * * *", "*/7 * * * *", "0 * * * *", "30 13 * * *", "15,45 12-14 * * *", "no cron"])
ZONES = st.sampled_from(["UTC", "UTC", "Europe/Berlin", "Asia/Kathmandu", "Nowhere"])


def moments():
    return st.integers(-300, 14_400).map(lambda seconds: NOON + timedelta(seconds=seconds))


@st.composite
def schedules(draw):
    changes = draw(st.lists(st.tuples(moments(), CRONS, ZONES), max_size=3))
    pauses = [
        {"from": start, "to": end} for start, end in draw(st.lists(st.tuples(moments(), moments() | st.none()), max_size=3))
    ]
    first = {"from": NOON - timedelta(minutes=1), "cron": draw(CRONS), "timezone": draw(ZONES)}
    skip = draw(st.none() | st.tuples(st.integers(0, 5), moments()))
    return schedule(
        eras=[first, *({"from": start, "cron": cron, "timezone": zone} for start, cron, zone in changes)],
        pauses=pauses,
        skip=skip and {"id": "s", "count": skip[0], "notBefore": skip[1]},
        spread=draw(st.sampled_from(["0s", "45s", "10m", "1h"])),
        spreadSince=draw(st.none() | moments()),
        startingDeadline=draw(st.sampled_from(["1s", "59s", "10m", "1h", "10h"])),
        misfire=draw(st.sampled_from(list(Misfire))),
    )


def follow(wanted, looks, reasons, most=500):
    """Look at those times, as a scheduler does that remembers."""
    ticks, decided_to = [], None
    for now in looks:
        while True:
            skipped = sum(tick.count for tick in ticks if tick.skip == "s")
            found = plan(wanted, Known(decided_to, skipped, reasons), now, most)
            ticks += found.ticks
            decided_to = ticks[-1].to if ticks else None
            if len(found.ticks) < most:
                assert found.next_due is None or found.next_due > now
                break
    return ticks


REASONS = st.sampled_from([(), (), ("ScopeInvalid", "LocationUnknown")])


@given(wanted=schedules(), cuts=st.lists(moments(), min_size=1, max_size=8), reasons=REASONS)
def test_every_slot_ends_as_the_words_of_the_manual_say_whenever_it_is_looked_at(wanted, cuts, reasons):
    looks = sorted(cuts)
    slots = every_slot(wanted, looks[-1])
    expected = []
    for now in looks:
        skipped = sum(end.skip == "s" for end in expected)
        after = expected[-1].slot if expected else None
        expected += decided(wanted, slots, after, now, skipped=skipped, reasons=reasons)
    ticks = follow(wanted, looks, reasons)
    assert spelt_out(ticks, slots) == expected
    due = [slot for slot in slots if wanted.due(slot) <= looks[-1]]
    assert [end.slot for end in expected] == due


@given(wanted=schedules(), cuts=st.lists(moments(), min_size=1, max_size=5), again=st.lists(moments(), max_size=5))
def test_what_depends_on_nobodys_punctuality_is_the_same_however_time_is_cut(wanted, cuts, again):
    calm = wanted.model_copy(update={"misfire": Misfire.ALL, "starting_deadline": "1000h"})
    end = max(*cuts, *again, NOON)
    slots = every_slot(calm, end)
    ways = [
        follow(calm, [*sorted(way), end], (), most) for way, most in ((cuts, 500), (again, 500), ([*cuts, *again, *cuts], 3))
    ]
    assert all(spelt_out(way, slots) == spelt_out(ways[0], slots) for way in ways)


@given(wanted=schedules(), now=moments(), most=st.integers(1, 4))
def test_a_look_that_stores_little_at_a_time_leaves_nothing_out(wanted, now, most):
    slots = every_slot(wanted, now)
    assert [end.slot for end in spelt_out(follow(wanted, [now], (), most), slots)] == [s for s in slots if wanted.due(s) <= now]


@given(wanted=schedules(), now=moments())
def test_the_agenda_and_the_look_agree_on_the_next_slot(wanted, now):
    found = plan(wanted, Known(), now)
    assert next_due(wanted, found.ticks[-1].to if found.ticks else None) == found.next_due
    assert Schedule.of(wanted.document()) == wanted
