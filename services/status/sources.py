"""Where each view comes from: what is read of the memory to compute one row. Always read anew, never remembered."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Final

import structlog

from services.status.backups.projection import Around, backup
from services.status.clusters import projection as clusters
from services.status.clusters.locations import location, snapshot_location
from services.status.clusters.replicas import Estate, is_replica, place
from services.status.objects import Record, newest
from services.status.operations import orders
from services.status.operations import projection as operations
from services.status.ports import Document, Maker, Ports, Remembers
from services.status.restores import projection as restores
from services.status.rows import HISTORIES, Facts, Row, status_of
from services.status.schedules import projection as schedules
from services.status.schedules.foreign import velero_schedule
from services.status.schedules.validity import needs_namespaces
from shared.contracts import ids
from shared.contracts.names import Noun
from shared.contracts.schedules import Schedule
from shared.runtime import logging

log = structlog.get_logger(__name__)


async def _backup(ports: Ports, row_id: str, current: Facts, now: datetime) -> Row | None:
    memory = ports.memory
    waits = bool(current) and current["item"]["phase"] is None
    records, asked, silence = await asyncio.gather(
        memory.records(row_id),
        memory.row(Noun.OPERATION, row_id),
        memory.silence(current["cluster"]) if waits else _nothing(),
    )
    asked = asked or {}
    if command := asked.get("command"):
        # Only the cluster that was asked can show what was made; an object of another may carry its labels all the same.
        records = [r for r in records if r.cluster == command["cluster"]]
    around = Around(silence=silence)
    if shown := newest([r for r in records if r.noun == Noun.BACKUP]):
        unasked = shown.phase is None and not waits
        if unasked or shown.owner != shown.cluster or shown.known_as or len(records) > 1:
            records, around = await _surroundings(memory, row_id, shown, records, silence, unasked=unasked)
    row = backup(row_id, records, asked, now=now, limits=ports.limits, around=around)
    _warn(row, row_id)
    return row


def _warn(row: Row | None, row_id: str) -> None:
    if row and (reason := row.more["detail"]["unreadable"]):
        log.warning("odd object", **{logging.CLUSTER: row.cluster, logging.OBJECT: row_id, logging.REASON: reason})


async def _surroundings(
    memory: Remembers, row_id: str, shown: Record, records: list[Record], silence: str | None, *, unasked: bool
) -> tuple[list[Record], Around]:
    """Read what else there is to know of a backup: of one that was made here and has not ended, there is nothing."""
    former = sorted({each for r in records if r.noun == Noun.BACKUP for each in r.known_as} - {row_id})
    measured = any(r.noun == Noun.MEASUREMENT for r in records)
    uids = {r.uid for r in records if r.noun == Noun.BACKUP}
    elsewhere, replica, captured, silent = await asyncio.gather(
        _of_former(memory, former),
        _is_replica(memory, shown) if shown.owner != shown.cluster else _nothing(),
        memory.captured(shown.cluster, uids) if measured else _nothing(),
        memory.silence(shown.cluster) if unasked else _nothing(),
    )
    about = [r for r in elsewhere if r.noun != Noun.BACKUP and r.cluster == shown.cluster]
    return [*records, *about], Around(replica=bool(replica), silence=silence or silent, captured=captured or ())


async def _nothing() -> None:
    return None


async def _of_former(memory: Remembers, former: list[str]) -> list[Record]:
    """Return the records of ids that a thing had before: a person may have asked for its deletion by one of them."""
    return [record for found in await asyncio.gather(*map(memory.records, former)) for record in found]


async def _is_replica(memory: Remembers, shown: Record) -> bool:
    """Tell whether what this cluster has not made is a copy."""
    owner, where = shown.owner, shown.location
    here, estate = await asyncio.gather(
        memory.row(Noun.LOCATION, ids.location_id(shown.cluster, where)) if where else _nothing(),
        memory.estate_of(owner) if owner else _no_estate(),
    )
    return is_replica(owner, shown.cluster, place(here["item"]) if here else None, estate)


async def _no_estate() -> Estate:
    return Estate()


async def _restore(ports: Ports, row_id: str, _current: Facts, now: datetime) -> Row | None:
    memory = ports.memory
    records, asked = await asyncio.gather(memory.records(row_id), memory.row(Noun.OPERATION, row_id))
    asked = asked or {}
    if command := asked.get("command"):
        records = [r for r in records if r.cluster == command["cluster"]]  # as of backups
    objects = [r for r in records if r.noun == Noun.RESTORE]
    shown, former = newest(objects), sorted({each for r in objects for each in r.known_as} - {row_id})
    elsewhere, removals, captured, silence = await asyncio.gather(
        _of_former(memory, former),
        memory.removals({row_id, *former}),
        memory.captured(shown.cluster, {r.uid for r in objects}) if shown else _nothing(),
        memory.silence(shown.cluster) if shown and shown.phase is None else _nothing(),
    )
    about = [r for r in elsewhere if r.noun != Noun.RESTORE and shown and r.cluster == shown.cluster]
    around = restores.Around(silence, captured or (), removals)
    row = restores.restore(row_id, [*records, *about], asked, now=now, limits=ports.limits, around=around)
    _warn(row, row_id)
    return row


async def _operation(ports: Ports, row_id: str, facts: Facts, now: datetime) -> Row | None:
    thing = orders.about(row_id, facts)
    shown = await _row_of(ports.memory, *thing, facts) if thing and thing[0] in HISTORIES else None
    return operations.row(row_id, facts, shown, now, ports.limits)


async def _row_of(memory: Remembers, noun: Noun, about: str, facts: Facts) -> Document | None:
    """Return the row of what an operation is about, also if that has got another id since it was asked for."""
    # Where it is, before where it was: of an id that it has left there may still be a row, about to be forgotten.
    later = await memory.formerly(noun, about) if orders.removes(noun, facts) else ()
    for row_id in (*sorted(later), about):
        if row := await memory.row(noun, row_id):
            return row
    return None


async def _location(ports: Ports, row_id: str, _facts: Facts, _now: datetime) -> Row | None:
    return location(row_id, await ports.memory.records(row_id))


async def _snapshot_location(ports: Ports, row_id: str, _facts: Facts, _now: datetime) -> Row | None:
    return snapshot_location(row_id, await ports.memory.records(row_id))


async def _cluster(ports: Ports, row_id: str, facts: Facts, now: datetime) -> Row | None:
    stalled, places = await asyncio.gather(
        ports.memory.stalled(row_id, now - ports.limits.stalled_after), ports.memory.sharing(row_id)
    )
    return clusters.cluster(
        row_id,
        facts,
        status_of(facts.get("item")),
        stalled=stalled,
        places=places,
        trusted_from=ports.listening.since + ports.limits.offline_after,
        now=now,
        limits=ports.limits,
    )


async def _schedule(ports: Ports, row_id: str, current: Facts, now: datetime) -> Row | None:
    memory = ports.memory
    if document := await memory.schedule(row_id):
        if wanted := _wanted(document):
            return await _own_schedule(memory, wanted, now)
        return schedules.kept(current) if current else None
    records = [r for r in await memory.records(row_id) if r.noun == Noun.SCHEDULE]
    if shown := newest(records):
        made, ground = await asyncio.gather(memory.made(Maker(None, shown.cluster, shown.name)), memory.ground(shown.cluster))
        return velero_schedule(row_id, records, schedules.Around(ground, made=made))
    return schedules.gone(current) if current else None


def _wanted(document: Mapping[str, object]) -> Schedule | None:
    """Read what is wanted; None for what another version of the gateway has written: nothing is known of it here."""
    try:
        return Schedule.of(document)
    except (ValueError, KeyError, TypeError, AttributeError) as error:  # not its words, which quote what people wrote
        log.warning("schedule cannot be read", **{logging.OBJECT: document["_id"], logging.REASON: type(error).__name__})
        return None


async def _own_schedule(memory: Remembers, wanted: Schedule, now: datetime) -> Row:
    made, decided, ground = await asyncio.gather(
        memory.made(Maker(wanted.id, wanted.cluster, wanted.name)), memory.decided(wanted.id), memory.ground(wanted.cluster)
    )
    # After the ground, which says what the namespaces were then: if they change in between, the row is computed again.
    namespaces = await memory.namespaces(wanted.cluster) if needs_namespaces(wanted.template.scope) else None
    return schedules.schedule(wanted, schedules.Around(ground, namespaces, made, decided), now)


VIEWS: Final[dict[Noun, Callable[[Ports, str, Facts, datetime], Awaitable[Row | None]]]] = {
    Noun.BACKUP: _backup,
    Noun.RESTORE: _restore,
    Noun.OPERATION: _operation,
    Noun.LOCATION: _location,
    Noun.SNAPSHOT_LOCATION: _snapshot_location,
    Noun.CLUSTER: _cluster,
    Noun.SCHEDULE: _schedule,
}
