"""What a change makes of a schedule, and which slot is the first to go by it: also where clocks are set and on the boundary."""

from datetime import UTC, datetime, timedelta

import pytest

from services.gateway.schedules.changes import (
    KEPT,
    Change,
    Effect,
    created,
    deleted,
    edited,
    failed,
    paused,
    resumed,
    settings_of,
    skipping,
)
from services.gateway.schedules.slots import Fate, fates, first, preview, upcoming
from services.gateway.schemas import CreateSchedule, PreviewSchedule
from services.gateway.validation import InvalidRequestError, merged_schedule
from shared.contracts.schedules import Decision, Era, Pause, Schedule, Skip
from shared.cron.expression import CronInvalidError
from shared.cron.words import in_words
from shared.cron.zones import ZoneInvalidError
from tests.support.schedules import tick

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
INSTANT = timedelta(milliseconds=1)


def schedule(now=NOON, **facts):
    plain = {"name": "nightly", "cluster": "eu1", "cron": "0 * * * *", "template": {"scope": {"kind": "all"}}}
    return created(CreateSchedule.model_validate({**plain, **facts}), "s1", "anna", now, "w1")


def at(hour, minute=0, day=1, month=3):
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


# ---------------------------------------------------------------------- what a change makes of it


def test_a_new_schedule_begins_with_what_was_asked_for():
    made = schedule(paused=True, skipNext=2, template={"scope": {"kind": "all"}, "spec": {"datamover": "kopia"}})
    assert (made.eras, made.pauses, made.version) == ([Era(from_=NOON, cron="0 * * * *")], [Pause(from_=NOON)], 1)
    assert made.skip == Skip(id="w1", count=2, not_before=NOON)
    assert made.template.spec.datamover == "velero"
    assert (made.created_by, made.created_at, made.changed_at) == ("anna", NOON, NOON)
    assert (schedule().pauses, schedule().skip) == ([], None)
    assert Schedule.of(made.document()) == made


def test_its_first_slot_is_strictly_after_it_was_made():
    assert next(upcoming(schedule(), NOON)) == at(13)
    assert next(upcoming(schedule(NOON - INSTANT), NOON - INSTANT)) == NOON


def test_pausing_and_resuming_open_and_close_a_pause_and_asking_twice_changes_nothing():
    one = paused(schedule(), NOON)
    assert (one.moved, one.schedule.version, one.schedule.pauses) == (True, 2, [Pause(from_=NOON)])
    again = paused(one.schedule, NOON + HOUR)
    assert (again.moved, again.schedule) == (False, one.schedule)
    free = resumed(one.schedule, NOON + HOUR)
    assert free.schedule.pauses == [Pause(from_=NOON, to=NOON + HOUR)]
    assert not resumed(free.schedule, NOON + DAY).moved
    assert (free.schedule.version, free.schedule.changed_at) == (3, NOON + HOUR)


def test_a_wish_to_skip_replaces_the_one_before_it_and_none_takes_it_back():
    one = skipping(schedule(), 2, NOON + HOUR, "w2")
    assert one.schedule.skip == Skip(id="w2", count=2, not_before=NOON + HOUR)
    two = skipping(one.schedule, 2, NOON + HOUR, "w3")
    assert (two.moved, two.schedule.skip.id) == (True, "w3")
    none = skipping(two.schedule, 0, NOON + DAY, "w4")
    assert (none.moved, none.schedule.skip, none.effect) == (True, None, Effect.FREES)
    assert not skipping(none.schedule, 0, NOON + DAY, "w5").moved


def patched(before, body, now=NOON + HOUR):
    return edited(before, *merged_schedule(settings_of(before), body), now, "w9")


def test_another_timetable_begins_an_era_and_leaves_the_ones_before():
    one = patched(schedule(), b'{"cron": "30 * * * *"}')
    assert one.schedule.eras == [Era(from_=NOON, cron="0 * * * *"), Era(from_=NOON + HOUR, cron="30 * * * *")]
    two = patched(one.schedule, b'{"timezone": "Europe/Berlin"}', NOON + DAY)
    assert two.schedule.eras[-1] == Era(from_=NOON + DAY, cron="30 * * * *", timezone="Europe/Berlin")
    assert (len(two.schedule.eras), two.schedule.version) == (3, 3)


def test_a_clock_that_was_set_back_leaves_the_eras_in_order_and_every_version_behind_the_last():
    one = patched(schedule(), b'{"cron": "30 * * * *"}', NOON + DAY).schedule
    two = patched(one, b'{"cron": "45 * * * *"}', NOON + HOUR).schedule
    assert [era.cron for era in two.eras] == ["0 * * * *", "45 * * * *"]
    assert two.changed_at == one.changed_at + INSTANT
    three = patched(two, b'{"cron": "50 * * * *"}', NOON - HOUR).schedule
    assert [era.cron for era in three.eras] == ["50 * * * *"]


