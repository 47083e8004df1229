"""What an executor tells of a cluster as a whole, and what is wrong with it."""

import dataclasses
from datetime import timedelta

import pytest

from services.executor.backups.requirements import NODE_AGENT_LABELS
from services.executor.cluster import WATCHED
from simulator.access import Rule, User
from simulator.cloud import Cloud
from simulator.kinds import Kinds, default_kinds
from simulator.velero import Velero
from tests.integration.executor_harness import RHYTHM
from tests.support.simulated_velero import QUICK
from tests.support.waiting import eventually

OFTEN = RHYTHM.model_copy(update={"velero": 0.5, "velero_answers": 20})


def problems(world):
    return [p.code for e in world.heard.of("presence")[-1:] for p in e.data.problems]


def inventory(world):
    return world.heard.of("inventory")[-1].data


async def test_a_cluster_is_told_apart_by_its_uid(world):
    cluster = await world.add("eu1")
    async with world.executor():
        uid = await eventually("told", lambda: [e.data.cluster_uid for e in world.heard.of("presence") if e.data.cluster_uid])
    assert uid[-1] == cluster.store.get("namespaces", "kube-system")["metadata"]["uid"]


async def test_whether_a_node_agent_runs_is_told_where_it_may_be_seen(world):
    cluster = await world.add("eu1")
    label, value = NODE_AGENT_LABELS.split("=")
    async with world.executor():
        await eventually("none", lambda: world.heard.of("inventory") and inventory(world).velero.node_agent is False)
        pod = {"metadata": {"name": "node-agent", "labels": {label: value}}, "spec": {"nodeName": "n1"}}
        cluster.store.create("pods", pod, "velero")
        cluster.store.patch("pods", "node-agent", {"status": {"phase": "Running"}}, "velero", subresource="status")
        await eventually("one", lambda: inventory(world).velero.node_agent is True)
        kinds = frozenset({"namespaces", "secrets", *(f"{kind.plural}.velero.io" for kind in WATCHED)})
        cluster.access.tokens["t"] = User("blind", (Rule(frozenset({"get", "list", "watch", "create"}), kinds),))
        cluster.write_kubeconfig(world.directory / "eu1.yaml", token="t")
    async with world.executor(instance="two"):
        await eventually("not known", lambda: inventory(world).velero.node_agent is None)


@pytest.mark.parametrize(
    ("gone", "code"),
    [(lambda kind: kind.group == "velero.io", "VeleroMissing"), (lambda kind: kind.plural == "restores", "CrdsMissing")],
    ids=["all", "one"],
)
async def test_kinds_that_are_not_there_are_told_until_they_come(world, gone, code):
    cluster = await world.add("eu1")
    cluster.store.kinds = Kinds(kind for kind in default_kinds() if not gone(kind))
    async with world.executor():
        await eventually("told", lambda: code in problems(world))
        cluster.store.kinds = default_kinds()
        await eventually("no problem any more", lambda: problems(world) == [])


@pytest.mark.parametrize(
    ("settings", "ahead", "code"),
    [({"version": "v1.9.2"}, 0, "VeleroTooOld"), ({}, 3600, "ClockSkew"), ({}, -3600, "ClockSkew")],
    ids=["an old Velero", "a clock behind ours", "a clock ahead of ours"],
)
async def test_what_velero_answers_is_judged(world, settings, ahead, code):
    async with Cloud() as cloud:
        cloud.make_bucket("b")
        velero = Velero(await world.add("eu1"), cloud, dataclasses.replace(QUICK, **settings))
        await velero.start()
        async with world.executor(rhythm=OFTEN, ahead=timedelta(seconds=ahead)):
            await eventually("told", lambda: problems(world) == [code])
        velero.kill()
