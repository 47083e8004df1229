"""Deleting: what people see of a backup that is to go, and of the operation that asked for it."""

from datetime import timedelta

import bson
import pytest

from services.status.fold import fold
from services.status.operations.deletions import LOST
from services.status.sweeper import sweep
from shared.contracts import ids
from shared.contracts.names import LABEL_BACKUP_ID, Noun
from shared.contracts.phases import BackupStatus as Status
from tests.support.messages import NOW
from tests.support.status_memory import Desk, Ticking
from tests.support.status_messages import (
    STARTED,
    accepted,
    backup,
    command,
    delete_command,
    deletion,
    deletion_accepted,
    deletion_seen,
    finished,
    observed,
    ours,
    rejected,
    snapshot,
)
from tests.support.status_views import hear, only, operation, row, shown

SOON, PAST = "2026-11-22T13:00:00Z", "2026-11-22T11:59:30Z"
RETRY = {"uid": "d2", "operation": "del2", "created": "2026-11-22T12:10:00Z"}
MINUTE = timedelta(minutes=1)


def mine(phase="Completed", rv=12, *, expiration=SOON, **more):
    return backup("u1", rv, phase, labels=ours("op1"), startTimestamp=STARTED, expiration=expiration, **more)


@pytest.fixture
async def desk():
    desk = Desk()
    await hear(desk, command(), accepted(backup("u1", 10, labels=ours("op1"))), observed(mine()))
    return desk


def failed(rv=60, *, errors=("bucket on fire",), **more):
    return deletion_seen(deletion(rv=rv, phase="Processed", errors=list(errors), **more))


async def test_a_deletion_that_is_only_asked_for_moves_the_operation_and_not_yet_the_backup(desk):
    await hear(desk, delete_command())
    asked = operation(desk, "del1")
    assert (asked.state, asked.kind, asked.principal) == ("Queued", "backup.delete", "bert")
    assert (asked.object.kind, asked.object.id, asked.object.name) == ("Backup", "op1", "shop")
    assert (shown(desk).status, shown(desk).deletion) == (Status.COMPLETED, None)


async def test_an_open_deletion_is_deleting_and_does_not_count_as_what_made_the_backup(desk):
    await hear(desk, delete_command(), deletion_accepted(deletion()))
    seen = shown(desk)
    assert (seen.status, seen.outcome, seen.operation_id, seen.created_by.name) == (Status.DELETING, "Completed", "op1", "anna")
    assert (seen.deletion.operation_id, seen.deletion.by, seen.deletion.errors) == ("del1", "bert", [])
    assert (operation(desk, "del1").state, operation(desk, "op1").state) == ("Accepted", "Succeeded")
    assert (Noun.BACKUP, "del1") not in desk.memory.rows


async def test_a_backup_that_a_person_deleted_is_deleted_and_unlisted_and_the_operation_has_succeeded(desk):
    await hear(desk, delete_command(), deletion_accepted(deletion()), observed(mine("Deleting", 51)))
    await hear(desk, observed(mine("Deleting", 52, deleted=True)))
    assert (shown(desk).status, shown(desk).outcome, row(desk)["listed"]) == (Status.DELETED, "Completed", False)
    assert (operation(desk, "del1").state, operation(desk, "op1").state) == ("Succeeded", "Succeeded")
    await hear(desk, deletion_seen(deletion(rv=53, phase="Processed", deleted=True)))
    desk.now += timedelta(hours=1)
    await sweep(desk.ports)
    assert (shown(desk).status, operation(desk, "del1").state) == (Status.DELETED, "Succeeded")
    assert desk.speaker.statuses("operation")[-3:] == ["Queued", "Accepted", "Succeeded"]


async def test_what_a_person_deleted_is_never_expired_even_if_its_time_had_passed(desk):
    await hear(desk, observed(mine(rv=13, expiration=PAST)))
    assert shown(desk).status == Status.EXPIRED
    await hear(desk, deletion_seen(deletion()))
    assert shown(desk).status == Status.DELETING
    await hear(desk, observed(mine("Deleting", 51, expiration=PAST, deleted=True)))
    await hear(desk, deletion_seen(deletion(rv=52, phase="Processed", deleted=True)))
    assert shown(desk).status == Status.DELETED


