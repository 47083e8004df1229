"""Schedules and slots as people see them: the columns of the guide, what is wrong first, and why a slot made no backup."""

import io
import time

import pytest
from rich.console import Console

from leeward import completion
from leeward.columns import SCHEDULES, TICKS
from leeward.output import Format, Output, table
from leeward.schedules import telling
from leeward.schedules.switching import _skipped
from shared.contracts.phases import ScheduleStatus, SlotResult
from shared.contracts.schedules import Concurrency, Decision, Misfire
from tests.unit.leeward.test_output import NOW

UNKNOWN_LOCATION = {"code": "LocationUnknown", "message": "Cluster eu1 has no storage location vault.", "permanent": True}
AWAY = {"code": "ClusterOffline", "message": "Cluster eu1 has not been seen since noon.", "permanent": False}


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def schedule(**facts):
    return {
        "id": "s1",
        "name": "nightly",
        "cluster": "eu1",
        "managedBy": "Leeward",
        "status": "Active",
        "reasons": [],
        "storageLocation": {"name": "default", "provider": "aws", "bucket": "velero-eu1"},
        "cron": "0 2 * * *",
        "cronText": "Every day at 02:00",
        "timezone": "UTC",
        "nextRunAt": "2026-03-02T02:00:00Z",
        "lastBackupAt": "2026-03-01T02:00:01Z",
        "lastBackup": {"id": "b1", "name": "nightly-20260301020000", "status": "PartiallyFailed"},
        "skipNext": 0,
        "counts": {"completed": 12, "partiallyFailed": 1, "failed": 0, "missed": 0, "skipped": 2},
        "template": {"labels": {}, "scope": {"kind": "production"}, "spec": {"ttl": "168h"}},
        "version": 3,
        **facts,
    }


def tick(decision="Triggered", **facts):
    return {"id": "t", "from": "2026-03-01T02:00:00Z", "to": "2026-03-01T02:00:00Z", "count": 1, "decision": decision, **facts}


def row(columns, item):
    (header, line), left_out = table(columns, [item], NOW, 100_000)
    assert left_out == []
    places = [header.plain.index(column.title) for column in columns]
    return dict(
        zip(
            [column.title for column in columns],
            [line.plain[a:b].strip() for a, b in zip(places, [*places[1:], None], strict=True)],
            strict=True,
        )
    )


def described(item, coming=None, gone_by=()):
    consoles = [Console(file=io.StringIO(), width=1000, soft_wrap=True) for _ in range(2)]
    telling.show(Output(Format.TABLE, *consoles), item, coming or {}, gone_by)
    return consoles[0].file.getvalue()


def test_a_schedule_has_the_columns_of_the_guide_and_its_next_run_and_last_result():
    assert row(SCHEDULES, schedule()) == {
        "Schedule Name": "nightly",
        "Status": "Active",
        "Cluster": "eu1",
        "Storage Location": "default (aws)",
        "Cron": "Every day at 02:00",
        "Next Run": "2026-03-02 02:00Z",
        "Last Backup": "2026-03-01 02:00Z",
        "Last Result": "PartiallyFailed",
        "Last Skipped": "—",
    }


def test_what_is_wrong_where_it_runs_and_whose_it_is_stand_in_the_row():
    told = row(
        SCHEDULES,
        schedule(
            status="FailedValidation",
            reasons=[UNKNOWN_LOCATION, AWAY],
            deleting={"by": "anna"},
            managedBy="Velero",
            timezone="Europe/Berlin",
            storageLocation={"name": None},
        ),
    )
    assert told["Schedule Name"] == "nightly (Velero)"
    assert told["Status"] == "FailedValidation (LocationUnknown, ClusterOffline, deleting)"
    assert told["Cron"] == "Every day at 02:00 (Europe/Berlin)"
    assert told["Storage Location"] == "—"
    assert row(SCHEDULES, schedule(cron="61 * * * *", cronText=None))["Cron"] == "61 * * * *"


def test_a_run_of_slots_is_one_line_and_says_how_many():
    assert row(TICKS, tick("Paused", to="2026-03-05T02:00:00Z", count=5)) == {
        "Slot": "2026-03-01 02:00Z to 2026-03-05 02:00Z (5)",
        "Decision": "Paused",
        "Result": "—",
        "Backup": "—",
        "Status": "—",
        "Why": "the schedule was paused",
    }


