"""What people see of a backup: a pure view over the objects of one identity, what was asked for, and now."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from services.status import measurements, saying
from services.status.backups.lives import Life, life_of, recheck_at, status
from services.status.clusters.projection import SILENCE
from services.status.objects import Record, newest
from services.status.operations import answers, deletions, orders
from services.status.operations.deletions import Deletion
from services.status.rows import SHOWS, Facts, Limits, Row
from services.status.values import instant, storable, strings, whole
from shared.contracts import ids
from shared.contracts.documents import from_document, to_document
from shared.contracts.names import (
    ANNOTATION_CREATED_BY,
    ANNOTATION_SCOPE,
    ANNOTATION_SLOT,
    LABEL_SCHEDULE_ID,
    LABEL_VELERO_SCHEDULE,
    Noun,
)
from shared.contracts.phases import UNLISTED, BackupStatus, Outcome
from shared.contracts.views import BackupItem, Creator, Progress, ScheduleRef

_GC_FAILURE: Final = "velero.io/gc-failure"
_GC_FAILURES: Final = {
    "BSLNotFound": "its storage location is gone",
    "BSLCannotGet": "its storage location cannot be read",
    "BSLReadOnly": "its storage location is read-only",
    "BSLUnavailable": "its storage location is not available",
}
_EVERYTHING: Final = "*"


@dataclass(frozen=True, slots=True)
class Around:
    """What is known around a backup: whether it is a copy, how its Velero is silent, and which of its texts are kept."""

    replica: bool = False
    silence: str | None = None
    captured: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What a view is made of: the objects of a backup, all records about it, what was asked for, and what is around it."""

    id: str
    objects: Sequence[Record]
    records: Sequence[Record]
    facts: Facts
    around: Around
    deletions: Sequence[Deletion] = ()


def backup(
    backup_id: str, records: Sequence[Record], facts: Facts, *, now: datetime, limits: Limits, around: Around = Around()
) -> Row | None:
    """Return what people see of a backup; None when there is nothing to see.

    `facts` are those of the operation of the same id. A view that cannot be computed is replaced by one of what can: one odd
    object must not hide, or stop, all others.
    """
    facts = facts if orders.makes(Noun.BACKUP, facts) else {}
    objects = [r for r in records if r.noun == Noun.BACKUP]
    if not objects and not facts.get("command"):
        return None
    known = Known(backup_id, objects, records, facts, around)
    try:
        shown = newest(objects)
        known = replace(known, deletions=deletions.deletions(shown, records, now, limits) if shown else ())
        life = life_of(objects, known.deletions, facts, now, limits)
        recheck = recheck_at(life, objects, known.deletions, facts, limits)
    except Exception as error:  # noqa: BLE001 - whatever odd values can do
        return _minimal(known, Life(now), None, error)
    try:
        return _seen(known, shown, life, recheck) if shown else _asked_for(known, life, recheck)
    except Exception as error:  # noqa: BLE001 - as above
        return _minimal(known, life, recheck, error)


