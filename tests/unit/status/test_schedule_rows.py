"""When the row of a schedule is computed again: by hints, backups, clusters, time, and by looking for what nobody said."""

import asyncio
import random
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.status.fold import refresh, refresh_all
from services.status.heeding import heed
from services.status.merged import Merged
from services.status.rescan import Rescan
from services.status.sweeper import sweep
from shared.contracts import ids
from shared.contracts.documents import from_document
from shared.contracts.names import Noun
from shared.contracts.schedules import Decision
from shared.contracts.views import ScheduleItem
from shared.messaging.outcomes import Unavailable
from tests.support.messages import NOW
from tests.support.status_memory import Desk, Memory, Ticking, alike, documents
from tests.support.status_messages import (
    accepted,
    finished,
    inventory,
    location,
    observed,
    presence,
    rejected,
    snapshot,
)
from tests.support.status_schedules import (
    SCHEDULE,
    backup_of,
    from_schedule_command,
    schedule_seen,
    tick,
    trigger_command,
    velero_schedule,
    wanted,
)
from tests.support.status_views import hear, operation

LATER = timedelta(seconds=5)


class Counting(Memory):
    """A memory that counts how often schedules are computed."""

    computed = 0

    async def schedule(self, schedule_id):
        self.computed += 1
        return await super().schedule(schedule_id)


@pytest.fixture
def desk():
    return Desk(memory=Counting())


def want(desk, schedule):
    desk.memory.schedules[schedule.id] = schedule.document()


async def hint(desk, *schedule_ids):
    async def heard():
        for each in schedule_ids or (SCHEDULE,):
            yield each

    await heed(desk.ports, heard())


def shown(desk, row_id=SCHEDULE):
    return ScheduleItem.read(from_document(desk.memory.rows[Noun.SCHEDULE, row_id]["item"]))


def well(at=NOW):
    """What a cluster tells that is well."""
    return presence(at), inventory(at), observed(location(), noun="location"), snapshot(["l1"], rv=9, noun="location", at=at)


async def look(desk, rescan):
    rescan.last = rescan.last and rescan.last - timedelta(seconds=3)
    await rescan.look(desk.ports)


# ---------------------------------------------------------------- hints and backups


async def test_a_hint_brings_a_schedule_and_its_end(desk):
    await hear(desk, *well())
    want(desk, wanted())
    await hint(desk)
    row = desk.memory.rows[Noun.SCHEDULE, SCHEDULE]
    assert (shown(desk).status, row["version"], row["listed"]) == ("New", 1, True)
    want(desk, wanted(version=2, pauses=[{"from": NOW}]))
    await hint(desk)
    assert (shown(desk).status, desk.memory.rows[Noun.SCHEDULE, SCHEDULE]["version"]) == ("Paused", 2)
    desk.memory.schedules.clear()
    await hint(desk, SCHEDULE, "nobody")
    assert (shown(desk).status, desk.memory.rows[Noun.SCHEDULE, SCHEDULE]["listed"]) == ("Deleted", False)
    assert desk.speaker.statuses("schedule") == ["New", "Paused", "Deleted"]
    assert (Noun.SCHEDULE, "nobody") not in desk.memory.rows


async def test_a_backup_makes_its_schedule_active_when_its_cluster_shows_it_and_counts_when_it_ends(desk):
    await hear(desk, *well())
    want(desk, wanted())
    await hint(desk)
    await hear(desk, trigger_command())
    assert (shown(desk).status, shown(desk).last_backup.status, shown(desk).last_backup_at) == ("New", "Creating", None)
    await hear(desk, accepted(backup_of()))
    assert (shown(desk).status, shown(desk).last_backup_at) == ("Active", NOW)
    await hear(desk, observed(backup_of(rv=11, phase="PartiallyFailed", errors=1)))
    assert (shown(desk).last_backup.status, shown(desk).counts.partially_failed) == ("PartiallyFailed", 1)
    await hear(desk, observed(backup_of(rv=12, phase="Deleting")), observed(backup_of(rv=13, phase="Deleting", deleted=True)))
    seen = shown(desk)
    assert (seen.status, seen.last_backup, seen.last_backup_at, seen.counts.partially_failed) == ("Active", None, NOW, 1)
    assert desk.speaker.statuses("schedule") == ["New", "Active"]