@pytest.mark.parametrize("decision", [d.value for d in Decision if d is not Decision.TRIGGERED])
def test_every_decision_that_runs_nothing_says_why(decision):
    told = row(TICKS, tick(decision, reason="LocationUnknown", ran="2026-03-01T05:00:00Z"))
    assert told["Why"] != "—"
    assert ("LocationUnknown" in told["Why"]) == (decision == "Invalid")
    assert ("05:00Z ran instead" in told["Why"]) == (decision == "Superseded")


@pytest.mark.parametrize("result", [r.value for r in SlotResult if r is not SlotResult.ACCEPTED])
def test_every_result_but_a_good_one_says_why(result):
    refusal = (
        {"code": "X", "detail": "Backup nightly-1 is still InProgress."}
        if result in {"Refused", "Overlap", "Superseded"}
        else None
    )
    told = row(TICKS, tick(result=result, refusal=refusal, backup=None))
    assert told["Result"] == result
    assert told["Why"] != "—"
    assert refusal is None or told["Why"] == refusal["detail"]


def test_what_the_shell_offers_is_what_there_is():
    assert set(completion.DECISIONS.values()) == {d.value for d in Decision}
    assert set(completion.SCHEDULE_STATUSES.values()) == {s.value for s in ScheduleStatus} - {"Deleted"}
    assert set(completion.FIELDS["--concurrency"]("")) == {c.value for c in Concurrency}
    assert set(completion.FIELDS["--misfire"]("")) == {m.value for m in Misfire}
    assert completion.zones(None, "europe/ber") == ["Europe/Berlin"]


def test_a_schedule_in_full_says_what_is_wrong_first_and_what_that_means_for_its_slots():
    text = described(schedule(status="FailedValidation", reasons=[UNKNOWN_LOCATION, AWAY]), gone_by=[tick("Skipped")])
    assert "Why:     Cluster eu1 has no storage location vault: slots are left out until it is mended\n" in text
    assert "noon: slots are sent all the same, and run late if that passes in time\n" in text
    places = [text.index(word) for word in ("Why:", "When:", "Rules:", "Backups:", "Last Slots:", "Template:", "Made:")]
    assert places == sorted(places)
    assert "So Far:      12 completed, 1 partially failed, 2 skipped\n" in text


def test_the_next_slots_are_on_the_clocks_of_its_zone_and_say_which_are_left_out():
    instants = [{"at": f"2026-03-{day:02}T01:00:00Z", "local": f"2026-03-{day:02}T02:00:00+01:00"} for day in (2, 3)]
    text = described(schedule(skipNext=1, timezone="Europe/Berlin"), {"instants": instants})
    assert "  Mon 2026-03-02 02:00 +0100  left out\n  Tue 2026-03-03 02:00 +0100\n" in text
    assert "Left Out:  the next slot\n" in text
    assert described(schedule(paused=True), {"instants": instants}).count("  paused\n") == 2


def test_a_deletion_that_does_not_go_on_says_why_before_all_else():
    deleting = {
        "deleteBackups": True,
        "by": "anna",
        "at": "2026-03-01T11:00:00Z",
        "attempt": 2,
        "errors": ["no access to the bucket"],
    }
    text = described(schedule(deleting=deleting))
    assert text.index("no access to the bucket") < text.index("When:")
    assert "Backups:  go with it\n" in text


def test_one_of_veleros_own_is_told_to_be_one_and_shows_the_form_that_velero_has():
    item = schedule(
        managedBy="Velero", template=None, veleroTemplate={"includedResources": ["pods"], "ttl": "24h0m0s"}, version=None
    )
    text = described(item)
    assert "Managed By: Velero, in the cluster: it is shown here and not changed\n" in text
    assert "On Deletion" not in text
    assert "pods\n" in text


@pytest.mark.parametrize(
    ("count", "first", "words"),
    [
        (1, "2026-03-02T02:00:00Z", "leaves out the next slot, 2026-03-02 02:00Z"),
        (3, "2026-03-02T02:00:00Z", "leaves out the next 3 slots, from the slot 2026-03-02 02:00Z on"),
        (0, "2026-03-02T02:00:00Z", "leaves out no slot; the next one is 2026-03-02 02:00Z"),
    ],
)
def test_a_wish_to_skip_says_what_it_is_of(count, first, words):
    assert _skipped(schedule(skipNext=count, firstAffected=first)) == words
