"""The real tier does what the tests on it take for granted."""

import json
from pathlib import Path

import httpx2
import pytest

from tests.e2e.real.access import Access
from tests.e2e.real.api import ApiError, KubeApi, velero_path
from tests.e2e.real.fleet import Fleet
from tests.e2e.real.installation import manifest


@pytest.mark.parametrize("name", ["eu1", "us1"])
def test_a_backup_completes_and_its_bytes_lie_under_the_prefix_of_its_cluster(fleet: Fleet, name: str) -> None:
    cluster = fleet[name]
    cluster.seed_workload("shop", environment="production")
    cluster.create_backup("smoke", includedNamespaces=["shop"])

    assert cluster.finished_backup("smoke")["status"]["phase"] == "Completed"
    assert f"{name}/backups/smoke/smoke.tar.gz" in fleet.s3.keys(f"{name}/backups/smoke/")
    stored = json.loads(fleet.s3.get(f"{name}/backups/smoke/velero-backup.json"))
    assert stored["spec"]["includedNamespaces"] == ["shop"]


def test_a_killed_api_server_refuses_and_comes_back_with_its_objects(fleet: Fleet) -> None:
    cluster = fleet["eu1"]
    cluster.seed_workload("survives")
    cluster.kill_apiserver()
    with pytest.raises(httpx2.TransportError):
        cluster.api.get("/api/v1/namespaces/survives")

    cluster.start_apiserver()

    assert cluster.api.get("/api/v1/namespaces/survives")["status"]["phase"] == "Active"


def test_a_paused_api_server_hangs_and_then_answers(fleet: Fleet) -> None:
    cluster = fleet["us1"]
    cluster.pause_apiserver()
    try:
        with pytest.raises(httpx2.TimeoutException):
            cluster.api.get("/api/v1/namespaces", timeout=1)
    finally:
        cluster.resume_apiserver()

    assert cluster.api.get("/api/v1/namespaces")["items"]


def test_a_killed_velero_picks_up_what_was_asked_meanwhile(fleet: Fleet) -> None:
    cluster = fleet["eu1"]
    cluster.kill_velero()
    cluster.create_backup("while-velero-was-dead", includedNamespaces=["default"])

    cluster.start_velero()

    assert cluster.finished_backup("while-velero-was-dead")["status"]["phase"] == "Completed"


def test_a_velero_that_is_cut_off_does_nothing_until_the_link_is_mended(fleet: Fleet) -> None:
    cluster = fleet["us1"]
    cluster.cut_velero()
    try:
        cluster.create_backup("while-cut-off", includedNamespaces=["default"])
        with pytest.raises(TimeoutError):
            cluster.finished_backup("while-cut-off", timeout=4)
    finally:
        cluster.mend_velero()

    assert cluster.finished_backup("while-cut-off")["status"]["phase"] == "Completed"


def test_the_executor_account_can_ask_for_a_backup_and_cannot_read_a_secret(fleet: Fleet, tmp_path: Path) -> None:
    cluster = fleet["us1"]
    access = cluster.executor_access()
    executor = KubeApi(access)
    executor.create(manifest("Backup", "by-executor", "velero.io/v1", spec={"includedNamespaces": ["default"]}))

    assert cluster.finished_backup("by-executor")["status"]["phase"] == "Completed"
    assert executor.get("/api/v1/namespaces")["items"]
    for forbidden in ("/api/v1/namespaces/velero/secrets", "/api/v1/secrets", velero_path("downloadrequests")):
        with pytest.raises(ApiError) as refusal:
            executor.get(forbidden)
        assert refusal.value.status == httpx2.codes.FORBIDDEN
    with pytest.raises(ApiError):
        executor.delete(velero_path("backups", "by-executor"))
    assert access.write_pod_directory(tmp_path)["KUBERNETES_SERVICE_PORT"] == str(cluster.port)
    assert {file.name for file in tmp_path.iterdir()} == {"token", "ca.crt", "namespace"}


def test_a_credential_of_one_cluster_is_worth_nothing_in_another(fleet: Fleet) -> None:
    stranger = Access(fleet["us1"].server, fleet["us1"].pki.ca, token=fleet["eu1"].executor_access().token)
    with pytest.raises(ApiError) as refusal:
        KubeApi(stranger).get("/api/v1/namespaces")
    assert refusal.value.status == httpx2.codes.UNAUTHORIZED
