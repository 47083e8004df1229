"""What people see of a schedule: a pure view over what is wanted, its cluster, the backups it made, its slots, and now."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import Any, Final

from services.status.rows import Facts, Row, after
from services.status.schedules.grounds import Ground, chosen
from services.status.schedules.validity import Namespaces, needs_namespaces, validate
from shared.contracts.documents import from_document
from shared.contracts.phases import Outcome, ScheduleStatus
from shared.contracts.reasons import ScheduleReason
from shared.contracts.schedules import Schedule
from shared.contracts.views import BackupRef, ScheduleCounts, ScheduleItem, ScheduleLocation
from shared.cron.course import course
from shared.cron.words import in_words

BESIDE: Final = ("version", "ground", "namespaces", "detail")
"""The keys of a schedule's row beside the item: the version of what is wanted, what it was judged by (the fingerprint of its
ground, and the digest of the namespaces if they matter to it), and what is shown of one schedule only."""

_DECIDED: Final = timedelta(seconds=2)
"""How long after a slot was due the row is computed again, at the latest: so much may the scheduler take to decide."""
_MOST_SKIPPED: Final = 10_000
"""So many slots are looked at to find one that will run."""
_HORIZON: Final = timedelta(days=30 * 366)
"""How far ahead they are looked for: 29 February comes within 8 years, and a thousand of them would take seconds to find."""


@dataclass(frozen=True, slots=True)
class Made:
    """The backups of a schedule that are no copies.

    `any`: a cluster has shown at least one, and `last_at` is when the newest of these was made. `last`: the newest that is in
    the lists, also if it is only asked for. `outcomes`: how many ended how.
    """

    any: bool = False
    last_at: datetime | None = None
    last: BackupRef | None = None
    outcomes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decided:
    """The slots that did not run: how many were missed, how many skipped, the newest of these, how many obeyed which wish."""

    missed: int = 0
    skipped: int = 0
    last_skipped_at: datetime | None = None
    obeyed: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Around:
    """What is known around a schedule. `namespaces` is None when they are not all known, or do not matter."""

    ground: Ground = field(default_factory=Ground)
    namespaces: Namespaces | None = None
    made: Made = field(default_factory=Made)
    decided: Decided = field(default_factory=Decided)


def schedule(wanted: Schedule, around: Around, now: datetime) -> Row:
    """Return what people see of a schedule of Leeward's."""
    reasons, made, decided = validate(wanted, around.ground, around.namespaces), around.made, around.decided
    obeyed = decided.obeyed.get(wanted.skip.id, 0) if wanted.skip else 0
    skip_next = max(0, wanted.skip.count - obeyed) if wanted.skip else 0
    within = takewhile(lambda moment: moment < now + _HORIZON, due(wanted, now))
    coming = [] if wanted.paused or wanted.deleting else list(islice(within, 1 + min(skip_next, _MOST_SKIPPED)))
    item = ScheduleItem(
        id=wanted.id,
        name=wanted.name,
        cluster=wanted.cluster,
        description=wanted.description,
        status=status(reasons, paused=wanted.paused, made=made.any),
        reasons=reasons,
        storage_location=location(wanted.template.spec.storage_location, around.ground),
        cron=wanted.cron,
        cron_text=in_words(wanted.cron),
        timezone=wanted.timezone,
        next_run_at=_next_run(wanted, coming, skip_next),
        last_backup_at=made.last_at,
        last_backup=made.last,
        last_skipped_at=decided.last_skipped_at,
        skip_next=skip_next,
        paused=wanted.paused,
        spread=wanted.spread,
        starting_deadline=wanted.starting_deadline,
        misfire=wanted.misfire,
        concurrency_policy=wanted.concurrency_policy,
        delete_backups_on_deletion=wanted.delete_backups_on_deletion,
        counts=counts(made, decided),
        deleting=wanted.deleting,
        version=wanted.version,
        created_by=wanted.created_by,
        created_at=wanted.created_at,
    )
    # Also of a slot that will be skipped something is to be told, once it is due.
    recheck = after(coming[0], _DECIDED) if coming else None
    needed = around.ground.spaces if needs_namespaces(wanted.template.scope) else None
    more = {"version": wanted.version, "ground": around.ground.fingerprint, "namespaces": needed, "detail": None}
    return Row(cluster=wanted.cluster, item=item, recheck_at=recheck, more=more)


def gone(known: Facts) -> Row:
    """Return the row of a schedule that nobody wants any more."""
    item = ScheduleItem.read(from_document(known["item"]))
    nothing_to_come: dict[str, Any] = {"reasons": [], "next_run_at": None, "skip_next": 0, "deleting": None}
    left = item.model_copy(update={"status": ScheduleStatus.DELETED, **nothing_to_come})
    return Row(cluster=known["cluster"], item=left, listed=False, more={key: known[key] for key in BESIDE})


def kept(known: Facts) -> Row:
    """Return a row as it is, for a schedule of which nothing can be said now; time alone does not change that."""
    item = ScheduleItem.read(from_document(known["item"]))
    return Row(cluster=known["cluster"], item=item, listed=known["listed"], more={key: known[key] for key in BESIDE})


def status(reasons: Sequence[ScheduleReason], *, paused: bool, made: bool) -> ScheduleStatus:
    """Return the status that people see. First match wins (architecture, section 4)."""
    if reasons:
        return ScheduleStatus.FAILED_VALIDATION
    if paused:
        return ScheduleStatus.PAUSED
    return ScheduleStatus.ACTIVE if made else ScheduleStatus.NEW


def due(wanted: Schedule, now: datetime) -> Iterator[datetime]:
    """Yield when the slots after now are due, the soonest first; none when no timetable can be read.

    Which slots there are was decided by the timetable in force at the slot: with a spread, an earlier one may still have some.
    """
    return (wanted.due(slot) for slot in course(wanted.eras).onwards(now - wanted.offset))


def _next_run(wanted: Schedule, coming: Sequence[datetime], skip_next: int) -> datetime | None:
    """Return the first of the slots to come that the wish to skip some leaves."""
    for moment in coming:
        if not (skip_next and wanted.skip and moment >= wanted.skip.not_before):
            return moment
        skip_next -= 1
    return None


def location(wanted: str | None, ground: Ground) -> ScheduleLocation:
    """Return where the backups go, as far as it is known."""
    found = chosen(wanted, ground.locations)
    return (
        ScheduleLocation(name=found.name, provider=found.provider, bucket=found.bucket)
        if found
        else ScheduleLocation(name=wanted)
    )


def counts(made: Made, decided: Decided) -> ScheduleCounts:
    """Count the backups by how they ended, and the slots that did not run."""
    completed, partial, failed = (made.outcomes.get(outcome, 0) for outcome in Outcome)
    return ScheduleCounts(
        completed=completed, partially_failed=partial, failed=failed, missed=decided.missed, skipped=decided.skipped
    )
