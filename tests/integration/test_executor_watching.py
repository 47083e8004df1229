"""What an executor says about a cluster: everything that happens, what exists after every list, and how the cluster is."""

import contextlib

import pytest
from kubernetes.aio.client import ApiClient, Configuration
from nats.errors import Error as NatsError
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from services.executor.kube import BACKUPS, KubeClient
from shared.contracts.catalogue import decode
from shared.messaging.outcomes import Unavailable
from shared.messaging.topology import EVENTS
from shared.runtime.http import serving
from shared.runtime.settings import HttpSettings
from simulator.access import Rule, User
from tests.integration.executor_harness import RHYTHM, velero_backup, velero_schedule
from tests.support.timing import takes_nats_away
from tests.support.waiting import eventually

SLOW_PROGRESS = RHYTHM.model_copy(update={"progress": 60.0})


def named(world, name):
    return [e.data for e in world.heard.of("backup", "observed") if e.data.name == name]


def snapshots(world):
    return [e.data for e in world.heard.of("backup", "snapshot")]


async def set_status(cluster, name, **status):
    cluster.store.patch("backups", name, {"status": status}, "velero")


async def test_every_change_is_said_once_with_its_version(world):
    cluster = await world.add("eu1")
    async with world.executor():
        await eventually("listed", lambda: snapshots(world))
        cluster.store.create("backups", velero_backup("b"))
        for phase in ("New", "InProgress", "Completed"):
            await set_status(cluster, "b", phase=phase)
        cluster.store.delete("backups", "b", "velero")
        await eventually("gone", lambda: any(o.deleted for o in named(world, "b")))
    assert world.heard.phases("b") == [None, "New", "InProgress", "Completed", "Completed"]
    versions = [o.resource_version for o in named(world, "b")]
    assert versions == sorted(set(versions))


async def test_after_a_list_it_says_what_exists_so_that_a_missed_delete_is_found(world):
    cluster = await world.add("eu1")
    cluster.store.create("backups", velero_backup("stays"))
    cluster.store.create("backups", velero_backup("goes"))
    async with world.executor():
        await eventually("listed", lambda: snapshots(world))
        await cluster.stop()
        cluster.store.delete("backups", "goes", "velero")
        cluster.compact()  # else a watch that was broken gently goes on where it was, and misses nothing
        await cluster.start()
        await eventually("listed again", lambda: len(snapshots(world)[-1].uids) == 1)
    assert snapshots(world)[-1].uids == [named(world, "stays")[0].uid]
    assert (snapshots(world)[-1].from_uid, snapshots(world)[-1].to_uid) == (None, None)


async def test_a_version_that_has_expired_leads_to_a_new_list(world):
    cluster = await world.add("eu1")
    async with world.executor():
        await eventually("listed", lambda: snapshots(world))
        cluster.faults.hang()
        cluster.store.create("backups", velero_backup("b"))
        cluster.store.delete("backups", "b", "velero")
        cluster.store.create("backups", velero_backup("c"))
        cluster.compact()
        cluster.faults.cut_watches()
        cluster.faults.release()
        await eventually("seen", lambda: named(world, "c"))
        await eventually("listed again", lambda: len(snapshots(world)[-1].uids) == 1)


async def test_a_silent_watch_is_cut_and_begun_again(world):
    cluster = await world.add("eu1")
    rhythm = RHYTHM.model_copy(update={"inactivity": 1.0})
    async with world.executor(rhythm=rhythm):
        await eventually("listed", lambda: snapshots(world))
        cluster.faults.hang()
        cluster.faults.calls.clear()
        await eventually("begun again", lambda: any("kube-system" in call.path for call in cluster.faults.calls))
        cluster.faults.release()
        cluster.store.create("backups", velero_backup("b"))
        await eventually("seen", lambda: named(world, "b"))


@pytest.mark.parametrize("way", ["etcd restored", "cluster rebuilt"])
async def test_when_versions_begin_anew_the_epoch_grows(world, way):
    cluster = await world.add("eu1")
    earlier = cluster.snapshot()
    async with world.executor():
        await eventually("listed", lambda: snapshots(world))
        first = snapshots(world)[-1].epoch
        for n in range(5):
            cluster.store.create("backups", velero_backup(f"b{n}"))
        await eventually("seen", lambda: named(world, "b4"))
        if way == "etcd restored":
            cluster.restore_etcd(earlier)
        else:
            cluster.rebuild()
        await eventually("a new epoch", lambda: snapshots(world)[-1].epoch > first)
    last = snapshots(world)[-1]
    assert last.uids == []


async def test_the_epoch_survives_the_executor(world):
    cluster = await world.add("eu1")
    async with world.executor():
        await eventually("listed", lambda: snapshots(world))
    first = snapshots(world)[-1]
    cluster.rebuild()
    async with world.executor(instance="two"):
        await eventually("a new epoch", lambda: snapshots(world)[-1].epoch > first.epoch)


