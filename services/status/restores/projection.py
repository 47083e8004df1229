"""What people see of a restore: a pure view over its objects, what was asked for, and now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.status import measurements, saying
from services.status.clusters.projection import SILENCE
from services.status.objects import Record, newest
from services.status.operations import answers, orders
from services.status.restores.lives import VANISHED, Life, Removal, life_of, recheck_at, removals, status
from services.status.rows import Facts, Limits, Row
from services.status.values import instant, text
from shared.contracts.documents import from_document, to_document
from shared.contracts.names import (
    ANNOTATION_CREATED_BY,
    LABEL_BACKUP_CLUSTER,
    LABEL_BACKUP_ID,
    LABEL_SCHEDULE_ID,
    LABEL_VELERO_SCHEDULE,
    Noun,
)
from shared.contracts.phases import UNLISTED_RESTORES, Outcome, RestoreStatus
from shared.contracts.views import Creator, RestoreItem, RestoreProgress, RestoreSource, ScheduleRef


@dataclass(frozen=True, slots=True)
class Around:
    """What is known around a restore: how its Velero is silent, which of its texts are kept, and who wants it deleted."""

    silence: str | None = None
    captured: Sequence[str] = ()
    removals: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What a view is made of: the objects of a restore, all records about it, what was asked for, and what is around it."""

    id: str
    objects: Sequence[Record]
    records: Sequence[Record]
    facts: Facts
    around: Around


def restore(
    restore_id: str, records: Sequence[Record], facts: Facts, *, now: datetime, limits: Limits, around: Around = Around()
) -> Row | None:
    """Return what people see of a restore; None when there is nothing to see.

    `facts` are those of the operation of the same id. A view that cannot be computed is replaced by one of what can.
    """
    facts = facts if orders.makes(Noun.RESTORE, facts) else {}
    objects = [r for r in records if r.noun == Noun.RESTORE]
    shown = newest(objects)
    if shown is None and not facts.get("command"):
        return None
    known = Known(restore_id, objects, records, facts, around)
    try:
        removed = removals(around.removals, shown.cluster if shown else facts["cluster"], now, limits)
        life = life_of(records, removed, facts, now, limits)
        recheck = recheck_at(life, records, removed, facts, now, limits)
    except Exception as error:  # noqa: BLE001 - whatever odd values can do
        return _minimal(known, Life(), None, error)
    try:
        return _seen(known, shown, life, removed, recheck) if shown else _asked_for(known, life, recheck)
    except Exception as error:  # noqa: BLE001 - as above
        return _minimal(known, life, recheck, error)


def _seen(known: Known, shown: Record, life: Life, removed: Sequence[Removal], recheck: datetime | None) -> Row:
    """Return the row of a restore of which there are, or were, objects."""
    asked, labels, ended = known.facts.get("command") or {}, shown.labels, life.outcome is not None
    problems, failure, shortened = saying.complaints(shown)
    measured = measurements.measurement(shown, known.records, life.outcome)
    why, why_truncated = measurements.why(measured, life.outcome, failure, problems)
    progress = saying.progress(shown, "itemsRestored")
    person = asked.get("principal") or shown.annotations.get(ANNOTATION_CREATED_BY)
    item = RestoreItem(
        id=known.id,
        name=shown.name,
        cluster=shown.cluster,
        namespace=shown.namespace,
        backup=_source(shown, asked),
        schedule=_schedule(labels, asked),
        created_by=Creator(kind="User", name=person) if person else Creator(kind="External"),
        status=status(life),
        outcome=life.outcome,
        phase=shown.phase,
        reason=_reason(known, shown, life, removed, next(iter(problems), None) or failure),
        created_at=asked.get("at") or min((r.created_at for r in known.objects if r.created_at), default=None),
        started_at=instant(shown.status.get("startTimestamp")),
        completed_at=instant(shown.status.get("completionTimestamp")),
        labels=saying.own_labels(labels),
        warnings=saying.count(shown, "warnings", ended=ended),
        errors=saying.count(shown, "errors", ended=ended),
        progress=RestoreProgress.read(progress) if progress else None,
        present=any(r.gone_at is None for r in known.objects),
    )
    detail = _detail(known, shown.operation) | {
        "spec": dict(shown.spec) or None,
        "validationErrors": problems,
        "failureReason": failure,
        "truncated": shortened or any(r.truncated for r in known.objects),
        "unreadable": shown.unreadable,
        "hookStatus": saying.hooks(shown),
        "counts": measured.counts,
        "why": why,
        "whyTruncated": why_truncated,
        "measuredAt": measured.at,
    }
    return _row(item, detail, known, recheck)


