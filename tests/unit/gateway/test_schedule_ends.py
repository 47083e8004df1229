"""What became of slots, and what is still to be done before a schedule can go."""

from datetime import UTC, datetime, timedelta

import pytest

from services.gateway.schedules import departing, ticking
from shared.contracts import ids
from shared.contracts.phases import BackupStatus, OperationState, SlotResult
from shared.contracts.refusals import Code, refusal
from shared.contracts.schedules import Decision, Deletion, Era, Schedule
from tests.support.gateway import backup_item, operation_item
from tests.support.schedules import tick

SLOT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
OVERLAP = refusal(Code.OVERLAP, name="b", schedule="s", phase="InProgress")


@pytest.mark.parametrize(
    ("state", "no", "accepted", "now", "result"),
    [
        (None, None, None, SLOT, SlotResult.PENDING),
        (None, None, None, SLOT + HOUR + 60 * SECOND, SlotResult.PENDING),
        (None, None, None, SLOT + HOUR + 61 * SECOND, SlotResult.UNDELIVERED),
        ("Queued", None, None, SLOT + 9 * HOUR, SlotResult.PENDING),
        ("Accepted", None, None, SLOT, SlotResult.ACCEPTED),
        ("Accepted", None, SLOT + 60 * SECOND, SLOT, SlotResult.ACCEPTED),
        ("Succeeded", None, SLOT + 61 * SECOND, SLOT, SlotResult.LATE),
        ("Failed", None, SLOT + 61 * SECOND, SLOT, SlotResult.LATE),
        ("Rejected", OVERLAP, None, SLOT, SlotResult.OVERLAP),
        ("Rejected", refusal(Code.SUPERSEDED, name="b", schedule="s", at="x"), None, SLOT, SlotResult.SUPERSEDED),
        ("Rejected", refusal(Code.DEADLINE_EXCEEDED, deadline="x", cluster="eu1"), None, SLOT, SlotResult.UNDELIVERED),
        ("Rejected", refusal(Code.NAME_TAKEN, cluster="eu1", name="b"), None, SLOT, SlotResult.REFUSED),
        ("Rejected", None, None, SLOT, SlotResult.REFUSED),
        ("Expired", None, None, SLOT, SlotResult.UNDELIVERED),
    ],
)
def test_the_result_of_a_slot_is_told_by_its_operation_and_when_the_cluster_accepted(state, no, accepted, now, result):
    decided = tick("s", SLOT, Decision.TRIGGERED)
    operation = operation_item(decided.id, OperationState(state), refusal=no) if state else None
    backup = backup_item(decided.id, created_at=SLOT, started_at=SLOT) if accepted else None
    shown = ticking.item(decided, operation, backup, now, accepted)
    assert (shown.result, shown.refusal) == (result, no)
    assert (shown.backup is not None, shown.operation_id) == (accepted is not None, decided.id if state else None)


@pytest.mark.parametrize(("seconds", "result"), [(60, SlotResult.ACCEPTED), (61, SlotResult.LATE)])
def test_where_the_answer_is_not_known_the_work_tells_whether_a_slot_was_late(seconds, result):
    decided = tick("s", SLOT, Decision.TRIGGERED)
    backup = backup_item(decided.id, created_at=SLOT, started_at=SLOT + seconds * SECOND)
    assert ticking.item(decided, operation_item(decided.id, OperationState.ACCEPTED), backup, SLOT).result is result


def test_what_was_not_triggered_has_no_result():
    decided = tick("s", SLOT, Decision.SKIPPED, skip="w")
    shown = ticking.item(decided, operation_item(decided.id, OperationState.ACCEPTED), backup_item(decided.id), SLOT)
    assert (shown.result, shown.operation_id, shown.backup) == (None, None, None)


def entries(*decisions, **facts):
    """Entries an hour apart, the newest first."""
    ticks = [tick("s", SLOT + n * HOUR, decision, **facts) for n, decision in enumerate(decisions)]
    return [ticking.item(each, None, None, SLOT) for each in reversed(ticks)]


def test_slots_that_ended_alike_and_ran_nothing_are_one_entry_however_many():
    missed, triggered, paused = Decision.MISSED, Decision.TRIGGERED, Decision.PAUSED
    found = ticking.runs(entries(missed, missed, missed, triggered, triggered, missed, paused))
    assert [(e.decision, e.count, e.from_, e.to) for e in found] == [
        (paused, 1, SLOT + 6 * HOUR, SLOT + 6 * HOUR),
        (missed, 1, SLOT + 5 * HOUR, SLOT + 5 * HOUR),
        (triggered, 1, SLOT + 4 * HOUR, SLOT + 4 * HOUR),
        (triggered, 1, SLOT + 3 * HOUR, SLOT + 3 * HOUR),
        (missed, 3, SLOT, SLOT + 2 * HOUR),
    ]
    assert found[-1].id == ids.slot_operation_id("s", SLOT)
    one, other = entries(Decision.INVALID, reason="A")[0], entries(Decision.INVALID, reason="B")[0]
    assert len(ticking.runs([one, other])) == 2


# ---------------------------------------------------------------------- going