async def test_progress_is_said_at_a_gentle_pace_and_a_phase_at_once(world):
    cluster = await world.add("eu1")
    async with world.executor(rhythm=SLOW_PROGRESS):
        await eventually("listed", lambda: snapshots(world))
        cluster.store.create("backups", velero_backup("b"))
        for done in range(50):
            await set_status(cluster, "b", phase="InProgress", progress={"itemsBackedUp": done, "totalItems": 50})
        await set_status(cluster, "b", phase="Completed")
        await eventually("the phase overtakes", lambda: "Completed" in world.heard.phases("b"), timeout=30)
        assert len(named(world, "b")) <= 4
    async with world.executor(instance="two", rhythm=RHYTHM):
        cluster.store.create("backups", velero_backup("c"))
        for done in range(20):
            await set_status(cluster, "c", phase="InProgress", progress={"itemsBackedUp": done, "totalItems": 20})
        await eventually(
            "the newest progress is said",
            lambda: named(world, "c") and named(world, "c")[-1].object["status"].get("progress", {}).get("itemsBackedUp") == 19,
        )


@takes_nats_away
async def test_while_the_broker_is_away_nothing_that_happens_is_dropped(world, nats_server):
    cluster = await world.add("eu1")
    async with world.executor():
        await eventually("listed", lambda: snapshots(world))
        nats_server.kill()
        cluster.store.create("backups", velero_backup("b"))
        await set_status(cluster, "b", phase="Completed")
        nats_server.start()

        async def kept():
            # Read from the stream: whoever listens may come back later than who speaks.
            with contextlib.suppress(NatsError, TimeoutError):
                last = await world.admin.stream.get_last_msg(EVENTS, "lw.evt.eu1.backup.observed.*")
                return (decode(last.subject, last.data)[1].data.object.get("status") or {}).get("phase") == "Completed"

        await eventually("said", kept)


async def test_presence_says_when_the_cluster_last_answered_and_goes_on_while_it_is_away(world):
    cluster = await world.add("eu1")
    async with world.executor(timeout=1):
        answered = await eventually("answers", lambda: [e for e in world.heard.of("presence") if e.data.api_server.answered_at])
        assert answered[0].data.mode == "Hub"
        cluster.faults.hang()
        before = len(world.heard.of("presence"))

        def problems():
            return [e for e in world.heard.of("presence")[before:] if e.data.api_server.problem]

        last = (await eventually("silent", problems))[0].data.api_server.answered_at
        more = await eventually("still there", lambda: problems()[3:])
        assert {e.data.api_server.answered_at for e in more} == {last}
        cluster.faults.release()
        await eventually("back", lambda: world.heard.of("presence")[-1].data.api_server.problem is None)


async def test_velero_that_does_not_answer_its_status_request_is_told(world):
    cluster = await world.add("eu1")  # the simulated API server has no Velero behind it
    async with world.executor():
        told = await eventually("told", lambda: [e for e in world.heard.of("presence") if e.data.velero.problem])
        await eventually("nothing left behind", lambda: not cluster.store.list("serverstatusrequests"))
    assert "status request" in told[0].data.velero.problem
    assert told[0].data.velero.answered_at is None


async def test_an_object_that_poisons_its_kind_is_told_with_name_and_cure(world):
    cluster = await world.add("eu1")
    async with world.executor():
        await eventually("listed", lambda: snapshots(world))
        cluster.store.create("backups", velero_backup("odd", ttl="30d"))
        problems = await eventually("told", lambda: world.heard.of("presence")[-1].data.problems)
        assert problems[0].code == "PoisonObject"
        assert problems[0].object == "Backup/odd"
        assert "30d" in problems[0].message
        cluster.store.patch("backups", "odd", {"spec": {"ttl": "720h"}}, "velero")
        await eventually("cured", lambda: not world.heard.of("presence")[-1].data.problems)


async def test_the_schedules_that_velero_keeps_itself_are_seen_with_what_becomes_of_them(world):
    cluster = await world.add("eu1")
    cluster.store.create("schedules", velero_schedule("old", includedNamespaces=["shop"]))
    async with world.executor():
        (page,) = [e.data for e in await eventually("listed", lambda: world.heard.of("schedule", "snapshot"))]
        (old,) = [e.data for e in world.heard.of("schedule", "observed")]
        assert (old.name, page.uids) == ("old", [old.uid])
        assert old.object["spec"] == {"schedule": "0 3 * * *", "template": {"includedNamespaces": ["shop"]}}
        cluster.store.create("schedules", velero_schedule("bad", "not a cron"))
        wrong = {"phase": "FailedValidation", "validationErrors": ["invalid schedule"]}
        cluster.store.patch("schedules", "bad", {"status": wrong}, "velero")
        cluster.store.patch("schedules", "old", {"spec": {"paused": True}}, "velero")
        cluster.store.delete("schedules", "old", "velero")
        await eventually("gone", lambda: any(e.data.deleted for e in world.heard.of("schedule", "observed")))
    seen = [e.data for e in world.heard.of("schedule", "observed")]
    assert [o.object["spec"].get("paused") for o in seen if o.name == "old"] == [None, True, True]
    assert [o.object.get("status") for o in seen if o.name == "bad"] == [None, wrong]


