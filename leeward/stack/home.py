"""The data directory of one installation: one supervisor at a time, secrets that only their owner reads, logs, ports."""

import contextlib
import fcntl
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOG_ENDS = 4096
"""How much of the end of a log is read to show its last lines."""


class BusyError(Exception):
    """Somebody else holds the data directory; the words say who."""


class LeftoversError(BusyError):
    """The supervisor that held it is gone, processes that it started are not (yet)."""


@dataclass(frozen=True, slots=True)
class Home:
    """The directory `.leeward`, or another one, as absolute path."""

    root: Path

    @classmethod
    def at(cls, root: Path) -> "Home":
        """Make the directory, readable by its owner only, and a new one out of sight of git."""
        home = cls(root.absolute())
        new = not home.root.exists()
        for directory in (home.root, home.secrets, home.logs):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if new:
            (home.root / ".gitignore").write_text("*\n")
        return home

    @property
    def secrets(self) -> Path:
        """Where everything lies that must not be read by others."""
        return self.root / "secrets"

    @property
    def logs(self) -> Path:
        """Where each process has its log."""
        return self.root / "logs"

    @property
    def token_file(self) -> Path:
        """The token of whoever started it, an admin's."""
        return self.secrets / "token"

    @property
    def kubeconfig(self) -> Path:
        """How the simulated clusters are reached."""
        return self.secrets / "kubeconfig.yaml"

    @property
    def control_file(self) -> Path:
        """Where the simulator takes orders for faults."""
        return self.secrets / "control.json"

    def log_file(self, name: str) -> Path:
        """Return the log of a process."""
        return self.logs / f"{name}.log"

    @contextlib.contextmanager
    def held(self) -> Iterator[int]:
        """Hold the directory; yields a descriptor to be inherited by every process that works in here.

        Two locks: one is the supervisor's own; the other is held until the last process that inherited it has ended, so
        that a supervisor that was killed is not followed by another one while its processes still write.

        Raises BusyError while another supervisor lives, LeftoversError while only processes of one do.
        """
        with _locked(self.root / "lock") as own:
            if own is None:
                holder = (self.root / "lock").read_text()
                raise BusyError(f"leeward runs in {self.root} already (process {holder}); stop it, or use another --data")
            os.ftruncate(own, 0)
            os.pwrite(own, str(os.getpid()).encode(), 0)
            with _locked(self.root / "in-use") as shared:
                if shared is None:
                    path = self.root / "in-use"
                    raise LeftoversError(f"processes of a run that was killed still work here; `fuser -k {path}` ends them")
                yield shared

    def secret(self, name: str) -> str:
        """Return the secret in that file of `secrets`, made at random the first time."""
        path = self.secrets / name
        if not holds_something(path):
            write(path, secrets.token_urlsafe(24))
        return path.read_text().strip()

    def begin_log(self, name: str) -> Path:
        """Put the log of the last run aside, and return where the new one begins."""
        path = self.log_file(name)
        if path.exists():
            path.replace(path.with_suffix(".log.1"))
        path.touch(mode=0o600)
        return path

    def last_lines(self, name: str, count: int) -> list[str]:
        """Return the end of a process's log."""
        try:
            with self.log_file(name).open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_ENDS))
                return log.read().decode(errors="replace").splitlines()[-count:]
        except OSError:
            return []

    def read_json(self, name: str) -> Any:
        """Return what was written under that name; nothing if there is nothing to read."""
        with contextlib.suppress(OSError, ValueError):
            return json.loads((self.root / name).read_text())
        return None

    def write_json(self, name: str, value: Any) -> None:
        """Keep something for the next start."""
        write(self.root / name, json.dumps(value, indent=2) + "\n")


def holds_something(path: Path) -> bool:
    """Tell whether a file is there and not empty, as the loss of power may leave it."""
    return path.exists() and bool(path.read_text().strip())


def write(path: Path, text: str) -> None:
    """Write a file in one step, readable by its owner only."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made with mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink()  # the disk is full
        raise


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int | None]:
    """Lock a file while the context lasts; yields nothing if somebody else has."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield descriptor
    finally:
        os.close(descriptor)
