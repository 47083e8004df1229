"""The objects by which Velero asks its node agents to move the data of volumes, as they are before anybody works on them."""

from simulator.documents import Document, dig
from simulator.velero.naming import valid_name
from simulator.velero.operations import OPERATION_LABEL


def _metadata(owner: Document, kind: str, labels: dict[str, str]) -> Document:
    metadata = owner["metadata"]
    word = kind.lower()
    reference = {
        "apiVersion": "velero.io/v1",
        "kind": kind,
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }
    own = {f"velero.io/{word}-name": valid_name(metadata["name"]), f"velero.io/{word}-uid": metadata["uid"]}
    return {"generateName": f"{metadata['name']}-", "labels": own | labels, "ownerReferences": [reference]}


def upload(backup: Document, claim: Document, volume: Document) -> Document:
    """Return the DataUpload for the snapshot of a claim."""
    metadata, spec = claim["metadata"], backup["spec"]
    operation = f"du-{backup['metadata']['uid']}.{metadata['uid'][:18]}"
    labels = {OPERATION_LABEL: operation, "velero.io/pvc-uid": metadata["uid"]}
    class_name = dig(claim, "spec.storageClassName") or ""
    snapshot = {
        "volumeSnapshot": f"velero-{metadata['name']}-{metadata['uid'][:5]}", "storageClass": class_name,
        "snapshotClass": "", "driver": dig(volume, "spec.csi.driver") or "",
    }  # fmt: skip
    parallel = dig(spec, "uploaderConfig.parallelFilesUpload")
    return {
        "metadata": _metadata(backup, "Backup", labels),
        "spec": {
            "snapshotType": "CSI", "csiSnapshot": snapshot,
            "sourcePVC": metadata["name"], "sourceNamespace": metadata["namespace"],
            "backupStorageLocation": spec["storageLocation"], "operationTimeout": spec.get("csiSnapshotTimeout", "10m0s"),
            **({"datamover": spec["datamover"]} if spec.get("datamover") else {}),
            **({"dataMoverConfig": {"ParallelFilesUpload": str(parallel)}} if parallel else {}),
        },
        "status": {"phase": "New"},
    }  # fmt: skip


def download(restore: Document, claim: Document, info: Document, location: str) -> Document:
    """Return the DataDownload into a restored claim, of what the file of volumes remembers."""
    metadata, moved = claim["metadata"], info.get("snapshotDataMovementInfo") or {}
    operation = f"dd-{restore['metadata']['uid']}.{metadata['uid'][:18]}"
    target = {"pvc": metadata["name"], "pv": dig(claim, "spec.volumeName") or "", "namespace": metadata["namespace"]}
    return {
        "metadata": _metadata(restore, "Restore", {OPERATION_LABEL: operation}),
        "spec": {
            "targetVolume": target, "backupStorageLocation": location, "snapshotID": moved.get("snapshotHandle", ""),
            "sourceNamespace": info.get("pvcNamespace", ""), "operationTimeout": "10m0s",
            **({"snapshotSize": moved["size"]} if moved.get("size") else {}),
        },
        "status": {"phase": "New"},
    }  # fmt: skip


def pod_volume_backup(backup: Document, pod: Document, volume: str, claim: Document | None) -> Document:
    """Return the PodVolumeBackup of one volume of a pod."""
    metadata, owner = pod["metadata"], backup["metadata"]
    tags = {
        "backup": owner["name"], "backup-uid": owner["uid"], "ns": metadata["namespace"], "pod": metadata["name"],
        "pod-uid": metadata["uid"], "volume": volume,
    }  # fmt: skip
    labels = {}
    if claim is not None:
        labels["velero.io/pvc-uid"] = tags["pvc-uid"] = claim["metadata"]["uid"]
    return {
        "metadata": _metadata(backup, "Backup", labels),
        "spec": {
            "backupStorageLocation": backup["spec"]["storageLocation"], "node": pod["spec"]["nodeName"],
            "pod": {"kind": "Pod", **{key: metadata[key] for key in ("name", "namespace", "uid")}},
            "repoIdentifier": "", "tags": tags, "uploaderType": "kopia", "volume": volume,
        },
        "status": {"progress": {}},
    }  # fmt: skip


def pod_volume_restore(restore: Document, pod: Document, backup: Document) -> Document:
    """Return the PodVolumeRestore of one volume of a restored pod, from the PodVolumeBackup of its former self."""
    metadata, spec = pod["metadata"], backup["spec"]
    return {
        "metadata": _metadata(restore, "Restore", {"velero.io/pod-uid": metadata["uid"]}),
        "spec": {
            "backupStorageLocation": spec["backupStorageLocation"], "repoIdentifier": "",
            "snapshotID": backup["status"]["snapshotID"],
            "pod": {"kind": "Pod", **{key: metadata[key] for key in ("name", "namespace", "uid")}},
            "sourceNamespace": spec["pod"]["namespace"], "uploaderType": "kopia", "volume": spec["volume"],
        },
        "status": {"progress": {}},
    }  # fmt: skip


def repository(namespace: str, location: str) -> Document:
    """Return the BackupRepository that holds the data of a namespace."""
    labels = {
        "velero.io/repository-type": "kopia", "velero.io/storage-location": valid_name(location),
        "velero.io/volume-namespace": valid_name(namespace),
    }  # fmt: skip
    spec = {
        "backupStorageLocation": location,
        "maintenanceFrequency": "0s",
        "repositoryType": "kopia",
        "volumeNamespace": namespace,
    }
    return {"metadata": {"name": f"{namespace}-{location}-kopia", "labels": labels}, "spec": spec, "status": {}}
