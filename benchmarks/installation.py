"""The product as in production, on this machine: each service a process, permissions and tokens on, simulated clusters."""

import asyncio
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import httpx2
import yaml

from services.executor.clusters import reach
from services.executor.kube import BACKUPS, Kind, KubeClient, Object
from services.executor.settings import ClusterSettings
from shared.messaging.connection import Connection, connect
from shared.messaging.topology import EVENTS, STATUS_EVENTS
from shared.runtime.health import Health
from tests.e2e.product import Product, until
from tests.support.servers import die_with_parent

CLUSTER: Final = "eu1"
_LOOK: Final = 0.02
_MERGE: Final = {"Content-Type": "application/merge-patch+json"}


class Installation(Product):
    """The product at the pace of production, one cluster unless told otherwise."""

    pace: Mapping[str, str] = {"LEEWARD_LOG__LEVEL": "info"}  # type: ignore[assignment]  # only read


@contextlib.contextmanager
def directory() -> Iterator[Path]:
    """Return a directory that goes with the benchmark."""
    with tempfile.TemporaryDirectory(prefix="leeward-bench-") as path:
        yield Path(path)


@contextlib.contextmanager
def clusters(path: Path, *names: str) -> Iterator[tuple[Path, int]]:
    """Serve simulated clusters in a process of their own; yields the kubeconfig that has a context for each, and the pid."""
    kubeconfig = path / f"{names[0]}.kubeconfig"
    command = [sys.executable, "-m", "benchmarks.clusters", "--names", ",".join(names), "--kubeconfig", str(kubeconfig)]
    with (path / f"{names[0]}.clusters.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=die_with_parent)  # noqa: PLW1509, S603 - own child
    try:
        until("the clusters listen", lambda: process.poll() is not None or kubeconfig.exists(), 120)
        if process.poll() is not None:
            raise RuntimeError((path / f"{names[0]}.clusters.log").read_text())
        yield kubeconfig, process.pid
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def installed(*names: str) -> Iterator[Installation]:
    """Run simulated clusters and the product for them."""
    served = names or (CLUSTER,)
    with directory() as path, clusters(path, *served) as (kubeconfig, _), Installation(path, kubeconfig, served) as product:
        yield product


@contextlib.asynccontextmanager
async def api_server(product: Product, cluster: str = CLUSTER) -> AsyncIterator["ApiServer"]:
    """Reach a cluster past the product, with the client that the product uses."""
    config = yaml.safe_load(product.kubeconfig.read_text())
    url = next(c["cluster"]["server"] for c in config["clusters"] if c["name"] == cluster)
    settings = ClusterSettings(id=cluster, kubeconfig=product.kubeconfig)
    async with reach(settings, 10.0, 10.0) as kube, httpx2.AsyncClient(base_url=url, timeout=30) as client:
        yield ApiServer(kube, client)


async def drained(connection: Connection, patience: float) -> None:
    """Wait until status has folded and acked every event.

    Raises TimeoutError when that takes longer.
    """
    async with asyncio.timeout(patience):
        while True:
            facts = await connection.stream.consumer_info(EVENTS, STATUS_EVENTS)
            if not facts.num_pending and not facts.num_ack_pending:
                return
            await asyncio.sleep(_LOOK)


async def at_rest(product: Product, patience: float = 300.0) -> None:
    """Wait until status has nothing to do."""
    dependency = Health().depends_on("nats")
    async with connect(product.nats.settings("admin"), name="bench", dependency=dependency) as connection:
        await drained(connection, patience)


class ApiServer:
    """One cluster, as somebody with a kubeconfig uses it."""

    def __init__(self, kube: KubeClient, client: httpx2.AsyncClient) -> None:
        self.kube, self._client = kube, client

    async def patch(self, name: str, patch: Mapping[str, Any], kind: Kind = BACKUPS) -> None:
        """Change an object."""
        path = f"/apis/{kind.group}/{kind.version}/namespaces/velero/{kind.plural}/{name}"
        answer = await self._client.patch(path, json=patch, headers=_MERGE)
        answer.raise_for_status()

    async def create(self, name: str, **more: Any) -> None:
        """Make a Backup."""
        await self.kube.create(BACKUPS, backup(name, **more))


def backup(name: str, **more: Any) -> Object:
    """Return a Backup as large as those that the product makes."""
    marks = {
        "labels": {"leeward.dev/cluster": CLUSTER, "velero.io/storage-location": "default"},
        "annotations": {"leeward.dev/created-by": "anna", "leeward.dev/scope": '{"kind":"all","excludedNamespaces":[]}'},
    }
    spec = {
        "includedNamespaces": ["*"],
        "storageLocation": "default",
        "snapshotVolumes": False,
        "ttl": "720h0m0s",
        "metadata": {},
    }
    return {
        "apiVersion": "velero.io/v1",
        "kind": "Backup",
        "metadata": {"name": name, "namespace": "velero", **marks},
        "spec": spec,
        **more,
    }
