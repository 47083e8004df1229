"""What an order needs of its cluster: refused by field where it would run to nothing, noted where it is without effect."""

import pytest

from services.executor.backups.choices import Refused
from services.executor.backups.policies import Policy
from services.executor.backups.requirements import Around, judge, kinds_needed, wants_node_agent
from services.executor.kinds import Kinds
from shared.contracts.events import Answer, KindInfo
from tests.support.messages import NOW, backup_command


def kind(name, group="", *, namespaced=True):
    return KindInfo(name=name, group=group, kind=name.capitalize(), namespaced=namespaced, singular=name[:-1])


PODS, NODES = kind("pods"), kind("nodes", namespaced=False)
SNAPSHOTS = kind("volumesnapshots", "snapshot.storage.k8s.io")
GROUPS = kind("volumegroupsnapshots", "groupsnapshot.storage.k8s.io")
PLAIN = Kinds((NODES, PODS))
CSI = Kinds((NODES, PODS, SNAPSHOTS, GROUPS))
DOUBTFUL = Kinds((PODS,), {"snapshot.storage.k8s.io": "HTTP 503", "groupsnapshot.storage.k8s.io": "HTTP 503"})
BARE = Around(PLAIN)
HOOK = {"name": "h", "pre": [{"exec": {"command": ["sync"]}}]}


def order(**spec):
    return backup_command("op1", **spec).data


def noted(around=BARE, **spec):
    return [(n.code, n.pointer, n.detail) for n in judge(order(**spec), "eu1", around)]


def refused(around=BARE, **spec):
    with pytest.raises(Refused) as no:
        judge(order(**spec), "eu1", around)
    return no.value.refusal.code, no.value.refusal.pointer, no.value.refusal.detail


def test_an_order_that_needs_nothing_asks_for_nothing_and_is_told_nothing():
    assert kinds_needed(order()) == []
    assert not wants_node_agent(order())
    assert noted(Around()) == []


@pytest.mark.parametrize(
    ("spec", "pointer", "words"),
    [
        ({"includedResources": ["pods", "podz", "x.y"]}, "includedResources", "no kind podz, x.y."),
        ({"includedClusterScopedResources": ["nodez"]}, "includedClusterScopedResources", "nodez"),
        ({"includedNamespaceScopedResources": ["podz"]}, "includedNamespaceScopedResources", "podz"),
        ({"includedClusterScopedResources": ["pods"]}, "includedClusterScopedResources", "pods outside of namespaces"),
        ({"includedNamespaceScopedResources": ["nodes"]}, "includedNamespaceScopedResources", "nodes in namespaces"),
        (
            {"hooks": {"resources": [HOOK, {**HOOK, "includedResources": ["podz"]}]}},
            "hooks/resources/1/includedResources",
            "podz",
        ),
        ({"orderedResources": {"pod": "shop/a"}}, "orderedResources", "with the plural name pod"),
        ({"orderedResources": {"pods": "shop/a", "podz": "shop/a"}}, "orderedResources", "podz"),
    ],
)
def test_a_kind_that_is_to_be_in_it_but_does_not_exist_is_refused(spec, pointer, words):
    code, where, detail = refused(**spec)
    assert (code, where) == ("KindUnknown", f"/spec/{pointer}")
    assert words in detail


@pytest.mark.parametrize("field", ["excludedResources", "excludedClusterScopedResources", "excludedNamespaceScopedResources"])
def test_one_that_is_to_be_left_out_is_merely_noted(field):
    ((code, pointer, detail),) = noted(**{field: ["things"]})
    assert (code, pointer) == ("ExcludedKindUnknown", f"/spec/{field}")
    assert "things" in detail


@pytest.mark.parametrize(
    "spec",
    [
        {"includedResources": ["*"]},
        {"includedResources": ["pod", "Nodes", "p*"]},
        {"includedResources": ["{pods,nodes}"]},
        {"excludedClusterScopedResources": ["*"]},
        {"excludedNamespaceScopedResources": ["pods"], "includedClusterScopedResources": ["nodes"]},
        {"orderedResources": {"pods": "shop/a"}},
        {"hooks": {"resources": [{**HOOK, "includedResources": ["pods"], "excludedResources": ["nodes"]}]}},
    ],
)
def test_what_velero_would_find_is_let_through(spec):
    assert noted(**spec) == []


