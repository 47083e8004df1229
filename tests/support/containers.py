"""Containers without Docker: what docker-compose.yml and the Dockerfile say, done with the kernel's own means.

Each container has a root of its own that cannot be written to, the files that its image copies, the packages that its image
installs, its secrets under /run/secrets, its volumes and tmpfs, its user, no capabilities, and nothing of this process's
environment. All share one network of their own, apart from this machine's; names lead to its loopback. Linux and root only.
"""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.e2e.real.netns import Namespace
from tests.support.dockerfile import ROOT, Stage, stages
from tests.support.servers import die_with_parent

_OF_THE_MACHINE = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_PROGRAM = "/opt/program"
_SKIPPED = shutil.ignore_patterns("__pycache__")


def composition() -> dict[str, Any]:
    """docker-compose.yml with its anchors and merge keys resolved."""
    return dict(yaml.safe_load((ROOT / "docker-compose.yml").read_text()))


def possible() -> bool:
    """Tell whether this process may make namespaces and mounts."""
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("setpriv"):
        return False
    trial = ["unshare", "--mount", "--net", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(trial, capture_output=True, check=False).returncode == 0


def build(stage: Stage, image: Path, packages: Path) -> None:
    """Do what the stage copies, and, for the packages, what the stage that it copies them from runs."""
    everything = stages()
    for copy in stage.copies:
        if copy.stage is None:
            for source in copy.sources:
                _copy(ROOT / source, image / stage.at(copy.target).lstrip("/"), into=copy.target.endswith("/"))
        elif copy.stage.endswith("-packages"):
            _install(everything[copy.stage], packages)


def _copy(source: Path, target: Path, *, into: bool) -> None:
    target = target / source.name if into else target
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=_SKIPPED, dirs_exist_ok=True)
    else:
        shutil.copy(source, target)