async def test_the_last_backup_is_the_newest_that_is_still_in_the_lists(desk):
    want(desk, wanted())
    await hint(desk)
    created = {"op1": "2026-11-22T11:00:00Z", "op2": "2026-11-22T11:30:00Z"}
    for number, name in enumerate(("op2", "op1")):
        await hear(desk, observed(backup_of(name, f"u{name}", 20 + number, "Completed", name=name, created=created[name])))
    assert (shown(desk).last_backup.id, shown(desk).last_backup_at.minute) == ("op2", 30)
    gone = backup_of("op2", "uop2", 30, "Deleting", name="op2", created=created["op2"], deleted=True)
    await hear(desk, observed(gone))
    assert (shown(desk).last_backup.id, shown(desk).last_backup_at.minute, shown(desk).counts.completed) == ("op1", 30, 2)


async def test_a_refused_slot_makes_no_backup(desk):
    await hear(desk, *well())
    want(desk, wanted())
    await hint(desk)
    await hear(desk, trigger_command(), rejected("Overlap"))
    assert (shown(desk).status, shown(desk).last_backup, shown(desk).last_backup_at) == ("New", None, None)
    assert (operation(desk, "op1").state, operation(desk, "op1").kind) == ("Rejected", "schedule.trigger")
    assert desk.memory.rows[Noun.BACKUP, "op1"]["item"]["status"] == "Refused"
    assert not desk.memory.rows[Noun.BACKUP, "op1"]["listed"]


async def test_operations_say_of_which_schedule_they_are_and_no_other_has_the_key(desk):
    await hear(desk, trigger_command("op1"), from_schedule_command("op2"))
    facts = {i: row["command"] for (noun, i), row in desk.memory.rows.items() if noun is Noun.OPERATION}
    assert {i: (each["kind"], each["schedule"]) for i, each in facts.items()} == {
        "op1": ("schedule.trigger", SCHEDULE),
        "op2": ("backup.create", SCHEDULE),
    }
    await hear(desk, accepted(backup_of()), finished("op1"))
    assert operation(desk, "op1").state == "Succeeded"


async def test_a_copy_in_another_cluster_is_not_counted_and_counts_once_it_is_none(desk):
    want(desk, wanted())
    await hint(desk)
    desk.memory.registered = {"us1"}
    copy = backup_of(phase="Completed", startTimestamp="2026-11-22T11:59:01Z")
    copy.object["metadata"]["labels"]["leeward.dev/cluster"] = "us1"
    routes, subject, us = observed(location("l9"), noun="location")
    await hear(desk, observed(location(), noun="location"))
    await hear(desk, (routes, subject.replace("eu1", "us1"), us.model_copy(update={"cluster": "us1"})), observed(copy))
    assert (shown(desk).last_backup, shown(desk).counts.completed) == (None, 0)
    desk.memory.registered = set()
    (backup_id,) = [i for noun, i in desk.memory.rows if noun is Noun.BACKUP]
    await refresh(desk.ports, Noun.BACKUP, backup_id)
    assert (shown(desk).last_backup.id, shown(desk).counts.completed) == (backup_id, 1)


