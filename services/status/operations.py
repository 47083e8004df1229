"""What was asked for and what became of it: facts that may arrive in any order, and the state that follows from them. Pure.

Each fact is set once: of two that tell of the same thing the earlier one stays, so that a repetition changes nothing.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from services.status.deletions import Verdict
from services.status.rows import Facts, Limits, Row, after, soonest
from services.status.values import mapping, text, words
from shared.contracts.commands import BackupCreate, BackupDelete, ScheduleTrigger
from shared.contracts.documents import to_document
from shared.contracts.envelope import Envelope
from shared.contracts.events import Accepted, Finished, Rejected, Step
from shared.contracts.names import LABEL_BACKUP_ID, Noun
from shared.contracts.notices import Notice
from shared.contracts.phases import BackupStatus, OperationState, Outcome
from shared.contracts.refusals import Code, Refusal
from shared.contracts.refusals import refusal as refused
from shared.contracts.views import ObjectRef, OperationItem, OperationStep

NAMES: Final = ("cluster", "command", "accepted", "rejected", "steps", "finished")
"""The keys of an operation's row that hold its facts."""

BACKUP_CREATE: Final = "backup.create"
BACKUP_DELETE: Final = "backup.delete"
SCHEDULE_TRIGGER: Final = "schedule.trigger"
_KINDS: Final = {Noun.BACKUP.value: BACKUP_CREATE, Noun.DELETION.value: BACKUP_DELETE}
"""What was asked for, by the noun of what it made."""

Learn = Callable[[Facts], Facts]
"""How a message adds to the facts of a row: order-free, and the same when done twice."""


def delete_commanded(command: Envelope[BackupDelete]) -> Learn:
    """Learn which backup is to be deleted."""
    about = {"backup": command.data.backup, "ids": list(command.data.ids)}
    return _once("command", command, {**_asked(BACKUP_DELETE, command), **about})


def create_commanded(command: Envelope[BackupCreate]) -> Learn:
    """Learn which backup is to be made, and for which slot of a schedule, or by hand from which."""
    asked = {
        **_asked(SCHEDULE_TRIGGER if isinstance(command.data, ScheduleTrigger) else BACKUP_CREATE, command),
        **_origin(command.data),
        "labels": to_document(command.data.labels, name="labels"),
        "scope": to_document(command.data.scope.wire()),
        "spec": to_document(command.data.spec.model_dump(mode="json", by_alias=True, exclude_none=True)),
    }
    return _once("command", command, asked)


def _origin(order: BackupCreate) -> dict[str, Any]:
    """Return the keys of a command that has to do with a schedule; no other has them, so that an index is of these alone."""
    slot = {"slot": order.slot} if isinstance(order, ScheduleTrigger) else {}
    return {"schedule": order.schedule.id, "scheduleName": order.schedule.name, **slot} if order.schedule else {}


def _asked(kind: str, command: Envelope[BackupCreate] | Envelope[BackupDelete]) -> dict[str, Any]:
    return {"kind": kind, "principal": command.principal, "deadline": command.expiresat, "name": command.data.name}


def accepted(answer: Envelope[Accepted]) -> Learn:
    """Learn that the cluster has the object, and what a person should know all the same."""
    made, noun = answer.data.object, answer.data.noun
    fact: dict[str, Any] = {"noun": noun, "name": made.name, "notices": [each.wire() for each in answer.data.notices]}
    if noun == Noun.DELETION:
        labels = words(mapping(made.object.get("metadata")).get("labels"))
        fact |= {"backup": text(labels.get(LABEL_BACKUP_ID)), "name": _name_deleted(made.object) or made.name}
    return _once("accepted", answer, fact)


def _name_deleted(request: Facts) -> str | None:
    return text(mapping(request.get("spec")).get("backupName"))


def rejected(answer: Envelope[Rejected]) -> Learn:
    """Learn that the cluster said no."""
    return _once("rejected", answer, {"refusal": answer.data.refusal.wire()})


def finished(answer: Envelope[Finished]) -> Learn:
    """Learn that work whose end no object shows has ended."""
    return _once("finished", answer, answer.data.wire())


def stepped(answer: Envelope[Step]) -> Learn:
    """Learn how far it has come."""

    def learn(facts: Facts) -> Facts:
        step = {**answer.data.wire(), "at": answer.time, "cluster": answer.cluster}
        steps = [*(s for s in facts.get("steps") or [] if s != step), step]
        ordered = sorted(steps, key=lambda s: (s["at"], s["step"], s["detail"], s["cluster"]))
        return _own({"cluster": answer.cluster, **facts, "steps": ordered})

    return learn


def _once(name: str, message: Envelope[Any], fact: dict[str, Any]) -> Learn:
    def learn(facts: Facts) -> Facts:
        known = facts.get(name)
        if known is not None and (known["at"], known["cluster"]) <= (message.time, message.cluster):
            return facts
        fact_of = {**fact, "at": message.time, "cluster": message.cluster}
        return _own({"cluster": message.cluster, **facts, name: fact_of})

    return lambda facts: facts if _foreign(facts, message.cluster) else learn(facts)


def _foreign(facts: Facts, cluster: str) -> bool:
    """Tell whether a cluster has no say in an operation: only the one that was asked has, whatever another one claims."""
    asked = facts.get("command")
    return asked is not None and asked["cluster"] != cluster


def _own(facts: Facts) -> Facts:
    """Drop what clusters have told that were not asked, once it is known who was."""
    asked = facts.get("command")
    if asked is None:
        return facts
    kept = {
        key: fact
        for key, fact in facts.items()
        if not (isinstance(fact, dict) and _foreign(facts, fact.get("cluster", asked["cluster"])))
    }
    steps = [step for step in facts.get("steps") or [] if not _foreign(facts, step["cluster"])]
    return {**kept, "cluster": asked["cluster"], **({"steps": steps} if "steps" in facts else {})}


