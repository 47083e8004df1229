"""`restore.create` of another cluster's backup: each step, each failure, and a crash between any two writes."""

import asyncio
import itertools
from datetime import timedelta

import pytest

from shared.runtime.clock import now
from simulator.access import Rule, User
from tests.integration.test_executor_requirements import granted
from tests.support.crossing import BRISK, Crash, Fuse, pair
from tests.support.messages import restore_command
from tests.support.restores import ask_to_delete, source, things
from tests.support.sites import WITH_VELERO
from tests.support.waiting import eventually

STEPS = ["MirrorLocation", "FindBackup", "Restore", "accepted"]
MIRROR = {"provider": "aws", "objectStorage": {"bucket": "velero"}}
HASTY = BRISK.model_copy(update={"settled": 0.0})
"""What Velero says first is believed."""


@pytest.fixture
async def two(tmp_path):
    async with pair(tmp_path) as made:
        yield made


def command(two, operation="op1", **more):
    of = {**source(two.source), "cluster": "eu1"}
    more = {"mirror": MIRROR, "spec": {"namespaceMapping": {"shop": f"of-{operation}"}}, **more}
    return restore_command(operation, **{"source": of, "cluster": "us1", "now": now(), "name": f"back-{operation}", **more})


async def test_a_backup_of_another_cluster_is_restored_and_nothing_is_left(two):
    order = command(two)
    await two.carry_out(order)
    assert two.stream.verbs("op1") == [*STEPS, "CleanUp", "finished"]
    assert two.stream.data("op1", "finished").succeeded
    assert two.left() == {}
    assert things(two.target, "of-op1") == things(two.source)
    (restore,) = two.restores()
    labels = restore["metadata"]["labels"]
    assert (labels["leeward.dev/cluster"], labels["leeward.dev/backup-cluster"]) == ("us1", "eu1")
    making, finding, *_ = two.stream.details("op1")
    assert "leeward-mirror-op1 for velero, and waits up to 20 s" in making
    assert "until Velero has found backup b in leeward-mirror-op1" in finding
    await two.carry_out(order)
    assert two.stream.verbs("op1") == [*STEPS, "CleanUp", "finished"], "once it is answered, it is answered"


async def test_the_mirror_only_reads_and_has_the_credential_that_was_given(two):
    two.cloud.doors.lock("velero", {"right": "sesame"})
    two.target.velero.faults.hold("back-op1", "InProgress", kind="restores")
    spec = {**MIRROR, "config": {"region": "here"}, "default": True, "backupSyncPeriod": "0s"}
    going = asyncio.create_task(two.carry_out(command(two, mirror=spec, credential=await two.sealed())))
    await eventually("held", lambda: two.target.phase("restores", "back-op1") == "InProgress")
    mirror = two.target.get("backupstoragelocations", "leeward-mirror-op1")
    assert mirror["spec"] == {
        "provider": "aws",
        "objectStorage": {"bucket": "velero"},
        "config": {"region": "here"},
        "credential": {"name": "leeward-bsl-leeward-mirror-op1", "key": "cloud"},
        "accessMode": "ReadOnly",
        "backupSyncPeriod": "10s",
        "validationFrequency": "10s",
    }
    assert mirror["metadata"]["labels"]["leeward.dev/mirror-of"] == "eu1"
    assert two.left()["secrets"] == ["leeward-bsl-leeward-mirror-op1"]
    two.target.velero.faults.release()
    await going
    assert two.left() == {}
    assert "sesame" not in repr(two.stream.messages)


