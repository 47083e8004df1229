"""`backup.delete` in a cluster: Velero is asked exactly once, or it is said why not, whatever happens in between."""

from datetime import timedelta

import pytest

from shared.contracts import ids, subjects
from shared.contracts.catalogue import encode
from shared.runtime.clock import now
from simulator.access import Rule, User
from simulator.cloud import Cloud
from simulator.velero import Velero
from tests.integration.executor_harness import Faulty, location, velero_backup
from tests.support.simulated_velero import QUICK
from tests.support.waiting import eventually


@pytest.fixture
async def velero(world):
    """Cluster eu1, with a Velero that works."""
    async with Cloud() as cloud:
        cloud.make_bucket("b")
        cluster = await world.add("eu1")
        running = Velero(cluster, cloud, QUICK)
        await running.start()
        yield running
        running.kill()


def store(world):
    return world.clusters["eu1"].store


def requests(world):
    return store(world).list("deletebackuprequests", "velero")


def there(world, name="shop", *, kind="backups"):
    return store(world).find(kind, name, "velero")


def phase(world, name="shop", *, kind="backups"):
    return ((there(world, name, kind=kind) or {}).get("status") or {}).get("phase")


def completed(world, name="shop", **status):
    """A backup that somebody made past Leeward, and that has ended; its id."""
    body = velero_backup(name, storageLocation="default") | {"status": {"phase": "Completed", **status}}
    made = store(world).create("backups", body)
    return ids.unstarted_backup_id("eu1", "velero", name, made["metadata"]["uid"])


def posts(world):
    calls = world.clusters["eu1"].faults.calls
    return sum(c.method == "POST" and c.path.endswith("/deletebackuprequests") for c in calls)


async def redeliver(admin, command) -> None:
    """Put the same command on the stream again, past the guard that refuses a second one."""
    await admin.stream.publish(subjects.command("eu1", "backup", "delete", command.operationid), encode(command))


async def test_velero_deletes_the_backup_and_everything_that_happens_is_told(world, velero):
    async with world.executor():
        await world.ask("op1")
        await eventually("backed up", lambda: phase(world) == "Completed")
        velero.faults.hold("shop", "Deleting")
        await world.ask_to_delete("op2", "op1")
        await eventually("accepted", lambda: world.answers("op2") == ["accepted"])
        (request,) = requests(world)
        velero.faults.release()
        await eventually("gone", lambda: there(world) is None and not requests(world))
        seen = world.heard.of("deletion", "observed")
        await eventually("told", lambda: any(e.data.deleted for e in world.heard.of("deletion", "observed")))
    assert velero.cloud.keys("b") == []
    accepted = world.answer("op2")
    assert (accepted.noun, accepted.object.name) == ("deletion", "leeward-op2")
    assert accepted.object.uid == request["metadata"]["uid"]
    assert request["metadata"]["labels"]["leeward.dev/backup-id"] == "op1"
    assert (
        request["metadata"]["labels"]["velero.io/backup-uid"]
        == accepted.object.object["metadata"]["labels"]["velero.io/backup-uid"]
    )
    assert {e.data.uid for e in seen} == {request["metadata"]["uid"]}
    assert [s.data.detail for s in world.heard.of("operation", "step")] == ["DeleteBackupRequest leeward-op2"]


async def test_a_backup_made_past_leeward_is_deleted_by_any_of_its_ids(world, velero):
    first = completed(world)
    async with world.executor():
        await world.ask_to_delete("op1", "a-later-id", ids=(first,))
        await eventually("accepted", lambda: world.answers("op1") == ["accepted"])
        await eventually("gone", lambda: there(world) is None)


async def test_the_same_command_again_asks_velero_no_second_time(world, admin):
    await world.add("eu1")
    command = await world.ask_to_delete("op1", completed(world))
    async with world.executor():
        await eventually("accepted", lambda: world.answers("op1") == ["accepted"])
        store(world).delete("deletebackuprequests", "leeward-op1", "velero")
        await redeliver(admin, command)
        await world.ask_to_delete("op2", "nobody")
        await eventually("the next one", lambda: world.answers("op2"))
    assert requests(world) == []
    assert posts(world) == 1


async def test_two_people_who_delete_one_backup_are_both_right(world, velero):
    backup = completed(world)
    velero.faults.hold("shop", "Deleting")
    async with world.executor():
        await world.ask_to_delete("op1", backup)
        await eventually("under way", lambda: phase(world) == "Deleting")
        await world.ask_to_delete("op2", backup)
        await eventually("accepted", lambda: world.answers("op1") == world.answers("op2") == ["accepted"])
        velero.faults.release()
        await eventually("gone", lambda: there(world) is None)


