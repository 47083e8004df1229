"""Backups that were made with Velero's own means are Leeward's to show, to read and to delete."""

import subprocess

from tests.e2e.product import Product, until
from tests.e2e.real import layout
from tests.e2e.real.api import velero_path
from tests.e2e.real.fleet import Fleet
from tests.e2e.real.installation import manifest

LONG_AGO = "2020-01-01T00:00:00Z"


def velero(fleet: Fleet, cluster: str, *arguments: str) -> str:
    """Velero's own command."""
    command = [str(layout.VELERO), f"--kubeconfig={fleet[cluster].kubeconfig}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_backup_of_veleros_own_command_is_shown_read_and_deleted(product: Product, fleet: Fleet) -> None:
    fleet["us1"].seed_workload("by-hand")
    velero(
        fleet,
        "us1",
        "backup",
        "create",
        "by-hand",
        "--include-namespaces=by-hand",
        "--labels=team=shop",
        "--snapshot-volumes=false",
    )
    row = until("shown", lambda: next((r for r in product.rows("by-hand") if r["outcome"]), None))
    backup = product.ended(row["id"])

    assert backup["status"] == "Completed"
    assert backup["createdBy"] == {"kind": "External", "name": None}
    assert backup["labels"] == {"team": "shop"}
    assert backup["size"]["metadataBytes"] > 0
    assert product.get("/backups", label="team=shop", cluster="us1", search="by-hand").json()["total"] == 1
    assert "by-hand/web" in product.contained(backup["id"])["v1/ConfigMap"]

    answer = product.delete(f"/backups/{backup['id']}", Prefer="wait=50")

    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "Deleted"
    assert "by-hand" not in velero(fleet, "us1", "backup", "get")
    assert fleet.s3.keys("us1/backups/by-hand/") == []


def test_a_backup_deleted_by_veleros_own_command_is_deleted(product: Product, fleet: Fleet) -> None:
    backup = product.made("by-two", "us1", namespaces=["default"])
    velero(fleet, "us1", "backup", "delete", "by-two", "--confirm")

    gone = until("gone", lambda: not (b := product.backup(backup["id"]))["present"] and b)

    assert gone["status"] == "Deleted"
    assert fleet.s3.keys("us1/backups/by-two/") == []


def test_a_backup_of_a_velero_schedule_belongs_to_it(product: Product, fleet: Fleet) -> None:
    """It is overdue from the start, so that Velero does not wait for the full minute."""
    cluster, path = fleet["us1"], velero_path("schedules", "veleros-own")
    template = {"includedNamespaces": ["default"], "snapshotVolumes": False, "ttl": "1h"}
    spec = {"schedule": "0 3 1 1 *", "template": template}
    cluster.api.create(manifest("Schedule", "veleros-own", "velero.io/v1", spec=spec, status={"lastBackup": LONG_AGO}))
    try:
        row = until("fired", lambda: next(iter(product.get("/backups", schedule="veleros-own").json()["items"]), None), 130)
    finally:
        cluster.api.delete(path)
    backup = product.ended(row["id"])

    assert backup["name"].startswith("veleros-own-20")
    assert backup["createdBy"] == {"kind": "Schedule", "name": "veleros-own"}
    assert backup["schedule"] == {"id": None, "name": "veleros-own"}
    assert backup["status"] == "Completed"
