"""From a look at schedules to decisions that are stored: the first insert of a slot's tick is the decision."""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog

from services.scheduler.measures import BROKEN, DECISIONS
from services.scheduler.planner import Known, Plan, plan
from services.scheduler.ports import Facts, Ports
from shared.contracts.schedules import Decision, Schedule, Tick
from shared.runtime import logging

log = structlog.get_logger(__name__)

STALE: Final = timedelta(seconds=30)
"""Older than this, what was read decides nothing any more: the process slept, and others have gone on."""

_LONG: Final = timedelta(days=1)
"""So much undecided time may take long to count: not in the event loop."""


@dataclass(frozen=True, slots=True)
class Order:
    """A slot that was decided to run, with what its command is made from."""

    facts: Facts
    schedule: Schedule
    tick: Tick


@dataclass(slots=True)
class Decided:
    """What came of looks, as far as they came. `again`: when to look next (None: not before something changes).

    `met`: somebody else has decided a slot that was to be decided here, or an answer was lost: a command may be missing.
    """

    orders: list[Order] = field(default_factory=list)
    to: dict[str, datetime] = field(default_factory=dict)
    again: dict[str, datetime | None] = field(default_factory=dict)
    clusters: dict[str, str] = field(default_factory=dict)
    met: bool = False


@dataclass(frozen=True, slots=True)
class _Look:
    at: datetime
    facts: Facts
    schedule: Schedule
    plan: Plan


async def decide(ports: Ports, schedules: Sequence[str], ahead: Mapping[str, datetime], done: Decided) -> None:
    """Decide every slot of these schedules that is due, and add what came of it to `done`, also when it ends halfway.

    `ahead`: up to which slot all is decided where the memory may not say so yet.

    Raises Unavailable when the memory does not answer.
    """
    waiting = list(schedules)
    known = dict(ahead)
    while waiting:
        looks = await _look(ports, waiting, known, done)
        met = await _insert(ports, looks, done)
        waiting = []
        if met:  # obey what is stored, and go on after it
            done.met = True
            for schedule, slot in (await ports.memory.newest(sorted(met))).items():
                if slot > known.get(schedule, datetime.min.replace(tzinfo=slot.tzinfo)):
                    known[schedule] = done.to[schedule] = slot
                    waiting.append(schedule)
            for schedule in met.difference(waiting):
                _set_aside(done, schedule, "decide", "its ticks contradict each other")


async def _look(ports: Ports, schedules: Sequence[str], known: Mapping[str, datetime], done: Decided) -> list[_Look]:
    """Read these schedules and plan; what is gone or broken is not looked at again before it changes."""
    now = ports.clock()  # taken before reading: nothing that a person did until now is overlooked
    found = {str(facts.document["_id"]): facts for facts in await ports.memory.facts(schedules)}
    looks: list[_Look] = []
    for name in schedules:
        facts = found.get(name)
        if facts is None:
            done.again[name] = None
            continue
        try:
            looks.append(await _planned(facts, known.get(name), now))
        except Exception as error:  # noqa: BLE001 - anything may lie in a document; the others must not wait for it
            _set_aside(done, name, "read", error)
    for look in looks:
        done.again[look.schedule.id] = look.plan.next_due
        done.clusters[look.schedule.id] = look.schedule.cluster
    return looks


async def _planned(facts: Facts, ahead: datetime | None, now: datetime) -> _Look:
    schedule = Schedule.of(facts.document)
    decided_to = max((slot for slot in (facts.decided_to, ahead) if slot is not None), default=None)
    known = Known(decided_to, facts.skipped, _reasons(facts, schedule))
    if now - (decided_to or schedule.created_at) > _LONG:
        return _Look(now, facts, schedule, await asyncio.to_thread(plan, schedule, known, now))
    return _Look(now, facts, schedule, plan(schedule, known, now))


def _reasons(facts: Facts, schedule: Schedule) -> Sequence[str]:
    """Return the codes of what has to be changed by somebody: of this version, for one that was mended is not what it was."""
    status = facts.status or {}
    if status.get("version") != schedule.version:
        return ()
    return [str(reason["code"]) for reason in status.get("reasons") or () if reason.get("permanent")]


async def _insert(ports: Ports, looks: Sequence[_Look], done: Decided) -> set[str]:
    """Store what was planned: of each schedule in order, of all together. Return those of which a slot was decided before.

    What is too old by then is thrown away, and looked at again.
    """
    met: set[str] = set()
    for turn in itertools.count():
        batch = [look for look in looks if turn < len(look.plan.ticks) and look.schedule.id not in met]
        old = [look for look in batch if abs(ports.clock() - look.at) > STALE]
        if old:
            done.again.update((look.schedule.id, look.at) for look in old)
            log.warning("look thrown away", **{logging.REASON: "it took too long"})
        if old or not batch:
            return met
        try:
            taken = await ports.memory.insert([look.plan.ticks[turn] for look in batch])
        except BaseException:
            done.met = True
            raise
        for look in batch:
            tick = look.plan.ticks[turn]
            if tick.id in taken:
                met.add(look.schedule.id)
            else:
                _note(done, look, tick)
    raise AssertionError("unreachable")


def _note(done: Decided, look: _Look, tick: Tick) -> None:
    done.to[tick.schedule] = tick.to
    DECISIONS.labels(tick.decision).inc(tick.count)
    if tick.decision is Decision.TRIGGERED:
        done.orders.append(Order(look.facts, look.schedule, tick))


def _set_aside(done: Decided, schedule: str, step: str, reason: object) -> None:
    """Leave one out that is broken: the others go on, and it is looked at again when it changes, or within the hour."""
    done.again[schedule] = None
    BROKEN.labels(step).inc()
    words = reason if isinstance(reason, str) else type(reason).__name__
    log.error("schedule set aside", **{logging.OBJECT: schedule, logging.KIND: step, logging.REASON: words})
