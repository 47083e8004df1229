"""Backups in the simulated Velero, against what was recorded of a real one."""

import asyncio
import gzip
import io
import json
import tarfile
from dataclasses import replace

import httpx2
import pytest

from simulator.cloud import Cloud
from simulator.velero import Flaw
from tests.support.servers import PLAIN
from tests.support.simulated_velero import Site, timeless
from tests.support.transcripts import of_object, transcript
from tests.support.waiting import PATIENCE, eventually

HOOKS = {"resources": [{"name": "h", "pre": [{"exec": {"command": ["/bin/true"]}}]}]}


@pytest.fixture
async def cloud():
    async with Cloud() as running:
        running.make_bucket("velero")
        yield running


@pytest.fixture
async def site(cloud):
    site = Site(cloud, namespaces=("shop", "app-a"))
    await site.start()
    yield site
    site.velero.kill()


def shown(type_, document):
    """What a watch showed, without what differs from run to run."""
    metadata = document["metadata"]
    kept = {key: metadata[key] for key in ("name", "generation", "labels", "annotations") if key in metadata}
    return timeless([type_, kept, document.get("spec"), document.get("status")])


def replayed(site, recorded):
    """Create the object that was created when a transcript was recorded."""
    first = recorded[0].object
    site.create("backups", first["metadata"]["name"], first["spec"], labels=first["metadata"].get("labels", {}))


async def download(site, kind, name):
    """What a DownloadRequest leads to."""
    site.create("downloadrequests", f"get-{kind.lower()}-{name}", {"target": {"kind": kind, "name": name}})
    request = await site.until(f"get-{kind.lower()}-{name}", "Processed", kind="downloadrequests")
    async with httpx2.AsyncClient(timeout=PATIENCE, **PLAIN) as http:
        return await http.get(request["status"]["downloadURL"])


async def downloaded(site, kind, name):
    answer = await download(site, kind, name)
    assert answer.status_code == 200
    assert "content-encoding" not in answer.headers
    return json.loads(gzip.decompress(answer.content))


async def test_a_backup_shows_what_a_real_one_showed(site):
    site.fill("app-a", 13)
    recorded = [event for event in of_object("01-backup-download-restore-delete", "b-a") if event.phase != "Deleting"][:8]
    replayed(site, recorded)
    await site.until("b-a")
    ours = [shown(event.type, event.object) for event in site.seen("b-a")]
    assert ours == [shown(event.type, event.object) for event in recorded]


@pytest.mark.parametrize("name", sorted({event.name for event in transcript("02-failed-validation")}))
async def test_a_backup_is_refused_in_the_words_of_a_real_one(site, name):
    recorded = of_object("02-failed-validation", name)
    # When these were recorded there was a second location for snapshots.
    site.create("volumesnapshotlocations", "second", {"provider": "aws"})
    replayed(site, recorded)
    await site.until(name)
    ours = [shown(event.type, event.object) for event in site.seen(name)]
    assert ours == [shown(event.type, event.object) for event in recorded]


async def test_a_failing_hook_shows_what_it_did_in_a_real_one(site):
    site.fill("app-a", 12)
    site.store.create("pods", {"metadata": {"name": "idle"}, "spec": {}}, "app-a")
    recorded = of_object("08-partially-failed", "k-hook-spec")
    replayed(site, recorded)
    await site.until("k-hook-spec")
    ours = [shown(event.type, event.object) for event in site.seen("k-hook-spec")]
    assert ours == [shown(event.type, event.object) for event in recorded]
    results = await downloaded(site, "BackupResults", "k-hook-spec")
    complaint = " message: /Error executing hook error: /pod idle does not have a host assigned"
    assert results["errors"] == {"velero": [complaint]}


