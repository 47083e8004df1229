"""The backup controller: validates a backup whose turn it is, stores its items, and uploads what it has found."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from simulator.cloud import StorageError
from simulator.documents import Document, merge_patch
from simulator.velero.client import phase_of
from simulator.velero.controller import Change, Controller
from simulator.velero.faults import Flaw
from simulator.velero.hooks import HookCount, run_hooks
from simulator.velero.items import Item, collect, pack_archive, related, resource_list
from simulator.velero.naming import plugin_error
from simulator.velero.operations import counts, new_operation, unfinished
from simulator.velero.report import Report
from simulator.velero.storage import Storage, pack
from simulator.velero.validation import prepare
from simulator.velero.volumes import VolumeOutcome, back_up_volumes

if TYPE_CHECKING:
    from simulator.velero.server import Velero

EMPTY_FILES: Mapping[str, Any] = {
    "BackupVolumeSnapshots": None,
    "BackupVolumeInfos": [],
    "BackupItemOperations": [],
    "PodVolumeBackups": None,
}
"""What a backup without volumes uploads beside its items."""


class BackupFailed(Exception):  # noqa: N818 (the phase is called so)
    """A backup cannot go on; the text becomes its failure reason. `finished` says whether it has a completion time."""

    def __init__(self, reason: str, *, finished: bool) -> None:
        super().__init__(f"backup execution failed: {reason}")
        self.finished = finished


@dataclass(slots=True)
class Run:
    """One backup in progress."""

    backup: Document
    storage: Storage
    report: Report
    flaw: Flaw
    items: list[Item] = field(default_factory=list)
    hooks: HookCount = field(default_factory=HookCount)
    volumes: VolumeOutcome = field(default_factory=VolumeOutcome)

    @property
    def name(self) -> str:
        """The name of the backup."""
        return str(self.backup["metadata"]["name"])

    @property
    def spec(self) -> Document:
        """What the backup is to hold."""
        spec: Document = self.backup["spec"]
        return spec


def as_go_writes(backup: Document) -> Document:
    """Return a backup as Go writes it, where two empty structures are never left out."""
    return {**backup, "spec": {"hooks": {}, "metadata": {}, **backup.get("spec", {})}}


def progress(total: int, done: int = 0) -> dict[str, int]:
    """Return a progress as a status carries it: zero is left out."""
    return {key: number for key, number in (("totalItems", total), ("itemsBackedUp", done)) if number}


class Backups(Controller):
    """Runs backups. One that is ready is noticed when it changes, so one that was ready before the start never is."""

    kind = "backups"

    def __init__(self, velero: Velero) -> None:
        super().__init__(velero)
        self.workers = max(self.settings.concurrent_backups, 1)

    def keys(self, change: Change) -> tuple[str, ...]:
        """Return a backup that was changed and is ready to start."""
        return (change.name,) if change.before is not None and phase_of(change.after) == "ReadyToStart" else ()

    async def reconcile(self, name: str) -> None:
        """Validate and run one backup."""
        await self.velero.faults.reach("backups", name, "ReadyToStart")
        await self.velero.work()
        backup = self.client.find("backups", name)
        if backup is None or phase_of(backup) != "ReadyToStart":
            self.velero.tracker.finished(name)
            return
        request = prepare(backup, self.client, self.settings)
        started = self.client.patch("backups", name, request.patch(self.client))
        if request.errors or request.location is None:
            self.velero.tracker.finished(name)
            return
        self.velero.tracker.started(name)
        report = Report(("backup", f"{self.client.namespace}/{name}"), self.client.timestamp)
        flaw = self.velero.faults.suffered("backups", name)
        try:
            await self.velero.faults.reach("backups", name, "InProgress")
            await self._run(Run(started, self.velero.storage(request.location), report, flaw))
        except BackupFailed as failed:
            status: Document = {"phase": "Failed", "failureReason": str(failed), **report.counts()}
            if failed.finished:
                status["completionTimestamp"] = self.client.timestamp()
            self._conclude(name, status)
        finally:
            self.velero.tracker.left(name)

    async def _run(self, run: Run) -> None:
        self._check_name(run)
        await self._store_items(run)
        status = self._outcome(run)
        await self.velero.work(self.settings.uploading)
        current = self.client.find("backups", run.name) or run.backup
        contents = await asyncio.to_thread(pack_archive, run.items)
        self._upload(run, merge_patch(current, {"status": status}), contents)
        self._conclude(run.name, status)

    def _check_name(self, run: Run) -> None:
        try:
            taken = run.storage.holds(run.name)
        except StorageError as error:
            reason = f"error checking if backup already exists in object storage: {plugin_error(error)}"
            raise BackupFailed(reason, finished=True) from error
        if taken:
            raise BackupFailed("backup already exists in object storage", finished=True)

    # Items

    async def _store_items(self, run: Run) -> None:
        store, say = self.client.store, run.report.say

        say("Collecting items")
        found = collect(store, run.spec, partial(say, level="error"))
        await self.velero.work(self.settings.collecting)
        self.client.patch_status("backups", run.name, progress=progress(len(found)))
        for item in found:
            if run_hooks(store, run.spec, item, "pre", run.hooks, run.report):
                run.items.append(item)
                run_hooks(store, run.spec, item, "post", run.hooks, run.report)
            say("Backing up item", namespace=item.namespace, resource=item.kind.resource, name=item.name)
        extra = related(store, run.spec, run.items)
        run.items += extra
        total = len(found) + len(extra)
        await self._progress(run.name, total)
        run.volumes = await back_up_volumes(self.velero, run.backup, run.items, run.report)
        for text in run.flaw.errors:
            say("Error backing up item", level="error", error=text)
        for text in run.flaw.warnings:
            say(text, level="warning")
        say(f"Backed up a total of {total} items")
        self.client.patch_status("backups", run.name, progress=progress(total, total), hookStatus=run.hooks.status())

    async def _progress(self, name: str, total: int) -> None:
        """Spend the time that the items take, and say now and then how far it is."""
        per_item = self.settings.per_item
        batch = max(int(self.settings.progress_period / per_item), 1) if per_item else total
        done = 0
        while total - done > batch:
            await self.velero.work(batch * per_item)
            done += batch
            self.client.patch_status("backups", name, progress=progress(total, done))
        await self.velero.work((total - done) * per_item)

    # The end

    def _outcome(self, run: Run) -> Document:
        """Return what the items come to, and add the operations that a test ordered."""
        operations = run.volumes.operations
        for number in range(run.flaw.operations):
            claim = {"groupResource": "persistentvolumeclaims", "namespace": "", "name": f"ordered-{number + 1}"}
            fails = number < run.flaw.failed_operations
            operations.append(new_operation(run.backup, claim, self.client.timestamp(), fails=fails))
        start = "WaitingForPluginOperations" if unfinished(operations) else "Finalizing"
        phase = f"{start}PartiallyFailed" if run.report.errors else start
        return {**run.volumes.status, **counts(operations), **run.report.counts(), "phase": phase}

    @staticmethod
    def _upload(run: Run, backup: Document, contents: bytes) -> None:
        if run.flaw.upload:
            raise BackupFailed(run.flaw.upload, finished=False)
        files = {**EMPTY_FILES, "BackupResourceList": resource_list(run.items), **run.volumes.files}
        if run.volumes.operations:
            files["BackupItemOperations"] = run.volumes.operations
        packed = {target: pack(value) for target, value in files.items()} | {
            "BackupResults": run.report.results(),
            "BackupContents": contents,
        }
        try:
            run.storage.put_file("BackupLog", run.name, run.report.log())
            run.storage.put_metadata(as_go_writes(backup))
            for target, data in packed.items():
                run.storage.put_file(target, run.name, data)
        except StorageError as error:
            with suppress(StorageError):
                run.storage.forget(run.name)
            raise BackupFailed(plugin_error(error), finished=False) from error

    def _conclude(self, name: str, status: Document) -> None:
        """Write how the run ended, and free its place, which the queue may not notice."""
        if self.velero.faults.loses_wake_up() or self.velero.chance.random() < self.settings.lost_wake_ups:
            self.velero.tracker.miss(name)
        if status["phase"] != "Failed":
            self.velero.tracker.finishing(name)
        self.client.patch_status("backups", name, **status)
        self.velero.tracker.left(name)
