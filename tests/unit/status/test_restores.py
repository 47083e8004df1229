"""What people see of restores, as one lives through them; and what becomes of the requests that are about them."""

from datetime import timedelta
from itertools import permutations

import pytest

from services.status.sweeper import sweep
from shared.contracts import ids
from shared.contracts.events import Cause, RestoreCounts
from shared.contracts.names import Noun
from shared.contracts.refusals import Code, refusal
from shared.contracts.views import RestoreSource, ScheduleRef
from tests.support.messages import NOW
from tests.support.status_memory import Desk
from tests.support.status_messages import (
    STARTED,
    as_observed,
    backup,
    finished,
    observed,
    ours,
    presence,
    rejected,
    snapshot,
)
from tests.support.status_restores import (
    mine,
    removal_command,
    restore,
    restore_accepted,
    restore_captured,
    restore_command,
    restore_measured,
    seen,
    shown_restore,
    step,
)
from tests.support.status_views import hear, operation
from tests.support.transcripts import transcript

MIRROR = {
    "provider": "aws",
    "objectStorage": {"bucket": "b", "prefix": "p"},
    "accessMode": "ReadOnly",
}
THERE = {"source": {"id": "b1", "name": "shop", "cluster": "us1"}, "mirror": MIRROR}
NOT_DELETED = refusal(Code.RESTORE_NOT_DELETED, name="shop-again", message="location default is Unavailable").detail


@pytest.fixture
def desk():
    return Desk()


def row(desk, restore_id="re1"):
    return desk.memory.rows[Noun.RESTORE, restore_id]


def gone(*uids, rv=100, at=NOW):
    """A list of the Restores that there are."""
    return snapshot(list(uids), rv=rv, noun="restore", at=at)


# ---------------------------------------------------------------- the life of one


@pytest.mark.parametrize(
    ("phase", "facts", "status", "outcome", "reason"),
    [
        (None, {}, "Restoring", None, None),
        ("New", {}, "Restoring", None, None),
        ("InProgress", {}, "Restoring", None, None),
        ("WaitingForPluginOperationsPartiallyFailed", {}, "Restoring", None, None),
        ("FinalizingPartiallyFailed", {}, "Restoring", None, None),
        ("SomethingOfTheFuture", {}, "Restoring", None, None),
        ("Completed", {"warnings": 1}, "Completed", "Completed", None),
        ("PartiallyFailed", {"errors": 2}, "PartiallyFailed", "PartiallyFailed", "2 errors"),
        ("Failed", {"failureReason": "no\nmore"}, "Failed", "Failed", "no"),
        ("FailedValidation", {"validationErrors": ["can't find backup", "worse"]}, "Failed", "Failed", "can't find backup"),
    ],
)
async def test_a_restore_that_is_there_shows_what_its_phase_means(desk, phase, facts, status, outcome, reason):
    await hear(desk, seen(mine(phase, **facts)))
    shown = shown_restore(desk)
    assert (shown.status, shown.outcome, shown.phase, shown.reason) == (status, outcome, phase, reason)
    assert (shown.present, row(desk)["listed"]) == (True, True)


async def test_the_row_says_what_was_asked_for_and_what_velero_made_of_it(desk):
    findings = [{"severity": "Warning", "code": "NamespaceExists", "message": "It exists.", "objects": ["shop"]}]
    modifiers = {"resourceModifierRules": [
        {"conditions": {"groupResource": "pods"}, "patches": [{"operation": "remove", "path": "/spec/nodeName"}]}
    ]}  # fmt: skip
    wanted = {"spec": {"namespaceMapping": {"shop": "shop-copy"}}, "labels": {"team": "shop"}}
    await hear(desk, restore_command(**wanted, findings=findings, modifiers=modifiers))
    asked = shown_restore(desk)
    assert (asked.status, asked.present, asked.name, asked.created_at) == ("Restoring", False, "shop-again", NOW)
    assert (asked.created_by.kind, asked.created_by.name, asked.labels) == ("User", "anna", {"team": "shop"})
    assert asked.backup == RestoreSource(id="b1", name="shop", cluster="eu1")
    spec = {"namespaceMapping": {"shop": "shop-copy"}, "excludedResources": ["nodes"]}
    told = {"startTimestamp": STARTED, "progress": {"totalItems": 9, "itemsRestored": 4}, "hookStatus": {"hooksAttempted": 1}}
    body = mine("InProgress", labels={"team": "shop"}, spec=spec, **told)
    await hear(desk, restore_accepted(body))
    shown = shown_restore(desk)
    assert (shown.progress.items_restored, shown.progress.total_items, shown.warnings) == (4, 9, None)
    assert (shown.requested_spec["namespaceMapping"], shown.spec["excludedResources"]) == ({"shop": "shop-copy"}, ["nodes"])
    assert (shown.findings[0].code, shown.modifiers["version"], shown.hook_status) == (
        "NamespaceExists",
        "v1",
        {"hooksAttempted": 1},
    )
    assert (shown.labels, shown.operation_id, shown.backup) == ({"team": "shop"}, "re1", asked.backup)


