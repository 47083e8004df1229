"""`restore.create` and `restore.delete` of a cluster's own backups: done once, or it is said why not, whatever happens."""

import gzip
import json
from datetime import timedelta

import pytest

from services.executor.manifests import ids_of
from shared.contracts import subjects
from shared.contracts.artifacts import Artifact, ArtifactRead, ArtifactReply, Trouble
from shared.contracts.catalogue import encode
from shared.contracts.events import RestoreCounts
from shared.messaging import rpc
from shared.runtime.clock import now
from simulator.access import Rule, User
from simulator.velero.faults import Flaw
from simulator.velero.storage import FILES
from tests.integration.executor_harness import MEASURING, Faulty
from tests.support.messages import envelope, restore_command
from tests.support.restores import ENDED, ask, ask_to_delete, restorable, source, things
from tests.support.sites import WITH_VELERO
from tests.support.waiting import PATIENCE, eventually

MODIFIERS = {
    "resourceModifierRules": [
        {
            "conditions": {"groupResource": "configmaps", "resourceNameRegex": "^thing-0$"},
            "patches": [{"operation": "replace", "path": "/data/n", "value": "changed"}],
        }
    ]
}


def accepted(subject):
    return ".operation.accepted." in subject


def step(subject):
    return ".operation.step." in subject


@pytest.fixture
async def site(world):
    """Cluster eu1 with a backup `b`."""
    async with restorable(world) as made:
        yield made


def posts(site, kind="restores"):
    return sum(c.method == "POST" and c.path.endswith(f"/{kind}") for c in site.cluster.faults.calls)


async def refused(world, operation="op1"):
    await eventually("refused", lambda: world.answers(operation) == ["rejected"])
    return world.answer(operation).refusal


async def test_a_namespace_that_was_deleted_comes_back(world, site):
    before = things(site)
    site.store.delete("namespaces", "shop")
    await eventually("gone", lambda: site.store.find("namespaces", "shop") is None)
    async with world.executor(rhythm=WITH_VELERO):
        await ask(world, "op1", site)
        await eventually("accepted", lambda: world.answers("op1") == ["accepted"])
        restore = await site.until("back", *ENDED, kind="restores")
    assert restore["status"]["phase"] == "Completed"
    assert things(site) == before
    labels = restore["metadata"]["labels"]
    assert labels["leeward.dev/operation-id"] == "op1"
    assert (labels["leeward.dev/cluster"], labels["leeward.dev/backup-cluster"]) == ("eu1", "eu1")
    assert restore["metadata"]["annotations"] == {"leeward.dev/created-by": "anna", "leeward.dev/name": "back"}
    assert world.answer("op1").noun == "restore"


async def test_a_namespace_is_restored_into_another_and_an_object_is_put_back(world, site):
    site.store.patch("configmaps", "thing-0", {"data": {"n": "spoilt"}}, "shop")
    async with world.executor(rhythm=WITH_VELERO):
        await ask(world, "op1", site, spec={"namespaceMapping": {"shop": "copy"}})
        await site.until("back", "Completed", kind="restores")
        assert things(site, "copy") == {"thing-0": "0", "thing-1": "1", "thing-2": "2"}
        await ask(world, "op2", site, name="again", spec={"existingResourcePolicy": "update"})
        await site.until("again", "Completed", kind="restores")
    assert things(site)["thing-0"] == "0"


async def test_modifiers_become_a_config_map_that_goes_with_the_restore(world, site):
    async with world.executor(rhythm=WITH_VELERO):
        await ask(world, "op1", site, spec={"namespaceMapping": {"shop": "copy"}}, modifiers=MODIFIERS)
        restore = await site.until("back", *ENDED, kind="restores")
        await eventually("accepted", lambda: world.answers("op1") == ["accepted"])
    assert restore["status"]["phase"] == "Completed"
    assert things(site, "copy")["thing-0"] == "changed"
    kept = site.get("configmaps", "leeward-modifiers-op1")
    assert [(o["kind"], o["uid"]) for o in kept["metadata"]["ownerReferences"]] == [("Restore", restore["metadata"]["uid"])]
    assert list(kept["data"]) == ["modifiers.yaml"]
    assert json.loads(kept["data"]["modifiers.yaml"])["version"] == "v1"


# ---------------------------------------------------------------------- refused


def failed(site, phase):
    site.store.patch("backups", "b", {"status": {"phase": phase}}, "velero")


def expired(site):
    site.velero.kill()  # it would collect it
    site.store.patch("backups", "b", {"status": {"expiration": "2020-01-01T00:00:00Z"}}, "velero")


