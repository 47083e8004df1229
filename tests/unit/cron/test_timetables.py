"""When something is due: by elapsed time where every hour matches, by the clock on the wall otherwise."""

import itertools
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from shared.cron.expression import CronInvalidError
from shared.cron.timetable import timetable
from shared.cron.zones import ZoneInvalidError


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def due(expression, zone, begin, end):
    """The slots of a span on the wall's own time, with its offset."""
    table = timetable(expression, zone)
    first, last = (datetime.fromisoformat(text).replace(tzinfo=table.zone) for text in (begin, end))
    slots = table.between(first - timedelta(seconds=1), last, 10_000)
    return [slot.astimezone(table.zone).isoformat(timespec="minutes") for slot in slots]


def test_a_skipped_time_is_due_when_the_clock_has_been_set():
    assert due("30 2 * * *", "Europe/Berlin", "2027-03-27", "2027-03-30") == [
        "2027-03-27T02:30+01:00",
        "2027-03-28T03:00+02:00",
        "2027-03-29T02:30+02:00",
    ]
    assert due("30 2 * * *", "America/New_York", "2027-03-13", "2027-03-16") == [
        "2027-03-13T02:30-05:00",
        "2027-03-14T03:00-04:00",
        "2027-03-15T02:30-04:00",
    ]


def test_a_time_that_comes_twice_is_due_the_first_time():
    assert due("30 2 * * *", "Europe/Berlin", "2026-10-24", "2026-10-27") == [
        "2026-10-24T02:30+02:00",
        "2026-10-25T02:30+02:00",
        "2026-10-26T02:30+01:00",
    ]
    assert due("30 1 * * *", "America/New_York", "2026-10-31", "2026-11-03") == [
        "2026-10-31T01:30-04:00",
        "2026-11-01T01:30-04:00",
        "2026-11-02T01:30-05:00",
    ]


def test_between_the_two_times_nothing_more_is_due():
    table = timetable("*/10 2 * * *", "Europe/Berlin")
    assert table.after(at("2026-10-25T00:50")) == at("2026-10-26T01:00")
    assert table.after(at("2026-10-25T01:05")) == at("2026-10-26T01:00")
    assert table.latest(at("2026-10-25T00:00"), at("2026-10-25T01:30")) == at("2026-10-25T00:50")


def test_times_that_fall_on_one_instant_are_one_slot():
    assert due("0,20,40 2,3 * * *", "Europe/Berlin", "2027-03-28T01:00", "2027-03-28T06:00") == [
        "2027-03-28T03:00+02:00",
        "2027-03-28T03:20+02:00",
        "2027-03-28T03:40+02:00",
    ]


def test_a_skipped_time_that_another_one_follows_does_not_move_it():
    assert due("30 2,4 * * *", "Europe/Berlin", "2027-03-28", "2027-03-29") == [
        "2027-03-28T03:00+02:00",
        "2027-03-28T04:30+02:00",
    ]


@pytest.mark.parametrize(("zone", "day"), [("Europe/Berlin", "2027-03-28"), ("Europe/Berlin", "2026-10-25")])
def test_every_fifteen_minutes_stays_every_fifteen_minutes(zone, day):
    table = timetable("*/15 * * * *", zone)
    slots = table.between(at(day) - timedelta(hours=4), at(day) + timedelta(hours=4), 100)
    assert [later - earlier for earlier, later in itertools.pairwise(slots)] == [timedelta(minutes=15)] * 31


def test_every_hour_on_one_day_has_as_many_slots_as_the_day_has_hours():
    assert len(due("0 * 28 3 *", "Europe/Berlin", "2027-03-27", "2027-03-30")) == 23
    assert len(due("0 * 25 10 *", "Europe/Berlin", "2026-10-24", "2026-10-27")) == 25


