"""One schedule: what is wanted of it and what status has found, read together, changed by version, and waited for."""

import asyncio
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog

from services.gateway import reading
from services.gateway.ports import Ports
from services.gateway.schedules.changes import Change
from services.gateway.web.problems import FieldError, ProblemError
from shared.contracts.base import Wire
from shared.contracts.documents import Collection, from_document
from shared.contracts.phases import ScheduleStatus
from shared.contracts.schedules import Decision, Schedule, Tick
from shared.contracts.views import ScheduleDetail, ScheduleItem
from shared.cron.words import in_words
from shared.runtime import logging

log = structlog.get_logger(__name__)

Document = dict[str, Any]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ATTEMPTS: Final = 5
_PAUSES: Final = (0.02, 0.05, 0.1, 0.2)
"""Seconds between looks at a row that is not announced when it changes; the last one again and again."""
_MARGIN: Final = timedelta(seconds=1)
"""How far the clock of whoever decides slots may be from ours."""
_DECIDED_WITHIN: Final = 2.0
"""Seconds for which the decision of a slot is waited for that was due when a change was stored."""
_MOST_TICKS: Final = 1001


# ---------------------------------------------------------------------- reading


async def wanted_of(ports: Ports, schedule_id: str) -> Schedule:
    """Return what is wanted of a schedule of Leeward's own.

    Raises the problem of an id that none has, or that is one of Velero's.
    """
    document, row = await _both(ports, schedule_id)
    if document is None:
        raise _of_velero(row) if row is not None else unknown(schedule_id)
    return read(document)


async def detail_of(ports: Ports, schedule_id: str) -> ScheduleDetail:
    """Return a schedule with all that is known of it.

    Raises the problems of an id that none has, and of a record that this version cannot read.
    """
    document, row = await _both(ports, schedule_id)
    if document is None and row is None:
        raise unknown(schedule_id)
    if document is None:
        assert row is not None  # noqa: S101 - one of them is there
        return _found(row)
    return await shown(ports, read(document), row)


async def shown(ports: Ports, schedule: Schedule, row: Document | None) -> ScheduleDetail:
    """Return a schedule as it is wanted, joined with what status has found, though it be of an earlier version.

    What follows from settings alone is then told by them; when it runs next is not known. While status has found nothing at
    all, the schedule is New as of never.
    """
    item = _item(row) if row else None
    facts: dict[str, Any] = item.model_dump(by_alias=False) if item else {"status": ScheduleStatus.NEW}
    if item is None or (item.version or 0) < schedule.version:
        left = await left_to_skip(ports, schedule)
        facts = {**facts, "next_run_at": None, "cron_text": in_words(schedule.cron), "skip_next": left}
    said = {field: getattr(schedule, field) for field in _SAID}
    return ScheduleDetail.model_validate({**facts, **said, "managed_by": "Leeward", "as_of": _as_of(row)})


_SAID: Final = tuple(
    field for field in ScheduleDetail.model_fields if field in Schedule.model_fields or field in {"cron", "timezone", "paused"}
)
"""What a schedule's own document says of it."""


def _found(row: Document) -> ScheduleDetail:
    """Return a schedule of Velero's own."""
    template = from_document((row.get("detail") or {}).get("veleroTemplate"))
    facts = {**_item(row).model_dump(by_alias=False), "velero_template": template, "as_of": _as_of(row)}
    return ScheduleDetail.model_validate(facts)


async def left_to_skip(ports: Ports, schedule: Schedule, due_from: datetime | None = None) -> int:
    """Return how many slots the wish to skip still leaves out, of those that are due from then on, if a moment is given."""
    if schedule.skip is None:
        return 0
    query: Document = {"skip": schedule.skip.id, "decision": Decision.SKIPPED.value, "schedule": schedule.id}
    if due_from is not None:
        query["dueAt"] = {"$lt": due_from}
    skipped = await ports.store.find(Collection.TICKS, query, [("_id", 1)], _MOST_TICKS, ("count",))
    return max(0, schedule.skip.count - sum(int(tick.get("count", 1)) for tick in skipped))


def read(document: Document) -> Schedule:
    """Return a schedule from its document.

    Raises the problem of one that this version cannot read.
    """
    try:
        return Schedule.of(document)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        words = f"The record of schedule {document.get('_id')} cannot be read: {type(error).__name__}"
        raise ProblemError("unreadable-document", words) from error