async def test_the_way_to_a_backup_is_the_reason_until_the_restore_is_there(desk):
    found = [{"severity": "Info", "code": "MirrorNeeded", "message": "One is made."}]
    await hear(desk, restore_command(**THERE, findings=found))
    assert (shown_restore(desk).reason, operation(desk, "re1").findings[0].code) == (None, "MirrorNeeded")
    await hear(desk, step("MirrorLocation", "Makes a location.", at=NOW + timedelta(seconds=1)))
    await hear(desk, step("FindBackup", "Waits for Velero.", at=NOW + timedelta(seconds=2)))
    assert shown_restore(desk).reason == "Waits for Velero."
    await hear(desk, seen(mine("InProgress")))
    assert shown_restore(desk).reason is None


async def test_progress_is_told_and_not_announced(desk):
    await hear(desk, seen(mine("InProgress", 11)), seen(mine("InProgress", 12, progress={"itemsRestored": 3})))
    assert desk.speaker.statuses("restore") == ["Restoring"]
    ((subject, message),) = desk.speaker.told
    assert (subject, message.data.item["progress"]["itemsRestored"]) == ("lw.live.eu1.restore.re1", 3)


async def test_a_restore_made_past_leeward_is_known_by_its_uid_and_its_backup_by_its_name(desk):
    await hear(desk, seen(restore(phase="Completed", spec={"scheduleName": "nightly"})))
    shown = shown_restore(desk, ids.restore_id("eu1", "velero", "shop-again", "r1"))
    assert (shown.created_by.kind, shown.backup, shown.operation_id) == ("External", RestoreSource(name="shop"), None)


async def test_the_schedule_is_that_whose_latest_backup_was_asked_for(desk):
    await hear(desk, restore_command(schedule={"id": "s1", "name": "nightly"}))
    assert shown_restore(desk).schedule == ScheduleRef(id="s1", name="nightly")
    assert "schedule" not in desk.memory.rows[Noun.OPERATION, "re1"]["command"]  # nothing of the schedule's own is under way
    labels = {"leeward.dev/schedule-id": "s1", "velero.io/schedule-name": "nightly"}
    other = Desk()
    await hear(other, seen(mine(labels=labels)))
    assert shown_restore(other).schedule == ScheduleRef(id="s1", name="nightly")


async def test_a_copy_under_another_name_is_no_restore_of_the_operation(desk):
    marks = {"labels": ours("re1"), "annotations": {"leeward.dev/name": "shop-again"}}
    await hear(desk, seen(restore("r1", 10, **marks)), seen(restore("r2", 20, name="copy", **marks)))
    assert {i for noun, i in desk.memory.rows if noun is Noun.RESTORE} == {
        "re1",
        ids.restore_id("eu1", "velero", "copy", "r2"),
    }


async def test_the_labels_of_another_cluster_s_restore_make_none_of_ours(desk):
    await hear(desk, seen(mine(cluster="us1")))
    assert {i for noun, i in desk.memory.rows if noun is Noun.RESTORE} == {ids.restore_id("eu1", "velero", "shop-again", "r1")}