def test_an_hour_of_minutes_is_an_hour_on_the_wall_where_clocks_are_set_by_half_an_hour():
    # Forward from 02:00 to 02:30: the full hour 02:00 is not shown. Back from 02:00 to 01:30: half past one is shown twice.
    assert due("0 * * * *", "Australia/Lord_Howe", "2026-10-04T01:00", "2026-10-04T03:00") == [
        "2026-10-04T01:00+10:30",
        "2026-10-04T03:00+11:00",
    ]
    assert due("30 * * * *", "Australia/Lord_Howe", "2027-04-04T01:00", "2027-04-04T02:30") == [
        "2027-04-04T01:30+11:00",
        "2027-04-04T01:30+10:30",
        "2027-04-04T02:30+10:30",
    ]
    assert due("15 2 * * *", "Australia/Lord_Howe", "2026-10-04", "2026-10-05") == ["2026-10-04T02:30+11:00"]
    assert due("45 1 * * *", "Australia/Lord_Howe", "2027-04-04", "2027-04-05") == ["2027-04-04T01:45+11:00"]


def test_minutes_are_minutes_on_the_wall_where_it_is_not_a_whole_hour_from_utc():
    assert due("0 * * * *", "Asia/Kathmandu", "2026-11-29T04:00", "2026-11-29T05:00") == [
        "2026-11-29T04:00+05:45",
        "2026-11-29T05:00+05:45",
    ]


def test_a_day_that_never_was_is_due_when_the_next_one_begins():
    assert due("0 2 * * *", "Pacific/Apia", "2011-12-29", "2011-12-31T12:00") == [
        "2011-12-29T02:00-10:00",
        "2011-12-31T00:00+14:00",
        "2011-12-31T02:00+14:00",
    ]
    assert due("0 * 30 12 *", "Pacific/Apia", "2011-12-28", "2012-01-02") == []


def test_a_midnight_that_is_skipped_or_comes_twice():
    assert due("@daily", "America/Sao_Paulo", "2018-11-03", "2018-11-05") == [
        "2018-11-03T00:00-03:00",
        "2018-11-04T01:00-02:00",
        "2018-11-05T00:00-02:00",
    ]
    assert due("30 0 * * *", "America/Havana", "2026-11-01", "2026-11-02") == ["2026-11-01T00:30-04:00"]


def test_zones_that_changed_their_rules_keep_to_the_wall():
    # Turkey stayed on summer time in 2016, Brazil gave it up in 2019, Morocco interrupts it for Ramadan.
    assert due("0 4 1 * *", "Europe/Istanbul", "2016-10-01", "2016-12-31") == [
        "2016-10-01T04:00+03:00",
        "2016-11-01T04:00+03:00",
        "2016-12-01T04:00+03:00",
    ]
    assert due("0 4 1 1 *", "America/Sao_Paulo", "2018-12-01", "2020-12-31") == [
        "2019-01-01T04:00-02:00",
        "2020-01-01T04:00-03:00",
    ]
    assert due("30 2 * * *", "Africa/Casablanca", "2025-02-22", "2025-02-25") == [
        "2025-02-22T02:30+01:00",
        "2025-02-23T02:30+01:00",
        "2025-02-24T02:30+00:00",
    ]
    assert due("30 2 * * *", "Africa/Casablanca", "2025-04-05", "2025-04-08") == [
        "2025-04-05T02:30+00:00",
        "2025-04-06T03:00+01:00",
        "2025-04-07T02:30+01:00",
    ]


def test_rules_go_on_after_2037():
    assert due("30 2 * * *", "Europe/Berlin", "2060-03-28", "2060-03-29") == ["2060-03-28T03:00+02:00"]


def test_the_turn_of_the_year_is_no_border():
    assert due("*/30 * * * *", "Asia/Tokyo", "2026-12-31T23:30", "2027-01-01T00:30") == [
        "2026-12-31T23:30+09:00",
        "2027-01-01T00:00+09:00",
        "2027-01-01T00:30+09:00",
    ]
    # 08:59 on the wall is the last minute of the year in UTC.
    table = timetable("59 8 1 1 *", "Asia/Tokyo")
    assert table.after(at("2026-12-31T23:58:59")) == at("2026-12-31T23:59")
    assert table.after(at("2026-12-31T23:59")) == at("2027-12-31T23:59")
    assert table.latest(at("2026-01-01T00:00"), at("2027-06-01T00:00")) == at("2026-12-31T23:59")


