"""A Backup from its creation to its end."""

from datetime import datetime, timedelta

import pytest

from tests.conformance.manifests import Json, unique
from tests.conformance.stage import Cluster
from tests.conformance.story import phase_of

FILLED_IN = {
    "csiSnapshotTimeout": "10m0s",
    "defaultVolumesToFsBackup": False,
    "excludedClusterScopedResources": ["volumesnapshotcontents.snapshot.storage.k8s.io"],
    "excludedNamespaceScopedResources": ["volumesnapshots.snapshot.storage.k8s.io"],
    "itemOperationTimeout": "4h0m0s",
    "snapshotMoveData": False,
    "storageLocation": "default",
    "ttl": "720h0m0s",
    "volumeGroupSnapshotLabelKey": "velero.io/volume-group",
    "volumeSnapshotLocations": ["default"],
}
ANNOTATIONS = {
    "velero.io/resource-timeout",
    "velero.io/source-cluster-k8s-gitversion",
    "velero.io/source-cluster-k8s-major-version",
    "velero.io/source-cluster-k8s-minor-version",
}
JUDGING = timedelta(seconds=5)
"""What Velero may take to judge a Backup: its ttl counts from before that, its start is after it."""


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def stored(cluster: Cluster, name: str) -> Json:
    """What a backup holds: names by kind."""
    return cluster.download_json("BackupResourceList", name)


def results(cluster: Cluster, name: str) -> Json:
    """The errors and warnings of a backup."""
    return cluster.download_json("BackupResults", name)


def test_phases(fragile: Cluster) -> None:
    """A Backup goes through no phase, Queued, ReadyToStart, InProgress and Finalizing to Completed."""
    namespace, name = fragile.furnish("phases"), unique("phases")
    story = fragile.story("backups", name)
    fragile.create("Backup", name, spec={"includedNamespaces": [namespace]})
    story.until_phase("Completed", "Failed", "PartiallyFailed")

    assert story.phases == ["", "Queued", "ReadyToStart", "InProgress", "Finalizing", "Completed"]
    assert [event["type"] for event in story.events] == ["ADDED", *["MODIFIED"] * (len(story.events) - 1)]
    queued = next(event["object"] for event in story.events if phase_of(event["object"]) == "Queued")
    assert queued["status"]["queuePosition"] >= 1
    assert "queuePosition" not in story.events[-1]["object"]["status"]


def test_defaults(fragile: Cluster) -> None:
    """Velero writes its defaults, a label and four annotations into a Backup when it starts it, and not before."""
    namespace, name = fragile.furnish("defaults"), unique("defaults")
    story = fragile.story("backups", name)
    fragile.create("Backup", name, metadata={"labels": {"team": "a"}}, spec={"includedNamespaces": [namespace]})
    waiting = story.until_phase("ReadyToStart")
    started = story.until_phase("InProgress")

    assert waiting["spec"] == {"includedNamespaces": [namespace]}
    assert waiting["metadata"]["labels"] == {"team": "a"}
    assert started["spec"] == FILLED_IN | {"includedNamespaces": [namespace]}
    assert started["metadata"]["labels"] == {"team": "a", "velero.io/storage-location": "default"}
    assert set(started["metadata"]["annotations"]) == ANNOTATIONS


def test_status_of_a_completed_backup(writer: Cluster) -> None:
    """A Completed Backup counts its items, expires its ttl after it started, and has no key for errors and warnings."""
    namespace, name = writer.furnish("status"), unique("status")
    status = writer.back_up(name, includedNamespaces=[namespace], ttl="1h30m")["status"]

    assert set(status) == {
        "phase", "version", "formatVersion", "expiration", "startTimestamp", "completionTimestamp", "progress", "hookStatus"
    }  # fmt: skip
    assert (status["phase"], status["version"], status["formatVersion"]) == ("Completed", 1, "1.1.0")
    assert status["hookStatus"] == {}
    assert status["progress"]["totalItems"] == status["progress"]["itemsBackedUp"] >= 4
    lives = moment(status["expiration"]) - moment(status["startTimestamp"])
    assert timedelta(minutes=90) - JUDGING <= lives <= timedelta(minutes=90)
    assert moment(status["completionTimestamp"]) >= moment(status["startTimestamp"])


