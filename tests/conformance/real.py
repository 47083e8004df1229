"""The stage that is right by definition: real API servers and a real Velero."""

import base64
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.conformance.manifests import Json
from tests.conformance.stage import Cluster
from tests.conformance.story import Pace, phase_of
from tests.e2e.real.api import velero_path
from tests.e2e.real.cluster import RealCluster
from tests.e2e.real.fleet import Fleet
from tests.e2e.real.installation import storage_location
from tests.e2e.real.s3 import VAULT
from tests.e2e.real.waiting import eventually


class RealHands:
    """Signals to processes."""

    def __init__(self, cluster: RealCluster) -> None:
        self._cluster, self._s3 = cluster, cluster.s3
        self.start_velero: Callable[[], None] = cluster.start_velero
        self.launch_velero: Callable[[], None] = cluster.launch_velero
        self.kill_velero: Callable[[], None] = cluster.kill_velero
        self.cut_velero: Callable[[], None] = cluster.cut_velero
        self.mend_velero: Callable[[], None] = cluster.mend_velero
        self.start_apiserver: Callable[[], None] = cluster.start_apiserver
        self.kill_apiserver: Callable[[], None] = cluster.kill_apiserver
        # A frozen storage accepts connections and answers nothing, so whoever has begun with it does not come to an end.
        self.hold_work: Callable[[], None] = cluster.s3.pause
        self.release_work: Callable[[], None] = cluster.s3.resume
        self.close_storage: Callable[[], None] = cluster.s3.kill
        self.open_storage: Callable[[], None] = cluster.s3.open

    def keys(self, prefix: str) -> list[str]:
        """Below the prefix that this cluster writes to."""
        root = f"{self._cluster.prefix}/" if self._cluster.prefix else ""
        return [key.removeprefix(root) for key in self._s3.keys(root + prefix)]

    def make_volume(self, zone: str) -> str:
        """One gibibyte."""
        return self._s3.make_volume(zone)

    def await_binding(self, claim: str) -> None:
        """The controller manager binds it."""
        eventually(f"{claim} to be bound", lambda: phase_of(self._cluster.api.get(claim)) == "Bound")

    def location(self, **objects: str) -> Json:
        """As the default one, but for the given parts of objectStorage."""
        spec: Json = storage_location("any", self._s3, "")["spec"]
        spec["objectStorage"] |= objects
        return spec

    def locked(self, *, secure: bool = False, **objects: str) -> Json:
        """Behind the gate, in a bucket of its own."""
        gate = self._s3.gate
        spec = self.location(**{"bucket": VAULT, **objects})
        spec["config"]["s3Url"] = gate.tls_url if secure else gate.url
        return spec

    def authority(self) -> str:
        """Of the gate."""
        return base64.b64encode(self._s3.pki.ca.read_bytes()).decode()

    def admit(self, identity: str, secret: str) -> None:
        """By the gate."""
        self._s3.gate.secrets[identity] = secret

    def dismiss(self, identity: str) -> None:
        """By the gate."""
        self._s3.gate.secrets.pop(identity, None)


class RealStage:
    """Two fleets: the pair that shares a bucket, and the one cluster that may be hurt."""

    name = "real"

    def __init__(self, directory: Path) -> None:
        (directory / "pair").mkdir()
        (directory / "fragile").mkdir()
        self._fleets = (
            Fleet(directory / "pair", ("eu1", "us1"), own_prefix=False),
            Fleet(directory / "fragile", ("ap1",)),
        )
        self.writer, self.reader, self.fragile = (
            Cluster(cluster.name, cluster.api, RealHands(cluster), Pace())
            for fleet in self._fleets
            for cluster in fleet.clusters.values()
        )
        self._running = ExitStack()

    def __enter__(self) -> Self:
        """Start all, side by side: about 15 s."""
        with ThreadPoolExecutor() as workers:
            list(workers.map(self._running.enter_context, self._fleets))
        location = velero_path("backupstoragelocations", "default")
        self.reader.api.patch(location, {"spec": {"accessMode": "ReadOnly"}})
        eventually("the reader to be ready", lambda: phase_of(self.reader.api.get(location)) == "Available")
        return self

    def complaints(self) -> str:
        """What each Velero has logged as an error, the latest last."""
        logs = {cluster.name: cluster.directory / "velero.log" for fleet in self._fleets for cluster in fleet.clusters.values()}
        errors = {
            name: [line for line in log.read_text(errors="replace").splitlines() if '"level":"error"' in line]
            for name, log in logs.items()
        }
        return "\n\n".join("\n".join([name, *lines[-8:]]) for name, lines in errors.items())

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._running.close()