@pytest.mark.parametrize(
    ("body", "effect"),
    [
        (b"{}", None),
        (b'{"cron": "0 * * * *", "timezone": "UTC", "paused": false, "skipNext": 0}', None),
        (b'{"description": "x"}', Effect.ALTERS),
        (b'{"template": {"spec": {"ttl": "1h"}}}', Effect.ALTERS),
        (b'{"paused": true}', Effect.PAUSES),
        (b'{"skipNext": 1}', Effect.SKIPS),
        (b'{"skipNext": 1, "cron": "1 * * * *"}', Effect.SKIPS),
        (b'{"skipNext": 1, "paused": true}', Effect.PAUSES),
    ],
)
def test_a_patch_that_says_nothing_new_changes_nothing(body, effect):
    change = patched(schedule(), body)
    assert (change.moved, change.effect if change.moved else None) == (effect is not None, effect)


def test_since_when_another_spread_is_in_force_is_remembered():
    one = patched(schedule(), b'{"spread": "30m"}')
    assert (schedule().spread_since, one.schedule.spread_since) == (None, NOON + HOUR)
    two = patched(one.schedule, b'{"spread": "1800s", "description": "x"}', NOON + DAY).schedule
    assert (two.spread_since, two.description) == (NOON + HOUR, "x")
    assert patched(two, b'{"spread": null}', NOON + DAY).schedule.spread_since == NOON + DAY


def test_a_patch_leaves_a_pause_and_a_wish_alone_that_it_does_not_speak_of():
    before = schedule(paused=True, skipNext=3)
    after = patched(before, b'{"description": "x"}').schedule
    assert (after.pauses, after.skip) == (before.pauses, before.skip)
    freed = patched(before, b'{"paused": null, "skipNext": null}').schedule
    assert (freed.pauses[-1].to, freed.skip) == (NOON + HOUR, None)


def test_a_scope_of_another_kind_takes_no_list_of_namespaces_along_but_the_exclusions():
    scope = {"kind": "specific", "namespaces": ["shop"], "excludedNamespaces": ["test"]}
    before = settings_of(schedule(template={"scope": scope}))
    wanted, said = merged_schedule(before, b'{"template": {"scope": {"kind": "production"}}}')
    assert (wanted.template.scope.wire(), said) == ({"kind": "production", "excludedNamespaces": ["test"]}, {"template"})
    with pytest.raises(InvalidRequestError):
        merged_schedule(before, b'{"template": {"scope": {"kind": "production", "namespaces": ["x"]}}}')


def test_history_is_bounded():
    long = schedule()
    for n in range(KEPT + 5):
        long = paused(long, NOON + n * DAY).schedule
        long = resumed(long, NOON + n * DAY + HOUR).schedule
        long = patched(long, b'{"cron": "%d * * * *"}' % (n % 60), NOON + n * DAY).schedule
    assert (len(long.pauses), len(long.eras)) == (KEPT, KEPT)
    assert long.pauses[-1] == Pause(from_=NOON + (KEPT + 4) * DAY, to=NOON + (KEPT + 4) * DAY + HOUR)


def test_a_deletion_is_asked_for_once_and_tried_anew_when_it_failed_or_something_else_is_wanted():
    one = deleted(schedule(), "anna", NOON, backups=True)
    assert (one.deleting.attempt, one.deleting.by, one.version) == (1, "anna", 2)
    assert deleted(one, "otto", NOON + HOUR, backups=True) is one
    told = failed(one, ["no"], NOON)
    assert (told.deleting.errors, told.version, failed(told, ["no"], NOON) is told) == (["no"], 3, True)
    two = deleted(told, "otto", NOON + HOUR, backups=True)
    assert (two.deleting.attempt, two.deleting.by, two.deleting.at, two.deleting.errors) == (2, "otto", NOON + HOUR, [])
    assert deleted(one, "otto", NOON + HOUR, backups=False).deleting.attempt == 2


# ---------------------------------------------------------------------- which slot is the first to go by it


def affected(change, left=0):
    return change.first(change.at, left)


def test_a_slot_that_is_due_at_the_very_instant_goes_by_the_change():
    assert affected(paused(schedule(), at(14))) == at(14)
    assert affected(paused(schedule(), at(14) + INSTANT)) == at(15)
    assert affected(resumed(schedule(paused=True), at(14))) == at(14)
    assert affected(skipping(schedule(), 1, at(14), "w"), 1) == at(14)
    assert affected(patched(schedule(), b'{"cron": "*/30 * * * *"}', at(14, 30)), 0) == at(14, 30)


def test_what_counts_is_when_a_slot_is_due():
    late = schedule(spread="30m")
    assert late.offset > timedelta(0)
    due = at(14) + late.offset
    assert affected(paused(late, due)) == at(14)
    assert affected(paused(late, due + INSTANT)) == at(15)


