"""One real backup through every room: HTTP → NATS → executor → API server and Velero → watch → MongoDB → list, live."""

import gzip
import json

import pytest

from tests.e2e.product import QUEUED, Product, until
from tests.e2e.real.api import velero_path
from tests.e2e.real.fleet import Fleet
from tests.e2e.real.installation import storage_location


def objects(fleet: Fleet, cluster: str, name: str) -> list[dict]:
    items = fleet[cluster].api.get(velero_path("backups"))["items"]
    return [item for item in items if item["metadata"]["name"] == name]


def completed(product: Product, identity: str) -> dict:
    return until("completed", lambda: (b := product.backup(identity))["status"] == "Completed" and b, QUEUED)


@pytest.mark.parametrize("cluster", ["eu1", "us1"])
def test_a_backup_asked_for_over_http_completes_on_a_real_velero(product: Product, fleet: Fleet, cluster: str) -> None:
    fleet[cluster].seed_workload("shop", environment="production")
    name = f"shop-{cluster}"
    with product.listening(kind="backup", cluster=cluster) as heard:
        answer = product.ask(name, cluster, namespaces=["shop"], labels={"team": "shop"})
        assert answer.status_code == 201, answer.text
        made = answer.json()
        assert made["status"] == "Creating"
        assert made["createdBy"] == {"kind": "User", "name": "anna"}
        done = completed(product, made["id"])
        until("the stream has said so", lambda: heard.statuses(name)[-1:] == ["Completed"])
        assert heard.statuses(name) == ["Creating", "Completed"], product.announced(made["id"])

    (made_object,) = objects(fleet, cluster, name)
    assert made_object["spec"]["includedNamespaces"] == ["shop"]
    assert done["phase"] == "Completed"
    assert done["resolvedNamespaces"] == ["shop"]
    assert done["labels"] == {"team": "shop"}
    assert done["progress"]["itemsBackedUp"] == made_object["status"]["progress"]["itemsBackedUp"] > 5
    phases = [t["to"] for t in done["transitions"] if t["kind"] == "Phase"]
    order = ["Queued", "ReadyToStart", "InProgress", "Finalizing", "Completed"]
    assert phases[-1] == "Completed"
    assert [p for p in order if p in phases] == [p for p in phases if p in order]
    assert [t["to"] for t in done["transitions"] if t["kind"] == "Status"] == ["Creating", "Completed"]

    (row,) = product.rows(name)
    assert row["status"] == "Completed"
    assert row["expiresAt"] is not None
    until("the operation ends, too", lambda: product.get(f"/operations/{made['id']}").json()["state"] == "Succeeded", 30)

    keys = fleet.s3.keys(f"{cluster}/backups/{name}/")
    assert f"{cluster}/backups/{name}/{name}.tar.gz" in keys
    listed = fleet.s3.get(f"{cluster}/backups/{name}/{name}-resource-list.json.gz")
    contents = json.loads(gzip.decompress(listed))
    assert any(entry.startswith("shop/") for entry in contents["apps/v1/Deployment"])
    assert any(entry.startswith("shop/") for entry in contents["v1/ConfigMap"])
    assert any(entry.startswith("shop/") for entry in contents["v1/Secret"])


def test_the_clusters_and_their_locations_are_known(product: Product, fleet: Fleet) -> None:
    clusters = {c["id"]: c for c in product.get("/clusters").json()["items"]}
    assert set(clusters) == {"eu1", "us1"}
    for cluster in clusters.values():
        until("online", lambda c=cluster: product.get(f"/clusters/{c['id']}").json()["status"] == "Online")
        assert cluster["mode"] == "Hub"
        assert cluster["kubernetesVersion"].startswith("v1.")
        until(
            "Velero's version", lambda c=cluster: product.get(f"/clusters/{c['id']}").json()["velero"]["version"] == "v1.18.3"
        )
    fleet["eu1"].seed_workload("labelled", environment="production")
    until(
        "the namespace shows with its labels",
        lambda: any(
            n["name"] == "labelled" and n["labels"]["environment"] == "production"
            for n in product.get("/clusters/eu1/namespaces").json()["items"]
        ),
    )
    locations = product.get("/storage-locations").json()["items"]
    assert {(x["cluster"], x["name"], x["status"]) for x in locations} >= {
        ("eu1", "default", "Available"),
        ("us1", "default", "Available"),
    }


def test_the_same_request_twice_is_one_backup(product: Product, fleet: Fleet) -> None:
    fleet["eu1"].seed_workload("twice")
    first = product.ask("twice", namespaces=["twice"], key="k-twice")
    second = product.ask("twice", namespaces=["twice"], key="k-twice")
    assert first.status_code == second.status_code == 201
    assert first.json()["id"] == second.json()["id"]
    assert len(objects(fleet, "eu1", "twice")) == 1
    other = product.ask("twice-other", namespaces=["twice"], key="k-twice")
    assert other.status_code == 422
    assert not objects(fleet, "eu1", "twice-other")


