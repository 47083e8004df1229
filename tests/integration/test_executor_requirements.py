"""`backup.create` and what depends on the cluster: scopes as namespaces are now, kinds, node agents, policies, older CRDs."""

from pathlib import Path

import pytest
import yaml

from services.executor.backups.requirements import NODE_AGENT_LABELS
from services.executor.cluster import WATCHED
from services.executor.locations.sealing import HOLDER
from shared.contracts.commands import BackupCreate
from shared.contracts.locationspec import spec_digest
from shared.contracts.selectors import Environments
from shared.runtime.clock import now
from simulator.access import Rule, User
from simulator.kinds import velero_definitions
from tests.integration.executor_harness import RHYTHM
from tests.support.location_messages import apply_command, remove_command, sealed
from tests.support.messages import backup_command
from tests.support.waiting import eventually

PROD, TEST = {"environment": "production"}, {"environment": "test"}
LEFT_OUT = ["cart", "kube-node-lease", "kube-public", "kube-system"]
SLEEPY = RHYTHM.model_copy(update={"kinds": 600, "inventory": 600, "velero_answers": 600})
"""Looks once, and as long as the test lasts nobody can say that Velero is silent."""


def furnish(cluster, **namespaces):
    for name, labels in namespaces.items():
        cluster.store.create("namespaces", {"metadata": {"name": name, "labels": labels}})


def node_agent(cluster, phase="Running"):
    key, value = NODE_AGENT_LABELS.split("=")
    pod = {"metadata": {"name": "node-agent", "labels": {key: value}}, "spec": {"nodeName": "n1"}}
    cluster.store.create("pods", pod, "velero")
    cluster.store.patch("pods", "node-agent", {"status": {"phase": phase}}, "velero", subresource="status")


def policy(cluster, text):
    cluster.store.create("configmaps", {"metadata": {"name": "rules"}, "data": {"p.yaml": text}}, "velero")


async def ask(world, **more):
    """Ask for a backup and return what the cluster says to it."""
    environments = more.pop("environments", None)
    command = backup_command("op1", now=more.pop("now", None), **more)
    if environments:
        data = command.data.wire() | {"environments": environments.wire()}
        command = command.model_copy(update={"data": BackupCreate.model_validate(data)})
    await world.order(command.model_copy(update={"expiresat": None}))
    async with world.executor(rhythm=SLEEPY):
        await eventually("answered", lambda: world.answers("op1"))
    return world.answer("op1")


SCOPES = {
    "all": ({"kind": "all"}, (None, None)),
    "all but some": ({"kind": "all", "excludedNamespaces": ["kube-*", "cart"]}, (None, LEFT_OUT)),
    "production": ({"kind": "production"}, (["pay", "web"], None)),
    "production but some": ({"kind": "production", "excludedNamespaces": ["w?b"]}, (["pay"], None)),
    "not production": ({"kind": "nonProduction"}, (["try"], None)),
    "named": ({"kind": "specific", "namespaces": ["shop", "cart"]}, (["cart", "shop"], None)),
    "patterns": ({"kind": "specific", "namespaces": ["[sc]*", "pay"], "excludedNamespaces": ["cart"]}, (["pay", "shop"], None)),
}  # fmt: skip


@pytest.mark.parametrize("case", SCOPES)
async def test_a_scope_becomes_the_namespaces_that_it_means_now(world, case):
    scope, (included, excluded) = SCOPES[case]
    furnish(await world.add("eu1"), pay=PROD, web=PROD, **{"try": TEST})
    accepted = await ask(world, scope=scope, environments=Environments())
    assert accepted.notices == []
    spec = world.backups()[0]["spec"]
    assert spec["includedNamespaces"] == (included or ["*"])
    assert spec.get("excludedNamespaces") == excluded


@pytest.mark.parametrize("kind", ["production", "nonProduction"])
async def test_an_environment_without_a_namespace_is_refused_and_never_everything(world, kind):
    await world.add("eu1")
    refused = await ask(world, scope={"kind": kind}, environments=Environments())
    assert (refused.refusal.code, refused.refusal.pointer) == ("ScopeMatchesNothing", "/scope")
    assert world.backups() == []