async def test_a_kind_that_may_not_be_watched_is_told_with_the_cure_and_hides_no_other(world):
    everything = frozenset("*")
    ours = ("backups", "restores", "backupstoragelocations", "volumesnapshotlocations", "deletebackuprequests")
    kinds = frozenset({"namespaces", *(f"{plural}.velero.io" for plural in ours)})
    seen, key = Rule(frozenset({"get", "list", "watch"}), kinds), Rule(frozenset({"get", "create"}), frozenset({"secrets"}))
    cluster = await world.add("eu1", tokens={"t": User("old", (seen, key))})
    cluster.store.create("schedules", velero_schedule("unseen"))
    async with world.executor():
        problems = await eventually(
            "told", lambda: world.heard.of("presence")[-1:] and world.heard.of("presence")[-1].data.problems
        )
        assert [p.code for p in problems] == ["NotAllowed"]
        assert "may not watch schedules" in problems[0].message
        assert "deploy/rbac/executor.yaml" in problems[0].message
        cluster.store.create("backups", velero_backup("b"))
        await eventually("others are watched", lambda: named(world, "b"))
        assert world.heard.of("schedule") == []
        cluster.access.tokens["t"] = User("new", (Rule(everything, everything),))
        await eventually("allowed", lambda: world.heard.of("schedule", "observed"))
        await eventually("no problem any more", lambda: not world.heard.of("presence")[-1].data.problems)


async def test_the_inventory_tells_versions_namespaces_and_kinds(world):
    cluster = await world.add("eu1")
    async with world.executor():
        inventory = (await eventually("told", lambda: world.heard.of("inventory")))[0].data
        assert inventory.kubernetes_version.startswith("v1.")
        assert {"shop", "cart", "kube-system", "velero"} <= {n.name for n in inventory.namespaces}
        assert any(k.name == "deployments" and k.group == "apps" and k.namespaced for k in inventory.kinds)
        assert not any("/" in k.name for k in inventory.kinds)
        cluster.store.create("namespaces", {"metadata": {"name": "new", "labels": {"environment": "prod"}}})
        await eventually(
            "a new namespace shows",
            lambda: any(
                n.name == "new" and n.labels["environment"] == "prod" for n in world.heard.of("inventory")[-1].data.namespaces
            ),
        )


async def test_a_cluster_whose_credentials_are_refused_is_told_and_delays_nobody(world):
    await world.add("us1")
    eu1 = await world.add("eu1")
    eu1.access.tokens["right"] = eu1.access.user({})
    async with world.executor() as running:
        await eventually("us1 is there", lambda: world.heard.of("backup", "snapshot", "us1"))
        reason = await eventually("told", lambda: running.health.report()["dependencies"].get("cluster eu1"))
        assert "401" in reason


async def test_credentials_that_were_renewed_in_the_kubeconfig_are_read_again(world, monkeypatch):
    monkeypatch.setattr("services.executor.cluster._AGAIN", 0.1)
    cluster = await world.add("eu1")
    cluster.access.tokens["right"] = cluster.access.user({})
    cluster.write_kubeconfig(world.directory / "eu1.yaml", token="wrong")
    async with world.executor() as running:
        await eventually("refused", lambda: "401" in running.health.report()["dependencies"].get("cluster eu1", ""))
        cluster.write_kubeconfig(world.directory / "eu1.yaml", token="right")
        await eventually("served", lambda: snapshots(world))


async def test_an_api_group_that_does_not_answer_hides_nothing_but_its_own_kinds(world):
    cluster = await world.add("eu1")
    cluster.faults.fail_next(1000, 503, when=lambda call: call.path == "/apis/apps/v1")
    async with world.executor():
        inventory = (await eventually("told", lambda: world.heard.of("inventory")))[0].data
    assert {"shop", "cart"} <= {n.name for n in inventory.namespaces}
    assert any(k.name == "pods" for k in inventory.kinds)
    assert not any(k.group == "apps" for k in inventory.kinds)


async def test_odd_objects_without_end_are_told_in_a_message_of_bounded_size(world):
    cluster = await world.add("eu1")
    for n in range(60):
        cluster.store.create("backups", velero_backup(f"odd{n}", ttl="9" * 20_000))
    async with world.executor():
        problems = await eventually(
            "told", lambda: world.heard.of("presence")[-1:] and world.heard.of("presence")[-1].data.problems
        )
    assert len(problems) == 51
    assert problems[-1].code == "MoreProblems"
    assert all(len(p.message) < 400 for p in problems)


async def test_an_answer_that_is_not_kubernetes_counts_as_no_answer():
    async def page(_request):
        return PlainTextResponse("<html>Bad gateway, but 200</html>")

    configuration = Configuration()
    async with serving(Starlette(routes=[Route("/{rest:path}", page)]), HttpSettings()) as port:
        configuration.host = f"http://127.0.0.1:{port}"
        async with ApiClient(configuration) as api:
            kube = KubeClient(api, "eu1", "velero", 2.0)
            with pytest.raises(Unavailable, match="something else than Kubernetes"):
                await kube.get(BACKUPS, "b")
            with pytest.raises(Unavailable, match="something else than Kubernetes"):
                async for _ in kube.watch(BACKUPS, 1, 2.0):
                    pass
