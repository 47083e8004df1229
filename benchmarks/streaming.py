"""What the gateway and the executor take while a person downloads large contents through them.

The contents are a gzipped tar that the simulated storage makes up while it is read. The peaks are the kernel's own (VmHWM),
reset before the download; what counts is how far they are above what each process took at rest.
"""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2

from benchmarks.installation import CLUSTER, Installation, directory
from benchmarks.measuring import Report
from benchmarks.processes import forget_peak, peak, usage
from tests.e2e.product import Service, until
from tests.support.servers import die_with_parent

MEBIBYTES: Final = 256
_MEBIBYTE: Final = 1024 * 1024
_MOST: Final = 48.0
"""MiB above idle, of each process."""
_REST: Final = 5.0
_PATIENCE: Final = 120.0


@dataclass(frozen=True, slots=True)
class Simulator:
    """A simulated cluster with a Velero and an object storage, which takes orders."""

    kubeconfig: Path
    control: Path

    def order(self, fault: str, **arguments: object) -> dict[str, int]:
        """Have it do something, and return what it says for each cluster."""
        where = json.loads(self.control.read_text())
        headers = {"Authorization": f"Bearer {where['token']}"}
        answer = httpx2.post(where["url"], json={"fault": fault, "cluster": CLUSTER, **arguments}, headers=headers, timeout=30)
        answer.raise_for_status()
        return dict(answer.json()["result"])


@contextlib.contextmanager
def simulated(path: Path) -> Iterator[Simulator]:
    """Serve one cluster with its Velero, in a process of its own."""
    found = Simulator(path / "kubeconfig", path / "control")
    options = ["--name", CLUSTER, "--namespace", "shop", "--speed", "20"]
    files = ["--kubeconfig", str(found.kubeconfig), "--control", str(found.control)]
    log = path / "simulator.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - own child
            [sys.executable, "-m", "simulator", *options, *files],
            stdout=output,
            stderr=output,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - as in tests/support/servers.py
        )
    try:
        until("the cluster listens", lambda: process.poll() is not None or found.control.exists(), _PATIENCE)
        if process.poll() is not None:
            raise RuntimeError(log.read_text())
        yield found
    finally:
        process.kill()
        process.wait()


def ended(product: Installation, name: str) -> str:
    """Make a backup and return its id when nobody works on it any more."""

    def accepted() -> httpx2.Response | None:
        answer = product.ask(name)  # refused until Velero has looked at the storage location
        return answer if answer.status_code in {200, 201} else None

    identity = str(until("the backup is made", accepted, _PATIENCE).json()["id"])
    until("it has ended and was measured", lambda: product.backup(identity).get("measuredAt"), _PATIENCE)
    return identity


def download(product: Installation, identity: str) -> int:
    """Read the contents as fast as they come, keep nothing, and return how many bytes they were."""
    headers = {"Authorization": f"Bearer {product.token}"}
    read = 0
    with httpx2.stream("GET", f"{product.url}/backups/{identity}/contents", headers=headers, timeout=60) as answer:
        assert answer.status_code == httpx2.codes.OK, answer.read()
        for piece in answer.iter_raw():
            read += len(piece)
        assert int(answer.headers["content-length"]) == read
    return read


def pid(service: Service) -> int:
    """Return the process of a service."""
    assert service.process, service.name
    return service.process.pid


def main() -> None:
    """Run the benchmark."""
    report = Report("streaming", f"Streaming {MEBIBYTES} MiB of contents", "one reader who takes all as fast as it comes")
    with (
        directory() as path,
        simulated(path) as simulator,
        Installation(path / "product", simulator.kubeconfig, (CLUSTER,)) as product,
    ):
        identity = ended(product, "large")
        size = simulator.order("large-contents", name="large", mebibytes=MEBIBYTES)[CLUSTER]
        time.sleep(_REST)
        watched = {name: pid(product.services[name]) for name in ("gateway", "executor")}
        idle = {name: usage(process).rss for name, process in watched.items()}
        for process in watched.values():
            forget_peak(process)
        begun = time.perf_counter()
        assert download(product, identity) == size
        taken = time.perf_counter() - begun
        for name, process in watched.items():
            most = peak(process)
            report.add(f"{name}: at rest", idle[name], "MiB")
            report.add(f"{name}: peak", most, "MiB")
            report.add(f"{name}: peak above rest", most - idle[name], "MiB", _MOST)
    report.add("speed", size / _MEBIBYTE / taken, "MiB/s")
    report.finish()


if __name__ == "__main__":
    main()
