"""What people see: nothing is cut in a pipe, nothing invented, nothing that moves a cursor."""

import io
import json
import os
import time
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from rich.console import Console

from leeward import words
from leeward.columns import BACKUPS, CLUSTERS
from leeward.output import Format, Output, table

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LONG = "a-very-long-name-of-a-backup-" * 6


def backup(**facts):
    return {
        "id": "b1",
        "name": "shop",
        "cluster": "eu1",
        "createdBy": {"kind": "User", "name": "anna"},
        "status": "Completed",
        "createdAt": "2026-03-01T10:00:00Z",
        "expiresAt": "2026-03-31T10:00:00Z",
        "size": {"totalBytes": None},
        **facts,
    }


def shown(items, width=200, columns=BACKUPS):
    lines, left_out = table(columns, items, NOW, width)
    return [line.plain for line in lines], left_out


@pytest.fixture
def output():
    plain = {"width": 100_000, "highlight": False, "markup": False, "emoji": False}
    return Output(Format.TABLE, Console(file=io.StringIO(), **plain), Console(file=io.StringIO(), **plain))


def test_a_backup_has_the_columns_of_the_guide_and_a_dash_for_what_is_not_known(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    (header, row), left_out = shown([backup()])
    assert header.split("  ")[0] == "Name"
    assert [c.title for c in BACKUPS] == ["Name", "Cluster", "Created By", "Status", "Backup Date", "Expires In", "Size"]
    assert row.split() == ["shop", "eu1", "anna", "Completed", *row.split()[4:6], "29d", "22h", "—"]
    assert left_out == []


def test_a_backup_that_was_deleted_is_not_kept_any_longer():
    (_, row), _ = shown([backup(status="Deleted")])
    assert row.split() == ["shop", "eu1", "anna", "Deleted", *row.split()[4:6], "—", "—"]


def test_names_are_whole_however_long_they_are():
    (_, row), _ = shown([backup(name=LONG)], width=60)
    assert LONG in row


def test_on_a_narrow_terminal_columns_give_way_and_are_named():
    lines, left_out = shown([backup(), backup(name="a-somewhat-longer-name")], width=60)
    assert left_out
    assert all(len(line) <= 60 for line in lines)
    assert "Name" in lines[0]
    assert "Status" in lines[0]
    assert {*left_out, *lines[0].split("  ")} >= {"Created By", "Size"}


def test_every_line_of_a_column_begins_at_the_same_place_whatever_the_script():
    items = [
        {"id": "eu1", "displayName": "ヨーロッパ", "status": "Online"},
        {"id": "us1", "displayName": "US", "status": "Offline"},
    ]
    lines, _ = table(CLUSTERS, items, NOW, 200)
    begin = [
        line.cell_len - Console(width=200).measure(line[line.plain.index(s) :]).maximum
        for line, s in zip(lines[1:], ("Online", "Offline"), strict=True)
    ]
    assert begin[0] == begin[1]


def test_a_backup_in_the_making_says_how_far_it_is_and_never_a_made_up_total():
    on_its_way = backup(status="Creating", progress={"itemsBackedUp": 3, "totalItems": 10})
    assert "Creating 3/10" in shown([on_its_way])[0][1]
    assert "/" not in shown([backup(status="Creating", progress={"itemsBackedUp": 3, "totalItems": None})])[0][1]


def test_what_comes_from_a_cluster_cannot_move_the_cursor(output):
    output.rows(CLUSTERS, [{"id": "eu1", "displayName": "\x1b[2Jgone\r\x9b", "status": "Online"}])
    output.rows(BACKUPS, [backup(status="Creating", progress={"itemsBackedUp": "\x1b[2J", "totalItems": 5})])
    output.facts({"Why": "\x1b]0;title\x07broken"})
    output.line("\x1b[2J")
    output.say("\x1b[2J")
    Output(Format.JSON, output.stdout, output.stderr).data({"name": "\x1b[2J\x9b2J"})
    text = output.stdout.file.getvalue() + output.stderr.file.getvalue()
    assert not set(text) & {"\x1b", "\r", "\x9b", "\x07"}
    assert "gone" in text
    assert "broken" in text


def test_brackets_are_not_markup(output):
    output.line("[red]shop[/red] :smile:")
    assert output.stdout.file.getvalue() == "[red]shop[/red] :smile:\n"


@pytest.mark.parametrize(("form", "read"), [(Format.JSON, json.loads), (Format.YAML, yaml.safe_load)])
def test_programs_get_what_the_api_gave(output, form, read):
    answer = {"items": [backup(name="ü\x9b", when="2026-03-01T10:00:00Z", on="yes")], "nextCursor": None, "total": 1}
    Output(form, output.stdout, output.stderr).data(answer)
    assert read(output.stdout.file.getvalue()) == answer


@pytest.mark.parametrize(
    ("count", "text"), [(None, "—"), (0, "0 B"), (1605, "1.6 KiB"), (1023, "1023 B"), (5 * 2**30, "5.0 GiB"), (True, "—")]
)
def test_sizes(count, text):
    assert words.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59, "59s"), (3600, "1h"), (3661, "1h 1m"), (86400 * 30, "30d"), (90000, "1d 1h"), (-5, "0s")],
)
def test_spans(seconds, text):
    assert words.span(timedelta(seconds=seconds)) == text


def test_a_time_that_has_passed_has_expired_and_an_unknown_one_is_unknown():
    assert words.remaining("2026-03-01T11:59:59Z", NOW) == "expired"
    assert words.remaining("2026-03-01T13:30:00Z", NOW) == "1h 30m"
    assert [words.remaining(odd, NOW) for odd in (None, "soon", "2026-03-01T13:30:00")] == ["—"] * 3


def test_times_are_told_in_this_machines_zone_with_its_offset(monkeypatch):
    for zone, text in (
        ("UTC", "2026-03-01 10:00Z"),
        ("Asia/Kolkata", "2026-03-01 15:30+05:30"),
        ("Etc/GMT+5", "2026-03-01 05:00-05"),
    ):
        monkeypatch.setitem(os.environ, "TZ", zone)
        time.tzset()
        assert words.moment("2026-03-01T10:00:00Z") == text
    monkeypatch.undo()
    time.tzset()