async def test_a_failed_restore_may_become_completed(desk):
    await hear(desk, seen(mine("Failed", 10)), seen(mine("Completed", 11)))
    assert (shown_restore(desk).status, shown_restore(desk).outcome) == ("Completed", "Completed")


async def test_while_velero_is_silent_a_restore_without_a_phase_says_so(desk):
    silent = presence(velero_answered=NOW - timedelta(minutes=3), velero_problem="no answer")
    await hear(desk, seen(mine()), silent)
    assert shown_restore(desk).reason == "Velero has not answered since 2026-11-22 11:57:00 UTC"
    await hear(desk, presence(NOW + timedelta(seconds=5)))
    assert shown_restore(desk).reason is None


async def test_every_phase_and_status_is_kept_with_its_time(desk):
    await hear(desk, restore_command(), seen(mine("InProgress", 11)), seen(mine("Completed", 12)))
    told = [(t["kind"], t["to"]) for t in desk.memory.transitions.values() if t["backupId"] == "re1"]
    assert sorted(told) == [("Phase", "Completed"), ("Phase", "InProgress"), ("Status", "Completed"), ("Status", "Restoring")]


# ---------------------------------------------------------------- no answer, and no


async def test_a_refused_request_ends_its_row_unlisted(desk):
    await hear(desk, restore_command(), rejected("MirrorFailed", operation="re1"))
    assert (shown_restore(desk).status, shown_restore(desk).reason, row(desk)["listed"]) == ("Refused", "No.", False)
    assert operation(desk, "re1").state == "Rejected"


async def test_a_request_that_nobody_answers_fails_after_its_deadline_and_a_late_yes_counts(desk):
    await hear(desk, restore_command(expires_in=10))
    desk.now += timedelta(seconds=70)
    await sweep(desk.ports)
    assert (shown_restore(desk).status, operation(desk, "re1").state) == ("Failed", "Expired")
    assert shown_restore(desk).reason.startswith("Nobody answered before the deadline")
    await hear(desk, restore_accepted(mine()))
    assert (shown_restore(desk).status, operation(desk, "re1").state) == ("Restoring", "Accepted")


async def test_what_was_begun_in_time_is_waited_for_beyond_the_deadline(desk):
    waits = step("FindBackup", "waits until Velero has synced it", at=NOW + timedelta(seconds=5))
    await hear(desk, restore_command(expires_in=10, **THERE), waits)
    desk.now += timedelta(seconds=70)
    await sweep(desk.ports)
    assert (shown_restore(desk).status, operation(desk, "re1").state) == ("Restoring", "Queued")
    desk.now = NOW + timedelta(seconds=5) + desk.limits.step_after
    await sweep(desk.ports)
    assert (shown_restore(desk).status, operation(desk, "re1").state) == ("Failed", "Expired")


# ---------------------------------------------------------------- gone


async def test_a_restore_that_vanished_before_it_had_ended_has_failed_and_says_why(desk):
    await hear(desk, restore_command(), restore_accepted(mine("InProgress")), gone())
    shown = shown_restore(desk)
    assert (shown.status, shown.outcome, shown.present) == ("Failed", None, False)
    assert shown.reason.startswith("It vanished from the cluster before it had ended")
    assert operation(desk, "re1").state == "Failed"


async def test_a_restore_that_was_looked_into_before_it_vanished_ended_as_it_was_then(desk):
    await hear(desk, restore_accepted(mine("InProgress")), restore_measured(mine("Completed", 12)), gone())
    assert (shown_restore(desk).status, operation(desk, "re1").state) == ("Completed", "Succeeded")


async def test_a_restore_that_velero_removed_with_its_backup_keeps_its_status(desk):
    for each in transcript("01-backup-download-restore-delete", "Restore"):
        (routes, _, message) = as_observed(each)
        await hear(desk, seen(message.data, at=message.time))
        assert routes
    rows = {key: kept for key, kept in desk.memory.rows.items() if key[0] is Noun.RESTORE}
    assert {(kept["item"]["status"], kept["item"]["present"], kept["listed"]) for kept in rows.values()} == {
        ("Completed", False, True)
    }
    assert len(rows) == 3
    assert set(desk.speaker.statuses("restore")) == {"Restoring", "Completed"}


