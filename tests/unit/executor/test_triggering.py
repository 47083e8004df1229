"""When a slot's backup is not wanted: another one of its schedule covers it, or is in its way."""

from datetime import timedelta

import pytest

from services.executor.backups.choices import Refused
from services.executor.backups.triggering import check
from services.executor.manifests import Resolved, backup
from shared.contracts.commands import Origin
from tests.support.messages import NIGHTLY, NOW, backup_command, trigger_command

RESOLVED = Resolved(included=["shop"], excluded=[], location="default", snapshot_locations=[])
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
EARLIER = NOW - HOUR


def made(slot=EARLIER, *, phase="Completed", at=None, command=None, cluster="eu1"):
    """A Backup as the cluster has it: of a slot, or of another command."""
    body = backup(command or trigger_command(slot), RESOLVED, "velero")
    body["metadata"]["creationTimestamp"] = f"{at or slot:%Y-%m-%dT%H:%M:%SZ}"
    body["metadata"]["labels"]["leeward.dev/cluster"] = cluster
    return {**body, **({"status": {"phase": phase}} if phase else {})}


def by_a_person(**more):
    command = backup_command("op1", name="by-hand")
    return made(command=command.model_copy(update={"data": command.data.model_copy(update={"schedule": NIGHTLY})}), **more)


def verdict(*backups, **rules):
    try:
        check(trigger_command(NOW, **rules), backups)
    except Refused as no:
        return no.refusal.code, no.refusal.detail
    return None


RUNNING = [None, "New", "Queued", "ReadyToStart", "InProgress", "WaitingForPluginOperations", "Finalizing", "Unheard"]


@pytest.mark.parametrize("phase", RUNNING)
def test_a_backup_of_the_schedule_that_has_not_ended_is_in_the_way(phase):
    code, words = verdict(made(phase=phase))
    assert code == "Overlap"
    assert words == f"Backup nightly-20261122110000 of schedule nightly is still {phase or 'New'}."
    assert verdict(made(phase=phase), concurrencyPolicy="allow") is None


@pytest.mark.parametrize("phase", ["Completed", "PartiallyFailed", "Failed", "FailedValidation", "Deleting"])
def test_one_that_has_ended_or_is_being_deleted_is_not(phase):
    assert verdict(made(phase=phase)) is None


def test_one_that_a_person_made_from_the_schedule_is_in_the_way_while_it_runs_and_covers_nothing():
    assert verdict(by_a_person(phase="InProgress"))[0] == "Overlap"
    assert verdict(by_a_person(at=NOW + SECOND)) is None


def test_a_slot_is_never_in_its_own_way():
    assert verdict(made(NOW, phase="InProgress", at=NOW + SECOND)) is None


@pytest.mark.parametrize(
    "other",
    [
        made(phase="InProgress", at=NOW, cluster="us1"),
        made(phase="InProgress", at=NOW, command=trigger_command(EARLIER, schedule=Origin(id="another", name="nightly"))),
        {**made(phase="InProgress", at=NOW), "metadata": {**made(at=NOW)["metadata"], "name": "a-copy"}},
        {"metadata": {"name": "a-stranger", "labels": {"velero.io/schedule-name": "nightly"}}},
        {},
    ],
    ids=["synced from another cluster", "of a namesake", "a copy by hand", "of Velero's own Schedule", "nothing"],
)
def test_what_is_not_of_this_schedule_in_this_cluster_does_not_count(other):
    assert verdict(other) is None


@pytest.mark.parametrize(
    ("at", "covered"),
    [(NOW - SECOND, False), (NOW, True), (NOW + SECOND, True), (NOW + HOUR, True)],
    ids=["made before this was due", "made when it was due", "a second later", "much later"],
)
def test_an_earlier_slot_that_was_made_after_this_one_was_due_covers_it(at, covered):
    earlier = made(at=at)
    assert (verdict(earlier) is not None) is covered
    assert verdict(earlier, misfire="all") is None
    if covered:
        code, words = verdict(earlier)
        assert code == "Superseded"
        when = f"{at:%Y-%m-%dT%H:%M:%SZ}"
        assert words == f"Backup nightly-20261122110000 of schedule nightly was made at {when}, after this slot was due."


def test_when_it_was_due_is_what_counts_and_not_the_slot():
    earlier = made(at=NOW + SECOND)
    assert verdict(earlier, due=NOW + 2 * SECOND) is None
    assert verdict(earlier, due=NOW + SECOND)[0] == "Superseded"


def test_a_newer_slot_that_came_first_covers_an_older_one():
    assert verdict(made(NOW + HOUR, at=NOW + HOUR))[0] == "Superseded"


def test_an_old_one_that_velero_has_brought_back_from_the_bucket_covers_nothing():
    returned = made(at=NOW + SECOND)
    returned["status"]["startTimestamp"] = f"{EARLIER:%Y-%m-%dT%H:%M:%SZ}"
    assert verdict(returned) is None
    returned["status"]["startTimestamp"] = f"{NOW + HOUR:%Y-%m-%dT%H:%M:%SZ}"
    assert "was made at 2026-11-22T12:00:01Z" in verdict(returned)[1], "one that has waited in the queue"


@pytest.mark.parametrize("phase", ["Failed", "FailedValidation", "Deleting"])
def test_what_has_failed_or_is_going_covers_nothing(phase):
    assert verdict(made(phase=phase, at=NOW + SECOND)) is None


def test_a_slot_that_is_covered_is_superseded_whether_or_not_the_other_runs():
    assert verdict(made(phase="InProgress", at=NOW + SECOND))[0] == "Superseded"
    assert verdict(made(phase="InProgress", at=NOW + SECOND), misfire="all")[0] == "Overlap"
    assert verdict(made(phase="InProgress", at=NOW + SECOND), misfire="all", concurrencyPolicy="allow") is None


def test_among_many_the_one_that_matters_is_found():
    others = [made(NOW - n * HOUR) for n in range(1, 50)]
    assert verdict(*others) is None
    assert verdict(*others, made(NOW - 50 * HOUR, phase="Queued"))[0] == "Overlap"
