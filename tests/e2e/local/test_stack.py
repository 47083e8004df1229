"""`leeward up` as a person starts it: everything in it as processes, and what becomes of them and of what they keep."""

import contextlib
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from tests.support.servers import free_port, wait_until
from tests.support.stack import process_of, processes_in
from tests.support.waiting import PATIENCE

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="looks into /proc"),
    pytest.mark.timeout(240),
]


class Up:
    """One `leeward up`, with everything that it says."""

    def __init__(self, data: Path, *options: str) -> None:
        self.data = data
        self.output = data.parent / f"said-{secrets.token_hex(4)}"
        with self.output.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "leeward", "up", "--data", str(data), *options],
                cwd=data.parent,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.output.read_text()

    def runs(self) -> "Up":
        self.says("Leeward is running.", 120)
        return self

    def says(self, words: str, timeout: float = PATIENCE) -> None:
        def heard():
            assert self.process.poll() is None or words in self.said, self.said
            return words in self.said

        wait_until(f"says {words!r}", heard, timeout)

    def stop(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    @property
    def api(self) -> httpx2.Client:
        """A client made of what the command line would read."""
        told = json.loads((self.data / "client.json").read_text())
        token = (self.data / told["tokenFile"]).read_text().strip()
        return httpx2.Client(base_url=f"{told['url']}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=30)


@pytest.fixture
def start(tmp_path):
    """Start installations; none of their processes outlives the test."""
    started: list[Up] = []

    def begin(*options, data=tmp_path / "data"):
        started.append(Up(data, *options))
        return started[-1]

    yield begin
    for each in started:
        each.process.kill()
        each.process.wait()
        for process in processes_in(each.data):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def test_one_installation_from_its_first_start_through_crashes_to_a_clean_end(start):
    # A port that is in use is replaced, and that is said.
    with socket.create_server(("127.0.0.1", 0)) as other:
        wanted = other.getsockname()[1]
        up = start("--port", str(wanted)).runs()
    used = int(re.search(rf"port {wanted} is in use, using (\d+) for the API", up.said)[1])
    assert up.api.base_url.port == used
    assert [c["status"] for c in up.api.get("/clusters").json()["items"]] == ["Online", "Online"]

    # A second one in the same directory is refused, and says where the first one is.
    second = start()
    assert second.process.wait(PATIENCE) == 1
    assert re.search(rf"already \(process {up.process.pid}\)", second.said), second.said

    # No secret stands where other users of the machine may read it, or in a log.
    hidden = [path.read_text().strip() for path in (up.data / "secrets").rglob("*password")] + [
        up.api.headers["authorization"][7:]
    ]
    assert len(hidden) == 6
    arguments = "\n".join("\n".join(command) for command in processes_in(up.data).values())
    logs = "\n".join(path.read_text() for path in (up.data / "logs").iterdir())
    for secret in hidden:
        assert secret not in arguments
        assert secret not in logs
        assert secret not in up.said
    assert all(path.stat().st_mode & 0o077 == 0 for path in (up.data / "secrets").rglob("*"))

    # A service that is killed is started again.
    killed = process_of(up.data, "services.status")
    os.kill(killed, signal.SIGKILL)
    up.says("status was ended by SIGKILL; starting it again in 0.5 s")
    up.says("status is back")
    assert process_of(up.data, "services.status") != killed

    # What is asked for is there again after the supervisor was killed, and none of its processes is.
    asked = up.api.post("/backups", json={"name": "kept", "cluster": "eu1", "scope": {"kind": "all"}})
    assert asked.status_code in {201, 202}, asked.text
    token, uid = up.api.headers["authorization"], cluster_uid(up.data)
    up.process.kill()
    up.process.wait()
    wait_until("no stray process", lambda: not processes_in(up.data))
    up = start().runs()
    assert up.api.headers["authorization"] == token
    assert up.api.base_url.port == used
    assert up.api.get(f"/operations/{asked.json()['id']}").json()["object"] is not None or asked.status_code == 202
    assert [b["name"] for b in up.api.get("/backups", params={"search": "kept", "cluster": "eu1"}).json()["items"]] == ["kept"]
    assert cluster_uid(up.data) == uid

    # Ctrl-C ends everything in peace.
    began = time.monotonic()
    assert up.stop(signal.SIGINT) == 0, up.said
    assert time.monotonic() - began < 20, "one kind of process after another, each within its 4 s"
    assert "Stopped." in up.said
    assert processes_in(up.data) == {}
    for name in ("gateway", "scheduler", "status", "executor"):
        assert '"event": "stopped"' in (up.data / "logs" / f"{name}.log").read_text()


def cluster_uid(data: Path) -> str:
    """By what a cluster is told from another one in its place."""
    kubeconfig = (data / "secrets" / "kubeconfig.yaml").read_text()
    server, token = re.search(r"server: (\S+)", kubeconfig)[1], re.search(r"token: (\S+)", kubeconfig)[1]
    answer = httpx2.get(f"{server}/api/v1/namespaces/kube-system", headers={"Authorization": f"Bearer {token}"})
    return answer.json()["metadata"]["uid"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_a_start_that_is_interrupted_leaves_nothing_behind(start, number):
    up = start("--port", str(free_port()))
    up.says("NATS with JetStream")
    assert up.stop(number) == 0, up.said
    assert processes_in(up.data) == {}


def test_what_does_not_start_is_told_with_the_end_of_its_log_and_everything_else_is_stopped(start, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "database").write_text("not a directory")
    up = start("--port", str(free_port()))
    assert up.process.wait(PATIENCE) == 1
    assert re.search(r"leeward: database ended with exit code \d+ while it started. Its log ends with:", up.said), up.said
    assert str(up.data / "logs" / "database.log") in up.said
    assert processes_in(up.data) == {}


def test_clusters_that_cannot_be_served_are_refused_before_anything_starts(start, tmp_path):
    up = start("--kubeconfig", str(tmp_path / "nothing"), "--context", "a")
    assert up.process.wait(PATIENCE) == 2
    assert "cannot be read: No such file or directory" in up.said
    assert not up.data.exists()
