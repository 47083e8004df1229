"""Schedules: what they make, when, and what stops them."""

import re
from datetime import datetime

import pytest

from tests.conformance.manifests import Json, unique
from tests.conformance.stage import Cluster
from tests.conformance.story import phase_of

EVERY_MINUTE = "* * * * *"
YEARLY = "0 0 1 1 *"
TWO_TICKS = 190
"""Seconds within which a Schedule has fired that is due each minute: a minute until it is due, one until that is noticed."""


def made_by(cluster: Cluster, schedule: str) -> list[Json]:
    path = "/apis/velero.io/v1/namespaces/velero/backups"
    return list(cluster.api.get(path, labelSelector=f"velero.io/schedule-name={schedule}")["items"])


def template(namespace: str = "default", **fields: object) -> Json:
    return {"includedNamespaces": [namespace], "ttl": "1h", **fields}


def alone(cluster: Cluster, **fields: object) -> Json:
    """A template of a namespace of its own, so that what it makes waits for no other Backup."""
    return template(cluster.furnish("alone"), **fields)


@pytest.mark.slow
def test_a_schedule_fires(writer: Cluster) -> None:
    """A Schedule is Enabled at once; when it is due it makes a Backup, named by the time, with its labels and annotations."""
    namespace, name = writer.furnish("fires"), unique("fires")
    story, backups = writer.story("schedules", name), writer.story("backups", labels=f"velero.io/schedule-name={name}")
    writer.create(
        "Schedule", name, metadata={"labels": {"team": "a"}, "annotations": {"example.com/why": "audit"}},
        spec={"schedule": EVERY_MINUTE, "template": template(namespace)},
    )  # fmt: skip
    enabled = story.until_phase("Enabled")
    backup = backups.until_object(lambda _: True, within=TWO_TICKS)
    fired = story.until_object(lambda item: "lastBackup" in item["status"])
    finished = backups.until_final(within=130)
    writer.delete("schedules", name)

    assert enabled["status"] == {"phase": "Enabled"}
    stamp = re.sub(r"\D", "", fired["status"]["lastBackup"])
    assert backup["metadata"]["name"] == f"{name}-{stamp}"
    assert backup["metadata"]["labels"] == {"team": "a", "velero.io/schedule-name": name}
    assert backup["metadata"]["annotations"]["example.com/why"] == "audit"
    assert "ownerReferences" not in backup["metadata"]
    assert backup["spec"]["includedNamespaces"] == [namespace]
    assert (phase_of(finished), finished["spec"]["ttl"]) == ("Completed", "1h0m0s")


@pytest.mark.slow
def test_labels_of_the_template(writer: Cluster) -> None:
    """Labels of the template take the place of the Schedule's own; an owner is named only on request."""
    name = unique("labelled")
    backups = writer.story("backups", labels=f"velero.io/schedule-name={name}")
    labels = {"metadata": {"labels": {"from": "template"}}}
    schedule = writer.create(
        "Schedule", name, metadata={"labels": {"from": "schedule", "more": "yes"}},
        spec={"schedule": "@every 1s", "useOwnerReferencesInBackup": True, "template": alone(writer, **labels)},
    )  # fmt: skip
    backup = backups.until_object(lambda _: True, within=TWO_TICKS)
    # Its Backups go with it; one that goes while it is Finalizing holds up every other.
    writer.patch("schedules", name, {"spec": {"paused": True}})
    backups.until_final()
    writer.settle("backups", backup["metadata"]["name"])
    writer.delete("schedules", name)

    assert backup["metadata"]["labels"] == {"from": "template", "velero.io/schedule-name": name}
    owner = {
        "apiVersion": "velero.io/v1",
        "kind": "Schedule",
        "name": name,
        "uid": schedule["metadata"]["uid"],
        "controller": True,
    }
    assert backup["metadata"]["ownerReferences"] == [owner]


@pytest.mark.slow
def test_more_often_than_the_tick(writer: Cluster) -> None:
    """A Schedule that is due each second still fires once a minute, because Velero looks no more often."""
    name = unique("often")
    story = writer.story("schedules", name)
    writer.create("Schedule", name, spec={"schedule": "@every 1s", "template": alone(writer)})
    # The first is due when Velero first sees the Schedule, or at the next tick.
    fired: list[str] = []
    while len(fired) < 5:
        seen = story.until_object(lambda item: item.get("status", {}).get("lastBackup") not in {None, *fired}, within=TWO_TICKS)
        fired.append(seen["status"]["lastBackup"])
    writer.delete("schedules", name)

    three = datetime.fromisoformat(fired[4]) - datetime.fromisoformat(fired[1])  # one tick alone may be late
    assert 3 * 40 <= three.total_seconds() <= 3 * 90