def test_where_a_group_does_not_answer_nothing_is_refused_and_the_doubt_is_told():
    ((code, pointer, detail),) = noted(Around(DOUBTFUL), includedResources=["volumesnapshots", "pods", "podz"])
    assert (code, pointer) == ("KindsUncertain", "/spec/includedResources")
    assert "volumesnapshots, podz" in detail
    assert "HTTP 503" in detail
    code, _, detail = refused(Around(DOUBTFUL), includedResources=["volumesnapshots", "things.of.another"])
    assert code == "KindUnknown"
    assert "volumesnapshots" not in detail
    ((code, pointer, _),) = noted(Around(DOUBTFUL), orderedResources={"things": "a/b"})
    assert (code, pointer) == ("KindsUncertain", "/spec/orderedResources")


def test_thousands_of_unknown_kinds_still_fit_into_a_message():
    names = [f"{'k' * 200}{n}" for n in range(1000)]
    ((_, _, detail),) = noted(excludedResources=names)
    assert len(detail) < 10_000
    assert "and 980 more" in detail
    assert len(refused(includedResources=names)[2]) < 10_000
    ((_, _, detail),) = noted(Around(DOUBTFUL), includedResources=names)
    assert len(detail) < 10_000


def test_moving_snapshots_needs_snapshots_and_somebody_to_move_them():
    moving = {"snapshotMoveData": True}
    assert kinds_needed(order(**moving)) == ["volumesnapshots.snapshot.storage.k8s.io"]
    assert wants_node_agent(order(**moving))
    assert noted(Around(CSI, node_agent=True), **moving) == []
    assert refused(Around(PLAIN, node_agent=True), **moving)[:2] == ("SnapshotsUnsupported", "/spec/snapshotMoveData")
    assert refused(Around(CSI, node_agent=False), **moving)[:2] == ("NodeAgentMissing", "/spec/snapshotMoveData")
    assert [n[:2] for n in noted(Around(DOUBTFUL, node_agent=True), **moving)] == [("KindsUncertain", "/spec/snapshotMoveData")]
    assert noted(Around(PLAIN), snapshotMoveData=False) == []


def test_copying_files_without_a_node_agent_is_noted_because_there_may_be_no_volume():
    copying = {"defaultVolumesToFsBackup": True}
    assert wants_node_agent(order(**copying))
    assert [n[:2] for n in noted(Around(node_agent=False), **copying)] == [
        ("NodeAgentMissing", "/spec/defaultVolumesToFsBackup")
    ]
    assert noted(Around(node_agent=True), **copying) == []
    assert noted(Around(node_agent=None), **copying) == [], "what is not known is not said"


def test_volume_groups_without_their_kind_are_noted():
    grouped = {"volumeGroupSnapshotLabelKey": "app.kubernetes.io/name"}
    assert [n[:2] for n in noted(**grouped)] == [("VolumeGroupsUnsupported", "/spec/volumeGroupSnapshotLabelKey")]
    assert noted(Around(CSI), **grouped) == noted(Around(DOUBTFUL), **grouped) == []


def test_a_resource_policy_has_to_be_there_and_to_be_one():
    wanted = {"resourcePolicy": {"name": "rules"}}
    assert noted(Around(policy=Policy()), **wanted) == []
    assert refused(Around(policy=None), **wanted)[:2] == ("ResourcePolicyUnknown", "/spec/resourcePolicy/name")
    code, pointer, detail = refused(Around(policy=Policy("version must be v1")), **wanted)
    assert (code, pointer) == ("ResourcePolicyInvalid", "/spec/resourcePolicy")
    assert "version must be v1" in detail


@pytest.mark.parametrize(
    ("old", "clashes"),
    [
        ({"includedResources": ["pods"]}, True),
        ({"excludedResources": ["pods"]}, True),
        ({"includeClusterResources": False}, True),
        ({"includedNamespaceScopedResources": ["pods"]}, False),
    ],
)
def test_a_policy_that_chooses_resources_does_not_stand_beside_the_old_filters(old, clashes):
    choosing = Around(PLAIN, policy=Policy(filters=("includeExcludePolicy",)))
    wanted = {"resourcePolicy": {"name": "rules"}, **old}
    assert noted(Around(PLAIN, policy=Policy()), **wanted) == []
    if clashes:
        assert next(iter(old)) in refused(choosing, **wanted)[2]
    else:
        assert noted(choosing, **wanted) == []


def test_a_silent_velero_is_told_of_with_the_time_since_when():
    ((code, _, detail),) = noted(Around(velero=Answer(answered_at=NOW, problem="no answer")))
    assert code == "VeleroSilent"
    assert "2026-11-22T12:00:00+00:00" in detail
    ((_, _, detail),) = noted(Around(velero=Answer(problem="no answer")))
    assert "since the first time" in detail
    assert noted(Around(velero=Answer(answered_at=NOW))) == noted(Around(velero=Answer())) == []
