"""The whole system as `leeward up` runs it, in quick motion, with hands to hurt it: processes under their supervisor."""

import asyncio
import contextlib
import json
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch

import httpx2

from leeward.stack import programs
from leeward.stack.home import Home
from leeward.stack.installation import Installation, Wanted, installed
from leeward.stack.process import Program
from leeward.stack.programs import Plan
from tests.e2e.product import until
from tests.e2e.real.access import Access
from tests.e2e.real.api import ApiError, Json, KubeApi
from tests.support.servers import PLAIN
from tests.support.stack import processes_in

SPEED = 30.0
"""How many of Velero's seconds pass in one of ours: it syncs and validates every two seconds."""
VAULT = "vault"
_PATIENT = {
    "LEEWARD_RESTORING": json.dumps({"available": 900, "found": 900, "looked_into": 900, "cleaned": 900}),
}
"""A restore waits at each step as long as a test keeps it there."""
STARTING = 180.0


class Running:
    """One installation, supervised in a thread, with everything that was said by its API."""

    def __init__(self, directory: Path) -> None:
        self.home = Home.at(directory)
        self.told: list[str] = []
        self.answers: list[str] = []
        self._started, self._ending = threading.Event(), asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._failure: BaseException | None = None
        self._installation: Installation | None = None
        self._thread = threading.Thread(target=self._supervise, name="supervisor", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(STARTING), f"not started: {self.told}"
        if self._failure:
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(60)

    def _supervise(self) -> None:
        try:
            self._loop.run_until_complete(self._run())
        except BaseException as failure:  # noqa: BLE001 (the test raises it)
            self._failure = failure
        finally:
            self._started.set()

    async def _run(self) -> None:
        wanted = Wanted(principal="anna", speed=SPEED)
        async with installed(self.home, wanted, step=lambda what, _: self.told.append(what), tell=self.told.append) as running:
            self._installation = running
            with patch.object(programs, "SERVICES", tuple(map(_patient, programs.SERVICES))):
                await running.start()
            self._started.set()
            await self._ending.wait()
            running.kill()  # nothing of it is kept, so nothing has to end in peace

    # ------------------------------------------------------------------ what a person does

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        """One request to the API; what it answers is kept."""
        assert self._installation
        media = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Authorization": f"Bearer {self._installation.token}", "Content-Type": media, **headers}
        content = None if body is None else json.dumps(body)
        url = f"{self._installation.url}/api/v1{path}"
        answer = httpx2.request(method, url, content=content, headers=headers, timeout=30, **PLAIN)
        self.answers.append(f"{answer.status_code} {answer.headers!r} {answer.text}")
        return answer

    def get(self, path: str) -> Json:
        """What is shown; empty where the gateway is away or knows nothing."""
        with contextlib.suppress(httpx2.HTTPError):
            answer = self.ask("GET", path)
            if answer.is_success:
                return dict(answer.json())
        return {}

    def make(self, path: str, body: Any, **headers: str) -> Json:
        """Ask for something, which is granted."""
        answer = self.ask("POST", path, body, **headers)
        assert answer.status_code in {200, 201, 202}, answer.text
        return dict(answer.json())

    # ------------------------------------------------------------------ hands

    def order(self, fault: str, cluster: str | None = None, **arguments: Any) -> Any:
        """Order a fault of the simulator."""
        where = json.loads(self.home.control_file.read_text())
        body = {"fault": fault, **({"cluster": cluster} if cluster else {}), **arguments}
        headers = {"Authorization": f"Bearer {where['token']}"}
        return httpx2.post(where["url"], json=body, headers=headers, timeout=30, **PLAIN).raise_for_status().json()["result"]

    def kube(self, cluster: str) -> KubeApi:
        """The API server of a cluster, past Leeward."""
        config = self.home.kubeconfig.read_text()
        server = re.search(rf"server: (\S+)\s+name: {cluster}\n|name: {cluster}\n\s+cluster:\n\s+server: (\S+)", config)
        token = re.search(r"token: (\S+)", config)
        assert server
        assert token
        return KubeApi(Access(server[1] or server[2], token=token[1]))

    def kill(self, name: str) -> int:
        """kill -9 a process that is supervised; returns which one it was."""
        (victim,) = self._pids(name)
        os.kill(victim, signal.SIGKILL)
        return victim

    def back(self, name: str, victim: int) -> None:
        """Wait until the supervisor has started it again."""
        until(f"{name} runs again", lambda: (pids := self._pids(name)) and victim not in pids)

    def ready(self, name: str) -> None:
        """Wait until a process has all that it needs; of NATS, until everybody has it."""
        names = [name] if name != "nats" else ["gateway", "status", "scheduler", "executor"]
        ports = json.loads((self.home.root / "ports.json").read_text())
        for each in names:
            url = f"http://127.0.0.1:{ports[each]}/readyz"
            eventually(f"{each} is ready", lambda at=url: httpx2.get(at, timeout=5, **PLAIN).json()["ready"])

    def _pids(self, name: str) -> list[int]:
        part = f"services.{name}" if name != "nats" else "nats-server"
        found = processes_in(self.home.root).items()
        return [
            pid for pid, command in found if any(part in word for word in command) and not any("guard.py" in w for w in command)
        ]


def _patient(make: Callable[[Plan], Program]) -> Callable[[Plan], Program]:
    """Return what makes the same program, with more patience."""

    def made(plan: Plan) -> Program:
        program = make(plan)
        return replace(program, environment={**program.environment, **_PATIENT})

    return made


def eventually(what: str, probe: Callable[[], Any], within: float = 120) -> Any:
    """The first truthy answer; refusals and broken connections count as not yet."""

    def ask() -> Any:
        try:
            return probe()
        except (ApiError, httpx2.HTTPError):
            return None

    return until(what, ask, within)


@contextlib.contextmanager
def vaulted(running: Running, key: str, secret: str) -> Iterator[Json]:
    """A backup of eu1, of a namespace `parcel`, in storage that lets in the holder of these keys only."""
    kube = running.kube("eu1")
    kube.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "parcel", "labels": {"team": "post"}}})
    for kind, name, data in (("ConfigMap", "label", {"to": "us1"}), ("Secret", "content", {"gift": "Ym9vaw=="})):
        kube.create({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "parcel"}, "data": data})
    running.order("bucket-lock", bucket=VAULT, key=key, secret=secret)
    spec = {"provider": "aws", "objectStorage": {"bucket": VAULT}, "config": {"region": "eu-central-1"}}
    credential = {"accessKeyId": key, "secretAccessKey": secret}
    running.make("/clusters/eu1/storage-locations", {"name": VAULT, "spec": spec, "credential": credential})
    place = f"/clusters/eu1/storage-locations/{VAULT}"
    eventually("the vault is available", lambda: running.get(place).get("status") == "Available")
    scope = {"kind": "specific", "namespaces": ["parcel"]}
    asked = {"name": "parcel", "cluster": "eu1", "scope": scope, "spec": {"storageLocation": VAULT, "snapshotVolumes": False}}
    backup = running.make("/backups", asked)
    eventually("the backup is complete", lambda: running.get(f"/backups/{backup['id']}").get("measuredAt"))
    yield running.get(f"/backups/{backup['id']}")
