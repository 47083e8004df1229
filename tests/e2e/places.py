"""What a person sends to make a storage location on the storage of the real tier that asks for keys."""

from typing import Any

import httpx2

from tests.e2e.product import Product, until
from tests.e2e.real.api import ApiError, velero_path
from tests.e2e.real.cluster import RealCluster
from tests.e2e.real.fleet import Fleet
from tests.e2e.real.s3 import VAULT

NOBODY = "http://127.0.0.1:9"


def keys(fleet: Fleet, identity: str, secret: str) -> dict[str, str]:
    """Let keys in, and return them as a request has them."""
    fleet.s3.gate.secrets[identity] = secret
    return {"accessKeyId": identity, "secretAccessKey": secret}


def place(fleet: Fleet, prefix: str, *, bucket: str = VAULT, url: str = "", **spec: Any) -> dict[str, Any]:
    """The spec of a location behind the gate."""
    config = {"region": "us-east-1", "s3ForcePathStyle": "true", "s3Url": url or fleet.s3.gate.url}
    return {"provider": "aws", "objectStorage": {"bucket": bucket, "prefix": prefix}, "config": config, **spec}


def address(cluster: str, name: str = "") -> str:
    return f"/clusters/{cluster}/storage-locations" + (f"/{name}" if name else "")


def made(product: Product, cluster: str, body: dict[str, Any], query: str = "") -> httpx2.Response:
    """Ask for a location, with patience for a machine that is busy; returns the answer when the cluster has made it."""
    answer = product.post(address(cluster) + query, body, timeout=60, Prefer="wait=50")
    assert answer.status_code == 201, answer.text
    return answer


def shown(product: Product, cluster: str, name: str) -> dict[str, Any]:
    answer = product.get(address(cluster, name))
    return dict(answer.json()) if answer.status_code == 200 else {}


def secret_of(product: Product, cluster: str, name: str) -> str:
    """The path of the Secret that a location takes its credential from; each credential that is given has one of its own."""
    credential = shown(product, cluster, name)["spec"]["credential"]
    assert credential["key"] == "cloud"
    assert credential["name"].startswith("leeward-bsl-")
    return secret_path(credential["name"])


def judged(product: Product, cluster: str, name: str, status: str, within: float = 60) -> dict[str, Any]:
    """The location as soon as it is shown with this status; a person waits no longer than a minute for it."""
    return dict(
        until(f"{name} {status}", lambda: (row := shown(product, cluster, name)).get("status") == status and row, within)
    )


def left_alone(product: Product, cluster: str, name: str) -> None:
    """Wait until a location can be used, and have it validated seldom then.

    Velero writes the file with its keys anew at each use, under whoever is just reading it.
    """
    judged(product, cluster, name, "Available")
    changed = product.patch(address(cluster, name), {"spec": {"validationFrequency": "5m"}})
    assert changed.status_code in {200, 202}, changed.text
    until("it is", lambda: shown(product, cluster, name)["spec"].get("validationFrequency"))


def missing(cluster: RealCluster, path: str) -> bool:
    """Whether there is nothing at a path of a cluster."""
    try:
        cluster.api.get(path)
    except ApiError as error:
        return error.status == 404
    return False


def location_path(name: str) -> str:
    return velero_path("backupstoragelocations", name)


def secret_path(name: str) -> str:
    return f"/api/v1/namespaces/velero/secrets/{name}"
