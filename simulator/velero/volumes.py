"""The volumes of a backup: snapshots of the provider, snapshots whose data is moved, and copies by the node agents."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simulator.documents import Document, dig
from simulator.velero.claims import Bound, bound_claims, capacity
from simulator.velero.client import phase_of
from simulator.velero.items import Item
from simulator.velero.movements import upload
from simulator.velero.operations import OPERATION_LABEL, new_operation
from simulator.velero.pod_copies import PodCopies
from simulator.velero.report import Report

if TYPE_CHECKING:
    from simulator.velero.server import Velero

_PROVIDERS = {"ebs.csi.aws.com": "aws", "pd.csi.storage.gke.io": "gcp", "disk.csi.azure.com": "azure"}
"""Whose volumes a snapshot location can take, by their driver."""


@dataclass(slots=True)
class VolumeOutcome:
    """What became of the volumes of one backup."""

    status: Document = field(default_factory=dict)
    """Counters for the status of the backup, e.g. `volumeSnapshotsAttempted`; zero is left out."""
    operations: list[Document] = field(default_factory=list)
    """Operations that go on after the items, as `operations.new_operation` makes them."""
    files: dict[str, Any] = field(default_factory=dict)
    """What to upload as JSON, by what a DownloadRequest calls it, where it differs from what an empty backup holds."""


async def back_up_volumes(velero: Velero, backup: Document, items: list[Item], report: Report) -> VolumeOutcome:
    """Take care of the volumes of the pods and claims among the items; errors and warnings go into the report."""
    copies = PodCopies(velero, backup, report)
    await copies.run([item.document for item in items if item.kind.resource == "pods"])
    snapshots = _Snapshots(velero, backup, report)
    claims = (item.document for item in items if item.kind.resource == "persistentvolumeclaims")
    for bound in bound_claims(velero.client.store, claims):
        if bound.key not in copies.claims:
            snapshots.take(bound)
    files = {
        "BackupVolumeInfos": [*copies.infos, *snapshots.infos],
        "BackupVolumeSnapshots": snapshots.files,
        "PodVolumeBackups": copies.files,
    }
    return VolumeOutcome(snapshots.counts, snapshots.operations, {target: file for target, file in files.items() if file})


class _Snapshots:
    """The snapshots of one backup."""

    def __init__(self, velero: Velero, backup: Document, report: Report) -> None:
        self._client = velero.client
        self._store = velero.client.store
        self._backup = backup
        self._spec: Document = backup["spec"]
        self._report = report
        self.counts: dict[str, int] = {}
        self.infos: list[Document] = []
        self.files: list[Document] = []
        self.operations: list[Document] = []

    def take(self, bound: Bound) -> None:
        """Take care of the volume of a claim."""
        driver = str(dig(bound.volume, "spec.csi.driver") or "")
        if self._spec.get("snapshotVolumes") is False:
            self._skip(bound, "volumeSnapshot: not satisfy the criteria for VolumePolicy or the legacy snapshot way;")
        elif self._has_class(driver):
            if self._spec.get("snapshotMoveData"):
                self._move(bound)
            else:
                self._snapshot_by_class(bound, driver)
        elif location := self._location(_PROVIDERS.get(driver, "")):
            self._snapshot(bound, location)
        else:
            name = bound.volume["metadata"]["name"]
            self._report.say("no volume ID returned by volume snapshotter for persistent volume", level="warning", name=name)
            self._skip(bound, "volumeSnapshot: no applicable volumesnapshotter found;")

    def _has_class(self, driver: str) -> bool:
        return any(item.get("driver") == driver for item in self._store.list("volumesnapshotclasses"))

    def _location(self, provider: str) -> str:
        for name in self._spec.get("volumeSnapshotLocations") or ():
            found = self._client.find("volumesnapshotlocations", name)
            if provider and found and dig(found, "spec.provider") == provider:
                return str(name)
        return ""

    def _skip(self, bound: Bound, reason: str) -> None:
        self.infos.append(bound.info(skipped=True, skippedReason=reason))

    def _count(self, *fields: str) -> None:
        for name in fields:
            self.counts[name] = self.counts.get(name, 0) + 1

    def _snapshot(self, bound: Bound, location: str) -> None:
        metadata = self._backup["metadata"]
        handle = f"snap-{bound.volume['metadata']['uid'].replace('-', '')[:17]}"
        zone = bound.volume["metadata"].get("labels", {}).get("topology.kubernetes.io/zone", "")
        spec = {
            "backupName": metadata["name"], "backupUID": metadata["uid"], "location": location, "volumeType": "gp3",
            "persistentVolumeName": bound.volume["metadata"]["name"], "volumeAZ": zone,
            "providerVolumeID": dig(bound.volume, "spec.csi.volumeHandle") or "",
        }  # fmt: skip
        self.files.append({"spec": spec, "status": {"providerSnapshotID": handle, "phase": "Completed"}})
        self._count("volumeSnapshotsAttempted", "volumeSnapshotsCompleted")
        details = {"snapshotHandle": handle, "volumeType": "gp3", "volumeAZ": zone, "iops": "", "phase": "Completed"}
        now = self._client.timestamp()
        self.infos.append(
            bound.info(backupMethod="NativeSnapshot", nativeSnapshotInfo=details, result="succeeded", startTimestamp=now)
        )

    def _snapshot_by_class(self, bound: Bound, driver: str) -> None:
        self._count("csiVolumeSnapshotsAttempted", "csiVolumeSnapshotsCompleted")
        handle = f"snap-{bound.claim['metadata']['uid'].replace('-', '')[:17]}"
        details = {"snapshotHandle": handle, "size": capacity(bound.volume), "driver": driver, "readyToUse": True}
        now = self._client.timestamp()
        self.infos.append(
            bound.info(backupMethod="CSISnapshot", csiSnapshotInfo=details, result="succeeded", startTimestamp=now)
        )

    def _move(self, bound: Bound) -> None:
        made = self._client.create("datauploads", upload(self._backup, bound.claim, bound.volume))
        operation = made["metadata"]["labels"][OPERATION_LABEL]
        namespace, name = bound.key
        item = {"groupResource": "persistentvolumeclaims", "namespace": namespace, "name": name}
        self.operations.append(new_operation(self._backup, item, self._client.timestamp(), operation=operation))
        details = {"dataMover": "velero", "uploaderType": "kopia", "operationID": operation, "retainedSnapshot": ""}
        self.infos.append(
            bound.info(
                backupMethod="CSISnapshot", snapshotDataMoved=True, snapshotDataMovementInfo=details,
                startTimestamp=self._client.timestamp(),
            )
        )  # fmt: skip


def finish_infos(infos: list[Document], uploads: list[Document]) -> list[Document]:
    """Add to the file of volumes what is known when the data has been moved."""
    by_operation = {item["metadata"].get("labels", {}).get(OPERATION_LABEL): item for item in uploads}
    return [_finished(info, by_operation.get(dig(info, "snapshotDataMovementInfo.operationID"))) for info in infos]


def _finished(info: Document, moved: Document | None) -> Document:
    if moved is None:
        return info
    status = moved.get("status") or {}
    details = {
        "snapshotHandle": status.get("snapshotID", ""), "size": dig(status, "progress.totalBytes") or 0,
        "incrementalSize": status.get("incrementalBytes", 0), "phase": phase_of(moved),
    }  # fmt: skip
    result = "succeeded" if phase_of(moved) == "Completed" else "failed"
    ended = {"result": result, "completionTimestamp": status.get("completionTimestamp")}
    return {**info, "snapshotDataMovementInfo": {**info["snapshotDataMovementInfo"], **details}, **ended}