@pytest.mark.parametrize(("phase", "status"), [("Completed", Status.COMPLETED), ("Deleting", Status.DELETING)])
async def test_a_deletion_that_failed_leaves_what_the_phase_says_and_tells_why(desk, phase, status):
    await hear(desk, delete_command(), deletion_accepted(deletion()), observed(mine(phase, 51)))
    await hear(desk, failed(errors=["bucket on fire", "no water"]))
    seen, asked = shown(desk), operation(desk, "del1")
    assert (seen.status, seen.deletion.errors) == (status, ["bucket on fire", "no water"])
    assert seen.reason == "Velero did not delete it: bucket on fire (and 1 more)"
    assert (asked.state, asked.refusal.code) == ("Failed", "DeletionFailed")
    assert asked.refusal.detail == "Velero did not delete backup shop: bucket on fire; no water"
    assert row(desk)["listed"]


async def test_a_failed_deletion_that_velero_forgets_after_a_day_stays_failed(desk):
    await hear(desk, delete_command(), deletion_accepted(deletion()), failed())
    await hear(desk, deletion_seen(deletion(rv=60, phase="Processed", errors=["bucket on fire"], deleted=True)))
    desk.now += timedelta(days=1)
    await sweep(desk.ports)
    assert (operation(desk, "del1").state, shown(desk).deletion.errors) == ("Failed", ["bucket on fire"])


async def test_a_failed_deletion_can_be_asked_for_again(desk):
    await hear(desk, delete_command(), deletion_accepted(deletion()), failed())
    await hear(desk, delete_command("del2"), deletion_accepted(deletion(rv=70, **RETRY), "del2"))
    seen = shown(desk)
    assert (seen.status, seen.reason, seen.deletion.operation_id) == (Status.DELETING, None, "del2")
    assert (operation(desk, "del1").state, operation(desk, "del2").state) == ("Failed", "Accepted")
    await hear(desk, observed(mine("Deleting", 71, deleted=True)))
    assert (shown(desk).status, operation(desk, "del2").state) == (Status.DELETED, "Succeeded")


async def test_a_deletion_ends_also_if_nobody_lived_to_look_at_it_when_time_moved_its_backup(desk):
    await hear(desk, delete_command(), deletion_accepted(deletion()), deletion_seen(deletion(rv=51, deleted=True)))
    desk.now += timedelta(minutes=3)
    await fold(desk.ports, Noun.BACKUP, "op1")  # and there status dies
    assert (shown(desk).reason, operation(desk, "del1").state) == (LOST, "Accepted")
    desk.now += timedelta(seconds=5)
    await sweep(desk.ports)
    assert operation(desk, "del1").state == "Failed"


async def test_a_request_that_velero_drops_without_a_word_is_lost_after_a_while(desk):
    await hear(desk, delete_command(), deletion_accepted(deletion()), deletion_seen(deletion(rv=51, deleted=True)))
    assert shown(desk).status == Status.DELETING  # the word that the backup has gone may be on its way
    desk.now += timedelta(minutes=3)
    await sweep(desk.ports)
    assert (shown(desk).status, shown(desk).reason) == (Status.COMPLETED, LOST)
    assert (operation(desk, "del1").state, operation(desk, "del1").refusal.code) == ("Failed", "DeletionFailed")


async def test_a_deletion_that_a_snapshot_no_longer_names_is_gone(desk):
    await hear(desk, deletion_seen(deletion()), snapshot([], noun="deletion"))
    desk.now += timedelta(minutes=3)
    await sweep(desk.ports)
    assert shown(desk).status == Status.COMPLETED


