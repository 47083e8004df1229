"""What is asked before a restore: what is in a backup, and what of it a cluster has already; over a real NATS."""

from contextlib import asynccontextmanager

from shared.contracts import subjects
from shared.contracts.artifacts import Trouble
from shared.contracts.surveys import BackupSurvey, BackupSurveyed, Held, NodePort, RestoreLook, RestoreSeen
from shared.messaging.outcomes import Unavailable
from shared.messaging.rpc import ask
from simulator.access import Rule, User
from tests.integration.executor_harness import MEASURING
from tests.support.messages import envelope
from tests.support.restores import restorable, source
from tests.support.sites import WITH_VELERO, furnished
from tests.support.waiting import PATIENCE, eventually

IDLE = MEASURING.model_copy(update={"at_once": 0})
SERVICE = {"ports": [{"port": 80, "nodePort": 30080}], "type": "NodePort"}


class Gateway:
    """Whoever asks before a restore."""

    def __init__(self, connection):
        self._connection = connection

    async def survey(self, **order):
        question = envelope("backup", "survey", BackupSurvey(**{"name": "b", "within": PATIENCE, **order}))
        answer = await ask(self._connection, subjects.survey("eu1", agent=False), question, PATIENCE)
        return BackupSurveyed.model_validate_json(answer)

    async def look(self, **order):
        question = envelope("restore", "look", RestoreLook(**{"within": PATIENCE, **order}))
        answer = await ask(self._connection, subjects.look("eu1", agent=False), question, PATIENCE)
        return RestoreSeen.model_validate_json(answer)


@asynccontextmanager
async def asked(world, as_user, **more):
    async with world.executor(measuring=IDLE, rhythm=WITH_VELERO, **more):
        gateway = Gateway(await as_user("gateway"))

        async def serves() -> bool:
            try:
                return bool(await gateway.look())
            except Unavailable:
                return False

        await eventually("the executor answers", serves)
        yield gateway


def service(site, name, namespace="shop"):
    site.store.create("services", {"metadata": {"name": name}, "spec": SERVICE}, namespace)


def claim(site, name, storage_class):
    spec = {"storageClassName": storage_class, "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    site.store.create("persistentvolumeclaims", {"metadata": {"name": name}, "spec": spec}, "shop")


async def test_what_is_in_a_backup_is_told(world, as_user):
    async with restorable(world) as site:
        service(site, "web")
        claim(site, "data", "fast")
        claim(site, "more", "slow")
        site.backup("full")
        await site.until("full", "Completed")
        async with asked(world, as_user) as gateway:
            known = source(site, "full")
            told = await gateway.survey(name="full", ids=[known["id"], *known["ids"]])
            assert (told.trouble, told.detail, told.truncated) == (None, "", False)
            assert {each.kind: each.names for each in told.held}["Service"] == ["shop/web"]
            assert "shop/thing-0" in {each.kind: each.names for each in told.held}["ConfigMap"]
            assert told.storage_classes == ["fast", "slow"]
            assert told.node_ports == [NodePort(service="shop/web", port=30080)]
            plain = source(site)
            told = await gateway.survey(ids=[plain["id"]])
            assert (told.storage_classes, told.node_ports) == ([], [])
            assert (await gateway.survey(ids=["another"])).trouble == Trouble.BACKUP_GONE
            assert site.store.list("downloadrequests", "velero") == []


async def test_a_survey_says_what_it_could_not_find_out(world, as_user):
    async with restorable(world) as site:
        claim(site, "data", "fast")
        site.backup("full")
        await site.until("full", "Completed")
        site.cloud.put("velero", "backups/full/full.tar.gz", b"no archive")
        async with asked(world, as_user) as gateway:
            told = await gateway.survey(name="full", ids=[source(site, "full")["id"]])
            assert told.held
            assert (told.storage_classes, told.node_ports, told.detail) == (
                None,
                None,
                "The contents of the backup cannot be read.",
            )
            await site.velero.stop()
            told = await gateway.survey(ids=[source(site)["id"]], within=0.3)
            assert (told.held, "within 0.3 s" in told.detail) == (None, True)
            await site.velero.start()


LOOK = {
    "held": [
        Held(api_version="v1", kind="ConfigMap", names=["shop/thing-0", "shop/other", "new/thing-0"]),
        Held(api_version="v1", kind="Namespace", names=["shop", "new"]),
        Held(api_version="example.com/v1", kind="Widget", names=["shop/w"]),
        Held(api_version="apps/v1", kind="Gadget", names=["shop/g"]),
        Held(api_version="v1", kind="Secret", names=[f"n{n}/s" for n in range(5)] + ["shop/s"]),
    ],
    "storage_classes": ["fast", "slow"],
    "node_ports": [NodePort(service="shop/web", port=30080), NodePort(service="shop/db", port=30090)],
    "modifier": "rules",
}


async def test_what_a_restore_would_meet_is_told(world, as_user):
    async with furnished(world) as site:
        service(site, "theirs", "cart")
        site.store.create("storageclasses", {"metadata": {"name": "slow"}, "provisioner": "x"})
        site.store.create("secrets", {"metadata": {"name": "s"}}, "shop")
        async with asked(world, as_user) as gateway:
            seen = await gateway.look(**LOOK)
            assert seen.unserved == ["example.com/v1/Widget", "apps/v1/Gadget"]
            assert {each.kind: each.names for each in seen.existing} == {
                "ConfigMap": ["shop/thing-0"],
                "Namespace": ["shop"],
                "Secret": ["shop/s"],
            }
            assert seen.missing_storage_classes == ["fast"]
            assert seen.taken_node_ports == [NodePort(service="shop/web", port=30080)]
            assert (seen.modifier_found, seen.unseen, seen.detail) == (False, [], "")
            again = await gateway.look(node_ports=[NodePort(service="cart/theirs", port=30080)])
            assert again.taken_node_ports == [], "it is its own"
            bodies = [c for c in site.cluster.faults.calls if c.path.endswith("/namespaces/new/configmaps")]
            assert bodies == [], "nothing can be in a namespace that is not there"


async def test_what_may_not_be_looked_at_is_told(world, as_user):
    known = ("configmaps", "namespaces", "backups.velero.io", "restores.velero.io", "backupstoragelocations.velero.io")
    reader = User("reader", (Rule(frozenset({"get", "list", "watch"}), frozenset(known)),))
    async with furnished(world) as site:
        site.cluster.access.tokens["t"] = reader
        site.cluster.write_kubeconfig(world.directory / "eu1.yaml", token="t")
        async with asked(world, as_user) as gateway:
            seen = await gateway.look(**LOOK)
    assert seen.unseen == ["v1/Secret"]
    assert {each.kind for each in seen.existing} == {"ConfigMap", "Namespace"}
    assert (seen.missing_storage_classes, seen.taken_node_ports, seen.modifier_found) == (None, None, False)
    assert "forbidden" in seen.detail


async def test_a_cluster_that_does_not_answer_is_no_failure(world, as_user):
    async with furnished(world) as site, asked(world, as_user) as gateway:
        site.cluster.faults.hang()
        seen = await gateway.look(**LOOK, within=0.3)
        site.cluster.faults.release()
    assert len(seen.unseen) == len(LOOK["held"])
    assert (seen.missing_storage_classes, seen.taken_node_ports, seen.modifier_found) == (None, None, None)
    assert seen.detail == "The cluster did not answer in time."
