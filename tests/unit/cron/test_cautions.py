"""What is remarked on before a schedule is saved, in which words, and that it comes true."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.cron.cautions import Caution, CautionCode, cautions
from shared.cron.timetable import timetable
from tests.unit.cron.expressions import expressions, zones
from tests.unit.cron.manual import read

NOW = datetime(2026, 11, 29, 4, tzinfo=UTC)
TWO_YEARS = timedelta(days=730)


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def said(expression, zone="UTC", now=NOW, horizon=TWO_YEARS):
    return {caution.code: caution for caution in cautions(timetable(expression, zone), now, horizon)}


def test_an_ordinary_schedule_needs_none():
    assert said("0 2 * * *") == {}
    assert said("0 12 * * *", "Europe/Berlin") == {}
    assert said("*/15 * * * *", "Europe/Berlin") == {}


def test_a_slot_that_the_clock_skips_and_repeats():
    assert said("30 2 * * *", "Europe/Berlin") == {
        CautionCode.SLOT_MOVED: Caution(
            CautionCode.SLOT_MOVED,
            "On 2027-03-28 02:30 does not exist in Europe/Berlin; the slot is taken at 03:00",
            at("2027-03-28T01:00"),
        ),
        CautionCode.SLOT_TAKEN_ONCE: Caution(
            CautionCode.SLOT_TAKEN_ONCE,
            "On 2027-10-31 02:30 comes twice in Europe/Berlin; the slot is taken once, the first time",
            at("2027-10-31T00:30"),
        ),
    }


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        (
            "*/15 2 * * *",
            "On 2027-03-28 02:00 to 02:45 do not exist in Europe/Berlin; one slot is taken at 03:00 for all of them",
        ),
        (
            "0,30 2 * * *",
            "On 2027-03-28 02:00 and 02:30 do not exist in Europe/Berlin; one slot is taken at 03:00 for all of them",
        ),
        ("0 2,3 * * *", "On 2027-03-28 02:00 does not exist in Europe/Berlin; one slot is taken at 03:00 for 02:00 and 03:00"),
    ],
)
def test_slots_that_become_one(expression, sentence):
    found = said(expression, "Europe/Berlin")
    assert found[CautionCode.SLOTS_MERGED].message == sentence
    assert found[CautionCode.SLOTS_MERGED].at == at("2027-03-28T01:00")
    assert CautionCode.SLOT_MOVED not in found


def test_several_times_that_come_twice():
    assert said("*/15 2 * * *", "Europe/Berlin")[CautionCode.SLOT_TAKEN_ONCE].message == (
        "On 2027-10-31 02:00 to 02:45 come twice in Europe/Berlin; each slot is taken once, the first time"
    )


def test_a_slot_that_moves_to_another_day_says_which():
    assert said("0 2 * * *", "Pacific/Apia", at("2011-12-01"))[CautionCode.SLOT_MOVED].message == (
        "On 2011-12-30 02:00 does not exist in Pacific/Apia; the slot is taken at 00:00 on 2011-12-31"
    )


def test_a_change_of_the_clock_beyond_the_horizon_is_left_out():
    assert CautionCode.SLOT_MOVED in said("30 2 * * *", "Europe/Berlin", horizon=at("2027-03-28T01:00") - NOW)
    assert said("30 2 * * *", "Europe/Berlin", horizon=at("2027-03-28T00:59") - NOW) == {}


def test_a_slot_that_was_taken_the_first_time_is_not_spoken_of_while_the_time_comes_again():
    between = said("30 2 * * *", "Europe/Berlin", at("2027-10-31T00:45"))
    assert between[CautionCode.SLOT_TAKEN_ONCE].at == at("2028-10-29T00:30")


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("* * * * *", "Some slots are only 1 minute apart; few backups are done by then"),
        ("*/4 * * * *", "Some slots are only 4 minutes apart; few backups are done by then"),
        ("0,58 * * * *", "Some slots are only 2 minutes apart; few backups are done by then"),
        ("0,57 0,23 * * *", "Some slots are only 3 minutes apart; few backups are done by then"),
    ],
)
def test_slots_closer_than_five_minutes(expression, sentence):
    assert said(expression) == {CautionCode.FREQUENT: Caution(CautionCode.FREQUENT, sentence)}


def test_slots_five_minutes_apart_are_not_remarked_on():
    assert said("*/5 * * * *") == {}
    assert said("58 23 * * *") == {}


def test_a_clock_that_is_set_makes_no_slots_too_close():
    assert CautionCode.FREQUENT not in said("58 1,2 * * *", "Europe/Berlin", at("2027-03-27T00:00"))


def test_a_slot_that_is_years_away_and_a_day_that_february_seldom_has():
    assert said("0 0 29 2 *") == {
        CautionCode.RARE: Caution(
            CautionCode.RARE, "The next slot is more than a year away, on 2028-02-29", at("2028-02-29T00:00")
        ),
        CautionCode.DAYS_LEFT_OUT: Caution(
            CautionCode.DAYS_LEFT_OUT, "Day 29 is left out where the month is too short: February except in leap years"
        ),
    }


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("0 0 31 * *", "Day 31 is left out where the month is too short: February, April, June, September and November"),
        ("0 0 30 * *", "Day 30 is left out where the month is too short: February"),
        ("0 0 29-31 1-4 *", "Days 29 to 31 are left out where the month is too short: February and April"),
        ("0 0 29 * *", "Day 29 is left out where the month is too short: February except in leap years"),
        ("0 0 1,31 1,4 *", "Day 31 is left out where the month is too short: April"),
    ],
)
def test_days_that_some_months_do_not_have(expression, sentence):
    assert said(expression) == {CautionCode.DAYS_LEFT_OUT: Caution(CautionCode.DAYS_LEFT_OUT, sentence)}


def test_days_that_every_chosen_month_has_are_not_remarked_on():
    assert said("0 0 31 1,3,12 *") == {}
    assert said("0 0 28 * *") == {}
    assert said("0 0 * 2 *") == {}


@given(expressions(), zones(), st.datetimes(datetime(1995, 1, 1), datetime(2050, 1, 1)))
def test_an_instant_that_is_named_is_a_slot_in_the_future(expression, zone, now):
    table, now = timetable(expression, zone), now.replace(tzinfo=UTC)
    for caution in cautions(table, now, TWO_YEARS):
        if caution.at is not None:
            assert table.after(caution.at - timedelta(seconds=1)) == caution.at
            assert caution.at > now


@given(
    expressions(),
    st.sampled_from(
        [
            ("Europe/Berlin", "2027-03-28"),
            ("America/Sao_Paulo", "2018-11-04"),
            ("Australia/Lord_Howe", "2026-10-03"),
            ("Pacific/Apia", "2011-12-30"),
            ("Antarctica/Troll", "2027-03-28"),
        ]
    ),
)
def test_no_slot_is_taken_at_another_time_than_was_asked_for_without_a_remark(expression, change):
    zone, day = change
    begin, reading = at(day) - timedelta(days=1), read(expression)
    slots = timetable(expression, zone).between(begin, begin + timedelta(days=3), 5_000)
    found = said(expression, zone, begin, timedelta(days=3))
    remarked = [found[code].at for code in (CautionCode.SLOT_MOVED, CautionCode.SLOTS_MERGED) if code in found]
    for slot in slots:
        local = slot.astimezone(timetable(expression, zone).zone)
        asked = local.minute in reading.minutes and local.hour in reading.hours and reading.on(local.date())
        assert asked or slot in remarked
