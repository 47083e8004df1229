"""The product as processes, driven from outside: what an operator would start, and what a person would call."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx2
from nats.js.errors import NotFoundError

from shared.messaging.connection import connect
from shared.messaging.topology import EVENTS, STATE
from shared.runtime.health import Health
from tests.support.servers import PLAIN, MongoServer, NatsServer, die_with_parent, free_port
from tests.support.waiting import PATIENCE

ACK_WAIT, LEASE_TTL = 5.0, 3.0
"""Shorter than in production, so that a kill -9 is made up for within seconds."""

TIMEOUT = 5.0
"""Seconds after which an API server or the database that has not answered counts as away: as in production, or more, because
all of it runs on one machine."""

QUEUED = 150.0
"""Seconds that a backup may take: now and then Velero forgets one that waits in its queue, and looks again after 60."""

_QUICK = {
    "LEEWARD_LOG__LEVEL": "info",
    "LEEWARD_TIMING__ACK_WAIT": str(ACK_WAIT),
    "LEEWARD_TIMING__LEASE_TTL": str(LEASE_TTL),
    "LEEWARD_LEASE_TTL": str(LEASE_TTL),
    "LEEWARD_PATIENCE": json.dumps({"heartbeat": 1.5, "retries": [0.5, 1, 2], "probes": [0.2, 0.5, 1], "grace": 3}),
    "LEEWARD_RHYTHM": json.dumps({"presence": 1, "velero": 10, "inventory": 2, "inactivity": 90, "progress": 1}),
    "LEEWARD_TIMEOUT": str(TIMEOUT),
    "LEEWARD_MONGO__TIMEOUT": str(TIMEOUT),
    "LEEWARD_OFFLINE_AFTER": "6",
    "LEEWARD_EXPIRE_AFTER": "3",
    "LEEWARD_GRACE": "20",
    "LEEWARD_MEASURING": json.dumps({"retries": [2, 5, 15]}),
}


def until(what: str, probe: Callable[[], Any], timeout: float = 2 * PATIENCE, *, instead: Callable[[], Any] = str) -> Any:
    """Return the first truthy answer of the probe; `instead` is shown when there is none in time."""
    deadline, last = time.monotonic() + timeout, None
    while True:
        with contextlib.suppress(httpx2.HTTPError):
            last = probe()
            if last:
                return last
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout} s (last: {last!r}) {instead()}")
        time.sleep(0.05)


@dataclass
class Service:
    """One process of ours on a fixed port."""

    name: str
    module: str
    environment: dict[str, str]
    directory: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    pace: dict[str, str] = field(default_factory=lambda: _QUICK)

    def start(self) -> None:
        with (self.directory / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module],
                env={**os.environ, **self.pace, **self.environment, "LEEWARD_HTTP__PORT": str(self.port)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - as in tests/support/servers.py
            )

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> int:
        """Ask it to stop and return its exit code."""
        assert self.process
        self.process.terminate()
        code = self.process.wait(timeout=PATIENCE)
        self.process = None
        return code

    def pause(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self.process
        self.process.send_signal(signal.SIGCONT)

    def readiness(self) -> dict[str, Any]:
        return dict(httpx2.get(f"http://127.0.0.1:{self.port}/readyz", timeout=10, **PLAIN).json())

    def is_ready(self) -> bool:
        with contextlib.suppress(httpx2.HTTPError):
            return bool(self.readiness()["ready"])
        return False

    def log(self) -> str:
        return (self.directory / f"{self.name}.log").read_text()


class Product:
    """NATS, the database and our services for these clusters of a fleet; all on loopback, permissions and tokens on."""

    pace = _QUICK
    """How impatient the services are; what a subclass leaves out is as in production."""

    def __init__(self, directory: Path, kubeconfig: Path, clusters: tuple[str, ...] = ("eu1", "us1")) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.kubeconfig, self.clusters = directory, kubeconfig, clusters
        self.nats = NatsServer(directory / "nats", clusters=clusters)
        self.mongo = MongoServer(directory / "mongo")
        self.tokens = directory / "tokens.json"
        self.services: dict[str, Service] = {}
        self.token = ""

    def start(self) -> None:
        self.nats.start()
        self.mongo.start()
        self._run("shared.messaging", "ensure", "--clusters", ",".join(self.clusters), user="admin")
        self.token = self._run("services.gateway", "token", "anna", "--role", "admin", "--file", str(self.tokens)).strip()
        mongo = {"LEEWARD_MONGO__URL": self.mongo.url}
        self.add("status", {**self.nats.environment("status"), **mongo})
        self.add_scheduler("scheduler")
        self.add("gateway", {**self.nats.environment("gateway"), **mongo, "LEEWARD_TOKENS_FILE": str(self.tokens)})
        self.add_executor("executor", *self.clusters)
        for service in self.services.values():
            until(f"{service.name} ready", service.is_ready)
        for cluster in self.clusters:
            answer = self.post("/clusters", {"id": cluster, "displayName": cluster.upper()})
            assert answer.status_code in {201, 409}, answer.text
            until(f"{cluster} online", lambda c=cluster: self.get(f"/clusters/{c}").json()["status"] == "Online")

    def add(self, name: str, environment: dict[str, str], module: str | None = None) -> Service:
        service = Service(name, f"services.{module or name}", environment, self.directory, pace=self.pace)
        self.services[name] = service
        service.start()
        return service

    def add_executor(self, name: str, *clusters: str) -> Service:
        served = json.dumps([{"id": c, "kubeconfig": str(self.kubeconfig)} for c in clusters])
        return self.add(name, {**self.nats.environment("executor"), "LEEWARD_CLUSTERS": served}, module="executor")

    def add_scheduler(self, name: str) -> Service:
        environment = {**self.nats.environment("scheduler"), "LEEWARD_MONGO__URL": self.mongo.url}
        return self.add(name, environment, module="scheduler")

    def stop(self) -> None:
        for service in self.services.values():
            service.kill()
        self.mongo.kill()
        self.nats.kill()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def process(self, name: str) -> Any:
        """The service, the broker or the database of that name: something to kill and start."""
        return {"nats": self.nats, "mongo": self.mongo}.get(name) or self.services[name]

    def _run(self, module: str, *arguments: str, user: str | None = None) -> str:
        environment = {**os.environ, **self.pace, **(self.nats.environment(user) if user else {})}
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    # ------------------------------------------------------------------ what a person does

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.services['gateway'].port}/api/v1"

    def _headers(self, more: dict[str, str] | None) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", **(more or {})}

    def get(self, path: str, **params: Any) -> httpx2.Response:
        return httpx2.get(self.url + path, params=params, headers=self._headers(None), timeout=30, **PLAIN)

    def post(self, path: str, body: Any, *, timeout: float = 60, **headers: str) -> httpx2.Response:
        return httpx2.post(self.url + path, json=body, headers=self._headers(headers), timeout=timeout, **PLAIN)

    def patch(self, path: str, changes: Any, *, timeout: float = 30) -> httpx2.Response:
        headers = self._headers({"Content-Type": "application/merge-patch+json"})
        return httpx2.patch(self.url + path, content=json.dumps(changes), headers=headers, timeout=timeout)

    def delete(self, path: str, **headers: str) -> httpx2.Response:
        return httpx2.delete(self.url + path, headers=self._headers(headers), timeout=90, **PLAIN)

    def read(self, identity: str, artifact: str, *, headers: dict[str, str] | None = None, **params: Any) -> httpx2.Response:
        """Read what lies beside a backup in its storage."""
        url = f"{self.url}/backups/{identity}/{artifact}"
        return httpx2.get(url, params=params, headers=self._headers(headers), timeout=30, **PLAIN)

    def made(self, name: str, cluster: str = "eu1", *, within: float = QUEUED, **more: Any) -> dict[str, Any]:
        """Ask for a backup and return it when Velero has done with it, whatever came of it."""
        answer = self.ask(name, cluster, **more)
        assert answer.status_code == 201, answer.text
        return self.ended(answer.json()["id"], within=within)

    def ended(self, identity: str, *, within: float = QUEUED) -> dict[str, Any]:
        """A backup as soon as Velero has done with it, and Leeward has looked into it."""

        def look() -> dict[str, Any] | None:
            found = self.backup(identity)
            return found if found["outcome"] and found["measuredAt"] else None

        return dict(until(f"{identity} has ended and was measured", look, within))

    def restored(self, body: dict[str, Any], *, within: float = 180, **headers: str) -> dict[str, Any]:
        """Ask for a restore and return it when Velero has done with it, and Leeward has looked into it."""
        answer = self.post("/restores", body, **headers)
        assert answer.status_code in {201, 202}, answer.text
        return self.restore_ended(answer.json()["id"], within=within)

    def restore_ended(self, identity: str, *, within: float = 180) -> dict[str, Any]:
        """A restore as soon as Velero has done with it, and Leeward has looked into it; also one that is refused."""

        def look() -> dict[str, Any] | None:
            found = dict(self.get(f"/restores/{identity}").json())
            ended = (found.get("outcome") and found["measuredAt"]) or found.get("status") == "Refused"
            return found if ended else None

        return dict(until(f"restore {identity} has ended and was measured", look, within))

    def operation(self, identity: str) -> dict[str, Any]:
        answer = self.get(f"/operations/{identity}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def contained(self, identity: str) -> dict[str, list[str]]:
        """What is inside a backup: names by kind."""
        answer = self.read(identity, "resources")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def ask(self, name: str, cluster: str = "eu1", *, namespaces: list[str] | None = None, **more: Any) -> httpx2.Response:
        """Ask for a backup, with patience for a machine that is busy."""
        headers = {"Prefer": "wait=25"} | {k: more.pop(k) for k in list(more) if k in {"Prefer", "key"}}
        key = headers.pop("key", None)
        scope = {"kind": "specific", "namespaces": namespaces} if namespaces else {"kind": "all"}
        body = {"name": name, "cluster": cluster, "scope": scope, "spec": {"snapshotVolumes": False}, **more}
        return self.post("/backups", body, **headers, **({"Idempotency-Key": key} if key else {}))

    def backup(self, identity: str) -> dict[str, Any]:
        answer = self.get(f"/backups/{identity}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def rows(self, name: str) -> list[dict[str, Any]]:
        answer = self.get("/backups", search=name)
        assert answer.status_code == 200, answer.text
        return [row for row in answer.json()["items"] if row["name"] == name]

    def announced(self, identity: str) -> list[tuple[str, str | None, str]]:
        """What the state feed itself holds of a thing: (noun, from, to)."""
        said = [m["data"] | {"noun": m["type"].split(".")[2]} for _, m in self.stored(STATE)]
        return [(m["noun"], m.get("from"), m["to"]) for m in said if m["id"] == identity]

    def incarnations(self, cluster: str, name: str) -> set[str]:
        """The uid of every backup of that name that the cluster ever showed."""
        prefix = f"lw.evt.{cluster}.backup.observed."
        return {
            m["data"]["uid"] for subject, m in self.stored(EVENTS) if subject.startswith(prefix) and m["data"]["name"] == name
        }

    def answers(self, operation: str) -> list[str]:
        """What executors have said to an operation."""
        return [s.split(".")[4] for s, _ in self.stored(EVENTS) if s.endswith(f".{operation}") and ".operation." in s]

    def stored(self, stream: str) -> list[tuple[str, dict[str, Any]]]:
        """Every message that a stream holds."""

        async def read() -> list[tuple[str, dict[str, Any]]]:
            dependency = Health().depends_on("nats")
            async with connect(self.nats.settings("admin"), name="reader", dependency=dependency) as connection:
                facts = (await connection.stream.stream_info(stream)).state
                found = []
                for sequence in range(max(1, facts.first_seq), facts.last_seq + 1):
                    with contextlib.suppress(NotFoundError):
                        message = await connection.stream.get_msg(stream, seq=sequence)
                        found.append((message.subject or "", json.loads(message.data or b"{}")))
                return found

        return asyncio.run(read())

    @contextlib.contextmanager
    def listening(self, **params: Any) -> Iterator["Listener"]:
        listener = Listener(self, params)
        listener.thread.start()
        assert listener.connected.wait(PATIENCE), "the event stream did not open"
        try:
            yield listener
        finally:
            listener.closed = True


class Listener:
    """A client of the event stream that comes back with Last-Event-ID whenever the stream breaks."""

    def __init__(self, product: Product, params: dict[str, Any]) -> None:
        self.product, self.params = product, params
        self.events: list[tuple[str, str | None, dict[str, Any]]] = []
        self.connected = threading.Event()
        self.closed = False
        self.last: str | None = None
        self.thread = threading.Thread(target=self._listen, daemon=True)

    def statuses(self, name: str, *, stored: bool = True) -> list[str]:
        """What the stream said of a backup, in order; only status changes, not progress."""
        return [
            d["status"] for kind, eid, d in list(self.events) if kind == "backup" and d["name"] == name and (eid or not stored)
        ]

    def told(self, name: str) -> list[tuple[str | None, str, str | None]]:
        """Everything about a backup: (event id, status, phase)."""
        return [(eid, d["status"], d["phase"]) for kind, eid, d in list(self.events) if kind == "backup" and d["name"] == name]

    def _listen(self) -> None:
        while not self.closed:
            with contextlib.suppress(httpx2.HTTPError):
                self._read()
            time.sleep(0.2)

    def _read(self) -> None:
        headers = self.product._headers({"Last-Event-ID": self.last} if self.last else None)
        facts = {"params": self.params, "headers": headers, "timeout": httpx2.Timeout(10, read=40), **PLAIN}
        with httpx2.stream("GET", f"{self.product.url}/events", **facts) as stream:
            if stream.status_code == httpx2.codes.SERVICE_UNAVAILABLE:
                return  # it has just been started; a client comes back
            assert stream.status_code == httpx2.codes.OK
            self.connected.set()
            kind, identity, data = "message", None, ""
            for line in stream.iter_lines():
                if self.closed:
                    return
                name, _, value = line.partition(": ")
                match name:
                    case "event":
                        kind = value
                    case "id":
                        identity = value
                    case "data":
                        data += value
                    case "":  # the end of an event; one without data only says where to resume
                        if data:
                            self.events.append((kind, identity, json.loads(data)))
                        self.last = identity or self.last
                        kind, identity, data = "message", None, ""
