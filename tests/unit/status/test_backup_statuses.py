"""Each status that people see, as one backup lives through it."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.contracts import ids
from shared.contracts.documents import from_document
from shared.contracts.names import Noun
from shared.contracts.views import BackupDetail, ScheduleRef
from tests.support.messages import NOW
from tests.support.status_memory import Desk
from tests.support.status_messages import (
    STARTED,
    accepted,
    as_observed,
    backup,
    command,
    location,
    observed,
    ours,
    rejected,
    snapshot,
)
from tests.support.status_schedules import SLOT, from_schedule_command, trigger_command
from tests.support.transcripts import of_object

SOON, PAST = "2026-11-22T13:00:00Z", "2026-11-22T11:59:30Z"


@pytest.fixture
def desk():
    return Desk()


async def hear(desk, *messages):
    for message in messages:
        await desk.hear(*message)


def shown(desk, backup_id="op1"):
    row = desk.memory.rows[Noun.BACKUP, backup_id]
    return BackupDetail.read({**from_document(row["item"]), **from_document(row["detail"])}), row


def only(desk):
    (backup_id,) = [i for noun, i in desk.memory.rows if noun is Noun.BACKUP]
    return shown(desk, backup_id)[0]


@pytest.mark.parametrize(
    ("phase", "facts", "status", "outcome"),
    [
        (None, {}, "Creating", None),
        ("New", {}, "Creating", None),
        ("Queued", {"queuePosition": 2}, "Creating", None),
        ("ReadyToStart", {}, "Creating", None),
        ("InProgress", {"expiration": PAST}, "Creating", None),
        ("WaitingForPluginOperations", {}, "Creating", None),
        ("WaitingForPluginOperationsPartiallyFailed", {}, "Creating", None),
        ("Finalizing", {}, "Creating", None),
        ("FinalizingPartiallyFailed", {}, "Creating", None),
        ("SomethingOfTheFuture", {}, "Creating", None),
        ("Completed", {"expiration": SOON}, "Completed", "Completed"),
        ("Completed", {}, "Completed", "Completed"),
        ("PartiallyFailed", {"errors": 2}, "PartiallyFailed", "PartiallyFailed"),
        ("Failed", {"failureReason": "no\nmore"}, "Failed", "Failed"),
        ("FailedValidation", {"validationErrors": ["bad", "worse"]}, "Failed", "Failed"),
        ("Completed", {"expiration": PAST}, "Expired", "Completed"),
        ("FailedValidation", {"expiration": PAST}, "Expired", "Failed"),
        ("Deleting", {"expiration": SOON}, "Deleting", None),
        ("Deleting", {}, "Deleting", None),
        ("Deleting", {"expiration": PAST}, "Expired", None),
    ],
)
async def test_a_present_backup_shows_the_first_status_that_matches(desk, phase, facts, status, outcome):
    await hear(desk, observed(backup(phase=phase, labels=ours("op1"), **facts)))
    seen, row = shown(desk)
    assert (seen.status, seen.outcome, seen.phase, seen.present, row["listed"]) == (status, outcome, phase, True, True)


async def test_what_was_asked_for_is_creating_before_any_cluster_has_seen_it(desk):
    await hear(desk, command(storage_location="default", ttl="24h"))
    seen, row = shown(desk)
    assert (seen.status, seen.present, seen.name, seen.created_at) == ("Creating", False, "shop", NOW)
    assert (seen.created_by.kind, seen.created_by.name, seen.scope) == (
        "User",
        "anna",
        {"kind": "all", "excludedNamespaces": []},
    )
    assert (seen.storage_location, seen.requested_spec["ttl"], seen.warnings, seen.errors) == ("default", "24h", None, None)
    assert row["recheckAt"] == NOW + timedelta(seconds=3660)


async def test_a_refused_request_ends_its_row_unlisted(desk):
    await hear(desk, command(), rejected())
    seen, row = shown(desk)
    assert (seen.status, seen.reason, row["listed"]) == ("Refused", "No.", False)
    assert desk.speaker.statuses("backup") == ["Creating", "Refused"]


async def test_a_request_that_came_too_late_is_a_failed_backup(desk):
    await hear(desk, command(), rejected("DeadlineExceeded"))
    seen, row = shown(desk)
    assert (seen.status, seen.reason, seen.outcome, row["listed"]) == ("Failed", "No.", None, True)


async def test_a_request_that_nobody_answers_fails_after_its_deadline(desk):
    await hear(desk, command(expires_in=60))
    desk.now += timedelta(seconds=119)
    await hear(desk, command(expires_in=60))
    assert shown(desk)[0].status == "Creating"
    desk.now += timedelta(seconds=1)
    await hear(desk, command(expires_in=60))
    assert shown(desk)[0].status == "Failed"
    assert shown(desk)[0].reason.startswith("Nobody answered before the deadline")
    await hear(desk, accepted(backup(labels=ours("op1"))))
    assert (shown(desk)[0].status, shown(desk)[0].present) == ("Creating", True)


async def test_a_backup_that_a_person_deleted_is_deleted_and_keeps_its_outcome(desk):
    for seen in of_object("01-backup-download-restore-delete", "b-a"):
        await hear(desk, as_observed(seen))
    row = only(desk)
    assert (row.status, row.outcome, row.phase, row.present) == ("Deleted", "Completed", "Deleting", False)
    assert desk.speaker.statuses("backup")[-3:] == ["Completed", "Deleting", "Deleted"]


async def test_a_backup_collected_after_its_expiration_stays_expired(desk):
    done = {"labels": ours("op1"), "expiration": PAST}
    await hear(desk, observed(backup(rv=1, phase="Completed", **done)))
    await hear(desk, observed(backup(rv=2, phase="Deleting", **done)))
    await hear(desk, observed(backup(rv=3, phase="Deleting", deleted=True, **done)))
    seen, row = shown(desk)
    assert (seen.status, seen.outcome, seen.present, row["recheckAt"]) == ("Expired", "Completed", False, None)
    assert desk.speaker.statuses("backup") == ["Expired"]


async def test_a_backup_that_vanished_is_deleted_only_when_sync_did_not_bring_it_back(desk):
    done = backup(phase="Completed", labels=ours("op1"), expiration=SOON)
    await hear(desk, observed(done), snapshot([]))
    seen, row = shown(desk)
    assert (seen.status, seen.present, row["recheckAt"]) == ("Completed", False, NOW + timedelta(minutes=3))
    desk.now += timedelta(minutes=3)
    await hear(desk, observed(done))
    assert shown(desk)[0].status == "Deleted"


async def test_an_expiration_while_a_vanished_backup_is_expected_back_counts(desk):
    done = backup(phase="Completed", labels=ours("op1"), expiration="2026-11-22T12:01:00Z")
    await hear(desk, observed(done), snapshot([]))
    desk.now += timedelta(minutes=1)
    await hear(desk, observed(done))
    assert shown(desk)[0].status == "Expired"
    desk.now += timedelta(minutes=5)
    await hear(desk, observed(done))
    assert (shown(desk)[0].status, shown(desk)[1]["recheckAt"]) == ("Expired", None)


async def test_a_failed_backup_may_become_completed(desk):
    await hear(desk, observed(backup(rv=1, phase="Failed", labels=ours("op1"))))
    await hear(desk, observed(backup(rv=2, phase="Completed", labels=ours("op1"))))
    assert (shown(desk)[0].status, shown(desk)[0].outcome) == ("Completed", "Completed")


async def test_counts_are_unknown_while_work_goes_on_and_zero_when_it_ended_without(desk):
    await hear(desk, observed(backup(rv=1, phase="InProgress", labels=ours("op1"), progress={"totalItems": 7})))
    seen, _ = shown(desk)
    assert (seen.warnings, seen.errors, seen.progress.total_items, seen.progress.items_backed_up) == (None, None, 7, None)
    await hear(desk, observed(backup(rv=2, phase="Completed", labels=ours("op1"), warnings=1)))
    assert (shown(desk)[0].warnings, shown(desk)[0].errors) == (1, 0)


async def test_the_row_says_what_the_object_says(desk):
    labels = ours("op1") | {"leeward.dev/schedule-id": "s1", "velero.io/schedule-name": "nightly", "team": "shop", "a.b/c": "d"}
    notes = {"leeward.dev/created-by": "schedule/nightly", "leeward.dev/slot": "2026-11-22T11:59:00Z"}
    notes |= {"leeward.dev/scope": '{"kind": "all"}'}
    status = {"startTimestamp": STARTED, "completionTimestamp": "no time", "expiration": SOON, "hookStatus": {"hooksFailed": 1}}
    await hear(desk, observed(backup(phase="PartiallyFailed", labels=labels, annotations=notes, errors=1, **status)))
    seen, _ = shown(desk)
    assert (seen.created_by.kind, seen.created_by.name) == ("Schedule", "nightly")
    assert (seen.schedule.id, seen.schedule.name, seen.labels) == ("s1", "nightly", {"team": "shop", "a.b/c": "d"})
    assert seen.slot == datetime(2026, 11, 22, 11, 59, tzinfo=UTC)
    assert (seen.started_at.isoformat(), seen.completed_at) == ("2026-11-22T11:59:01+00:00", None)
    assert (seen.reason, seen.scope, seen.resolved_namespaces) == ("1 error", {"kind": "all"}, ["shop"])
    assert (seen.hook_status, seen.operation_id, seen.storage_location) == ({"hooksFailed": 1}, "op1", "default")


async def test_a_backup_that_a_person_made_from_a_schedule_is_theirs_and_of_the_schedule(desk):
    labels = ours("op1") | {"leeward.dev/schedule-id": "s1", "velero.io/schedule-name": "nightly"}
    await hear(desk, observed(backup(labels=labels, annotations={"leeward.dev/created-by": "anna"})))
    seen, _ = shown(desk)
    assert (seen.created_by.kind, seen.created_by.name, seen.slot) == ("User", "anna", None)
    assert (seen.schedule.id, seen.schedule.name) == ("s1", "nightly")


async def test_marks_of_a_schedule_on_what_nobody_asked_for_make_it_no_backup_of_a_schedule_s(desk):
    await hear(desk, observed(backup(labels={"leeward.dev/schedule-id": "s1", "velero.io/schedule-name": "nightly"})))
    assert only(desk).created_by.kind == "External"


async def test_a_backup_that_no_cluster_has_shown_is_of_the_schedule_that_the_command_names(desk):
    await hear(desk, trigger_command("op1"), from_schedule_command("op2"))
    fired, by_hand = shown(desk, "op1")[0], shown(desk, "op2")[0]
    assert (fired.created_by.kind, fired.created_by.name, fired.slot) == ("Schedule", "nightly", SLOT)
    assert (by_hand.created_by.kind, by_hand.created_by.name, by_hand.slot) == ("User", "anna", None)
    assert fired.schedule == by_hand.schedule == ScheduleRef(id="s1", name="nightly")


async def test_a_backup_of_velero_s_own_schedule_is_created_by_that_schedule(desk):
    await hear(desk, observed(backup(labels={"velero.io/schedule-name": "old"}, spec={"includedNamespaces": ["*"]})))
    seen = only(desk)
    assert (seen.created_by.kind, seen.created_by.name, seen.schedule.id, seen.schedule.name) == (
        "Schedule",
        "old",
        None,
        "old",
    )
    assert (seen.operation_id, seen.resolved_namespaces) == (None, None)


async def test_an_id_once_shown_stays_as_alias_when_the_backup_starts(desk):
    await hear(desk, observed(backup(rv=1)), observed(backup(rv=2, phase="InProgress", startTimestamp=STARTED)))
    before = ids.unstarted_backup_id("eu1", "velero", "shop", "u1")
    seen, row = shown(desk, ids.started_backup_id("eu1", "velero", "shop", STARTED))
    assert (seen.previous_ids, row["aliases"]) == ([before], [before])
    assert (Noun.BACKUP, before) not in desk.memory.rows
    assert [t["backupId"] for t in desk.memory.transitions.values() if t["kind"] == "Phase"] == [seen.id]


async def test_a_backup_that_sync_creates_again_under_a_new_uid_is_the_same_one(desk):
    done = {"phase": "Completed", "startTimestamp": STARTED, "expiration": SOON}
    await hear(desk, observed(backup("u1", 5, **done)), snapshot([], rv=6))
    assert not only(desk).present
    await hear(desk, observed(backup("u2", 9, created="2026-11-22T12:02:00Z", **done)))
    desk.now += timedelta(minutes=10)
    await hear(desk, snapshot(["u2"], rv=9, at=desk.now))
    seen = only(desk)
    assert (seen.status, seen.present, seen.created_at.isoformat()) == ("Completed", True, "2026-11-22T11:59:00+00:00")
    assert desk.speaker.statuses("backup") == ["Completed"]


async def test_a_name_used_again_is_another_backup(desk):
    await hear(desk, observed(backup("u1", 5, "Completed", startTimestamp=STARTED)))
    await hear(desk, observed(backup("u1", 6, "Deleting", startTimestamp=STARTED, deleted=True)))
    await hear(desk, observed(backup("u2", 7, "Completed", startTimestamp="2026-11-22T12:05:00Z")))
    statuses = sorted(row["item"]["status"] for (noun, _), row in desk.memory.rows.items() if noun is Noun.BACKUP)
    assert statuses == ["Completed", "Deleted"]


async def test_a_copy_of_another_cluster_s_backup_is_a_replica(desk):
    await hear(desk, observed(backup(phase="Completed", labels=ours("op1", cluster="us1"), startTimestamp=STARTED)))
    seen = only(desk)
    assert (seen.replica, seen.operation_id, seen.created_by.kind) == (True, None, "External")
    assert seen.id == ids.started_backup_id("eu1", "velero", "shop", STARTED)


@pytest.mark.parametrize("location_first", [True, False])
async def test_a_backup_in_a_read_only_location_is_a_replica_whichever_is_seen_first(desk, location_first):
    messages = [observed(location(mode="ReadOnly"), noun="location"), observed(backup(phase="Completed"))]
    await hear(desk, *(messages if location_first else reversed(messages)))
    assert only(desk).replica
    await hear(desk, observed(location(rv=6, mode="ReadWrite"), noun="location"))
    assert not only(desk).replica


async def test_progress_is_told_and_not_announced(desk):
    await hear(desk, observed(backup(rv=1, phase="InProgress", labels=ours("op1"))))
    await hear(desk, observed(backup(rv=2, phase="InProgress", labels=ours("op1"), progress={"itemsBackedUp": 3})))
    assert desk.speaker.statuses("backup") == ["Creating"]
    ((subject, message),) = desk.speaker.told
    assert (subject, message.data.item["progress"]["itemsBackedUp"]) == ("lw.live.eu1.backup.op1", 3)
