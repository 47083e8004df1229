"""The last step of a backup, after its items and all operations on them."""

from collections.abc import Iterable

from simulator.cloud import StorageError
from simulator.documents import Document, dig, merge_patch
from simulator.velero.backup import as_go_writes
from simulator.velero.client import phase_of
from simulator.velero.controller import Change, Controller, Retry
from simulator.velero.naming import plugin_error
from simulator.velero.storage import Storage, pack, unpack
from simulator.velero.volumes import finish_infos

UID_LABEL = "velero.io/backup-uid"
FINAL = {"Finalizing": "Completed", "FinalizingPartiallyFailed": "PartiallyFailed"}


class BackupFinalizer(Controller):
    """Completes backups, in the bucket first."""

    kind = "backups"
    tick = "finalizer_tick"

    def keys(self, change: Change) -> Iterable[str]:
        """Return a backup that is to be completed."""
        return (change.name,) if phase_of(change.after) in FINAL else ()

    def ticked(self) -> Iterable[str]:
        """Return the backups that are to be completed."""
        return [item["metadata"]["name"] for item in self.velero.known("backups") if phase_of(item) in FINAL]

    async def reconcile(self, name: str) -> None:
        """Complete one backup."""
        await self.velero.faults.reach("backups", name, phase_of(self.client.find("backups", name)))
        await self.velero.work()
        backup = self.client.find("backups", name)
        if backup is None or phase_of(backup) not in FINAL:
            return
        location = self.client.find("backupstoragelocations", dig(backup, "spec.storageLocation") or "")
        if location is None:
            raise Retry(f"location of backup {name} not found")
        status = {"phase": FINAL[phase_of(backup)], "completionTimestamp": self.client.timestamp()}
        try:
            self._complete(self.velero.storage(location), merge_patch(backup, {"status": status}))
        except StorageError as error:
            raise Retry(plugin_error(error)) from error
        self.velero.tracker.finished(name)
        self.client.patch_status("backups", name, **status)

    def _complete(self, storage: Storage, backup: Document) -> None:
        name, uid = backup["metadata"]["name"], backup["metadata"]["uid"]
        storage.get_file("BackupItemOperations", name)
        if uploads := self.client.list("datauploads", f"{UID_LABEL}={uid}"):
            infos = finish_infos(unpack(storage.get_file("BackupVolumeInfos", name)), uploads)
            storage.put_file("BackupVolumeInfos", name, pack(infos))
        storage.put_metadata(as_go_writes(backup))
