"""How backups end on a real Velero: deleted by a person, refused to be, and collected when their time has come."""

import pytest

from tests.e2e.product import Product, until
from tests.e2e.real.api import velero_path
from tests.e2e.real.fleet import Fleet
from tests.e2e.real.installation import storage_location


def exists(fleet: Fleet, cluster: str, name: str) -> bool:
    return name in [item["metadata"]["name"] for item in fleet[cluster].api.get(velero_path("backups"))["items"]]


def deleted(product: Product, identity: str) -> dict:
    return until("deleted", lambda: (b := product.backup(identity))["status"] == "Deleted" and b)


def test_a_deleted_backup_leaves_the_bucket_empty_and_its_log_readable(product: Product, fleet: Fleet) -> None:
    fleet["eu1"].seed_workload("doomed")
    backup = product.made("doomed", namespaces=["doomed"])
    log = product.read(backup["id"], "logs").text
    until("the log is kept", lambda: "log" in product.backup(backup["id"])["captured"])
    assert fleet.s3.keys("eu1/backups/doomed/")

    answer = product.delete(f"/backups/{backup['id']}", Prefer="wait=50")

    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "Deleted"
    assert not answer.json()["present"]
    assert not exists(fleet, "eu1", "doomed")
    assert fleet.s3.keys("eu1/backups/doomed/") == []
    assert product.rows("doomed") == []
    shown = product.get("/backups", status="Deleted", search="doomed").json()["items"]
    assert [each["id"] for each in shown] == [backup["id"]]
    gone = product.backup(backup["id"])
    assert gone["deletion"]["by"] == "anna"
    operation = product.get(f"/operations/{gone['deletion']['operationId']}").json()
    assert (operation["kind"], operation["state"]) == ("backup.delete", "Succeeded")
    kept = product.read(backup["id"], "logs")
    assert kept.status_code == 200, kept.text
    assert kept.headers["leeward-source"] == "copy"
    assert kept.text == log
    assert product.read(backup["id"], "contents").status_code == 404

    again = product.delete(f"/backups/{backup['id']}")
    assert again.status_code == 409, again.text


def test_many_backups_are_deleted_at_once(product: Product, fleet: Fleet) -> None:
    made = [product.made(f"bulk-{n}", namespaces=["default"]) for n in range(2)]
    ids = [backup["id"] for backup in made]

    answer = product.post("/backups/delete", {"ids": [*ids, "nobody"]})

    assert answer.status_code == 202, answer.text
    answers = {each["id"]: each for each in answer.json()["items"]}
    assert answers["nobody"]["problem"]["status"] == 404
    for backup in made:
        assert answers[backup["id"]]["operation"]["kind"] == "backup.delete"
        assert not deleted(product, backup["id"])["present"]
        assert fleet.s3.keys(f"eu1/backups/{backup['name']}/") == []


def test_a_backup_on_a_read_only_location_stays_and_says_why(product: Product, fleet: Fleet) -> None:
    cluster, path = fleet["eu1"], velero_path("backupstoragelocations", "vault")
    cluster.api.ensure(storage_location("vault", fleet.s3, "vault"))
    until("validated", lambda: cluster.api.get(path).get("status", {}).get("phase") == "Available")
    backup = product.made("in-vault", namespaces=["default"], spec={"storageLocation": "vault", "snapshotVolumes": False})
    cluster.api.patch(path, {"spec": {"accessMode": "ReadOnly"}})
    try:
        answer = product.delete(f"/backups/{backup['id']}", Prefer="wait=50")
    finally:
        cluster.api.patch(path, {"spec": {"accessMode": "ReadWrite"}})

    assert answer.status_code in {409, 422}, answer.text
    assert "read-only" in answer.json()["detail"]
    assert product.backup(backup["id"])["status"] == "Completed"
    assert exists(fleet, "eu1", "in-vault")
    assert fleet.s3.keys("vault/backups/in-vault/")


@pytest.mark.timeout(600)
def test_an_expired_backup_is_expired_before_and_after_velero_collects_it(product: Product, fleet: Fleet) -> None:
    cluster = fleet["us1"]
    backup = product.made("short-lived", "us1", namespaces=["default"], spec={"ttl": "60s", "snapshotVolumes": False})
    assert backup["expiresAt"]
    cluster.stop_velero()  # nobody collects it meanwhile
    try:
        expired = until("expired", lambda: (b := product.backup(backup["id"]))["status"] == "Expired" and b, 180)
        assert expired["present"]
        assert expired["outcome"] == "Completed"
        assert exists(fleet, "us1", "short-lived")
    finally:
        cluster.start_velero()

    collected = until("collected", lambda: not (b := product.backup(backup["id"]))["present"] and b)

    assert collected["status"] == "Expired"
    assert collected["deletion"] is None
    assert not exists(fleet, "us1", "short-lived")
    assert fleet.s3.keys("us1/backups/short-lived/") == []
    assert [t["to"] for t in collected["transitions"] if t["kind"] == "Status"] == ["Creating", "Completed", "Expired"]