# ---------------------------------------------------------------- deleted by a person


async def test_a_restore_that_a_person_deletes_is_deleting_and_then_deleted_and_unlisted(desk):
    await hear(desk, restore_command(), restore_accepted(mine()), seen(mine("Completed", 12)), removal_command())
    assert (shown_restore(desk).status, operation(desk, "del1").state) == ("Deleting", "Queued")
    await hear(desk, seen(mine("Completed", 13, deleted=True)), finished("del1"))
    shown, deletion = shown_restore(desk), operation(desk, "del1")
    assert (shown.status, shown.outcome, shown.present, row(desk)["listed"]) == ("Deleted", "Completed", False, False)
    assert (deletion.state, deletion.kind, deletion.object.kind, deletion.object.id) == (
        "Succeeded",
        "restore.delete",
        "Restore",
        "re1",
    )
    assert desk.speaker.statuses("restore") == ["Restoring", "Completed", "Deleting", "Deleted"]
    assert operation(desk, "re1").state == "Succeeded"


async def test_a_deletion_that_was_refused_or_never_answered_leaves_the_restore_as_it_was(desk):
    await hear(desk, seen(mine("Completed")), removal_command(), rejected("ForbiddenInCluster", operation="del1"))
    assert (shown_restore(desk).status, shown_restore(desk).reason) == ("Completed", "No.")
    await hear(desk, removal_command("del2", expires_in=10))
    assert shown_restore(desk).status == "Deleting"
    desk.now += timedelta(seconds=70)
    await sweep(desk.ports)
    assert (shown_restore(desk).status, operation(desk, "del2").state) == ("Completed", "Expired")


async def test_what_velero_had_not_removed_in_time_is_deleted_when_it_goes_after_all(desk):
    no = rejected("RestoreNotDeleted", operation="del1")
    await hear(desk, seen(mine("Completed")), removal_command(), no)
    assert (shown_restore(desk).status, operation(desk, "del1").state) == ("Completed", "Rejected")
    await hear(desk, seen(mine("Completed", 13, deleted=True)))
    assert shown_restore(desk).status == "Deleted"


async def test_a_deletion_that_has_ended_while_the_restore_is_still_there_does_not_keep_it_deleting(desk):
    await hear(desk, seen(mine("Completed")), removal_command(), finished("del1"))
    assert shown_restore(desk).status == "Deleting"
    desk.now += desk.limits.gone_after
    await sweep(desk.ports)
    assert shown_restore(desk).status == "Completed"


async def test_a_restore_is_deleted_by_an_id_that_it_had_before(desk):
    """The answer to the command, which tells whose it is, is overtaken by the object without its labels."""
    former = ids.restore_id("eu1", "velero", "shop-again", "r1")
    await hear(desk, seen(restore(phase="Completed", rv=12)), removal_command(of=former))
    assert shown_restore(desk, former).status == "Deleting"
    await hear(desk, restore_accepted(mine(rv=10)))
    assert (shown_restore(desk).status, row(desk)["aliases"]) == ("Deleting", [former])
    await hear(desk, finished("del1"), gone())
    assert shown_restore(desk).status == "Deleted"
    assert (Noun.RESTORE, former) not in desk.memory.rows


# ---------------------------------------------------------------- from another cluster


async def test_steps_are_shown_in_order_and_two_details_of_one_are_both_shown(desk):
    later = [NOW + timedelta(seconds=n) for n in range(4)]
    told = [
        step("MirrorLocation", "makes a read-only location", at=later[0]),
        step("MirrorLocation", "waits until Velero has validated it", at=later[1]),
        step("FindBackup", "waits until Velero has synced it", at=later[2]),
        step("MirrorLocation", "makes a read-only location", at=later[3]),
    ]
    for order in permutations(told):
        other = Desk()
        await hear(other, restore_command(**THERE), *order)
        for steps in (operation(other, "re1").steps, shown_restore(other).steps):
            assert [(s.step, s.detail[:5], s.at) for s in steps] == [
                ("MirrorLocation", "makes", later[0]),
                ("MirrorLocation", "waits", later[1]),
                ("FindBackup", "waits", later[2]),
            ]