def _install(stage: Stage, packages: Path) -> None:
    (command,) = stage.runs
    words = shlex.split(re.sub(r"\$\{WITH.*", "", re.sub(r"^--mount=\S+ ", "", command)))
    assert words[0] == "uv", command
    # Not how it is stored and compiled: that only takes longer.
    slow = {"UV_CACHE_DIR", "UV_LINK_MODE", "UV_COMPILE_BYTECODE"}
    settings = {name: value for name, value in stage.environment.items() if name not in slow}
    uv = os.environ.get("UV") or shutil.which("uv") or str(ROOT / ".cache/uv/bin/uv")
    environment = {
        **os.environ,
        **settings,
        "UV_PROJECT_ENVIRONMENT": str(packages),
        "UV_PYTHON": sys.base_prefix + "/bin/python3",
    }
    environment.pop("VIRTUAL_ENV", None)
    done = subprocess.run([uv, *words[1:]], env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@dataclass
class Container:
    """One running container."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)


@dataclass
class Room:
    """A network in which the containers of docker-compose.yml live. `hosts` are further names for its loopback."""

    directory: Path
    secrets: Path
    network: Namespace = field(default_factory=Namespace)
    running: dict[str, Container] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.compose = composition()
        self.stages = stages()
        names = " ".join(self.compose["services"])
        (self.directory / "hosts").write_text(f"127.0.0.1 localhost {names}\n")

    def spawn(self, command: Sequence[str], log: Path, **options: Any) -> subprocess.Popen[bytes]:
        """Start a process in the network."""
        with self.network.inside(), log.open("ab") as out:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - one call into the kernel, no lock
                **options,
            )

    def start(self, name: str, program: Path | None = None) -> Container:
        """Run a service as its container would. `program` stands in for the entry point of an image that is not ours."""
        service = self.compose["services"][name]
        stage = self.stages[service["build"]["target"]]
        home = self.directory / name
        image, packages, root = home / "image", self.directory / f"packages-{stage.name}", home / "root"
        for folder in (image, root):
            folder.mkdir(parents=True, exist_ok=True)
        build(stage, image, packages)
        environment = {**stage.environment, **{k: str(v) for k, v in (service.get("environment") or {}).items()}}
        script = self._root(service, image, packages, root, program).script(stage, _user(service), environment)
        (home / "enter").write_text(script)
        command = [*([_PROGRAM] if program else []), *service.get("command", stage.command)]
        log = home / "log"
        process = self.spawn(
            ["unshare", "--mount", "--propagation", "private", "sh", "-eu", str(home / "enter"), *command], log
        )
        self.running[name] = Container(name, process, log)
        return self.running[name]

    def healthcheck(self, name: str) -> subprocess.CompletedProcess[str]:
        """Ask a running container as Docker would: in its own root, as its own user."""
        service = self.compose["services"][name]
        stage = self.stages[service["build"]["target"]]
        test = service.get("healthcheck", {}).get("test", ["CMD", *stage.healthcheck])
        assert test[0] == "CMD", "a check must not need a shell"
        pid = self.running[name].process.pid
        environment = dict(pair.split("=", 1) for pair in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in pair)
        uid, gid = _user(service)
        inside = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "env", "-i", f"--chdir={stage.workdir}"]
        command = ["nsenter", f"--mount=/proc/{pid}/ns/mnt", f"--root=/proc/{pid}/root"]
        with self.network.inside():
            return subprocess.run(
                [*command, *inside, *(f"{k}={v}" for k, v in environment.items()), *test[1:]],
                capture_output=True,
                text=True,
                check=False,
                timeout=20,
            )

    def _root(self, service: dict[str, Any], image: Path, packages: Path, root: Path, program: Path | None) -> "_Root":
        made = _Root(root)
        made.machine()
        made.bind(self.directory / "hosts", "/etc/hosts")
        for part in image.iterdir():
            (part / ".venv").mkdir(exist_ok=True)
            made.bind(part, f"/{part.name}")
        if packages.exists():
            made.bind(packages, "/app/.venv")
        if program:
            made.bind(program, _PROGRAM)
        for secret in service.get("secrets", []):
            source, target = (secret, secret) if isinstance(secret, str) else (secret["source"], secret["target"])
            made.bind(self.secrets / Path(self.compose["secrets"][source]["file"]).name, f"/run/secrets/{target}")
        for volume in service.get("volumes", []):
            source, target = volume.split(":")
            folder = self.directory / "volumes" / source
            folder.mkdir(parents=True, exist_ok=True)
            os.chown(folder, *_user(service))  # as the image's folder is, which a new volume takes after
            made.bind(folder, target, writable=True)
        for entry in service.get("tmpfs", []):
            target, _, options = entry.partition(":")
            made.steps.append(f"mkdir -p {root}{target}; mount -t tmpfs -o {options} none {root}{target}")
        assert service["read_only"]
        made.steps.append(f"mount -o remount,ro {root}")
        return made


def _user(service: dict[str, Any]) -> tuple[int, int]:
    uid, gid = str(service["user"]).split(":")
    return int(uid), int(gid)


@dataclass
class _Root:
    """The steps from an empty folder to the root of a container; in the end nothing of it can be written to."""

    path: Path
    steps: list[str] = field(default_factory=list)

    def bind(self, source: Path | str, target: str, *, writable: bool = False) -> None:
        at = shlex.quote(f"{self.path}{target}")
        make = f"mkdir -p {at}" if Path(source).is_dir() else f"mkdir -p $(dirname {at}); touch {at}"
        self.steps.append(f"{make}; mount --bind {shlex.quote(str(source))} {at}")
        if not writable:
            self.steps.append(f"mount -o remount,bind,ro,nosuid {at}")

    def machine(self) -> None:
        """This machine's programs and libraries, in the place of the base image."""
        self.steps.append(f"mount -t tmpfs -o mode=0755 none {self.path}")
        for name in _OF_THE_MACHINE:
            if Path(name).is_symlink():
                self.steps.append(f"ln -s {Path(name).readlink()} {self.path}{name}")
            elif Path(name).exists():
                self.bind(name, name)
        self.bind(sys.base_prefix, sys.base_prefix)
        self.steps.append(f"mkdir -p {self.path}/proc && mount -t proc proc {self.path}/proc")
        for device in ("null", "urandom", "random", "zero"):
            self.bind(f"/dev/{device}", f"/dev/{device}", writable=True)

    def script(self, stage: Stage, user: tuple[int, int], environment: dict[str, str]) -> str:
        """A script that makes the root and becomes the command that it is given, as that user and as nobody else."""
        given = " ".join(shlex.quote(f"{name}={value}") for name, value in environment.items())
        confined = f"--reuid={user[0]} --regid={user[1]} --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all"
        entry = f'exec chroot {self.path} setpriv {confined} env -i --chdir={stage.workdir} {given} "$@"'
        return "\n".join([*self.steps, entry])


@contextlib.contextmanager
def room(directory: Path, secrets: Path) -> Iterator[Room]:
    """Open a room; leaving it kills whatever still runs there."""
    directory.chmod(0o755)
    opened = Room(directory, secrets)
    try:
        yield opened
    finally:
        for container in opened.running.values():
            if container.process.poll() is None:
                container.process.kill()
                container.process.wait()
