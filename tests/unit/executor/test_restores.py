"""The Restore that is built from a command, and what is judged before: every field of Velero's, overlaps, what is no backup."""

import json
import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.executor.backups.choices import NotYet, Refused
from services.executor.manifests import modifiers, owned_by, restore, restore_ids_of
from services.executor.restores.judging import Around, Running, check_backup, check_location, judge, targets
from shared.contracts import ids
from simulator.cluster import SimulatedCluster
from tests.contract.fields import Json
from tests.support.messages import NIGHTLY, NOW, restore_command
from tests.support.restore_schema import leaves

SELECTOR = {"matchLabels": {"a.b/c": "d"}, "matchExpressions": [{"key": "tier", "operator": "In", "values": ["web"]}]}
EXEC = {
    "container": "main",
    "command": ["/bin/true"],
    "onError": "Continue",
    "execTimeout": "1m",
    "waitTimeout": "2m",
    "waitForReady": True,
}
FULL: Json = {
    "includedNamespaces": ["shop"],
    "excludedNamespaces": ["cart"],
    "includedResources": ["pods", "widgets.example.com"],
    "excludedResources": ["secrets"],
    "includeClusterResources": False,
    "labelSelector": SELECTOR,
    "namespaceMapping": {"shop": "copy"},
    "restorePVs": False,
    "existingResourcePolicy": "update",
    "preserveNodePorts": False,
    "restoreStatus": {"includedResources": ["jobs"], "excludedResources": ["pods"]},
    "hooks": {
        "resources": [
            {
                "name": "after",
                "includedNamespaces": ["shop"],
                "excludedNamespaces": ["cart"],
                "includedResources": ["pods"],
                "excludedResources": ["jobs"],
                "labelSelector": SELECTOR,
                "postHooks": [
                    {"exec": EXEC},
                    {"init": {"initContainers": [{"name": "wait", "image": "x", "env": [{"name": "A"}]}], "timeout": "5m"}},
                ],
            }
        ]
    },
    "resourceModifier": {"kind": "configmap", "name": "rules"},
    "uploaderConfig": {"writeSparseFiles": True, "parallelFilesDownload": 4},
    "itemOperationTimeout": "90m",
}
OTHER: Json = {"orLabelSelectors": [SELECTOR]}
NOT_ASKED_FOR = {"backupName", "scheduleName", "resourceModifier.apiGroup"}


def build(spec=None, **more):
    return restore(restore_command("op1", spec=spec, **more), "velero")


def filled(value, path=""):
    """Every path of a spec that ends in something."""
    if isinstance(value, dict) and value and not path.endswith(("matchLabels", "namespaceMapping", "initContainers[]")):
        return {leaf for key, part in value.items() for leaf in filled(part, f"{path}.{key}" if path else key)}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {leaf for part in value for leaf in filled(part, f"{path}[]")}
    return {path}


def test_every_field_that_velero_has_reaches_the_restore_as_it_was_asked_for():
    store = SimulatedCluster("eu1").store
    reached = set()
    for name, spec in {"full": FULL, "other": OTHER}.items():
        made = store.create("restores", build(spec, name=name), "velero", strict=True)
        told = dict(made["spec"])
        assert told.pop("backupName") == "b"
        assert told == {"itemOperationTimeout": "72h", **spec}
        reached |= filled(made["spec"])
    assert set(leaves()) - reached == NOT_ASKED_FOR - {"backupName"}


def test_what_is_left_open_is_left_out_but_for_a_status_of_every_kind():
    assert build()["spec"] == {"backupName": "b", "itemOperationTimeout": "72h"}
    assert "status" not in build()
    assert "null" not in json.dumps(build(FULL))
    assert build({"restoreStatus": {}})["spec"]["restoreStatus"] == {"includedResources": [], "excludedResources": []}


def test_it_says_whose_it_is_and_what_it_is_from():
    made = build(labels={"team": "a"}, schedule=NIGHTLY, source={"cluster": "us1"})
    assert made["metadata"]["labels"] == {
        "team": "a",
        "leeward.dev/cluster": "eu1",
        "leeward.dev/operation-id": "op1",
        "leeward.dev/backup-id": "op-b",
        "leeward.dev/backup-cluster": "us1",
        "leeward.dev/schedule-id": NIGHTLY.id,
        "velero.io/schedule-name": "nightly",
    }
    assert "scheduleName" not in made["spec"], "Velero takes one source"