@pytest.mark.slow
def test_deleted_schedule(writer: Cluster) -> None:
    """The Backups of a deleted Schedule stay, with its label."""
    name = unique("gone")
    backups = writer.story("backups", labels=f"velero.io/schedule-name={name}")
    writer.create("Schedule", name, spec={"schedule": "@every 1s", "template": alone(writer)})
    backup = backups.until_phase("Completed", within=TWO_TICKS)
    writer.delete("schedules", name)

    assert not writer.exists("schedules", name)
    assert backup["metadata"]["name"] in [item["metadata"]["name"] for item in made_by(writer, name)]
    backups.never(lambda event: event["type"] == "DELETED", within=10)


@pytest.mark.slow
def test_unpaused(writer: Cluster) -> None:
    """A Schedule that is made paused has no status; unpaused when it is overdue, it fires at once, and once."""
    name = unique("paused")
    story = writer.story("schedules", name)
    writer.create("Schedule", name, spec={"schedule": EVERY_MINUTE, "paused": True, "template": alone(writer)})
    story.never(lambda event: event["type"] != "ADDED", within=70)  # it is due, and Velero has looked at its Schedules
    assert "status" not in writer.get("schedules", name)
    writer.patch("schedules", name, {"spec": {"paused": False}})
    fired = story.until_object(lambda item: "lastBackup" in item.get("status", {}), within=20)
    writer.delete("schedules", name)

    assert fired["status"]["phase"] == "Enabled"
    assert len(made_by(writer, name)) == 1


def test_paused_again(writer: Cluster) -> None:
    """A Schedule that is paused later keeps the status that it had."""
    name = unique("keeps")
    story = writer.story("schedules", name)
    writer.create("Schedule", name, spec={"schedule": YEARLY, "template": template()})
    story.until_phase("Enabled")
    writer.patch("schedules", name, {"spec": {"paused": True}})
    story.never(lambda event: phase_of(event["object"]) != "Enabled", within=3)

    assert writer.get("schedules", name)["status"] == {"phase": "Enabled"}


def test_skip_immediately(writer: Cluster) -> None:
    """skipImmediately is used up at once: Velero writes lastSkipped, and false where it was; absent, it becomes false."""
    skipping, plain = unique("skipping"), unique("plain")
    stories = [writer.story("schedules", name) for name in (skipping, plain)]
    writer.create("Schedule", skipping, spec={"schedule": YEARLY, "skipImmediately": True, "template": template()})
    writer.create("Schedule", plain, spec={"schedule": YEARLY, "template": template()})
    skipped, enabled = (story.until_phase("Enabled") for story in stories)

    assert skipped["spec"]["skipImmediately"] is enabled["spec"]["skipImmediately"] is False
    assert set(skipped["status"]) == {"phase", "lastSkipped"}
    assert set(enabled["status"]) == {"phase"}


@pytest.mark.parametrize(
    ("schedule", "error"),
    [
        ("not a cron", "invalid schedule: expected exactly 5 fields, found 3: [not a cron]"),
        ("", "Schedule must be a non-empty valid Cron expression"),
        ("61 * * * *", 'invalid schedule: end of range (61) above maximum (59): "61"'),
        ("0 0 * * 8", 'invalid schedule: end of range (8) above maximum (7): "8"'),
        ("TZ=Nowhere * * * * *", 'invalid schedule: unknown time zone "Nowhere": unknown time zone Nowhere'),
        ("@sometimes", 'invalid schedule: unrecognized descriptor: "@sometimes"'),
    ],
    ids=["words", "empty", "minute-61", "weekday-8", "time-zone", "descriptor"],
)
def test_bad_cron(writer: Cluster, schedule: str, error: str) -> None:
    """A Schedule whose time cannot be read is FailedValidation, and says why."""
    name = unique("bad")
    story = writer.story("schedules", name)
    writer.create("Schedule", name, spec={"schedule": schedule, "template": template()})

    assert story.until_final()["status"] == {"phase": "FailedValidation", "validationErrors": [error]}


