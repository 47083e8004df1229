"""What one hub executor takes for the clusters that it serves, while nothing happens in any of them.

The clusters are simulated in processes of their own. What it takes grows with the heartbeat of presence, leases and watches
alone; the processor time is what a minute of that costs.
"""

import argparse
import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

from benchmarks.installation import Installation, clusters, directory
from benchmarks.measuring import Report
from benchmarks.processes import usage
from shared.messaging.connection import connect
from shared.messaging.topology import EVENTS
from shared.runtime.health import Health
from tests.e2e.product import until
from tests.support.servers import NatsServer

SIZES: Final = (1, 100, 1000)
_PER_PROCESS: Final = 500
SETTLING: Final = 5.0
WATCHED: Final = 20.0
_PATIENCE: Final = 600.0
_MEMORY: Final = 1536.0
"""MiB for the largest fleet."""


class Hub(Installation):
    """Of the product only NATS and one executor."""

    def __init__(self, path: Path, kubeconfig: Path, names: tuple[str, ...]) -> None:
        """Leave the agents' users out: a hub has none."""
        super().__init__(path, kubeconfig, names)
        hub = {name: word for name, word in self.nats.passwords.items() if not name.startswith("cluster-")}
        self.nats = NatsServer(path / "nats", clusters=names, patience=_PATIENCE)
        self.nats.passwords = hub

    def start(self) -> None:
        """Start NATS with its streams and consumers."""
        self.nats.start()
        self._run("shared.messaging", "ensure", "--clusters", ",".join(self.clusters), user="admin")

    def spoken(self) -> int:
        """Return how many clusters have said what they hold, which takes an answer of their API server."""
        return asyncio.run(self._spoken())

    async def _spoken(self) -> int:
        dependency = Health().depends_on("nats")
        async with connect(self.nats.settings("admin"), name="bench", dependency=dependency) as connection:
            facts = await connection.stream.stream_info(EVENTS, subjects_filter="lw.evt.*.inventory")
            return len(facts.state.subjects or {})


@contextlib.contextmanager
def served(path: Path, count: int) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Serve so many clusters; yields one kubeconfig with all contexts."""
    names = tuple(f"c{number:04}" for number in range(count))
    with contextlib.ExitStack() as stack:
        files = []
        for first in range(0, count, _PER_PROCESS):
            file, _ = stack.enter_context(clusters(path, *names[first : first + _PER_PROCESS]))
            files.append(yaml.load(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))  # noqa: S506 - safe ones
        merged = {**files[0], **{part: [e for f in files for e in f[part]] for part in ("clusters", "users", "contexts")}}
        kubeconfig = path / "fleet.kubeconfig"
        kubeconfig.write_text(yaml.dump(merged, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False))
        yield kubeconfig, names


def measure(count: int, report: Report) -> None:
    """Start an executor for so many clusters, wait until each has spoken, and watch it idle."""
    with directory() as path, served(path, count) as (kubeconfig, names), Hub(path, kubeconfig, names) as product:
        begun = time.perf_counter()
        executor = product.add_executor("executor", *names)
        assert executor.process
        until("every cluster has spoken", lambda: product.spoken() == count, _PATIENCE)
        started = time.perf_counter() - begun
        time.sleep(SETTLING)
        before = usage(executor.process.pid)
        time.sleep(WATCHED)
        after = usage(executor.process.pid)
        assert executor.is_ready(), executor.readiness()
    words = f"{count:,} cluster{'s' if count > 1 else ''}"
    report.add(f"{words}: start until each was heard of", started, "s")
    report.add(f"{words}: processor time of the start", before.seconds, "s")
    report.add(f"{words}: RSS", after.rss, "MiB", _MEMORY if count == SIZES[-1] else None)
    report.add(f"{words}: idle processor time", 100 * (after.seconds - before.seconds) / WATCHED, "% of a core")
    report.add(f"{words}: open files", after.files, "files")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    parser.add_argument("sizes", type=int, nargs="*", default=SIZES, help="how many clusters, each in a run of its own")
    sizes = parser.parse_args().sizes
    report = Report("fleet", "One hub executor and its idle clusters", f"watched for {WATCHED:g} s; rhythm as in production")
    for count in sizes:
        measure(count, report)
    report.finish()


if __name__ == "__main__":
    main()
