"""Schedules of the simulated Velero: when they make backups, and what those look like. Observed on a Velero v1.18.3."""

from datetime import datetime, timedelta

import pytest

from simulator.cloud import Cloud
from simulator.store import utc_now
from tests.support.simulated_velero import Site
from tests.support.transcripts import transcript
from tests.support.waiting import eventually

MINUTELY = {"schedule": "* * * * *", "template": {"includedNamespaces": ["shop"], "ttl": "1h"}}


class Clock:
    """The time of this machine, moved ahead by a test; a minute begins with the test, and ends when the test says so."""

    def __init__(self) -> None:
        now = utc_now()
        self.ahead = now.replace(second=0, microsecond=0) - now

    def __call__(self) -> datetime:
        return utc_now() + self.ahead


@pytest.fixture
async def site():
    cloud = Cloud()
    cloud.make_bucket("velero")
    async with cloud:
        made = Site(cloud, namespaces=("shop",))
        made.clock = made.store.now = Clock()
        await made.start()
        yield made
        made.velero.kill()


def status(site, name="s"):
    return site.get("schedules", name).get("status", {})


def backups(site, name="s"):
    return site.store.list("backups", "velero", labels=f"velero.io/schedule-name={name}")


async def a_minute_later(site, name="s", count=1):
    """Let a minute pass, and wait for the backups."""
    site.clock.ahead += timedelta(seconds=61)
    return await eventually("a backup is made", lambda: len(found := backups(site, name)) >= count and found)


async def test_a_schedule_is_enabled_and_makes_its_backup_when_due(site):
    site.create("schedules", "s", MINUTELY, labels={"own": "label"}, annotations={"note": "x"})
    await site.until("s", "Enabled", kind="schedules")
    assert site.get("schedules", "s")["spec"]["skipImmediately"] is False
    assert backups(site) == []
    (made,) = await a_minute_later(site)
    metadata = made["metadata"]
    assert metadata["labels"]["own"] == "label"
    assert metadata["annotations"]["note"] == "x"
    assert "ownerReferences" not in metadata
    assert made["spec"]["includedNamespaces"] == ["shop"]
    assert made["spec"]["ttl"] == "1h0m0s"
    last = await eventually("the schedule tells of it", lambda: status(site).get("lastBackup"))
    assert metadata["name"] == f"s-{datetime.fromisoformat(last):%Y%m%d%H%M%S}"
    await site.until(metadata["name"], "Completed")


async def test_labels_of_the_template_take_the_place_of_the_schedule_s_own(site):
    template = {**MINUTELY["template"], "metadata": {"labels": {"from": "template"}}}
    spec = {**MINUTELY, "template": template, "useOwnerReferencesInBackup": True}
    made = site.create("schedules", "s", spec, labels={"own": "label"})
    (backup,) = await a_minute_later(site)
    labels = backup["metadata"]["labels"]
    assert (labels["from"], labels["velero.io/schedule-name"]) == ("template", "s")
    assert "own" not in labels
    assert [owner["uid"] for owner in backup["metadata"]["ownerReferences"]] == [made["metadata"]["uid"]]


async def test_however_many_runs_were_missed_one_is_caught_up_with(site):
    site.create("schedules", "s", MINUTELY)
    await site.until("s", "Enabled", kind="schedules")
    site.velero.kill()
    site.clock.ahead += timedelta(hours=5)
    await site.velero.start()
    await eventually("a backup is made", lambda: backups(site))
    await eventually("the schedule tells of it", lambda: status(site).get("lastBackup"))
    site.create("schedules", "later", {**MINUTELY, "schedule": "bad"})
    await site.until("later", "FailedValidation", kind="schedules")
    assert len(backups(site)) == 1


async def test_a_paused_schedule_says_and_does_nothing_until_it_is_not(site):
    site.create("schedules", "s", {**MINUTELY, "paused": True})
    site.clock.ahead += timedelta(hours=1)
    site.create("schedules", "other", MINUTELY)
    await site.until("other", "Enabled", kind="schedules")
    assert (status(site), backups(site)) == ({}, [])
    site.store.patch("schedules", "s", {"spec": {"paused": False}}, "velero")
    await eventually("the overdue run is made", lambda: backups(site))


async def test_a_skipped_run_is_noted_and_the_wish_is_used_up(site):
    site.create("schedules", "s", {**MINUTELY, "skipImmediately": True})
    await site.until("s", "Enabled", kind="schedules")
    assert status(site)["lastSkipped"]
    assert site.get("schedules", "s")["spec"]["skipImmediately"] is False


async def test_a_bad_expression_is_refused_and_a_better_one_is_taken(site):
    site.create("schedules", "s", {**MINUTELY, "schedule": "not a cron"})
    await site.until("s", "FailedValidation", kind="schedules")
    assert status(site)["validationErrors"] == ["invalid schedule: expected exactly 5 fields, found 3: [not a cron]"]
    site.store.patch("schedules", "s", {"spec": {"schedule": "@daily"}}, "velero")
    await site.until("s", "Enabled", kind="schedules")
    assert "validationErrors" not in status(site)


async def test_a_run_waits_while_the_one_before_it_is_in_progress(site):
    site.create("schedules", "s", MINUTELY)
    await site.until("s", "Enabled", kind="schedules")
    site.velero.faults.hold("*", "InProgress")
    (first,) = await a_minute_later(site)
    await site.until(first["metadata"]["name"], "InProgress")
    site.create("schedules", "other", MINUTELY)
    site.clock.ahead += timedelta(seconds=61)
    await eventually("others are made", lambda: backups(site, "other"))
    assert len(backups(site)) == 1
    site.velero.faults.release()
    await site.until(first["metadata"]["name"], "Completed")
    await eventually("the run that waited is made", lambda: len(backups(site)) == 2)


async def test_schedules_look_as_recorded_from_a_real_velero(site):
    recorded = next(event.object for event in transcript("04-schedule") if event.name.startswith("s-min-"))
    schedule = next(event.object for event in transcript("04-schedule", "Schedule") if event.name == "s-min")
    metadata = {key: schedule["metadata"][key] for key in ("labels", "annotations")}
    site.create("schedules", "s-min", schedule["spec"], **metadata)
    await site.until("s-min", "Enabled", kind="schedules")
    watch = site.store.watch("backups", "velero")
    await a_minute_later(site, "s-min")
    made = watch.take()[0].object
    assert (made["spec"], made["status"]) == (recorded["spec"], recorded["status"])
    for key in ("labels", "annotations"):
        assert made["metadata"][key] == recorded["metadata"][key]
