"""What a Restore brings back, and what it refuses to."""

from datetime import datetime
from typing import Any

import pytest

from tests.conformance.manifests import Json, unique
from tests.conformance.stage import Cluster
from tests.conformance.story import phase_of

ADDED_EXCLUSIONS = [
    "nodes", "events", "events.events.k8s.io", "backups.velero.io", "restores.velero.io", "resticrepositories.velero.io",
    "csinodes.storage.k8s.io", "volumeattachments.storage.k8s.io", "backuprepositories.velero.io",
]  # fmt: skip
SELECTOR = {"matchLabels": {"a": "b"}}
DIFFERS = (
    "could not restore, ConfigMap:paint already exists. Warning: the in-cluster version is different than the backed-up version"
)


def colour(cluster: Cluster, namespace: str) -> str:
    return str(cluster.api.get(f"/api/v1/namespaces/{namespace}/configmaps/paint")["data"]["colour"])


def repaint(cluster: Cluster, namespace: str, value: str) -> None:
    cluster.api.patch(f"/api/v1/namespaces/{namespace}/configmaps/paint", {"data": {"colour": value}})


def backed_up(cluster: Cluster, **metadata: Any) -> tuple[str, str]:
    """A namespace and a Backup of its labelled objects: what Kubernetes itself puts there would restore with a warning."""
    namespace, name = cluster.furnish("source"), unique("source")
    backup = cluster.back_up(
        name, metadata=metadata, includedNamespaces=[namespace],
        labelSelector={"matchExpressions": [{"key": "app", "operator": "Exists"}]},
    )  # fmt: skip
    assert phase_of(backup) == "Completed"
    return namespace, name


def test_phases(writer: Cluster) -> None:
    """A Restore goes from no phase to InProgress, Finalizing and Completed; first of all it gets a finalizer."""
    namespace, backup = backed_up(writer)
    name = unique("phases")
    story = writer.story("restores", name)
    writer.create("Restore", name, spec={"backupName": backup, "namespaceMapping": {namespace: f"{namespace}-copy"}})
    restore = story.until_final()

    assert story.phases == ["", "InProgress", "Finalizing", "Completed"]
    assert story.events[1]["object"]["metadata"]["finalizers"] == ["restores.velero.io/external-resources-finalizer"]
    assert phase_of(story.events[1]["object"]) == ""
    assert restore["spec"] == {
        "backupName": backup,
        "namespaceMapping": {namespace: f"{namespace}-copy"},
        "excludedResources": ADDED_EXCLUSIONS,
        "itemOperationTimeout": "4h0m0s",
    }


def test_status_of_a_completed_restore(writer: Cluster) -> None:
    """A Completed Restore counts its items, has a beginning and an end, and no key for errors and warnings."""
    namespace, backup = backed_up(writer)
    status = writer.restore(unique("status"), backupName=backup, namespaceMapping={namespace: f"{namespace}-copy"})["status"]

    assert set(status) == {"phase", "startTimestamp", "completionTimestamp", "progress", "hookStatus"}
    assert status["progress"]["itemsRestored"] == status["progress"]["totalItems"] == 4
    assert datetime.fromisoformat(status["startTimestamp"]) <= datetime.fromisoformat(status["completionTimestamp"])


def test_mapped_namespace(writer: Cluster) -> None:
    """A mapping restores into another namespace, makes it, labels what it brings, and leaves the source alone."""
    namespace, backup = backed_up(writer)
    repaint(writer, namespace, "red")
    name = unique("mapped")
    writer.restore(name, backupName=backup, namespaceMapping={namespace: f"{namespace}-copy"})
    copy = writer.api.get(f"/api/v1/namespaces/{namespace}-copy/configmaps/paint")

    assert copy["data"] == {"colour": "green"}
    assert copy["metadata"]["labels"] == {"app": "paint", "velero.io/backup-name": backup, "velero.io/restore-name": name}
    assert colour(writer, namespace) == "red"


def test_existing_objects_are_kept(writer: Cluster) -> None:
    """An object that differs from the backup is kept, with a warning: that is still Completed."""
    namespace, backup = backed_up(writer)
    repaint(writer, namespace, "red")
    name = unique("kept")
    status = writer.restore(name, backupName=backup)["status"]

    assert (status["phase"], status["warnings"]) == ("Completed", 1)
    assert colour(writer, namespace) == "red"
    assert writer.download_json("RestoreResults", name)["warnings"] == {"namespaces": {namespace: [DIFFERS]}}
    found = writer.download_json("RestoreResourceList", name)["v1/ConfigMap"]
    assert found == [f"{namespace}/paint(failed)", f"{namespace}/shape(skipped)"]


def test_existing_objects_are_updated(writer: Cluster) -> None:
    """With the policy update an object that differs is put back, without a warning."""
    namespace, backup = backed_up(writer)
    repaint(writer, namespace, "red")
    name = unique("updated")
    status = writer.restore(name, backupName=backup, existingResourcePolicy="update")["status"]

    assert (status["phase"], "warnings" in status) == ("Completed", False)
    assert colour(writer, namespace) == "green"
    assert f"{namespace}/paint(updated)" in writer.download_json("RestoreResourceList", name)["v1/ConfigMap"]


