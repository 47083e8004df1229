"""The volumes of a restore: which come back from snapshots, which are made anew, and whose data the node agent brings."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from simulator.documents import Document, dig
from simulator.store import Store
from simulator.velero.client import Client
from simulator.velero.movements import download, pod_volume_restore
from simulator.velero.operations import OPERATION_LABEL
from simulator.velero.restore_items import Piece

_ANEW = ("PodVolumeBackup", "CSISnapshot")
"""How a volume was backed up whose PersistentVolume is not restored: a new one is provisioned, and filled."""


class RestoredVolumes:
    """What a backup remembers of its volumes, and what becomes of them in one restore."""

    def __init__(
        self,
        client: Client,
        restore: Document,
        location: str,
        infos: Sequence[Document],
        pod_volume_backups: Sequence[Document],
    ) -> None:
        self._client = client
        self._restore = restore
        self._location = location
        self._infos = {info.get("pvName", ""): info for info in infos}
        self._pod_volume_backups = pod_volume_backups
        self._anew: set[str] = set()
        self._renamed: dict[str, str] = {}
        self.operations: list[Document] = []
        """Operations that go on after the items, as the file of the restore holds them."""
        self.pod_restores: list[str] = []
        """The PodVolumeRestores that were ordered, by name."""
        self.restored: list[Document] = []
        """What the file of volumes of the restore holds."""

    def adjust(self, piece: Piece, document: Document, store: Store) -> Document | None:
        """Return a volume or a claim as it is to be created, or None for a volume that is made anew; others as they are."""
        if piece.kind.resource == "persistentvolumes":
            return self._volume(piece, document, store)
        if piece.kind.resource == "persistentvolumeclaims":
            return self._claim(document)
        return document

    def _volume(self, piece: Piece, document: Document, store: Store) -> Document | None:
        info = self._infos.get(piece.name, {})
        method = info.get("backupMethod", "")
        wanted = self._restore["spec"].get("restorePVs") is not False
        if method in _ANEW or (not method and dig(document, "spec.persistentVolumeReclaimPolicy") == "Delete"):
            self._anew.add(piece.name)
            return None
        if method != "NativeSnapshot":
            return document
        if store.find("persistentvolumes", piece.name) is not None:
            mapping = self._restore["spec"].get("namespaceMapping") or {}
            if dig(piece.document, "spec.claimRef.namespace") not in mapping:
                return document  # The volume is still there and stays what it is.
            self._renamed[piece.name] = document["metadata"]["name"] = f"velero-clone-{uuid.uuid4()}"
        if not wanted:
            return document  # As it was, so that a clone stands for the very volume that the original stands for.
        if dig(document, "spec.csi.volumeHandle"):
            document["spec"]["csi"]["volumeHandle"] = f"vol-{uuid.uuid4().hex[:17]}"
        self._note(info, "NativeSnapshot", nativeSnapshotInfo=info.get("nativeSnapshotInfo", {}))
        return document

    def _claim(self, document: Document) -> Document:
        spec = document.get("spec", {})
        volume = spec.get("volumeName", "")
        if volume in self._anew:
            spec.pop("volumeName", None)
        elif volume in self._renamed:
            spec["volumeName"] = self._renamed[volume]
        return document

    def created(self, piece: Piece, created: Document) -> None:
        """Order the data of a claim or of a pod's volumes, where the backup has it."""
        if piece.kind.resource == "persistentvolumeclaims":
            self._fill_claim(piece, created)
        elif piece.kind.resource == "pods":
            self._fill_pod(piece, created)

    def _fill_claim(self, piece: Piece, claim: Document) -> None:
        info = self._infos.get(dig(piece.document, "spec.volumeName") or "", {})
        if not info.get("snapshotDataMoved") or self._restore["spec"].get("restorePVs") is False:
            return
        ordered = self._client.create("datadownloads", download(self._restore, claim, info, self._location))
        operation = ordered["metadata"]["labels"][OPERATION_LABEL]
        item = {"groupResource": "persistentvolumeclaims", "namespace": piece.target, "name": piece.name}
        self.operations.append(self._operation(item, operation))
        self._note(info, "CSISnapshot", snapshotDataMoved=True, snapshotDataMovementInfo={"operationID": operation})

    def _fill_pod(self, piece: Piece, pod: Document) -> None:
        for backup in self._pod_volume_backups:
            of = dig(backup, "spec.pod") or {}
            if (of.get("namespace"), of.get("name")) == (piece.source, piece.name) and dig(backup, "status.snapshotID"):
                ordered = self._client.create("podvolumerestores", pod_volume_restore(self._restore, pod, backup))
                self.pod_restores.append(ordered["metadata"]["name"])

    def _operation(self, item: Document, operation: str) -> Document:
        metadata = self._restore["metadata"]
        return {
            "spec": {
                "restoreName": metadata["name"], "restoreUID": metadata["uid"], "operationID": operation,
                "restoreItemAction": "velero.io/csi-pvc-restorer", "resourceIdentifier": item,
            },
            "status": {"phase": "New", "created": self._client.timestamp()},
        }  # fmt: skip

    def _note(self, info: Document, method: str, **parts: object) -> None:
        names: Document = {key: info[key] for key in ("pvcName", "pvcNamespace", "pvName") if key in info}
        self.restored.append({**names, "restoreMethod": method, "snapshotDataMoved": False, **parts})
