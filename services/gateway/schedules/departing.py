"""What is still to be done before a schedule that is being deleted can go. Pure.

Without its backups it goes at once. With them, each is deleted when it has ended; and nothing may be left that could still
make one: neither an operation that has not ended, nor a trigger that nobody has seen yet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from services.gateway.schedules import slots
from shared.contracts import ids
from shared.contracts.phases import BackupStatus, OperationState
from shared.contracts.refusals import Code
from shared.contracts.schedules import Deletion, Schedule
from shared.contracts.views import BackupItem, OperationItem

QUIET: Final[Mapping[bool, timedelta]] = {False: timedelta(seconds=1), True: timedelta(seconds=10)}
"""How long a schedule stays at least, without and with its backups: what was begun before is heard of by then."""
UNHEARD: Final = timedelta(seconds=60)
"""How long it stays with its backups while a slot that was due lacks its decision: whoever decides may have read the schedule
before, and goes by what was read for half a minute."""
_ABOUT: Final = timedelta(seconds=5)
"""How far the clock of whoever decides slots may be ahead of ours."""
MOST_ERRORS: Final = 100
_INSTANT: Final = timedelta(milliseconds=1)
LINGERS: Final = timedelta(seconds=60)
"""How long a backup may still be shown after its deletion has ended well; then it is there again."""
PATIENCE: Final = "168h"
"""How long each deletion waits for a cluster that is away."""

_UNANSWERED: Final = frozenset({OperationState.QUEUED, OperationState.ACCEPTED})
_ALREADY: Final = frozenset({BackupStatus.CREATING, BackupStatus.DELETING})
"""Statuses of backups that are not deleted now: one has not ended, or is being deleted on somebody else's behalf."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do now: ask for these deletions (operation id → backup id), and note what went wrong."""

    ask: Mapping[str, str]
    errors: list[str]


def deletions(schedule: Schedule, deletion: Deletion, backups: Sequence[BackupItem]) -> dict[str, str]:
    """Return the operations that delete these backups in this attempt: operation id → backup id."""
    return {ids.schedule_deletion_id(schedule.id, deletion.attempt, backup.id): backup.id for backup in backups}


def judge(
    schedule: Schedule,
    deletion: Deletion,
    backups: Sequence[BackupItem],
    operations: Mapping[str, OperationItem],
    ended_since: Mapping[str, datetime],
    now: datetime,
) -> Verdict:
    """Judge the backups of a schedule that are still there, by the deletions that have been asked for.

    `ended_since`: of those that have ended well (operation id), since when that is known.
    """
    by_id = {backup.id: backup for backup in backups}
    ask: dict[str, str] = {}
    errors: list[str] = []
    for operation_id, backup_id in deletions(schedule, deletion, backups).items():
        operation, backup = operations.get(operation_id), by_id[backup_id]
        if operation is None:
            if backup.status not in _ALREADY:
                ask[operation_id] = backup_id
        elif operation.state is OperationState.SUCCEEDED:
            if now >= ended_since.get(operation_id, now) + LINGERS:
                errors.append(f"Backup {backup.name}: was deleted and is there again; Velero may have found it in its storage.")
        elif (words := _trouble(operation, backup)) is not None:
            errors.append(words)
    return Verdict(ask, noted(deletion, errors))


def noted(deletion: Deletion, words: Sequence[str]) -> list[str]:
    """Return what is known to have gone wrong, with what has gone wrong now."""
    return list(dict.fromkeys([*deletion.errors, *words]))[:MOST_ERRORS]


def _trouble(operation: OperationItem, backup: BackupItem) -> str | None:
    """Return why a deletion has not come to its end; None while it may, or if the backup had gone already."""
    no = operation.refusal
    if operation.state in _UNANSWERED or (no is not None and no.code == Code.BACKUP_GONE):
        return None
    if operation.state is OperationState.EXPIRED:
        return f"Backup {backup.name}: cluster {backup.cluster} has not answered for {PATIENCE}."
    return f"Backup {backup.name}: {no.detail if no is not None else 'no reason is given.'}"


def may_go(schedule: Schedule, deletion: Deletion, decided_to: datetime | None, now: datetime) -> bool:
    """Tell whether it has been on its way for long enough. `decided_to`: its last slot that was decided; None if none was."""
    if now < deletion.at + QUIET[deletion.delete_backups]:
        return False
    if not deletion.delete_backups or now >= deletion.at + UNHEARD:
        return True
    since = schedule.created_at if decided_to is None else decided_to + _INSTANT
    undecided = next(slots.upcoming(schedule, since), None)
    return undecided is None or schedule.due(undecided) > deletion.at + _ABOUT