async def test_a_refused_deletion_leaves_the_backup_alone(desk):
    await hear(desk, delete_command(), rejected("BackupNotEnded", "del1"))
    assert (operation(desk, "del1").state, operation(desk, "del1").refusal.code) == ("Rejected", "BackupNotEnded")
    assert shown(desk).status == Status.COMPLETED


async def test_a_backup_that_waits_in_the_queue_can_be_withdrawn():
    desk = Desk()
    await hear(desk, command(), observed(backup("u1", 11, "Queued", labels=ours("op1"), queuePosition=2)))
    await hear(desk, delete_command(), deletion_accepted(deletion()))
    assert shown(desk).status == Status.DELETING
    await hear(desk, observed(backup("u1", 12, "Queued", labels=ours("op1"), deleted=True)))
    assert (shown(desk).status, shown(desk).outcome) == (Status.DELETED, None)
    assert (operation(desk, "op1").state, operation(desk, "del1").state) == ("Failed", "Succeeded")


async def test_a_deletion_by_an_id_that_the_backup_had_before_it_started_is_seen_under_its_new_one():
    desk = Desk()
    await hear(desk, observed(backup("u1", 1)))
    before = only(desk).id
    await hear(desk, delete_command("del1", before), deletion_accepted(deletion(backup=before)))
    await hear(desk, observed(backup("u1", 2, "Completed", startTimestamp=STARTED)))
    seen = only(desk)
    assert seen.id == ids.started_backup_id("eu1", "velero", "shop", STARTED) != before
    assert (seen.status, operation(desk, "del1").state) == (Status.DELETING, "Accepted")
    await hear(desk, failed(backup=before))
    assert (only(desk).status, operation(desk, "del1").state) == (Status.COMPLETED, "Failed")


async def test_a_deletion_by_an_id_that_two_backups_had_is_told_in_the_rows_of_both():
    desk, started = Desk(clock=Ticking(NOW)), ids.started_backup_id("eu1", "velero", "shop", STARTED)
    await hear(desk, observed(backup("u1", 1, "Completed", startTimestamp=STARTED)))
    await hear(desk, observed(backup("u1", 2, "Completed", labels=ours("op1"), startTimestamp=STARTED)))
    await hear(desk, observed(backup("u2", 3, "Completed", startTimestamp=STARTED)))
    await hear(desk, deletion_accepted(deletion(backup=started, of=None)))
    assert {shown(desk, i).status for i in ("op1", started)} == {Status.DELETING}
    await hear(desk, failed(backup=started, of=None))
    assert {shown(desk, i).status for i in ("op1", started)} == {Status.COMPLETED}


async def test_the_row_of_an_id_that_the_backup_has_just_left_has_no_say_in_the_deletion_any_more():
    desk = Desk(now=NOW + timedelta(hours=1))
    await hear(desk, observed(backup("u1", 1, "New")))
    before = only(desk).id
    await hear(desk, delete_command("del1", before), deletion_accepted(deletion(backup=before)))
    await hear(desk, deletion_seen(deletion(rv=51, backup=before, deleted=True)))
    assert operation(desk, "del1").state == "Failed"  # lost, as far as is known
    await hear(desk, observed(backup("u1", 60, "Completed", startTimestamp=STARTED, deleted=True)))
    assert (only(desk).status, operation(desk, "del1").state) == (Status.DELETED, "Succeeded")


async def test_a_backup_that_was_deleted_and_comes_back_by_sync_is_there_again_and_what_was_done_stays_done(desk):
    await hear(desk, delete_command(), deletion_accepted(deletion()), observed(mine("Deleting", 51, deleted=True)))
    await hear(desk, deletion_seen(deletion(rv=53, phase="Processed", deleted=True)))
    desk.now += timedelta(hours=1)
    again = backup("u2", 90, "Completed", labels=ours("op1"), startTimestamp=STARTED, expiration="2026-11-22T14:00:00Z")
    await hear(desk, observed(again, at=desk.now))
    assert (shown(desk).status, shown(desk).reason, row(desk)["uids"]) == (Status.COMPLETED, None, ["u1", "u2"])
    assert operation(desk, "del1").state == "Succeeded"
    desk.now += timedelta(hours=2)
    await hear(desk, snapshot(["u1"], rv=95, at=desk.now))  # collected: this time no person has asked for it
    assert shown(desk).status == Status.EXPIRED


