"""The node agents: they move the data of volumes, step by step, as far as the objects tell. No byte is moved.

One that is ordered to fail is a `Flaw` for its kind (`datauploads`, `podvolumebackups`, ...), one that hangs is a hold there.
"""

from collections.abc import Iterable

from simulator.documents import Document, dig
from simulator.velero.claims import capacity, claims_of, size_of
from simulator.velero.client import phase_of
from simulator.velero.controller import Change, Controller

AGENT = "role=node-agent"
ENDED = ("Completed", "Failed", "Canceled")

_FILLED = 0.4
"""How much of a volume is data."""
_FRESH = 0.1
"""How much of the data has changed since the last time."""
_PARTS = 4
"""In how many steps the progress of a movement is told."""


def agents(pods: Iterable[Document]) -> set[str]:
    """Return the nodes of the agents that run."""
    return {str(dig(pod, "spec.nodeName")) for pod in pods if dig(pod, "status.phase") == "Running"}


class _Canceled(Exception):  # noqa: N818 (it is the name of a phase)
    """Somebody has asked for an end."""


class Movement(Controller):
    """Moves the data of one kind of request. Those wait whose node has no agent, or, without a node, while there is none."""

    workers = 4
    snapshots = False
    """Whether a movement ends with a snapshot of its own, rather than begins with one."""
    tick = "agent_tick"

    def keys(self, change: Change) -> Iterable[str]:
        """Return a request that is new; what was begun goes on by itself, or at a tick after a restart."""
        return (change.name,) if change.before is None and change.after is not None else ()

    def ticked(self) -> Iterable[str]:
        """Return what is not finished."""
        return [item["metadata"]["name"] for item in self.client.list(self.kind) if phase_of(item) not in ENDED]

    async def reconcile(self, name: str) -> None:
        """Move the data of one request."""
        await self.velero.work()
        request = self.client.find(self.kind, name)
        if request is None or phase_of(request) in ENDED:
            return
        nodes = agents(self.client.list("pods", AGENT))
        node = dig(request, "spec.node") or (min(nodes) if nodes else "")
        if node not in nodes:
            return
        try:
            await self._move(name, request, node)
        except _Canceled:
            if phase_of(self.client.find(self.kind, name)) == "InProgress":
                await self._write(name, "Canceling")
                await self.velero.work()
            await self._write(name, "Canceled", completionTimestamp=self.client.timestamp())

    async def _move(self, name: str, request: Document, node: str) -> None:
        flaw = self.velero.faults.suffered(self.kind, name)
        accepted = {"acceptedTimestamp": self.client.timestamp()}
        if self.kind in {"datauploads", "datadownloads"}:
            accepted["acceptedByNode"] = node
        if phase_of(request) in {"", "New"}:
            await self._step(name, "Accepted", **accepted)
            await self._step(name, "Prepared")
        total = int(self._size(request) * _FILLED)
        begun = {} if self.kind == "podvolumebackups" else {"node": node}
        progress = {"bytesDone": 0, "totalBytes": total}
        await self._step(name, "InProgress", startTimestamp=self.client.timestamp(), progress=progress, **begun)
        for part in range(1, _PARTS + 1):
            await self.velero.work(self.settings.moving / _PARTS)
            if flaw.errors and part > _PARTS // 2:
                await self._write(name, "Failed", message=flaw.errors[0], completionTimestamp=self.client.timestamp())
                return
            await self._step(name, "InProgress", progress={"bytesDone": total * part // _PARTS, "totalBytes": total})
        ended: Document = {"completionTimestamp": self.client.timestamp(), "path": f"/host_pods/{name}"}
        if self.snapshots:
            ended |= {"snapshotID": request["metadata"]["uid"].replace("-", ""), "incrementalBytes": int(total * _FRESH)}
        await self._write(name, "Completed", **ended)

    def _size(self, request: Document) -> int:
        """Return how large the volume is that a request is about."""
        spec = request["spec"]
        claim, namespace = str(spec.get("sourcePVC", "")), str(spec.get("sourceNamespace", ""))
        if "pod" in spec:
            namespace = spec["pod"]["namespace"]
            pod = self.client.store.find("pods", spec["pod"]["name"], namespace) or {}
            claim = next((name for volume, name in claims_of(pod) if volume == spec["volume"]), "")
        elif "targetVolume" in spec:
            claim, namespace = spec["targetVolume"]["pvc"], spec["targetVolume"]["namespace"]
        found = self.client.store.find("persistentvolumeclaims", claim, namespace) if claim else None
        return capacity(found) if found else size_of("1Gi")

    async def _step(self, name: str, phase: str, **status: object) -> None:
        """Write a phase unless somebody has asked for an end, and take a moment."""
        found = self.client.find(self.kind, name)
        if found is None or dig(found, "spec.cancel"):
            raise _Canceled
        await self._write(name, phase, **status)
        await self.velero.work()

    async def _write(self, name: str, phase: str, **status: object) -> None:
        if self.client.find(self.kind, name) is None:
            return
        self.client.patch_status(self.kind, name, phase=phase, **status)
        await self.velero.faults.reach(self.kind, name, phase)


class DataUploads(Movement):
    """Moves the snapshots of claims into the bucket."""

    kind = "datauploads"
    snapshots = True


class DataDownloads(Movement):
    """Moves them back."""

    kind = "datadownloads"


class PodVolumeBackups(Movement):
    """Copies the volumes of running pods into the bucket."""

    kind = "podvolumebackups"
    snapshots = True


class PodVolumeRestores(Movement):
    """Copies them back."""

    kind = "podvolumerestores"


class Repositories(Controller):
    """Prepares the repositories that data is moved to."""

    kind = "backuprepositories"

    async def reconcile(self, name: str) -> None:
        """Make one repository ready, unless it is."""
        await self.velero.work()
        found = self.client.find(self.kind, name)
        if found is None or phase_of(found):
            return
        self.client.patch(self.kind, name, {"spec": {"maintenanceFrequency": "1h0m0s"}})
        await self.velero.work()
        self.client.patch_status(self.kind, name, phase="Ready", lastMaintenanceTime=self.client.timestamp())
