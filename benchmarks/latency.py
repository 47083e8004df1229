"""How much later a Backup exists when it is asked for through Leeward than when it is created directly.

Both are timed from the request to the moment at which a watch of the API server shows the object, in turns, with the same
client library for the API server.
"""

import asyncio
import contextlib
import statistics
import sys
import time
from typing import Final

import httpx2

from benchmarks.installation import CLUSTER, ApiServer, Installation, api_server, directory, installed
from benchmarks.measuring import Report, milliseconds
from services.executor.kube import BACKUPS
from tests.e2e.real.fleet import Fleet

SAMPLES: Final = 100
WARM_UP: Final = 15
REST: Final = 0.1
"""Seconds between two requests: what the last one has set in motion may come to rest."""
_ADDED, _TIMES, _PATIENCE = 25.0, 4.0, 20.0


class Sightings:
    """When each Backup was first seen by a watch."""

    def __init__(self) -> None:
        self._seen: dict[str, asyncio.Future[float]] = {}

    def of(self, name: str) -> "asyncio.Future[float]":
        """Return the moment at which an object of that name appears."""
        return self._seen.setdefault(name, asyncio.get_running_loop().create_future())

    async def watch(self, server: ApiServer, version: int) -> None:
        """Watch what happens after that version, for ever."""
        while True:
            async with contextlib.aclosing(server.kube.watch(BACKUPS, version, 60)) as changes:
                async for change in changes:
                    version = max(version, int(change.object["metadata"]["resourceVersion"]))
                    seen = self.of(str(change.object["metadata"].get("name")))
                    if change.type == "ADDED" and not seen.done():
                        seen.set_result(time.perf_counter())


async def measure(product: Installation, report: Report) -> None:
    """Create in turns directly and through the product, one at a time."""
    direct: list[float] = []
    asked: list[float] = []
    answered: list[float] = []
    headers = {"Authorization": f"Bearer {product.token}"}
    async with api_server(product) as server, httpx2.AsyncClient(base_url=product.url, headers=headers, timeout=30) as client:
        sightings = Sightings()
        now = (await server.kube.list(BACKUPS)).resource_version
        watching = asyncio.create_task(sightings.watch(server, now))
        for turn in range(WARM_UP + SAMPLES):
            await asyncio.sleep(REST)
            begun = time.perf_counter()
            await server.create(f"direct-{turn}")
            direct.append(await asyncio.wait_for(sightings.of(f"direct-{turn}"), _PATIENCE) - begun)
            await asyncio.sleep(REST)
            begun = time.perf_counter()
            answer = await client.post("/backups", json=order(f"asked-{turn}"))
            answered.append(time.perf_counter() - begun)
            assert answer.status_code == httpx2.codes.CREATED, answer.text
            asked.append(await asyncio.wait_for(sightings.of(f"asked-{turn}"), _PATIENCE) - begun)
        watching.cancel()
    direct, asked, answered = direct[WARM_UP:], asked[WARM_UP:], answered[WARM_UP:]
    base, total = statistics.median(direct), statistics.median(asked)
    report.spread("direct create", direct)
    report.spread("POST /backups until it exists", asked)
    report.add("added, p50", milliseconds(total - base), "ms", _ADDED)
    report.add("total against direct, p50", total / base, "times", _TIMES)
    report.spread("POST /backups until 201", answered)


def order(name: str) -> dict[str, object]:
    """Return what a person asks for."""
    return {"name": name, "cluster": "eu1", "scope": {"kind": "all"}, "spec": {"snapshotVolumes": False}}


SETTING: Final = f"median of {SAMPLES} each, in turns, {REST} s apart, after {WARM_UP} to warm up"


def simulated() -> Report:
    """Measure with a simulated API server, which answers faster than any real one."""
    report = Report("latency", "From POST /backups to the Backup", SETTING)
    with installed() as product:
        asyncio.run(measure(product, report))
    return report


def real() -> Report:
    """Measure with a real API server, built by `make real`; needs root."""
    report = Report("latency-real", "From POST /backups to the Backup, with a real API server and Velero", SETTING)
    with directory() as path, Fleet(path / "fleet", [CLUSTER]) as fleet:
        fleet[CLUSTER].stop_velero()  # what it does with the Backups would be measured, too
        with Installation(path / "product", fleet.kubeconfig, (CLUSTER,)) as product:
            asyncio.run(measure(product, report))
    return report


def main() -> None:
    """Run the benchmark; `--real` for the real API server."""
    (real() if "--real" in sys.argv[1:] else simulated()).finish()


if __name__ == "__main__":
    main()