async def test_deleting_a_backup_takes_its_data_and_all_requests_for_it(site):
    site.backup("nightly")
    await site.until("nightly")
    assert site.cloud.keys("velero", "backups/nightly/")
    requests = site.store.watch("deletebackuprequests", "velero")
    site.create("deletebackuprequests", "away", {"backupName": "nightly"})
    await site.until_gone("backups", "nightly")
    await site.until_gone("deletebackuprequests", "away")
    assert site.phases("nightly")[-1] == "Deleting"
    assert site.cloud.keys("velero") == []
    steps = [(event.type, event.object.get("status", {}).get("phase")) for event in requests.take()]
    assert steps == [("ADDED", None), ("MODIFIED", "InProgress"), ("MODIFIED", "Processed"), ("DELETED", "Processed")]


async def test_a_backup_that_does_not_exist_cannot_be_deleted(site):
    site.create("deletebackuprequests", "away", {"backupName": "ghost"})
    request = await site.until("away", "Processed", kind="deletebackuprequests")
    assert request["status"]["errors"] == ["backup deletion failed: backup not found"]


async def test_a_backup_in_progress_cannot_be_deleted(site):
    site.velero.faults.hold("nightly")
    site.backup("nightly")
    await site.velero.faults.held("nightly")
    site.create("deletebackuprequests", "away", {"backupName": "nightly"})
    request = await site.until("away", "Processed", kind="deletebackuprequests")
    assert request["status"]["errors"] == ["backup deletion failed: backup is still in progress"]
    site.velero.faults.release()
    assert (await site.until("nightly"))["status"]["phase"] == "Completed"


async def test_downloads_hold_what_the_backup_holds(site):
    site.fill("shop", 2)
    site.store.create("deployments", {"metadata": {"name": "web"}, "spec": {}}, "shop")
    site.backup("nightly")
    await site.until("nightly")
    assert await downloaded(site, "BackupResourceList", "nightly") == {
        "apps/v1/Deployment": ["shop/web"],
        "v1/ConfigMap": ["shop/thing-0", "shop/thing-1"],
        "v1/Namespace": ["shop"],
    }
    assert await downloaded(site, "BackupResults", "nightly") == {"errors": {}, "warnings": {}}
    assert await downloaded(site, "BackupVolumeInfos", "nightly") == []
    assert await downloaded(site, "BackupVolumeSnapshots", "nightly") is None
    contents = (await download(site, "BackupContents", "nightly")).content
    with tarfile.open(fileobj=io.BytesIO(contents)) as archive:
        names = archive.getnames()
        member = archive.extractfile("resources/deployments.apps/namespaces/shop/web.json")
        assert json.load(member)["metadata"]["name"] == "web"
    assert "resources/namespaces/cluster/shop.json" in names
    assert "resources/configmaps/v1-preferredversion/namespaces/shop/thing-0.json" in names
    log = gzip.decompress((await download(site, "BackupLog", "nightly")).content).decode().splitlines()
    assert all(json.loads(line)["backup"] == "velero/nightly" for line in log)


async def test_a_file_that_was_never_written_has_a_url_all_the_same(site):
    site.backup("nightly")
    await site.until("nightly")
    assert (await download(site, "CSIBackupVolumeSnapshots", "nightly")).status_code == 404


async def test_a_download_for_an_unknown_backup_never_gets_a_phase(site):
    site.create("downloadrequests", "get", {"target": {"kind": "BackupLog", "name": "ghost"}})
    request = await eventually("it has an expiration", lambda: site.get("downloadrequests", "get").get("status"))
    assert set(request) == {"expiration"}


async def test_a_namespace_that_does_not_exist_makes_the_backup_partially_fail(site):
    site.backup("nightly", namespace="ghost")
    status = (await site.until("nightly"))["status"]
    assert (status["phase"], status["errors"], status["progress"]) == ("PartiallyFailed", 1, {})


async def test_an_empty_label_selector_cannot_be_listed(site):
    site.backup("nightly", labelSelector={"matchLabels": {}})
    backup = await site.until("nightly")
    assert backup["status"]["phase"] == "PartiallyFailed"
    results = await downloaded(site, "BackupResults", "nightly")
    assert len(results["errors"]["namespaces"]["shop"]) == backup["status"]["errors"]
    assert "found '<', expected: !, identifier, or 'end of string'" in results["errors"]["namespaces"]["shop"][0]


