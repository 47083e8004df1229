"""The locations of backups: whether each can be used, and which one is the default."""

from simulator.cloud import StorageError
from simulator.documents import Document, dig
from simulator.velero.client import phase_of
from simulator.velero.controller import Change, Controller
from simulator.velero.durations import parse_duration
from simulator.velero.naming import plugin_error
from simulator.velero.storage import TOP_LEVEL, Storage


class LocationProblem(Exception):  # noqa: N818 (it is a finding)
    """Why a location cannot be used."""


def inspect(storage: Storage) -> None:
    """Look at what lies in a location. Raise LocationProblem."""
    try:
        strange = [name for name in storage.directories() if name not in TOP_LEVEL]
    except StorageError as error:
        raise LocationProblem(plugin_error(error)) from error
    if strange:
        raise LocationProblem(f"Backup store contains invalid top-level directories: [{' '.join(strange)}]")


class Locations(Controller):
    """Validates locations when they are made or changed, and as often as each wants it."""

    kind = "backupstoragelocations"
    tick = "location_tick"

    def keys(self, change: Change) -> tuple[str, ...]:
        """Return a location whose spec is new."""
        if change.after is None or (change.before or {}).get("spec") == change.after["spec"]:
            return ()
        return (change.name,)

    def ticked(self) -> list[str]:
        """Return the locations whose time has come."""
        return [item["metadata"]["name"] for item in self.client.list(self.kind) if self._due(item)]

    def _due(self, location: Document) -> bool:
        wanted = dig(location, "spec.validationFrequency")
        period = self.settings.store_validation if wanted is None else parse_duration(wanted)
        last = dig(location, "status.lastValidationTime")
        return last is None or (period > 0 and self.velero.due(last, period))

    async def reconcile(self, name: str) -> None:
        """Validate one location, and see to it that one location at most is the default."""
        await self.velero.work()
        location = self.client.find(self.kind, name)
        if location is None:
            return
        await self.velero.faults.reach(self.kind, name, phase_of(location) or "New")
        location = self.client.find(self.kind, name)
        if location is None:
            return
        self._keep_one_default()
        status: Document = {"phase": "Available", "message": None}
        try:
            inspect(self.velero.storage(location))
        except LocationProblem as problem:
            status = {"phase": "Unavailable", "message": f'BackupStorageLocation "{name}" is unavailable: {problem}'}
        self.client.patch_status(self.kind, name, **status, lastValidationTime=self.client.timestamp())

    def _keep_one_default(self) -> None:
        defaults = [item for item in self.client.list(self.kind) if dig(item, "spec.default")]
        defaults.sort(key=lambda item: str(item["metadata"]["creationTimestamp"]))
        for item in defaults[:-1]:
            self.client.patch(self.kind, item["metadata"]["name"], {"spec": {"default": None}})
