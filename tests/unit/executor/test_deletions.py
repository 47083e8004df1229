"""Deleting a backup: the request that Velero gets, and what is refused because Velero would not do it."""

import pytest

from services.executor.backups.choices import NotYet, Refused
from services.executor.backups.deletion import check
from services.executor.manifests import deletion, ids_of, is_of, valid_name
from shared.contracts import ids
from shared.contracts.names import ANNOTATION_NAME, LABEL_CLUSTER, LABEL_OPERATION_ID
from tests.support.messages import delete_command


def backup(phase="Completed", place="default", **meta):
    metadata = {"name": "shop", "namespace": "velero", "uid": "u-1", **meta}
    return {"metadata": metadata, "spec": {"storageLocation": place} if place else {}, "status": {"phase": phase}}


def location(phase="Available", mode="ReadWrite", **status):
    return {"metadata": {"name": "default"}, "spec": {"accessMode": mode}, "status": {"phase": phase, **status}}


def judged(found, *locations):
    check(delete_command("op1", backup="b1").data, "eu1", found, locations)


def refused(found, *locations):
    with pytest.raises(Refused) as no:
        judged(found, *locations)
    return no.value.refusal.code, no.value.refusal.pointer, no.value.refusal.detail


def test_the_request_is_found_by_velero_and_by_us_and_always_the_same():
    command = delete_command("op1", backup="b1")
    made = deletion(command, backup(), "velero")
    assert made["metadata"]["name"] == "leeward-op1"
    assert made["metadata"]["labels"] == {
        "velero.io/backup-name": "shop",
        "velero.io/backup-uid": "u-1",
        "leeward.dev/cluster": "eu1",
        "leeward.dev/operation-id": "op1",
        "leeward.dev/backup-id": "b1",
    }
    assert made["metadata"]["annotations"] == {"leeward.dev/created-by": "anna"}
    assert made["spec"] == {"backupName": "shop"}
    assert made == deletion(command, backup(), "velero")
    assert is_of(made, command)


def test_a_long_name_stands_in_a_label_as_velero_writes_it():
    assert valid_name("a" * 63) == "a" * 63
    long = valid_name("a" * 64)
    assert len(long) == 63
    assert long.startswith("a" * 57)
    assert long != valid_name("a" * 65)


@pytest.mark.parametrize(
    "phase",
    [
        "InProgress",
        "WaitingForPluginOperations",
        "WaitingForPluginOperationsPartiallyFailed",
        "Finalizing",
        "FinalizingPartiallyFailed",
    ],
)
def test_what_velero_works_on_cannot_be_deleted(phase):
    code, pointer, detail = refused(backup(phase), location())
    assert (code, pointer) == ("BackupNotEnded", "")
    assert phase in detail


@pytest.mark.parametrize(
    "phase",
    ["", "New", "Queued", "ReadyToStart", "Completed", "PartiallyFailed", "Failed", "FailedValidation", "Deleting", "Odd"],
)
def test_what_has_ended_or_not_begun_can_be_and_a_deletion_can_be_tried_again(phase):
    judged(backup(phase), location())


def test_what_is_not_there_has_gone():
    assert refused(None, location())[:2] == ("BackupGone", "")


@pytest.mark.parametrize(
    ("locations", "code", "words"),
    [
        ([], "LocationUnknown", "default"),
        ([location(mode="ReadOnly")], "LocationReadOnly", "read-only"),
        ([location("Unavailable", message="no such bucket")], "LocationUnavailable", "no such bucket"),
        ([location("Unavailable")], "LocationUnavailable", "gives no reason"),
    ],
)
def test_where_velero_cannot_write_nothing_can_be_deleted(locations, code, words):
    found = refused(backup(), *locations)
    assert found[:2] == (code, "")
    assert words in found[2]


def test_a_location_that_velero_has_not_looked_at_yet_is_waited_for():
    with pytest.raises(NotYet):
        judged(backup(), location(None))


def test_a_backup_that_names_no_location_yet_can_be_withdrawn():
    judged(backup("", place=None))


def test_a_backup_is_known_by_our_operation_in_this_cluster_by_its_start_and_by_its_uid():
    ours = {"labels": {LABEL_CLUSTER: "eu1", LABEL_OPERATION_ID: "op1"}}
    unstarted = ids.unstarted_backup_id("eu1", "velero", "shop", "u-1")
    assert ids_of(backup(**ours), "eu1") == {"op1", unstarted}
    assert "op1" not in ids_of(backup(**ours), "us1")
    assert "op1" not in ids_of(backup(**ours, annotations={ANNOTATION_NAME: "other"}), "eu1"), "a copy of another"
    started = backup()
    started["status"]["startTimestamp"] = "2026-11-22T12:00:00Z"
    assert ids.started_backup_id("eu1", "velero", "shop", "2026-11-22T12:00:00Z") in ids_of(started, "eu1")
    assert ids_of(backup(uid="u-2"), "eu1").isdisjoint(ids_of(backup(), "eu1"))
