"""What has to become of every slot, said once more: slot by slot, by the words of the manual, and as slow as it likes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.contracts.durations import parse
from shared.contracts.schedules import Decision, Misfire, Schedule, Tick
from shared.cron.expression import CronInvalidError
from shared.cron.timetable import timetable
from shared.cron.zones import ZoneInvalidError


@dataclass(frozen=True)
class End:
    """What became of one slot."""

    slot: datetime
    decision: Decision
    reason: str | None = None
    skip: str | None = None
    ran: datetime | None = None


def every_slot(schedule: Schedule, until: datetime, after: datetime | None = None) -> list[datetime]:
    """All slots of a schedule until then: those of each timetable, as far as it was the last one put in force by then."""
    eras, found = schedule.eras, set()
    for number, era in enumerate(eras):
        begun = era.from_ - timedelta(seconds=1)
        try:
            slots = timetable(era.cron, era.timezone).between(max(begun, after or begun), until, 1_000_000)
        except (CronInvalidError, ZoneInvalidError):
            continue
        for slot in slots:
            in_force = max((n for n, each in enumerate(eras) if each.from_ <= slot), default=None)
            if in_force == number and slot > eras[0].from_:
                found.add(slot)
    return sorted(found)


def decided(
    schedule: Schedule,
    slots: Sequence[datetime],
    after: datetime | None,
    now: datetime,
    *,
    skipped: int = 0,
    reasons: Sequence[str] = (),
) -> list[End]:
    """What a look at that time decides of these slots, as far as they are after `after` and due."""

    def due(slot: datetime) -> datetime:
        return max(slot + schedule.offset, schedule.spread_since or slot)

    patience = parse(schedule.starting_deadline)
    if schedule.misfire is Misfire.NONE:
        patience = min(patience, timedelta(seconds=60))
    open_slots = [slot for slot in slots if (after is None or slot > after) and due(slot) <= now and not schedule.deleting]
    left = schedule.skip.count - skipped if schedule.skip else 0
    ends: dict[datetime, End] = {}
    for slot in open_slots:
        if _paused(schedule, due(slot)):
            ends[slot] = End(slot, Decision.PAUSED)
        elif schedule.skip and left > 0 and due(slot) >= schedule.skip.not_before:
            left -= 1
            ends[slot] = End(slot, Decision.SKIPPED, skip=schedule.skip.id)
        elif reasons:
            ends[slot] = End(slot, Decision.INVALID, reason=reasons[0])
        elif now > due(slot) + patience:
            ends[slot] = End(slot, Decision.MISSED)
    could = [slot for slot in open_slots if slot not in ends]
    for slot in could:
        if schedule.misfire is Misfire.LATEST and slot != could[-1]:
            ends[slot] = End(slot, Decision.SUPERSEDED, ran=could[-1])
        else:
            ends[slot] = End(slot, Decision.TRIGGERED)
    return [ends[slot] for slot in open_slots]


def _paused(schedule: Schedule, moment: datetime) -> bool:
    return any(pause.from_ <= moment and (pause.to is None or moment < pause.to) for pause in schedule.pauses)


def spelt_out(ticks: Iterable[Tick], slots: Sequence[datetime]) -> list[End]:
    """Ticks slot by slot. A record that counts otherwise than it has slots is not to be believed."""
    ends: list[End] = []
    for tick in ticks:
        among = [slot for slot in slots if tick.from_ <= slot <= tick.to]
        assert (among[0], among[-1], len(among)) == (tick.from_, tick.to, tick.count), tick
        ends += [End(slot, tick.decision, tick.reason, tick.skip, tick.ran) for slot in among]
    return ends
