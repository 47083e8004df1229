"""Folding: what was heard goes into the records and facts, and every row that depends on them is computed again.

A row is computed from sources read *after* its revision, and written only over that revision. Whoever changes a source
computes the row afterwards; so the last one to look has seen everything, in whatever order messages come and are repeated.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Iterable
from typing import Final

import structlog
from prometheus_client import Counter

from services.status import captures
from services.status.announcer import announce
from services.status.clusters.locations import is_read_only
from services.status.clusters.projection import SILENCE
from services.status.objects import SHOWN_IN, Record
from services.status.operations import orders
from services.status.operations import projection as operations
from services.status.operations.answers import Learn
from services.status.ports import Document, Ports, Verdict
from services.status.rows import HISTORIES, SHOWS, TOLD, Stored, difference, item_of
from services.status.sources import VIEWS
from shared.contracts import subjects
from shared.contracts.envelope import Envelope, type_name
from shared.contracts.events import Captured, Progressed
from shared.contracts.locationspec import place_of
from shared.contracts.names import ANNOTATION_SHARED_BUCKET, Noun
from shared.messaging.outcomes import Retry, Unavailable
from shared.runtime import logging, tracing

log = structlog.get_logger(__name__)

_OBSERVATIONS = Counter("leeward_observations_total", "Observations by how they compare with what was known", ["verdict"])
_ATTEMPTS: Final = 50
_AT_A_TIME: Final = 32


async def observe(ports: Ports, seen: Record) -> None:
    """Keep an observation and bring up to date every row in which its object is, or was, to be seen."""
    if not seen.matters:
        return
    applied = await ports.memory.apply(seen)
    _OBSERVATIONS.labels(applied.verdict).inc()
    await ports.memory.settle(seen)
    before, now = applied.before, applied.after
    touched = {now.identity}
    # A repetition counts as moved, too: what a crash left undone of the first time is done now.
    fresh = applied.verdict is Verdict.FRESH
    known = (before.epoch, before.identity, before.phase) if before and fresh else None
    turned = known != (now.epoch, now.identity, now.phase)
    if turned:
        touched |= now.candidates
    if fresh and before is not None and seen.noun == Noun.LOCATION and _open(before) == _open(now):
        await fold(ports, Noun.LOCATION, now.identity)  # validated once more: no backup in it is seen otherwise
        return
    for identity in sorted(touched, key=lambda i: i != now.identity):  # first where it is, then where it was
        await _show(ports, seen.noun, identity)
    if len(touched) > 1 and seen.noun == Noun.BACKUP:
        await _rename_in_schedule(ports, now.identity)
    if turned and seen.noun in HISTORIES:  # last, because nobody waits for it
        moved = not fresh or (before is not None and before.identity != now.identity)
        await ports.memory.phase_reached(seen, moved=moved)
    if fresh and _stalls(ports, before) != _stalls(ports, now):
        await refresh(ports, Noun.CLUSTER, seen.cluster)  # what a crash leaves undone here, the next presence does


def _open(place: Record) -> tuple[object, ...]:
    """Return what of a location decides whether what lies in it was made there, and who else writes there."""
    where = place_of(place.spec), place.annotations.get(ANNOTATION_SHARED_BUCKET)
    return place.spec.get("accessMode"), place.unreadable is None, place.gone_at is None, *where


async def _show(ports: Ports, noun: str, identity: str) -> None:
    """Bring the rows up to date in which the records of an identity are to be seen.

    What is about a thing may name it by an id that it had before, and that may be another's by now; the thing is where it is.
    """
    shown_in = SHOWN_IN[noun]
    await refresh(ports, shown_in, identity)
    if shown_in != noun:
        for row_id in sorted(await ports.memory.formerly(shown_in, identity)):
            await refresh(ports, shown_in, row_id)


def _stalls(ports: Ports, shown: Record | None) -> bool:
    """Tell whether Velero has owed the object a phase for so long that its cluster has a problem."""
    if shown is None or shown.noun != Noun.BACKUP or shown.phase is not None or shown.deleted:
        return False
    return shown.created_at is not None and shown.created_at <= ports.clock() - ports.limits.stalled_after


async def miss(ports: Ports, noun: Noun, page: Document) -> None:
    """Find what a page of a snapshot should have named, and bring up to date every row in which that was to be seen."""
    await ports.memory.keep_page(page)
    missed = sorted(await ports.memory.miss(page))
    for identity in missed:
        await _show(ports, noun, identity)
    if missed and noun is Noun.BACKUP:
        await refresh(ports, Noun.CLUSTER, page["cluster"])


async def capture(ports: Ports, noun: Noun, cluster: str, part: Captured, stored: Stored) -> None:
    """Keep a part of a text, and say in the row of its backup or restore that it can be read."""
    if reason := captures.unfit(noun, part):
        log.warning("capture not kept", **{logging.CLUSTER: cluster, logging.OBJECT: part.uid, logging.REASON: reason})
        return
    await ports.memory.keep_capture(captures.document(cluster, part, stored))
    if identity := await ports.memory.identity(cluster, noun, part.uid):
        await refresh(ports, noun, identity)


async def learn(ports: Ports, noun: Noun, row_id: str, message: Learn) -> None:
    """Add what a message tells to the facts of an operation or a cluster."""
    row = await fold(ports, noun, row_id, message)
    if noun is Noun.OPERATION and row:
        await _told_by(ports, row)
    if noun is Noun.CLUSTER and row:
        for waiting in HISTORIES:
            for waiting_id in sorted(await ports.memory.unaware(waiting, row_id, row[SILENCE])):
                await fold(ports, waiting, waiting_id)


async def _told_by(ports: Ports, operation: Document) -> None:
    """Bring the rows up to date that show what an operation was told: what it makes, and the restore that it removes."""
    thing = orders.about(operation["_id"], operation)
    if thing and orders.makes(thing[0], operation) and thing[0] in HISTORIES:
        await refresh(ports, *thing)
    if thing and orders.removes(Noun.RESTORE, operation):
        for row_id in sorted({thing[1], *await ports.memory.formerly(*thing)}):
            await refresh(ports, Noun.RESTORE, row_id)


async def refresh(ports: Ports, noun: Noun, row_id: str) -> None:
    """Compute a row again, and the rows that depend on it."""
    if noun is Noun.SCHEDULE:  # many backups of one may move at once
        await ports.merged(row_id, lambda: fold(ports, noun, row_id))
        return
    row = await fold(ports, noun, row_id)
    if row is None:
        return
    if noun in HISTORIES:
        made = (row_id,) if operations.ended(noun, row["item"]) else ()
        for operation in dict.fromkeys((*made, *(each["operation"] for each in row.get("deletions") or ()))):
            await fold(ports, Noun.OPERATION, operation)
    if noun is Noun.LOCATION:
        where, read_only = row["item"]["name"], is_read_only(row["item"])
        for backup_id in sorted(await ports.memory.misjudged(row["cluster"], where, None, replica=read_only)):
            await fold(ports, Noun.BACKUP, backup_id)
        # What else schedules are judged by, the rescan compares; that a location has come or gone they show at once.
        behind = await ports.memory.misplaced(row["cluster"], await ports.memory.ground(row["cluster"]))
        await refresh_all(ports, Noun.SCHEDULE, behind)
        await fold(ports, Noun.CLUSTER, row["cluster"])  # others that write there, too, are found by whoever judges


async def refresh_all(ports: Ports, noun: Noun, row_ids: Iterable[str]) -> None:
    """Compute many rows again, some at a time: what they read is read together.

    Raises Unavailable when something does not answer.
    """
    ordered = sorted(row_ids)
    for first in range(0, len(ordered), _AT_A_TIME):
        work = (apart(noun, each, refresh(ports, noun, each)) for each in ordered[first : first + _AT_A_TIME])
        for ended in await asyncio.gather(*work, return_exceptions=True):
            if isinstance(ended, BaseException):
                raise ended


async def proclaim(ports: Ports, noun: Noun, row: Document) -> None:
    """Announce what a row has not announced yet; of a backup, when its schedule shows it.

    That is noted in the row of the backup afterwards: what a crash leaves undone, whoever looks at the row next does.

    Raises Unavailable when something does not answer.
    """
    if noun is Noun.BACKUP and row.get(SHOWS) != row.get(TOLD):
        for schedule in sorted({each[0] for each in (row.get(SHOWS), row.get(TOLD)) if each}):
            await apart(Noun.SCHEDULE, schedule, refresh(ports, Noun.SCHEDULE, schedule))
        await ports.memory.told(row["_id"], row.get(SHOWS))
    await announce(ports, noun, row)


async def _rename_in_schedule(ports: Ports, backup_id: str) -> None:
    """Bring a schedule up to date that shows one of its backups under an id that this has not any more."""
    row = await ports.memory.row(Noun.BACKUP, backup_id)
    if row and row.get(SHOWS):
        schedule = row[SHOWS][0]
        known = await ports.memory.row(Noun.SCHEDULE, schedule)
        if known and (known["item"]["lastBackup"] or {}).get("id") in row["aliases"]:
            await apart(Noun.SCHEDULE, schedule, refresh(ports, Noun.SCHEDULE, schedule))


async def fold(ports: Ports, noun: Noun, row_id: str, message: Learn | None = None) -> Document | None:
    """Compute one row until it stands in the database as it should, and announce what changed; returns the row.

    Raises Retry when others keep changing it, Unavailable when something does not answer.
    """
    with tracing.child(f"fold {noun}", {"leeward.row": row_id}):
        return await _fold(ports, noun, row_id, message)


async def _fold(ports: Ports, noun: Noun, row_id: str, message: Learn | None) -> Document | None:
    progressed = False
    for _ in range(_ATTEMPTS):
        now = ports.clock()
        current = await ports.memory.row(noun, row_id)
        facts = message(current or {}) if message else (current or {})
        row = await VIEWS[noun](ports, row_id, facts, now)
        if row is None:
            if current is None or await _removed(ports, noun, current):
                return None
            continue
        change = difference(current, row, now)
        if change is None:
            break
        progressed = change.progressed  # told below, also by who is not sure to have written it
        written = await ports.memory.save(noun, row_id, current, change)
        if written is None:
            continue
        if current is not None and "aliases" not in change.fields:
            current = written
            break
        # A first row has no revision to protect it: what it was computed from may have moved on, so look once more. So may
        # what is known under another id, until the row says that it had that.
    else:
        raise Retry(f"{noun} {row_id} keeps changing")
    if current is not None:
        if progressed:
            await _tell(ports, noun, current)
        await proclaim(ports, noun, current)
    return current


async def apart(noun: Noun, row_id: str, work: Awaitable[object]) -> None:
    """Do the work of one row of many; whatever is wrong with it must not stop the others.

    Raises Unavailable, which stops them all.
    """
    try:
        await work
    except Unavailable:
        raise
    except Retry as busy:
        log.info("row waits", **{logging.KIND: noun, logging.OBJECT: row_id, logging.REASON: str(busy)})
    except Exception:
        log.exception("row failed", **{logging.KIND: noun, logging.OBJECT: row_id})


async def _removed(ports: Ports, noun: Noun, current: Document) -> bool:
    """Remove a row that nothing supports any more: its object is seen under another id. Its changes are announced first."""
    if current.get("unannounced"):
        await announce(ports, noun, current)
    return await ports.memory.forget(noun, current["_id"], current["rev"])


async def _tell(ports: Ports, noun: Noun, row: Document) -> None:
    envelope = Envelope[Progressed](
        id=f"{noun}/{row['_id']}/{row['rev']}",
        source="/status",
        type=type_name(noun, "progressed"),
        time=ports.clock(),
        cluster=row["cluster"],
        operationid=row["_id"] if noun is Noun.OPERATION else None,
        data=Progressed(id=row["_id"], seq=row["statusSeq"], item=item_of(noun, row["item"]).wire()),
    )
    with contextlib.suppress(Exception):  # progress is best effort; what must not be missed is announced
        await ports.publisher.tell(subjects.live(row["cluster"], noun, row["_id"]), envelope)
