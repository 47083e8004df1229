"""What a real Velero wrote beside a backup, read through the API, and why a backup is only PartiallyFailed."""

import io
import json
import tarfile

import httpx2
import pytest

from tests.e2e.product import Product, until
from tests.e2e.real.fleet import Fleet

FREEZE = {"resources": [{"name": "freeze", "pre": [{"exec": {"command": ["/bin/sync"]}}]}]}


@pytest.fixture(scope="module")
def finished(product: Product, fleet: Fleet) -> dict:
    fleet["eu1"].seed_workload("read-me")
    backup = product.made("read-me", namespaces=["read-me"])
    assert backup["status"] == "Completed"
    return backup


def test_the_log_of_a_backup_is_text(product: Product, finished: dict) -> None:
    def from_cluster() -> httpx2.Response | None:  # the copy that is kept answers when Velero signs too slowly
        answer = product.read(finished["id"], "logs")
        assert answer.status_code == 200, answer.text
        return answer if answer.headers["leeward-source"] == "cluster" else None

    log = until("from the cluster", from_cluster)
    assert log.headers["content-type"].startswith("text/plain")
    lines = log.text.splitlines()
    assert all(json.loads(line)["msg"] for line in lines)
    assert any("Backed up a total of" in line for line in lines)

    end = product.read(finished["id"], "logs", tail=3)
    assert end.text.splitlines() == lines[-3:]


def test_results_and_resources_are_json(product: Product, fleet: Fleet, finished: dict) -> None:
    results = product.read(finished["id"], "results")
    assert results.status_code == 200, results.text
    assert results.json() == {"errors": {}, "warnings": {}}

    inside = product.contained(finished["id"])
    assert "read-me/web" in inside["v1/ConfigMap"]
    assert {"read-me/web", "read-me/worker"} <= set(inside["v1/Secret"])
    assert sum(map(len, inside.values())) == finished["progress"]["itemsBackedUp"]


def test_the_contents_are_the_tarball_of_the_bucket_and_can_be_resumed(product: Product, fleet: Fleet, finished: dict) -> None:
    tarball = fleet.s3.get("eu1/backups/read-me/read-me.tar.gz")

    whole = product.read(finished["id"], "contents")
    assert whole.status_code == 200, whole.text
    assert whole.headers["content-type"] == "application/gzip"
    assert int(whole.headers["content-length"]) == len(tarball)
    assert whole.content == tarball
    with tarfile.open(fileobj=io.BytesIO(whole.content)) as archive:
        assert "resources/configmaps/namespaces/read-me/web.json" in archive.getnames()

    rest = product.read(finished["id"], "contents", headers={"Range": "bytes=1000-", "If-Range": whole.headers["etag"]})
    assert rest.status_code == 206
    assert rest.content == tarball[1000:]
    beyond = product.read(finished["id"], "contents", headers={"Range": f"bytes={len(tarball)}-"})
    assert beyond.status_code == 416


def test_the_size_is_what_lies_in_the_bucket(fleet: Fleet, finished: dict) -> None:
    prefix = "eu1/backups/read-me/"
    stored = {key.removeprefix(prefix): len(fleet.s3.get(key)) for key in fleet.s3.keys(prefix)}

    assert finished["size"]["volumeBytes"] == 0
    # Velero signs no URL for these two, so nobody but the bucket knows how large they are.
    unknown = ("velero-backup.json", "read-me-podvolumebackups.json.gz")
    assert finished["size"]["metadataBytes"] == sum(size for name, size in stored.items() if name not in unknown)


def test_a_backup_in_which_a_hook_fails_says_why(product: Product, fleet: Fleet) -> None:
    fleet["eu1"].seed_workload("hooked")
    # A Pending Pod is on no node, so nothing can be run in it.
    until("both Pods", lambda: len(fleet["eu1"].api.get("/api/v1/namespaces/hooked/pods")["items"]) == 2)
    backup = product.made("hooked", namespaces=["hooked"], spec={"hooks": FREEZE, "snapshotVolumes": False})

    assert (backup["status"], backup["outcome"], backup["phase"]) == ("PartiallyFailed",) * 3
    assert backup["errors"] > 0
    assert backup["hookStatus"]["hooksFailed"] == backup["hookStatus"]["hooksAttempted"] > 0
    cause = backup["why"][0]
    assert "does not have a host assigned" in cause["message"]
    assert cause["count"] >= 1
    assert cause["count"] == backup["errors"] == 2, "one for each Pod"
    assert "web-" in cause["example"], "Velero names the Pod in its words only"
    assert len(product.read(backup["id"], "results").json()["errors"]["velero"]) == 2
    (row,) = product.rows("hooked")
    assert row["status"] == "PartiallyFailed"


def test_a_backup_that_velero_refuses_after_all_says_why(product: Product, fleet: Fleet, finished: dict) -> None:
    """The name is taken in the bucket by a backup that the cluster knows nothing of."""
    source = "eu1/backups/read-me/velero-backup.json"
    fleet.s3.put("eu1/backups/squatted/velero-backup.json", fleet.s3.get(source))
    try:
        answer = product.ask("squatted", namespaces=["default"])
        assert answer.status_code == 201, answer.text
        failed = until("failed", lambda: (b := product.backup(answer.json()["id"]))["status"] == "Failed" and b)
    finally:
        fleet.s3.remove("eu1/backups/squatted/velero-backup.json")

    assert "backup already exists in object storage" in failed["failureReason"]
    assert "backup already exists in object storage" in failed["why"][0]["message"]
