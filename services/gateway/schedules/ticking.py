"""What became of slots: the scheduler's decisions, joined with the operations and backups of the same ids. Pure."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from shared.contracts.phases import BackupStatus, OperationState, SlotResult
from shared.contracts.refusals import Code
from shared.contracts.schedules import Decision, Tick
from shared.contracts.views import BackupItem, BackupRef, OperationItem, TickItem

LATE: Final = timedelta(seconds=60)
"""How long after it is due a slot's trigger may be accepted and still be in time; and an answer come after the deadline."""

_REFUSED: Final = {
    Code.OVERLAP.value: SlotResult.OVERLAP,
    Code.SUPERSEDED.value: SlotResult.SUPERSEDED,
    Code.DEADLINE_EXCEEDED.value: SlotResult.UNDELIVERED,
}
"""Refusals that are results of their own."""


def item(
    tick: Tick,
    operation: OperationItem | None,
    backup: BackupItem | None,
    now: datetime,
    accepted_at: datetime | None = None,
) -> TickItem:
    """Return a decision with what became of it; only what was Triggered has an operation and a backup, of the tick's id.

    `accepted_at`: when the cluster has said yes, as far as it is known.
    """
    triggered = tick.decision is Decision.TRIGGERED
    made = backup if triggered and backup is not None and backup.status is not BackupStatus.REFUSED else None
    return TickItem(
        id=tick.id,
        from_=tick.from_,
        to=tick.to,
        count=tick.count,
        decision=tick.decision,
        reason=tick.reason,
        ran=tick.ran,
        due_at=tick.due_at,
        decided_at=tick.decided_at,
        deadline=tick.deadline,
        result=_result(tick, operation, accepted_at or (made.started_at if made is not None else None), now)
        if triggered
        else None,
        refusal=operation.refusal if triggered and operation is not None else None,
        operation_id=tick.id if triggered and operation is not None else None,
        backup=BackupRef(id=made.id, name=made.name, status=made.status) if made is not None else None,
    )


def _result(tick: Tick, operation: OperationItem | None, begun: datetime | None, now: datetime) -> SlotResult:
    """`begun`: when the cluster began; the backup's own time of creation may be when it was asked for, however long ago."""
    state = operation.state if operation is not None else None
    if state is OperationState.REJECTED:
        code = operation.refusal.code if operation is not None and operation.refusal is not None else ""
        return _REFUSED.get(code, SlotResult.REFUSED)
    if state is OperationState.EXPIRED:
        return SlotResult.UNDELIVERED
    if state is None or state is OperationState.QUEUED:
        overdue = tick.deadline is not None and now > tick.deadline + LATE and state is None
        return SlotResult.UNDELIVERED if overdue else SlotResult.PENDING
    return SlotResult.LATE if begun is not None and begun > tick.due_at + LATE else SlotResult.ACCEPTED


def runs(items: Iterable[TickItem]) -> list[TickItem]:
    """Return entries, the newest first, with those put together that stand next to each other, are alike and ran nothing."""
    found: list[TickItem] = []
    for each in items:
        if found and _alike(found[-1], each):
            found[-1] = _joined(found[-1], each)
        else:
            found.append(each)
    return found


def _alike(newer: TickItem, older: TickItem) -> bool:
    quiet = newer.decision is not Decision.TRIGGERED
    return quiet and (newer.decision, newer.reason, newer.ran) == (older.decision, older.reason, older.ran)


def _joined(newer: TickItem, older: TickItem) -> TickItem:
    decided = max(newer.decided_at, older.decided_at)
    return older.model_copy(update={"to": newer.to, "count": newer.count + older.count, "decided_at": decided})
