"""What people see of a schedule, by all that it depends on: pure."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.status.schedules.grounds import Ground, Location
from services.status.schedules.projection import Around, Decided, Made, gone, schedule
from shared.contracts.phases import BackupStatus
from shared.contracts.views import BackupRef
from tests.support.messages import NOW
from tests.support.status_schedules import wanted

DAY = timedelta(days=1)
TWO = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)  # the first slot of "0 2 * * *" after NOW, noon of the day before
DEFAULT = Location("default", "aws", "b", default=True, read_only=False, status="Available", message=None)
ARCHIVE = replace(DEFAULT, name="archive", bucket="cold", default=False)
WELL = Ground(selectors={}, status="Online", locations_listed=True, locations=(DEFAULT,), digest="d")
SPACES = {"shop": {"environment": "prod"}, "test": {"environment": "test"}, "bare": {}}
LAST = BackupRef(id="b1", name="nightly-1", status=BackupStatus.COMPLETED)
MADE = Made(any=True, last_at=NOW, last=LAST, outcomes={"Completed": 3, "PartiallyFailed": 2, "Failed": 1})


def seen(schedule_wanted=None, *, now=NOW, ground=WELL, **around):
    return schedule(schedule_wanted or wanted(), Around(ground, **around), now).item


def codes(item):
    return [reason.code for reason in item.reasons]


def located(*locations):
    return replace(WELL, locations=locations)


# ---------------------------------------------------------------- status


def test_a_schedule_is_new_until_its_first_backup_and_then_active():
    assert (seen().status, seen(made=MADE).status) == ("New", "Active")
    asked_for = Made(last=replace_status(LAST, BackupStatus.CREATING))
    assert (seen(made=asked_for).status, seen(made=asked_for).last_backup.status) == ("New", "Creating")


def replace_status(backup, status):
    return backup.model_copy(update={"status": status})


def test_what_cannot_run_comes_before_what_a_person_paused():
    paused = wanted(pauses=[{"from": NOW}])
    assert (seen(paused).status, seen(paused, made=MADE).status) == ("Paused", "Paused")
    assert seen(paused, ground=Ground()).status == "FailedValidation"
    resumed = wanted(pauses=[{"from": NOW - DAY, "to": NOW}])
    assert (seen(resumed).status, seen(resumed).paused) == ("New", False)


def test_a_schedule_that_nobody_wants_any_more_is_deleted_and_in_no_list():
    row = schedule(wanted(deleting={"deleteBackups": True, "by": "bert", "at": NOW}), Around(WELL, made=MADE), NOW)
    assert (row.item.status, row.item.deleting.by, row.item.next_run_at, row.recheck_at) == ("Active", "bert", None, None)
    left = gone({"_id": "s1", **row.fields()})
    assert (left.item.status, left.listed, left.item.name, left.item.last_backup) == ("Deleted", False, "nightly", LAST)
    assert (left.recheck_at, left.item.deleting, left.more["version"]) == (None, None, 1)


# ---------------------------------------------------------------- reasons


@pytest.mark.parametrize(
    ("more", "ground", "reason"),
    [
        ({"cron": "61 * * * *"}, WELL, "CronInvalid"),
        ({"cron": "0 0 31 2 *"}, WELL, "CronInvalid"),
        ({"timezone": "Mars/Olympus"}, WELL, "CronInvalid"),
        ({}, Ground(), "ClusterUnknown"),
        ({"location": "archive"}, WELL, "LocationUnknown"),
        ({}, located(), "LocationUnknown"),
        ({}, located(replace(DEFAULT, default=False), ARCHIVE), "LocationUnknown"),
        ({"location": "archive"}, located(DEFAULT, replace(ARCHIVE, read_only=True)), "LocationReadOnly"),
        ({}, located(replace(DEFAULT, read_only=True), ARCHIVE), "LocationReadOnly"),
        ({}, located(replace(DEFAULT, status="Unavailable", message="no bucket")), "LocationUnavailable"),
        ({}, Ground(selectors={}), "ClusterOffline"),
        ({}, replace(WELL, status="Offline", silent_since=NOW), "ClusterOffline"),
        ({}, replace(WELL, velero_problem="no answer"), "VeleroNotAnswering"),
        ({"scope": {"kind": "specific", "namespaces": ["nowhere"]}}, WELL, "ScopeInvalid"),
        ({"scope": {"kind": "specific", "namespaces": ["no*"]}}, WELL, "ScopeInvalid"),
        ({"scope": {"kind": "all", "excludedNamespaces": ["[a-z]*"]}}, WELL, "ScopeInvalid"),
    ],
)
def test_each_reason_alone(more, ground, reason):
    item = seen(wanted(**more), ground=ground, namespaces=SPACES)
    assert (item.status, codes(item)) == ("FailedValidation", [reason])
    waiting = {"ClusterOffline", "LocationUnavailable", "VeleroNotAnswering"}
    assert item.reasons[0].permanent is (reason not in waiting)


@pytest.mark.parametrize(
    ("more", "ground"),
    [
        ({}, WELL),
        ({}, replace(WELL, selectors=None)),  # reports without being registered
        ({}, located(replace(DEFAULT, default=False))),  # the only one
        ({}, located(DEFAULT, replace(ARCHIVE, default=True))),  # Velero takes the newest
        ({}, located(replace(DEFAULT, status="Pending"))),
        ({"location": "archive"}, located(replace(DEFAULT, read_only=True, status="Unavailable"), ARCHIVE)),
        ({"location": "archive"}, replace(WELL, locations_listed=False)),  # it has not told yet
        ({"scope": {"kind": "production"}}, WELL),
        ({"scope": {"kind": "nonProduction"}}, WELL),
        ({"scope": {"kind": "specific", "namespaces": ["shop", "te*"]}}, WELL),
        ({"timezone": "Europe/Berlin", "cron": "@daily"}, WELL),
    ],
)
def test_what_is_no_reason(more, ground):
    assert seen(wanted(**more), ground=ground, namespaces=SPACES).status == "New"


def test_a_scope_is_judged_by_the_selectors_of_the_cluster_and_never_by_namespaces_that_are_not_known():
    production = wanted(scope={"kind": "production"})
    own = {"productionSelector": {"matchLabels": [{"k": "stage", "v": "live"}]}, "nonProductionSelector": None}
    assert codes(seen(production, namespaces=SPACES, ground=replace(WELL, selectors=own))) == ["ScopeInvalid"]
    assert codes(seen(production, namespaces=SPACES, ground=replace(WELL, selectors={"productionSelector": 7}))) == []
    assert codes(seen(wanted(scope={"kind": "specific", "namespaces": ["nowhere"]}), namespaces=None)) == []


def test_all_reasons_are_told_the_permanent_ones_first():
    ground = replace(located(replace(DEFAULT, status="Unavailable", read_only=True)), velero_problem="no answer")
    item = seen(wanted(cron="@reboot", scope={"kind": "specific", "namespaces": ["nowhere"]}), ground=ground, namespaces=SPACES)
    assert codes(item) == ["CronInvalid", "LocationReadOnly", "ScopeInvalid", "VeleroNotAnswering", "LocationUnavailable"]


def test_of_a_silent_cluster_only_what_somebody_has_to_change_still_counts():
    broken = located(replace(DEFAULT, status="Unavailable"))
    silent = replace(broken, status="Offline", silent_since=NOW, velero_problem="no answer")
    assert codes(seen(ground=silent)) == ["ClusterOffline"]
    assert codes(seen(wanted(location="archive"), ground=silent)) == ["LocationUnknown", "ClusterOffline"]


def test_reasons_are_sentences():
    def said(ground, **more):
        return seen(wanted(**more), ground=ground, namespaces=SPACES).reasons[0].message

    assert said(Ground()) == "No cluster eu1 is registered, and none of that name reports."
    assert said(Ground(selectors={})) == "Cluster eu1 has not been seen since it was registered."
    silent = replace(WELL, status="Offline", silent_since=NOW)
    assert said(silent) == "Cluster eu1 has not been seen since 2026-11-22 12:00:00 UTC."
    assert said(WELL, location="cold") == "Cluster eu1 has no storage location cold."
    assert said(located()) == "Cluster eu1 has no storage location at all."
    two = located(replace(DEFAULT, default=False), ARCHIVE)
    assert said(two) == "Cluster eu1 has no storage location by default: name one of default, archive."
    assert said(WELL, scope={"kind": "specific", "namespaces": ["x"]}) == "Cluster eu1 has no namespace x."
    assert said(located(replace(DEFAULT, status="Unavailable"))).endswith("is not available: Velero gives no reason")
    assert len(said(located(replace(DEFAULT, status="Unavailable", message="x" * 9000)))) == 1024


# ---------------------------------------------------------------- what is shown


def test_the_storage_location_is_the_one_named_or_what_velero_would_take():
    def place(ground, name=None):
        shown = seen(wanted(location=name), ground=ground).storage_location
        return shown.name, shown.provider, shown.bucket

    assert place(located(DEFAULT, ARCHIVE)) == ("default", "aws", "b")
    assert place(located(DEFAULT, ARCHIVE), "archive") == ("archive", "aws", "cold")
    assert place(located(ARCHIVE)) == ("archive", "aws", "cold")
    assert place(Ground(), "archive") == ("archive", None, None)
    assert place(Ground()) == (None, None, None)


def test_the_item_says_what_is_wanted_in_words_too():
    item = seen(wanted(cron="*/15 * * * *", timezone="Europe/Berlin", spread="10m", misfire="all", description="all of it"))
    assert (item.cron_text, item.timezone, item.spread, item.misfire) == ("Every 15 minutes", "Europe/Berlin", "10m", "all")
    assert (item.managed_by, item.version, item.created_by, item.description) == ("Leeward", 1, "anna", "all of it")
    assert (item.starting_deadline, item.concurrency_policy, item.created_at) == ("1h", "forbid", NOW)
    assert seen(wanted(cron="nonsense")).cron_text is None


def test_backups_and_slots_are_counted():
    slots = Decided(missed=4, skipped=5, last_skipped_at=NOW - DAY)
    item = seen(made=MADE, decided=slots)
    assert item.counts.wire() == {"completed": 3, "partiallyFailed": 2, "failed": 1, "missed": 4, "skipped": 5}
    assert (item.last_backup, item.last_backup_at, item.last_skipped_at) == (LAST, NOW, NOW - DAY)
    assert (seen().last_backup, seen().last_backup_at, seen().last_skipped_at) == (None, None, None)


# ---------------------------------------------------------------- when it runs next


def runs(schedule_wanted, now=NOW, **around):
    row = schedule(schedule_wanted, Around(WELL, **around), now)
    return row.item.next_run_at, row.recheck_at


def test_it_runs_at_the_next_slot_and_is_looked_at_again_when_that_was_due():
    after = timedelta(seconds=2)
    assert runs(wanted()) == (TWO, TWO + after)
    assert runs(wanted(), TWO - timedelta(milliseconds=1)) == (TWO, TWO + after)
    assert runs(wanted(), TWO) == (TWO + DAY, TWO + DAY + after)
    assert runs(wanted(cron="0 2 * * *", timezone="Europe/Berlin"))[0] == TWO - timedelta(hours=1)


def test_its_first_slot_is_after_it_was_made():
    at_noon = wanted(cron="0 12 * * *", at=NOW)
    assert runs(at_noon, NOW - timedelta(seconds=5))[0] == NOW + DAY  # also by a clock that is behind


@pytest.mark.parametrize(
    "more", [{"pauses": [{"from": NOW}]}, {"cron": "x"}, {"deleting": {"deleteBackups": False, "by": "a", "at": NOW}}]
)
def test_it_does_not_run_while_paused_or_without_a_meaning_or_on_its_way_out(more):
    assert runs(wanted(**more)) == (None, None)


def test_it_runs_as_long_after_its_slots_as_its_spread_says():
    spread = wanted(spread="1h")
    due = TWO + spread.offset
    assert timedelta() < spread.offset < timedelta(hours=1)
    assert runs(spread)[0] == due
    assert runs(spread, due - timedelta(milliseconds=1))[0] == due  # its slot has passed, and it is not due yet
    assert runs(spread, due)[0] == due + DAY


def test_a_slot_is_of_the_timetable_that_was_in_force_at_the_slot():
    eras = [{"from": NOW, "cron": "0 2 * * *"}, {"from": TWO + timedelta(minutes=1), "cron": "0 5 * * *"}]
    spread = wanted(spread="1h", eras=eras)
    assert runs(spread, TWO + timedelta(minutes=1))[0] == TWO + spread.offset
    assert runs(spread, TWO + spread.offset)[0] == TWO + timedelta(hours=3) + spread.offset
    at_the_slot = wanted(eras=[{"from": NOW, "cron": "x"}, {"from": TWO, "cron": "0 2 * * *"}])
    assert runs(at_the_slot)[0] == TWO


@pytest.mark.parametrize(
    ("count", "obeyed", "left", "first"),
    [(1, 0, 1, TWO + DAY), (3, 0, 3, TWO + 3 * DAY), (3, 2, 1, TWO + DAY), (3, 3, 0, TWO), (1, 2, 0, TWO), (0, 0, 0, TWO)],
)
def test_slots_that_a_person_skips_are_left_out(count, obeyed, left, first):
    skipping = wanted(skip={"id": "k1", "count": count, "notBefore": NOW})
    decided = Decided(obeyed={"k1": obeyed, "k0": 7})
    row = schedule(skipping, Around(WELL, decided=decided), NOW)
    assert (row.item.skip_next, row.item.next_run_at) == (left, first)
    assert row.recheck_at == TWO + timedelta(seconds=2)


def test_a_wish_to_skip_is_about_what_is_due_after_it():
    later = wanted(skip={"id": "k1", "count": 1, "notBefore": TWO + timedelta(seconds=1)})
    assert runs(later)[0] == TWO
    assert runs(later, TWO)[0] == TWO + 2 * DAY
    endless = wanted(skip={"id": "k1", "count": 10**9, "notBefore": NOW})
    assert runs(endless) == (None, TWO + timedelta(seconds=2))


def test_what_is_skipped_for_decades_has_no_next_run_and_nobody_waits_for_the_answer():
    leap_days = wanted(eras=[{"from": NOW, "cron": "0 0 29 2 *"}], skip={"id": "w", "count": 1000, "notBefore": NOW})
    assert (seen(leap_days).next_run_at, seen(leap_days).skip_next) == (None, 1000)
    once = wanted(eras=[{"from": NOW, "cron": "0 0 29 2 *"}], skip={"id": "w", "count": 1, "notBefore": NOW})
    assert seen(once).next_run_at == datetime(2032, 2, 29, tzinfo=UTC)
