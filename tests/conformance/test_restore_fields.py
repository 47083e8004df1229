"""What each field of a Restore does."""

import json
from functools import partial
from typing import Any

import pytest

from tests.conformance.manifests import Json, of_core, unique
from tests.conformance.stage import Cluster
from tests.conformance.story import phase_of

PORT = 31817
"""A node port that nothing else asks for."""
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
POD = {"containers": [{"name": "main", "image": "example.invalid/main"}]}


def copied(cluster: Cluster, items: list[Json], spec: Json) -> tuple[str, str, Json]:
    """Back a namespace with these objects up and restore it into another one: that one, the Restore's name, and itself.

    In the spec `{copy}` stands for the other one.
    """
    namespace, name = cluster.furnish("fields"), unique("fields")
    for item in items:
        placed = item | {"metadata": item["metadata"] | {"namespace": namespace}}
        # A Pod is refused until its namespace has a service account.
        cluster.eventually("an object", partial(cluster.api.create, placed))
    assert phase_of(cluster.back_up(name, includedNamespaces=[namespace])) == "Completed"
    copy, restore = f"{namespace}-copy", unique("fields")
    made = cluster.restore(restore, backupName=name, namespaceMapping={namespace: copy}, **put(spec, "{copy}", copy))
    return copy, restore, made


def put(value: Any, mark: str, name: str) -> Any:
    """A spec in which a name stands for a mark."""
    if isinstance(value, dict):
        return {key: put(each, mark, name) for key, each in value.items()}
    if isinstance(value, list):
        return [put(each, mark, name) for each in value]
    return name if value == mark else value


def door(cluster: Cluster, namespace: str, *, explicit: bool) -> int:
    """Make a Service that is open on every node; returns the port, which is as good as assigned unless it is explicit."""
    port: Json = {"name": "http", "port": 80, "protocol": "TCP", "targetPort": 80}
    spec: Json = {"type": "NodePort", "selector": {"app": "door"}, "ports": [port]}
    metadata = {}
    if explicit:
        port["nodePort"] = PORT
        metadata = {"annotations": {LAST_APPLIED: json.dumps({"spec": spec})}}
    made = cluster.create_core("Service", "door", namespace, metadata=metadata, spec=spec)
    if not made["spec"]["ports"][0].get("nodePort"):
        made = cluster.api.patch(
            f"/api/v1/namespaces/{namespace}/services/door", {"spec": {"ports": [port | {"nodePort": PORT}]}}
        )
    return int(made["spec"]["ports"][0]["nodePort"])


@pytest.mark.parametrize(
    ("preserve", "explicit", "kept"),
    [(True, False, True), (False, False, False), (None, False, False), (None, True, True), (False, True, True)],
    ids=["asked", "declined", "unsaid", "explicit", "explicit-and-declined"],
)
def test_node_ports(fragile: Cluster, preserve: bool | None, explicit: bool, kept: bool) -> None:
    """A Service keeps its port on every node if preserveNodePorts says so, or whoever applied it; else it gets another one."""
    namespace, name = fragile.furnish("ports"), unique("ports")
    path = f"/api/v1/namespaces/{namespace}/services/door"
    before = door(fragile, namespace, explicit=explicit)
    fragile.back_up(name, includedNamespaces=[namespace])
    fragile.api.delete(path)
    fragile.eventually("the Service to be gone", lambda: not fragile.has(path))
    asked = {} if preserve is None else {"preserveNodePorts": preserve}
    restore = fragile.restore(unique("ports"), backupName=name, **asked)
    (port,) = fragile.api.get(path)["spec"]["ports"]
    fragile.api.delete(path)

    assert phase_of(restore) == "Completed"
    assert (port.get("nodePort") == before) is kept


