"""What is decided of every slot that is due, and when to look again. Pure: `now` is an argument, and nothing is remembered.

Which slots exist is said by the timetable that was in force at the slot. Everything else is compared with the instant at
which it is due (the slot and its part of `spread`, see Schedule.due): pauses, skips, deadlines. First match wins, in the
order of `_pieces`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice, pairwise
from typing import Final

from shared.contracts.durations import parse
from shared.contracts.ids import slot_backup_name, slot_operation_id
from shared.contracts.schedules import Decision, Misfire, Schedule, Tick
from shared.cron.course import JUST, Course, course

PUNCTUAL: Final = timedelta(seconds=60)
"""With `misfire: none` what is later than this is not made up for."""

KEPT: Final = timedelta(days=400)
"""How long a decision is kept, but for a skip: that is kept as long as the wish that it has used up."""

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
    look = _Look(schedule, course(schedule.eras), schedule.offset, patience(schedule), now)
    begun = _begun(schedule, known.decided_to)
    ticks = list(islice(_ticks(look, _pieces(look, known, begun), most), most))
    slot = look.slots.after(ticks[-1].to if ticks else begun)
    return Plan(ticks, slot and schedule.due(slot))


def next_due(schedule: Schedule, decided_to: datetime | None) -> datetime | None:
    """Return when the next slot is due, which may be past; of the schedule only id, eras, spread and deleting are read.

    And since when the spread holds.
    """
    if schedule.deleting:
        return None
    slot = course(schedule.eras).after(_begun(schedule, decided_to))
    return slot and schedule.due(slot)


def patience(schedule: Schedule) -> timedelta:
    """Return how long after it was due a slot may still run."""
    deadline = parse(schedule.starting_deadline)
    return min(deadline, PUNCTUAL) if schedule.misfire is Misfire.NONE else deadline


def _begun(schedule: Schedule, decided_to: datetime | None) -> datetime:
    first = schedule.eras[0].from_
    return first if decided_to is None else max(decided_to, first)


@dataclass(frozen=True, slots=True)
class _Look:
    """One look: the schedule, what follows from it alone, and when that is."""

    schedule: Schedule
    slots: Course
    offset: timedelta
    patience: timedelta
    now: datetime

    @property
    def last(self) -> datetime | None:
        """The instant up to which slots are due; None when the clock has stepped back before all of them."""
        since = self.schedule.spread_since
        return self.now - self.offset if since is None or since <= self.now else None


@dataclass(frozen=True, slots=True)
class _Piece:
    """Slots after `after` and not after `until` that end alike, `first` of them first; `decision` None: they could run."""

    after: datetime
    until: datetime
    first: datetime
    decision: Decision | None = None
    reason: str | None = None
    skip: str | None = None
    ran: datetime | None = None

    @property
    def end(self) -> tuple[object, ...]:
        """How they end."""
        return self.decision, self.reason, self.skip, self.ran


def _pieces(look: _Look, known: Known, begun: datetime) -> list[_Piece]:
    """Return the slots that are due, in order, in pieces that end alike."""
    found: list[_Piece] = []
    schedule, late, skip = look.schedule, look.now - look.patience, look.schedule.skip
    remaining = skip.count - known.skipped if skip else 0
    edges = [late, *(edge for pause in schedule.pauses for edge in (pause.from_, pause.to)), skip.not_before if skip else None]
    for start, until in _segments(begun, look.last or begun, [edge - look.offset for edge in edges if edge]):
        after, first = start, look.slots.after(start)
        if first is None or first > until:
            continue
        due = schedule.due(first)
        paused = schedule.paused_at(due)
        if skip and remaining > 0 and due >= skip.not_before and not paused:
            skipped = look.slots.between(after, until, remaining)
            found += [_Piece(slot - JUST, slot, slot, Decision.SKIPPED, skip=skip.id) for slot in skipped]
            remaining, after, first = remaining - len(skipped), skipped[-1], look.slots.after(skipped[-1])
            if first is None or first > until:
                continue
        if paused:
            piece = _Piece(after, until, first, Decision.PAUSED)
        elif known.reasons:
            piece = _Piece(after, until, first, Decision.INVALID, reason=known.reasons[0])
        else:
            piece = _Piece(after, until, first, Decision.MISSED if due < late else None)
        if found and found[-1].end == piece.end:
            found[-1] = replace(found[-1], until=until)
        else:
            found.append(piece)
    return found


def _segments(after: datetime, until: datetime, edges: Sequence[datetime]) -> Iterator[tuple[datetime, datetime]]:
    """Cut (after, until] at the edges, which belong to what comes after them."""
    if after < until:
        cuts = {edge - JUST for edge in edges if after < edge - JUST < until}
        yield from pairwise([after, *sorted(cuts), until])


def _ticks(look: _Look, pieces: Sequence[_Piece], most: int) -> Iterator[Tick]:
    """Write the pieces down; of those that could run, run what `misfire` says."""
    newest = None
    if look.schedule.misfire is Misfire.LATEST:
        last = next((piece for piece in reversed(pieces) if piece.decision is None), None)
        newest = look.slots.latest(last.after, last.until) if last else None
    for piece in pieces:
        if piece.decision is not None:
            yield _quiet(look, piece)
        elif newest is None:
            yield from (_triggered(look, slot) for slot in look.slots.between(piece.after, piece.until, most))
        else:
            if piece.first < newest:
                until = min(piece.until, newest - JUST)
                yield _quiet(look, replace(piece, until=until, decision=Decision.SUPERSEDED, ran=newest))
            if newest <= piece.until:
                yield _triggered(look, newest)


def _quiet(look: _Look, piece: _Piece) -> Tick:
    """Return the record of slots that run nothing."""
    return Tick(
        id=slot_operation_id(look.schedule.id, piece.first),
        schedule=look.schedule.id,
        cluster=look.schedule.cluster,
        from_=piece.first,
        to=look.slots.latest(piece.after, piece.until) or piece.first,
        count=look.slots.count(piece.after, piece.until),
        decision=piece.decision or Decision.SUPERSEDED,
        reason=piece.reason,
        skip=piece.skip,
        ran=piece.ran,
        due_at=look.schedule.due(piece.first),
        decided_at=look.now,
        forget_at=None if piece.skip else look.now + KEPT,
    )


def _triggered(look: _Look, slot: datetime) -> Tick:
    """Return the record of a slot that runs."""
    due = look.schedule.due(slot)
    return Tick(
        id=slot_operation_id(look.schedule.id, slot),
        schedule=look.schedule.id,
        cluster=look.schedule.cluster,
        from_=slot,
        to=slot,
        decision=Decision.TRIGGERED,
        backup_name=slot_backup_name(look.schedule.name, slot),
        due_at=due,
        deadline=due + look.patience,
        decided_at=look.now,
        forget_at=look.now + KEPT,
        published=False,
    )
