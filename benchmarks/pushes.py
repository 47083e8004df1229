"""How long after a phase has changed in the API server a client of the event stream hears of it.

Timed from the moment before the patch is sent until the client has read the event; beside it, when a watch of the API
server, which is as near as anybody can be, showed the same change.
"""

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import Callable
from typing import Any, Final

import httpx2

from benchmarks.installation import CLUSTER, ApiServer, Installation, api_server, installed
from benchmarks.measuring import Report
from services.executor.kube import BACKUPS
from shared.contracts.views import BackupItem

IDLE_BACKUPS: Final = 50
BURST: Final = 100
BURSTS: Final = 3
_IDLE_P99, _PATIENCE = 40.0, 60.0
_APART: Final = 0.1
"""Seconds between two changes when idle: what a change leaves to be done after its push is over by then."""
_PHASES: Final = ("InProgress", "Completed", "Failed", "PartiallyFailed")
_STATUSES: Final = {
    "InProgress": "Creating",
    "Completed": "Completed",
    "Failed": "Failed",
    "PartiallyFailed": "PartiallyFailed",
}
_WHOLE: Final = {field.alias for field in BackupItem.model_fields.values()}

Event = tuple[float, dict[str, Any]]


class Heard:
    """What was heard of each backup, by name and what it became; whoever waits is woken."""

    def __init__(self) -> None:
        self._moments: dict[tuple[str, str], asyncio.Future[Event]] = {}

    def of(self, name: str, became: str) -> "asyncio.Future[Event]":
        """Return when a backup was first heard to have become that."""
        return self._moments.setdefault((name, became), asyncio.get_running_loop().create_future())

    def note(self, name: str, became: str, row: dict[str, Any]) -> None:
        """Note an event."""
        moment = self.of(name, became)
        if not moment.done():
            moment.set_result((time.perf_counter(), row))


async def listen(product: Installation, heard: Heard, ready: asyncio.Event) -> None:
    """Read the event stream of the product for ever."""
    headers, params = {"Authorization": f"Bearer {product.token}"}, {"kind": "backup"}
    async with (
        httpx2.AsyncClient(timeout=httpx2.Timeout(10, read=60)) as client,
        client.stream("GET", f"{product.url}/events", headers=headers, params=params) as stream,
    ):
        assert stream.status_code == httpx2.codes.OK
        ready.set()
        async for line in stream.aiter_lines():
            if line.startswith("data: "):
                row = json.loads(line.removeprefix("data: "))
                heard.note(row["name"], row["phase"] or "", row)


async def watch(server: ApiServer, heard: Heard) -> None:
    """Watch the API server for ever."""
    version = (await server.kube.list(BACKUPS)).resource_version
    while True:
        async with contextlib.aclosing(server.kube.watch(BACKUPS, version, 60)) as changes:
            async for change in changes:
                version = max(version, int(change.object["metadata"]["resourceVersion"]))
                phase = (change.object.get("status") or {}).get("phase") or ""
                heard.note(str(change.object["metadata"].get("name")), phase, {})


async def wait(moment: "asyncio.Future[Event]") -> Event:
    """Return an event.

    Raises TimeoutError when it does not come: then a row is missing, and the benchmark has failed.
    """
    async with asyncio.timeout(_PATIENCE):
        return await moment


async def idle(server: ApiServer, pushed: Heard, watched: Heard, report: Report) -> None:
    """Move one backup at a time through its phases; the ones that people see as another status."""
    pushes: list[float] = []
    watches: list[float] = []
    for turn in range(IDLE_BACKUPS):
        name = f"idle-{turn}"
        await server.create(name, status={"phase": "New"})
        await wait(pushed.of(name, "New"))
        for phase in _PHASES:
            begun = time.perf_counter()
            await server.patch(name, {"status": {"phase": phase, "startTimestamp": "2026-11-22T12:00:00Z"}})
            at, row = await wait(pushed.of(name, phase))
            seen, _ = await wait(watched.of(name, phase))
            check(row, name, phase)
            await asyncio.sleep(_APART)
            if turn and phase != _PHASES[0]:
                pushes.append(at - begun)
                watches.append(seen - begun)
    report.spread("idle: patch until a watch shows it", watches)
    report.spread("idle: patch until the push", pushes, p99=_IDLE_P99)


async def burst(server: ApiServer, pushed: Heard, report: Report) -> None:
    """Let many backups change at once, again and again; every row must arrive, and whole."""
    names = [f"burst-{number}" for number in range(BURST)]
    for name in names:
        await server.create(name, status={"phase": "New"})
    await asyncio.gather(*(wait(pushed.of(name, "New")) for name in names))
    pushes: list[float] = []
    took: list[float] = []
    for phase in _PHASES[: BURSTS + 1]:
        begun = {}

        async def change(name: str, phase: str, begun: dict[str, float]) -> None:
            begun[name] = time.perf_counter()
            await server.patch(name, {"status": {"phase": phase, "startTimestamp": "2026-11-22T12:00:00Z"}})

        start = time.perf_counter()
        await asyncio.gather(*(change(name, phase, begun) for name in names))
        events = await asyncio.gather(*(wait(pushed.of(name, phase)) for name in names))
        for name, (_, row) in zip(names, events, strict=True):
            check(row, name, phase)
        if phase != _PHASES[0]:
            pushes += [at - begun[name] for name, (at, _) in zip(names, events, strict=True)]
            took.append(max(at for at, _ in events) - start)
    report.spread(f"burst of {BURST}: patch until the push", pushes)
    report.add(f"burst of {BURST}: until the last push, median", 1000 * sorted(took)[len(took) // 2], "ms")
    report.add(f"burst of {BURST}: rows missing or not whole", 0, "rows", 0)


def check(row: dict[str, Any], name: str, phase: str) -> None:
    """Make sure that a push carries the whole row, as it is now."""
    missing = _WHOLE - row.keys()
    assert not missing, f"{name}: the push lacks {missing}"
    assert row["cluster"] == CLUSTER, row
    assert row["status"] == _STATUSES[phase], row


async def measure(product: Installation, report: Report) -> None:
    """Measure in quiet and in a burst."""
    pushed, watched, ready = Heard(), Heard(), asyncio.Event()
    async with api_server(product) as server:
        tasks = [asyncio.create_task(listen(product, pushed, ready)), asyncio.create_task(watch(server, watched))]
        await asyncio.wait_for(ready.wait(), 10)
        steps: tuple[Callable[[], Any], ...] = (
            lambda: idle(server, pushed, watched, report),
            lambda: burst(server, pushed, report),
        )
        for step in steps:
            work = asyncio.ensure_future(step())
            await asyncio.wait({work, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            for task in itertools.filterfalse(lambda t: not t.done(), tasks):
                work.cancel()
                task.result()  # a listener has failed
            await work
        for task in tasks:
            task.cancel()


def main() -> None:
    """Run the benchmark."""
    changes = (IDLE_BACKUPS - 1) * (len(_PHASES) - 1)
    setting = f"{changes} changes one at a time, 0.1 s apart, then {BURSTS} bursts of {BURST}; one client, one cluster"
    report = Report("pushes", "From a phase in the API server to the push of its row", setting)
    with installed() as product:
        asyncio.run(measure(product, report))
    report.finish()


if __name__ == "__main__":
    main()
