"""The schedules that are being deleted, seen off: again and again, by what there is and not by what was done before.

Any number of gateways may do so at once: each deletion has one id, whoever asks for it, and a schedule is removed by version.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import structlog

from services.gateway import details, reading, submitting
from services.gateway.auth import Principal, Role
from services.gateway.backups.deleting import DELETIONS, objection
from services.gateway.ports import Ports
from services.gateway.rules import MAX_DEADLINE, MAX_SPREAD
from services.gateway.schedules import changes, departing, keeping
from services.gateway.store import ROW_FIELDS
from services.gateway.web.problems import ProblemError
from shared.contracts.documents import Collection
from shared.contracts.phases import OperationState
from shared.contracts.refusals import Code
from shared.contracts.schedules import Decision, Deletion, Schedule
from shared.contracts.views import BackupItem, OperationItem
from shared.messaging.outcomes import Unavailable
from shared.runtime import logging
from shared.runtime.stopping import unless_cancelled

log = structlog.get_logger(__name__)

_MOST: Final = 10_000
"""Schedules, backups and operations that are looked at in one round; the others come when these have gone."""
_AT_ONCE: Final = 20
"""Commands that are stored at the same time."""
_ASKED_AGAIN: Final = 600.0
"""Seconds after which what has no operation yet is asked for once more: the stream may have lost it, and takes each once."""
_IDLE: Final = 10
"""How many times as long as a round took is waited at least: the database is there for others, too."""
_OPEN: Final = [OperationState.QUEUED.value, OperationState.ACCEPTED.value]
_NOTHING: Final = frozenset({Code.BACKUP_GONE, Code.BACKUP_IS_REPLICA})
"""What speaks against deleting a backup because there is nothing of this schedule's to delete."""


@dataclass(slots=True)
class Memory:
    """Of deletions of backups, by operation id: which were asked for from here, and since when which have ended well.

    Lost, it costs a repetition or a minute.
    """

    asked: set[str] = field(default_factory=set)
    ended: dict[str, datetime] = field(default_factory=dict)


async def see_off(ports: Ports, seconds: float) -> None:
    """Look at the schedules that are being deleted, for ever, and at once when one has begun to go here."""
    clock, memory = asyncio.get_running_loop(), Memory()
    remembered = clock.time()
    while True:
        unless_cancelled()
        ports.departures.clear()
        begun = clock.time()
        try:
            await look(ports, memory)
        except Unavailable as away:
            log.debug("departures not looked at", **{logging.REASON: away.reason})
        except Exception:
            log.exception("departures not looked at")
        if clock.time() - remembered > _ASKED_AGAIN:
            memory = Memory()
            remembered = clock.time()
        await keeping.woken_within(ports.departures, max(seconds, _IDLE * (clock.time() - begun)))


async def look(ports: Ports, memory: Memory) -> None:
    """Do for every schedule that is being deleted what is to be done now.

    One that cannot be dealt with does not keep the others here. Raises Unavailable.
    """
    found = await ports.store.find(Collection.SCHEDULES, {"deleting.at": {"$exists": True}}, [("deleting.at", 1)], _MOST)
    for document in found:
        try:
            await _one(ports, keeping.read(document), memory)
        except ProblemError as problem:
            log.warning("schedule not seen off", **{logging.OBJECT: str(document["_id"]), logging.REASON: str(problem)})


async def _one(ports: Ports, schedule: Schedule, memory: Memory) -> None:
    deletion = schedule.deleting
    if deletion is None:
        return
    # In this order: what has come to its end between the two questions has its backup there for the second.
    early = not departing.may_go(schedule, deletion, await _decided_to(ports, schedule), ports.clock())
    wait = early or (deletion.delete_backups and await _may_come(ports, schedule, deletion))
    if (deletion.delete_backups and await _backups_left(ports, schedule, deletion, memory)) or wait:
        return
    if await ports.store.remove(Collection.SCHEDULES, schedule.id, schedule.version):
        log.info("schedule gone", **{logging.OBJECT: schedule.id, logging.CLUSTER: schedule.cluster})
        await ports.bus.hint(schedule.id, schedule.cluster, ports.clock)


async def _decided_to(ports: Ports, schedule: Schedule) -> datetime | None:
    """Return the last slot that was decided; None if none was."""
    last = await ports.store.find(Collection.TICKS, {"schedule": schedule.id}, [("to", -1)], 1, ("to",))
    moment = last[0].get("to") if last else None
    return moment if isinstance(moment, datetime) else None