def unavailable(site):
    site.velero.kill()
    status = {"phase": "Unavailable", "message": "no such bucket"}
    site.store.patch("backupstoragelocations", "default", {"status": status}, "velero")


def gone(site):
    site.velero.kill()  # it would bring it back from the bucket
    site.store.delete("backups", "b", "velero")


def another(site):
    gone(site)
    site.create("backups", "b", {"storageLocation": "default"})


REFUSED = {
    "a failed backup": (lambda s: failed(s, "Failed"), {}, "BackupNotRestorable", "it is Failed"),
    "one that runs": (lambda s: failed(s, "InProgress"), {}, "BackupNotRestorable", "has not ended"),
    "one that is deleted": (lambda s: failed(s, "Deleting"), {}, "BackupNotRestorable", "being deleted"),
    "one that has expired": (expired, {}, "BackupNotRestorable", "expired at 2020-01-01T00:00:00Z"),
    "one that is gone": (gone, {}, "BackupGone", "no backup b"),
    "another of its name": (another, {}, "BackupGone", "no backup b"),
    "an unavailable location": (unavailable, {}, "LocationUnavailable", "no such bucket"),
    "a location that is gone": (
        lambda s: s.store.delete("backupstoragelocations", "default", "velero"),
        {},
        "LocationUnknown",
        "no storage location default",
    ),
    "a namespace that it does not hold": (
        lambda s: None,
        {"includedNamespaces": ["cart"]},
        "NamespaceNotInBackup",
        "does not hold namespace cart",
    ),
    "a mapping of one that it does not hold": (
        lambda s: None,
        {"namespaceMapping": {"cart": "elsewhere"}},
        "NamespaceNotInBackup",
        "does not hold namespace cart",
    ),
    "modifiers that are not there": (
        lambda s: None,
        {"resourceModifier": {"name": "rules"}},
        "ModifiersUnknown",
        "no ConfigMap rules",
    ),
    "modifiers that are none": (
        lambda s: s.store.create("configmaps", {"metadata": {"name": "rules"}, "data": {"a": "- b"}}, "velero"),
        {"resourceModifier": {"name": "rules"}},
        "ModifiersInvalid",
        "version: v1",
    ),
    "a name that is taken": (
        lambda s: (s.velero.kill(), s.create("restores", "back", {"backupName": "b"})),
        {},
        "RestoreNameTaken",
        "already has a restore named back",
    ),
}