async def test_a_schedule_of_velero_s_own_counts_the_backups_of_its_name_and_cluster(desk):
    row_id = ids.velero_schedule_id("eu1", "nightly")
    await hear(desk, schedule_seen(velero_schedule(name="nightly")))
    own = backup_of(phase="Completed", startTimestamp="2026-11-22T11:59:01Z")
    await hear(desk, observed(own))  # of a schedule of ours that has the name, too
    assert shown(desk, row_id).counts.completed == 0
    for mark in ("leeward.dev/schedule-id", "leeward.dev/operation-id", "leeward.dev/cluster"):
        del own.object["metadata"]["labels"][mark]
    own.object["metadata"]["annotations"] = {}
    await hear(desk, observed(own.model_copy(update={"uid": "u2", "name": "second"})))
    assert (shown(desk, row_id).status, shown(desk, row_id).counts.completed) == ("Active", 1)


# ---------------------------------------------------------------- time


async def test_time_moves_on_to_the_next_slot(desk):
    await hear(desk, *well())
    want(desk, wanted(cron="*/5 * * * *"))
    await hint(desk)
    assert shown(desk).next_run_at == NOW + timedelta(minutes=5)
    for wait, minutes in ((timedelta(seconds=301), 5), (timedelta(seconds=1), 10)):
        desk.now += wait
        await sweep(desk.ports)
        assert shown(desk).next_run_at == NOW + timedelta(minutes=minutes)


async def test_a_slot_that_was_skipped_is_counted_off(desk):
    slot = NOW + timedelta(minutes=5)
    await hear(desk, *well())
    want(desk, wanted(cron="*/5 * * * *", skip={"id": "k1", "count": 2, "notBefore": NOW}))
    await hint(desk)
    assert (shown(desk).skip_next, shown(desk).next_run_at) == (2, NOW + timedelta(minutes=15))
    desk.now = slot + timedelta(seconds=1)
    desk.memory.ticks += [tick(Decision.SKIPPED, slot, skip="k1"), tick(Decision.MISSED, NOW, count=3)]
    desk.memory.ticks += [tick(Decision.SUPERSEDED, NOW - LATER), tick(Decision.SKIPPED, slot, schedule="s9")]
    await hint(desk)
    seen = shown(desk)
    assert (seen.skip_next, seen.next_run_at, seen.last_skipped_at) == (1, NOW + timedelta(minutes=15), slot)
    assert (seen.counts.skipped, seen.counts.missed) == (1, 3)


# ---------------------------------------------------------------- looking


async def test_what_no_hint_told_is_found(desk):
    rescan = Rescan()
    await look(desk, rescan)
    want(desk, wanted())
    want(desk, wanted("s2", at=NOW - timedelta(days=1)))
    await look(desk, rescan)
    assert {shown(desk, i).status for i in (SCHEDULE, "s2")} == {"FailedValidation"}
    want(desk, wanted(version=2, description="better"))
    await look(desk, rescan)
    assert shown(desk).description == "better"
    del desk.memory.schedules[SCHEDULE]
    await look(desk, rescan)
    assert shown(desk).status == "Deleted"


async def test_a_look_computes_only_what_has_moved(desk):
    await hear(desk, *well())
    for number in range(20):
        want(desk, wanted(f"s{number}", at=NOW - timedelta(days=1)))
    want(desk, wanted("scoped", scope={"kind": "specific", "namespaces": ["shop"]}))
    rescan = Rescan()
    await look(desk, rescan)
    await look(desk, rescan)
    assert {row["item"]["status"] for (noun, _), row in desk.memory.rows.items() if noun is Noun.SCHEDULE} == {"New"}
    assert await computed(desk, rescan) == 0
    assert await computed(Desk(memory=desk.memory), Rescan()) == 0  # a service that begins
    desk.now += LATER
    await hear(desk, presence(desk.now), inventory(desk.now, version="v1.36"))
    assert await computed(desk, rescan) == 0  # it lives, and has the same namespaces
    _, _, told = inventory(desk.now + LATER)
    other = told.model_copy(update={"data": told.data.model_copy(update={"namespaces": []})})
    await hear(desk, (*inventory()[:2], other))
    assert await computed(desk, rescan) == 1
    assert [reason.code for reason in shown(desk, "scoped").reasons] == ["ScopeInvalid"]
    await hear(desk, observed(location(rv=20, phase="Unavailable"), noun="location"))
    assert await computed(desk, rescan) == 21
    assert shown(desk, "s7").reasons[0].code == "LocationUnavailable"
    reworded = location(rv=21, phase="Unavailable")
    reworded.object["status"]["message"] = "denied, request 4711"
    await hear(desk, observed(reworded, noun="location"))
    assert await computed(desk, rescan) == 0  # storage words it anew each time


