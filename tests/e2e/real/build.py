"""Build the servers of the real tier from source, because the Go module proxy is the one place that serves them all, pinned.

    python -m tests.e2e.real.build

Cold it takes about a quarter of an hour on two cores; when nothing has changed, no time at all: each product has a stamp,
the hash of what it was made from. Delete `LEEWARD_REAL_HOME` (default ~/.cache/leeward/real) to start afresh.
"""

# ruff: noqa: T201  (a command prints)

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.real import layout

GO_FLAGS = {"CGO_ENABLED": "0", "GOFLAGS": "-mod=mod -buildvcs=false", "GOTOOLCHAIN": "local"}
MODULES = layout.HERE / "go"


def module_files(module: str) -> list[Path]:
    """What pins a module's build."""
    return [MODULES / module / name for name in ("go.mod", "go.sum")]


def required(module: str, pattern: str) -> str:
    """First group of `pattern` in the go.mod of a module: a version that it pins."""
    found = re.search(pattern, (MODULES / module / "go.mod").read_text(), re.MULTILINE)
    if not found:
        raise LookupError(f"{module}/go.mod has no line like {pattern}")
    return found[1]


def kubernetes_flags() -> str:
    """Linker flags that make the binaries say their version, which Velero copies into the annotations of each backup."""
    version = required("kubernetes", r"^require k8s\.io/kubernetes (v\S+)")
    major, minor, _ = version.removeprefix("v").split(".")
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean", "gitCommit": "leeward"}
    values["buildDate"] = "1970-01-01T00:00:00Z"
    return " ".join(["-s -w", *(f"-X k8s.io/component-base/version.{key}={value}" for key, value in values.items())])


def velero_flags() -> str:
    """Without the version, Velero's ServerStatusRequest would answer with an empty one."""
    version = required("velero", r"github\.com/vmware-tanzu/velero (v\S+)")
    return f"-s -w -X github.com/vmware-tanzu/velero/pkg/buildinfo.Version={version}"


@dataclass(frozen=True)
class Binary:
    """One `go build`."""

    output: Path
    module: str
    package: str
    linker_flags: str

    @property
    def stamp(self) -> str:
        """Hash of everything that decides how the binary comes out, but for the version of Go."""
        digest = hashlib.sha256(repr((self.package, self.linker_flags, sorted(GO_FLAGS.items()))).encode())
        for file in module_files(self.module):
            digest.update(file.read_bytes())
        return digest.hexdigest()

    def build(self) -> None:
        """Build in a private copy of the module: -mod=mod may rewrite go.mod."""
        copy = layout.HOME / "src" / self.module
        copy.mkdir(parents=True, exist_ok=True)
        for file in module_files(self.module):
            shutil.copy(file, copy)
        self.output.parent.mkdir(parents=True, exist_ok=True)
        command = ["go", "build", "-trimpath", "-ldflags", self.linker_flags, "-o", str(self.output), self.package]
        subprocess.run(command, cwd=copy, env={**os.environ, **GO_FLAGS}, check=True)


BINARIES = (
    Binary(layout.ETCD, "etcd", "go.etcd.io/etcd/server/v3", "-s -w"),
    Binary(layout.KUBE_APISERVER, "kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver", kubernetes_flags()),
    Binary(layout.KUBE_CONTROLLER_MANAGER, "kubernetes", "k8s.io/kubernetes/cmd/kube-controller-manager", kubernetes_flags()),
    Binary(layout.VELERO, "velero", "github.com/vmware-tanzu/velero/cmd/velero", velero_flags()),
    Binary(
        layout.VELERO_PLUGIN_FOR_AWS,
        "velero",
        "github.com/vmware-tanzu/velero-plugin-for-aws/velero-plugin-for-aws",
        "-s -w",
    ),
)
S3_REQUIREMENTS = layout.HERE / "s3.txt"


def s3_stamp() -> str:
    """Hash of the pins and of the Python that they were installed for."""
    return hashlib.sha256(S3_REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()


def install_s3() -> None:
    """Make the S3 server's environment, with uv if it is there (seconds) or pip (a minute)."""
    shutil.rmtree(layout.S3_VENV, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(layout.S3_VENV)], check=True)
    python = str(layout.S3_VENV / "bin" / "python")
    uv = shutil.which("uv")
    installer = [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]
    subprocess.run([*installer, "--quiet", "--require-hashes", "-r", str(S3_REQUIREMENTS)], check=True)


def require_go() -> None:
    """Leave with a clear message unless there is a Go that can build all modules; another toolchain is never downloaded."""
    wanted = max(tuple(map(int, required(module.name, r"^go (\S+)").split("."))) for module in MODULES.iterdir())
    text = ".".join(map(str, wanted))
    go = shutil.which("go")
    if not go:
        sys.exit(f"The real tier is built from source and needs Go {text} or newer on the PATH (https://go.dev/dl/).")
    found = subprocess.run([go, "env", "GOVERSION"], env={**os.environ, **GO_FLAGS}, capture_output=True, text=True, check=True)
    numbers = tuple(int(number) for number in re.findall(r"\d+", found.stdout)[:3])
    if numbers < wanted:
        sys.exit(f"The real tier needs Go {text} or newer; {go} is {found.stdout.strip()} (https://go.dev/dl/).")


def stamp_file(product: Path) -> Path:
    """Where the stamp of a product is kept."""
    return layout.HOME / "stamps" / product.name


def is_fresh(product: Path, stamp: str) -> bool:
    """Whether the product is there, made from what the stamp stands for."""
    return product.exists() and stamp_file(product).exists() and stamp_file(product).read_text() == stamp


def build(product: Path, stamp: str, make: Callable[[], None]) -> None:
    """Make one product unless it is fresh; print and record the seconds that it took."""
    if is_fresh(product, stamp):
        print(f"{product.name}: up to date", flush=True)
        return
    stamp_file(product).unlink(missing_ok=True)
    print(f"{product.name}: building …", flush=True)
    started = time.monotonic()
    make()
    seconds = time.monotonic() - started
    stamp_file(product).parent.mkdir(parents=True, exist_ok=True)
    stamp_file(product).write_text(stamp)
    with (layout.HOME / "build-times.tsv").open("a") as times:
        times.write(f"{product.name}\t{seconds:.1f}\t{product.stat().st_size}\n")
    print(f"{product.name}: {seconds:.1f} s", flush=True)


def main() -> None:
    """Build all that is missing or stale."""
    layout.HOME.mkdir(parents=True, exist_ok=True)
    build(layout.MOTO_SERVER, s3_stamp(), install_s3)
    if not all(is_fresh(binary.output, binary.stamp) for binary in BINARIES):
        require_go()
    for binary in BINARIES:
        build(binary.output, binary.stamp, binary.build)


if __name__ == "__main__":
    main()