@pytest.mark.parametrize(
    "foreign",
    [
        deletion(backup=None),
        deletion(name="another"),
        deletion(backup="no token!"),
        deletion().model_copy(
            update={"object": {"metadata": {"labels": ours("del1", "us1") | {"leeward.dev/backup-id": "op1"}}}}
        ),
    ],
)
async def test_a_request_that_is_not_leeward_s_or_not_about_this_backup_is_not_shown(desk, foreign):
    before = row(desk)
    await hear(desk, deletion_seen(foreign))
    assert (shown(desk).status, shown(desk).deletion, row(desk)["item"]) == (Status.COMPLETED, None, before["item"])


async def test_a_deletion_that_another_cluster_claims_changes_nothing(desk):
    routes, subject, told = deletion_seen(deletion())
    labels = ours("del1", "us1") | {LABEL_BACKUP_ID: "op1"}
    told.data.object["metadata"]["labels"] = labels
    await desk.hear(routes, subject.replace(".eu1.", ".us1."), told.model_copy(update={"cluster": "us1"}))
    assert shown(desk).status == Status.COMPLETED


async def test_the_executor_s_word_that_the_backup_has_gone_ends_the_operation(desk):
    await hear(desk, delete_command(), finished("del1"))
    assert operation(desk, "del1").state == "Succeeded"


async def test_an_answer_that_comes_before_its_command_says_already_what_it_is_about():
    desk = Desk()
    await hear(desk, deletion_accepted(deletion()))
    early = operation(desk, "del1")
    assert (early.kind, early.object.id, early.object.name, early.state) == ("backup.delete", "op1", "shop", "Accepted")


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("BSLReadOnly", "its storage location is read-only"),
        ("BSLNotFound", "its storage location is gone"),
        ("BSLOfTheFuture", "BSLOfTheFuture"),
    ],
)
async def test_an_expired_backup_that_velero_cannot_collect_says_why(desk, label, words):
    labels = ours("op1") | {"velero.io/gc-failure": label}
    await hear(desk, observed(backup("u1", 20, "Completed", labels=labels, startTimestamp=STARTED, expiration=PAST)))
    assert (shown(desk).status, shown(desk).reason) == (Status.EXPIRED, f"Velero cannot delete it: {words}")


async def test_ten_thousand_errors_of_a_deletion_are_cut(desk):
    await hear(desk, delete_command(), failed(errors=[f"{n}" + "x" * 5000 for n in range(10_000)]))
    errors = shown(desk).deletion.errors
    assert (len(errors), max(map(len, errors))) == (100, 1024)
    assert len(operation(desk, "del1").refusal.detail) < 10_000


async def test_many_deletions_that_failed_at_length_do_not_outgrow_a_document(desk):
    await hear(desk, delete_command("del3"))
    for n in range(30):
        long = deletion(f"d{n}", 60 + n, "Processed", operation=f"del{n}", errors=["é" * 1024] * 100)
        await hear(desk, deletion_seen(long))
    assert len(row(desk)["deletions"]) == 30
    assert len(bson.encode(row(desk))) < 2**20
    assert len(operation(desk, "del3").refusal.detail) > 8000


async def test_when_a_person_is_told_the_deletion_was_asked_for_by_the_cluster_s_clock(desk):
    await hear(desk, deletion_seen(deletion()))
    assert shown(desk).deletion.asked_at == NOW - MINUTE / 2


async def test_a_request_that_is_there_is_accepted_even_if_its_answer_was_lost(desk):
    await hear(desk, delete_command(expiresat=NOW), deletion_seen(deletion()))
    desk.now += timedelta(minutes=5)
    await sweep(desk.ports)
    assert operation(desk, "del1").state == "Accepted"