async def computed(desk, rescan):
    before = desk.memory.computed
    await look(desk, rescan)
    return desk.memory.computed - before


async def test_whatever_becomes_of_a_cluster_its_schedules_follow(desk):
    desk.memory.registered = {"eu1"}
    want(desk, wanted(location="default"))
    await hear(desk, schedule_seen(velero_schedule()))
    rescan = Rescan()

    async def reasons():
        await look(desk, rescan)
        return [reason.code for reason in shown(desk).reasons]

    assert await reasons() == ["ClusterOffline"]
    await hear(desk, presence(), observed(location(), noun="location"))
    assert await reasons() == []
    await hear(desk, snapshot(["l1"], rv=9, noun="location"))
    assert await reasons() == []
    await hear(desk, observed(location(rv=21, deleted=True), noun="location"))
    assert await reasons() == ["LocationUnknown"]
    desk.now += timedelta(minutes=2)
    await sweep(desk.ports)
    assert await reasons() == ["LocationUnknown", "ClusterOffline"]
    await hear(desk, presence(desk.now, velero_problem="no answer"), observed(location(rv=22), noun="location"))
    assert await reasons() == ["VeleroNotAnswering"]
    await hear(desk, presence(desk.now + LATER))
    assert await reasons() == []
    weekly = shown(desk, ids.velero_schedule_id("eu1", "weekly"))
    assert (weekly.storage_location.bucket, weekly.status) == ("b", "New")
    want(desk, wanted("s3", cluster="nowhere"))
    await look(desk, rescan)
    assert shown(desk, "s3").reasons[0].code == "ClusterUnknown"
    desk.memory.registered = {"eu1", "nowhere"}
    await look(desk, rescan)
    assert shown(desk, "s3").reasons[0].code == "ClusterOffline"


async def test_locations_that_a_cluster_has_not_told_all_of_are_held_against_nobody(desk):
    want(desk, wanted(location="archive"))
    await hear(desk, presence(), observed(location(), noun="location"))
    await hint(desk)
    assert shown(desk).reasons == []
    await hear(desk, snapshot(["l1"], rv=9, noun="location", to_uid="m"))
    await hint(desk)
    assert shown(desk).reasons == []
    await hear(desk, snapshot([], rv=9, noun="location", from_uid="m"))
    await hint(desk)
    assert [reason.code for reason in shown(desk).reasons] == ["LocationUnknown"]


async def test_a_schedule_of_another_version_keeps_its_row_and_stops_nobody(desk):
    await hear(desk, *well())
    want(desk, wanted())
    await hint(desk)
    desk.memory.schedules[SCHEDULE] |= {"misfire": "sometimes", "version": 2}
    desk.memory.schedules["s2"] = {"_id": "s2", "version": 1, "changedAt": NOW}
    want(desk, wanted("s3"))
    await look(desk, Rescan())
    assert (shown(desk).status, shown(desk).version, shown(desk, "s3").status) == ("New", 1, "New")
    desk.now += timedelta(days=2)
    await sweep(desk.ports)
    assert await desk.memory.due(Noun.SCHEDULE, desk.now, 9) == []


async def test_a_look_that_the_database_did_not_answer_begins_again(desk):
    class Away(Counting):
        away = True

        async def walk(self, after):
            if self.away:
                raise Unavailable("mongodb", "away")
            return await super().walk(after)

    desk = Desk(memory=Away())
    want(desk, wanted())
    rescan = Rescan()
    with pytest.raises(Unavailable):
        await look(desk, rescan)
    desk.memory.away = False
    await look(desk, rescan)
    assert shown(desk).status == "FailedValidation"


