"""What people see of a Schedule of Velero's own, found in a cluster: read-only, and as Velero tells it. Pure."""

import re
from collections.abc import Sequence
from typing import Final

from services.status.objects import Record, newest
from services.status.rows import Row
from services.status.schedules.projection import Around, counts, location, status
from services.status.values import cut, instant, mapping, strings, text
from shared.contracts.documents import to_document
from shared.contracts.phases import ScheduleStatus
from shared.contracts.reasons import ReasonCode, ScheduleReason, reason
from shared.contracts.views import ScheduleItem
from shared.cron.words import in_words

_FAILED: Final = "FailedValidation"
_ZONE: Final = re.compile(r"(?:CRON_TZ|TZ)=(\S+)\s+(.*)", re.DOTALL)
_MOST_REASONS, _LONGEST_REASON, _LONGEST_CRON = 100, 1024, 256


def velero_schedule(schedule_id: str, records: Sequence[Record], around: Around) -> Row | None:
    """Return what people see of a Schedule of that id; None when no object was ever seen.

    When it fires next only Velero knows: its ticks are its own.
    """
    shown = newest(records)
    if shown is None:
        return None
    made, reasons, paused = around.made, _reasons(shown), shown.spec.get("paused") is True
    last = instant(shown.status.get("lastBackup"))
    template, (zone, cron) = mapping(shown.spec.get("template")), _timetable(shown)
    gone = shown.gone_at is not None
    item = ScheduleItem(
        id=schedule_id,
        name=shown.name,
        cluster=shown.cluster,
        managed_by="Velero",
        description=shown.unreadable or "",
        status=ScheduleStatus.DELETED if gone else status(reasons, paused=paused, made=made.any or last is not None),
        reasons=reasons,
        storage_location=location(text(template.get("storageLocation")), around.ground),
        cron=cron,
        cron_text=in_words(cron),
        timezone=zone,
        last_backup_at=made.last_at or last,
        last_backup=made.last,
        last_skipped_at=instant(shown.status.get("lastSkipped")),
        paused=paused,
        counts=counts(made, around.decided),
        created_at=shown.created_at,
    )
    return Row(
        cluster=shown.cluster,
        item=item,
        listed=not gone,
        as_of=max(r.gone_at or r.observed_at for r in records),
        more={
            "version": None,
            "ground": around.ground.fingerprint,
            "namespaces": None,
            "detail": {"veleroTemplate": to_document(template)},
        },
    )


def _timetable(shown: Record) -> tuple[str, str]:
    """Return the time zone and the expression: Velero has both in one text."""
    said = cut(shown.spec.get("schedule"), _LONGEST_CRON) or ""
    named = _ZONE.fullmatch(said)
    return (named[1], named[2]) if named else ("UTC", said)


def _reasons(shown: Record) -> list[ScheduleReason]:
    """Return why Velero refuses it, in its own words."""
    if shown.phase != _FAILED:
        return []
    told = [short for each in strings(shown.status.get("validationErrors")) if (short := cut(each, _LONGEST_REASON))]
    return [reason(ReasonCode.REFUSED_BY_VELERO, message=each) for each in told[:_MOST_REASONS] or ["Velero gives no reason."]]
