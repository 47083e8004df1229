"""The stage under judgement: simulated clusters with a simulated Velero, in a thread of their own and in quick motion."""

import asyncio
import base64
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from types import TracebackType
from typing import Any, Self

from simulator import Manner, SimulatedCluster
from simulator.cloud import Cloud
from simulator.store import utc_now
from simulator.velero import Settings, Velero
from tests.conformance.manifests import Json, of_velero, unique
from tests.conformance.stage import Cluster
from tests.conformance.story import Pace, phase_of
from tests.e2e.real.access import Access
from tests.e2e.real.api import KubeApi
from tests.e2e.real.installation import manifest
from tests.e2e.real.pki import Pki
from tests.e2e.real.s3 import CREDENTIALS
from tests.support.waiting import PATIENCE

SPEED = 20.0
"""How many of Velero's seconds pass in one of ours. A minute's tick comes every 3 s."""
BUCKET, VAULT = "velero", "vault"

# As the real stage is started, see VELERO_PACE there.
SETTINGS = Settings(
    speed=SPEED, concurrent_backups=10, sync_period=5, store_validation=5, gc_frequency=10, operation_sync=1, lost_wake_ups=0
)


class Clock:
    """The time of all simulated clusters, which passes as quickly as their Velero works."""

    def __init__(self) -> None:
        self._began, self._start = utc_now(), time.monotonic()

    def now(self) -> datetime:
        return self._began + timedelta(seconds=SPEED * (time.monotonic() - self._start))


class Loop:
    """An event loop in a thread, which scenarios hand their work to."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="simulated stage", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any], timeout: float = PATIENCE) -> Any:
        """The outcome of a coroutine."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


class SimulatedHands:
    """Calls into the simulator, made in its own thread."""

    def __init__(self, loop: Loop, cluster: SimulatedCluster, cloud: Cloud, velero: Velero, api: KubeApi, prefix: str) -> None:
        self._loop, self._cluster, self._cloud, self._velero, self._api = loop, cluster, cloud, velero, api
        self._root = f"{prefix}/" if prefix else ""

    def start_velero(self) -> None:
        self.launch_velero()

    def launch_velero(self) -> None:
        async def launch() -> None:
            if not self._velero.running:
                await self._velero.start()

        self._loop.run(launch())

    def kill_velero(self) -> None:
        async def kill() -> None:
            self._velero.kill()

        self._loop.run(kill())

    def cut_velero(self) -> None:
        raise NotImplementedError("there is no link to cut")

    def mend_velero(self) -> None:
        raise NotImplementedError("there is no link to mend")

    def start_apiserver(self) -> None:
        async def start() -> None:
            self._cluster.compact()  # the watch cache of a new process begins where it was started
            await self._cluster.start()

        self._loop.run(start())

    def kill_apiserver(self) -> None:
        self._loop.run(self._cluster.stop())

    def hold_work(self) -> None:
        async def hold() -> None:
            for kind in ("backups", "restores"):
                self._velero.faults.hold("*", "InProgress", kind=kind)

        self._loop.run(hold())

    def release_work(self) -> None:
        async def release() -> None:
            self._velero.faults.release("*")

        self._loop.run(release())

    def close_storage(self) -> None:
        self._cloud.faults.down = True

    def open_storage(self) -> None:
        self._cloud.faults.down = False

    def keys(self, prefix: str) -> list[str]:
        async def keys() -> list[str]:
            return self._cloud.keys(BUCKET, self._root + prefix)

        return [key.removeprefix(self._root) for key in self._loop.run(keys())]

    def make_volume(self, zone: str) -> str:
        return f"vol-{unique(zone)}"

    def await_binding(self, claim: str) -> None:
        found = self._api.get(claim)
        reference = {"namespace": found["metadata"]["namespace"], "name": found["metadata"]["name"]}
        self._api.patch(f"/api/v1/persistentvolumes/{found['spec']['volumeName']}", {"spec": {"claimRef": reference}})
        self._api.patch(f"{claim}/status", {"status": {"phase": "Bound"}})

    def location(self, **objects: str) -> Json:
        return location(self._cloud, **objects)

    def locked(self, *, secure: bool = False, **objects: str) -> Json:
        spec = self.location(**{"bucket": VAULT, **objects})
        spec["config"]["s3Url"] = self._cloud.url.replace("http:", "https:") if secure else self._cloud.url
        return spec

    def authority(self) -> str:
        return base64.b64encode(self._cloud.authority).decode()

    def admit(self, identity: str, secret: str) -> None:
        self._cloud.doors.admit(VAULT, identity, secret)

    def dismiss(self, identity: str) -> None:
        self._cloud.doors.dismiss(VAULT, identity)