def _seen(known: Known, shown: Record, life: Life, recheck: datetime | None) -> Row:
    """Return the row of a backup of which there are, or were, objects."""
    records, asked = known.objects, known.facts.get("command") or {}
    labels, created, started = shown.labels, [r.created_at for r in records], instant(shown.status.get("startTimestamp"))
    schedule, slot = _schedule(labels, asked), instant(shown.annotations.get(ANNOTATION_SLOT)) or asked.get("slot")
    problems, failure, shortened = saying.complaints(shown)
    measured = measurements.measurement(shown, known.records, life.outcome)
    why, why_truncated = measurements.why(measured, life.outcome, failure, problems)
    item = BackupItem(
        id=known.id,
        previous_ids=_aliases(known),
        name=shown.name,
        cluster=shown.cluster,
        namespace=shown.namespace,
        created_by=_creator(schedule, slot, asked.get("principal") or shown.annotations.get(ANNOTATION_CREATED_BY)),
        status=status(life),
        outcome=life.outcome,
        phase=shown.phase,
        reason=_reason(known, shown, life, next(iter(problems), None) or failure),
        # What was synced from a bucket is younger, as an object, than its own start.
        created_at=asked.get("at") or min((m for m in (*created, started) if m), default=None),
        started_at=started,
        completed_at=instant(shown.status.get("completionTimestamp")),
        expires_at=life.expires_at,
        size=measured.size,
        storage_location=shown.location or _spec(asked).get("storageLocation"),
        schedule=schedule,
        labels=saying.own_labels(labels),
        warnings=saying.count(shown, "warnings", ended=life.outcome is not None),
        errors=saying.count(shown, "errors", ended=life.outcome is not None),
        progress=_progress(shown),
        queue_position=whole(shown.status.get("queuePosition")),
        replica=known.around.replica,
        present=any(r.gone_at is None for r in records),
    )
    chosen = strings(shown.spec.get("includedNamespaces"))
    detail = _detail(
        operation_id=shown.operation,
        scope=from_document(asked["scope"]) if asked else _annotated_scope(shown),
        resolved_namespaces=chosen if chosen and _EVERYTHING not in chosen else None,
        requested_spec=_spec(asked) or None,
        spec=dict(shown.spec) or None,
        validation_errors=problems,
        failure_reason=failure,
        slot=slot,
        truncated=shortened or any(r.truncated for r in records),
        unreadable=shown.unreadable,
        hook_status=saying.hooks(shown),
        notices=(known.facts.get("accepted") or {}).get("notices") or (),
        volumes=measured.volumes,
        volumes_truncated=measured.volumes_truncated,
        why=why,
        why_truncated=why_truncated,
        deletion=known.deletions[-1].view.model_dump(by_alias=True) if known.deletions else None,
        captured=known.around.captured,
        measured_at=measured.at,
    )
    return _row(item, detail, known, recheck)


def _asked_for(known: Known, life: Life, recheck: datetime | None) -> Row:
    """Return the row of a backup that no cluster has shown yet: asked for, refused, or too late."""
    asked, no = known.facts["command"], answers.refusal(known.facts)
    schedule, slot = _schedule({}, asked), asked.get("slot")
    item = BackupItem(
        id=known.id,
        name=asked["name"],
        cluster=known.facts["cluster"],
        created_by=_creator(schedule, slot, asked["principal"]),
        status=status(life),
        reason=saying.in_short((no.detail if no else None) or (saying.UNANSWERED if life.ran_out else None)),
        created_at=asked["at"],
        storage_location=_spec(asked).get("storageLocation"),
        schedule=schedule,
        labels=from_document(asked["labels"], name="labels"),
    )
    scope, spec = from_document(asked["scope"]), _spec(asked) or None
    detail = _detail(operation_id=known.id, scope=scope, requested_spec=spec, slot=slot)
    return _row(item, detail, known, recheck)


def _minimal(known: Known, life: Life, recheck: datetime | None, error: Exception) -> Row:
    """Return the row of a backup whose values none of the above understands: that it is there, and why that is all."""
    shown, problem = newest(known.objects), f"not understood: {error!r}"[: saying.REASON_LIMIT]
    item = BackupItem(
        id=known.id,
        previous_ids=_aliases(known),
        name=shown.name if shown else str(known.facts["command"].get("name")),
        cluster=shown.cluster if shown else known.facts["cluster"],
        namespace=shown.namespace if shown else None,
        created_by=Creator(kind="User" if shown is None or shown.operation else "External"),
        status=status(life),
        outcome=life.outcome,
        phase=life.phase,
        reason=(shown.unreadable if shown else None) or problem,
        schedule=_schedule(shown.labels if shown else {}, known.facts.get("command") or {}),
        replica=known.around.replica,
        present=any(r.gone_at is None for r in known.objects),
    )
    operation = shown.operation if shown else known.id
    return _row(item, _detail(operation_id=operation, unreadable=problem), known, recheck)


def _row(item: BackupItem, detail: dict[str, Any], known: Known, recheck: datetime | None) -> Row:
    told = [max(r.observed_at, r.gone_at or r.observed_at) for r in known.records] if known.objects else []
    return Row(
        cluster=item.cluster,
        item=item,
        listed=item.status not in UNLISTED,
        recheck_at=recheck,
        as_of=max(told, default=None) or known.facts["command"]["at"],
        more={
            "aliases": item.previous_ids,
            "owner": shown.owner if (shown := newest(known.objects)) else None,
            "uids": sorted({r.uid for r in known.objects}),
            SHOWS: _shows(item),
            "deletions": [each.verdict_document for each in known.deletions],
            SILENCE: known.around.silence if known.objects and item.phase is None else None,
            "detail": to_document(detail),
        },
    )


