"""`python -m simulator` as a supervisor and a chaos test use it: started, killed, started again, and ordered about."""

import json
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
import yaml

from tests.support.servers import PLAIN, free_port
from tests.support.waiting import PATIENCE

BACKUPS = "/apis/velero.io/v1/namespaces/velero/backups"


class Process:
    """The command under way, with what it printed until it was ready."""

    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "simulator", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.said: dict[str, str] = {}
        for line in self.process.stdout:
            name, _, value = line.strip().partition(": ")
            if name == "ready":
                break
            self.said[name] = value

    def end(self, number: int) -> tuple[int, str]:
        """Send a signal and return the exit code and what it wrote to stderr."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, errors


@contextmanager
def running(*options: str):
    started = Process(*options)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.communicate()


def get(url: str, token: str = "") -> dict:
    answer = httpx2.get(url, headers={"authorization": f"Bearer {token}"} if token else {}, timeout=PATIENCE, **PLAIN)
    answer.raise_for_status()
    return answer.json()


def test_a_killed_process_returns_with_every_object_and_its_versions(tmp_path):
    options = ("--no-velero", "--data", str(tmp_path / "data"), "--port", str(free_port(3)), "--name", "eu1", "--name", "us1")
    with running(*options) as first, httpx2.Client(timeout=PATIENCE, **PLAIN) as client:
        for index in range(50):
            made = {"metadata": {"name": f"b{index}"}, "spec": {}, "apiVersion": "velero.io/v1", "kind": "Backup"}
            client.post(first.said["eu1"] + BACKUPS, json=made).raise_for_status()
        httpx2.delete(first.said["eu1"] + f"{BACKUPS}/b7", timeout=PATIENCE, **PLAIN).raise_for_status()
        before = [get(first.said[name] + BACKUPS) for name in ("eu1", "us1")]
        first.end(signal.SIGKILL)
    with running(*options) as second:
        assert [get(second.said[name] + BACKUPS) for name in ("eu1", "us1")] == before
        old = httpx2.get(
            second.said["eu1"] + BACKUPS, params={"watch": "1", "resourceVersion": "201"}, timeout=PATIENCE, **PLAIN
        )
        assert json.loads(old.text.splitlines()[0])["object"]["code"] == 410
    assert len(before[0]["items"]) == 49


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly_when_told(tmp_path, number):
    with running("--seed", "demo", "--data", str(tmp_path / "data"), "--kubeconfig", str(tmp_path / "k")) as process:
        assert set(process.said) == {"eu1", "us1", "storage", "kubeconfig"}
        assert process.end(number) == (0, "")
    with running("--seed", "demo", "--data", str(tmp_path / "data")) as again:
        assert get(again.said["us1"] + "/api/v1/namespaces/analytics")["metadata"]["labels"]["team"] == "data"


def test_a_taken_port_is_said_in_one_line(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port(3)))  # the two behind it are wanted as well, and nobody else has them
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "simulator", "--port", port]
        ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert port in ended.stderr


def test_data_in_use_is_said_in_one_line(tmp_path):
    with running("--no-velero", "--data", str(tmp_path)):
        command = [sys.executable, "-m", "simulator", "--no-velero", "--data", str(tmp_path)]
        ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "in use" in ended.stderr


def test_it_ends_with_its_parent(tmp_path):
    """A parent that is killed, and so cannot tell anybody, is survived by nobody."""
    parent = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with running("--no-velero", "--with-parent", str(parent.pid)) as process:
        parent.kill()
        assert process.process.wait(timeout=PATIENCE) == 0
    parent.wait()


def test_the_token_file_opens_the_door_and_nothing_else_does(tmp_path):
    token, config = tmp_path / "token", tmp_path / "kubeconfig"
    with running("--no-velero", "--token-file", str(token), "--kubeconfig", str(config)) as process:
        assert httpx2.get(process.said["eu1"] + BACKUPS, timeout=PATIENCE, **PLAIN).status_code == 401
        assert get(process.said["eu1"] + BACKUPS, token.read_text().strip())["items"] == []
    assert yaml.safe_load(config.read_text())["users"][0]["user"]["token"] == token.read_text().strip()
    assert [path.stat().st_mode & 0o777 for path in (token, config)] == [0o600, 0o600]


class Orders:
    """The control endpoint, as its file describes it."""

    def __init__(self, file: Path) -> None:
        self.where = json.loads(file.read_text())

    def __call__(self, **order) -> tuple[int, dict]:
        headers = {"authorization": f"Bearer {self.where['token']}"}
        answer = httpx2.post(self.where["url"], json=order, headers=headers, timeout=PATIENCE, **PLAIN)
        return answer.status_code, answer.json()


def test_faults_are_ordered_from_outside(tmp_path):
    file = tmp_path / "control.json"
    with running("--name", "eu1", "--name", "us1", "--control", str(file)) as process:
        order = Orders(file)
        assert order(cluster="eu1", fault="api-down")[0] == 200
        with pytest.raises(httpx2.ConnectError):
            get(process.said["eu1"] + "/version")
        get(process.said["us1"] + "/version")
        assert order(cluster="eu1", fault="api-up")[0] == 200
        get(process.said["eu1"] + "/version")
        order(cluster="us1", fault="api-fail", code=503)
        assert httpx2.get(process.said["us1"] + BACKUPS, timeout=PATIENCE, **PLAIN).status_code == 503
        order(cluster="us1", fault="velero-kill")
        assert order(cluster="us1", fault="delete", kind="backupstoragelocations", name="default")[0] == 200
        assert order(cluster="us1", fault="delete", kind="backupstoragelocations", name="default")[0] == 409
        order(fault="bucket-lock", bucket="vault", key="id", secret="hidden")
        states = order(fault="state")[1]["result"]
        assert states["eu1"]["locked_buckets"] == ["vault"]
        assert [states[name]["velero"]["running"] for name in ("eu1", "us1")] == [True, False]


def test_bad_orders_are_refused_with_a_reason(tmp_path):
    file = tmp_path / "control.json"
    with running("--no-velero", "--control", str(file)):
        order = Orders(file)
        assert file.stat().st_mode & 0o777 == 0o600
        assert httpx2.post(order.where["url"], json={"fault": "api-down"}, timeout=PATIENCE, **PLAIN).status_code == 401
        for bad, reason in (
            ({"fault": "fire"}, "api-down"),
            ({"fault": "api-down", "cluster": "mars"}, "eu1"),
            ({"fault": "api-slow", "seconds": "many"}, "float"),
            ({"fault": "api-slow", "minutes": 1}, "seconds"),
            ({"fault": "bucket-deny"}, "bucket"),
        ):
            code, answer = order(**bad)
            assert code == 400
            assert reason in answer["error"]
        assert order(fault="velero-kill")[0] == 409


def test_a_clean_end_takes_the_control_file_along(tmp_path):
    file = tmp_path / "control.json"
    with running("--no-velero", "--control", str(file)) as process:
        process.end(signal.SIGTERM)
    assert not file.exists()