REFUSED = {
    "nothing of that name": (lambda w: None, "BackupGone", "no backup shop"),
    "another backup of that name": (completed, "BackupGone", "no backup shop"),
    "one that runs": (lambda w: running(w, "InProgress"), "BackupNotEnded", "InProgress"),
    "one that is finished soon": (lambda w: running(w, "FinalizingPartiallyFailed"), "BackupNotEnded", "Finalizing"),
    "a read-only location": (lambda w: placed(w, location(mode="ReadOnly")), "LocationReadOnly", "read-only"),
    "an unavailable location": (
        lambda w: placed(w, location(phase="Unavailable", message="no such bucket")),
        "LocationUnavailable",
        "no such bucket",
    ),
    "a location that is gone": (lambda w: placed(w, location("other")), "LocationUnknown", "default"),
}


def running(world, phase):
    body = velero_backup("shop", storageLocation="default") | {"status": {"phase": phase}}
    body["metadata"]["labels"] = {"leeward.dev/cluster": "eu1", "leeward.dev/operation-id": "b1"}
    return store(world).create("backups", body)


def placed(world, place):
    store(world).delete("backupstoragelocations", "default", "velero")
    store(world).create("backupstoragelocations", place)
    running(world, "Completed")


@pytest.mark.parametrize("case", REFUSED)
async def test_what_velero_would_not_delete_is_refused_in_words(world, case):
    arrange, code, words = REFUSED[case]
    await world.add("eu1")
    arrange(world)
    before = world.backups()
    await world.ask_to_delete("op1", "b1")
    async with world.executor():
        await eventually("refused", lambda: world.answers("op1") == ["rejected"])
    refusal = world.answer("op1").refusal
    assert (refusal.code, refusal.pointer) == (code, "")
    assert words in refusal.detail
    assert requests(world) == []
    assert world.backups() == before


async def test_a_backup_of_another_cluster_that_carries_our_marks_is_not_the_one_meant(world):
    await world.add("eu1")
    running(world, "Completed")
    store(world).patch("backups", "shop", {"metadata": {"labels": {"leeward.dev/cluster": "us1"}}}, "velero")
    await world.ask_to_delete("op1", "b1")
    async with world.executor():
        await eventually("refused", lambda: world.answers("op1") == ["rejected"])
    assert world.answer("op1").refusal.code == "BackupGone"


async def test_what_velero_says_against_it_is_told(world, velero):
    backup = completed(world)
    velero.faults.hold("shop", "Deleting")
    async with world.executor():
        await world.ask_to_delete("op1", backup)
        await eventually("under way", lambda: phase(world) == "Deleting")
        velero.cloud.faults.down = True
        velero.faults.release()
        await eventually("told", lambda: any(errors(world)))
        assert phase(world) == "Deleting"
        assert world.answers("op1") == ["accepted"]
        velero.cloud.faults.down = False
        await eventually("available", lambda: phase(world, "default", kind="backupstoragelocations") == "Available")
        await world.ask_to_delete("op2", backup)
        await eventually("gone at the second try", lambda: there(world) is None)


def errors(world):
    return [e.data.object.get("status", {}).get("errors") for e in world.heard.of("deletion", "observed")]


# ---------------------------------------------------------------------- crashes


STEP, ACCEPTED = (lambda s: ".operation.step." in s), (lambda s: ".operation.accepted." in s)


@pytest.mark.parametrize(
    ("where", "after", "asked"),
    [(STEP, False, 0), (STEP, True, 0), (ACCEPTED, False, 1), (ACCEPTED, True, 1)],
    ids=["before the step", "between step and request", "between request and accepted", "between accepted and ack"],
)
async def test_a_crash_makes_no_second_request_and_leaves_no_silence(world, where, after, asked):
    await world.add("eu1")
    await world.ask_to_delete("op1", completed(world))
    async with world.executor(wrap=lambda p: Faulty(p, where, after)) as dying:
        await dying.crashed()
    assert len(requests(world)) == asked
    async with world.executor(instance="two"):
        await eventually("accepted", lambda: world.answers("op1"))
        await world.ask_to_delete("op2", "nobody")
        await eventually("the next one", lambda: world.answers("op2"))
    assert world.answers("op1") == ["accepted"]
    assert posts(world) == 1


