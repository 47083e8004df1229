"""What a person wants of a schedule, turned into the schedule as it is then. Pure: who, when and new ids are arguments.

A change never rewrites what was: it closes a pause or opens one, begins an era, or states a wish, from its moment on. So what
was decided before it stays true, and whoever decides a slot late decides by what was wanted when it was due.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from services.gateway.schedules.slots import Fate, first
from services.gateway.schemas import CreateSchedule, ScheduleSettings
from services.gateway.validation import as_velero_spells
from shared.contracts.durations import parse
from shared.contracts.schedules import Decision, Deletion, Era, Pause, Schedule, Skip, Tick

KEPT = 100
"""Eras and pauses that are remembered; older ones lie behind every slot that may still be undecided."""
_INSTANT = timedelta(milliseconds=1)
_PLAIN = (
    "description",
    "delete_backups_on_deletion",
    "concurrency_policy",
    "misfire",
    "starting_deadline",
    "spread",
    "template",
)
"""What is as it was last said; no slot that has been decided depends on it."""


class Effect(StrEnum):
    """Which slots go by a change: those that it pauses or skips, that may run again, or that run otherwise than before."""

    PAUSES = "Pauses"
    SKIPS = "Skips"
    FREES = "Frees"
    ALTERS = "Alters"


_FATES = {Effect.PAUSES: Fate.PAUSED, Effect.SKIPS: Fate.SKIPPED, Effect.FREES: Fate.RUNS, Effect.ALTERS: Fate.RUNS}


@dataclass(frozen=True, slots=True)
class Change:
    """A schedule as somebody wants it from `at` on; `moved`: it is not the same as before."""

    schedule: Schedule
    effect: Effect
    at: datetime
    moved: bool = True

    def first(self, since: datetime, left: int) -> datetime | None:
        """Return the first slot due at or after a moment that goes by the change; None when there is none."""
        return first(self.schedule, since, _FATES[self.effect], left)

    def shows_in(self, tick: Tick, stored: datetime) -> bool:
        """Tell whether the decision of a slot was made by the change, which was stored at that moment."""
        match self.effect:
            case Effect.PAUSES:
                return tick.decision is Decision.PAUSED
            case Effect.SKIPS:
                return self.schedule.skip is not None and tick.skip == self.schedule.skip.id
            case Effect.FREES:
                return tick.decision not in {Decision.PAUSED, Decision.SKIPPED}
            case Effect.ALTERS:
                return tick.decided_at > stored


def created(wanted: CreateSchedule, schedule_id: str, by: str, now: datetime, wish: str) -> Schedule:
    """Return a new schedule; its first slot is the first one after now."""
    return Schedule(
        id=schedule_id,
        name=wanted.name,
        cluster=wanted.cluster,
        eras=[Era(from_=now, cron=wanted.cron, timezone=wanted.timezone)],
        pauses=[Pause(from_=now)] if wanted.paused else [],
        skip=_wish(wanted.skip_next, wish, now),
        created_by=by,
        created_at=now,
        changed_at=now,
        **_plain(wanted),
    )


def settings_of(schedule: Schedule) -> ScheduleSettings:
    """Return what was said about a schedule; a wish to skip with the number that it was made for."""
    return ScheduleSettings(
        cron=schedule.cron,
        timezone=schedule.timezone,
        paused=schedule.paused,
        skip_next=schedule.skip.count if schedule.skip else 0,
        **{field: getattr(schedule, field) for field in _PLAIN},
    )


def edited(schedule: Schedule, wanted: ScheduleSettings, said: Collection[str], now: datetime, wish: str) -> Change:
    """Return a schedule with other settings; `said` are the names of those that the request speaks of.

    A pause and a wish to skip that it says nothing of stay as they are.
    """
    fields = _plain(wanted)
    effect = Effect.ALTERS
    if parse(wanted.spread) != parse(schedule.spread):
        fields["spread_since"] = now
    if (wanted.cron, wanted.timezone) != (schedule.cron, schedule.timezone):
        fields["eras"] = _begun(schedule.eras, Era(from_=now, cron=wanted.cron, timezone=wanted.timezone))
    if "skipNext" in said:
        change = skipping(schedule, wanted.skip_next, now, wish)
        if change.moved:
            fields["skip"], effect = change.schedule.skip, change.effect
    if "paused" in said:
        change = (paused if wanted.paused else resumed)(schedule, now)
        if change.moved:
            fields["pauses"], effect = change.schedule.pauses, change.effect
    return _change(schedule, fields, effect, now)


def paused(schedule: Schedule, now: datetime) -> Change:
    """Let nothing run that is due from now on."""
    fields = {} if schedule.paused else {"pauses": [*schedule.pauses, Pause(from_=now)][-KEPT:]}
    return _change(schedule, fields, Effect.PAUSES, now)


def resumed(schedule: Schedule, now: datetime) -> Change:
    """Let run what is due from now on."""
    closed = [pause if pause.to is not None else pause.model_copy(update={"to": now}) for pause in schedule.pauses]
    return _change(schedule, {"pauses": closed} if schedule.paused else {}, Effect.FREES, now)


def skipping(schedule: Schedule, count: int, now: datetime, wish: str) -> Change:
    """Leave out the next slots, whatever was wished before; 0 leaves out none."""
    fields = {} if count == 0 and schedule.skip is None else {"skip": _wish(count, wish, now)}
    return _change(schedule, fields, Effect.SKIPS if count else Effect.FREES, now)


def deleted(schedule: Schedule, by: str, now: datetime, *, backups: bool) -> Schedule:
    """Let a schedule go. Asking again changes nothing, unless it failed or asks for something else: then it is tried anew."""
    last = schedule.deleting
    if last is not None and last.delete_backups == backups and not last.errors:
        return schedule
    deletion = Deletion(delete_backups=backups, by=by, at=now, attempt=last.attempt + 1 if last else 1)
    return _next(schedule, {"deleting": deletion}, now)


def failed(schedule: Schedule, errors: list[str], now: datetime) -> Schedule:
    """Note why a deletion has not come to its end."""
    deletion = schedule.deleting
    if deletion is None or errors == deletion.errors:
        return schedule
    return _next(schedule, {"deleting": deletion.model_copy(update={"errors": errors})}, now)


def _plain(wanted: ScheduleSettings) -> dict[str, Any]:
    fields = {field: getattr(wanted, field) for field in _PLAIN}
    template = wanted.template
    return {**fields, "template": template.model_copy(update={"spec": as_velero_spells(template.spec)})}


def _wish(count: int, wish: str, now: datetime) -> Skip | None:
    return Skip(id=wish, count=count, not_before=now) if count else None


def _begun(eras: list[Era], era: Era) -> list[Era]:
    """Return the eras with a new one; what would begin at or after it (a clock was set back) never comes into force."""
    return [*(known for known in eras if known.from_ < era.from_), era][-KEPT:]


def _change(schedule: Schedule, fields: dict[str, Any], effect: Effect, now: datetime) -> Change:
    if all(getattr(schedule, field) == value for field, value in fields.items()):
        return Change(schedule, effect, now, moved=False)
    return Change(_next(schedule, fields, now), effect, now)


def _next(schedule: Schedule, fields: dict[str, Any], now: datetime) -> Schedule:
    """Return the next version, which whoever looks for changes finds behind the last one, also when a clock is set back."""
    fields = {**fields, "version": schedule.version + 1, "changed_at": max(now, schedule.changed_at + _INSTANT)}
    return Schedule.model_validate({**dict(schedule), **fields})