async def test_the_rights_in_deploy_are_enough(tmp_path):
    rules = tuple(Rule(rule.verbs, rule.resources, rule.namespaces, rule.names) for rule in granted())
    async with pair(tmp_path, {"t": User("leeward", rules)}) as two:
        repository = {"metadata": {"name": "shop", "labels": {"velero.io/storage-location": "leeward-mirror-op1"}}}
        two.target.store.create("backuprepositories", repository, "velero")
        rule = {"conditions": {"groupResource": "pods"}, "mergePatches": [{"patchData": "{}"}]}
        more = {"modifiers": {"resourceModifierRules": [rule]}, "credential": await two.sealed()}
        await two.carry_out(command(two, **more))
        assert two.stream.data("op1", "finished").detail == "Restore back-op1 is Completed."
        assert two.left() == {"configmaps": ["leeward-modifiers-op1"]}
        assert two.target.store.list("backuprepositories", "velero") == []
        no = await refused(two, "op2", mirror={**MIRROR, "objectStorage": {"bucket": "nothing"}}, made=1, **more)
        assert (no.code, two.left()) == ("MirrorFailed", {"configmaps": ["leeward-modifiers-op1"]})


async def test_a_location_that_reaches_the_backup_is_used_and_stays(two):
    spec = {**MIRROR, "provider": "velero.io/aws", "accessMode": "ReadOnly", "config": {"publicUrl": "http://elsewhere"}}
    two.target.create("backupstoragelocations", "theirs", spec)
    await two.target.until("b")
    await two.carry_out(command(two))
    assert two.stream.verbs("op1") == [*STEPS, "finished"]
    assert "through storage location theirs" in two.stream.details("op1")[0]
    assert two.left() == {"backupstoragelocations": ["theirs"], "backups": ["b"]}


async def test_modifiers_go_along(two):
    rule = {"conditions": {"groupResource": "configmaps"}, "patches": [{"operation": "add", "path": "/data/x", "value": "y"}]}
    await two.carry_out(command(two, modifiers={"resourceModifierRules": [rule]}))
    assert two.stream.data("op1", "finished").succeeded
    assert two.left() == {"configmaps": ["leeward-modifiers-op1"]}
    assert two.target.store.get("configmaps", "thing-0", "of-op1")["data"] == {"n": "0", "x": "y"}


async def test_two_at_once_share_a_mirror_and_the_last_one_removes_it(two):
    two.target.velero.faults.hold("back-op1", "InProgress", kind="restores")
    first = asyncio.create_task(two.carry_out(command(two, "op1")))
    await eventually("held", lambda: two.target.phase("restores", "back-op1") == "InProgress")
    second = asyncio.create_task(two.carry_out(command(two, "op2")))
    await eventually("both use it", lambda: "accepted" in two.stream.verbs("op2"))
    assert two.left()["backupstoragelocations"] == ["leeward-mirror-op1"]
    two.target.velero.faults.release()
    await asyncio.gather(first, second)
    assert [two.stream.data(op, "finished").succeeded for op in ("op1", "op2")] == [True, True]
    assert two.left() == {}


async def test_many_at_once_get_along(two):
    operations = [f"{n}p" for n in range(4)]
    await asyncio.gather(*(two.carry_out(command(two, op)) for op in operations))
    assert all(two.stream.data(op, "finished").succeeded for op in operations)
    assert two.left() == {}


# ---------------------------------------------------------------------- it comes to nothing


async def refused(two, operation="op1", restoring=HASTY, made=0, **more):
    await two.carry_out(command(two, operation, **more), two.ports(restoring=restoring))
    assert two.stream.verbs(operation)[-1] == "rejected"
    assert len(two.restores()) == made
    return two.stream.data(operation, "rejected").refusal


async def test_a_location_that_velero_cannot_use_is_told_in_its_words_and_can_be_tried_again(two):
    two.cloud.doors.lock("velero", {"right": "sesame"})
    wrong = await two.sealed("[default]\naws_access_key_id = right\naws_secret_access_key = guess\n")
    no = await refused(two, credential=wrong)
    assert (no.code, "SignatureDoesNotMatch" in no.detail) == ("MirrorFailed", True), no.detail
    assert two.left() == {}
    assert two.stream.verbs("op1") == ["MirrorLocation", "CleanUp", "rejected"]
    await two.carry_out(command(two, "op2", credential=await two.sealed()))
    assert two.stream.data("op2", "finished").succeeded
    assert two.left() == {}