def _asked_for(known: Known, life: Life, recheck: datetime | None) -> Row:
    """Return the row of a restore that no cluster has shown yet: asked for, refused, or too late."""
    asked, no = known.facts["command"], answers.refusal(known.facts)
    item = RestoreItem(
        id=known.id,
        name=asked["name"],
        cluster=known.facts["cluster"],
        backup=RestoreSource.read(asked["source"]),
        schedule=_schedule({}, asked),
        created_by=Creator(kind="User", name=asked["principal"]),
        status=status(life),
        reason=saying.in_short((no.detail if no else None) or (saying.UNANSWERED if life.ran_out else _step(known.facts))),
        created_at=asked["at"],
        labels=from_document(asked["labels"], name="labels"),
    )
    return _row(item, _detail(known, known.id), known, recheck)


def _step(facts: Facts) -> str | None:
    """Return how far the way to the backup is, as it was told last."""
    steps = facts.get("steps") or ()
    return str(steps[-1]["detail"]) if steps else None


def _minimal(known: Known, life: Life, recheck: datetime | None, error: Exception) -> Row:
    """Return the row of a restore whose values none of the above understands: that it is there, and why that is all."""
    shown, problem = newest(known.objects), f"not understood: {error!r}"[: saying.REASON_LIMIT]
    item = RestoreItem(
        id=known.id,
        name=shown.name if shown else str(known.facts["command"].get("name")),
        cluster=shown.cluster if shown else known.facts["cluster"],
        namespace=shown.namespace if shown else None,
        created_by=Creator(kind="User" if shown is None or shown.operation else "External"),
        status=status(life),
        outcome=life.outcome,
        phase=life.phase,
        reason=(shown.unreadable if shown else None) or problem,
        present=any(r.gone_at is None for r in known.objects),
    )
    detail = _detail(known, shown.operation if shown else known.id)
    return _row(item, detail | {"requestedSpec": None, "modifiers": None, "unreadable": problem}, known, recheck)


def _row(item: RestoreItem, detail: dict[str, Any], known: Known, recheck: datetime | None) -> Row:
    told = [max(r.observed_at, r.gone_at or r.observed_at) for r in known.records] if known.objects else []
    return Row(
        cluster=item.cluster,
        item=item,
        listed=item.status not in UNLISTED_RESTORES,
        recheck_at=recheck,
        as_of=max(told, default=None) or known.facts["command"]["at"],
        more={
            "aliases": sorted({each for r in known.objects for each in r.known_as} - {known.id}),
            "uids": sorted({r.uid for r in known.objects}),
            SILENCE: known.around.silence if known.objects and item.phase is None else None,
            "detail": to_document(detail),
        },
    )


def _detail(known: Known, operation_id: str | None) -> dict[str, Any]:
    """Return what is shown of one restore, beside what a list shows of it (RestoreDetail), as far as nobody has shown it."""
    asked = known.facts.get("command") or {}
    return {
        "operationId": operation_id,
        "requestedSpec": from_document(asked.get("spec")),
        "modifiers": from_document(asked.get("modifiers")),
        "spec": None,
        "validationErrors": [],
        "failureReason": None,
        "truncated": False,
        "unreadable": None,
        "hookStatus": None,
        "notices": list((known.facts.get("accepted") or {}).get("notices") or ()),
        "findings": list(asked.get("findings") or ()),
        "steps": [{key: step[key] for key in ("step", "detail", "at")} for step in known.facts.get("steps") or ()],
        "counts": measurements.Measurement().counts,
        "why": [],
        "whyTruncated": False,
        "captured": list(known.around.captured),
        "measuredAt": None,
    }


def _source(shown: Record, asked: Facts) -> RestoreSource:
    """Return the backup that is restored: as its labels name it, else as was asked for, else by the name that Velero has."""
    wanted, labels = asked.get("source") or {}, shown.labels if shown.operation else {}
    return RestoreSource(
        id=labels.get(LABEL_BACKUP_ID) or wanted.get("id"),
        name=text(shown.spec.get("backupName")) or wanted.get("name"),
        cluster=labels.get(LABEL_BACKUP_CLUSTER) or wanted.get("cluster"),
    )


def _schedule(labels: Mapping[str, str], asked: Facts) -> ScheduleRef | None:
    """Return the schedule whose latest good backup was asked for, if it was asked for so."""
    schedule, name = labels.get(LABEL_SCHEDULE_ID), labels.get(LABEL_VELERO_SCHEDULE)
    if schedule or name:
        return ScheduleRef(id=schedule, name=name or schedule or "")
    wanted = asked.get("latestOf")
    return ScheduleRef.read(wanted) if wanted else None


def _reason(known: Known, shown: Record, life: Life, removed: Sequence[Removal], failure: str | None) -> str | None:
    """Say in one short sentence what a person should know first."""
    errors = saying.errors(saying.count(shown, "errors", ended=life.outcome is not None))
    trouble = removed[-1].trouble if removed and not life.gone else None
    sentence = (
        (trouble if not life.removing else None)
        or shown.unreadable
        or failure
        or (VANISHED if life.gone and life.outcome is None and not life.removed else None)
        or (known.around.silence if life.phase is None and status(life) is RestoreStatus.RESTORING else None)
        or (errors if life.outcome is Outcome.PARTIALLY_FAILED else None)
    )
    return saying.in_short(sentence)