def test_the_29th_of_february_is_due_in_leap_years():
    table = timetable("0 0 29 2 *", "UTC")
    assert table.between(at("2026-11-29"), at("2037-01-01"), 9) == [at("2028-02-29"), at("2032-02-29"), at("2036-02-29")]
    assert table.after(at("2096-03-01")) == at("2104-02-29")
    assert table.latest(at("2026-01-01"), at("2103-12-31")) == at("2096-02-29")


def test_a_day_of_the_month_or_a_weekday():
    assert due("0 0 13 * 5", "UTC", "2026-11-01", "2026-11-30T23:59") == [
        f"2026-11-{day:02}T00:00+00:00" for day in (6, 13, 20, 27)
    ]
    assert due("0 0 1 * 1", "UTC", "2026-12-01", "2026-12-15") == [f"2026-12-{day:02}T00:00+00:00" for day in (1, 7, 14)]


def test_a_slot_is_strictly_after_and_up_to_the_end():
    table = timetable("0 2 * * *", "UTC")
    assert table.after(at("2026-11-29T01:59:59.999999")) == at("2026-11-29T02:00")
    assert table.after(at("2026-11-29T02:00")) == at("2026-11-30T02:00")
    assert table.between(at("2026-11-29T02:00"), at("2026-11-30T02:00"), 5) == [at("2026-11-30T02:00")]
    assert table.latest(at("2026-11-29T02:00"), at("2026-11-30T02:00")) == at("2026-11-30T02:00")
    assert table.latest(at("2026-11-29T02:00"), at("2026-11-30T01:59:59.999999")) is None
    assert table.latest(at("2026-11-29T02:00"), at("2026-11-29T02:00")) is None
    assert table.between(at("2026-11-29"), at("2027-11-29"), 0) == []
    assert len(table.between(at("2026-11-29"), at("2027-11-29"), 7)) == 7


def test_instants_of_any_zone_go_in_and_utc_comes_out():
    table = timetable("0 2 * * *", "Europe/Berlin")
    slot = table.after(datetime(2026, 11, 29, 9, tzinfo=timezone(timedelta(hours=9))))
    assert slot == at("2026-11-29T01:00")
    assert slot.tzinfo is UTC


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(TypeError):
        timetable("0 2 * * *", "UTC").after(datetime(2026, 11, 29))


def test_the_calendar_ends():
    assert timetable("0 0 1 1 *", "Pacific/Kiritimati").after(at("9998-06-01")) is None
    assert timetable("0 0 29 2 *", "UTC").after(at("9996-03-01")) is None
    assert timetable("* * * * *", "UTC").after(at("9999-12-31T23:59:59")) is None


def test_schedules_with_the_same_words_share_a_timetable():
    assert timetable("0 2 * * *", "Europe/Berlin") is timetable("0 2 * * *", "Europe/Berlin")
    assert timetable("@daily", "UTC") == timetable("0 0 * * *", "UTC")


def test_what_cannot_be_read_says_which_part():
    with pytest.raises(CronInvalidError):
        timetable("0 0 31 2 *", "UTC")
    with pytest.raises(ZoneInvalidError):
        timetable("0 0 * * *", "Europe/Atlantis")


def test_the_newest_of_a_year_of_minutes_is_found_without_walking_them():
    table = timetable("* * * * *", "Europe/Berlin")
    table.latest(at("2025-11-29"), at("2026-11-29"))
    begun = time.process_time()
    for minute in range(100):
        until = at("2026-11-29") + timedelta(minutes=minute, seconds=30)
        assert table.latest(at("2025-11-29"), until) == until - timedelta(seconds=30)
    assert time.process_time() - begun < 1  # half a million minutes a hundred times would take minutes