async def test_the_operation_has_ended_when_what_was_made_for_it_has_been_removed(desk):
    await hear(desk, restore_command(**THERE), restore_accepted(mine()), seen(mine("Completed", 12)))
    assert (shown_restore(desk).status, operation(desk, "re1").state) == ("Completed", "Accepted")
    await hear(desk, finished("re1"))
    assert operation(desk, "re1").state == "Succeeded"


@pytest.mark.parametrize(
    ("phase", "succeeded", "state"),
    [("PartiallyFailed", True, "Failed"), ("Completed", False, "Failed"), ("InProgress", True, "Accepted")],
)
async def test_the_outcome_of_the_restore_is_that_of_the_operation(phase, succeeded, state):
    messages = [
        restore_command(**THERE),
        restore_accepted(mine()),
        seen(mine(phase, 12)),
        finished("re1", succeeded=succeeded),
    ]
    for order in permutations(messages):
        desk = Desk()
        await hear(desk, *order)
        assert operation(desk, "re1").state == state


async def test_nothing_of_the_credential_and_of_where_it_is_used_is_kept(desk):
    await hear(desk, restore_command(**THERE, credential={"key": "k", "box": b"sealed-up"}))
    told = repr((desk.memory.rows, desk.memory.objects, desk.speaker.said, desk.speaker.told))
    assert "sealed-up" not in told
    assert "objectStorage" not in told


@pytest.mark.parametrize("expired", [False, True])
async def test_copies_seen_through_a_location_made_for_a_restore_leave_the_list_with_it(desk, expired):
    """They were never this cluster's: that they go is no loss, and nobody waits for sync to bring them back."""
    there = {"storageLocation": "leeward-mirror-0f3a9c11"}
    done = {"startTimestamp": STARTED, "expiration": "2026-11-22T11:59:30Z" if expired else "2026-12-22T12:00:00Z"}
    copy = backup("u1", 10, "Completed", labels=ours("op1", cluster="us1"), spec=there, **done)
    await hear(desk, observed(copy))
    ((key, before),) = [(key, kept) for key, kept in desk.memory.rows.items() if key[0] is Noun.BACKUP]
    assert (before["item"]["replica"], before["listed"]) == (True, True)
    await hear(desk, snapshot([]))
    after = desk.memory.rows[key]
    assert (after["item"]["status"], after["item"]["present"], after["listed"], after["recheckAt"]) == (
        "Deleted",
        False,
        False,
        None,
    )


# ---------------------------------------------------------------- looked into


async def test_counts_causes_and_texts_are_shown_when_it_was_looked_into(desk):
    partly = mine("PartiallyFailed", 12, errors=1)
    await hear(desk, seen(partly))
    assert (shown_restore(desk).counts, shown_restore(desk).measured_at) == (RestoreCounts(), None)
    causes = [Cause(message="could not be created", count=1, example="shop/web", namespace="shop")]
    counts = RestoreCounts(created=7, skipped=2, failed=1)
    await hear(desk, restore_captured("results"), restore_captured("log"), restore_captured("resources"))
    await hear(desk, restore_captured("contents"), restore_measured(partly, counts=counts, causes=causes))
    shown = shown_restore(desk)
    assert (shown.counts, shown.why, shown.measured_at) == (counts, causes, NOW)
    assert (shown.captured, row(desk)["uids"]) == (["log", "results", "resources"], ["r1"])
    await hear(desk, gone())
    assert (shown_restore(desk).counts, shown_restore(desk).captured) == (counts, ["log", "results", "resources"])


async def test_why_is_answered_by_the_object_until_it_was_looked_into(desk):
    await hear(desk, seen(mine("FailedValidation", validationErrors=["can't find backup"])))
    assert [(c.message, c.count) for c in shown_restore(desk).why] == [("can't find backup", 1)]
    assert shown_restore(desk).validation_errors == ["can't find backup"]


async def test_what_was_found_out_alone_shows_no_restore(desk):
    await hear(desk, restore_measured(mine("Completed")), restore_captured())
    assert desk.memory.rows == {}
