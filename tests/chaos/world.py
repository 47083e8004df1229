"""The system under fire: the product as processes, two simulated clusters with Velero in one more, and links between them."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

import httpx2
import yaml
from pymongo import MongoClient

from shared.messaging.topology import DEAD_LETTERS, EVENTS, STATE
from tests.chaos.asking import Answer
from tests.chaos.invariants import Evidence
from tests.chaos.link import Link
from tests.chaos.plan import CLUSTERS, NAMESPACES, Fault
from tests.chaos.slots import Timekeeping, schedules_are_shown_as_they_are
from tests.e2e.product import Listener, Product, until
from tests.support.servers import PLAIN, ServerProcess, free_port

Json = dict[str, Any]

_SPEED: Final = 20
"""How much faster than a real one the simulated Velero goes: its ticks of a minute take three seconds."""
_ENDED: Final = {"Completed", "PartiallyFailed", "Failed", "FailedValidation"}


@dataclass
class Simulator(ServerProcess):
    """Both clusters in one process, their data on disk: killed and started again, they are what they were."""

    def command(self) -> list[str]:
        things = [word for name in CLUSTERS for word in ("--name", name)]
        things += [word for name in NAMESPACES for word in ("--namespace", name)]
        paths = ["--data", self.directory / "data", "--kubeconfig", self.kubeconfig, "--control", self.directory / "control"]
        rest = ["--port", self.port, "--speed", _SPEED]
        return [sys.executable, "-m", "simulator", *things, *(str(part) for part in (*paths, *rest))]

    @property
    def kubeconfig(self) -> Path:
        return self.directory / "kubeconfig"

    def order(self, cluster: str, what: str, **terms: Any) -> None:
        """Order a fault in a cluster."""

        def ordered() -> httpx2.Response:
            control = json.loads((self.directory / "control").read_text())  # written anew by each life of the process
            who = {"Authorization": f"Bearer {control['token']}"}
            order = {"cluster": cluster, "fault": what, **terms}
            return httpx2.post(control["url"], json=order, headers=who, timeout=30, **PLAIN)

        answer = until(f"{what} ordered", ordered)
        assert answer.is_success, answer.text

    def backups(self, cluster: str) -> list[Json]:
        """What the API server itself shows."""
        config = yaml.safe_load(self.kubeconfig.read_text())
        server = next(c["cluster"]["server"] for c in config["clusters"] if c["name"] == cluster)
        url = f"{server}/apis/velero.io/v1/namespaces/velero/backups"
        return list(httpx2.get(url, timeout=30, **PLAIN).json()["items"])


class Unhurried(Product):
    """The product, which takes no cluster for lost while a fault lasts: what that means for statuses has tests of its own."""

    pace: ClassVar = {**Product.pace, "LEEWARD_OFFLINE_AFTER": "20"}


@dataclass
class World:
    """Everything, and who is hurt at the moment."""

    directory: Path
    simulator: Simulator
    product: Product
    links: dict[str, Link]
    listeners: list[Listener]
    expected: set[int] = field(default_factory=set)
    """Processes that we have killed or stopped ourselves, by pid."""
    died: list[str] = field(default_factory=list)
    _frozen: set[str] = field(default_factory=set)
    _hurt: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def process(self, name: str) -> Any:
        """Something to kill, stop, freeze and start."""
        return self.simulator if name == "simulator" else self.product.process(name)

    def hurt(self, fault: Fault) -> None:
        """Let a fault begin; it ends by itself when `heal` is called after its time."""
        self.later(fault.seconds, FAULTS[fault.kind](self, fault.victim))

    def later(self, seconds: float, undo: Callable[[], None]) -> None:
        """Undo something after a while."""
        self._hurt.append((time.monotonic() + seconds, undo))

    def heal(self, *, everything: bool = False) -> None:
        """Undo the faults whose time is over, or all of them."""
        now = time.monotonic()
        over = [entry for entry in self._hurt if everything or entry[0] <= now]
        self._hurt = [entry for entry in self._hurt if entry not in over]
        for _, undo in over:
            undo()
        if everything and self._hurt:
            self.heal(everything=True)

    def is_hurt(self, victim: str) -> bool:
        """Tell whether a process is down or frozen now."""
        return self.process(victim).process is None or victim in self._frozen

    def count_the_dead(self) -> None:
        """Note every process of ours that has ended without having been killed."""
        for name in (*self.product.services, "nats", "mongo", "simulator"):
            process = self.process(name).process
            if process is not None and process.poll() is not None and process.pid not in self.expected:
                self.expected.add(process.pid)
                self.died.append(f"{name} ended with {process.returncode}")

    def unready(self) -> list[str]:
        """Say which services are not ready, and what they miss."""
        found = []
        for name, service in self.product.services.items():
            try:
                told = service.readiness()
            except (httpx2.HTTPError, ValueError) as error:
                found.append(f"{name} does not answer: {error}")
            else:
                found += [] if told["ready"] else [f"{name} is not ready: {told}"]
        return found

    def settled(self, operations: list[str]) -> bool:
        """Tell whether the clusters have finished their work, every answer is in, and people see it."""
        items = [item for cluster in CLUSTERS for item in self.simulator.backups(cluster)]
        if not all(item.get("status", {}).get("phase") in _ENDED for item in items):
            return False
        states = {self.product.get(f"/operations/{o}").json().get("state") for o in operations}
        return states <= {"Succeeded", "Failed", "Rejected"} and all(kept.at_rest for kept in self.keeping())

    def keeping(self) -> list[Timekeeping]:
        """Return what is known of every schedule: in the database itself, and by the API."""
        with MongoClient(self.product.mongo.url, tz_aware=True) as client:
            documents = list(client["leeward"]["schedules"].find())
        found = []
        for document in documents:
            path = f"/schedules/{document['_id']}"
            found.append(Timekeeping(document, self.product.get(path).json(), list(self._pages(f"{path}/ticks"))))
        return found

    def shown(self) -> bool:
        """Tell whether people see of every schedule what is so."""
        objects = {cluster: self.simulator.backups(cluster) for cluster in CLUSTERS}
        return not list(schedules_are_shown_as_they_are(self.keeping(), objects))

    def evidence(self, answers: list[Answer]) -> Evidence:
        """Gather what the invariants are judged by."""
        operations = {a.operation: self.product.get(f"/operations/{a.operation}").json() for a in answers}
        return Evidence(
            answers=answers,
            operations=operations,
            rows=list(self._rows()),
            objects={cluster: self.simulator.backups(cluster) for cluster in CLUSTERS},
            events=self.product.stored(EVENTS),
            states=self.product.stored(STATE),
            dead=self.product.stored(DEAD_LETTERS),
            listeners=self.listeners,
            keeping=self.keeping(),
            died=self.died,
        )

    def _rows(self) -> Iterator[Json]:
        return self._pages("/backups")

    def _pages(self, path: str) -> Iterator[Json]:
        cursor: dict[str, str] = {}
        while True:
            page = self.product.get(path, limit=500, **cursor).json()
            yield from page["items"]
            if not page["nextCursor"]:
                return
            cursor = {"cursor": page["nextCursor"]}


Undo = Callable[[], None]


def _nothing() -> None:
    """Undo nothing."""


def _kill(world: World, victim: str) -> Undo:
    return _end(world, victim, lambda process: process.kill())


def _stop(world: World, victim: str) -> Undo:
    return _end(world, victim, lambda process: process.stop())


def _end(world: World, victim: str, how: Callable[[Any], object]) -> Undo:
    process = world.process(victim)
    if world.is_hurt(victim):
        return _nothing
    world.expected.add(process.process.pid)
    how(process)
    return process.start  # type: ignore[no-any-return]  (services and servers have one shape, and no common name)


def _freeze(world: World, victim: str) -> Undo:
    if world.is_hurt(victim):
        return _nothing
    world._frozen.add(victim)
    os.kill(world.process(victim).process.pid, signal.SIGSTOP)

    def thaw() -> None:
        world._frozen.discard(victim)
        os.kill(world.process(victim).process.pid, signal.SIGCONT)

    return thaw


def _cut(world: World, victim: str) -> Undo:
    world.links[victim].cut()
    return world.links[victim].mend


def _stall(world: World, victim: str) -> Undo:
    world.links[victim].stall()
    return world.links[victim].mend


def _ordered(begin: str, end: str | None = None, **terms: Any) -> Callable[[World, str], Undo]:
    def order(world: World, victim: str) -> Undo:
        if world.is_hurt("simulator"):
            return _nothing
        world.simulator.order(victim, begin, **terms)
        return partial(_undo_order, world, victim, end, **terms) if end else _nothing

    return order


def _undo_order(world: World, victim: str, what: str, **terms: Any) -> None:
    """Faults inside the simulator end with its process; one that is frozen hears of their end when it has thawed."""
    if world.process("simulator").process is None:
        return
    if world.is_hurt("simulator"):
        world.later(0.2, partial(_undo_order, world, victim, what, **terms))
    else:
        world.simulator.order(victim, what, **terms)


FAULTS: Final[dict[str, Callable[[World, str], Undo]]] = {
    "kill": _kill,
    "stop": _stop,
    "freeze": _freeze,
    "cut": _cut,
    "stall": _stall,
    "velero-killed": _ordered("velero-kill", "velero-start"),
    "bucket-denied": lambda world, victim: _ordered("bucket-deny", "bucket-allow", bucket=f"velero-{victim}")(world, victim),
    "watches-cut": _ordered("cut-watches"),
    "history-lost": _ordered("compact"),
    "partial-failure": _ordered("partial-failure"),
}
"""How each fault of the plan begins; what it returns undoes it."""


@contextmanager
def world(directory: Path) -> Iterator[World]:
    """Start everything, with two listeners on the event stream; stop everything at the end."""
    with ExitStack() as stack:
        simulator = Simulator(directory / "simulator", free_port(len(CLUSTERS) + 1))
        stack.callback(simulator.kill)
        simulator.start()
        config = until("kubeconfig", lambda: simulator.kubeconfig.exists() and yaml.safe_load(simulator.kubeconfig.read_text()))
        links = {}
        for entry in config["clusters"]:
            link = stack.enter_context(Link(httpx2.URL(entry["cluster"]["server"]).port or 0))
            links[entry["name"]] = link
            entry["cluster"]["server"] = f"http://127.0.0.1:{link.port}"
        through = directory / "through-links"
        through.write_text(yaml.safe_dump(config))
        product = stack.enter_context(Unhurried(directory / "product", through, CLUSTERS))
        until("second executor", product.add_executor("executor-2", *CLUSTERS).is_ready)
        until("second scheduler", product.add_scheduler("scheduler-2").is_ready)
        listeners = [stack.enter_context(product.listening(kind="backup")) for _ in range(2)]
        yield World(directory, simulator, product, links, listeners)
