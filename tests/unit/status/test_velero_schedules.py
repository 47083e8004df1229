"""Schedules of Velero's own: what is shown of them, and how their statuses are read."""

import pytest

from services.status.objects import record
from services.status.schedules.foreign import velero_schedule
from services.status.schedules.grounds import Ground
from services.status.schedules.projection import Around, Made
from tests.support import status_schedules
from tests.support.messages import NOW
from tests.unit.status.test_schedules import LAST, WELL

MADE = Made(any=True, last_at=NOW, last=LAST, outcomes={"Completed": 1})


NOTHING = Made()


def seen(*objects, made=NOTHING, ground=WELL):
    records = [record("eu1", "schedule", each, NOW) for each in objects]
    return velero_schedule("id", records, Around(ground, made=made))


def told(phase="Enabled", **more):
    return status_schedules.velero_schedule(phase=phase, **more)


@pytest.mark.parametrize(
    ("shown", "made", "status"),
    [
        (told(), Made(), "New"),
        (told(None), Made(), "New"),
        (told(), MADE, "Active"),
        (told(lastBackup="2026-11-22T03:00:00Z"), Made(), "Active"),
        (told(spec={"paused": True}), MADE, "Paused"),
        (told("FailedValidation", spec={"paused": True}), MADE, "FailedValidation"),
        (told("FailedValidation", deleted=True), MADE, "Deleted"),
    ],
)
def test_each_status(shown, made, status):
    row = seen(shown, made=made)
    assert (row.item.status, row.listed) == (status, status != "Deleted")


def test_it_is_shown_as_velero_tells_it():
    row = seen(told(lastBackup="2026-11-22T03:00:00Z", lastSkipped="2026-11-21T03:00:00Z"))
    item = row.item
    assert (item.managed_by, item.name, item.cron, item.cron_text) == ("Velero", "weekly", "0 3 * * 0", "Every Sunday at 03:00")
    assert (item.timezone, item.next_run_at, item.version, row.more["version"]) == ("UTC", None, None, None)
    assert (item.last_backup_at.hour, item.last_skipped_at.day, item.storage_location.bucket) == (3, 21, "b")
    assert row.more["detail"]["veleroTemplate"]["ttl"] == "720h0m0s"


@pytest.mark.parametrize(
    ("written", "zone", "cron", "words"),
    [
        ("CRON_TZ=Europe/Berlin 0 3 * * *", "Europe/Berlin", "0 3 * * *", "Every day at 03:00"),
        ("TZ=UTC  @daily", "UTC", "@daily", "Every day at 00:00"),
        ("@every 1h", "UTC", "@every 1h", None),
        ("", "UTC", "", None),
        (7, "UTC", "", None),
    ],
)
def test_the_time_zone_stands_before_the_expression(written, zone, cron, words):
    item = seen(told(spec={"schedule": written})).item
    assert (item.timezone, item.cron, item.cron_text) == (zone, cron, words)


def test_why_velero_refuses_it_is_told_in_its_words_and_cut():
    item = seen(told("FailedValidation", validationErrors=["bad cron", 7, "x" * 5000, *["more"] * 200])).item
    assert [reason.code for reason in item.reasons] == ["RefusedByVelero"] * 100
    assert (item.reasons[0].message, len(item.reasons[1].message)) == ("bad cron", 1024)
    assert seen(told("FailedValidation")).item.reasons[0].message == "Velero gives no reason."
    assert seen(told(validationErrors=["of before"])).item.reasons == []


def test_the_newest_object_of_a_name_counts_and_one_that_cannot_be_read_is_listed_all_the_same():
    assert seen(told(uid="v1", rv=5, deleted=True), told(uid="v2", rv=9)).item.status == "New"
    odd = told().model_copy(update={"object": {"metadata": {"name": "weekly"}, "spec": 7}, "unreadable": "too large"})
    row = seen(odd, ground=Ground())
    assert (row.item.status, row.item.description, row.item.cron, row.listed) == ("New", "too large", "", True)
    assert velero_schedule("id", [], Around()) is None
