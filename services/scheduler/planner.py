"""What is decided of every slot that is due, and when to look again. Pure: `now` is an argument, and nothing is remembered.

Which slots exist is said by the timetable that was in force at the slot. Everything else is compared with the instant at
which it is due (the slot and its part of `spread`): pauses, skips, deadlines. First match wins, in the order of `_pieces`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice, pairwise
from typing import Final

from services.scheduler.course import JUST, Course, course
from shared.contracts.durations import parse
from shared.contracts.ids import slot_backup_name, slot_operation_id
from shared.contracts.schedules import Decision, Misfire, Schedule, Tick

PUNCTUAL: Final = timedelta(seconds=60)
"""With `misfire: none` what is later than this is not made up for."""

MOST: Final = 500
"""Records of one look; what is left over is due at once."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a schedule at a look, besides what is wanted.

    `decided_to`: all slots up to this one are decided; None = none is. `skipped`: how many slots the wish to skip that is in
    force has used up. `reasons`: codes of what has to be changed by somebody before it can run.
    """

    decided_to: datetime | None = None
    skipped: int = 0
    reasons: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be stored, in order, and when the next slot after it is due (None: never). It may be due already."""

    ticks: list[Tick]
    next_due: datetime | None


def plan(schedule: Schedule, known: Known, now: datetime, most: int = MOST) -> Plan:
    """Decide all slots that are due and not decided.

    Slots that ended alike and ran nothing are one record, except those that a person skipped.

    Raises OverflowError for times that no calendar has.
    """
    if schedule.deleting:
        return Plan([], None)
    slots = course(schedule.eras)
    begun = _begun(schedule, known.decided_to)
    pieces = _pieces(schedule, known, slots, begun, now)
    ticks = list(islice(_ticks(schedule, slots, pieces, now, most), most))
    return Plan(ticks, _due(schedule, slots.after(ticks[-1].to if ticks else begun)))


def next_due(schedule: Schedule, decided_to: datetime | None) -> datetime | None:
    """Return when the next slot is due, which may be past; of the schedule only id, eras, spread and deleting are read."""
    if schedule.deleting:
        return None
    return _due(schedule, course(schedule.eras).after(_begun(schedule, decided_to)))


def patience(schedule: Schedule) -> timedelta:
    """Return how long after it was due a slot may still run."""
    deadline = parse(schedule.starting_deadline)
    return min(deadline, PUNCTUAL) if schedule.misfire is Misfire.NONE else deadline


@dataclass(frozen=True, slots=True)
class _Piece:
    """Slots after `after` and not after `until` that end alike; `decision` None: they could run."""

    after: datetime
    until: datetime
    decision: Decision | None = None
    reason: str | None = None
    skip: str | None = None
    ran: datetime | None = None


def _begun(schedule: Schedule, decided_to: datetime | None) -> datetime:
    first = schedule.eras[0].from_
    return first if decided_to is None else max(decided_to, first)


def _due(schedule: Schedule, slot: datetime | None) -> datetime | None:
    return None if slot is None else slot + schedule.offset


def _pieces(schedule: Schedule, known: Known, slots: Course, begun: datetime, now: datetime) -> list[_Piece]:
    """Return the slots that are due, in order, in pieces that end alike."""
    found: list[_Piece] = []
    offset, late, skip = schedule.offset, now - patience(schedule), schedule.skip
    remaining = skip.count - known.skipped if skip else 0
    edges = [late, *(edge for pause in schedule.pauses for edge in (pause.from_, pause.to)), skip.not_before if skip else None]
    for after, until in _segments(begun, now - offset, [edge - offset for edge in edges if edge]):
        slot = slots.after(after)
        if slot is None or slot > until:
            continue
        due, rest = slot + offset, after
        if schedule.paused_at(due):
            _add(found, _Piece(rest, until, Decision.PAUSED))
            continue
        if skip and remaining > 0 and due >= skip.not_before:
            skipped = slots.between(after, until, remaining)
            found += [_Piece(slot - JUST, slot, Decision.SKIPPED, skip=skip.id) for slot in skipped]
            remaining, rest = remaining - len(skipped), skipped[-1]
        if known.reasons:
            _add(found, _Piece(rest, until, Decision.INVALID, reason=known.reasons[0]))
        elif due < late:
            _add(found, _Piece(rest, until, Decision.MISSED))
        else:
            _add(found, _Piece(rest, until))
    return found


def _segments(after: datetime, until: datetime, edges: Sequence[datetime]) -> Iterator[tuple[datetime, datetime]]:
    """Cut (after, until] at the edges, which belong to what comes after them."""
    if after < until:
        cuts = {edge - JUST for edge in edges if after < edge - JUST < until}
        yield from pairwise([after, *sorted(cuts), until])


def _add(found: list[_Piece], piece: _Piece) -> None:
    """Append a piece, or make the last one longer that ended alike."""
    if found and replace(found[-1], after=piece.after, until=piece.until) == piece:
        found[-1] = replace(found[-1], until=piece.until)
    else:
        found.append(piece)


def _ticks(schedule: Schedule, slots: Course, pieces: Sequence[_Piece], now: datetime, most: int) -> Iterator[Tick]:
    """Write the pieces down; of those that could run, run what `misfire` says."""
    newest = None
    if schedule.misfire is Misfire.LATEST:
        could = (slots.latest(piece.after, piece.until) for piece in reversed(pieces) if piece.decision is None)
        newest = next((slot for slot in could if slot is not None), None)
    for piece in pieces:
        if piece.decision is not None:
            yield from _record(schedule, slots, piece, now)
        elif newest is None:
            yield from (_triggered(schedule, slot, now) for slot in slots.between(piece.after, piece.until, most))
        else:
            before = replace(piece, until=min(piece.until, newest - JUST), decision=Decision.SUPERSEDED, ran=newest)
            yield from _record(schedule, slots, before, now)
            if piece.after < newest <= piece.until:
                yield _triggered(schedule, newest, now)


def _record(schedule: Schedule, slots: Course, piece: _Piece, now: datetime) -> Iterator[Tick]:
    """Write a piece down that runs nothing, if there is a slot in it."""
    first = slots.after(piece.after) if piece.after < piece.until else None
    last = slots.latest(piece.after, piece.until) if first and first <= piece.until else None
    if first and last and piece.decision:
        yield Tick(
            id=slot_operation_id(schedule.id, first),
            schedule=schedule.id,
            cluster=schedule.cluster,
            from_=first,
            to=last,
            count=1 if first == last else slots.count(piece.after, piece.until),
            decision=piece.decision,
            reason=piece.reason,
            skip=piece.skip,
            ran=piece.ran,
            due_at=first + schedule.offset,
            decided_at=now,
        )


def _triggered(schedule: Schedule, slot: datetime, now: datetime) -> Tick:
    due = slot + schedule.offset
    return Tick(
        id=slot_operation_id(schedule.id, slot),
        schedule=schedule.id,
        cluster=schedule.cluster,
        from_=slot,
        to=slot,
        decision=Decision.TRIGGERED,
        backup_name=slot_backup_name(schedule.name, slot),
        due_at=due,
        deadline=due + patience(schedule),
        decided_at=now,
        published=False,
    )
