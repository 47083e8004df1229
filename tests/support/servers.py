"""NATS and the database for tests: real servers as processes that can be stopped, killed and started again on their port.

`LEEWARD_TEST_NATS_URL` and `LEEWARD_TEST_MONGODB_URL` point to servers of your own instead (those are never stopped).
"""

import contextlib
import ctypes
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from leeward.stack.ports import Listener, choose
from shared.messaging.connection import NatsSettings
from shared.messaging.permissions import server_config, users
from shared.runtime.settings import MongoSettings
from tests.support.timing import PATIENT
from tests.support.waiting import PATIENCE

_PR_SET_PDEATHSIG = 1

PLAIN: Final[dict[str, Any]] = {"verify": False, "trust_env": False}
"""For an HTTP client that asks servers of the test's own, which do not speak TLS: without it, each client reads whom else it
should trust, which takes fifty times as long as to ask."""


_marks = (Path(tempfile.gettempdir()) / f"leeward-test-ports-{os.getuid()}").open("ab")
_given: set[int] = set()


def free_port(count: int = 1) -> int:
    """Return a port (the first of some in a row) that nobody has, and that no outgoing connection is given meanwhile.

    Nor is it given to another test process as long as this one lives: a server that is only about to start, or was killed to be
    started again, finds it free.
    """
    while True:
        first = choose([Listener("", "", count=count)], {}, {})[0][""]
        if all(_is_ours(port) for port in range(first, first + count)):
            return first


def _is_ours(port: int) -> bool:
    """Mark a port by a lock on one byte of a file, which ends with the process."""
    if port in _given:
        return False
    try:
        fcntl.lockf(_marks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    _given.add(port)
    return True


def die_with_parent() -> None:
    """A child started with this ends with the test process, however that one ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def wait_until(what: str, condition: Callable[[], bool], timeout: float = PATIENCE) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} not within {timeout} s")
        time.sleep(0.02)


def accepts_connections(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _state(thread: Path) -> str:
    try:
        return (thread / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:  # it has ended, and answers nothing either
        return "T"


@dataclass
class ServerProcess:
    """A server on a fixed loopback port, its data kept across restarts."""

    directory: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    patience: float = PATIENCE
    """Seconds that it may take to start."""
    timeout: float = PATIENT
    """Seconds that those who connect wait for an answer."""

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - one call into the kernel, no lock
            )
        try:
            wait_until(f"{type(self).__name__} on port {self.port}", self._ready, self.patience)
        except TimeoutError as error:
            raise TimeoutError(f"{error}:\n{(self.directory / 'log').read_text()[-3000:]}") from None

    def _ready(self) -> bool:
        assert self.process
        if self.process.poll() is not None:
            raise TimeoutError(f"ended with {self.process.returncode}: {(self.directory / 'log').read_text()[-3000:]}")
        return accepts_connections(self.port)

    def signal(self, number: int) -> None:
        assert self.process
        self.process.send_signal(number)

    def pause(self) -> None:
        """Stop the process where it stands; on return none of its threads answers any more."""
        self.signal(signal.SIGSTOP)
        assert self.process
        threads = Path(f"/proc/{self.process.pid}/task")
        # The signal is taken thread by thread: without waiting, one of them may still answer a last request.
        wait_until("stopped", lambda: all(_state(thread) == "T" for thread in threads.iterdir()))

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    stop = kill


@dataclass
class NatsServer(ServerProcess):
    """The real nats-server with JetStream and every user's permissions switched on."""

    clusters: tuple[str, ...] = ("eu1", "us1")
    passwords: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.passwords = {user.name: secrets.token_hex(8) for user in users(self.clusters)}

    def command(self) -> list[str]:
        binary = shutil.which("nats-server", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
        assert binary, "nats-server is missing: install the test dependencies (uv sync)"
        config = self.directory / "nats.conf"
        config.write_text(
            server_config(self.clusters, self.passwords, host="127.0.0.1", port=self.port, store=str(self.directory / "js"))
        )
        return [binary, "-c", str(config)]

    def settings(self, user: str) -> NatsSettings:
        url = f"nats://127.0.0.1:{self.port}"
        return NatsSettings(url=url, user=user, password=self.passwords[user], timeout=self.timeout)

    def environment(self, user: str) -> dict[str, str]:
        """What a service's process needs to connect as this user."""
        return {
            "LEEWARD_NATS__URL": f"nats://127.0.0.1:{self.port}",
            "LEEWARD_NATS__USER": user,
            "LEEWARD_NATS__PASSWORD": self.passwords[user],
        }


@dataclass
class MongoServer(ServerProcess):
    """MongoDB's wire protocol, served by secantusdb; LEEWARD_TEST_MONGODB_URL uses a real one instead."""

    def command(self) -> list[str]:
        binary = Path(sys.executable).parent / "secantusd-py"
        data = self.directory / "data"
        return [
            str(binary),
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
            "--storage-path",
            str(data),
            "--log-level",
            "WARNING",
        ]

    @property
    def lives(self) -> bool:
        """Whether there is a server to be spoken to."""
        return bool(self.external) or self.process is not None

    @property
    def external(self) -> str | None:
        return os.environ.get("LEEWARD_TEST_MONGODB_URL")

    def start(self) -> None:
        if not self.external:
            super().start()

    @property
    def url(self) -> str:
        return self.external or f"mongodb://127.0.0.1:{self.port}/?directConnection=true"

    def settings(self) -> MongoSettings:
        return MongoSettings(url=self.url, database=f"test_{secrets.token_hex(6)}", timeout=self.timeout)