RULE = {"conditions": {"groupResource": "pods"}, "mergePatches": [{"patchData": "{}"}]}


def test_modifiers_are_a_config_map_with_one_key_that_says_nothing_empty():
    command = restore_command("op1", modifiers={"resourceModifierRules": [RULE]})
    made = modifiers(command, "velero")
    assert made["metadata"]["name"] == "leeward-modifiers-op1"
    (text,) = made["data"].values()
    assert json.loads(text) == {"version": "v1", "resourceModifierRules": [RULE]}
    assert restore(command, "velero")["spec"]["resourceModifier"] == {"kind": "configmap", "name": "leeward-modifiers-op1"}
    (owner,) = owned_by({"metadata": {"name": "back", "uid": "u1"}})["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Restore", "back", "u1")
    with pytest.raises(ValueError, match="without modifiers"):
        modifiers(restore_command("op1"), "velero")


def test_a_restore_is_known_by_its_operation_here_and_by_its_uid_anywhere():
    made = build()
    made["metadata"]["uid"] = "u1"
    known = ids.restore_id("eu1", "velero", "back", "u1")
    assert restore_ids_of(made, "eu1") == {known, "op1"}
    assert "op1" not in restore_ids_of(made, "us1")
    made["metadata"]["name"] = "another"
    assert "op1" not in restore_ids_of(made, "eu1"), "a copy"


# ---------------------------------------------------------------------- what is judged


def backup(phase="Completed", *, spec=None, **status):
    told = {"storageLocation": "default", **(spec or {})}
    return {"metadata": {"name": "b"}, "spec": told, "status": {"phase": phase, **status}}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (backup("Completed"), None),
        (backup("PartiallyFailed"), None),
        (backup(expiration=(NOW + timedelta(seconds=1)).isoformat()), None),
        (backup(expiration="soon"), None),
        (backup(expiration=NOW.isoformat()), "expired at 2026-11-22T12:00:00Z"),
        (backup("Failed"), "is Failed"),
        (backup("FailedValidation"), "is FailedValidation"),
        (backup("Deleting"), "being deleted"),
        (backup("InProgress"), "has not ended, but is InProgress"),
        (backup(""), "has not ended, but is New"),
        (backup("FromTheFuture"), "has not ended, but is FromTheFuture"),
        ({**backup(), "metadata": {"name": "b", "deletionTimestamp": "x"}}, "being deleted"),
    ],
)
def test_only_what_has_ended_well_enough_and_is_kept_is_restored(found, words):
    order = restore_command("op1").data
    if words is None:
        check_backup(order, found, NOW)
        return
    with pytest.raises(Refused, match=re.escape(words)):
        check_backup(order, found, NOW)


def test_a_namespace_must_be_in_the_backup_where_that_is_known():
    order = restore_command("op1", spec={"includedNamespaces": ["shop"], "namespaceMapping": {"shop": "x"}}).data
    for spec in ({}, {"includedNamespaces": ["*"]}, {"includedNamespaces": ["sh*"]}, {"includedNamespaces": ["shop", "a"]}):
        check_backup(order, backup(spec=spec), NOW)
    for spec in ({"includedNamespaces": ["a"]}, {"includedNamespaces": ["shop"], "excludedNamespaces": ["shop"]}):
        with pytest.raises(Refused, match="does not hold namespace shop"):
            check_backup(order, backup(spec=spec), NOW)


def place(phase="Available", **annotations):
    return {"metadata": {"name": "default", "annotations": annotations}, "status": {"phase": phase, "message": "no bucket"}}


def test_the_location_must_be_there_and_readable():
    check_location("eu1", backup(), [place()])
    with pytest.raises(Refused, match="no storage location default"):
        check_location("eu1", backup(), [])
    with pytest.raises(Refused, match="no bucket"):
        check_location("eu1", backup(), [place("Unavailable")])
    for unready in (place(""), place(**{"leeward.dev/leaving": "true"})):
        with pytest.raises(NotYet):
            check_location("eu1", backup(), [unready])


