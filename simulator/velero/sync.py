"""Synchronisation: backups that another cluster, or an earlier life of this one, has left in a bucket."""

import logging

from simulator.cloud import StorageError
from simulator.documents import Document, dig, without
from simulator.errors import ApiError
from simulator.velero.backup import as_go_writes
from simulator.velero.client import moment, phase_of
from simulator.velero.controller import Controller, Retry
from simulator.velero.durations import parse_duration
from simulator.velero.naming import plugin_error, valid_name
from simulator.velero.storage import Storage, unpack
from simulator.velero.validation import LOCATION_LABEL

_NOT_FINISHED = frozenset((
    "WaitingForPluginOperations", "WaitingForPluginOperationsPartiallyFailed", "Finalizing", "FinalizingPartiallyFailed",
))  # fmt: skip
_ORPHANS = ("Completed", "PartiallyFailed")
_OF_ANOTHER_LIFE = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "ownerReferences")

log = logging.getLogger("simulator.velero")


class BackupSync(Controller):
    """Brings the backups of each location in line with its bucket: missing ones are created, orphans deleted."""

    kind = "backupstoragelocations"
    tick = "sync_tick"
    heeds_changes = False

    def ticked(self) -> list[str]:
        """Return the locations whose time has come, the default one first."""
        due = [item for item in self.client.list(self.kind) if self._due(item)]
        due.sort(key=lambda item: not dig(item, "spec.default"))
        return [item["metadata"]["name"] for item in due]

    def _due(self, location: Document) -> bool:
        wanted = dig(location, "spec.backupSyncPeriod")
        period = self.settings.sync_period if wanted is None else parse_duration(wanted)
        return period > 0 and self.velero.due(dig(location, "status.lastSyncedTime"), period)

    async def reconcile(self, name: str) -> None:
        """Synchronise one location, if it can be used."""
        location = self.client.find(self.kind, name)
        if location is None or phase_of(location) != "Available":
            return
        await self.velero.faults.reach(self.kind, name, "Syncing")
        storage = self.velero.storage(location)
        try:
            names = storage.directories("backups/")
            known = {item["metadata"]["name"] for item in self.client.list("backups")}
            for backup in names:
                if backup not in known:
                    await self._bring(backup, storage, location)
        except StorageError as error:
            raise Retry(plugin_error(error)) from error
        self._delete_orphans(name, frozenset(names))
        self.client.patch_status(self.kind, name, lastSyncedTime=self.client.timestamp())

    async def _bring(self, name: str, storage: Storage, location: Document) -> None:
        try:
            found = storage.metadata(name)
            status = found.get("status", {})
            if status.get("phase") in _NOT_FINISHED:
                expires = moment(status.get("expiration"))
                if expires is None or expires > self.client.now():
                    return
                status = {**status, "phase": "PartiallyFailed"}
            await self.velero.work()
            created = self.client.create("backups", self._copy(found, status, location))
            self._bring_volumes(created, storage)
        except (ValueError, KeyError, ApiError) as error:
            log.warning("%s: backup %s cannot be synchronised: %s", self.velero.cluster.name, name, error)
        except StorageError as error:
            if error.code != "NoSuchKey":
                raise

    def _copy(self, found: Document, status: Document, location: Document) -> Document:
        """Return a backup as it is created here: of another life, in the location that this cluster knows."""
        place = location["metadata"]["name"]
        metadata = without(found["metadata"], _OF_ANOTHER_LIFE) | {"namespace": self.client.namespace}
        metadata["labels"] = {**metadata.get("labels", {}), LOCATION_LABEL: valid_name(place)}
        owners = [owner for owner in found["metadata"].get("ownerReferences", ()) if self._knows(owner)]
        if owners:
            metadata["ownerReferences"] = owners
        spec = {**found.get("spec", {}), "storageLocation": place}
        return as_go_writes({**found, "metadata": metadata, "spec": spec, "status": status})

    def _knows(self, owner: Document) -> bool:
        schedule = self.client.find("schedules", owner["name"]) if owner.get("kind") == "Schedule" else None
        return schedule is not None and schedule["metadata"]["uid"] == owner.get("uid")

    def _bring_volumes(self, backup: Document, storage: Storage) -> None:
        """Create the PodVolumeBackups of a backup, which belong to its copy here."""
        metadata = backup["metadata"]
        try:
            found: list[Document] = unpack(storage.get_file("PodVolumeBackups", metadata["name"])) or []
        except StorageError:
            return
        owner = {"apiVersion": "velero.io/v1", "kind": "Backup", "name": metadata["name"], "uid": metadata["uid"]}
        for item in found:
            own = without(item["metadata"], _OF_ANOTHER_LIFE) | {
                "namespace": self.client.namespace, "ownerReferences": [owner | {"controller": True}],
            }  # fmt: skip
            own["labels"] = {**own.get("labels", {}), "velero.io/backup-uid": metadata["uid"]}
            self.client.create("podvolumebackups", {**item, "metadata": own})

    def _delete_orphans(self, location: str, names: frozenset[str]) -> None:
        for backup in self.client.list("backups", f"{LOCATION_LABEL}={valid_name(location)}"):
            name = backup["metadata"]["name"]
            if name not in names and phase_of(backup) in _ORPHANS:
                self.client.delete("backups", name)
