"""Requests to delete a backup with everything that belongs to it."""

from contextlib import suppress

from simulator.cloud import StorageError
from simulator.documents import Document, dig
from simulator.errors import ApiError
from simulator.velero.client import phase_of
from simulator.velero.controller import Controller
from simulator.velero.naming import plugin_error, valid_name

BACKUP_LABEL = "velero.io/backup-name"
UID_LABEL = "velero.io/backup-uid"

_OWNED = ("datauploads", "podvolumebackups")


def deletion_request(backup: Document) -> Document:
    """Return a request to delete a backup, as Velero makes them itself."""
    name = backup["metadata"]["name"]
    metadata = {"generateName": f"{name}-", "labels": _labels(backup)}
    return {"metadata": metadata, "spec": {"backupName": name}, "status": {}}


def _labels(backup: Document) -> dict[str, str]:
    """Return the labels by which requests of a backup are found."""
    return {BACKUP_LABEL: valid_name(backup["metadata"]["name"]), UID_LABEL: backup["metadata"]["uid"]}


class Refusal(Exception):  # noqa: N818 (the request ends in good order)
    """Why a backup is not deleted at all."""


class Deletions(Controller):
    """Deletes backups: the data, the restores, the backup, and at last all requests for it.

    A request that was left in progress by an earlier process stays so, until it is old.
    """

    kind = "deletebackuprequests"
    tick = "deletion_tick"

    async def reconcile(self, name: str) -> None:
        """Handle one request, or remove it when it is old."""
        request = self.client.find(self.kind, name)
        if request is None:
            return
        if phase_of(request) in {"", "New"}:
            await self.velero.work()
            await self._handle(name, request)
        elif self.client.age(request["metadata"]["creationTimestamp"]) >= self.settings.deletion_request_age:
            self.client.delete(self.kind, name)

    async def _handle(self, name: str, request: Document) -> None:
        try:
            backup, location = self._judge(name, request)
        except Refusal as refusal:
            self.client.patch_status(self.kind, name, phase="Processed", errors=[f"backup deletion failed: {refusal}"])
            return
        metadata, labels = backup["metadata"], _labels(backup)
        labels |= {key: value for key, value in request["metadata"].get("labels", {}).items() if value and key in labels}
        self.client.patch(self.kind, name, {"metadata": {"labels": labels}, "status": {"phase": "InProgress"}})
        await self.velero.work()
        self.client.patch_status("backups", metadata["name"], phase="Deleting")
        await self.velero.faults.reach("backups", metadata["name"], "Deleting")
        errors = await self._delete(metadata["name"], location)
        if not errors:
            self.client.delete("backups", metadata["name"])
            self._delete_owned(metadata["name"])
        self.client.patch_status(self.kind, name, phase="Processed", **({"errors": errors} if errors else {}))
        if not errors:
            selector = ",".join(f"{key}={value}" for key, value in labels.items())
            for other in self.client.list(self.kind, selector):
                self.client.delete(self.kind, other["metadata"]["name"])

    def _judge(self, name: str, request: Document) -> tuple[Document, Document]:
        """Return the backup and its location. Raise Refusal."""
        wanted = str(dig(request, "spec.backupName") or "")
        if not wanted:
            raise Refusal("spec.backupName is required")
        for other in self.client.list(self.kind, f"{BACKUP_LABEL}={valid_name(wanted)}"):
            if other["metadata"]["name"] != name:
                self.client.delete(self.kind, other["metadata"]["name"])
        if self.velero.tracker.busy(wanted):
            raise Refusal("backup is still in progress")
        backup = self.client.find("backups", wanted)
        if backup is None:
            raise Refusal("backup not found")
        place = str(dig(backup, "spec.storageLocation") or "")
        location = self.client.find("backupstoragelocations", place)
        if location is None:
            raise Refusal(f"backup storage location {place} not found")
        if dig(location, "spec.accessMode") == "ReadOnly":
            raise Refusal(f"cannot delete backup because backup storage location {place} is currently in read-only mode")
        if phase_of(location) != "Available":
            raise Refusal(f"cannot delete backup because backup storage location {place} is currently in Unavailable state")
        return backup, location

    async def _delete(self, backup: str, location: Document) -> list[str]:
        """Delete what belongs to a backup. Return what went wrong."""
        await self.velero.work(self.settings.deleting)
        try:
            self.velero.storage(location).delete(f"backups/{backup}/")
        except StorageError as error:
            return [plugin_error(error)]
        restores = [item for item in self.client.list("restores") if dig(item, "spec.backupName") == backup]
        for restore in restores:
            self.client.delete("restores", restore["metadata"]["name"])
        return await self._wait_until_gone([item["metadata"]["name"] for item in restores])

    async def _wait_until_gone(self, restores: list[str]) -> list[str]:
        """Wait until the restores have let go of what they hold in the bucket."""
        waited = 0.0
        while any(self.client.find("restores", name) for name in restores):
            if waited >= self.settings.restore_removal:
                return ["fail to wait for restores to be removed: context deadline exceeded"]
            await self.velero.sleep(self.settings.step)
            waited += self.settings.step
        return []

    def _delete_owned(self, backup: str) -> None:
        for kind in _OWNED:
            for item in self.client.list(kind, f"{BACKUP_LABEL}={valid_name(backup)}"):
                with suppress(ApiError):
                    self.client.delete(kind, item["metadata"]["name"])
