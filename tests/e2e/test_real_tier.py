"""The real tier does what the tests on it take for granted."""

import json
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest

from tests.e2e.real.access import Access
from tests.e2e.real.api import ApiError, KubeApi, velero_path
from tests.e2e.real.fleet import Fleet
from tests.e2e.real.gate import read_signature, sign
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
    credentials = "/api/v1/namespaces/velero/secrets/cloud-credentials"
    for forbidden in (credentials, "/api/v1/namespaces/velero/secrets", "/api/v1/secrets", velero_path("downloadrequests")):
        with pytest.raises(ApiError) as refusal:
            executor.get(forbidden)
        assert refusal.value.status == httpx2.codes.FORBIDDEN
    # Backups it may delete, because copies that came through a mirror go with it; nothing outside of Velero's namespace.
    for kept in (velero_path("schedules", "any"), velero_path("deletebackuprequests", "any"), "/api/v1/namespaces/default"):
        with pytest.raises(ApiError) as refusal:
            executor.delete(kept)
        assert refusal.value.status == httpx2.codes.FORBIDDEN
    assert access.write_pod_directory(tmp_path)["KUBERNETES_SERVICE_PORT"] == str(cluster.port)
    assert {file.name for file in tmp_path.iterdir()} == {"token", "ca.crt", "namespace"}


def test_a_credential_of_one_cluster_is_worth_nothing_in_another(fleet: Fleet) -> None:
    stranger = Access(fleet["us1"].server, fleet["us1"].pki.ca, token=fleet["eu1"].executor_access().token)
    with pytest.raises(ApiError) as refusal:
        KubeApi(stranger).get("/api/v1/namespaces")
    assert refusal.value.status == httpx2.codes.UNAUTHORIZED


def test_a_signature_is_computed_as_aws_documents_it() -> None:
    """The two examples of Signature Version 4 in the reference of S3: one in a header, one in the query of a URL."""
    secret, host = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", {"host": "examplebucket.s3.amazonaws.com"}
    credential = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"
    headers = host | {
        "range": "bytes=0-9",
        "x-amz-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "x-amz-date": "20130524T000000Z",
        "authorization": f"AWS4-HMAC-SHA256 Credential={credential},SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    }
    url = (
        f"/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={quote(credential, safe='')}&X-Amz-Date=20130524T000000Z"
        "&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )
    for target, sent in (("/test.txt", headers), (url, host)):
        signed = read_signature(target, sent)
        assert signed
        assert sign(signed, secret, "GET", target, sent) == signed.signature
        assert sign(signed, "another", "GET", target, sent) != signed.signature
