"""Simulated clusters as a process of their own: `python -m benchmarks.clusters --count 100 --kubeconfig FILE`.

Each has a storage location that is available, and a Velero that answers status requests and leaves backups alone: the
benchmarks move those themselves.
"""

import argparse
import asyncio
import base64
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from simulator.cluster import SimulatedCluster

_LOCATION = {
    "apiVersion": "velero.io/v1",
    "kind": "BackupStorageLocation",
    "metadata": {"name": "default", "namespace": "velero"},
    "spec": {"provider": "aws", "objectStorage": {"bucket": "b"}, "accessMode": "ReadWrite", "default": True},
    "status": {"phase": "Available"},
}
_ANSWER = {"phase": "Processed", "serverVersion": "v1.18.3", "plugins": [{"name": "velero.io/aws", "kind": "ObjectStore"}]}
_REQUESTS = "serverstatusrequests"


async def answer(cluster: SimulatedCluster) -> None:
    """Answer Velero's status requests for ever."""
    async for event in cluster.store.watch(_REQUESTS, cluster.velero_namespace):
        if event.type == "ADDED":
            name = event.object["metadata"]["name"]
            cluster.store.patch(_REQUESTS, name, {"status": _ANSWER}, cluster.velero_namespace)


def authority() -> bytes:
    """Return the certificate of a new authority."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    built = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), begin, begin + timedelta(days=3650)
    )
    signed = built.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
    return signed.public_bytes(Encoding.PEM)


def kubeconfig(clusters: Sequence[SimulatedCluster]) -> str:
    """Write one kubeconfig with a context for each cluster."""
    configs = [cluster.kubeconfig() for cluster in clusters]
    for config in configs:  # a certificate each, as real ones have; the simulator itself speaks HTTP
        config["clusters"][0]["cluster"]["certificate-authority-data"] = base64.b64encode(authority()).decode()
    merged = {**configs[0], **{part: [c[part][0] for c in configs] for part in ("clusters", "users", "contexts")}}
    return yaml.dump(merged, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False)


async def serve(names: Sequence[str], file: Path) -> None:
    """Serve until a signal comes; the kubeconfig appears when everything listens."""
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        clusters = [await stack.enter_async_context(SimulatedCluster(name, namespaces={"shop": {}})) for name in names]
        answering = []
        for cluster in clusters:
            cluster.store.create("backupstoragelocations", _LOCATION)
            answering.append(tasks.create_task(answer(cluster)))
        unfinished = file.with_suffix(".part")
        unfinished.write_text(kubeconfig(clusters))
        unfinished.replace(file)
        await stopping.wait()
        for task in answering:
            task.cancel()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clusters", description=__doc__)
    parser.add_argument("--names", required=True, help="names of the clusters, with commas")
    parser.add_argument("--kubeconfig", type=Path, required=True, help="where to write how to reach them")
    options = parser.parse_args()
    asyncio.run(serve(options.names.split(","), options.kubeconfig))


if __name__ == "__main__":
    main()
