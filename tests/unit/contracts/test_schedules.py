"""What is wanted of a schedule: names that fit, pauses and timetables over time, the spread, the way through the database."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.contracts import ids
from shared.contracts.reasons import RULES, ReasonCode, reason
from shared.contracts.schedules import Decision, Schedule, Tick
from shared.contracts.selectors import Environments, environments_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def schedule(**facts):
    plain = {
        "id": "s-1",
        "name": "nightly",
        "cluster": "eu1",
        "eras": [{"from": NOON, "cron": "0 2 * * *", "timezone": "Europe/Berlin"}],
        "template": {"scope": {"kind": "all"}, "labels": {"a.b/c": "d"}},
        "createdBy": "anna",
        "createdAt": NOON,
        "changedAt": NOON,
    }
    return Schedule.model_validate({**plain, **facts})


@pytest.mark.parametrize("name", ["a" * 49, "Nightly", "-a", "a_b", "", "a..b"])
def test_a_name_that_no_backup_or_label_could_carry_is_refused(name):
    with pytest.raises(ValidationError):
        schedule(name=name)


def test_the_longest_name_still_fits_a_label_with_its_slot():
    name = "a" * 48
    assert schedule(name=name).name == name
    assert len(ids.slot_backup_name(name, NOON)) == 63


def test_the_timetable_in_force_is_the_last_one():
    later = {"from": NOON + timedelta(days=1), "cron": "@hourly"}
    shown = schedule(eras=[{"from": NOON, "cron": "0 2 * * *", "timezone": "Europe/Berlin"}, later])
    assert (shown.cron, shown.timezone) == ("@hourly", "UTC")


def test_a_pause_holds_from_its_beginning_until_just_before_its_end():
    hour = timedelta(hours=1)
    shown = schedule(pauses=[{"from": NOON, "to": NOON + hour}, {"from": NOON + 2 * hour}])
    moments = [NOON - timedelta(milliseconds=1), NOON, NOON + hour, NOON + 2 * hour, NOON + 9 * hour]
    assert [shown.paused_at(moment) for moment in moments] == [False, True, False, True, True]
    assert (shown.paused, schedule().paused, schedule(pauses=[{"from": NOON, "to": NOON}]).paused) == (True, False, False)


@given(st.uuids(), st.integers(0, 86400))
def test_a_schedule_is_due_at_the_same_part_of_its_spread_whoever_asks(schedule_id, seconds):
    spread = timedelta(seconds=seconds)
    one, other = (schedule(id=str(schedule_id), spread=f"{seconds}s") for _ in range(2))
    assert one.offset == other.offset
    assert timedelta() <= one.offset <= spread


def test_schedules_of_one_slot_are_spread():
    assert len({schedule(id=f"s-{n}", spread="1h").offset for n in range(200)}) > 150


def test_a_schedule_survives_the_database():
    shown = schedule(
        skip={"id": "w", "count": 2, "notBefore": NOON},
        pauses=[{"from": NOON}],
        deleting={"deleteBackups": True, "by": "anna", "at": NOON},
    )
    assert Schedule.of(shown.document()) == shown
    assert shown.document()["_id"] == "s-1"


def test_a_decision_survives_the_database():
    tick = Tick(
        id="t", schedule="s-1", cluster="eu1", from_=NOON, to=NOON, decision=Decision.PAUSED, due_at=NOON, decided_at=NOON
    )
    assert Tick.of(tick.document()) == tick
    assert {"_id": "t", "from": NOON, "decision": "Paused"}.items() <= tick.document().items()


def test_every_reason_has_a_rule_and_fills_its_sentence():
    assert set(RULES) == set(ReasonCode)
    facts = dict.fromkeys(("cluster", "location", "message", "since"), "X")
    for code in ReasonCode:
        told = reason(code, **facts)
        assert (told.code, "{" in told.message) == (code, False)


def test_a_cluster_that_says_nothing_of_its_environments_has_the_usual_ones():
    assert environments_of(None) == environments_of({"_id": "eu1"}) == Environments()
    own = environments_of({"productionSelector": {"matchLabels": [{"k": "tier", "v": "gold"}], "matchExpressions": []}})
    assert own.is_production({"tier": "gold"})
    assert own.non_production == Environments().non_production