async def _backups_left(ports: Ports, schedule: Schedule, deletion: Deletion, memory: Memory) -> bool:
    """Ask for the deletion of what has ended, and note what went wrong; tell whether backups are left."""
    # Where storage is shared, others hold copies of the same backups: they are theirs.
    query = {"listed": True, "item.schedule.id": schedule.id, "item.cluster": schedule.cluster}
    rows = await ports.store.find(Collection.BACKUPS, query, [("item.createdAt", 1), ("_id", 1)], _MOST, ROW_FIELDS)
    there, odd = _there(rows)
    items, now = [item for item, _ in there.values()], ports.clock()
    asked_for = departing.deletions(schedule, deletion, items)
    known, unread = await _operations(ports, list(asked_for))
    odd += [f"Backup {there[asked_for[each]][0].name}: the record of its deletion cannot be read." for each in unread]
    ended_well = [each for each, operation in known.items() if operation.state is OperationState.SUCCEEDED]
    memory.ended = dict.fromkeys(ended_well, now) | memory.ended
    judged = [there[backup][0] for operation_id, backup in asked_for.items() if operation_id not in unread]
    verdict = departing.judge(schedule, deletion, judged, known, memory.ended, now)
    errors = departing.noted(deletion, [*verdict.errors, *odd])
    if errors != deletion.errors:
        await keeping.store(ports, changes.failed(schedule, errors, now))
    turn = asyncio.Semaphore(_AT_ONCE)

    async def delete(operation_id: str, row: dict[str, Any]) -> None:
        async with turn:
            who = Principal(deletion.by, Role.ADMIN)
            await submitting.publish(ports, DELETIONS.command(ports, None, who, operation_id, row, departing.PATIENCE))
            memory.asked.add(operation_id)

    wanted = {operation_id: backup for operation_id, backup in verdict.ask.items() if operation_id not in memory.asked}
    await asyncio.gather(*(delete(operation_id, there[backup][1]) for operation_id, backup in wanted.items()))
    return bool(there or odd)


def _there(rows: list[dict[str, Any]]) -> tuple[dict[str, tuple[BackupItem, dict[str, Any]]], list[str]]:
    """Return the backups that are there, by id, with their rows; and what is to be told of those that cannot be read."""
    there: dict[str, tuple[BackupItem, dict[str, Any]]] = {}
    odd: list[str] = []
    for row in rows:
        try:
            item = details.BACKUPS.item_of(row)
        except ProblemError as problem:
            odd.append(f"{problem.detail}: it is left alone.")
        else:
            if _is_there(item, row):
                there[item.id] = (item, row)
    return there, odd


def _is_there(item: BackupItem, row: dict[str, Any]) -> bool:
    """Tell whether a backup is one that this schedule has made and that is not known to have gone."""
    no = objection(item, row.get("owner"))
    return no is None or no.code not in _NOTHING


async def _may_come(ports: Ports, schedule: Schedule, deletion: Deletion) -> bool:
    """Tell whether a backup may still be made: by an operation that has not ended, or a trigger that nobody has seen yet."""
    open_ones = {
        "command.schedule": schedule.id,
        "item.state": {"$in": [OperationState.QUEUED.value, OperationState.ACCEPTED.value]},
    }
    operations = await ports.store.find(Collection.OPERATIONS, open_ones, [("_id", 1)], _MOST, ("item.state",))
    if any(each["item"]["state"] == OperationState.QUEUED for each in operations):
        return True
    # What was accepted has a backup in a moment; from then on the backup tells.
    if await _missing(ports, Collection.BACKUPS, [each["_id"] for each in operations]):
        return True
    now = ports.clock()
    lately = {"schedule": schedule.id, "decision": Decision.TRIGGERED.value, "to": {"$gte": now - MAX_DEADLINE - MAX_SPREAD}}
    query = {**lately, "deadline": {"$gte": now}}
    ticks = await ports.store.find(Collection.TICKS, query, [("to", -1)], _MOST, ("published",))
    known = {each["_id"] for each in await ports.store.pick(Collection.OPERATIONS, [each["_id"] for each in ticks], ("_id",))}
    unseen = [each for each in ticks if each["_id"] not in known]
    if now < deletion.at + departing.UNHEARD or any(each.get("published") for each in unseen):
        return bool(unseen)
    # What was not sent before will not be: nobody sends anything for a schedule that goes.
    for each in unseen:
        if await _is_sent(ports, each["_id"]):
            return True
    return False


async def _is_sent(ports: Ports, operation_id: str) -> bool:
    """Tell whether the stream has a command; while it does not answer, it may."""
    try:
        return await ports.bus.command(operation_id) is not None
    except Unavailable:
        return True


async def _missing(ports: Ports, collection: Collection, document_ids: list[Any]) -> bool:
    return len(await ports.store.pick(collection, document_ids, ("_id",))) < len(document_ids)


async def _operations(ports: Ports, operation_ids: list[str]) -> tuple[dict[str, OperationItem], list[str]]:
    """Return operations by id, and the ids of those that cannot be read."""
    known: dict[str, OperationItem] = {}
    unread: list[str] = []
    for row in await ports.store.pick(Collection.OPERATIONS, operation_ids, ("item",)):
        try:
            known[str(row["_id"])] = reading.view(OperationItem, row.get("item"))
        except reading.UnreadableError:
            unread.append(str(row["_id"]))
    return known, unread
