"""What a backup is to hold, by its spec."""

import pytest

from simulator import SimulatedCluster
from simulator.kinds import default_kinds
from simulator.velero.items import collect, pack_archive, related, resource_list, unpack_archive
from simulator.velero.selection import ResourceFilter, labels_match, mixes_filters, namespaces_of
from simulator.velero.validation import list_problems, namespace_problems, scoped_list_problems

EXISTING = ["bank", "shop-a", "shop-b", "velero"]


@pytest.mark.parametrize(
    ("spec", "chosen"),
    [
        ({}, EXISTING),
        ({"includedNamespaces": ["*"]}, EXISTING),
        ({"includedNamespaces": ["shop-*"]}, ["shop-a", "shop-b"]),
        ({"includedNamespaces": ["shop-[b]", "bank"]}, ["bank", "shop-b"]),
        ({"includedNamespaces": ["shop-?"], "excludedNamespaces": ["shop-a"]}, ["shop-b"]),
        ({"excludedNamespaces": ["shop-*"]}, ["bank", "velero"]),
        ({"includedNamespaces": ["ghost"]}, []),
    ],
)
def test_namespaces_are_chosen_by_names_and_patterns(spec, chosen):
    assert namespaces_of(spec, EXISTING) == chosen


@pytest.mark.parametrize(
    ("spec", "kinds"),
    [
        # Nothing is limited: everything, the cluster's objects too.
        ({}, {"configmaps", "deployments.apps", "persistentvolumes", "namespaces", "nodes"}),
        # One namespace: of the cluster's objects only the namespace.
        ({"includedNamespaces": ["shop"]}, {"configmaps", "deployments.apps", "namespaces"}),
        ({"includedNamespaces": ["shop"], "includedResources": ["cm", "deploy"]}, {"configmaps", "deployments.apps"}),
        ({"includedNamespaces": ["shop"], "excludedResources": ["configmaps"]}, {"deployments.apps", "namespaces"}),
        ({"includedNamespaces": ["shop"], "includeClusterResources": True},
         {"configmaps", "deployments.apps", "persistentvolumes", "namespaces", "nodes"}),
        ({"includeClusterResources": False}, {"configmaps", "deployments.apps"}),
        ({"includedNamespaces": ["shop"], "includedClusterScopedResources": ["nodes"]},
         {"configmaps", "deployments.apps", "namespaces", "nodes"}),
        ({"includedNamespaceScopedResources": ["deployments.apps"]}, {"deployments.apps", "namespaces"}),
        ({"excludedNamespaceScopedResources": ["*"], "excludedClusterScopedResources": ["*"]}, set()),
        # What Velero adds itself limits nothing.
        ({"excludedClusterScopedResources": ["volumesnapshotcontents.snapshot.storage.k8s.io"],
          "excludedNamespaceScopedResources": ["volumesnapshots.snapshot.storage.k8s.io"]},
         {"configmaps", "deployments.apps", "persistentvolumes", "namespaces", "nodes"}),
    ],
)  # fmt: skip
def test_kinds_are_chosen_by_either_way_of_naming_them(spec, kinds):
    table = default_kinds()
    wanted = ResourceFilter(spec, table)
    looked_at = ("configmaps", "deployments.apps", "persistentvolumes", "namespaces", "nodes")
    assert {name for name in looked_at if wanted.takes(table.named(name))} == kinds


def test_the_two_ways_do_not_mix():
    assert mixes_filters({"includeClusterResources": False, "excludedNamespaceScopedResources": ["pods"]})
    assert not mixes_filters({"includedResources": ["pods"], "excludedResources": ["secrets"]})