BROKEN = {
    "a bucket that is none": ({"objectStorage": {"bucket": "nothing"}}, "NoSuchBucket"),
    "a port that refuses": ({"config": {"s3Url": "http://127.0.0.1:1"}}, "connection refused"),
}


@pytest.mark.parametrize(("change", "words"), BROKEN.values(), ids=BROKEN.keys())
async def test_what_is_wrong_with_the_storage_is_told(two, change, words):
    no = await refused(two, mirror=MIRROR | change)
    assert (no.code, words in no.detail) == ("MirrorFailed", True), no.detail
    assert two.left() == {}


async def test_a_backup_that_is_not_in_the_bucket_is_not_waited_for_without_end(two):
    elsewhere = {**MIRROR, "objectStorage": {"bucket": "velero", "prefix": "elsewhere"}}
    no = await refused(two, restoring=HASTY.model_copy(update={"found": 0.7}), mirror=elsewhere)
    assert no.code == "BackupNotFoundThere"
    assert "within 0.7 s" in no.detail
    assert two.left() == {}


async def test_a_velero_that_is_away_is_waited_for_only_so_long(two):
    await two.target.velero.stop()
    no = await refused(two, restoring=HASTY.model_copy(update={"available": 0.5}))
    assert (no.code, "has not looked at it within 0.5 s" in no.detail) == ("MirrorFailed", True)
    assert two.left() == {}
    await two.target.velero.start()


async def test_another_backup_of_that_name_hides_it(two):
    two.target.velero.kill()
    two.target.create("backups", "b", {"storageLocation": "default"})
    no = await refused(two)
    assert no.code == "BackupHidden"
    assert two.stream.verbs("op1") == ["rejected"]
    assert two.left() == {"backups": ["b"]}


async def test_another_backup_in_the_bucket_is_not_taken_for_the_one_that_is_meant(two):
    of = {**source(two.source), "cluster": "eu1", "startedAt": now() - timedelta(days=1)}
    no = await refused(two, source=of)
    assert no.code == "BackupHidden"
    assert two.left() == {}


async def test_a_name_that_is_taken_and_a_namespace_that_the_backup_does_not_hold(two):
    no = await refused(two, spec={"includedNamespaces": ["cart"]})
    assert (no.code, two.left()) == ("NamespaceNotInBackup", {})
    two.target.velero.kill()
    two.target.create("restores", "back-op2", {"backupName": "x"})
    await two.carry_out(command(two, "op2"), two.ports())
    assert two.stream.data("op2", "rejected").refusal.code == "RestoreNameTaken"
    assert two.left() == {}


async def test_a_credential_that_cannot_be_opened_leaves_nothing(two):
    sealed = await two.sealed()
    two.target.store.delete("secrets", "leeward-executor-key", "velero")
    no = await refused(two, credential=sealed)
    assert (no.code, two.left()) == ("CredentialUnreadable", {})


async def test_what_was_not_begun_before_its_deadline_is_not_begun(two):
    no = await refused(two, now=now() - timedelta(hours=2))
    assert (no.code, two.stream.verbs("op1")) == ("DeadlineExceeded", ["rejected"])


async def test_a_mirror_that_somebody_removes_ends_the_search(two):
    ports = two.ports(restoring=BRISK)
    order = command(two, mirror={**MIRROR, "objectStorage": {"bucket": "velero", "prefix": "elsewhere"}})
    going = asyncio.create_task(two.carry_out(order, ports))
    await eventually("searches", lambda: "FindBackup" in two.stream.verbs("op1"))
    two.target.store.delete("backupstoragelocations", "leeward-mirror-op1", "velero")
    await going
    no = two.stream.data("op1", "rejected").refusal
    assert (no.code, "was removed" in no.detail) == ("MirrorFailed", True)
    assert two.left() == {}


