"""Durations as Go reads and writes them. The refusals are those of Go's time.ParseDuration."""

import pytest

from simulator.velero.durations import format_duration, parse_duration, unreadable


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("720h0m0s", 2_592_000),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("-1h", -3600),
        ("+10s", 10),
        ("0", 0),
        ("250ms", 0.25),
        (".5s", 0.5),
    ],
)
def test_a_duration_is_read(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("30d", 'time: unknown unit "d" in duration "30d"'),
        ("30", 'time: missing unit in duration "30"'),
        ("", 'time: invalid duration ""'),
        ("h", 'time: invalid duration "h"'),
        ("1h 30m", 'time: unknown unit "h " in duration "1h 30m"'),
        ("9999999h", 'time: invalid duration "9999999h"'),
    ],
)
def test_what_go_refuses_is_refused(text, problem):
    with pytest.raises(ValueError, match="time") as refused:
        parse_duration(text)
    assert str(refused.value) == problem


@pytest.mark.parametrize("text", ["720h0m0s", "10m0s", "20s", "4h0m0s", "-1h0m0s", "0s"])
def test_a_duration_is_written_as_go_writes_it(text):
    assert format_duration(parse_duration(text)) == text


def test_durations_are_looked_for_where_each_kind_holds_them():
    assert unreadable("backups", {"spec": {"ttl": "1h", "csiSnapshotTimeout": "1w"}}) is not None
    assert unreadable("schedules", {"spec": {"template": {"ttl": "30d"}}}) is not None
    assert unreadable("backupstoragelocations", {"spec": {"validationFrequency": "1 minute"}}) is not None
    assert unreadable("backups", {"spec": {"ttl": "1h", "storageLocation": "30d"}}) is None
    assert unreadable("backups", {}) is None
