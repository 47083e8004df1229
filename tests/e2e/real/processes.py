"""Run servers that a test can kill, pause and look at, and that never outlive the test process, however it ends."""

import contextlib
import os
import random
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.e2e.real.waiting import eventually

_SPAWNER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")
"""Starts every process. The kernel sends the parent-death signal when the *thread* that forked a child ends, so it must
live as long as the interpreter, which a thread that starts one cluster does not."""

_given_ports: set[int] = set()


class ProcessEndedError(RuntimeError):
    """A process ended that should be running; the message holds the end of its log."""


def free_port() -> int:
    """A free TCP port of 127.0.0.1, not given before.

    It lies below the range from which the kernel takes the ports of outgoing connections: a client that dials a killed server
    again and again must never be given that server's port (it would even connect to itself).
    """
    first_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    candidates = range(15000, max(first_ephemeral, 16000))
    for port in random.sample(candidates, len(candidates)):
        if port not in _given_ports:
            with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
                _given_ports.add(port)
                return port
    raise OSError("no free port on 127.0.0.1")


class Process:
    """One server in a session of its own, logging to `<name>.log`; its environment is `environment`, PATH and HOME, no more.

    Its exit status is collected here alone, so its pid stays its own until this object knows that it has ended.
    """

    def __init__(
        self, name: str, command: Sequence[str | Path], directory: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        self._command = ["setpriv", "--pdeathsig", "KILL", "--", *map(str, command)]
        self._directory = directory
        self._environment = {"PATH": os.environ["PATH"], "HOME": str(directory), **(environment or {})}
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def start(self, ready: Callable[[], object] = lambda: True, *, timeout: float = 60) -> None:
        """Start it unless it runs, and wait until `ready` answers with something truthy."""
        if not self.running:
            self._child = _SPAWNER.submit(self._spawn).result()

        def ready_and_alive() -> object:
            if not self.running:
                raise ProcessEndedError(f"{self.name} has ended. The end of {self.log}:\n{self.log_end()}")
            return ready()

        try:
            eventually(f"{self.name} to be ready", ready_and_alive, timeout=timeout)
        except TimeoutError as error:
            error.add_note(f"The end of {self.log}:\n{self.log_end()}")
            raise

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._directory,
                env=self._environment,
                start_new_session=True,
            )

    def send(self, number: signal.Signals) -> None:
        if self._child:
            self._child.send_signal(number)

    def stop(self, *, patience: float = 10) -> None:
        """Ask it to end; after `patience` seconds end it. Returns when it is gone."""
        self._end(signal.SIGTERM, patience)

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it without a chance to tidy up. Returns when it is gone."""
        self._end(number, 10)

    def _end(self, number: signal.Signals, patience: float) -> None:
        if not (child := self._child):
            return
        self.send(number)
        self.send(signal.SIGCONT)
        try:
            child.wait(patience)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers."""
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run on after `pause`."""
        self.send(signal.SIGCONT)

    def log_end(self, lines: int = 20) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""