NAMES = st.sets(st.sampled_from("abc"), max_size=3)
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "includedNamespaces": NAMES.map(sorted),
        "excludedNamespaces": NAMES.map(sorted),
        "namespaceMapping": st.dictionaries(st.sampled_from("abc"), st.sampled_from("abcd"), max_size=2),
    },
)
BACKUPS = st.one_of(st.none(), st.builds(lambda spec: backup(spec=spec), SPECS.map(lambda s: {**s, "namespaceMapping": None})))


def goes_into(spec, made_of, universe="abcd"):
    """Where a restore brings something, by trying every namespace there may be."""
    held = (made_of or {}).get("spec") or {}
    found = set()
    for name in universe:
        in_backup = name in (held.get("includedNamespaces") or universe) and name not in (held.get("excludedNamespaces") or ())
        chosen = name in (spec.get("includedNamespaces") or universe) and name not in (spec.get("excludedNamespaces") or ())
        if chosen and (in_backup or made_of is None):
            found.add((spec.get("namespaceMapping") or {}).get(name, name))
    return found


@given(SPECS, BACKUPS)
def test_nothing_is_brought_into_a_namespace_that_was_not_told(spec, made_of):
    told = targets(spec, made_of)
    assert told is None or goes_into(spec, made_of) <= told


@given(SPECS, SPECS, BACKUPS, BACKUPS)
def test_two_restores_that_meet_in_a_namespace_are_never_both_made(one, other, first, second):
    running = {"metadata": {"name": "other"}, "spec": other}
    mapping = one.get("namespaceMapping") or {}
    allowed = one.get("includedNamespaces") or "abc"
    kept = {k: v for k, v in mapping.items() if k in allowed and k not in (one.get("excludedNamespaces") or ())}
    if len(set(kept.values())) < len(kept) or set(one.get("includedNamespaces") or ()) & set(
        one.get("excludedNamespaces") or ()
    ):
        return  # no request can say so
    command = restore_command("op1", spec={**one, "namespaceMapping": kept})
    meet = goes_into({**one, "namespaceMapping": kept}, first) & goes_into(other, second)
    if not meet:
        return
    with pytest.raises(Refused) as no:
        judge(command, first, Around(running=[Running(running, second)]))
    assert no.value.refusal.code == "RestoreOverlap"


def test_restores_into_different_namespaces_do_not_disturb_each_other():
    wanted = restore_command("op1", spec={"namespaceMapping": {"shop": "copy"}})
    made_of = backup(spec={"includedNamespaces": ["shop"]})
    running = Running({"metadata": {"name": "other"}, "spec": {"includedNamespaces": ["shop"]}}, None)
    assert judge(wanted, made_of, Around(running=[running])) == []
    own = build()
    assert judge(restore_command("op1"), made_of, Around(running=[Running(own, made_of)])) == [], "it is its own"


def test_kinds_that_the_cluster_does_not_have_are_noted():
    spec = {
        "includedResources": ["widgets", "*"],
        "excludedResources": ["gadgets"],
        "restoreStatus": {"includedResources": ["x"]},
    }
    found = judge(restore_command("op1", spec={**spec, "includedResources": ["widgets"]}), None, Around())
    assert [(n.code, n.pointer) for n in found] == [
        ("KindsUncertain", f"/spec/{field}")
        for field in ("includedResources", "excludedResources", "restoreStatus/includedResources")
    ]


FLAWS = {
    "two keys": ({"a": "", "b": ""}, "exactly one key"),
    "no YAML": ({"a": "{"}, "not YAML"),
    "no version": ({"a": "resourceModifierRules: [x]"}, "version: v1"),
    "no rules": ({"a": "version: v1"}, "no resourceModifierRules"),
}


@pytest.mark.parametrize(("data", "words"), FLAWS.values(), ids=FLAWS.keys())
def test_a_config_map_that_holds_no_modifiers_is_refused(data, words):
    command = restore_command("op1", spec={"resourceModifier": {"name": "rules"}})
    with pytest.raises(Refused, match=words):
        judge(command, None, Around(modifier={"data": data}))
    good = {"data": {"a": "version: v1\nresourceModifierRules:\n- conditions: {groupResource: pods}\n"}}
    assert judge(command, None, Around(modifier=good)) == []