async def test_a_name_that_is_taken_in_the_bucket_fails(site, cloud):
    site.backup("nightly")
    await site.until("nightly")
    other = Site(cloud, "eu2", namespaces=("shop",))
    await other.start()
    other.velero.faults.hold("nightly", phase="ReadyToStart")
    if other.find("backups", "nightly"):  # a synchronised copy was faster
        other.store.delete("backups", "nightly", "velero")
    other.backup("nightly")
    other.velero.faults.release()
    status = (await other.until("nightly", "Failed"))["status"]
    assert status["failureReason"] == "backup execution failed: backup already exists in object storage"
    assert "completionTimestamp" in status
    other.velero.kill()


async def test_errors_of_items_can_be_ordered(site):
    site.velero.faults.flaw(Flaw(errors=("no such luck", "nor here"), warnings=("odd",)), "nightly")
    site.backup("nightly")
    status = (await site.until("nightly"))["status"]
    assert (status["phase"], status["errors"], status["warnings"]) == ("PartiallyFailed", 2, 1)
    assert "FinalizingPartiallyFailed" in site.phases("nightly")


async def test_a_failed_upload_has_no_completion_time(site):
    site.cloud.faults.fail_puts(1, "*/velero-backup.json")
    site.backup("nightly")
    status = (await site.until("nightly"))["status"]
    assert status["phase"] == "Failed"
    assert "InternalError" in status["failureReason"]
    assert "completionTimestamp" not in status


async def test_a_failed_upload_can_be_ordered(site):
    site.velero.faults.flaw(Flaw(upload="no space left on device"))
    site.backup("first")
    site.backup("second")
    status = (await site.until("first"))["status"]
    assert (status["phase"], status["failureReason"]) == ("Failed", "backup execution failed: no space left on device")
    assert (await site.until("second"))["status"]["phase"] == "Completed"
    assert site.cloud.keys("velero", "backups/first/") == []


async def test_a_slow_velero_takes_its_time(site):
    site.velero.faults.slowness = 100.0
    began = asyncio.get_running_loop().time()
    site.backup("nightly")
    await site.until("nightly")
    passed = (asyncio.get_running_loop().time() - began) * site.velero.settings.speed
    assert passed > 100 * site.velero.settings.collecting


async def test_operations_keep_a_backup_waiting(site):
    site.velero.faults.flaw(Flaw(operations=3, failed_operations=1), "nightly")
    site.backup("nightly")
    status = (await site.until("nightly"))["status"]
    assert site.phases("nightly")[3:] == [
        "InProgress", "WaitingForPluginOperations", "FinalizingPartiallyFailed", "PartiallyFailed",
    ]  # fmt: skip
    counted = [status[f"backupItemOperations{end}"] for end in ("Attempted", "Completed", "Failed")]
    assert (status["errors"], counted) == (1, [3, 2, 1])
    operations = await downloaded(site, "BackupItemOperations", "nightly")
    assert sorted(operation["status"]["phase"] for operation in operations) == ["Completed", "Completed", "Failed"]


async def test_progress_is_written_about_once_a_second(site):
    site.velero.kill()
    site.velero.settings = replace(site.velero.settings, per_item=0.1)
    await site.start()
    site.fill("shop", 24)
    site.backup("nightly")
    backup = await site.until("nightly")
    assert backup["status"]["progress"] == {"totalItems": 25, "itemsBackedUp": 25}
    done = [event.object["status"].get("progress", {}).get("itemsBackedUp") for event in site.seen("nightly")[1:]]
    assert list(dict.fromkeys(done)) == [None, 10, 20, 25]


async def test_a_status_request_is_answered(site):
    site.create("serverstatusrequests", "hello", {})
    status = (await site.until("hello", "Processed", kind="serverstatusrequests"))["status"]
    assert status["serverVersion"] == "v1.18.2"
    assert {"name": "velero.io/aws", "kind": "ObjectStore"} in status["plugins"]
