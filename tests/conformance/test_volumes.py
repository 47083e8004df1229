"""Persistent volumes in a Backup: snapshots by the provider, and what is passed over."""

from typing import Any

from tests.conformance.manifests import Json, unique
from tests.conformance.stage import Cluster

ZONE = "us-east-1a"
EBS, FOREIGN = "ebs.csi.aws.com", "driver.example.com"


def provision(cluster: Cluster, driver: str, handle: str) -> tuple[str, str]:
    """A namespace with a claim `data` that is bound to a volume of a driver; returns the names of namespace and volume."""
    volume = unique("volume")
    shape = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    spec: dict[str, Any] = {
        **shape,
        "capacity": {"storage": "1Gi"},
        "persistentVolumeReclaimPolicy": "Retain",
        "csi": {"driver": driver, "volumeHandle": handle},
    }
    cluster.create_core("PersistentVolume", volume, metadata={"labels": {"topology.kubernetes.io/zone": ZONE}}, spec=spec)
    # The controller that binds them looks again after 15 s if it does not know the volume yet, so the claim comes last.
    namespace = cluster.furnish("volumes")
    claim = {**shape, "volumeName": volume, "resources": {"requests": {"storage": "1Gi"}}}
    cluster.create_core("PersistentVolumeClaim", "data", namespace, spec=claim)
    cluster.hands.await_binding(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/data")
    return namespace, volume


def taken(cluster: Cluster, driver: str, **spec: Any) -> tuple[str, str, Json, Json]:
    """A Backup of one volume: its name, that of the volume, its status, and what it says of the volume."""
    namespace, volume = provision(cluster, driver, cluster.hands.make_volume(ZONE))
    name = unique("volumes")
    status = cluster.back_up(name, includedNamespaces=[namespace], **spec)["status"]
    (info,) = cluster.download_json("BackupVolumeInfos", name)
    assert (info["pvName"], info["pvcNamespace"], info["pvcName"]) == (volume, namespace, "data")
    return name, volume, status, info


def place(cluster: Cluster, namespace: str) -> None:
    """Put a Pod with a volume that a node agent is to copy on a node that is not there; the Pod is Pending."""
    container = {"name": "main", "image": "example.invalid/main", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    spec = {"nodeName": "ghost", "containers": [container], "volumes": [{"name": "data", "emptyDir": {}}]}
    metadata = {"annotations": {"backup.velero.io/backup-volumes": "data"}}
    # It is refused until its namespace has a service account.
    cluster.eventually("a Pod", lambda: cluster.create_core("Pod", "main", namespace, metadata=metadata, spec=spec))


def test_snapshot(fragile: Cluster) -> None:
    """A volume of the provider is snapshotted and counted; what is known of the snapshot can be downloaded."""
    name, volume, status, info = taken(fragile, EBS)
    (snapshot,) = fragile.download_json("BackupVolumeSnapshots", name)

    assert status["phase"] == "Completed"
    assert (status["volumeSnapshotsAttempted"], status["volumeSnapshotsCompleted"]) == (1, 1)
    assert (info["backupMethod"], info["result"], info["skipped"]) == ("NativeSnapshot", "succeeded", False)
    assert info["nativeSnapshotInfo"]["snapshotHandle"] == snapshot["status"]["providerSnapshotID"]
    assert snapshot["status"]["providerSnapshotID"].startswith("snap-")
    assert snapshot["spec"]["persistentVolumeName"] == volume
    assert snapshot["status"]["phase"] == "Completed"


def test_declined_snapshot(fragile: Cluster) -> None:
    """With snapshotVolumes false no volume is snapshotted, and the list of volumes says why."""
    _, _, status, info = taken(fragile, EBS, snapshotVolumes=False)

    assert status["phase"] == "Completed"
    assert "volumeSnapshotsAttempted" not in status
    assert info["skipped"] is True
    assert info["skippedReason"] == ("volumeSnapshot: not satisfy the criteria for VolumePolicy or the legacy snapshot way;")


def test_foreign_volume(fragile: Cluster) -> None:
    """A volume that no provider can snapshot is skipped, with a warning: that is still Completed."""
    _, _, status, info = taken(fragile, FOREIGN)

    assert (status["phase"], status["warnings"]) == ("Completed", 1)
    assert "volumeSnapshotsAttempted" not in status
    assert info["skipped"] is True
    assert info["skippedReason"] == "volumeSnapshot: no applicable volumesnapshotter found;"


def test_restored_volume(fragile: Cluster) -> None:
    """A Restore into another namespace makes a new volume from the snapshot, for the claim there."""
    namespace, volume = provision(fragile, EBS, fragile.hands.make_volume(ZONE))
    backup, copy = unique("volumes"), f"{namespace}-copy"
    fragile.back_up(backup, includedNamespaces=[namespace])
    restore = fragile.restore(unique("volumes"), backupName=backup, namespaceMapping={namespace: copy})
    claim = fragile.api.get(f"/api/v1/namespaces/{copy}/persistentvolumeclaims/data")
    clone = fragile.api.get(f"/api/v1/persistentvolumes/{claim['spec']['volumeName']}")
    original = fragile.api.get(f"/api/v1/persistentvolumes/{volume}")

    assert restore["status"]["phase"] == "Completed"
    assert clone["metadata"]["name"].startswith("velero-clone-")
    assert clone["spec"]["csi"]["driver"] == EBS
    assert clone["spec"]["csi"]["volumeHandle"] != original["spec"]["csi"]["volumeHandle"]


def test_restored_without_volumes(fragile: Cluster) -> None:
    """With restorePVs false nothing is brought back from the snapshot: the claim there gets a clone of the same volume."""
    namespace, volume = provision(fragile, EBS, fragile.hands.make_volume(ZONE))
    backup, copy = unique("volumes"), f"{namespace}-copy"
    fragile.back_up(backup, includedNamespaces=[namespace])
    restore = fragile.restore(unique("volumes"), backupName=backup, namespaceMapping={namespace: copy}, restorePVs=False)
    claim = fragile.api.get(f"/api/v1/namespaces/{copy}/persistentvolumeclaims/data")
    found = fragile.api.get(f"/api/v1/persistentvolumes/{claim['spec']['volumeName']}")
    original = fragile.api.get(f"/api/v1/persistentvolumes/{volume}")

    assert restore["status"]["phase"] == "Completed"
    assert found["metadata"]["name"].startswith("velero-clone-")
    assert found["spec"]["csi"]["volumeHandle"] == original["spec"]["csi"]["volumeHandle"]


def test_no_node_agent(fragile: Cluster) -> None:
    """A volume that a node agent is to copy fails the Backup in part, if there is no agent on the node of its Pod."""
    namespace, name = fragile.furnish("volumes"), unique("volumes")
    place(fragile, namespace)
    fragile.api.patch(f"/api/v1/namespaces/{namespace}/pods/main/status", {"status": {"phase": "Running"}})
    status = fragile.back_up(name, includedNamespaces=[namespace])["status"]
    results = fragile.download_json("BackupResults", name)

    assert (status["phase"], status["errors"], status["warnings"]) == ("PartiallyFailed", 1, 1)
    absent = "daemonset pod not found in running state in node ghost"
    assert results == {
        "errors": {"velero": [f" name: /main message: /Error backing up item error: /{absent}"]},
        "warnings": {
            "namespaces": {namespace: [f" resource: /pods name: /main message: /Skip pod volume data error: /{absent}"]}
        },
    }


def test_pod_that_does_not_run(fragile: Cluster) -> None:
    """The volumes of a Pod that does not run are passed over with a warning: that is still Completed."""
    namespace, name = fragile.furnish("volumes"), unique("volumes")
    place(fragile, namespace)
    status = fragile.back_up(name, includedNamespaces=[namespace])["status"]

    assert (status["phase"], status["warnings"], "errors" in status) == ("Completed", 1, False)
    (warning,) = fragile.download_json("BackupResults", name)["warnings"]["namespaces"][namespace]
    assert warning.startswith(
        " resource: /pods name: /main message: /Skip pod volume data error: /pod is not in the expected status"
    )
