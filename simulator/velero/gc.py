"""Garbage collection: expired backups are asked to be deleted, or labelled with the reason why they are not."""

from collections.abc import Iterable

from simulator.documents import Document, dig
from simulator.velero.client import moment, phase_of
from simulator.velero.controller import Change, Controller
from simulator.velero.deletion import BACKUP_LABEL, UID_LABEL, deletion_request
from simulator.velero.naming import valid_name

FAILURE_LABEL = "velero.io/gc-failure"


class GarbageCollection(Controller):
    """Looks at every backup when it appears and at its ticks, whatever its phase."""

    kind = "backups"
    tick = "gc_frequency"

    def keys(self, change: Change) -> Iterable[str]:
        """Return a backup that has appeared."""
        return (change.name,) if change.before is None else ()

    async def reconcile(self, name: str) -> None:
        """Collect one backup if it has expired."""
        backup = self.client.find("backups", name)
        expires = moment(dig(backup or {}, "status.expiration"))
        if backup is None or expires is None or expires > self.client.now():
            return
        await self.velero.work()
        place = str(dig(backup, "spec.storageLocation") or "")
        location = self.client.find("backupstoragelocations", place)
        if location is None:
            self._label(name, "BSLNotFound")
        elif dig(location, "spec.accessMode") == "ReadOnly":
            self._label(name, "BSLReadOnly")
        elif phase_of(location) == "Available":
            # Velero puts the whole object here, so that structures appear which Go never leaves out.
            self.client.patch("backups", name, {"metadata": {"labels": {FAILURE_LABEL: None}}, "spec": _as_put(backup)})
            if not self._asked(backup):
                self.client.create("deletebackuprequests", deletion_request(backup))

    def _label(self, name: str, reason: str) -> None:
        self.client.patch("backups", name, {"metadata": {"labels": {FAILURE_LABEL: reason}}})

    def _asked(self, backup: Document) -> bool:
        metadata = backup["metadata"]
        selector = f"{BACKUP_LABEL}={valid_name(metadata['name'])},{UID_LABEL}={metadata['uid']}"
        return any(phase_of(item) != "Processed" for item in self.client.list("deletebackuprequests", selector))


def _as_put(backup: Document) -> Document:
    return {field: {} for field in ("hooks", "metadata") if field not in backup.get("spec", {})}
