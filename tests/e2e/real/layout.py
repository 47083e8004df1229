"""Say once where the real tier keeps what it builds and where it finds what the repository already has."""

import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
CRDS = REPOSITORY / "simulator" / "crds"
EXECUTOR_RBAC = REPOSITORY / "deploy" / "rbac" / "executor.yaml"

HOME = Path(os.environ.get("LEEWARD_REAL_HOME") or Path.home() / ".cache" / "leeward" / "real")
BIN = HOME / "bin"
PLUGINS = BIN / "plugins"
"""Velero takes every executable in this folder for a plugin, so it holds nothing else."""
S3_VENV = HOME / "s3"
MOTO_SERVER = S3_VENV / "bin" / "moto_server"

ETCD = BIN / "etcd"
KUBE_APISERVER = BIN / "kube-apiserver"
KUBE_CONTROLLER_MANAGER = BIN / "kube-controller-manager"
VELERO = BIN / "velero"
VELERO_PLUGIN_FOR_AWS = PLUGINS / "velero-plugin-for-aws"


def missing() -> list[str]:
    """Names of what `python -m tests.e2e.real.build` has yet to build."""
    needed = (ETCD, KUBE_APISERVER, KUBE_CONTROLLER_MANAGER, VELERO, VELERO_PLUGIN_FOR_AWS, MOTO_SERVER)
    return [path.name for path in needed if not path.exists()]
