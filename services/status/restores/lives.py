"""How far a restore is in its life: the statuses that people see, and when time alone moves them. Pure.

Velero keeps no Restore in the bucket: one that has gone does not come back. Velero removes them with their backup; what people
see of them stays. Only a person's delete makes one Deleted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from services.status.objects import Record, newest
from services.status.operations import answers
from services.status.rows import Facts, Limits, after, soonest
from shared.contracts.names import Noun
from shared.contracts.phases import PHASE_OUTCOME, Outcome, RestoreStatus
from shared.contracts.refusals import Code

VANISHED: Final = "It vanished from the cluster before it had ended: see what it has brought back, and restore again."


@dataclass(frozen=True, slots=True)
class Removal:
    """A time that a person had a restore deleted. `begun`: when it goes, it goes because of this; `trouble`: why it has not.

    `until`: when time alone may end the waiting for it.
    """

    open: bool
    begun: bool
    done: bool = False
    trouble: str | None = None
    until: datetime | None = None


def removals(operation_rows: Sequence[Mapping[str, Any]], cluster: str, now: datetime, limits: Limits) -> list[Removal]:
    """Return every time that a restore of that cluster was to be deleted, the first one first; from operations about it."""
    mine = [row for row in operation_rows if row["command"]["cluster"] == cluster]
    return [_removal(row, now, limits) for row in sorted(mine, key=lambda row: (row["command"]["at"], row["_id"]))]


def _removal(facts: Facts, now: datetime, limits: Limits) -> Removal:
    if no := answers.refusal(facts):
        return Removal(open=False, begun=no.code == Code.RESTORE_NOT_DELETED, trouble=no.detail)
    if end := facts.get("finished"):
        # The word that the object has gone may be on its way.
        until = after(end["at"], limits.gone_after)
        done = bool(end["succeeded"])
        return Removal(open=done and until is not None and until > now, begun=done, done=done, until=until)
    return Removal(open=not answers.overdue(facts, now, limits), begun=True, until=answers.answer_due(facts, limits))


@dataclass(frozen=True, slots=True)
class Life:
    """How far a restore is in its life: all that its status depends on.

    `gone`: it was there, and is no more. `refused`, `ran_out`: the request ended so. `removing`: a person's delete is open;
    `removed`: it has gone because of one.
    """

    phase: str | None = None
    outcome: Outcome | None = None
    gone: bool = False
    refused: bool = False
    ran_out: bool = False
    removing: bool = False
    removed: bool = False


_FIRST_MATCH: Final[tuple[tuple[Callable[[Life], bool], RestoreStatus], ...]] = (
    (lambda r: r.removed, RestoreStatus.DELETED),
    (lambda r: r.removing and not r.gone, RestoreStatus.DELETING),
    (lambda r: r.refused, RestoreStatus.REFUSED),
    (lambda r: r.ran_out, RestoreStatus.FAILED),
    (lambda r: r.outcome is None and r.gone, RestoreStatus.FAILED),
    (lambda r: r.outcome is None, RestoreStatus.RESTORING),
    (lambda r: r.outcome is Outcome.COMPLETED, RestoreStatus.COMPLETED),
    (lambda r: r.outcome is Outcome.PARTIALLY_FAILED, RestoreStatus.PARTIALLY_FAILED),
    (lambda _: True, RestoreStatus.FAILED),
)


def status(life: Life) -> RestoreStatus:
    """Return the status that people see: the first line of the table that holds."""
    return next(status for holds, status in _FIRST_MATCH if holds(life))


def life_of(records: Sequence[Record], removed: Sequence[Removal], facts: Facts, now: datetime, limits: Limits) -> Life:
    """Return how far a restore is; what became of the request counts only while no cluster has shown an object."""
    objects = [r for r in records if r.noun == Noun.RESTORE]
    shown, removing = newest(objects), any(r.open for r in removed)
    if shown is None:
        late = answers.ran_out(facts, now, limits)
        refused = answers.refusal(facts) is not None and not late
        return Life(refused=refused, ran_out=late, removing=removing, removed=any(r.done for r in removed))
    gone, ended = all(r.gone_at is not None for r in objects), _ended(records)
    phase = shown.phase or (ended if shown.unreadable else None)
    return Life(
        phase=phase,
        outcome=PHASE_OUTCOME.get(phase or "") or (PHASE_OUTCOME[ended] if ended else None),
        gone=gone,
        removing=removing,
        removed=gone and any(r.begun for r in removed),
    )


def _ended(records: Sequence[Record]) -> str | None:
    """Return the phase that ended the work: as the object showed it, else as it was when it was looked into."""
    for noun in (Noun.RESTORE, Noun.RESTORE_MEASUREMENT):
        if ended := max((r.ended for r in records if r.noun == noun and r.ended), default=None):
            return ended[2]
    return None


def recheck_at(
    life: Life, records: Sequence[Record], removed: Sequence[Removal], facts: Facts, now: datetime, limits: Limits
) -> datetime | None:
    """Return when time alone may move the status."""
    waiting = None
    if not any(r.noun == Noun.RESTORE for r in records) and not (life.refused or life.ran_out):
        waiting = answers.answer_due(facts, limits)
    return soonest(now, waiting, *(r.until for r in removed if r.open))