@pytest.mark.parametrize(
    ("spec", "matches"),
    [
        ({}, True),
        ({"labelSelector": {"matchLabels": {"app": "web"}}}, True),
        ({"labelSelector": {"matchLabels": {"app": "web", "tier": "x"}}}, False),
        ({"labelSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "api"]}]}}, True),
        ({"labelSelector": {"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}}, False),
        ({"labelSelector": {"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["a"]}]}}, True),
        ({"orLabelSelectors": [{"matchLabels": {"app": "api"}}, {"matchLabels": {"app": "web"}}]}, True),
    ],
)
def test_objects_are_chosen_by_their_labels(spec, matches):
    assert labels_match(spec, {"app": "web"}) is matches


@pytest.fixture
def store():
    store = SimulatedCluster("eu1", namespaces={"shop": {"team": "a"}, "bank": {}}).store
    for name, labels in (("web", {"app": "web"}), ("secret", {"velero.io/exclude-from-backup": "true"}), ("plain", {})):
        store.create("configmaps", {"metadata": {"name": name, "labels": labels}}, "shop")
    store.create("persistentvolumes", {"metadata": {"name": "pv-1"}, "spec": {}})
    store.create("persistentvolumeclaims", {"metadata": {"name": "data"}, "spec": {"volumeName": "pv-1"}}, "shop")
    return store


def complaints(found):
    return lambda message, **fields: found.append((message, fields.get("namespace")))


def test_a_backup_of_a_namespace_brings_the_volume_of_its_claim(store):
    spec = {"includedNamespaces": ["shop"]}
    items = collect(store, spec, complaints([]))
    assert resource_list([*items, *related(store, spec, items)]) == {
        "v1/ConfigMap": ["shop/plain", "shop/web"],
        "v1/Namespace": ["shop"],
        "v1/PersistentVolume": ["pv-1"],
        "v1/PersistentVolumeClaim": ["shop/data"],
    }
    assert related(store, spec | {"includeClusterResources": False}, items) == []


def test_a_selector_with_an_operator_that_there_is_not_cannot_be_listed(store):
    found = []
    spec = {"includedNamespaces": ["shop"], "labelSelector": {"matchExpressions": [{"key": "a", "operator": "Like"}]}}
    items = collect(store, spec, complaints(found))
    assert resource_list(items) == {"v1/Namespace": ["shop"]}
    assert set(found) == {("Error listing items", "shop")}


def test_with_a_label_selector_only_namespaces_with_something_in_them_are_stored(store):
    items = collect(store, {"labelSelector": {"matchLabels": {"app": "web"}}}, complaints([]))
    assert resource_list(items) == {"v1/ConfigMap": ["shop/web"], "v1/Namespace": ["shop"]}


def test_objects_are_stored_in_the_order_that_was_asked_for(store):
    items = collect(
        store, {"includedNamespaces": ["shop"], "orderedResources": {"configmaps": "shop/web,shop/plain"}}, complaints([])
    )
    assert [item.name for item in items if item.kind.plural == "configmaps"] == ["web", "plain"]


def test_a_namespace_that_is_named_but_not_there_is_complained_of(store):
    found = []
    collect(store, {"includedNamespaces": ["ghost", "none-*"]}, complaints(found))
    assert found == [("fail to get the namespace ghost specified in backup.Spec.IncludedNamespaces", None)]


def test_an_archive_gives_back_what_was_put_into_it(store):
    items = collect(store, {"includedNamespaces": ["shop"]}, complaints([]))
    found = unpack_archive(pack_archive(items))
    assert found["configmaps"]["shop", "web"]["metadata"]["labels"] == {"app": "web"}
    assert found["namespaces"]["", "shop"]["metadata"]["name"] == "shop"
    assert sum(len(objects) for objects in found.values()) == len(items)


def test_lists_are_judged_in_the_words_of_velero():
    assert list(list_problems(["*", "pods"], [])) == [
        "includes list must either contain '*' only, or a non-empty list of items"
    ]
    assert list(list_problems([], ["*"])) == ["excludes list cannot contain '*'"]
    assert list(scoped_list_problems(["pods"], ["*"])) == ["when exclude is '*', include cannot have value"]
    assert list(namespace_problems(["a"], ["a"])) == ["excludes list cannot contain an item in the includes list: a"]
    assert list(namespace_problems(["shop-*", "team-[ab]"], [])) == []
    doubled = "wildcard pattern contains consecutive asterisks (only single * allowed)"
    assert list(namespace_problems(["shop**"], [])) == [doubled]
    assert next(namespace_problems(["Shop"], [])).startswith('invalid namespace "Shop": a lowercase RFC 1123 label')
