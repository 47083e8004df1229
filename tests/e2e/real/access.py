"""Name the ways into a cluster once: as its administrator, as Velero, as an executor with the rights that we ship."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml


@dataclass(frozen=True)
class Access:
    """One user of one API server, known by a client certificate (with its key) or by a token. Plain HTTP needs no `ca`."""

    server: str
    ca: Path | None = None
    certificate: tuple[Path, Path] | None = None
    token: str = ""

    def write_pod_directory(self, directory: Path) -> dict[str, str]:
        """Write what a Pod finds under /var/run/secrets/kubernetes.io/serviceaccount; returns the variables that go with it."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "token").write_text(self.token)
        (directory / "ca.crt").write_bytes(self.ca.read_bytes())
        (directory / "namespace").write_text("velero")
        address = urlsplit(self.server)
        return {"KUBERNETES_SERVICE_HOST": str(address.hostname), "KUBERNETES_SERVICE_PORT": str(address.port)}


def write_kubeconfig(file: Path, contexts: Mapping[str, Access]) -> Path:
    """Write one context for each name; the first is the current one."""

    def encoded(file: Path) -> str:
        return base64.b64encode(file.read_bytes()).decode()

    config: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "current-context": next(iter(contexts))}
    config |= {"clusters": [], "users": [], "contexts": []}
    for name, access in contexts.items():
        user = {"token": access.token}
        if access.certificate:
            certificate, key = map(encoded, access.certificate)
            user = {"client-certificate-data": certificate, "client-key-data": key}
        cluster = {"server": access.server, "certificate-authority-data": encoded(access.ca)}
        config["clusters"].append({"name": name, "cluster": cluster})
        config["users"].append({"name": name, "user": user})
        config["contexts"].append({"name": name, "context": {"cluster": name, "user": name, "namespace": "velero"}})
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump(config))
    return file
