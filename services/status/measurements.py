"""What was found out about a backup or a restore that has ended: how large, what became of what, and why it failed. Pure.

What is not known is None, never 0.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from services.status.objects import FOUND, Record
from services.status.values import mapping, storable, whole
from shared.contracts.events import RestoreCounts
from shared.contracts.names import Noun
from shared.contracts.phases import PHASE_OUTCOME, Outcome
from shared.contracts.views import Size

_MOST_CAUSES: Final = 20
_MEASURED_AS: Final[dict[str, Noun]] = {Noun.BACKUP: Noun.MEASUREMENT, Noun.RESTORE: Noun.RESTORE_MEASUREMENT}


@dataclass(frozen=True, slots=True)
class Measurement:
    """The newest of what was found out; everything unknown if nothing was. A backup has sizes and volumes, a restore counts."""

    at: datetime | None = None
    size: Size = field(default_factory=Size)
    volumes: list[Any] | None = None
    volumes_truncated: bool = False
    counts: RestoreCounts = field(default_factory=RestoreCounts)
    causes: list[Any] = field(default_factory=list)
    causes_truncated: bool = False


def measurement(shown: Record, records: Sequence[Record], outcome: Outcome | None) -> Measurement:
    """Return what was found out about a backup, or a restore, with that outcome.

    What was found when it had another one is of another backup, as it were: Failed may become Completed.
    """
    held = [r for r in records if r.noun == _MEASURED_AS[shown.noun] and r.cluster == shown.cluster]
    held = [r for r in held if r.phase is None or PHASE_OUTCOME.get(r.phase) == outcome]
    newest = max(held, key=lambda r: (r.order, r.uid), default=None)
    if newest is None:
        return Measurement()
    found = mapping(newest.object.get(FOUND))
    volumes, causes = found.get("volumes"), found.get("causes")
    return Measurement(
        at=newest.observed_at,
        size=_size(found),
        volumes=volumes if isinstance(volumes, list) else None,
        volumes_truncated=found.get("volumesTruncated") is True,
        counts=_counts(found),
        causes=causes if isinstance(causes, list) else [],
        causes_truncated=found.get("causesTruncated") is True,
    )


def _size(found: Mapping[str, Any]) -> Size:
    metadata, volumes = whole(found.get("metadataBytes")), whole(found.get("volumeBytes"))
    total = None if metadata is None or volumes is None else whole(storable(metadata + volumes))
    return Size(metadata_bytes=metadata, volume_bytes=volumes, total_bytes=total)


def _counts(found: Mapping[str, Any]) -> RestoreCounts:
    told = mapping(found.get("counts"))
    return RestoreCounts(**{name: whole(told.get(name)) for name in RestoreCounts.model_fields})


def why(measured: Measurement, outcome: Outcome | None, failure: str | None, problems: Sequence[str]) -> tuple[list[Any], bool]:
    """Return why work did not end well, and whether there is more: as measured, else as Velero's object says it."""
    if outcome is Outcome.COMPLETED:
        return [], False
    if measured.causes:
        return measured.causes, measured.causes_truncated
    told = Counter([failure] if failure else problems)
    causes = [{"message": message, "count": count} for message, count in told.most_common(_MOST_CAUSES)]
    return causes, len(told) > _MOST_CAUSES