def test_the_clusters_refusals_come_back_in_words_and_make_nothing(product: Product, fleet: Fleet) -> None:
    cluster = fleet["eu1"]
    cluster.seed_workload("refused")
    cluster.api.ensure(storage_location("readonly", fleet.s3, "elsewhere", access_mode="ReadOnly"))
    until(
        "validated",
        lambda: (
            cluster.api.get(velero_path("backupstoragelocations", "readonly")).get("status", {}).get("phase") == "Available"
        ),
    )
    taken = product.ask("taken", namespaces=["refused"])
    assert taken.status_code == 201
    cases = [
        (product.ask("taken", namespaces=["refused"]), 409, "/name"),
        (product.ask("r1", namespaces=["refused", "nowhere"]), 422, "/scope/namespaces"),
        (product.ask("r2", namespaces=["refused"], spec={"storageLocation": "nope"}), 422, "/spec/storageLocation"),
        (product.ask("r3", namespaces=["refused"], spec={"storageLocation": "readonly"}), 422, "/spec/storageLocation"),
        (product.ask("r4", namespaces=["refused"], spec={"labelSelector": {"matchLabels": {}}}), 422, "/spec/labelSelector"),
        (product.ask("r5", namespaces=["refused"], spec={"ttl": "banana"}), 422, "/spec/ttl"),
        (product.ask("Bad Name", namespaces=["refused"]), 422, "/name"),
        (product.ask("r6", "nowhere", namespaces=["refused"]), 422, "/cluster"),
    ]
    for answer, status, pointer in cases:
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"].startswith("application/problem+json")
        assert pointer in [e["pointer"] for e in answer.json()["errors"]], answer.text
    names = {b["metadata"]["name"] for b in cluster.api.get(velero_path("backups"))["items"]}
    assert not names & {"r1", "r2", "r3", "r4", "r5", "r6"}
    assert not product.rows("r1")


def test_a_ttl_in_days_reaches_velero_in_hours(product: Product, fleet: Fleet) -> None:
    fleet["eu1"].seed_workload("days")
    made = product.ask("days", namespaces=["days"], spec={"ttl": "30d", "snapshotVolumes": False})
    assert made.status_code == 201, made.text
    assert completed(product, made.json()["id"])
    (stored,) = objects(fleet, "eu1", "days")
    assert stored["spec"]["ttl"].startswith("720h")


def test_a_backup_made_past_leeward_shows_as_external(product: Product, fleet: Fleet) -> None:
    fleet["us1"].seed_workload("outside")
    fleet["us1"].create_backup("outside", includedNamespaces=["outside"], snapshotVolumes=False)
    row = until("shown", lambda: next((r for r in product.rows("outside") if r["status"] == "Completed"), None))
    assert row["createdBy"]["kind"] == "External"
    assert row["cluster"] == "us1"


def test_an_agent_inside_the_cluster_serves_it_with_its_own_credentials(product: Product, fleet: Fleet, tmp_path) -> None:
    """Own process, own NATS user, the service account of a Pod, and no more rights than deploy/rbac gives."""
    cluster = fleet["us1"]
    cluster.seed_workload("agent")
    account = tmp_path / "serviceaccount"
    environment = cluster.executor_access().write_pod_directory(account)
    assert product.services["executor"].stop() == 0
    product.add_executor("executor", "eu1")
    served = json.dumps([{"id": "us1", "in_cluster": True, "service_account": str(account)}])
    agent = product.add(
        "agent", {**product.nats.environment("cluster-us1"), **environment, "LEEWARD_CLUSTERS": served}, module="executor"
    )
    try:
        until("the agent serves", lambda: agent.is_ready() and product.get("/clusters/us1").json()["mode"] == "Agent")
        made = product.ask("by-agent", "us1", namespaces=["agent"])
        assert made.status_code == 201, made.text
        looked_into = product.ended(made.json()["id"])
        assert looked_into["size"]["metadataBytes"] > 0
        assert "agent/web" in product.contained(looked_into["id"])["v1/ConfigMap"]
        refused = product.ask("by-no-policy", "us1", spec={"resourcePolicy": {"name": "nowhere"}})
        assert [e["pointer"] for e in refused.json()["errors"]] == ["/spec/resourcePolicy/name"], refused.text
        refused = product.ask("by-no-agent", "us1", spec={"snapshotMoveData": True})
        assert [e["pointer"] for e in refused.json()["errors"]] == ["/spec/snapshotMoveData"], refused.text
        gone = product.delete(f"/backups/{looked_into['id']}", Prefer="wait=50")
        assert gone.status_code == 200, gone.text
        assert fleet.s3.keys("us1/backups/by-agent/") == []
        hub = product.ask("by-hub", "eu1", namespaces=["default"])
        assert hub.status_code == 201, hub.text
    finally:
        assert agent.stop() == 0
        del product.services["agent"]
        product.services["executor"].stop()
        product.add_executor("executor", "eu1", "us1")
        until("the hub serves again", lambda: product.get("/clusters/us1").json()["mode"] == "Hub")
