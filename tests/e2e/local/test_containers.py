"""docker-compose.yml as it would run, without Docker: each container's own command, user, settings, secrets and root."""

import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from pymongo import MongoClient

from deploy.compose.prepare import MONGODB_USERS, prepare
from tests.support import containers
from tests.support.servers import wait_until

pytestmark = pytest.mark.skipif(
    not containers.possible(), reason="needs Linux, root, and to be allowed to make namespaces and mounts"
)

BIN = Path(sys.executable).parent
OURS = ("gateway", "scheduler", "status", "executor", "clusters")
URL = "http://127.0.0.1:8080"
NATS_HEALTH = containers.composition()["services"]["nats"]["healthcheck"]["test"][-1]


class System:
    """Everything that docker-compose.yml starts."""

    def __init__(self, room):
        self.room = room
        self.token = (room.secrets / "token").read_text().strip()

    def start_nats(self):
        self.room.start("nats", (BIN / "nats-server").resolve())
        wait_until("nats healthy", lambda: self.get(NATS_HEALTH) == 200)

    def start(self):
        self.start_nats()
        self.database()
        ensured = self.room.start("ensure")
        assert ensured.process.wait(60) == 0, ensured.output
        for name in reversed(OURS):
            self.room.start(name)
        for name in OURS:
            wait_until(f"{name} healthy", lambda n=name: self.healthy(n), timeout=60)

    def database(self):
        """A database that asks for the passwords which the first start of the real one would set."""
        command = [str(BIN / "secantusd-py"), "--port", "27017", "--storage-path", str(self.room.directory / "mongodb")]
        log = self.room.directory / "mongodb.log"
        open_to_all = self.room.spawn(command, log)
        with self.room.network.inside(), MongoClient("127.0.0.1", serverSelectionTimeoutMS=20_000) as client:
            for user in MONGODB_USERS:
                password = (self.room.secrets / f"mongodb-{user}").read_text()
                client["leeward"].command("createUser", user, pwd=password, roles=[{"role": "readWrite", "db": "leeward"}])
        open_to_all.terminate()
        open_to_all.wait(20)
        self.mongodb = self.room.spawn([*command, "--auth"], log)

    def healthy(self, name):
        container = self.room.running[name]
        assert container.process.poll() is None, container.output
        return self.room.healthcheck(name).returncode == 0

    def get(self, url):
        try:
            with self.room.network.inside():
                return httpx2.get(url, trust_env=False, timeout=5).status_code
        except httpx2.TransportError:
            return None

    def ask(self, method, path, token=None, **body):
        headers = {"Authorization": f"Bearer {token or self.token}"}
        with self.room.network.inside():
            return httpx2.request(method, f"{URL}/api/v1{path}", headers=headers, trust_env=False, timeout=30, **body)

    def inside(self, name, *command):
        """Run a command as the container's user, in its root."""
        pid = self.room.running[name].process.pid
        enter = ["nsenter", f"--mount=/proc/{pid}/ns/mnt", f"--root=/proc/{pid}/root"]
        user = ["setpriv", "--reuid=10001", "--regid=10001", "--clear-groups"]
        return subprocess.run([*enter, *user, *command], capture_output=True, text=True, check=False, timeout=20)


@pytest.mark.timeout(400)
def test_the_composed_system_takes_a_backup_confined_and_recovers_and_stops(tmp_path):
    prepare(tmp_path / "secrets")
    with containers.room(tmp_path, tmp_path / "secrets") as room:
        system = System(room)
        try:
            system.start()
            takes_a_backup(system)
            fires_a_schedule(system)
            for name in OURS:
                is_confined(system, name)
            for name in ("nats", *OURS):
                tells_no_secret(system, name)
            recovers(system)
            for name in OURS:
                container = room.running[name]
                assert container.stop() == 0, container.output
                assert "Traceback" not in container.output
        finally:
            system.mongodb.kill()
            system.mongodb.wait()


def takes_a_backup(system):
    assert system.ask("GET", "/backups", token="wrong").status_code == 401
    assert system.ask("POST", "/clusters", json={"id": "us1"}).status_code == 201
    wait_until("online", lambda: system.ask("GET", "/clusters/us1").json()["status"] == "Online", timeout=60)
    body = {"name": "composed", "cluster": "us1", "scope": {"kind": "specific", "namespaces": ["shop"]}}
    answer = system.ask("POST", "/backups", json=body)
    assert answer.status_code in {201, 202}, answer.text
    operation = answer.json()["id"]
    wait_until("completed", lambda: system.ask("GET", f"/backups/{operation}").json().get("status") == "Completed", timeout=60)


def fires_a_schedule(system):
    template = {"scope": {"kind": "specific", "namespaces": ["shop"]}}
    body = {"name": "timed", "cluster": "us1", "cron": "* * * * *", "timezone": "Europe/Berlin", "template": template}
    answer = system.ask("POST", "/schedules", json=body)
    assert answer.status_code == 201, answer.text
    ticks = f"/schedules/{answer.json()['id']}/ticks"

    def fired():
        return [t for t in system.ask("GET", ticks).json()["items"] if (t["backup"] or {}).get("status") == "Completed"]

    wait_until("a slot has its backup", fired, timeout=120)


def is_confined(system, name):
    status = Path(f"/proc/{system.room.running[name].process.pid}/status").read_text()
    facts = dict(re.findall(r"^(\w+):[ \t]*(.*)$", status, re.MULTILINE))
    assert facts["Uid"].split() == ["10001"] * 4
    assert not facts["Groups"].strip()
    assert {facts[kind] for kind in ("CapEff", "CapPrm", "CapBnd", "CapInh")} == {"0" * 16}
    assert facts["NoNewPrivs"] == "1"
    for place in ("/app", "/app/shared", "/run/secrets", "/etc"):
        assert "Read-only" in system.inside(name, "touch", f"{place}/x").stderr
    assert system.inside(name, "touch", "/tmp/x").returncode == 0


def tells_no_secret(system, name):
    container = system.room.running[name]
    pid = Path(f"/proc/{container.process.pid}")
    said = (pid / "environ").read_text() + (pid / "cmdline").read_text() + container.output
    words = [path.read_text().strip() for path in system.room.secrets.iterdir() if path.stat().st_size < 60]
    assert len(words) > 8
    assert not [word for word in words if word in said]


def recovers(system):
    nats = system.room.running["nats"]
    nats.process.kill()
    nats.process.wait()
    wait_until("status unhealthy", lambda: not system.healthy("status"))
    system.start_nats()
    for name in OURS:
        wait_until(f"{name} healthy again", lambda n=name: system.healthy(n), timeout=60)
