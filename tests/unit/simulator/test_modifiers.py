"""Resource modifiers: which objects a rule is about, and what its patches do."""

import pytest
import yaml

from simulator.velero.modifiers import BadModifiers, modify, read_rules

DOCUMENT = {
    "metadata": {"name": "web", "namespace": "shop", "labels": {"tier": "front"}},
    "spec": {"replicas": 3, "list": ["a", "b"]},
}


def rules(*given, version="v1", keys=1):
    text = yaml.safe_dump({"version": version, "resourceModifierRules": list(given)})
    return read_rules({"metadata": {"name": "rules"}, "data": {f"key-{number}": text for number in range(keys)}})


def patched(*patches):
    rule = {"conditions": {"groupResource": "deployments.apps"}, "patches": list(patches)}
    return modify(rules(rule), "deployments.apps", DOCUMENT)


@pytest.mark.parametrize(
    ("patch", "spec"),
    [
        ({"operation": "replace", "path": "/spec/replicas", "value": "1"}, {"replicas": 1, "list": ["a", "b"]}),
        ({"operation": "replace", "path": "/spec/replicas", "value": '"1"'}, {"replicas": "1", "list": ["a", "b"]}),
        ({"operation": "remove", "path": "/spec/list/0"}, {"replicas": 3, "list": ["b"]}),
        ({"operation": "add", "path": "/spec/list/-", "value": "c"}, {"replicas": 3, "list": ["a", "b", "c"]}),
        ({"operation": "add", "path": "/spec/list/0", "value": "c"}, {"replicas": 3, "list": ["c", "a", "b"]}),
        ({"operation": "add", "path": "/spec/a~1b", "value": "{}"}, {"replicas": 3, "list": ["a", "b"], "a/b": {}}),
        ({"operation": "copy", "from": "/spec/replicas", "path": "/spec/n"}, {"replicas": 3, "list": ["a", "b"], "n": 3}),
        ({"operation": "move", "from": "/spec/replicas", "path": "/spec/n"}, {"list": ["a", "b"], "n": 3}),
        ({"operation": "test", "path": "/spec/replicas", "value": "3"}, {"replicas": 3, "list": ["a", "b"]}),
    ],
)
def test_json_patches(patch, spec):
    changed, problems = patched(patch)
    assert (changed["spec"], problems) == (spec, [])
    assert DOCUMENT["spec"] == {"replicas": 3, "list": ["a", "b"]}


@pytest.mark.parametrize(
    "patch",
    [
        {"operation": "remove", "path": "/spec/none"},
        {"operation": "add", "path": "/none/deep", "value": "1"},
    ],
)
def test_a_patch_that_does_not_fit_is_told_and_changes_nothing(patch):
    changed, problems = patched(patch)
    assert changed == DOCUMENT
    assert len(problems) == 1


def test_a_test_that_fails_leaves_the_object_as_it_was_without_a_word():
    first = {"operation": "replace", "path": "/spec/replicas", "value": "1"}
    assert patched(first, {"operation": "test", "path": "/spec/replicas", "value": "4"}) == (DOCUMENT, [])


def test_a_pattern_that_is_none_is_told_of_each_object_that_it_is_for():
    rule = {
        "conditions": {"groupResource": "deployments.apps", "resourceNameRegex": "("},
        "patches": [{"operation": "remove", "path": "/spec"}],
    }
    changed, problems = modify(rules(rule), "deployments.apps", DOCUMENT)
    assert (changed, len(problems)) == (DOCUMENT, 1)
    assert modify(rules(rule), "pods", DOCUMENT) == (DOCUMENT, [])


@pytest.mark.parametrize(
    ("conditions", "concerned"),
    [
        ({}, True),
        ({"groupResource": "*"}, True),
        ({"groupResource": "*.apps"}, True),
        ({"groupResource": "pods"}, False),
        ({"resourceNameRegex": "^w.b$"}, True),
        ({"resourceNameRegex": "^x"}, False),
        ({"namespaces": ["shop", "cart"]}, True),
        ({"namespaces": ["cart"]}, False),
        ({"labelSelector": {"matchLabels": {"tier": "front"}}}, True),
        ({"labelSelector": {"matchLabels": {"tier": "back"}}}, False),
        ({"matches": [{"path": "/spec/replicas", "value": "3"}]}, True),
        ({"matches": [{"path": "/spec/replicas", "value": "4"}]}, False),
    ],
)
def test_conditions(conditions, concerned):
    rule = {
        "conditions": {"groupResource": "deployments.apps", **conditions},
        "mergePatches": [{"patchData": "spec: {new: yes}"}],
    }
    changed, _ = modify(rules(rule), "deployments.apps", DOCUMENT)
    assert ("new" in changed["spec"]) is concerned


@pytest.mark.parametrize(
    "read",
    [
        lambda: rules(version="v2"),
        lambda: rules(keys=2),
        lambda: rules({"patches": []}),
        lambda: rules({"conditions": {"groupResource": "pods"}, "patches": [{"operation": "paint", "path": "/a"}]}),
        lambda: rules({"conditions": {"groupResource": "pods", "moon": "full"}}),
        rules,
        lambda: read_rules({"metadata": {"name": "rules"}, "data": {"a": "{"}}),
        lambda: read_rules({"metadata": {"name": "rules"}, "data": {"a": "text"}}),
    ],
)
def test_what_holds_no_rules_is_refused(read):
    with pytest.raises(BadModifiers):
        read()
