"""Cron expressions as Velero 1.18.3 reads them (go-cron 0.15)."""

from datetime import UTC, datetime

import pytest

from simulator.velero.cron import BadCron, parse_cron


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "after", "due"),
    [
        ("* * * * *", "2026-11-22T12:00:31", "2026-11-22T12:01:00"),
        ("0 2 * * *", "2026-11-22T12:00:00", "2026-11-23T02:00:00"),
        ("0 2 * * *", "2026-11-22T02:00:00", "2026-11-23T02:00:00"),
        ("*/15 8-10 * * *", "2026-11-22T08:46:00", "2026-11-22T09:00:00"),
        ("5/20 * * * *", "2026-11-22T12:46:00", "2026-11-22T13:05:00"),
        ("0 0 1 jan *", "2026-11-22T12:00:00", "2027-01-01T00:00:00"),
        ("0 0 * * mon-fri", "2026-11-21T12:00:00", "2026-11-23T00:00:00"),
        ("0 0 29 2 *", "2026-11-22T12:00:00", "2028-02-29T00:00:00"),
        ("0 0 13 * 5", "2026-11-22T12:00:00", "2027-08-13T00:00:00"),  # a Friday the 13th
        ("0 0 * * 7", "2026-11-23T12:00:00", "2026-11-29T00:00:00"),  # a Sunday
        ("0 22-2 * * *", "2026-11-22T23:30:00", "2026-11-23T00:00:00"),
        ("@daily", "2026-11-22T12:00:00", "2026-11-23T00:00:00"),
        ("@weekly", "2026-11-22T12:00:00", "2026-11-29T00:00:00"),
        ("@every 1h30m", "2026-11-22T12:00:00", "2026-11-22T13:30:00"),
        ("CRON_TZ=Europe/Berlin 0 2 * * *", "2026-11-22T12:00:00", "2026-11-23T01:00:00"),
        ("TZ=America/New_York 0 2 * * *", "2026-07-01T12:00:00", "2026-07-02T06:00:00"),
        ("CRON_TZ=Europe/Berlin 30 2 * * *", "2027-03-27T12:00:00", "2027-03-28T01:00:00"),  # 02:30 does not exist that day
        ("CRON_TZ=Europe/Berlin 30 2 * * *", "2026-10-24T12:00:00", "2026-10-25T00:30:00"),  # and exists twice that day
        ("CRON_TZ=Europe/Berlin 30 2 * * *", "2026-10-25T00:30:00", "2026-10-26T01:30:00"),
    ],
)
def test_the_next_time(expression, after, due):
    assert parse_cron(expression).after(at(after)) == at(due)


def test_what_never_comes_is_never_due():
    assert parse_cron("0 0 31 2 *").after(at("2026-11-22T12:00:00")) is None


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "Schedule must be a non-empty valid Cron expression"),
        ("not a cron", "invalid schedule: expected exactly 5 fields, found 3: [not a cron]"),
        ("61 * * * *", 'invalid schedule: end of range (61) above maximum (59): "61"'),
        ("0 0 * * 8", 'invalid schedule: end of range (8) above maximum (7): "8"'),
        ("* * 0 * *", 'invalid schedule: beginning of range (0) below minimum (1): "0"'),
        ("TZ=Nowhere * * * * *", 'invalid schedule: unknown time zone "Nowhere": unknown time zone Nowhere'),
        ("@sometimes", 'invalid schedule: unrecognized descriptor: "@sometimes"'),
    ],
)
def test_what_cannot_be_read_is_refused_in_its_words(expression, reason):
    with pytest.raises(BadCron) as refused:
        parse_cron(expression)
    assert str(refused.value) == reason