def location(cloud: Cloud, **objects: str) -> Json:
    """The spec of a location on the bucket of a cloud, without those `objects` that are empty."""
    return {
        "provider": "aws",
        "objectStorage": {"bucket": BUCKET, **{key: value for key, value in objects.items() if value}},
        "accessMode": "ReadWrite",
        "default": False,
        "config": {"region": "us-east-1", "s3ForcePathStyle": "true", "s3Url": cloud.url},
    }


def installation(cloud: Cloud, prefix: str, access_mode: str) -> list[Json]:
    """What `velero install` would make, as far as it matters here."""
    template = {"metadata": {"labels": {"deploy": "velero"}}, "spec": {"containers": []}}
    deployment = {"replicas": 0, "selector": {"matchLabels": {"deploy": "velero"}}, "template": template}
    return [
        manifest("Secret", "cloud-credentials", stringData={"cloud": CREDENTIALS}),
        manifest("Deployment", "velero", "apps/v1", spec=deployment),
        of_velero(
            "BackupStorageLocation",
            "default",
            spec=location(cloud, prefix=prefix) | {"default": True, "accessMode": access_mode},
        ),
        of_velero("VolumeSnapshotLocation", "default", spec={"provider": "aws", "config": {"region": "us-east-1"}}),
    ]


class SimulatedStage:
    """Three simulated clusters and two clouds; the same names and sharing as on the real stage."""

    name = "simulated"

    def __init__(self) -> None:
        self._loop, self._clock, self._running = Loop(), Clock(), AsyncExitStack()

    def __enter__(self) -> Self:
        shared, own = (self._loop.run(self._open_cloud()) for _ in range(2))
        self.writer = self._open("eu1", shared)
        self.reader = self._open("us1", shared, access_mode="ReadOnly")
        self.fragile = self._open("ap1", own, prefix="ap1")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.run(self._running.aclose())
        self._loop.close()

    async def _open_cloud(self) -> Cloud:
        cloud = await self._running.enter_async_context(Cloud(now=self._clock.now))
        for bucket in (BUCKET, VAULT):
            cloud.make_bucket(bucket)
        cloud.doors.lock(VAULT)
        with TemporaryDirectory() as directory:
            cloud.authority = Pki(Path(directory)).ca.read_bytes()
        return cloud

    def _open(self, name: str, cloud: Cloud, *, prefix: str = "", access_mode: str = "ReadWrite") -> Cluster:
        manner = Manner(bookmark_interval=60 / SPEED)
        cluster = SimulatedCluster(name, now=self._clock.now, manner=manner)
        self._loop.run(self._running.enter_async_context(cluster))
        api = KubeApi(Access(cluster.url))
        for item in installation(cloud, prefix, access_mode):
            api.create(item)
        velero = Velero(cluster, cloud, SETTINGS)
        self._loop.run(self._running.enter_async_context(velero))
        hands = SimulatedHands(self._loop, cluster, cloud, velero, api, prefix)
        found = Cluster(name, api, hands, Pace(SPEED, least=PATIENCE))
        found.eventually("the location", lambda: phase_of(found.get("backupstoragelocations", "default")) == "Available")
        return found