# ---------------------------------------------------------------- any order


def story():
    """All that is told of a schedule, in the order in which it comes to pass: messages, and None for a hint."""
    return [
        None,
        *well(),
        trigger_command("op1"),
        accepted(backup_of("op1")),
        observed(backup_of("op1", rv=11, phase="Completed")),
        from_schedule_command("op2"),
        accepted(backup_of("op2", "u2", 20), "op2"),
        observed(backup_of("op2", "u2", 21, "Failed")),
        trigger_command("op3", slot=NOW),
        rejected("Overlap", operation="op3"),
        observed(backup_of("op1", rv=12, phase="Deleting", deleted=True)),
        None,
    ]


async def ending(messages):
    desk = Desk(clock=Ticking(NOW + timedelta(minutes=1)))
    want(desk, wanted(location="default"))
    for message in messages:
        await (hear(desk, message) if message else hint(desk))
    await look(desk, rescan := Rescan())
    await look(desk, rescan)
    return documents(desk.memory)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32))
async def test_any_order_and_repetition_of_hints_commands_and_observations_ends_in_the_same_row(seed):
    messages = story()
    shuffled = random.Random(seed)
    mixed = messages + shuffled.choices(messages, k=5)
    shuffled.shuffle(mixed)
    end, expected = await ending(mixed), await ending(messages)
    alike(end, expected)
    item = end["rows"][Noun.SCHEDULE, SCHEDULE]["item"]
    assert (item["status"], item["lastBackup"]["id"]) == ("Active", "op2")
    assert (item["counts"]["completed"], item["counts"]["failed"]) == (1, 1)


# ---------------------------------------------------------------- much at once


async def test_a_storm_of_backups_computes_their_schedule_few_times(desk):
    want(desk, wanted())
    await hint(desk)
    before = desk.memory.computed
    messages = [observed(backup_of(f"op{n}", f"u{n}", 100 + n, "Completed", name=f"b{n}")) for n in range(100)]

    class Slow(Counting):
        async def made(self, maker):
            for _ in range(50):
                await asyncio.sleep(0)
            return await super().made(maker)

    desk.memory.__class__ = Slow
    await asyncio.gather(*(hear(desk, message) for message in messages))
    assert shown(desk).counts.completed == 100
    assert desk.memory.computed - before < 20


async def test_work_that_many_ask_for_is_done_once_more_after_it_was_asked_for():
    merged, begun, gate = Merged(), [], asyncio.Event()

    async def work():
        begun.append(len(begun))
        await gate.wait()

    asked = [asyncio.create_task(merged("k", work)) for _ in range(3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asked += [asyncio.create_task(merged("k", work)) for _ in range(3)]
    other = asyncio.create_task(merged("other", work))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert begun == [0, 1]  # one of each key
    gate.set()
    await asyncio.gather(*asked, other)
    assert begun == [0, 1, 2]


async def test_one_that_fails_does_not_stop_the_others_and_a_database_that_is_away_stops_all(desk):
    class Odd(Counting):
        trouble: Exception = ValueError("odd")

        async def schedule(self, schedule_id):
            if schedule_id == "s1":
                raise self.trouble
            return await super().schedule(schedule_id)

    desk = Desk(memory=Odd())
    for number in range(40):
        want(desk, wanted(f"s{number}"))
    await refresh_all(desk.ports, Noun.SCHEDULE, desk.memory.schedules)
    assert len(desk.memory.rows) == 39
    desk.memory.trouble = Unavailable("mongodb", "away")
    with pytest.raises(Unavailable):
        await refresh_all(desk.ports, Noun.SCHEDULE, desk.memory.schedules)
    await hint(desk, "s1", "s2")  # the rescan finds what this leaves