def _shows(item: BackupItem) -> list[Any] | None:
    """Return all of a backup that makes its schedule show something else; None when it has no schedule."""
    if item.schedule is None:
        return None
    row_id = item.schedule.id or ids.velero_schedule_id(item.cluster, item.schedule.name)
    return [row_id, item.status.value, item.outcome, item.replica, item.namespace is not None, item.created_at]


def _detail(
    *,
    operation_id: str | None,
    scope: dict[str, Any] | None = None,
    resolved_namespaces: list[str] | None = None,
    requested_spec: dict[str, Any] | None = None,
    spec: dict[str, Any] | None = None,
    validation_errors: Sequence[str] = (),
    failure_reason: str | None = None,
    slot: datetime | None = None,
    truncated: bool = False,
    unreadable: str | None = None,
    hook_status: dict[str, int] | None = None,
    notices: Sequence[dict[str, Any]] = (),
    volumes: list[Any] | None = None,
    volumes_truncated: bool = False,
    why: Sequence[dict[str, Any]] = (),
    why_truncated: bool = False,
    deletion: dict[str, Any] | None = None,
    captured: Sequence[str] = (),
    measured_at: datetime | None = None,
) -> dict[str, Any]:
    """Return what is shown of one backup, beside what a list shows of it (BackupDetail)."""
    return {
        "operationId": operation_id,
        "scope": scope,
        "resolvedNamespaces": resolved_namespaces,
        "requestedSpec": requested_spec,
        "spec": spec,
        "validationErrors": list(validation_errors),
        "failureReason": failure_reason,
        "slot": slot,
        "truncated": truncated,
        "unreadable": unreadable,
        "hookStatus": hook_status,
        "notices": list(notices),
        "volumes": volumes,
        "volumesTruncated": volumes_truncated,
        "why": list(why),
        "whyTruncated": why_truncated,
        "deletion": deletion,
        "captured": list(captured),
        "measuredAt": measured_at,
    }


def _aliases(known: Known) -> list[str]:
    return sorted({each for r in known.objects for each in r.known_as} - {known.id})


def _creator(schedule: ScheduleRef | None, slot: datetime | None, person: str | None) -> Creator:
    """Return who caused a backup: of Leeward's schedules each backup has a slot, unless a person made it from one."""
    if schedule and slot:
        return Creator(kind="Schedule", name=schedule.name)
    if person:
        return Creator(kind="User", name=person)
    return Creator(kind="Schedule", name=schedule.name) if schedule and not schedule.id else Creator(kind="External")


def _schedule(labels: dict[str, str], asked: Facts) -> ScheduleRef | None:
    """Return the schedule that a backup is of: as its cluster shows it, else as it was asked for."""
    schedule, name = labels.get(LABEL_SCHEDULE_ID), labels.get(LABEL_VELERO_SCHEDULE)
    if not schedule and not name:
        schedule, name = asked.get("schedule"), asked.get("scheduleName")
    return ScheduleRef(id=schedule, name=name or schedule or "") if schedule or name else None


def _reason(known: Known, shown: Record, life: Life, failure: str | None) -> str | None:
    """Say in one short sentence what a person should know first."""
    errors = saying.errors(saying.count(shown, "errors", ended=life.outcome is not None))
    stuck = shown.labels.get(_GC_FAILURE) if life.expired(life.now) and life.went_at is None else None
    sentence = (
        (deletions.reason(known.deletions) if life.went_at is None else None)
        or shown.unreadable
        or (f"Velero cannot delete it: {_GC_FAILURES.get(stuck, stuck)}" if stuck else None)
        or failure
        or (known.around.silence if life.phase is None and status(life) is BackupStatus.CREATING else None)
        or (errors if life.outcome is Outcome.PARTIALLY_FAILED else None)
    )
    return saying.in_short(sentence)


def _progress(shown: Record) -> Progress | None:
    told = saying.progress(shown, "itemsBackedUp")
    return Progress.read(told) if told else None


def _spec(asked: Facts) -> dict[str, Any]:
    return from_document(asked["spec"]) if asked else {}


def _annotated_scope(shown: Record) -> dict[str, Any] | None:
    try:
        scope = json.loads(shown.annotations.get(ANNOTATION_SCOPE, ""))
    except (ValueError, RecursionError):
        return None
    return storable(scope) if isinstance(scope, dict) else None