def overdue(facts: Facts, now: datetime, limits: Limits) -> bool:
    """Tell whether the deadline has passed for so long without an answer that none is expected any more."""
    if facts.get("accepted") or facts.get("rejected"):
        return False
    deadline = answer_due(facts, limits)
    return deadline is not None and deadline <= now


def answer_due(facts: Facts, limits: Limits) -> datetime | None:
    """Return when silence becomes Expired; None for a command without a deadline, or not seen yet."""
    return after((facts.get("command") or {}).get("deadline"), limits.expire_after)


def refusal(facts: Facts) -> Refusal | None:
    """Return the cluster's no, unless it has said yes: then the yes counts, whichever came first."""
    no = facts.get("rejected")
    return Refusal.read(no["refusal"]) if no and not facts.get("accepted") else None


def ran_out(facts: Facts, now: datetime, limits: Limits) -> bool:
    """Tell whether the request ended because its deadline passed, by the executor's word or by everybody's silence."""
    no = refusal(facts)
    return no.code == Code.DEADLINE_EXCEEDED if no else overdue(facts, now, limits)


_OUTCOMES: Final = {
    Outcome.COMPLETED: OperationState.SUCCEEDED,
    Outcome.PARTIALLY_FAILED: OperationState.FAILED,
    Outcome.FAILED: OperationState.FAILED,
}
NO_OUTCOME_TO_COME: Final = {BackupStatus.DELETED, BackupStatus.EXPIRED}
"""A backup of these has gone, or will; if it has no outcome by then, its work never ended well."""


def state(facts: Facts, backup: Facts | None, now: datetime, limits: Limits, deletion: Facts | None = None) -> OperationState:
    """Return what became of the request. First match wins.

    `backup` is the item of the backup that it made, or was to delete; `deletion` what its request to Velero has come to.
    """
    if end := facts.get("finished"):
        return OperationState.SUCCEEDED if end["succeeded"] else OperationState.FAILED
    if seen := _deleted(facts, backup or {}, deletion) if is_delete(facts) else _made(backup or {}):
        return seen
    if facts.get("accepted"):
        return OperationState.ACCEPTED
    if facts.get("rejected"):
        return OperationState.REJECTED
    return OperationState.EXPIRED if overdue(facts, now, limits) else OperationState.QUEUED


def _made(backup: Facts) -> OperationState | None:
    """Return how the making of a backup has ended."""
    if backup.get("outcome"):
        return _OUTCOMES[Outcome(backup["outcome"])]
    return OperationState.FAILED if backup.get("status") in NO_OUTCOME_TO_COME else None


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


def row(operation_id: str, facts: Facts, backup: Facts | None, now: datetime, limits: Limits) -> Row | None:
    """Return what people see of an operation; None when nothing is known of it.

    `backup` is the row of the backup that it made, or was to delete.
    """
    if not facts.get("cluster"):
        return None
    asked, yes = facts.get("command") or {}, facts.get("accepted")
    shown = backup if backup and backup["cluster"] == facts["cluster"] else {}
    deletions = [each for each in shown.get("deletions") or () if each["operation"] == operation_id]
    deletion = deletions[-1] if deletions else None
    become = state(facts, shown.get("item"), now, limits, deletion)
    item = OperationItem(
        id=operation_id,
        kind=_kind(facts),
        cluster=facts["cluster"],
        principal=asked.get("principal"),
        state=become,
        refusal=refusal(facts) or (_failure(facts, deletion) if become is OperationState.FAILED else None),
        notices=[Notice.read(each) for each in (yes or {}).get("notices") or ()],
        steps=[OperationStep.read(step) for step in facts.get("steps") or []],
        created_at=asked.get("at"),
        deadline=asked.get("deadline"),
        object=_object(operation_id, facts),
    )
    due = None
    if not (yes or facts.get("rejected")):
        due = answer_due(facts, limits)
    elif is_delete(facts) and become is OperationState.ACCEPTED:
        due = after(shown.get("recheckAt"), _AFTER_ITS_BACKUP)
    return Row(
        cluster=facts["cluster"],
        item=item,
        recheck_at=soonest(now, due),
        as_of=max((fact["at"] for name in NAMES[1:] for fact in _told(facts.get(name))), default=None),
        more={key: facts.get(key) for key in NAMES if key != "cluster"},
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
    """Return what the operation made; of a deletion, which backup it is about."""
    yes = facts.get("accepted")
    if is_delete(facts):
        known = facts.get("command") or yes or {}
        about = about_backup(operation_id, facts)
        return ObjectRef(kind="Backup", id=about, name=known["name"]) if about else None
    return ObjectRef(kind=str(yes["noun"]).capitalize(), id=operation_id, name=yes["name"]) if yes else None


def _kind(facts: Facts) -> str:
    asked, yes = facts.get("command"), facts.get("accepted")
    return str(asked["kind"]) if asked else _KINDS.get(yes["noun"], f"{yes['noun']}.create") if yes else "unknown"


def makes_backup(facts: Facts) -> bool:
    """Tell whether the operation's id is a backup's id, too."""
    return _kind(facts) in {BACKUP_CREATE, SCHEDULE_TRIGGER}


def is_delete(facts: Facts) -> bool:
    """Tell whether the operation is to delete a backup."""
    return _kind(facts) == BACKUP_DELETE


def about_backup(operation_id: str, facts: Facts) -> str | None:
    """Return the id of the backup on whose row the operation's depends."""
    if is_delete(facts):
        known = facts.get("command") or facts.get("accepted") or {}
        return known.get("backup")
    return operation_id if makes_backup(facts) else None