def unknown(schedule_id: str) -> ProblemError:
    """Return the problem of an id that no schedule has."""
    return ProblemError("not-found", f"There is no schedule {schedule_id}.")


def etag(detail: ScheduleDetail) -> dict[str, str]:
    """Return the header that names the version of a schedule; Velero's own have none."""
    return {"ETag": f'"{detail.version}"'} if detail.version is not None else {}


async def row_of(ports: Ports, schedule_id: str) -> Document | None:
    """Return what status has found of a schedule that is listed."""
    found = await _one(ports, Collection.SCHEDULE_STATUS, schedule_id)
    return found if found is not None and found.get("listed") else None


async def has_been(ports: Ports, schedule_id: str) -> bool:
    """Tell whether status knows of a schedule of that id, or did; without what is wanted of it, it has gone."""
    found = await _one(ports, Collection.SCHEDULE_STATUS, schedule_id)
    return found is not None and (found.get("item") or {}).get("managedBy") != "Velero"


async def _both(ports: Ports, schedule_id: str) -> tuple[Document | None, Document | None]:
    """Return what is wanted and what was found before; a row without a document is one of Velero's, or about to go."""
    row = await row_of(ports, schedule_id)
    document = await _one(ports, Collection.SCHEDULES, schedule_id)
    own = row is not None and (row.get("item") or {}).get("managedBy") != "Velero"
    return document, None if document is None and own else row


async def _one(ports: Ports, collection: Collection, document_id: str) -> Document | None:
    found = await ports.store.find(collection, {"_id": document_id}, [("_id", 1)], 1)
    return found[0] if found else None


def _item(row: Document) -> ScheduleItem:
    try:
        return reading.view(ScheduleItem, row.get("item"))
    except reading.UnreadableError as error:
        raise ProblemError("unreadable-document", f"The record of schedule {row['_id']} cannot be read: {error}") from error


def _as_of(row: Document | None) -> datetime | None:
    """Return when status was last told something of a schedule, or last found something else: rows are counted in time."""
    if row is None:
        return None
    told, revision = row.get("asOf"), (row.get("item") or {}).get("revision")
    if isinstance(told, datetime) or not isinstance(revision, int):
        return told if isinstance(told, datetime) else None
    return _EPOCH + timedelta(milliseconds=revision)


def _of_velero(row: Document) -> ProblemError:
    item = _item(row)
    words = f"Schedule {item.name} is an object of Velero's in cluster {item.cluster}, which Leeward shows and does not change."
    return ProblemError("managed-by-velero", words)


# ---------------------------------------------------------------------- writing


async def add(ports: Ports, schedule: Schedule, request: Wire, *, repeated: bool) -> Schedule | None:
    """Store a new schedule, or return the one that the same request has made before; None when it is stored now.

    `repeated`: it may be a retry, by its key. Raises the problems of a name that is taken, and of a key that was used for
    something else, or for a schedule that has been deleted since: a late retry must not bring that back.
    """
    asked = hashlib.sha256(request.model_dump_json().encode()).hexdigest()
    if repeated and await has_been(ports, schedule.id) and await _one(ports, Collection.SCHEDULES, schedule.id) is None:
        raise _key_used("made a schedule that has been deleted")
    for _attempt in range(_ATTEMPTS):
        if await ports.store.insert(Collection.SCHEDULES, {**schedule.document(), "asked": asked}):
            await ports.bus.hint(schedule.id, schedule.cluster, ports.clock)
            return None
        before = await _one(ports, Collection.SCHEDULES, schedule.id)
        if before is not None:
            return _same(before, asked)
        query = {"cluster": schedule.cluster, "name": schedule.name}
        if taken := await ports.store.find(Collection.SCHEDULES, query, [("_id", 1)], 1):
            raise _name_taken(read(taken[0]))
    raise ProblemError("schedule-exists", f"The name {schedule.name} keeps being taken and given back.")


def _same(before: Document, asked: str) -> Schedule:
    if before.get("asked") != asked:
        raise _key_used("was used for another request")
    return read(before)


def _key_used(words: str) -> ProblemError:
    errors: list[FieldError] = [{"header": "Idempotency-Key", "detail": words}]
    return ProblemError("idempotency-key-reused", f"The Idempotency-Key {words}.", errors=errors)


def _name_taken(other: Schedule) -> ProblemError:
    words = f"Cluster {other.cluster} has a schedule {other.name} already"
    if other.deleting is not None:
        words += f", which is being deleted since {other.deleting.at:%Y-%m-%d %H:%M:%S} UTC"
    return ProblemError("schedule-exists", f"{words}.", errors=[{"pointer": "/name", "detail": "is taken"}])