def leaving(attempt=1, errors=(), *, backups=True):
    deletion = Deletion(delete_backups=backups, by="anna", at=SLOT, attempt=attempt, errors=list(errors))
    template = {"scope": {"kind": "all"}}
    facts = {"id": "s", "name": "n", "cluster": "eu1", "eras": [{"from": SLOT, "cron": "@daily"}], "template": template}
    times = {"createdBy": "anna", "createdAt": SLOT, "changedAt": SLOT}
    return Schedule.model_validate({**facts, **times, "deleting": deletion}), deletion


def judged(backups, operations=(), ended=0, **facts):
    """Judge, so many seconds after it became known which deletions have ended well."""
    known = {operation.id: operation for operation in operations}
    since = dict.fromkeys(known, SLOT)
    return departing.judge(*leaving(**facts), backups, known, since, SLOT + ended * SECOND)


def operation(state, backup="b", attempt=1, **facts):
    return operation_item(ids.schedule_deletion_id("s", attempt, backup), OperationState(state), kind="backup.delete", **facts)


@pytest.mark.parametrize("status", BackupStatus)
def test_what_has_ended_is_asked_for_and_what_has_not_is_waited_for(status):
    verdict = judged([backup_item("b", status=status)])
    ended = status not in {BackupStatus.CREATING, BackupStatus.DELETING}
    assert verdict.ask == ({ids.schedule_deletion_id("s", 1, "b"): "b"} if ended else {})
    assert verdict.errors == []


@pytest.mark.parametrize("state", OperationState)
def test_what_was_asked_for_is_not_asked_for_again_in_the_same_attempt(state):
    assert judged([backup_item("b")], [operation(state)]).ask == {}
    assert judged([backup_item("b")], [operation(state)], attempt=2).ask == {ids.schedule_deletion_id("s", 2, "b"): "b"}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (operation("Queued"), None),
        (operation("Accepted"), None),
        (operation("Succeeded"), None),
        (operation("Rejected", refusal=refusal(Code.BACKUP_GONE, cluster="eu1", name="b")), None),
        (
            operation("Rejected", refusal=refusal(Code.BACKUP_NOT_ENDED, name="b", phase="New")),
            refusal(Code.BACKUP_NOT_ENDED, name="b", phase="New").detail,
        ),
        (operation("Failed", refusal=refusal(Code.DELETION_FAILED, name="b", message="no")), "no"),
        (operation("Failed"), "no reason is given"),
        (operation("Expired"), "has not answered for 168h"),
    ],
)
def test_what_went_wrong_is_told_in_words_once(asked, words):
    errors = judged([backup_item("b")], [asked]).errors
    assert [words in error for error in errors] == ([True] if words else [])
    assert judged([backup_item("b")], [asked], errors=["before", *errors]).errors == ["before", *errors]


def test_a_backup_that_is_still_there_a_minute_after_its_deletion_ended_well_is_there_again():
    ended = [operation("Succeeded")]
    assert judged([backup_item("b")], ended, ended=59).errors == []
    (error,) = judged([backup_item("b")], ended, ended=60).errors
    assert error.startswith("Backup b: was deleted and is there again")
    assert judged([backup_item("b")], ended, ended=60, attempt=2).ask == {ids.schedule_deletion_id("s", 2, "b"): "b"}


def test_so_many_errors_are_kept():
    items = [backup_item(f"b{n}") for n in range(150)]
    verdict = judged(items, [operation("Expired", backup=item.id) for item in items])
    assert len(verdict.errors) == departing.MOST_ERRORS


def goes(seconds, *, backups=True, decided=None, **facts):
    """Tell whether a schedule may go so long after it was asked to."""
    schedule, deletion = leaving(backups=backups)
    return departing.may_go(schedule.model_copy(update=facts), deletion, decided, SLOT + seconds * SECOND)


def test_it_stays_for_a_while():
    for backups, seconds in ((False, 1), (True, 10)):
        assert not goes(seconds - 0.001, backups=backups)
        assert goes(seconds, backups=backups)


EVERY_MINUTE = {"eras": [Era(from_=SLOT - HOUR, cron="* * * * *")], "created_at": SLOT - HOUR}


@pytest.mark.parametrize("decided", [None, SLOT - HOUR, SLOT - 60 * SECOND])
def test_with_its_backups_it_waits_for_a_slot_that_was_due_and_may_be_decided_by_what_was_read_before(decided):
    assert not goes(59, decided=decided, **EVERY_MINUTE)
    assert goes(60, decided=decided, **EVERY_MINUTE)
    assert goes(1, backups=False, decided=decided, **EVERY_MINUTE)
    assert goes(10, decided=SLOT, **EVERY_MINUTE)


def test_a_slot_counts_that_is_due_by_a_clock_that_is_ahead():
    soon = {"eras": [Era(from_=SLOT - HOUR, cron="0 12 * * *")], "created_at": SLOT - HOUR}
    _, deletion = leaving()
    for before, waits in ((5, True), (6, False)):
        moved = deletion.model_copy(update={"at": SLOT - before * SECOND})
        schedule = leaving()[0].model_copy(update=soon)
        assert departing.may_go(schedule, moved, None, moved.at + 20 * SECOND) is not waits