@pytest.mark.parametrize(
    ("asked", "comes"),
    [
        ({}, False),
        ({"restoreStatus": {}}, True),
        ({"restoreStatus": {"includedResources": ["services"]}}, True),
        ({"restoreStatus": {"includedResources": ["pods"]}}, False),
        ({"restoreStatus": {"includedResources": ["*"], "excludedResources": ["services"]}}, False),
    ],
    ids=["none", "all", "included", "others", "excluded"],
)
def test_status(fragile: Cluster, asked: Json, comes: bool) -> None:
    """The status of an object comes back only where restoreStatus asks for its kind; an empty one asks for all."""
    namespace, name = fragile.furnish("status"), unique("status")
    item = of_core(
        "Service", "balanced", namespace, spec={"type": "LoadBalancer", "ports": [{"port": 80}], "selector": {"a": "b"}}
    )
    fragile.api.create(item)
    status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.7", "ipMode": "VIP"}]}}
    fragile.api.patch(f"/api/v1/namespaces/{namespace}/services/balanced/status", {"status": status})
    fragile.back_up(name, includedNamespaces=[namespace])
    restore = fragile.restore(unique("status"), backupName=name, namespaceMapping={namespace: f"{namespace}-copy"}, **asked)
    found = fragile.api.get(f"/api/v1/namespaces/{namespace}-copy/services/balanced")["status"]

    assert phase_of(restore) == "Completed"
    assert (found == status) is comes, found


SOME = {"includedNamespaces": ["{namespace}"]}