@pytest.mark.parametrize(
    "schedule", ["@yearly", "@every 1000h30m", "CRON_TZ=Europe/Berlin 0 3 29 2 1-5", "*/15 2,14 29 FEB MON", "0 0 29 2 7"],
    ids=["descriptor", "every", "time-zone", "lists", "weekday-7"],
)  # fmt: skip
def test_good_cron(writer: Cluster, schedule: str) -> None:
    """Descriptors, intervals, time zones, lists, ranges, names and 7 for Sunday are understood."""
    name = unique("good")
    story = writer.story("schedules", name)
    writer.create("Schedule", name, spec={"schedule": schedule, "template": template()})

    assert story.until_phase("Enabled", "FailedValidation")["status"] == {"phase": "Enabled"}


def test_corrected(writer: Cluster) -> None:
    """A Schedule that is put right is Enabled at once, and its errors are gone; put wrong, it fails again."""
    name = unique("corrected")
    story = writer.story("schedules", name)
    writer.create("Schedule", name, spec={"schedule": "never", "template": template()})
    story.until_phase("FailedValidation")
    writer.patch("schedules", name, {"spec": {"schedule": YEARLY}})
    enabled = story.until_phase("Enabled")
    writer.patch("schedules", name, {"spec": {"schedule": "never"}})
    story.until_phase("FailedValidation")

    assert enabled["status"] == {"phase": "Enabled"}


def test_marks_of_another_scheduler(writer: Cluster) -> None:
    """A Backup may name a Schedule that does not exist: it runs, keeps its labels and annotations, and is found by them."""
    namespace, name = writer.furnish("elsewhere"), unique("no-schedule")
    labels = {"velero.io/schedule-name": name, "leeward.dev/schedule-id": "5b1c2c0e-7f0e-4a57-9c53-0d6a3f0a1b11"}
    annotations = {"leeward.dev/slot": "2026-11-22T12:00:00Z"}
    story = writer.story("backups", f"{name}-20261122120000")
    backup = writer.back_up(
        f"{name}-20261122120000", metadata={"labels": labels, "annotations": annotations}, includedNamespaces=[namespace]
    )
    story.never(lambda event: event["type"] == "DELETED", within=5)

    assert phase_of(backup) == "Completed"
    assert backup["metadata"]["labels"].items() >= labels.items()
    assert backup["metadata"]["annotations"].items() >= annotations.items()
    assert [item["metadata"]["uid"] for item in made_by(writer, name)] == [backup["metadata"]["uid"]]
    assert not writer.exists("schedules", name)


@pytest.mark.slow
def test_namesake(writer: Cluster) -> None:
    """A Backup with the label of a Schedule keeps it from firing while it is InProgress, whoever made it."""
    name, foreign = unique("namesake"), unique("foreign")
    labels = {"velero.io/schedule-name": name}
    # Its namespace is nobody's: Velero's queue holds back whatever shares one with a Backup that is InProgress.
    spec = template(unique("nowhere"))
    writer.create("Backup", foreign, metadata={"labels": labels}, spec=spec, status={"phase": "InProgress"})
    writer.settle("backups", foreign)
    backups = writer.story("backups", labels=f"velero.io/schedule-name={name}")
    writer.create("Schedule", name, spec={"schedule": "@every 1s", "template": alone(writer)})
    backups.never(lambda event: event["type"] == "ADDED", within=130)
    writer.patch("backups", foreign, {"status": {"phase": "Completed"}})
    fired = backups.until(lambda event: event["type"] == "ADDED", within=TWO_TICKS)["object"]
    writer.delete("schedules", name)

    assert fired["metadata"]["labels"] == labels


def test_paused_and_broken(writer: Cluster) -> None:
    """A Schedule that is made paused gets no status, not even if its time cannot be read; it is judged when it is unpaused."""
    name = unique("broken")
    story = writer.story("schedules", name)
    writer.create("Schedule", name, spec={"schedule": "never", "paused": True, "template": template()})
    story.never(lambda event: event["type"] != "ADDED", within=3)
    writer.patch("schedules", name, {"spec": {"paused": False}})
    story.until_phase("FailedValidation")
    writer.settle("schedules", name)  # it has changed the spec, and looks once more for that; a pause does not keep it from it
    writer.patch("schedules", name, {"spec": {"paused": True}})
    writer.settle("schedules", name)  # nor from what a tick has put in line before it
    writer.patch("schedules", name, {"spec": {"schedule": YEARLY}})
    story.never(lambda event: phase_of(event["object"]) != "FailedValidation", within=3)

    assert phase_of(writer.get("schedules", name)) == "FailedValidation"