def test_files_of_a_backup(writer: Cluster) -> None:
    """A Completed Backup has written nine files, all of them below its own name."""
    namespace, name = writer.furnish("files"), unique("files")
    writer.back_up(name, includedNamespaces=[namespace])

    ends = (
        "-itemoperations.json.gz", "-logs.gz", "-podvolumebackups.json.gz", "-resource-list.json.gz", "-results.gz",
        "-volumeinfo.json.gz", "-volumesnapshots.json.gz", ".tar.gz",
    )  # fmt: skip
    root = f"backups/{name}/"
    assert writer.hands.keys(root) == sorted([f"{root}velero-backup.json", *(f"{root}{name}{end}" for end in ends)])


def test_without_a_spec(writer: Cluster) -> None:
    """A Backup without a spec is one of everything, into the default location."""
    namespace, name = writer.furnish("everything"), unique("everything")
    story = writer.story("backups", name)
    writer.api.create({"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"name": name, "namespace": "velero"}})
    backup = story.until_final()

    assert phase_of(backup) == "Completed"
    assert backup["spec"]["includedNamespaces"] == ["*"]
    assert backup["spec"]["storageLocation"] == "default"
    assert {f"{namespace}/paint", f"{namespace}/shape"} <= set(stored(writer, name)["v1/ConfigMap"])


def test_label_selector(writer: Cluster) -> None:
    """A label selector leaves out the objects that it does not match, but not the namespace itself."""
    namespace, name = writer.furnish("selected"), unique("selected")
    writer.back_up(name, includedNamespaces=[namespace], labelSelector={"matchLabels": {"app": "paint"}})

    assert stored(writer, name) == {
        "v1/ConfigMap": [f"{namespace}/paint"],
        "v1/Namespace": [namespace],
        "v1/Secret": [f"{namespace}/tool"],
    }


def test_any_of_several_selectors(writer: Cluster) -> None:
    """Of several selectors one must match."""
    namespace, name = writer.furnish("either"), unique("either")
    either = [{"matchLabels": {"app": "shape"}}, {"matchExpressions": [{"key": "app", "operator": "In", "values": ["paint"]}]}]
    writer.back_up(name, includedNamespaces=[namespace], orLabelSelectors=either, includedResources=["configmaps"])

    assert stored(writer, name)["v1/ConfigMap"] == [f"{namespace}/paint", f"{namespace}/shape"]


def test_included_resources(writer: Cluster) -> None:
    """Only the included kinds are stored, not even the namespace that they are in."""
    namespace, name = writer.furnish("kinds"), unique("kinds")
    writer.back_up(name, includedNamespaces=[namespace], includedResources=["secrets"])

    assert stored(writer, name) == {"v1/Secret": [f"{namespace}/tool"]}


def test_included_namespaced_resources(writer: Cluster) -> None:
    """With the newer filter for namespaced kinds the namespace is stored as well."""
    namespace, name = writer.furnish("kinds"), unique("kinds")
    writer.back_up(name, includedNamespaces=[namespace], includedNamespaceScopedResources=["secrets"])

    assert stored(writer, name) == {"v1/Namespace": [namespace], "v1/Secret": [f"{namespace}/tool"]}


def test_opted_out_object(writer: Cluster) -> None:
    """An object labelled velero.io/exclude-from-backup is not stored."""
    namespace, name = writer.furnish("opted-out"), unique("opted-out")
    label = {"velero.io/exclude-from-backup": "true"}
    writer.create_core("ConfigMap", "private", namespace, metadata={"labels": label}, data={"a": "b"})
    writer.back_up(name, includedNamespaces=[namespace], includedResources=["configmaps"])

    assert f"{namespace}/private" not in stored(writer, name)["v1/ConfigMap"]
    assert f"{namespace}/paint" in stored(writer, name)["v1/ConfigMap"]


def test_namespace_pattern(writer: Cluster) -> None:
    """A pattern among the included namespaces stands for the namespaces that match it."""
    stem = unique("glob")
    matching, other = writer.furnish(f"{stem}-in"), writer.furnish(f"{stem}-out")
    name = unique("glob")
    backup = writer.back_up(name, includedNamespaces=[f"{stem}-in-*"])

    assert phase_of(backup) == "Completed"
    assert stored(writer, name)["v1/Namespace"] == [matching]
    assert f"{other}/paint" not in stored(writer, name)["v1/ConfigMap"]


def test_missing_namespace(writer: Cluster) -> None:
    """A Backup that names a namespace that does not exist is PartiallyFailed, with nothing stored of it."""
    name = unique("nowhere")
    status = writer.back_up(name, includedNamespaces=["nowhere"])["status"]

    assert (status["phase"], status["errors"], status["progress"]) == ("PartiallyFailed", 1, {})
    assert results(writer, name)["errors"] == {
        "velero": [
            " resource: /namespaces message: /fail to get the namespace nowhere specified in backup.Spec.IncludedNamespaces"
        ]
    }


def test_empty_label_selector(writer: Cluster) -> None:
    """A label selector without any label breaks every list that Velero makes: PartiallyFailed."""
    namespace = writer.furnish("empty-selector")
    status = writer.back_up(unique("empty-selector"), includedNamespaces=[namespace], labelSelector={"matchLabels": {}})[
        "status"
    ]

    assert status["phase"] == "PartiallyFailed"
    assert status["errors"] > 0


def test_failed_hook(writer: Cluster) -> None:
    """A hook that cannot run in a Pod makes the Backup PartiallyFailed and is counted."""
    namespace, name = writer.furnish("hook"), unique("hook")
    container = {"name": "main", "image": "example.invalid/main"}
    writer.eventually("a Pod", lambda: writer.create_core("Pod", "idle", namespace, spec={"containers": [container]}))
    hook = {"name": "flush", "includedNamespaces": [namespace], "pre": [{"exec": {"command": ["/bin/true"]}}]}
    story = writer.story("backups", name)
    writer.create("Backup", name, spec={"includedNamespaces": [namespace], "hooks": {"resources": [hook]}})
    status = story.until_final()["status"]

    assert story.phases[-2:] == ["FinalizingPartiallyFailed", "PartiallyFailed"]
    assert (status["errors"], status["hookStatus"]) == (1, {"hooksAttempted": 1, "hooksFailed": 1})
    complaint = " message: /Error executing hook error: /pod idle does not have a host assigned"
    assert results(writer, name)["errors"] == {"velero": [complaint]}


def test_preset_status(writer: Cluster) -> None:
    """Velero leaves a Backup alone that is created in a final phase: create accepts a status."""
    name = unique("preset")
    story = writer.story("backups", name)
    writer.create("Backup", name, spec={"includedNamespaces": ["default"]}, status={"phase": "Completed"})

    story.never(lambda event: event["type"] != "ADDED", within=3)
    assert writer.get("backups", name)["status"] == {"phase": "Completed"}


@pytest.mark.slow
def test_same_name_in_the_bucket(writer: Cluster) -> None:
    """A Backup whose name the bucket knows already is Failed: it was deleted in the cluster alone, or has another writer."""
    namespace, name = writer.furnish("twice"), unique("twice")
    writer.back_up(name, includedNamespaces=[namespace])
    writer.settle("backups", name)
    kept = writer.hands.keys(f"backups/{name}/")
    writer.listed()
    writer.delete("backups", name)
    status = writer.back_up(name, includedNamespaces=[namespace])["status"]

    assert status["phase"] == "Failed"
    assert status["failureReason"] == "backup execution failed: backup already exists in object storage"
    assert writer.hands.keys(f"backups/{name}/") == kept


@pytest.mark.slow
def test_ttl(writer: Cluster) -> None:
    """A Backup whose ttl is over is deleted, in the cluster and in the bucket, by the next garbage collection."""
    namespace, name = writer.furnish("ttl"), unique("ttl")
    story = writer.story("backups", name)
    writer.create("Backup", name, spec={"includedNamespaces": [namespace], "ttl": "60s"})
    story.until_phase("Completed")
    assert writer.hands.keys(f"backups/{name}/")
    story.until_deleted(within=150)

    assert story.phases[-1] == "Deleting"
    assert not writer.hands.keys(f"backups/{name}/")


@pytest.mark.slow
def test_negative_ttl(writer: Cluster) -> None:
    """A negative ttl is accepted: the Backup completes, expired already, and is collected."""
    namespace, name = writer.furnish("past"), unique("past")
    story = writer.story("backups", name)
    writer.create("Backup", name, spec={"includedNamespaces": [namespace], "ttl": "-1h"})
    status = story.until_phase("Completed")["status"]

    before = moment(status["startTimestamp"]) - moment(status["expiration"])
    assert timedelta(hours=1) <= before <= timedelta(hours=1) + JUDGING
    story.until_deleted(within=90)