@pytest.mark.parametrize(
    ("asked", "comes"),
    [
        ({}, True),
        ({"includeClusterResources": True}, True),
        ({"includeClusterResources": False}, False),
        (SOME, False),
        ({**SOME, "includeClusterResources": True}, True),
    ],
    ids=["unsaid", "true", "false", "some-namespaces", "some-namespaces-and-true"],
)
def test_cluster_resources(fragile: Cluster, asked: Json, comes: bool) -> None:
    """What has no namespace comes back if all namespaces are restored, or includeClusterResources says so."""
    namespace, name, role = fragile.furnish("scoped"), unique("scoped"), unique("scoped")
    path = f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{role}"
    meta = {"name": role, "labels": {"app": role}}
    fragile.api.create({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": meta, "rules": []})
    selector = {"matchExpressions": [{"key": "app", "operator": "In", "values": [role, "paint"]}]}
    fragile.back_up(name, includedNamespaces=[namespace], includeClusterResources=True, labelSelector=selector)
    fragile.api.delete(path)
    restore = fragile.restore(unique("scoped"), backupName=name, **put(asked, "{namespace}", namespace))

    assert phase_of(restore) == "Completed"
    assert fragile.has(path) is comes


def test_uploader_config(fragile: Cluster) -> None:
    """How files are brought back is kept in the spec as it was asked."""
    asked = {"writeSparseFiles": True, "parallelFilesDownload": 4}
    _, _, restore = copied(fragile, [], {"uploaderConfig": asked})

    assert phase_of(restore) == "Completed"
    assert restore["spec"]["uploaderConfig"] == asked


def test_init_hook(fragile: Cluster) -> None:
    """An init hook puts its containers before those of the Pods that it is for, by the namespace that they are restored to."""
    first = {"name": "first", "image": "example.invalid/first", "command": ["true"]}
    own = {"initContainers": [{"name": "own", "image": "example.invalid/own"}]}
    resource = {
        "name": "prepare",
        "includedNamespaces": ["{copy}"],
        "labelSelector": {"matchLabels": {"app": "a"}},
        "postHooks": [{"init": {"timeout": "1m0s", "initContainers": [first]}}],
    }
    pods = [
        of_core("Pod", "chosen", metadata={"labels": {"app": "a"}}, spec=POD | own),
        of_core("Pod", "other", metadata={"labels": {"app": "b"}}, spec=POD),
    ]
    copy, _, restore = copied(fragile, pods, {"hooks": {"resources": [resource]}})
    found = {name: fragile.api.get(f"/api/v1/namespaces/{copy}/pods/{name}")["spec"] for name in ("chosen", "other")}

    assert phase_of(restore) == "Completed", restore["status"]
    assert [each["name"] for each in found["chosen"]["initContainers"]] == ["first", "own"]
    assert "initContainers" not in found["other"]


@pytest.mark.parametrize("on_error", ["Fail", "Continue"])
def test_exec_hook(fragile: Cluster, on_error: str) -> None:
    """A command in a Pod that never runs is given up when its time is over: whatever onError says, it counts as an error."""
    run = {"exec": {"container": "main", "command": ["true"], "waitTimeout": "2s", "execTimeout": "2s", "onError": on_error}}
    resource = {"name": "after", "includedNamespaces": ["{copy}"], "postHooks": [run]}
    copy, name, restore = copied(fragile, [of_core("Pod", "still", spec=POD)], {"hooks": {"resources": [resource]}})
    why = f"hook after in container main in pod {copy}/still not executed: context deadline exceeded"

    assert (phase_of(restore), restore["status"]["errors"]) == ("PartiallyFailed", 1)
    assert restore["status"]["hookStatus"] == {"hooksAttempted": 1, "hooksFailed": 1}
    assert fragile.download_json("RestoreResults", name)["errors"] == {"namespaces": {copy: [why]}}


def test_hooks_of_the_source(fragile: Cluster) -> None:
    """A hook for the namespace of the backup is for nobody, where that is restored into another one."""
    run = {"exec": {"command": ["true"], "waitTimeout": "2s"}}
    namespace, name = fragile.furnish("hooked"), unique("hooked")
    fragile.eventually("a Pod", lambda: fragile.create_core("Pod", "still", namespace, spec=POD))
    fragile.back_up(name, includedNamespaces=[namespace])
    resource = {"name": "after", "includedNamespaces": [namespace], "postHooks": [run]}
    restore = fragile.restore(
        unique("hooked"), backupName=name, namespaceMapping={namespace: f"{namespace}-copy"}, hooks={"resources": [resource]}
    )

    assert phase_of(restore) == "Completed"
    assert restore["status"]["hookStatus"] == {}


@pytest.mark.parametrize("style", ["patches", "mergePatches", "strategicPatches"])
def test_modifiers(fragile: Cluster, style: str) -> None:
    """Rules change what is restored by a JSON patch, a merge patch or a strategic one, where all conditions and tests hold."""
    patch = {
        "patches": "[{operation: replace, path: /data/colour, value: blue}]",
        "mergePatches": '[{patchData: \'{"data": {"colour": "blue"}}\'}]',
    }
    patch["strategicPatches"] = patch["mergePatches"]
    namespace, name, modifier = fragile.furnish("modified"), unique("modified"), unique("modified")
    rules = f"""
version: v1
resourceModifierRules:
- conditions:
    groupResource: configmaps
    resourceNameRegex: "^paint$"
    namespaces: [{namespace}]
    labelSelector: {{matchLabels: {{app: paint}}}}
    matches: [{{path: /data/colour, value: green}}]
  {style}: {patch[style]}
- conditions: {{groupResource: configmaps, matches: [{{path: /data/colour, value: red}}]}}
  patches: [{{operation: add, path: /data/never, value: seen}}]
- conditions: {{groupResource: config*, resourceNameRegex: "^shape$"}}
  patches: [{{operation: add, path: /data/never, value: seen}}, {{operation: test, path: /data/corners, value: '"4"'}}]
"""
    fragile.create_core("ConfigMap", modifier, "velero", data={"rules.yaml": rules})
    fragile.back_up(name, includedNamespaces=[namespace])
    copy = f"{namespace}-copy"
    restore = fragile.restore(
        unique("modified"),
        backupName=name,
        namespaceMapping={namespace: copy},
        resourceModifier={"kind": "configmap", "name": modifier},
    )

    assert phase_of(restore) == "Completed"
    assert fragile.api.get(f"/api/v1/namespaces/{copy}/configmaps/paint")["data"] == {"colour": "blue"}
    assert fragile.api.get(f"/api/v1/namespaces/{copy}/configmaps/shape")["data"] == {"corners": "3"}
    assert fragile.api.get(f"/api/v1/namespaces/{namespace}/configmaps/paint")["data"] == {"colour": "green"}


def test_modifiers_by_a_pattern_that_is_none(fragile: Cluster) -> None:
    """A pattern that is none is found out only when it is to match: an error for each object of the kind, PartiallyFailed."""
    modifier = unique("unmatched")
    rule = "{conditions: {groupResource: secrets, resourceNameRegex: '['}, patches: [{operation: remove, path: /data}]}"
    fragile.create_core("ConfigMap", modifier, "velero", data={"rules": f"version: v1\nresourceModifierRules: [{rule}]\n"})
    copy, name, restore = copied(fragile, [], {"resourceModifier": {"kind": "configmap", "name": modifier}})
    (error,) = fragile.download_json("RestoreResults", name)["errors"]["namespaces"][copy]

    assert (phase_of(restore), restore["status"]["errors"]) == ("PartiallyFailed", 1)
    assert error.startswith("error in matching regex error parsing regexp: ")
