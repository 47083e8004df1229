"""What became of the times that a person had a backup deleted: one request to Velero each, or several. Pure.

Velero removes the request when it has removed the backup; one that failed stays, Processed, with its errors, for a day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from services.status.objects import Record
from services.status.rows import Limits, after
from services.status.values import cut, strings, text
from shared.contracts.names import ANNOTATION_CREATED_BY, LABEL_VELERO_BACKUP_UID, Noun
from shared.contracts.views import DeletionView

LOST: Final = "Velero dropped the request and the backup is still there: ask again."
_PROCESSED: Final = "Processed"
_MOST_ERRORS, _LONGEST_ERROR = 100, 1024
_LONGEST_FAILURE: Final = 8192
"""Of each deletion of a backup this lies in its row, however many there were."""
_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)


class Verdict(StrEnum):
    """How far a deletion is. Lost: the request is gone, without a word, and the backup is not."""

    OPEN = "Open"
    DONE = "Done"
    FAILED = "Failed"
    LOST = "Lost"


@dataclass(frozen=True, slots=True)
class Deletion:
    """One request. `of` is the uid of the backup that was meant; `until`: when time alone may change the verdict."""

    operation: str
    verdict: Verdict
    errors: tuple[str, ...] = ()
    by: str | None = None
    asked_at: datetime | None = None
    of: str | None = None
    until: datetime | None = None

    def removes(self, shown: Record) -> bool:
        """Tell whether the object, when it goes, goes because of this."""
        return self.verdict is Verdict.OPEN or (self.verdict is Verdict.DONE and self.of in {None, shown.uid})

    @property
    def view(self) -> DeletionView:
        """What people see of it."""
        return DeletionView(operation_id=self.operation, by=self.by, asked_at=self.asked_at, errors=list(self.errors))

    @property
    def verdict_document(self) -> dict[str, Any]:
        """What the operation that asked for it needs to know."""
        failure = cut("; ".join(self.errors), _LONGEST_FAILURE)
        return {"operation": self.operation, "verdict": self.verdict.value, "failure": failure}


def deletions(shown: Record, records: Sequence[Record], now: datetime, limits: Limits) -> list[Deletion]:
    """Return every deletion of a backup, the first one first. `shown` is the newest of its objects."""
    backups = [r for r in records if r.noun == Noun.BACKUP]
    requests = [r for r in records if r.noun == Noun.DELETION and _is_of(r, shown)]
    requests.sort(key=lambda r: (r.created_at or _EARLIEST, r.order, r.uid))
    return [_deletion(request, backups, now, limits) for request in requests]


def _is_of(request: Record, shown: Record) -> bool:
    """Tell whether Velero would delete this backup: labels only say what was meant."""
    named = text(request.spec.get("backupName"))
    return request.cluster == shown.cluster and named in {None, shown.name}


def _deletion(request: Record, backups: Sequence[Record], now: datetime, limits: Limits) -> Deletion:
    uid = request.labels.get(LABEL_VELERO_BACKUP_UID)
    meant = [r for r in backups if r.uid == uid] or backups
    errors = strings(request.status.get("errors")) if request.phase == _PROCESSED else []
    until = after(request.gone_at, limits.gone_after)
    if errors:
        verdict = Verdict.FAILED
    elif request.gone_at is None:
        verdict = Verdict.OPEN
    elif all(r.gone_at is not None for r in meant):
        verdict = Verdict.DONE
    elif until is not None and until > now:
        verdict = Verdict.OPEN  # the word that the backup has gone is on its way
    else:
        verdict, errors = Verdict.LOST, [LOST]
    return Deletion(
        operation=request.operation or request.uid,
        verdict=verdict,
        errors=tuple(short for e in errors[:_MOST_ERRORS] if (short := cut(e, _LONGEST_ERROR))),
        by=request.annotations.get(ANNOTATION_CREATED_BY),
        asked_at=request.created_at,
        of=uid,
        until=until if verdict is Verdict.OPEN else None,
    )


def reason(found: Sequence[Deletion]) -> str | None:
    """Say why the backup is still there, if the last deletion came to nothing."""
    last = found[-1] if found else None
    if last is None or not last.errors or any(d.verdict is Verdict.OPEN for d in found):
        return None
    more = f" (and {len(last.errors) - 1} more)" if len(last.errors) > 1 else ""
    return LOST if last.verdict is Verdict.LOST else f"Velero did not delete it: {last.errors[0]}{more}"