async def test_what_was_deleted_before_it_could_be_reported_has_succeeded(world, admin):
    await world.add("eu1")
    command = await world.ask_to_delete("op1", completed(world))
    async with world.executor(wrap=lambda p: Faulty(p, ACCEPTED, after=False)) as dying:
        await dying.crashed()
    store(world).delete("deletebackuprequests", "leeward-op1", "velero")
    store(world).delete("backups", "shop", "velero")
    completed(world)  # its name is used again
    async with world.executor(instance="two"):
        await eventually("answered", lambda: world.answers("op1"))
        await redeliver(admin, command)
        await world.ask_to_delete("op2", "nobody")
        await eventually("the next one", lambda: world.answers("op2"))
    assert set(world.answers("op1")) == {"finished"}
    assert [e.data.succeeded for e in world.heard.of("operation", "finished")] == [True] * len(world.answers("op1"))
    assert posts(world) == 1
    assert there(world), "the other one stays"


async def test_a_request_whose_answer_was_lost_is_found_again_or_has_done_its_work(world, velero):
    backup = completed(world)
    faults = world.clusters["eu1"].faults
    faults.lose_answers(1, when=lambda call: call.method == "POST" and call.path.endswith("/deletebackuprequests"))
    await world.ask_to_delete("op1", backup)
    async with world.executor():
        await eventually("answered", lambda: world.answers("op1"))
        await eventually("gone", lambda: there(world) is None)
    assert world.answers("op1") in (["accepted"], ["finished"])
    assert posts(world) == 1


async def test_one_that_could_not_begin_before_its_deadline_is_refused(world):
    cluster = await world.add("eu1")
    backup = completed(world)
    await cluster.stop()
    async with world.executor():
        command = await world.ask_to_delete("op1", backup, expires_in=0.5)
        await eventually("the deadline has passed", lambda: now() > command.expiresat)
        await cluster.start()
        await eventually("refused", lambda: world.answers("op1") == ["rejected"])
    assert world.answer("op1").refusal.code == "DeadlineExceeded"
    assert requests(world) == []


async def test_what_was_asked_of_velero_in_time_is_accepted_however_late(world):
    await world.add("eu1")
    await world.ask_to_delete("op1", completed(world), expires_in=3600)
    async with world.executor(wrap=lambda p: Faulty(p, ACCEPTED, after=False)) as dying:
        await dying.crashed()
    async with world.executor(instance="two", ahead=timedelta(hours=2)):
        await eventually("accepted", lambda: world.answers("op1") == ["accepted"])


async def test_an_executor_that_may_not_ask_velero_to_delete_says_so(world):
    reader = User("reader", (Rule(frozenset({"get", "list", "watch"}), frozenset("*")),))
    await world.add("eu1", tokens={"t": reader})
    await world.ask_to_delete("op1", completed(world))
    async with world.executor():
        await eventually("refused", lambda: world.answers("op1") == ["rejected"])
    assert world.answer("op1").refusal.code == "ForbiddenInCluster"


async def test_deleting_what_velero_has_not_begun_withdraws_it(world, velero):
    velero.faults.hold("first")
    async with world.executor():
        await world.ask("op1", name="first", scope={"kind": "specific", "namespaces": ["shop"]})
        await eventually("runs", lambda: phase(world, "first") == "InProgress")
        await world.ask("op2", name="second", scope={"kind": "specific", "namespaces": ["shop"]})
        await eventually("waits", lambda: phase(world, "second") == "Queued")
        await world.ask_to_delete("op3", "op2", name="second")
        await eventually("withdrawn", lambda: there(world, "second") is None)
        await world.ask_to_delete("op4", "op1", name="first")
        await eventually("refused", lambda: world.answers("op4") == ["rejected"])
        velero.faults.release()
        await eventually("ends", lambda: phase(world, "first") == "Completed")
    assert world.answers("op3") == ["accepted"]


async def test_a_silent_velero_is_told_of_and_asked_all_the_same(world):
    await world.add("eu1")
    async with world.executor():
        await eventually("noticed", lambda: any(e.data.velero.problem for e in world.heard.of("presence")))
        await world.ask_to_delete("op1", completed(world))
        await eventually("accepted", lambda: world.answers("op1") == ["accepted"])
    assert [n.code for n in world.answer("op1").notices] == ["VeleroSilent"]
    assert len(requests(world)) == 1
