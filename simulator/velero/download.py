"""Requests for downloads: a signed URL for some time."""

from simulator.cloud import StorageError
from simulator.documents import Document, dig
from simulator.velero.client import moment, phase_of
from simulator.velero.controller import Controller, Retry
from simulator.velero.naming import plugin_error
from simulator.velero.storage import FILES


class Downloads(Controller):
    """Answers requests, whether the file exists or not, and removes them when they have expired.

    A request for a backup or restore that is not there gets an expiration and never a phase.
    """

    kind = "downloadrequests"
    tick = "download_tick"

    async def reconcile(self, name: str) -> None:
        """Answer or remove one request."""
        request = self.client.find(self.kind, name)
        if request is None:
            return
        expires = moment(dig(request, "status.expiration"))
        if expires is not None and expires < self.client.now():
            self.client.delete(self.kind, name)
        elif phase_of(request) in {"", "New"}:
            await self.velero.work()
            self._answer(name, request)

    def _answer(self, name: str, request: Document) -> None:
        kind, subject = str(dig(request, "spec.target.kind")), str(dig(request, "spec.target.name"))
        seconds = self.settings.download_expiry
        if dig(request, "status.expiration") is None:
            expiration = self.client.timestamp(seconds)
        else:
            expiration = request["status"]["expiration"]
        location = self._location(kind, subject)
        if location is None or kind not in FILES:
            self.client.patch_status(self.kind, name, expiration=expiration)
            raise Retry(f"nothing to download for {kind} {subject}")
        try:
            url = self.velero.storage(location).sign(kind, subject, seconds)
        except StorageError as error:
            raise Retry(plugin_error(error)) from error
        self.client.patch_status(self.kind, name, phase="Processed", downloadURL=url, expiration=expiration)

    def _location(self, kind: str, subject: str) -> Document | None:
        backup = subject
        if kind.startswith("Restore"):
            backup = str(dig(self.client.find("restores", subject) or {}, "spec.backupName") or "")
        found = self.client.find("backups", backup)
        return self.client.find("backupstoragelocations", str(dig(found or {}, "spec.storageLocation") or ""))