async def test_namespaces_are_read_page_after_page_and_resolved(world):
    """Two thousand here; that ten thousand fit is shown where no simulated cluster has to make them (test_observations.py)."""
    cluster = await world.add("eu1")
    furnish(cluster, **{f"team-{n:05d}": PROD for n in range(2_000)})
    await ask(world, scope={"kind": "production", "excludedNamespaces": ["team-00000", "*-0199?"]}, environments=Environments())
    (made,) = world.backups()
    assert len(made["spec"]["includedNamespaces"]) == 1989
    assert world.answer("op1").object.unreadable is None, "it still fits into a message"


# ---------------------------------------------------------------------- what is refused, and what is noted

REFUSED = {
    "unknown kind": (None, {"includedResources": ["pods", "podz"]}, ("KindUnknown", "/spec/includedResources", "podz")),
    "unknown group": (
        None,
        {"includedResources": ["pods.nowhere"]},
        ("KindUnknown", "/spec/includedResources", "pods.nowhere"),
    ),
    "wrong scope": (
        None,
        {"includedNamespaceScopedResources": ["nodes"]},
        ("KindUnknown", "/spec/includedNamespaceScopedResources", "nodes in namespaces"),
    ),
    "nobody to move data": (None, {"snapshotMoveData": True}, ("NodeAgentMissing", "/spec/snapshotMoveData", "node agent")),
    "an agent that does not run": (
        lambda c: node_agent(c, "Pending"),
        {"snapshotMoveData": True},
        ("NodeAgentMissing", "/spec/snapshotMoveData", "node agent"),
    ),
    "no such policy": (
        None,
        {"resourcePolicy": {"name": "rules"}},
        ("ResourcePolicyUnknown", "/spec/resourcePolicy/name", "rules"),
    ),
    "no policy": (
        lambda c: policy(c, "version: v1\nvolumePolicies: [{action: {type: erase}}]"),
        {"resourcePolicy": {"name": "rules"}},
        ("ResourcePolicyInvalid", "/spec/resourcePolicy", "action.type"),
    ),
    "a policy beside old filters": (
        lambda c: policy(c, "version: v1\nincludeExcludePolicy: {excludedClusterScopedResources: [nodes]}"),
        {"resourcePolicy": {"name": "rules"}, "includedResources": ["pods"]},
        ("ResourcePolicyInvalid", "/spec/resourcePolicy", "includedResources"),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_would_hang_or_run_to_nothing_is_refused_in_words_that_name_the_field(world, case):
    arrange, spec, (code, pointer, words) = REFUSED[case]
    cluster = await world.add("eu1")
    if arrange:
        arrange(cluster)
    refused = (await ask(world, **spec)).refusal
    assert (refused.code, refused.pointer) == (code, pointer)
    assert words in refused.detail
    assert world.backups() == []


NOTED = {
    "unknown excluded kind": (None, {"excludedResources": ["podz"]}, [("ExcludedKindUnknown", "/spec/excludedResources")]),
    "files without an agent": (
        None,
        {"defaultVolumesToFsBackup": True},
        [("NodeAgentMissing", "/spec/defaultVolumesToFsBackup")],
    ),
    "no volume groups": (
        None,
        {"volumeGroupSnapshotLabelKey": "app"},
        [("VolumeGroupsUnsupported", "/spec/volumeGroupSnapshotLabelKey")],
    ),
    "a group that does not answer": (
        lambda c: c.faults.fail_next(10_000, 503, when=lambda call: call.path == "/apis/apps/v1"),
        {"includedResources": ["things"]},
        [("KindsUncertain", "/spec/includedResources")],
    ),
    "kinds by each of their names": (
        None,
        {"includedResources": ["po", "Deployment", "service", "statefulsets.apps", "*.batch"]},
        [],
    ),
    "data that is moved": (node_agent, {"snapshotMoveData": True}, []),
    "files that are copied": (node_agent, {"defaultVolumesToFsBackup": True}, []),
    "a policy": (
        lambda c: policy(c, "version: v1\nvolumePolicies: [{conditions: {}, action: {type: skip}}]"),
        {"resourcePolicy": {"name": "rules"}},
        [],
    ),
}


@pytest.mark.parametrize("case", NOTED)
async def test_what_is_merely_without_effect_is_noted_and_the_rest_is_made_without_a_word(world, case):
    arrange, spec, notices = NOTED[case]
    cluster = await world.add("eu1")
    if arrange:
        arrange(cluster)
    accepted = await ask(world, **spec)
    assert [(n.code, n.pointer) for n in accepted.notices] == notices
    assert len(world.backups()) == 1


async def test_a_velero_that_does_not_answer_is_told_of_and_the_backup_is_made(world):
    await world.add("eu1")
    async with world.executor():
        await eventually("noticed", lambda: any(e.data.velero.problem for e in world.heard.of("presence")))
        await world.ask("op1")
        await eventually("accepted", lambda: world.answers("op1") == ["accepted"])
    assert [n.code for n in world.answer("op1").notices] == ["VeleroSilent"]


async def test_a_kind_that_has_come_since_the_last_look_is_known(world, monkeypatch):
    cluster = await world.add("eu1")
    resources = {k.plural: k for k in cluster.store.kinds if k.group == "apps"}
    hidden = [k for k in cluster.store.kinds if k is not resources["daemonsets"]]
    served = cluster.store.kinds
    monkeypatch.setattr(type(served), "__iter__", lambda self: iter(hidden))
    async with world.executor(rhythm=SLEEPY):
        kinds = lambda: [k.name for e in world.heard.of("inventory") for k in e.data.kinds]  # noqa: E731 (short)
        await eventually("looked at", lambda: "deployments" in kinds())
        assert "daemonsets" not in kinds()
        monkeypatch.undo()
        await world.ask("op1", includedResources=["daemonsets"])
        await eventually("answered", lambda: world.answers("op1"))
    assert world.answers("op1") == ["accepted"]


@pytest.mark.parametrize(
    ("spec", "pointer", "field"),
    [
        ({"uploaderConfig": {"parallelFilesUpload": 2}}, "/spec/uploaderConfig/parallelFilesUpload", "parallelFilesUpload"),
        ({"volumeGroupSnapshotLabelKey": "app"}, "/spec/volumeGroupSnapshotLabelKey", "volumeGroupSnapshotLabelKey"),
    ],
)
async def test_a_field_that_an_older_velero_does_not_know_is_refused_by_its_name(world, monkeypatch, spec, pointer, field):
    definition = next(d for d in velero_definitions() if d["metadata"]["name"] == "backups.velero.io")
    fields = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    for name in (fields, fields["uploaderConfig"]["properties"]):
        monkeypatch.delitem(name, field, raising=False)
    await world.add("eu1")
    refused = (await ask(world, **spec)).refusal
    assert (refused.code, refused.pointer) == ("FieldUnsupported", pointer)
    assert field in refused.detail


async def test_an_ordinary_backup_costs_no_request_more_than_it_needs(world, monkeypatch):
    async def unseen(_kube):
        return None

    monkeypatch.setattr("services.executor.seeing.presence.node_agent", unseen)  # it is what a backup may ask for, too
    cluster = await world.add("eu1")
    place = "/apis/velero.io/v1/namespaces/velero"

    def listed():
        return sum((c.method, c.path, c.watch) == ("GET", f"{place}/backups", False) for c in cluster.faults.calls)

    async with world.executor(rhythm=SLEEPY):
        await eventually(
            "settled", lambda: world.heard.of("inventory") and all(world.heard.of(n, "snapshot") for n in WATCHED.values())
        )
        await eventually("seen and swept", lambda: listed() >= 2)
        cluster.faults.calls.clear()
        await world.ask("op1", includedResources=["pods"], excludedResources=["deploy"])
        await eventually("accepted", lambda: world.answers("op1") == ["accepted"])
        asked = {(c.method, c.path) for c in cluster.faults.calls if "serverstatus" not in c.path and not c.watch}
    # What is looked at every other second while no Velero answers.
    looked = ("/version", "/api/v1/namespaces", f"/api/v1/namespaces/velero/secrets/{HOLDER}")
    assert asked - {("GET", path) for path in looked} == {
        ("GET", f"{place}/backups/shop"),
        ("GET", f"{place}/backupstoragelocations"),
        ("GET", f"{place}/volumesnapshotlocations"),
        ("POST", f"{place}/backups"),
    }


# ---------------------------------------------------------------------- the rights that are granted

_ELSEWHERE = {
    *((verb, "downloadrequests.velero.io") for verb in ("create", "get", "delete")),
    ("list", "podvolumebackups.velero.io"),
    ("list", "datauploads.velero.io"),
    *((verb, "restores.velero.io") for verb in ("create", "get", "delete")),
    ("delete", "backups.velero.io"),
    *((verb, "backuprepositories.velero.io") for verb in ("list", "delete")),
    *((verb, "configmaps") for verb in ("create", "patch", "delete")),
}
"""Needed to look into what has ended, and for restores: used in their own tests."""


def granted():
    """The rules of deploy/rbac/executor.yaml."""
    documents = [d for d in yaml.safe_load_all(Path("deploy/rbac/executor.yaml").read_text()) if "rules" in d]
    for document in documents:
        spaces = frozenset({"velero"}) if document["kind"] == "Role" else frozenset("*")
        for rule in document["rules"]:
            for group in rule["apiGroups"]:
                names = frozenset(f"{r}.{group}" if group else r for r in rule["resources"])
                yield Rule(frozenset(rule["verbs"]), names, spaces, frozenset(rule.get("resourceNames", "*")))


class Counted(Rule):
    """A rule that notes what it was used for."""

    used: set = set()

    def allows(self, verb, resource, namespace, name):
        allowed = super().allows(verb, resource, namespace, name)
        if allowed:
            self.used.add((verb, resource))
        return allowed


LOCATIONS = {
    "location": {"provider": "aws", "objectStorage": {"bucket": "other"}, "default": True},
    "snapshotlocation": {"provider": "aws"},
}


async def keep(world, noun, spec):
    """Make a location with a credential, change it, and remove it."""
    key = (await eventually("a key", lambda: [e.data.sealing_key for e in world.heard.of("inventory") if e.data.sealing_key]))[
        -1
    ]
    await world.order(apply_command(f"{noun}1", spec, noun=noun, credential=sealed(key, "text"), now=now()))
    made = (await eventually("made", lambda: world.answers(f"{noun}1") and world.answer(f"{noun}1"))).object.object["spec"]
    await world.order(
        apply_command(f"{noun}2", spec, noun=noun, expected=spec_digest(made), credential=sealed(key, "new"), now=now())
    )
    await eventually("changed", lambda: world.answers(f"{noun}2") == ["accepted"])
    await world.order(remove_command(f"{noun}3", noun=noun, now=now()))
    await eventually("removed", lambda: world.answers(f"{noun}3") == ["finished"])


async def test_the_rights_in_deploy_are_enough_and_none_is_without_use(world):
    rules = tuple(Counted(rule.verbs, rule.resources, rule.namespaces, rule.names) for rule in granted())
    Counted.used.clear()
    cluster = await world.add("eu1", tokens={"t": User("leeward", rules)})
    node_agent(cluster)
    policy(cluster, "version: v1")
    async with world.executor():
        scope = {"kind": "specific", "namespaces": ["shop"]}
        await world.ask("op1", scope=scope, snapshotMoveData=True, resourcePolicy={"name": "rules"})
        await eventually("made", lambda: world.answers("op1") == ["accepted"])
        await world.ask_to_delete("op2", "op1")
        await eventually("asked to delete", lambda: world.answers("op2") == ["accepted"])
        for noun, spec in LOCATIONS.items():
            await keep(world, noun, spec)
        everything = {(verb, resource) for rule in rules for verb in rule.verbs for resource in rule.resources}
        await eventually("all used", lambda: everything - Counted.used <= _ELSEWHERE)