async def test_a_restore_that_fails_is_cleaned_up_after_and_has_not_succeeded(two):
    two.target.velero.faults.hold("back-op1", "InProgress", kind="restores")
    going = asyncio.create_task(two.carry_out(command(two)))
    await eventually("held", lambda: two.target.phase("restores", "back-op1") == "InProgress")
    two.cloud.delete_prefix("velero", "backups/b/")  # the backup is deleted in the middle
    two.target.velero.faults.release()
    await going
    assert two.target.phase("restores", "back-op1") == "Failed"
    told = two.stream.data("op1", "finished")
    assert (told.succeeded, told.detail) == (False, "Restore back-op1 is Failed.")
    assert two.left() == {}


async def test_a_restore_that_somebody_removes_is_cleaned_up_after(two):
    two.target.velero.faults.hold("back-op1", "InProgress", kind="restores")
    going = asyncio.create_task(two.carry_out(command(two)))
    await eventually("held", lambda: two.target.phase("restores", "back-op1") == "InProgress")
    two.target.velero.kill()
    two.target.store.patch("restores", "back-op1", {"metadata": {"finalizers": None}}, "velero")
    two.target.store.delete("restores", "back-op1", "velero")
    await going
    told = two.stream.data("op1", "finished")
    assert (told.succeeded, told.detail) == (False, "Restore back-op1 was removed before it had ended.")
    assert two.left() == {}


async def test_what_cannot_be_removed_is_told(two):
    two.target.cluster.faults.fail_next(10_000, 500, when=lambda c: c.method == "DELETE" and "backups" in c.path)
    await two.carry_out(command(two), two.ports(restoring=BRISK.model_copy(update={"cleaned": 0.3})))
    told = two.stream.data("op1", "finished")
    assert told.succeeded
    assert "What was made for it is not gone" in told.detail


async def test_it_is_looked_into_before_the_way_to_it_is_removed(two):
    going = asyncio.create_task(two.carry_out(command(two), two.ports(restoring=BRISK.model_copy(update={"looked_into": 20}))))
    await eventually("ended", lambda: two.stream.verbs("op1")[-1:] == ["CleanUp"])
    assert two.left()["backups"] == ["b"]
    (restore,) = two.restores()
    two.stream.measures[restore["metadata"]["uid"]] = restore["status"]["phase"]
    await going
    assert two.left() == {}


async def test_a_restore_of_somebody_elses_from_the_same_copy_is_waited_for(two):
    two.target.velero.faults.hold("theirs", "InProgress", kind="restores")
    two.target.velero.faults.hold("back-op1", "InProgress", kind="restores")
    going = asyncio.create_task(two.carry_out(command(two)))
    await eventually("held", lambda: two.target.phase("restores", "back-op1") == "InProgress")
    two.target.create("restores", "theirs", {"backupName": "b", "namespaceMapping": {"shop": "theirs"}})
    two.target.velero.faults.release("back-op1")
    await eventually("cleaning", lambda: two.stream.verbs("op1")[-1:] == ["CleanUp"])
    assert two.left()["backups"] == ["b"]
    two.target.velero.faults.release()
    await going
    assert two.target.phase("restores", "theirs") == "Completed"
    assert two.left() == {}


# ---------------------------------------------------------------------- crashes


async def crash_everywhere(two, make, then):
    """Carry out a command, dying at its first write, and again with another process; the next at its second; until one lives.

    How many writes it takes is Velero's matter, too: it may bring a copy of a backup once more.
    """
    for n in itertools.count():
        order, died = make(f"{n}th"), False
        try:
            await two.carry_out(order, two.ports(Fuse(n), HASTY))
        except Crash:
            died = True
            await two.carry_out(order, two.ports(restoring=HASTY))
        then(f"{n}th")
        if not died:
            assert n > 8
            return


@pytest.mark.thorough
async def test_a_crash_at_any_write_ends_in_the_same(two):
    two.cloud.doors.lock("velero", {"right": "sesame"})
    credential = await two.sealed()

    def then(operation):
        assert two.stream.verbs(operation) == [*STEPS, "CleanUp", "finished"]
        assert two.stream.data(operation, "finished").succeeded
        made = [x for x in two.restores() if x["metadata"]["labels"]["leeward.dev/operation-id"] == operation]
        assert len(made) == 1
        assert things(two.target, f"of-{operation}") == things(two.source)
        assert two.left() == {}

    await crash_everywhere(two, lambda op: command(two, op, credential=credential), then)


