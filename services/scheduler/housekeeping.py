"""What nobody waits for: quiet times become one record each, and what was kept for schedules that are gone is removed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from services.scheduler.planner import KEPT
from services.scheduler.ports import Ports
from shared.contracts.schedules import Decision, Tick

OLD: Final = timedelta(days=1)
"""Younger ticks are left as they were decided."""

QUIET: Final = frozenset({Decision.PAUSED, Decision.INVALID, Decision.MISSED, Decision.SUPERSEDED})
"""What ran nothing and may stand together. A person's skip stays by itself: it is counted against a wish."""

_MOST: Final = 500
"""Decisions of a schedule that are read at a time."""


@dataclass(frozen=True, slots=True)
class Merger:
    """A tick that is made longer, and those that it then stands for."""

    before: Tick
    after: Tick
    absorbed: tuple[str, ...]


async def tidy(ports: Ports, after: datetime) -> datetime:
    """Merge what was decided after then and is old by now; return up to when that is done.

    A tick is made longer first, and only then those that it stands for are removed. Ended in between, they are found inside
    of it the next time, and whoever sums ticks up counts them twice until then: therefore every term begins with this.

    Raises Unavailable when the memory does not answer.
    """
    until = ports.clock() - OLD
    for schedule in await ports.memory.resting(after, until):
        for merger in mergers(await ports.memory.chain(schedule, until, _MOST)):
            if merger.before == merger.after or await ports.memory.extend(merger.before, merger.after):
                await ports.memory.drop(merger.absorbed)
    await ports.memory.forget_clocks(until)
    await ports.memory.forget_skips(ports.clock() - KEPT)
    return until


def mergers(ticks: Sequence[Tick]) -> list[Merger]:
    """Return what of the ticks of one schedule can be merged. None may be missing between them; nothing, if they contradict."""
    found: list[Merger] = []
    for tick in sorted(ticks, key=lambda each: (each.from_, -each.to.timestamp())):
        last = found[-1] if found else None
        alike = last is not None and tick.decision in QUIET and _alike(last.after) == _alike(tick)
        if last and tick.from_ <= last.after.to:
            if not alike or tick.to > last.after.to:
                return []
            found[-1] = Merger(last.before, last.after, (*last.absorbed, tick.id))
        elif last and alike:
            longer = {
                "to": tick.to,
                "count": last.after.count + tick.count,
                "decided_at": max(last.after.decided_at, tick.decided_at),
                "forget_at": max(filter(None, (last.after.forget_at, tick.forget_at)), default=None),
            }
            found[-1] = Merger(last.before, last.after.model_copy(update=longer), (*last.absorbed, tick.id))
        else:
            found.append(Merger(tick, tick, ()))
    return [merger for merger in found if merger.absorbed]


def _alike(tick: Tick) -> tuple[object, ...]:
    return tick.cluster, tick.decision, tick.reason, tick.ran