async def rewrite(ports: Ports, schedule_id: str, change: Callable[[Schedule], Schedule]) -> Schedule:
    """Change a schedule by what it is now, however often somebody else is faster.

    Returns it as it is then. `change` returns the same schedule when there is nothing to do; what it raises passes through.
    """
    for _attempt in range(_ATTEMPTS):
        before = await wanted_of(ports, schedule_id)
        after = change(before)
        if after is before or await store(ports, after):
            return after
    raise ProblemError("precondition-failed", f"Schedule {schedule_id} keeps being changed by somebody else.")


async def store(ports: Ports, schedule: Schedule) -> bool:
    """Store the next version of a schedule, and tell; False when there is one already."""
    stored = await ports.store.replace(Collection.SCHEDULES, schedule.document(), schedule.version - 1)
    if stored:
        await ports.bus.hint(schedule.id, schedule.cluster, ports.clock)
    return stored


async def settled(ports: Ports, schedule: Schedule, seconds: float) -> Document | None:
    """Return what status has found, waiting for it to have seen this version of a schedule, or until the time is up."""
    clock = asyncio.get_running_loop()
    end, looks = clock.time() + seconds, 0
    with ports.feed.waiting(schedule.id) as woken:
        while True:
            woken.clear()
            row = await row_of(ports, schedule.id)
            version = ((row or {}).get("item") or {}).get("version")
            left = end - clock.time()
            if left <= 0 or (isinstance(version, int) and version >= schedule.version):
                return row
            await woken_within(woken, min(left, _PAUSES[min(looks, len(_PAUSES) - 1)]))
            looks += 1


async def gone(ports: Ports, schedule: Schedule, seconds: float) -> bool:
    """Tell whether a schedule has gone, waiting for it until the time is up."""
    clock = asyncio.get_running_loop()
    end = clock.time() + seconds
    with ports.feed.waiting(schedule.id) as woken:
        while await _one(ports, Collection.SCHEDULES, schedule.id) is not None:
            left = end - clock.time()
            if left <= 0:
                return False
            woken.clear()
            await woken_within(woken, min(left, _PAUSES[-1]))
    return True


async def woken_within(woken: asyncio.Event, seconds: float) -> None:
    """Return when woken, or after so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await woken.wait()
    except TimeoutError:
        return


# ---------------------------------------------------------------------- the first slot that goes by a change


async def first_affected(ports: Ports, change: Change, stored: datetime) -> datetime | None:
    """Return the first slot that goes by a change, which was stored at that moment.

    A slot that was due about then may have been decided just before: its tick tells. One that nobody has decided after a while
    is still to be decided, and whoever does it reads what is stored.
    """
    schedule, since = change.schedule, change.at
    left = await left_to_skip(ports, schedule, since)
    while (slot := change.first(since, left)) is not None:
        due = schedule.due(slot)
        if not change.moved or due > stored + _MARGIN or await _obeyed(ports, change, slot, stored):
            return slot
        since = due + timedelta(milliseconds=1)
    return None


async def _obeyed(ports: Ports, change: Change, slot: datetime, stored: datetime) -> bool:
    clock = asyncio.get_running_loop()
    patience = max(timedelta(0), change.schedule.due(slot) - ports.clock()).total_seconds() + _DECIDED_WITHIN
    end, schedule_id = clock.time() + patience, change.schedule.id
    while True:
        at_or_after = {"schedule": schedule_id, "to": {"$gte": slot}}
        if found := await ports.store.find(Collection.TICKS, at_or_after, [("to", 1)], 1):
            return _tells(found[0], change, slot, stored)
        if clock.time() >= end:
            log.info("slot not decided in time", **{logging.OBJECT: schedule_id})
            return True
        await asyncio.sleep(_PAUSES[-1])


def _tells(document: Document, change: Change, slot: datetime, stored: datetime) -> bool:
    """Tell whether a decision of a slot, or the first one after it, was made by a change. One that cannot be read may be."""
    try:
        tick = Tick.of(document)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        facts = {logging.OBJECT: str(document.get("_id")), logging.REASON: type(error).__name__}
        log.warning("record unreadable", **facts)
        return True
    # If it begins later, all up to a later slot was decided without this one.
    return tick.from_ <= slot and change.shows_in(tick, stored)
