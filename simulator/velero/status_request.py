"""Requests for the status of the server."""

from simulator.documents import dig
from simulator.velero.client import phase_of
from simulator.velero.controller import Controller

PLUGINS: tuple[tuple[str, str], ...] = (
    ("velero.io/crd-remap-version", "BackupItemAction"),
    ("velero.io/pod", "BackupItemAction"),
    ("velero.io/pv", "BackupItemAction"),
    ("velero.io/service-account", "BackupItemAction"),
    ("velero.io/csi-pvc-backupper", "BackupItemActionV2"),
    ("velero.io/dataupload-delete", "DeleteItemAction"),
    ("velero.io/aws", "ObjectStore"),
    ("velero.io/add-pv-from-pvc", "RestoreItemAction"),
    ("velero.io/change-storage-class", "RestoreItemAction"),
    ("velero.io/pod-volume-restore", "RestoreItemAction"),
    ("velero.io/service", "RestoreItemAction"),
    ("velero.io/aws", "VolumeSnapshotter"),
)


class StatusRequests(Controller):
    """Answers requests, and removes those that were answered a while ago."""

    kind = "serverstatusrequests"
    tick = "status_request_tick"
    workers = 10

    async def reconcile(self, name: str) -> None:
        """Answer or remove one request."""
        request = self.client.find(self.kind, name)
        if request is None:
            return
        if phase_of(request) in {"", "New"}:
            await self.velero.work()
            self.client.patch_status(
                self.kind, name,
                phase="Processed", processedTimestamp=self.client.timestamp(), serverVersion=self.settings.version,
                plugins=[{"name": plugin, "kind": kind} for plugin, kind in PLUGINS],
            )  # fmt: skip
        elif self.client.age(dig(request, "status.processedTimestamp")) >= self.settings.status_request_age:
            self.client.delete(self.kind, name)
