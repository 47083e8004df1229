"""How far a backup is in its life: the statuses that people see, and when time alone moves them. Pure.

The rules stand in architecture section 4; Velero's side of them in its controllers (backup, gc, backup-sync, backup-deletion).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from services.status.objects import Record, newest
from services.status.operations import answers
from services.status.operations.deletions import Deletion, Verdict
from services.status.rows import Facts, Limits, after, soonest
from services.status.values import instant
from shared.contracts.names import MIRROR_PREFIX
from shared.contracts.phases import DELETING_PHASE, PHASE_OUTCOME, BackupStatus, Outcome


@dataclass(frozen=True, slots=True)
class Life:
    """How far a backup is in its life: all that its status depends on.

    `went_at`: when it counts as gone; None while it exists, or may come back. `refused`, `ran_out`: the request ended so.
    `deletion_asked`: a person's delete is open; `deleted`: what goes, goes because of one, or of a restore's clean-up.
    """

    now: datetime
    phase: str | None = None
    outcome: Outcome | None = None
    expires_at: datetime | None = None
    went_at: datetime | None = None
    refused: bool = False
    ran_out: bool = False
    deletion_asked: bool = False
    deleted: bool = False

    def expired(self, moment: datetime) -> bool:
        """Tell whether the expiration had passed at that moment, whether or not Velero's collection came round."""
        return self.expires_at is not None and self.expires_at <= moment


_FIRST_MATCH: Final[tuple[tuple[Callable[[Life], bool], BackupStatus], ...]] = (
    (lambda b: b.went_at is not None and b.expired(b.went_at) and not b.deleted, BackupStatus.EXPIRED),
    (lambda b: b.went_at is not None, BackupStatus.DELETED),
    (lambda b: b.deletion_asked, BackupStatus.DELETING),
    (lambda b: b.phase == DELETING_PHASE and not b.expired(b.now), BackupStatus.DELETING),
    (lambda b: b.refused, BackupStatus.REFUSED),
    (lambda b: b.ran_out, BackupStatus.FAILED),
    (lambda b: b.phase != DELETING_PHASE and b.phase not in PHASE_OUTCOME, BackupStatus.CREATING),
    (lambda b: b.expired(b.now), BackupStatus.EXPIRED),
    (lambda b: b.outcome is Outcome.COMPLETED, BackupStatus.COMPLETED),
    (lambda b: b.outcome is Outcome.PARTIALLY_FAILED, BackupStatus.PARTIALLY_FAILED),
    (lambda _: True, BackupStatus.FAILED),
)


def status(life: Life) -> BackupStatus:
    """Return the status that people see: the first line of the table that holds (architecture, section 4)."""
    return next(status for holds, status in _FIRST_MATCH if holds(life))


def life_of(records: Sequence[Record], deletions: Sequence[Deletion], facts: Facts, now: datetime, limits: Limits) -> Life:
    """Return how far a backup is; what became of the request counts only while no cluster has shown an object."""
    shown = newest(records)
    if shown is None:
        late = answers.ran_out(facts, now, limits)
        return Life(now, refused=answers.refusal(facts) is not None and not late, ran_out=late)
    remembered = max((r.ended for r in records if r.ended), default=None)
    phase = shown.phase
    if phase is None and shown.unreadable and remembered:
        phase = remembered[2]
    outcome = PHASE_OUTCOME.get(phase or "") or (PHASE_OUTCOME[remembered[2]] if remembered else None)
    life = Life(
        now,
        phase,
        outcome,
        instant(shown.status.get("expiration")),
        deletion_asked=any(d.verdict is Verdict.OPEN for d in deletions),
        deleted=any(d.removes(shown) for d in deletions) or _is_passing(shown),
    )
    return replace(life, went_at=_went_at(life, _gone_at(records), limits))


def _is_passing(shown: Record) -> bool:
    """Tell whether it is a copy, seen through a location that was made for one restore: with that it goes, and is no loss."""
    return shown.operation is None and (shown.location or "").startswith(MIRROR_PREFIX)


def recheck_at(
    life: Life, records: Sequence[Record], deletions: Sequence[Deletion], facts: Facts, limits: Limits
) -> datetime | None:
    """Return when time alone may move the status."""
    if not records:
        return soonest(life.now, answers.answer_due(facts, limits)) if not (life.refused or life.ran_out) else None
    if life.went_at is not None:
        return None
    given_up = (deletion.until for deletion in deletions)
    return soonest(life.now, life.expires_at, after(_gone_at(records), limits.gone_after), *given_up)


def _gone_at(records: Sequence[Record]) -> datetime | None:
    """Return when the last of the objects vanished; None while one exists."""
    gone = [r.gone_at for r in records]
    return None if None in gone else max(m for m in gone if m)


def _went_at(life: Life, gone_at: datetime | None, limits: Limits) -> datetime | None:
    """Return when the backup counts as gone: at once if that was to be expected, else when sync could have brought it back."""
    if gone_at is None:
        return None
    if life.phase == DELETING_PHASE or life.deleted or life.expired(gone_at):
        return gone_at
    borne = after(gone_at, limits.gone_after)
    return borne if borne is not None and borne <= life.now else None
