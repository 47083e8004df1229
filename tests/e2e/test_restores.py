"""Restores on a real Velero, asked for over HTTP: into the same cluster and into another one."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agents import served_by_agent
from tests.e2e.places import address, judged, keys, left_alone, location_path, made, missing, place, secret_of
from tests.e2e.product import Product, until
from tests.e2e.real.api import velero_path
from tests.e2e.real.fleet import Fleet
from tests.e2e.real.installation import manifest
from tests.e2e.real.likeness import contents


def colour(fleet: Fleet, namespace: str, cluster: str = "eu1") -> str:
    return str(fleet[cluster].api.get(f"/api/v1/namespaces/{namespace}/configmaps/web")["data"]["colour"])


def repaint(fleet: Fleet, namespace: str, value: str) -> None:
    fleet["eu1"].api.patch(f"/api/v1/namespaces/{namespace}/configmaps/web", {"data": {"colour": value}})


def backed_up(product: Product, fleet: Fleet, name: str, cluster: str = "eu1", **more: Any) -> dict[str, Any]:
    fleet[cluster].seed_workload(name, team="shop")
    backup = product.made(name, cluster, namespaces=[name], Prefer="wait=25", **more)
    assert backup["outcome"] == "Completed", backup["why"]
    return backup


def drop_namespace(fleet: Fleet, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}"
    fleet["eu1"].api.delete(path)
    until(f"{namespace} to be gone", lambda: missing(fleet["eu1"], path), 120)


def test_a_namespace_is_restored_beside_itself(product: Product, fleet: Fleet) -> None:
    backup = backed_up(product, fleet, "beside")
    repaint(fleet, "beside", "red")
    with product.listening(kind="restore") as heard:
        asked = {"backup": backup["id"], "name": "beside-copy", "spec": {"namespaceMapping": {"beside": "beside-copy"}}}
        restore = product.restored(asked)
        until("heard", lambda: [i["status"] for _, stored, i in list(heard.events) if stored][-1:] == ["Completed"])
    assert (restore["status"], restore["backup"]["id"], restore["cluster"]) == ("Completed", backup["id"], "eu1")
    assert (colour(fleet, "beside"), colour(fleet, "beside-copy")) == ("red", "green")
    repaint(fleet, "beside", "green")
    assert contents(fleet["eu1"].api, "beside-copy") == contents(fleet["eu1"].api, "beside")
    assert product.operation(restore["id"])["state"] == "Succeeded"
    assert restore["counts"]["created"] > 5
    log = product.get(f"/restores/{restore['id']}/logs")
    assert (log.status_code, "beside-copy" in log.text) == (200, True)
    assert product.get(f"/restores/{restore['id']}/resources").json()["v1/Namespace"] == ["beside-copy(created)"]
    assert [r["id"] for r in product.backup(backup["id"])["restores"]] == [restore["id"]]


def test_what_is_there_is_kept_and_with_the_policy_update_is_put_back(product: Product, fleet: Fleet) -> None:
    backup = backed_up(product, fleet, "policy")
    repaint(fleet, "policy", "red")
    kept = product.restored({"backup": backup["id"], "name": "policy-none"})
    assert (kept["status"], colour(fleet, "policy")) == ("Completed", "red")
    assert kept["warnings"] >= 1
    updated = product.restored({"backup": backup["id"], "name": "policy-update", "spec": {"existingResourcePolicy": "update"}})
    assert (updated["status"], colour(fleet, "policy")) == ("Completed", "green")


def test_a_deleted_namespace_comes_back(product: Product, fleet: Fleet) -> None:
    backup = backed_up(product, fleet, "deleted")
    before = contents(fleet["eu1"].api, "deleted")
    drop_namespace(fleet, "deleted")
    restore = product.restored({"backup": backup["id"]})
    assert restore["status"] == "Completed", restore["why"]
    assert contents(fleet["eu1"].api, "deleted") == before
    assert restore["name"].startswith("deleted-")


def test_modifiers_that_come_along_change_what_is_restored_and_go_with_it(product: Product, fleet: Fleet) -> None:
    backup = backed_up(product, fleet, "modified")
    rule = {
        "conditions": {"groupResource": "configmaps", "resourceNameRegex": "^web$"},
        "patches": [{"operation": "replace", "path": "/data/colour", "value": "blue"}],
    }
    asked = {"backup": backup["id"], "spec": {"namespaceMapping": {"modified": "modified-copy"}}}
    restore = product.restored({**asked, "resourceModifiers": {"resourceModifierRules": [rule]}})
    assert (restore["status"], colour(fleet, "modified-copy")) == ("Completed", "blue")


def test_the_latest_good_backup_of_a_schedule_is_restored(product: Product, fleet: Fleet) -> None:
    fleet["eu1"].seed_workload("scheduled")
    template = {"scope": {"kind": "specific", "namespaces": ["scheduled"]}, "spec": {"snapshotVolumes": False}}
    asked = product.post("/schedules", {"name": "rarely", "cluster": "eu1", "cron": "0 3 1 1 *", "template": template})
    assert asked.status_code == 201, asked.text
    schedule = asked.json()["id"]
    ids = []
    for name in ("rarely-one", "rarely-two"):
        answer = product.post(f"/schedules/{schedule}/backups", {"name": name}, Prefer="wait=50")
        assert answer.status_code == 201, answer.text
        ids.append(product.ended(answer.json()["id"])["id"])
    restore = product.restored({"schedule": schedule, "spec": {"namespaceMapping": {"scheduled": "scheduled-copy"}}})
    assert (restore["status"], restore["backup"]["id"]) == ("Completed", ids[-1])
    assert restore["schedule"] == {"id": schedule, "name": "rarely"}
    product.delete(f"/schedules/{schedule}")


def test_a_preflight_tells_what_a_restore_would_meet_and_blocks_what_would_come_to_nothing(
    product: Product, fleet: Fleet
) -> None:
    backup = backed_up(product, fleet, "looked")
    met = product.post("/restores/preflight", {"backup": backup["id"]}).json()
    found = {each["code"]: each for each in met["findings"]}
    assert met["blocked"] is False
    assert found["NamespaceExists"]["objects"] == ["looked"]
    assert "ObjectsExist" in found, met
    none = {"backup": backup["id"], "spec": {"includedNamespaces": ["nowhere"]}}
    assert product.post("/restores/preflight", none).json()["blocked"] is True
    before = len(fleet["eu1"].api.get(velero_path("restores"))["items"])
    refused = product.post("/restores", none)
    assert refused.status_code in {409, 422}, refused.text
    assert len(fleet["eu1"].api.get(velero_path("restores"))["items"]) == before


def test_a_restore_is_deleted_and_what_it_restored_stays(product: Product, fleet: Fleet) -> None:
    backup = backed_up(product, fleet, "dropped")
    asked = {"backup": backup["id"], "name": "dropped", "spec": {"namespaceMapping": {"dropped": "dropped-copy"}}}
    restore = product.restored(asked)
    gone = product.delete(f"/restores/{restore['id']}", Prefer="wait=50")
    assert gone.status_code == 200, gone.text
    assert missing(fleet["eu1"], velero_path("restores", "dropped"))
    assert fleet.s3.keys("eu1/restores/dropped/") == []
    assert colour(fleet, "dropped-copy") == "green"
    until("shown as deleted", lambda: product.get(f"/restores/{restore['id']}").json()["status"] == "Deleted")


# ---------------------------------------------------------------------- another cluster


@pytest.fixture(scope="module")
def vault(product: Product, fleet: Fleet) -> dict[str, Any]:
    """A backup of eu1 in storage that asks for keys: what is in it, and how us1 may ask for it."""
    cluster = fleet["eu1"]
    body = {"name": "crossing", "spec": place(fleet, "crossing"), "credential": keys(fleet, "crossing", "secret-of-crossing")}
    made(product, "eu1", body)
    left_alone(product, "eu1", "crossing")
    cluster.seed_workload("crossing", team="shop")
    service = {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}]}
    door = manifest("Service", "web", namespace="crossing", spec=service)
    door["metadata"]["annotations"] = {"example.com/why": "shop"}
    cluster.api.ensure(door)
    settings = {"storageLocation": "crossing", "snapshotVolumes": False}
    backup = product.made("crossing", namespaces=["crossing"], spec=settings, Prefer="wait=25")
    assert backup["outcome"] == "Completed"
    return backup


def nothing_left(fleet: Fleet, operation: str, backup: str) -> None:
    """Neither mirror nor Secret nor copy is in us1 any more."""
    cluster, mirror = fleet["us1"], f"leeward-mirror-{operation[:8]}"
    assert missing(cluster, location_path(mirror))
    for secret in cluster.api.get("/api/v1/namespaces/velero/secrets")["items"]:
        assert mirror not in secret["metadata"]["name"]
    assert missing(cluster, velero_path("backups", backup))


@pytest.mark.timeout(400)
def test_a_backup_of_one_cluster_is_restored_into_another_through_a_mirror_that_goes_again(
    product: Product, fleet: Fleet, vault: dict[str, Any]
) -> None:
    asked = {"backup": vault["id"], "cluster": "us1", "name": "crossed"}
    met = product.post("/restores/preflight", asked).json()
    assert {"MirrorNeeded", "CredentialMissing"} <= {each["code"] for each in met["findings"]}, met

    answer = product.post("/restores", {**asked, "credential": keys(fleet, "us1-reads", "secret-of-us1")})
    assert answer.status_code in {201, 202}, answer.text
    restore = product.restore_ended(answer.json()["id"], within=300)
    operation = until(
        "the operation ends", lambda: (o := product.operation(restore["id"]))["state"] in {"Succeeded", "Failed"} and o, 120
    )

    assert (restore["status"], restore["cluster"], restore["backup"]["cluster"]) == ("Completed", "us1", "eu1"), restore["why"]
    ours, theirs = contents(fleet["us1"].api, "crossing"), contents(fleet["eu1"].api, "crossing")
    assert set(ours) == set(theirs) >= {"services/web", "deployments/worker", "secrets/web", "configmaps/worker"}
    for path, item in theirs.items():
        assert ours[path] == item, path
    assert fleet["us1"].api.get("/api/v1/namespaces/crossing")["metadata"]["labels"]["team"] == "shop"
    assert operation["state"] == "Succeeded"
    steps = [each["step"] for each in operation["steps"]]
    assert list(dict.fromkeys(steps)) == ["MirrorLocation", "FindBackup", "Restore", "CleanUp"]
    nothing_left(fleet, restore["id"], "crossing")
    log = product.get(f"/restores/{restore['id']}/logs")
    assert (log.status_code, "crossing" in log.text) == (200, True)
    said = json.dumps([restore, operation, product.get(f"/restores/{restore['id']}").json()])
    assert "secret-of" not in said
    assert not missing(fleet["eu1"], velero_path("backups", "crossing"))


@pytest.mark.timeout(400)
def test_a_mirror_that_is_not_let_in_says_so_cleans_up_and_can_be_asked_again(
    product: Product, fleet: Fleet, vault: dict[str, Any]
) -> None:
    asked = {"backup": vault["id"], "cluster": "us1", "spec": {"namespaceMapping": {"crossing": "crossing-again"}}}
    wrong = {"accessKeyId": "us1-mistakes", "secretAccessKey": "no"}
    answer = product.post("/restores", {**asked, "credential": wrong})
    assert answer.status_code == 202, answer.text
    identity = answer.json()["id"]
    refused = until("refused", lambda: (o := product.operation(identity))["state"] == "Rejected" and o, 300)
    assert refused["refusal"]["code"] == "MirrorFailed"
    assert "InvalidAccessKeyId" in refused["refusal"]["detail"]
    nothing_left(fleet, identity, "crossing")

    right = {**asked, "credential": keys(fleet, "us1-reads", "secret-of-us1")}
    # What is left of the refused one may still be shown for a moment, and then stands in the way of this one.
    again = until("asked again", lambda: (a := product.post("/restores", right)).is_success and a.json()["id"], 60)
    restore = product.restore_ended(again, within=300)
    assert restore["status"] == "Completed", restore["why"]
    assert colour(fleet, "crossing-again", "us1") == "green"
    until("clean", lambda: product.operation(restore["id"])["state"] == "Succeeded", 120)
    nothing_left(fleet, restore["id"], "crossing")


@pytest.mark.timeout(500)
def test_when_a_cluster_is_lost_another_brings_it_back_through_the_location_that_it_has_and_that_stays(
    product: Product, fleet: Fleet, vault: dict[str, Any]
) -> None:
    spec = place(fleet, "crossing", accessMode="ReadOnly")
    body = {"name": "standing", "spec": spec, "credential": keys(fleet, "us1-stands", "secret-of-standing")}
    made(product, "us1", body)
    left_alone(product, "us1", "standing")

    def standing() -> dict[str, Any] | None:
        return next((row for row in product.rows("crossing") if row["storageLocation"] == "standing"), None)

    copy = until("us1 has its copy", standing, 190)
    product.ended(copy["id"])  # as long as Leeward looks into it, Velero writes the location's keys anew again and again
    asked = {"backup": vault["id"], "cluster": "us1", "spec": {"namespaceMapping": {"crossing": "crossing-standing"}}}
    fleet["eu1"].kill_apiserver()
    try:
        until("eu1 is lost", lambda: product.get("/clusters/eu1").json()["status"] == "Offline")
        nothing = {**asked, "spec": {"includedResources": ["persistentvolumeclaims"]}}
        met = {each["code"] for each in product.post("/restores/preflight", nothing).json()["findings"]}
        assert {"NothingMatches", "MirrorFound"} <= met, "us1 says from its copy what is in it"
        restore = product.restored(asked, within=300)
        assert restore["status"] == "Completed", restore["why"]
        until("clean", lambda: product.operation(restore["id"])["state"] == "Succeeded", 120)
        assert colour(fleet, "crossing-standing", "us1") == "green"
        assert not missing(fleet["us1"], location_path("standing"))
        assert not missing(fleet["us1"], velero_path("backups", "crossing"))
    finally:
        fleet["eu1"].start_apiserver()
        until("eu1 is back", lambda: product.get("/clusters/eu1").json()["status"] == "Online")
        assert product.delete(f"{address('us1', 'standing')}?force=true", Prefer="wait=50").status_code in {200, 204}
        fleet["us1"].api.delete(velero_path("backups", "crossing"))


@pytest.mark.timeout(400)
def test_an_agent_has_the_rights_for_all_of_it(product: Product, fleet: Fleet, vault: dict[str, Any], tmp_path: Path) -> None:
    """In the cluster, with the rights of deploy/rbac alone: a location with a Secret, and a restore through a mirror."""
    with served_by_agent(product, fleet, "us1", tmp_path):
        body = {"name": "by-agent", "spec": place(fleet, "by-agent"), "credential": keys(fleet, "agent", "secret-of-agent")}
        made(product, "us1", body)
        judged(product, "us1", "by-agent", "Available")
        first = secret_of(product, "us1", "by-agent")
        changed = product.patch(address("us1", "by-agent"), {"credential": keys(fleet, "agent", "new-secret-of-agent")})
        assert changed.status_code in {200, 202}, changed.text
        until("another Secret", lambda: secret_of(product, "us1", "by-agent") != first)
        secrets = [first, secret_of(product, "us1", "by-agent")]
        gone = product.delete(address("us1", "by-agent"), Prefer="wait=50")
        assert gone.status_code in {200, 204}, gone.text
        assert all(missing(fleet["us1"], path) for path in secrets)

        asked = {"backup": vault["id"], "cluster": "us1", "spec": {"namespaceMapping": {"crossing": "crossing-by-agent"}}}
        restore = product.restored({**asked, "credential": keys(fleet, "us1-reads", "secret-of-us1")}, within=300)
        assert restore["status"] == "Completed", restore["why"]
        assert colour(fleet, "crossing-by-agent", "us1") == "green"
        until("clean", lambda: product.operation(restore["id"])["state"] == "Succeeded", 120)
        nothing_left(fleet, restore["id"], "crossing")
        deleted = product.delete(f"/restores/{restore['id']}", Prefer="wait=50")
        assert deleted.status_code == 200, deleted.text