@pytest.mark.thorough
async def test_a_crash_at_any_write_of_one_that_comes_to_nothing_leaves_nothing(two):
    two.cloud.doors.lock("velero", {"right": "sesame"})
    credential = await two.sealed("[default]\naws_access_key_id = wrong\naws_secret_access_key = guess\n")

    def then(operation):
        assert two.stream.verbs(operation) == ["MirrorLocation", "CleanUp", "rejected"]
        no = two.stream.data(operation, "rejected").refusal
        assert (no.code, "InvalidAccessKeyId" in no.detail) == ("MirrorFailed", True)
        assert (two.left(), two.restores()) == ({}, [])

    await crash_everywhere(two, lambda op: command(two, op, credential=credential), then)


async def test_an_api_server_that_is_away_in_the_middle_is_waited_for(two):
    two.target.velero.faults.hold("back-op1", "InProgress", kind="restores")
    going = asyncio.create_task(two.carry_out(command(two)))
    await eventually("held", lambda: two.target.phase("restores", "back-op1") == "InProgress")
    await two.target.cluster.stop()
    two.target.velero.faults.release()
    await asyncio.sleep(0.2)
    await two.target.cluster.start()
    await going
    assert two.stream.data("op1", "finished").succeeded
    assert two.left() == {}


# ---------------------------------------------------------------------- as a process, with a broker


async def test_another_executor_goes_on_where_one_has_died(world):
    async with pair(world.directory) as two:
        world.clusters["us1"] = two.target.cluster
        two.target.velero.faults.hold("back-op1", "InProgress", kind="restores")
        async with world.executor("us1", rhythm=WITH_VELERO):
            await world.order(command(two))
            await eventually("held", lambda: two.target.phase("restores", "back-op1") == "InProgress")
        two.target.velero.faults.release()
        async with world.executor("us1", rhythm=WITH_VELERO, instance="two"):
            await eventually("finished", lambda: "finished" in world.answers("op1"))
        assert world.answers("op1") == ["accepted", "finished"]
        told = [e.data.step for e in world.heard.of("operation", "step")]
        assert told == ["MirrorLocation", "FindBackup", "Restore", "CleanUp"]
        (measured,) = world.heard.of("restore", "measured")
        assert measured.data.counts.created > 3
        assert {e.data.artifact for e in world.heard.of("restore", "captured")} == {"log", "results", "resources"}
        assert two.left() == {}


async def test_a_running_one_can_be_deleted(world):
    async with pair(world.directory) as two:
        world.clusters["us1"] = two.target.cluster
        two.target.velero.faults.hold("back-op1", "InProgress", kind="restores")
        async with world.executor("us1", rhythm=WITH_VELERO):
            await world.order(command(two))
            await eventually("held", lambda: two.target.phase("restores", "back-op1") == "InProgress")
            await ask_to_delete(world, "op2", "op1", name="back-op1", cluster="us1")
            await eventually("it is being deleted", lambda: two.restores()[0]["metadata"].get("deletionTimestamp"))
            two.target.velero.faults.release()
            await eventually("both have ended", lambda: world.answers("op1")[1:] == world.answers("op2") == ["finished"])
        assert (two.restores(), two.left()) == ([], {})


async def test_a_cluster_that_fails_at_every_look_for_a_while_is_asked_again(two):
    two.target.velero.faults.hold("back-op1", "InProgress", kind="restores")
    going = asyncio.create_task(two.carry_out(command(two)))
    await eventually("held", lambda: two.target.phase("restores", "back-op1") == "InProgress")
    two.target.cluster.faults.fail_next(12, 500, when=lambda c: c.method == "GET" and "/restores" in c.path)
    two.target.velero.faults.release()
    await going
    assert two.stream.data("op1", "finished").succeeded
    assert two.left() == {}
