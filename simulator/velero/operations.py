"""Operations that go on after the items of a backup are stored, such as moving the data of volumes."""

import uuid
from collections.abc import Iterable

from simulator.cloud import StorageError
from simulator.documents import Document, dig
from simulator.velero.client import Client, phase_of
from simulator.velero.controller import Controller, Retry
from simulator.velero.naming import plugin_error
from simulator.velero.storage import FILES, Storage, pack, unpack

WAITING = ("WaitingForPluginOperations", "WaitingForPluginOperationsPartiallyFailed")
OPERATION_LABEL = "velero.io/async-operation-id"
PLUGIN = "velero.io/csi-pvc-backupper"

_DONE = ("Completed", "Failed", "Canceled")
_STEPS = 2
"""How often an operation that a test ordered is looked at before it ends."""


def new_operation(backup: Document, item: Document, created: str, *, fails: bool = False, operation: str = "") -> Document:
    """Return an operation on an item (`groupResource`, `namespace`, `name`) as the list of a backup holds it.

    An operation goes on as the DataUpload does that is labelled with its id. One without is an order of a test: it ends after
    a few looks, well or not.
    """
    metadata = backup["metadata"]
    return {
        "spec": {
            "backupName": metadata["name"],
            "backupUID": metadata["uid"],
            "backupItemAction": PLUGIN,
            "resourceIdentifier": item,
            "operationID": operation or f"ordered-{'failure' if fails else 'success'}-{uuid.uuid4()}",
        },
        "status": {"phase": "New", "operationUnits": "Byte", "nTotal": 0, "nCompleted": 0, "created": created},
    }


def counts(operations: Iterable[Document]) -> Document:
    """Return the counters as the status of a backup carries them: zero is left out."""
    phases = [operation["status"]["phase"] for operation in operations]
    numbers = {
        "backupItemOperationsAttempted": len(phases),
        "backupItemOperationsCompleted": phases.count("Completed"),
        "backupItemOperationsFailed": phases.count("Failed") + phases.count("Canceled"),
    }
    return {key: number for key, number in numbers.items() if number}


def unfinished(operations: Iterable[Document]) -> bool:
    """Tell whether anything still goes on."""
    return any(operation["status"]["phase"] not in _DONE for operation in operations)


def look(client: Client, operation: Document) -> str:
    """Bring the status of one operation up to date; return why it has failed, if it just has."""
    status, name = operation["status"], operation["spec"]["operationID"]
    if status["phase"] in _DONE:
        return ""
    uploads = client.list("datauploads", f"{OPERATION_LABEL}={name}")
    if uploads:
        _follow(status, uploads[0])
    elif name.startswith("ordered-"):
        _step(status, fails=name.startswith("ordered-failure"))
    else:
        status |= {"phase": "Failed", "error": f"did not find DataUpload for operation {name}"}
    status["updated"] = client.timestamp()
    status.setdefault("started", status["updated"])
    return f"{status['error']}, plugin: {PLUGIN}" if status["phase"] == "Failed" else ""


def _follow(status: Document, upload: Document) -> None:
    progress = dig(upload, "status.progress") or {}
    status |= {"nTotal": progress.get("totalBytes", 0), "nCompleted": progress.get("bytesDone", 0)}
    match phase_of(upload):
        case "Completed":
            status["phase"] = "Completed"
        case "Failed" | "Canceled":
            status |= {"phase": "Failed", "error": str(dig(upload, "status.message") or "data upload was canceled")}
        case _:
            status["phase"] = "InProgress"


def _step(status: Document, *, fails: bool) -> None:
    done = status["nCompleted"] + 1
    status |= {"phase": "InProgress", "nTotal": _STEPS, "nCompleted": done}
    if done >= _STEPS:
        status |= {"phase": "Failed", "error": "data upload failed"} if fails else {"phase": "Completed"}


class BackupOperations(Controller):
    """Looks at the operations of waiting backups now and then, and lets the backups go on when all have ended."""

    kind = "backups"
    tick = "operation_sync"
    heeds_changes = False

    def ticked(self) -> Iterable[str]:
        """Return the backups that wait."""
        return [item["metadata"]["name"] for item in self.velero.known("backups") if phase_of(item) in WAITING]

    async def reconcile(self, name: str) -> None:
        """Look at the operations of one backup."""
        await self.velero.faults.reach("backups", name, phase_of(self.client.find("backups", name)))
        backup = self.client.find("backups", name)
        if backup is None or phase_of(backup) not in WAITING:
            return
        location = self.client.find("backupstoragelocations", dig(backup, "spec.storageLocation") or "")
        if location is None or dig(location, "spec.accessMode") == "ReadOnly":
            self.client.patch_status("backups", name, phase="PartiallyFailed")
            self.velero.tracker.finished(name)
            return
        storage = self.velero.storage(location)
        try:
            await self._update(backup, storage)
        except StorageError as error:
            raise Retry(plugin_error(error)) from error

    async def _update(self, backup: Document, storage: Storage) -> None:
        name = backup["metadata"]["name"]
        operations = unpack(storage.get_file("BackupItemOperations", name))
        failures = [problem for operation in operations if (problem := look(self.client, operation))]
        phase = WAITING[1] if failures else phase_of(backup)
        if not unfinished(operations):
            phase = "Finalizing" if phase == WAITING[0] else "FinalizingPartiallyFailed"
        status: Document = counts(operations) | {"phase": phase}
        if failures:
            status["errors"] = self._errors(backup) + len(failures)
        await self.velero.work()
        storage.put(FILES["BackupItemOperations"].format(name=name), pack(operations))
        if phase != WAITING[0]:
            storage.put_metadata({**backup, "status": backup["status"] | status})
        self.client.patch_status("backups", name, **status)

    @staticmethod
    def _errors(backup: Document) -> int:
        return int(dig(backup, "status.errors") or 0)
