"""What people see of an operation: the state that follows from its facts, and from the row of what it is about. Pure."""

from datetime import datetime, timedelta
from typing import Any, Final

from services.status.operations import answers, orders
from services.status.operations.deletions import Verdict
from services.status.operations.orders import Deed
from services.status.rows import Facts, Limits, Row, after, soonest
from shared.contracts.findings import Finding
from shared.contracts.names import Noun
from shared.contracts.notices import Notice
from shared.contracts.phases import BackupStatus, OperationState, Outcome, RestoreStatus
from shared.contracts.refusals import Code, Refusal
from shared.contracts.refusals import refusal as refused
from shared.contracts.views import ObjectRef, OperationItem, OperationStep

_OUTCOMES: Final = {
    Outcome.COMPLETED: OperationState.SUCCEEDED,
    Outcome.PARTIALLY_FAILED: OperationState.FAILED,
    Outcome.FAILED: OperationState.FAILED,
}
NO_OUTCOME_TO_COME: Final = {BackupStatus.DELETED, BackupStatus.EXPIRED}
"""A backup of these has gone, or will; if it has no outcome by then, its work never ended well."""
_NOT_RESTORED: Final = {RestoreStatus.FAILED, RestoreStatus.DELETED}
"""The same of a restore that its cluster has shown."""
_CALLED: Final = {
    Noun.BACKUP: "Backup",
    Noun.RESTORE: "Restore",
    Noun.LOCATION: "Location",
    Noun.SNAPSHOT_LOCATION: "SnapshotLocation",
}
"""What people call the things that operations are about."""


def state(facts: Facts, thing: Facts | None, now: datetime, limits: Limits, deletion: Facts | None = None) -> OperationState:
    """Return what became of the request. First match wins.

    `thing` is the item of the backup or restore that it made, or was to delete; `deletion` what its request to Velero, to
    delete a backup, has come to.
    """
    end, yes = facts.get("finished"), facts.get("accepted")
    if end and not end["succeeded"]:
        return OperationState.FAILED
    known = orders.order(facts)
    if orders.makes(Noun.RESTORE, facts):
        if seen := _restored(facts, thing or {}):
            return seen
    elif end or (known and known.deed is Deed.APPLY and yes):
        return OperationState.SUCCEEDED
    elif seen := _deleted(facts, thing or {}, deletion) if orders.removes(Noun.BACKUP, facts) else _made(facts, thing or {}):
        return seen
    if yes:
        return OperationState.ACCEPTED
    if facts.get("rejected"):
        return OperationState.REJECTED
    return OperationState.EXPIRED if answers.overdue(facts, now, limits) else OperationState.QUEUED


def _made(facts: Facts, backup: Facts) -> OperationState | None:
    """Return how the making of a backup has ended."""
    if not orders.makes(Noun.BACKUP, facts):
        return None
    if backup.get("outcome"):
        return _OUTCOMES[Outcome(backup["outcome"])]
    return OperationState.FAILED if backup.get("status") in NO_OUTCOME_TO_COME else None


def _restored(facts: Facts, restore: Facts) -> OperationState | None:
    """Return how a restore has ended: one from another cluster not before what was made for it has been removed."""
    if (facts.get("command") or {}).get("mirrored") and not facts.get("finished"):
        return None
    if restore.get("outcome"):
        return _OUTCOMES[Outcome(restore["outcome"])]
    return OperationState.FAILED if restore.get("namespace") and restore["status"] in _NOT_RESTORED else None


def ended(noun: Noun, item: Facts) -> bool:
    """Tell from what people see of a backup or a restore whether the operation that made it may have ended by it."""
    return bool(item["outcome"]) or item["status"] in (NO_OUTCOME_TO_COME if noun is Noun.BACKUP else _NOT_RESTORED)


_COME_TO: Final = {
    Verdict.OPEN: OperationState.ACCEPTED,
    Verdict.DONE: OperationState.SUCCEEDED,
    Verdict.FAILED: OperationState.FAILED,
    Verdict.LOST: OperationState.FAILED,
}


def _deleted(facts: Facts, backup: Facts, deletion: Facts | None) -> OperationState | None:
    """Return what the deleting of a backup has come to: it has ended well once that is gone, whoever finished it."""
    begun = deletion is not None or bool(facts.get("accepted"))
    if begun and backup.get("status") in NO_OUTCOME_TO_COME and not backup.get("present"):
        return OperationState.SUCCEEDED
    return _COME_TO[Verdict(deletion["verdict"])] if deletion else None


_AFTER_ITS_BACKUP: Final = timedelta(seconds=5)
"""When time moves a backup, the deletion of it is looked at again: also if nobody lives to do so at once."""


def row(operation_id: str, facts: Facts, thing: Facts | None, now: datetime, limits: Limits) -> Row | None:
    """Return what people see of an operation; None when nothing is known of it.

    `thing` is the row of the backup or restore that it made, or of the backup that it was to delete.
    """
    if not facts.get("cluster"):
        return None
    asked, yes = facts.get("command") or {}, facts.get("accepted")
    shown = thing if thing and thing["cluster"] == facts["cluster"] else {}
    deletions = [each for each in shown.get("deletions") or () if each["operation"] == operation_id]
    deletion = deletions[-1] if deletions else None
    become = state(facts, shown.get("item"), now, limits, deletion)
    item = OperationItem(
        id=operation_id,
        kind=orders.kind(facts),
        cluster=facts["cluster"],
        principal=asked.get("principal"),
        state=become,
        refusal=answers.refusal(facts) or (_failure(facts, deletion) if become is OperationState.FAILED else None),
        notices=[Notice.read(each) for each in (yes or {}).get("notices") or ()],
        findings=[Finding.read(each) for each in asked.get("findings") or ()],
        steps=[OperationStep.read(step) for step in facts.get("steps") or []],
        created_at=asked.get("at"),
        deadline=asked.get("deadline"),
        object=_object(operation_id, facts),
    )
    due = None
    if become is OperationState.QUEUED:
        due = answers.answer_due(facts, limits)
    elif orders.removes(Noun.BACKUP, facts) and become is OperationState.ACCEPTED:
        due = after(shown.get("recheckAt"), _AFTER_ITS_BACKUP)
    return Row(
        cluster=facts["cluster"],
        item=item,
        recheck_at=soonest(now, due),
        as_of=max((fact["at"] for name in answers.NAMES[1:] for fact in _told(facts.get(name))), default=None),
        more={key: facts.get(key) for key in answers.NAMES if key != "cluster"},
    )


def _told(fact: Any) -> list[Facts]:
    return fact if isinstance(fact, list) else [fact] if fact else []


def _failure(facts: Facts, deletion: Facts | None) -> Refusal | None:
    """Return Velero's no to a deletion, which it says after the cluster has accepted it."""
    if deletion is None or not deletion["failure"]:
        return None
    known = facts.get("command") or facts.get("accepted") or {}
    return refused(Code.DELETION_FAILED, name=known.get("name"), message=deletion["failure"])


def _object(operation_id: str, facts: Facts) -> ObjectRef | None:
    """Return what the operation made, once it is there; of any other, what it is about."""
    thing, known, yes = orders.about(operation_id, facts), orders.order(facts), facts.get("accepted")
    if thing is None or known is None or (known.deed is Deed.MAKE and not yes):
        return None
    noun, row_id = thing
    told = (yes if known.deed is Deed.MAKE else None) or facts.get("command") or yes or {}
    return ObjectRef(kind=_CALLED[noun], id=row_id, name=told["name"])
