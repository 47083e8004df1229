"""What Velero does when it is killed, cut off, or given what it cannot read."""

import contextlib

import pytest

from tests.conformance.manifests import of_velero, unique
from tests.conformance.stage import Cluster
from tests.conformance.story import phase_of

SWEPT = 'found a {} with status "InProgress" during the server starting, mark it as "Failed"'


def test_killed_in_the_middle(fragile: Cluster) -> None:
    """A Backup stays InProgress when Velero is killed, and is Failed when it starts again, with the reason and an end."""
    name = unique("killed")
    story = fragile.story("backups", name)
    with fragile.work_held():
        fragile.create("Backup", name, spec={"includedNamespaces": ["default"]})
        story.until_phase("InProgress")
        fragile.hands.kill_velero()
        story.never(lambda event: phase_of(event["object"]) != "InProgress", within=2)
    fragile.hands.start_velero()
    status = story.until_final()["status"]

    assert (status["phase"], status["failureReason"]) == ("Failed", SWEPT.format("backup"))
    assert status["completionTimestamp"] >= status["startTimestamp"]


def test_killed_in_the_middle_of_a_restore(fragile: Cluster) -> None:
    """So does a Restore, with a reason of its own."""
    namespace, backup, name = fragile.furnish("killed"), unique("killed"), unique("killed")
    fragile.back_up(backup, includedNamespaces=[namespace])
    story = fragile.story("restores", name)
    with fragile.work_held():
        fragile.create("Restore", name, spec={"backupName": backup})
        story.until_phase("InProgress")
        fragile.hands.kill_velero()
    fragile.hands.start_velero()
    status = story.until_final()["status"]

    assert (status["phase"], status["failureReason"]) == ("Failed", SWEPT.format("restore"))


def test_asked_while_dead(fragile: Cluster) -> None:
    """What is asked of a dead Velero waits without a phase, and is done when it is back."""
    names = [unique("waits"), unique("waits")]
    stories = [fragile.story("backups", name) for name in names]
    with fragile.velero_killed():
        fragile.create("Backup", names[0], spec={"includedNamespaces": ["default"]})
        queued = of_velero("Backup", names[1], spec={"includedNamespaces": ["default"]})
        fragile.api.create({**queued, "status": {"phase": "Queued", "queuePosition": 1}})
        stories[0].never(lambda event: event["type"] != "ADDED", within=2)
    for story in stories:
        story.until_phase("Completed", within=130)


def test_ready_to_start_is_forgotten(fragile: Cluster) -> None:
    """A Backup that a killed Velero left ReadyToStart is not begun by the next one, until something touches it."""
    name = unique("forgotten")
    story = fragile.story("backups", name)
    with fragile.velero_killed():
        fragile.create("Backup", name, spec={"includedNamespaces": ["default"]}, status={"phase": "ReadyToStart"})
    story.never(lambda event: event["type"] != "ADDED", within=5)
    fragile.patch("backups", name, {"metadata": {"labels": {"touched": "yes"}}})

    story.until_phase("Completed")


def test_overlapping_namespaces(fragile: Cluster) -> None:
    """Two Backups of one namespace run one after the other, those of others beside them."""
    one, other = fragile.furnish("one"), fragile.furnish("other")
    for number in range(200):  # so that the first does not end together with the one beside it, and wake the second with it
        fragile.create_core("ConfigMap", f"many-{number}", one)
    names = [unique("first"), unique("second"), unique("beside")]
    stories = [fragile.story("backups", name) for name in names]
    with fragile.work_held():
        fragile.create("Backup", names[0], spec={"includedNamespaces": [one]})
        stories[0].until_phase("InProgress")
        fragile.create("Backup", names[1], spec={"includedNamespaces": [one]})
        fragile.create("Backup", names[2], spec={"includedNamespaces": [other]})
        stories[2].until_phase("InProgress")
        stories[1].until_phase("Queued")
        stories[1].never(lambda event: phase_of(event["object"]) != "Queued", within=2)
    first = stories[0].until_phase("Completed")
    second = stories[1].until_phase("Completed", within=130)

    assert second["status"]["startTimestamp"] >= first["status"]["startTimestamp"]
    assert phase_of(stories[2].until_final()) == "Completed"


@pytest.mark.only("real", because="a simulated Velero lives in the process of its API server: there is no link to cut")
def test_cut_off(fragile: Cluster) -> None:
    """A Velero that is cut off does nothing; it goes on by itself when it is not any more."""
    name = unique("cut-off")
    story = fragile.story("backups", name)
    fragile.hands.cut_velero()
    try:
        fragile.create("Backup", name, spec={"includedNamespaces": ["default"]})
        story.never(lambda event: event["type"] != "ADDED", within=3)
    finally:
        fragile.hands.mend_velero()

    story.until_phase("Completed")


def test_unreadable_object(fragile: Cluster) -> None:
    """One Backup with a ttl that Go cannot read stalls them all, but no probe shows it; when it is deleted, they go on."""
    poison, name = unique("poison"), unique("stalled")
    story = fragile.story("backups", name)
    fragile.create("Backup", poison, spec={"includedNamespaces": ["default"], "ttl": "30d"})
    try:
        # Velero may read one more Backup before its watch breaks on this one.
        fragile.create("Backup", name, spec={"includedNamespaces": ["default"]})
        story.never(lambda event: phase_of(event["object"]), within=4)
        assert phase_of(fragile.probe()) == "Processed"
    finally:
        fragile.delete("backups", poison)

    story.until_phase("Completed", within=120)


def test_unreadable_object_is_mended(fragile: Cluster) -> None:
    """An object that Velero cannot read is begun once it is patched so that it can."""
    poison = unique("poison")
    story = fragile.story("backups", poison)
    fragile.create("Backup", poison, spec={"includedNamespaces": ["default"], "ttl": "30d"})
    try:
        story.never(lambda event: phase_of(event["object"]), within=3)
    finally:
        fragile.patch("backups", poison, {"spec": {"ttl": "720h"}})

    story.until_phase("Completed", within=120)


def test_unreadable_schedule(fragile: Cluster) -> None:
    """One Schedule with a ttl that Go cannot read stalls all Schedules, but no Backups; when it is deleted, they go on."""
    poison, name = unique("poison"), unique("stalled")
    story = fragile.story("schedules", name)
    fragile.create("Schedule", poison, spec={"schedule": "@yearly", "template": {"ttl": "30d"}})
    try:
        fragile.create("Schedule", name, spec={"schedule": "@yearly", "template": {"ttl": "1h"}})
        story.never(lambda event: phase_of(event["object"]), within=4)
        assert phase_of(fragile.back_up(unique("beside"), includedNamespaces=["default"])) == "Completed"
    finally:
        fragile.delete("schedules", poison)

    story.until_phase("Enabled", within=120)


def test_started_beside_an_unreadable_object(fragile: Cluster) -> None:
    """A Velero that is started beside an object that it cannot read answers nothing, not even a probe, until it is gone."""
    poison, probe = unique("poison"), unique("probe")
    story = fragile.story("serverstatusrequests", probe)
    fragile.hands.kill_velero()
    fragile.create("Backup", poison, spec={"includedNamespaces": ["default"], "ttl": "30d"})
    fragile.create("ServerStatusRequest", probe, spec={})
    try:
        fragile.hands.launch_velero()
        story.never(lambda event: event["type"] != "ADDED", within=8)
    finally:
        with contextlib.suppress(Exception):
            fragile.delete("backups", poison)
    story.until_phase("Processed", within=120)
    fragile.hands.start_velero()