def test_with_a_spread_slots_of_the_timetable_before_still_come():
    late = schedule(spread="30m")
    new = patched(late, b'{"cron": "5 * * * *"}', at(14) + late.offset / 2)
    coming = [slot for slot, _ in zip((slot for slot, _ in fates(new.schedule, new.at, 0)), range(2), strict=False)]
    assert coming == [at(14), at(14, 5) if new.at <= at(14, 5) else at(15, 5)]


def test_resuming_frees_the_first_slot_that_is_not_skipped():
    both = schedule(paused=True, skipNext=2)
    assert affected(resumed(both, at(14, 1)), left=2) == at(17)
    assert affected(resumed(both, at(14, 1)), left=0) == at(15)


def test_while_it_is_paused_no_wish_and_no_edit_makes_a_slot_run_or_skip():
    asleep = schedule(paused=True)
    assert affected(skipping(asleep, 1, at(14), "w"), 1) is None
    assert affected(patched(asleep, b'{"cron": "5 * * * *"}')) is None
    assert affected(paused(asleep, at(14))) == at(14)


def test_a_timetable_that_means_nothing_has_no_slots_and_one_after_it_has():
    broken = schedule(cron="61 * * * *")
    assert affected(paused(broken, NOON)) is None
    assert affected(patched(broken, b'{"cron": "5 * * * *"}')) == at(13, 5)
    assert affected(patched(schedule(), b'{"timezone": "Mars/Base"}')) is None


def test_what_lies_farther_than_anybody_plans_is_not_looked_for():
    rare = skipping(schedule(cron="0 0 29 2 *"), 1000, NOON, "w")
    assert affected(rare, 1000) == datetime(2028, 2, 29, tzinfo=UTC)
    assert first(rare.schedule, NOON, Fate.RUNS, 1000) is None
    assert len(preview(PreviewSchedule(cron="0 0 29 2 *", count=100), NOON).instants) == 8


def test_of_what_is_being_deleted_nothing_comes():
    assert first(deleted(schedule(), "anna", NOON, backups=False), NOON, Fate.RUNS, 0) is None


def test_where_the_clock_is_set_forward_the_slot_comes_at_the_first_instant_after():
    berlin = schedule(at(0, day=28), cron="30 2 * * *", timezone="Europe/Berlin")
    assert affected(paused(berlin, at(12, day=28))) == at(1, day=29)  # 02:30 does not exist: 03:00 summer time
    assert affected(paused(berlin, at(12, day=29))) == at(0, 30, day=30)


def test_where_the_clock_is_set_back_the_slot_comes_once():
    berlin = schedule(at(0, day=24, month=10), cron="30 2 * * *", timezone="Europe/Berlin")
    first_time = at(0, 30, day=25, month=10)
    assert affected(paused(berlin, at(12, day=24, month=10))) == first_time
    assert affected(paused(berlin, first_time + INSTANT)) == at(1, 30, day=26, month=10)


def test_what_a_tick_proves():
    slot, stored = at(14), at(14) + MINUTE

    def shows(effect, decision, made=None, **facts):
        return Change(made or schedule(), effect, NOON).shows_in(tick("s1", slot, decision, **facts), stored)

    assert shows(Effect.PAUSES, Decision.PAUSED)
    assert not shows(Effect.PAUSES, Decision.TRIGGERED)
    assert shows(Effect.SKIPS, Decision.SKIPPED, schedule(skipNext=1), skip="w1")
    assert not shows(Effect.SKIPS, Decision.SKIPPED, schedule(skipNext=1), skip="older")
    assert shows(Effect.FREES, Decision.TRIGGERED)
    assert not shows(Effect.FREES, Decision.PAUSED)
    assert not shows(Effect.FREES, Decision.SKIPPED, skip="w1")
    assert not shows(Effect.ALTERS, Decision.TRIGGERED, decided_at=stored)
    assert shows(Effect.ALTERS, Decision.TRIGGERED, decided_at=stored + INSTANT)


# ---------------------------------------------------------------------- trying a timetable out


def test_a_preview_shows_what_the_clock_on_the_wall_shows():
    shown = preview(PreviewSchedule(cron="30 2 * * *", timezone="Europe/Berlin", count=3), at(12, day=27))
    assert [instant.local for instant in shown.instants] == [
        "2026-03-28T02:30:00+01:00",
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ]
    assert [instant.at for instant in shown.instants] == [at(1, 30, day=28), at(1, day=29), at(0, 30, day=30)]
    moved = next(warning for warning in shown.warnings if warning.code == "SlotMoved")
    assert moved.at == at(1, day=29)


def test_a_preview_of_what_means_nothing_is_none():
    with pytest.raises(CronInvalidError):
        preview(PreviewSchedule(cron="0 0 31 2 *"), NOON)
    with pytest.raises(ZoneInvalidError):
        preview(PreviewSchedule(cron="@daily", timezone="Mars/Base"), NOON)
    assert (in_words("@daily"), in_words("0 0 31 2 *")) == ("Every day at 00:00", None)
