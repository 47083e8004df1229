"""The restore controllers: one judges and runs a restore and cleans up after a deleted one, two bring it to its end."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from simulator.cloud import StorageError
from simulator.documents import Document, dig
from simulator.velero.client import Client, phase_of
from simulator.velero.controller import Change, Controller, Retry
from simulator.velero.hooks import HookCount
from simulator.velero.items import unpack_archive
from simulator.velero.naming import plugin_error
from simulator.velero.restore_hooks import Command
from simulator.velero.restore_validation import Plan, plan
from simulator.velero.restore_volumes import RestoredVolumes
from simulator.velero.restoring import RestoreReport, Restoring
from simulator.velero.storage import Storage, pack, unpack

FINALIZER = "restores.velero.io/external-resources-finalizer"
WAITING = ("WaitingForPluginOperations", "WaitingForPluginOperationsPartiallyFailed")
FINALIZING = ("Finalizing", "FinalizingPartiallyFailed")

_ENDED = ("Completed", "Failed", "Canceled")
_UNREAD = "restore execution failed: error downloading backup: error copying Backup to temp file: "
_NO_DEPLOYMENT = 'rpc error: code = Unknown desc = deployments.apps "velero" not found'


class RestoreFailed(Exception):  # noqa: N818 (the phase is called so)
    """A restore cannot go on; the text becomes its failure reason."""


class Restores(Controller):
    """Runs restores one after another, and removes what a deleted one has left in the bucket."""

    kind = "restores"

    def keys(self, change: Change) -> Iterable[str]:
        """Return a restore that is new or is being deleted."""
        if change.after is None:
            return ()
        going = "deletionTimestamp" in change.after["metadata"]
        return (change.name,) if going or phase_of(change.after) in {"", "New"} else ()

    def ticked(self) -> Iterable[str]:
        """Return nothing: it has no ticks."""
        return ()

    async def reconcile(self, name: str) -> None:
        """Run one restore, or clean up after it."""
        await self.velero.work()
        restore = self.client.find("restores", name)
        if restore is None:
            return
        if "deletionTimestamp" in restore["metadata"]:
            await self._clean_up(restore)
            return
        if FINALIZER not in restore["metadata"].get("finalizers", ()):
            finalizers = [*restore["metadata"].get("finalizers", ()), FINALIZER]
            restore = self.client.patch("restores", name, {"metadata": {"finalizers": finalizers}})
        if phase_of(restore) in {"", "New"}:
            await self._start(restore)

    async def _start(self, restore: Document) -> None:
        name = restore["metadata"]["name"]
        planned = plan(restore, self.client, self.settings)
        await self.velero.work()
        started = self.client.patch("restores", name, planned.patch(self.client))
        await self.velero.faults.reach("restores", name, phase_of(started))
        if planned.errors:
            return
        try:
            status = await self._run(started, planned)
        except RestoreFailed as failed:
            status = {"phase": "Failed", "failureReason": str(failed), "completionTimestamp": self.client.timestamp()}
        self.client.patch_status("restores", name, **status)
        await self.velero.faults.reach("restores", name, status["phase"])

    async def _run(self, restore: Document, planned: Plan) -> Document:
        name = restore["metadata"]["name"]
        flaw = self.velero.faults.suffered("restores", name)
        storage = self.velero.storage(planned.location)
        report = RestoreReport(("restore", f"{self.client.namespace}/{name}"), self.client.timestamp)
        report.say("starting restore")
        await self.velero.work(self.settings.collecting / 2)
        archive, volumes = self._read(restore, storage, planned.location["metadata"]["name"])
        if flaw.upload:
            raise RestoreFailed(flaw.upload)
        restoring = Restoring(self.velero, restore, archive, planned.rules, volumes, report)
        if self.client.find("deployments.apps", "velero") is None:
            report.complain("error", _NO_DEPLOYMENT, None)
        else:
            await restoring.run()
            self.velero.commands[name] = restoring.commands
            await self._wait_for_pods(volumes, report)
        for text in flaw.errors:
            report.complain("error", text, None)
        for text in flaw.warnings:
            report.complain("warning", text, None)
        report.say("restore completed")
        await self.velero.work(self.settings.uploading)
        self._upload(storage, name, restoring, volumes, report)
        start = WAITING[0] if volumes.operations else FINALIZING[0]
        phase = f"{start}PartiallyFailed" if report.errors else start
        attempted = {"restoreItemOperationsAttempted": len(volumes.operations)} if volumes.operations else {}
        return {**report.counts(), **attempted, "phase": phase}

    def _read(self, restore: Document, storage: Storage, location: str) -> tuple[Any, RestoredVolumes]:
        backup = restore["spec"]["backupName"]
        try:
            archive = unpack_archive(storage.get_file("BackupContents", backup))
        except StorageError as error:
            raise RestoreFailed(f"{_UNREAD}{plugin_error(error)}") from error
        found = [_optional(storage, target, backup) for target in ("BackupVolumeInfos", "PodVolumeBackups")]
        return archive, RestoredVolumes(self.client, restore, location, *found)

    async def _wait_for_pods(self, volumes: RestoredVolumes, report: RestoreReport) -> None:
        """Wait for the node agents to fill the volumes of pods; that is part of running a restore."""
        for name in volumes.pod_restores:
            while (found := self.client.find("podvolumerestores", name)) and phase_of(found) not in _ENDED:
                await self.velero.work()
            if phase_of(found) != "Completed":
                text = f"pod volume restore failed: {dig(found, 'status.message') or 'canceled'}"
                report.complain("error", text, None)

    def _upload(
        self, storage: Storage, name: str, restoring: Restoring, volumes: RestoredVolumes, report: RestoreReport
    ) -> None:
        self.client.check()
        try:
            storage.put_file("RestoreLog", name, report.log())
        except StorageError as error:
            report.complain("error", f"error uploading log file to backup storage: {plugin_error(error)}", None)
        files = {
            "RestoreResults": report.results(),
            "RestoreResourceList": pack(restoring.resource_list()),
            "RestoreItemOperations": pack(volumes.operations),
            "RestoreVolumeInfo": pack(volumes.restored),
        }
        for target, data in files.items():
            try:
                storage.put_file(target, name, data)
            except StorageError:
                continue  # Only the log of the server tells of these.

    async def _clean_up(self, restore: Document) -> None:
        """Remove the files of a deleted restore, then let it go. Raise Retry while its location cannot be reached."""
        name, finalizers = restore["metadata"]["name"], restore["metadata"].get("finalizers", [])
        if FINALIZER not in finalizers:
            return
        location = _location(self.client, restore)
        if location:
            if phase_of(location) != "Available":
                raise Retry(f"backup storage location {location['metadata']['name']} is not available")
            self.client.check()
            try:
                self.velero.storage(location).delete(f"restores/{name}/")
            except StorageError as error:
                raise Retry(plugin_error(error)) from error
        left = [finalizer for finalizer in finalizers if finalizer != FINALIZER]
        self.client.patch("restores", name, {"metadata": {"finalizers": left or None}})


def _location(client: Client, restore: Document) -> Document | None:
    """Return the location of the backup of a restore, if both are there."""
    backup = client.find("backups", dig(restore, "spec.backupName") or "")
    return client.find("backupstoragelocations", dig(backup, "spec.storageLocation") or "") if backup else None


def _optional(storage: Storage, target: str, name: str) -> Any:
    """Return a file that a backup need not have."""
    try:
        return unpack(storage.get_file(target, name)) or []
    except StorageError:
        return []


class RestoreOperations(Controller):
    """Looks at the data that waiting restores wait for now and then, and lets them go on when all of it is there."""

    kind = "restores"
    tick = "operation_sync"

    def keys(self, change: Change) -> Iterable[str]:
        """Return nothing: it looks at its ticks only."""
        del change
        return ()

    def ticked(self) -> Iterable[str]:
        """Return the restores that wait."""
        return [item["metadata"]["name"] for item in self.client.list("restores") if phase_of(item) in WAITING]

    async def reconcile(self, name: str) -> None:
        """Look at the downloads of one restore."""
        await self.velero.work()
        restore = self.client.find("restores", name)
        if restore is None or phase_of(restore) not in WAITING:
            return
        owned = f"velero.io/restore-uid={restore['metadata']['uid']}"
        phases = [phase_of(item) for item in self.client.list("datadownloads", owned)]
        failed = sum(phase in {"Failed", "Canceled"} for phase in phases)
        before = int(dig(restore, "status.restoreItemOperationsFailed") or 0)
        phase = WAITING[1] if failed else phase_of(restore)
        if all(phase in _ENDED for phase in phases):
            phase = FINALIZING[WAITING.index(phase)]
        counts = {"restoreItemOperationsCompleted": phases.count("Completed"), "restoreItemOperationsFailed": failed}
        status: Document = {key: count for key, count in counts.items() if count} | {"phase": phase}
        if failed > before:
            status["errors"] = int(dig(restore, "status.errors") or 0) + failed - before
        self.client.patch_status("restores", name, **status)


class RestoreFinalizer(Controller):
    """Ends restores whose objects and data are there."""

    kind = "restores"

    def keys(self, change: Change) -> Iterable[str]:
        """Return a restore that is to be ended."""
        return (change.name,) if phase_of(change.after) in FINALIZING else ()

    async def reconcile(self, name: str) -> None:
        """Write the last phase of one restore."""
        await self.velero.work()
        restore = self.client.find("restores", name)
        if restore is None or phase_of(restore) not in FINALIZING:
            return
        await self.velero.faults.reach("restores", name, phase_of(restore))
        failed = phase_of(restore) == FINALIZING[1]
        location = _location(self.client, restore)
        more: Document = {}
        if location is None:
            failed = True
        else:
            errors = await self._end_hooks(restore)
            await self.velero.work()
            if errors:
                failed, more = True, {"errors": int(dig(restore, "status.errors") or 0) + len(errors)}
                self._add_errors(self.velero.storage(location), name, errors)
        phase = "PartiallyFailed" if failed else "Completed"
        self.client.patch_status("restores", name, phase=phase, completionTimestamp=self.client.timestamp(), **more)
        await self.velero.faults.reach("restores", name, phase)

    async def _end_hooks(self, restore: Document) -> list[Command]:
        """Wait for the commands of a restore until their time is over, count them, and return those that have failed: all."""
        name = restore["metadata"]["name"]
        asked = self.velero.commands.pop(name, [])
        await self.velero.sleep(max((command.patience for command in asked), default=0.0))
        count = HookCount(len(asked), len(asked))
        self.client.patch_status("restores", name, hookStatus=count.status())
        return asked

    def _add_errors(self, storage: Storage, name: str, failed: list[Command]) -> None:
        results = _optional(storage, "RestoreResults", name) or {"errors": {}, "warnings": {}}
        namespaces = results["errors"].setdefault("namespaces", {})
        for command in failed:
            namespaces.setdefault(command.namespace, []).append(command.failure)
        self.client.check()
        with suppress(StorageError):
            storage.put_file("RestoreResults", name, pack(results))