@pytest.mark.parametrize(("arrange", "spec", "code", "words"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_velero_would_fail_on_is_refused_and_leaves_nothing(world, site, arrange, spec, code, words):
    wanted = source(site)
    arrange(site)
    site.cluster.faults.calls.clear()
    async with world.executor(rhythm=WITH_VELERO):
        more = {} if "resourceModifier" in spec else {"modifiers": MODIFIERS}
        await ask(world, "op1", site, source=wanted, spec=spec, **more)
        no = await refused(world)
    assert (no.code, words in no.detail) == (code, True), no.detail
    assert posts(site) == 0
    assert site.find("configmaps", "leeward-modifiers-op1") is None


async def test_two_into_one_namespace_at_once_are_not_both_made(world, site):
    site.velero.faults.hold("*", "InProgress", kind="restores")
    async with world.executor(rhythm=WITH_VELERO):
        await ask(world, "op1", site, name="one")
        await ask(world, "op2", site, name="two")
        await ask(world, "op3", site, name="three", spec={"namespaceMapping": {"shop": "copy"}})
        await eventually("answered", lambda: all(world.answers(f"op{n}") for n in (1, 2, 3)))
        first, second = sorted(("op1", "op2"), key=world.answers)
        assert (world.answers(first), world.answers(second)) == (["accepted"], ["rejected"])
        no = world.answer(second).refusal
        assert (no.code, "namespace shop" in no.detail) == ("RestoreOverlap", True)
        assert world.answers("op3") == ["accepted"], "that goes into another namespace"
        site.velero.faults.release()


async def test_a_location_that_velero_has_not_looked_at_yet_is_waited_for(world, site):
    await site.velero.stop()
    site.store.patch("backupstoragelocations", "default", {"status": {"phase": None}}, "velero")
    async with world.executor(rhythm=WITH_VELERO):
        await ask(world, "op1", site)
        await eventually("looked at", lambda: any("/backups/b" in c.path for c in site.cluster.faults.calls))
        assert world.answers("op1") == []
        await site.velero.start()
        await site.until("back", "Completed", kind="restores")


async def test_an_executor_that_may_not_restore_says_so(world):
    reader = User("reader", (Rule(frozenset({"get", "list", "watch"}), frozenset("*")),))
    cluster = await world.add("eu1", tokens={"t": reader})
    body = {"metadata": {"name": "b"}, "spec": {"storageLocation": "default"}, "status": {"phase": "Completed"}}
    made = cluster.store.create("backups", body, "velero")
    async with world.executor():
        (known,) = ids_of(made, "eu1")
        await world.order(restore_command("op1", source={"id": known}, now=now()))
        no = await refused(world)
    assert no.code == "ForbiddenInCluster"


# ---------------------------------------------------------------------- crashes


async def redeliver(admin, command):
    verb = command.type.split(".")[3]
    await admin.stream.publish(subjects.command("eu1", "restore", verb, command.operationid), encode(command))


@pytest.mark.parametrize("after", [False, True], ids=["before accepted", "after it"])
async def test_a_crash_restores_no_second_time_and_leaves_no_silence(world, site, after):
    site.cluster.faults.calls.clear()
    await ask(world, "op1", site, modifiers=MODIFIERS)
    async with world.executor(rhythm=WITH_VELERO, wrap=lambda p: Faulty(p, accepted, after)) as dying:
        await dying.crashed()
    site.store.patch("configmaps", "leeward-modifiers-op1", {"metadata": {"ownerReferences": None}}, "velero")
    async with world.executor(rhythm=WITH_VELERO, instance="two"):
        await eventually("accepted", lambda: world.answers("op1") == ["accepted"])
        await site.until("back", "Completed", kind="restores")
    assert posts(site) == 1
    assert posts(site, "configmaps") == 1
    if not after:
        assert site.get("configmaps", "leeward-modifiers-op1")["metadata"]["ownerReferences"]


async def test_a_config_map_whose_restore_is_refused_after_a_crash_goes(world, site):
    faults = site.cluster.faults
    faults.lose_answers(1, when=lambda c: c.method == "POST" and c.path.endswith("/configmaps"))
    faults.fail_next(1, 500, when=lambda c: c.method == "PATCH" and c.path.endswith("/leeward-modifiers-op1"))
    await ask(world, "op1", site, modifiers=MODIFIERS)
    async with world.executor(rhythm=WITH_VELERO):
        await eventually("made", lambda: site.find("configmaps", "leeward-modifiers-op1"))
        site.store.delete("backups", "b", "velero")
        await eventually("answered", lambda: world.answers("op1"))
    if world.answers("op1") == ["rejected"]:
        assert site.find("configmaps", "leeward-modifiers-op1") is None


# ---------------------------------------------------------------------- restore.delete


async def test_a_restore_is_deleted_with_its_files_and_what_it_restored_stays(world, site):
    async with world.executor(rhythm=WITH_VELERO):
        await ask(world, "op1", site, spec={"namespaceMapping": {"shop": "copy"}})
        await site.until("back", "Completed", kind="restores")
        assert site.cloud.keys("velero", "restores/back/")
        command = await ask_to_delete(world, "op2", "op1")
        await eventually("finished", lambda: world.answers("op2") == ["finished"])
        assert site.find("restores", "back") is None
        assert site.cloud.keys("velero", "restores/back/") == []
        assert things(site, "copy")
        await redeliver(world.admin, command)
        await ask_to_delete(world, "op3", "op1")
        no = await refused(world, "op3")
    assert no.code == "RestoreGone"
    assert {e.data.succeeded for e in world.heard.of("operation", "finished")} == {True}


async def test_another_restore_of_that_name_stays(world, site):
    site.create("restores", "back", {"backupName": "b"})
    await site.until("back", "Completed", kind="restores")
    async with world.executor(rhythm=WITH_VELERO):
        await ask_to_delete(world, "op1", "somebody-else")
        assert (await refused(world)).code == "RestoreGone"
    assert site.find("restores", "back")


async def test_one_that_velero_does_not_let_go_is_said_at_the_deadline(world, site):
    async with world.executor(rhythm=WITH_VELERO):
        await ask(world, "op1", site)
        await site.until("back", "Completed", kind="restores")
        await eventually("accepted", lambda: world.answers("op1"))
        site.cloud.faults.down = True
        await eventually("unavailable", lambda: site.phase("backupstoragelocations", "default") == "Unavailable")
        await ask_to_delete(world, "op2", "op1", expires_in=3600)
        await eventually("begun", lambda: "deletionTimestamp" in site.find("restores", "back")["metadata"])
    async with world.executor(rhythm=WITH_VELERO, instance="two", ahead=timedelta(hours=2)):
        no = await refused(world, "op2")
        assert no.code == "RestoreNotDeleted"
        assert "default is Unavailable" in no.detail
        site.cloud.faults.down = False
        await eventually("gone all the same", lambda: site.find("restores", "back") is None)


@pytest.mark.parametrize("after", [False, True], ids=["before the step", "after it"])
async def test_a_crash_while_deleting_ends_in_the_same(world, site, after):
    async with world.executor(rhythm=WITH_VELERO):
        await ask(world, "op1", site)
        await site.until("back", "Completed", kind="restores")
        await eventually("accepted", lambda: world.answers("op1"))
    await ask_to_delete(world, "op2", "op1")
    async with world.executor(rhythm=WITH_VELERO, wrap=lambda p: Faulty(p, step, after)) as dying:
        await dying.crashed()
    if after:
        site.store.delete("restores", "back", "velero")
        await eventually("gone", lambda: site.find("restores", "back") is None)
    async with world.executor(rhythm=WITH_VELERO, instance="two"):
        await eventually("finished", lambda: world.answers("op2") == ["finished"])
    assert site.find("restores", "back") is None


# ---------------------------------------------------------------------- what is found out when one has ended


def found(world, name="back"):
    return [e.data for e in world.heard.of("restore", "measured") if e.data.restore.name == name]


def kept(world, artifact):
    parts = [e.data for e in world.heard.of("restore", "captured") if e.data.artifact == artifact]
    return b"".join(part.data for part in parts)


async def test_what_a_restore_came_to_is_counted_and_its_texts_are_kept(world, site):
    site.store.delete("configmaps", "thing-0", "shop")
    site.store.patch("configmaps", "thing-1", {"data": {"n": "spoilt"}}, "shop")
    site.velero.faults.flaw(Flaw(errors=("error restoring configmaps/shop/odd: no room",)), "back", kind="restores")
    async with world.executor(rhythm=WITH_VELERO):
        await ask(world, "op1", site, spec={"existingResourcePolicy": "update"})
        restore = await site.until("back", "PartiallyFailed", kind="restores")
        await eventually("looked into", lambda: found(world))
    (told,) = found(world)
    assert (told.counts.created, told.counts.updated, told.counts.failed) == (1, 2, 0)
    assert told.counts.skipped
    assert [(c.message, c.example) for c in told.causes] == [("error restoring configmaps/shop/…: no room", "configmaps/odd")]
    assert told.restore.uid == restore["metadata"]["uid"]
    assert told.restore.object["spec"] == {"backupName": "b"}
    for artifact, target in ((Artifact.LOG, "RestoreLog"), (Artifact.RESULTS, "RestoreResults")):
        assert kept(world, artifact) == site.cloud.get("velero", FILES[target].format(name="back"))
    assert b"thing-0(created)" in gzip.decompress(kept(world, Artifact.RESOURCES))


async def test_one_that_was_never_begun_has_come_to_nothing(world, site):
    site.create("restores", "back", {"backupName": "nobody"})
    await site.until("back", "FailedValidation", kind="restores")
    async with world.executor(rhythm=WITH_VELERO):
        await eventually("looked into", lambda: found(world))
    assert found(world)[0].counts == RestoreCounts(created=0, updated=0, skipped=0, failed=0)


async def test_the_texts_of_a_restore_are_read_on_demand(world, as_user, site):
    async with world.executor(rhythm=WITH_VELERO, measuring=MEASURING.model_copy(update={"at_once": 0})):
        await ask(world, "op1", site)
        await site.until("back", "Completed", kind="restores")
        gateway, hub = await as_user("gateway"), subjects.artifact("eu1", agent=False)

        async def read(artifact, *ids):
            order = ArtifactRead(of="restore", name="back", ids=list(ids), artifact=artifact)
            answer = await rpc.ask(gateway, hub, envelope("artifact", "read", order), PATIENCE)
            return ArtifactReply.model_validate_json(answer)

        log = await read(Artifact.LOG, "op1")
        assert log.chunk is not None
        assert log.chunk.data == site.cloud.get("velero", FILES["RestoreLog"].format(name="back"))
        other = await read(Artifact.LOG, "op2")
        assert (other.trouble, "restore named back" in other.detail) == (Trouble.BACKUP_GONE, True)
        gone(site)
        without = await read(Artifact.RESULTS, "op1")
        assert (without.trouble, "backup b, which is gone" in without.detail) == (Trouble.NOT_THERE, True)