def test_deleted_objects_return(writer: Cluster) -> None:
    """What was deleted returns; nothing that came later is deleted."""
    namespace, backup = backed_up(writer)
    writer.api.delete(f"/api/v1/namespaces/{namespace}/secrets/tool")
    writer.create_core("ConfigMap", "later", namespace, data={"a": "b"})
    name = unique("returned")
    restore = writer.restore(name, backupName=backup)

    assert phase_of(restore) == "Completed"
    assert writer.download_json("RestoreResourceList", name)["v1/Secret"] == [f"{namespace}/tool(created)"]
    assert writer.api.get(f"/api/v1/namespaces/{namespace}/secrets/tool")["data"] == {"name": "YnJ1c2g="}
    assert writer.api.get(f"/api/v1/namespaces/{namespace}/configmaps/later")["data"] == {"a": "b"}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"includedResources": ["secrets"]}, {"v1/Secret": ["tool"]}),
        ({"excludedResources": ["secrets"]}, {"v1/ConfigMap": ["paint", "shape"]}),
        ({"labelSelector": {"matchLabels": {"app": "shape"}}}, {"v1/ConfigMap": ["shape"]}),
        ({"orLabelSelectors": [{"matchLabels": {"app": "shape"}}, SELECTOR]}, {"v1/ConfigMap": ["shape"]}),
        ({"includedNamespaces": ["another"]}, {}),
    ],
    ids=["included", "excluded", "selector", "selectors", "another-namespace"],
)
def test_parts(writer: Cluster, spec: Json, expected: Json) -> None:
    """A Restore can bring a part: by kinds, by labels, by source namespaces."""
    namespace, backup = backed_up(writer)
    name = unique("part")
    writer.restore(name, backupName=backup, namespaceMapping={namespace: f"{namespace}-copy"}, **spec)
    found = writer.download_json("RestoreResourceList", name)
    found.pop("v1/Namespace", None)

    assert found == {kind: [f"{namespace}-copy/{item}(created)" for item in items] for kind, items in expected.items()}


def test_source_schedule(writer: Cluster) -> None:
    """A Restore from a schedule takes its latest Completed Backup, by the label alone, and names it in its spec."""
    schedule = unique("schedule")
    labels = {"velero.io/schedule-name": schedule}
    backed_up(writer, labels=labels)
    # Start times have whole seconds.
    first = writer.api.get("/apis/velero.io/v1/namespaces/velero/backups", labelSelector=f"velero.io/schedule-name={schedule}")
    started = first["items"][0]["status"]["startTimestamp"]
    writer.eventually("the next second", lambda: writer.clock() > started)
    _, latest = backed_up(writer, labels=labels)
    writer.settle("backups", latest)
    restore = writer.restore(unique("scheduled"), scheduleName=schedule)

    assert phase_of(restore) == "Completed"
    assert (restore["spec"]["scheduleName"], restore["spec"]["backupName"]) == (schedule, latest)


def test_resource_modifier(writer: Cluster) -> None:
    """A resource modifier changes what is restored, by the ConfigMap that it names."""
    namespace, backup = backed_up(writer)
    rules = """
version: v1
resourceModifierRules:
- conditions: {groupResource: configmaps, resourceNameRegex: "^paint$"}
  patches: [{operation: replace, path: /data/colour, value: blue}]
"""
    modifier = unique("modifier")
    writer.create_core("ConfigMap", modifier, "velero", data={"rules.yaml": rules})
    writer.settle_core("configmaps", modifier)
    writer.restore(
        unique("modified"), backupName=backup, namespaceMapping={namespace: f"{namespace}-copy"},
        resourceModifier={"kind": "configmap", "name": modifier},
    )  # fmt: skip

    assert colour(writer, f"{namespace}-copy") == "blue"


def test_without_the_deployment(fragile: Cluster) -> None:
    """Without the Deployment of Velero itself a Restore is PartiallyFailed and brings nothing: its plugins read it."""
    namespace, backup = backed_up(fragile)
    path = "/apis/apps/v1/namespaces/velero/deployments/velero"
    deployment = fragile.api.get(path)
    fragile.api.delete(path)
    try:
        fragile.eventually("the Deployment to be gone", lambda: not fragile.has(path))
        name = unique("undeployed")
        status = fragile.restore(name, backupName=backup, namespaceMapping={namespace: f"{namespace}-copy"})["status"]
        errors = fragile.download_json("RestoreResults", name)["errors"]
    finally:
        fragile.api.create({**deployment, "metadata": {"name": "velero", "namespace": "velero"}})

    assert (status["phase"], status["errors"]) == ("PartiallyFailed", 1)
    assert 'deployments.apps "velero" not found' in errors["velero"][0]
    assert not fragile.has(f"/api/v1/namespaces/{namespace}-copy/configmaps/paint")
