"""What the simulated Velero does between clusters and buckets: locations, synchronisation, garbage collection."""

from dataclasses import replace
from datetime import timedelta

import pytest

from simulator.cloud import Cloud
from simulator.velero.client import phase_of
from tests.support.simulated_velero import QUICK, Site, timeless
from tests.support.transcripts import of_object, transcript
from tests.support.waiting import eventually

UNAVAILABLE = 'BackupStorageLocation "default" is unavailable: '
READ_ONLY = "backup storage location default is currently in read-only mode"


@pytest.fixture
async def cloud():
    async with Cloud() as running:
        running.make_bucket("velero")
        yield running


@pytest.fixture
def sites(cloud):
    """Make a cluster, and end its Velero afterwards."""
    made = []

    async def make(name="eu1", *, access="", **changes):
        site = Site(cloud, name, settings=replace(QUICK, **changes), access=access, namespaces=("shop",))
        made.append(site)
        await site.start()
        return site

    yield make
    for site in made:
        site.velero.kill()


async def test_a_copy_in_another_cluster_is_the_same_backup_of_another_life(sites):
    writer, reader = await sites(), await sites("eu2", access="ReadOnly")
    writer.create("backups", "nightly", {"includedNamespaces": ["shop"]}, labels={"team": "a"}, annotations={"note": "x"})
    original = await writer.until("nightly")
    copy = await reader.until("nightly")
    assert reader.phases("nightly") == ["Completed"]
    assert copy["status"] == original["status"]
    assert copy["spec"] == original["spec"] | {"hooks": {}, "metadata": {}}
    for key in ("labels", "annotations"):
        assert copy["metadata"][key] == original["metadata"][key]
    assert copy["metadata"]["uid"] != original["metadata"]["uid"]
    assert copy["metadata"]["generation"] == 1


async def test_a_copy_goes_with_its_original_and_comes_back_without_it(sites):
    writer, reader = await sites(), await sites("eu2", access="ReadOnly")
    writer.backup("nightly")
    first = await reader.until("nightly")
    reader.store.delete("backups", "nightly", "velero")
    second = await eventually("the copy is back", lambda: reader.find("backups", "nightly"))
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    writer.create("deletebackuprequests", "away", {"backupName": "nightly"})
    await reader.until_gone("backups", "nightly")


async def test_a_backup_is_copied_when_it_is_finished_and_not_before(sites):
    writer, reader = await sites(), await sites("eu2", access="ReadOnly")
    writer.velero.faults.hold("nightly", "Finalizing")
    writer.backup("nightly")
    await writer.velero.faults.held("nightly")
    await reader.velero.sleep(3 * reader.velero.settings.sync_tick)
    assert reader.find("backups", "nightly") is None
    writer.velero.faults.release()
    assert (await reader.until("nightly"))["status"]["phase"] == "Completed"


async def test_a_read_only_location_takes_no_backup_and_no_deletion(sites):
    writer, reader = await sites(), await sites("eu2", access="ReadOnly")
    writer.backup("nightly")
    await reader.until("nightly")
    reader.create("deletebackuprequests", "away", {"backupName": "nightly"})
    request = await reader.until("away", "Processed", kind="deletebackuprequests")
    assert request["status"]["errors"] == [f"backup deletion failed: cannot delete backup because {READ_ONLY}"]
    assert "labels" not in request["metadata"]
    reader.backup("own")
    own = await reader.until("own")
    assert own["status"]["validationErrors"] == [f"backup can't be created because {READ_ONLY}"]


async def test_an_expired_backup_is_collected_and_its_copy_says_why_it_is_not(sites):
    writer, reader = await sites(gc_frequency=100_000.0), await sites("eu2", access="ReadOnly", gc_frequency=60.0)
    writer.backup("brief", ttl="1s")
    await reader.until("brief")
    await eventually(
        "the copy is labelled",
        lambda: reader.get("backups", "brief")["metadata"]["labels"].get("velero.io/gc-failure") == "BSLReadOnly",
    )
    assert writer.phase("backups", "brief") == "Completed"
    writer.velero.kill()
    await writer.velero.start()  # the first tick comes at once
    await writer.until_gone("backups", "brief")
    await reader.until_gone("backups", "brief")
    assert writer.store.list("deletebackuprequests", "velero") == []


async def test_the_end_of_an_expired_backup_shows_what_that_of_a_real_one_showed(sites):
    site = await sites(gc_frequency=100_000.0)
    site.backup("b-ttl", ttl="1s")
    expiration = (await site.until("b-ttl", "Completed"))["status"]["expiration"]
    await eventually("it has expired", lambda: site.store.timestamp() > expiration)
    requests = site.store.watch("deletebackuprequests", "velero")
    site.velero.kill()
    await site.velero.start()  # the first tick comes at once
    await site.until_gone("backups", "b-ttl")
    recorded = of_object("03-ttl-gc", "b-ttl")
    steps = [(event.type, phase_of(event.object), sorted(event.object["spec"])) for event in site.seen("b-ttl")[-4:]]
    assert steps == [(event.type, event.phase, sorted(event.object["spec"])) for event in recorded[-4:]]
    ours, theirs = requests.take()[0].object, transcript("03-ttl-gc", "DeleteBackupRequest")[0].object
    assert (ours["metadata"]["generateName"], ours["status"]) == ("b-ttl-", theirs["status"])
    assert sorted(ours["metadata"]["labels"]) == sorted(theirs["metadata"]["labels"])


async def test_a_negative_ttl_makes_a_backup_that_expires_before_it_begins(sites):
    site = await sites(gc_frequency=60.0)
    site.backup("gone", ttl="-1h")
    await site.until_gone("backups", "gone")
    assert "Completed" in site.phases("gone")


async def test_a_location_whose_storage_is_down_says_so_and_recovers(sites, cloud):
    site = await sites()
    cloud.faults.down = True
    location = await site.until("default", "Unavailable", kind="backupstoragelocations")
    message = location["status"]["message"]
    assert message.startswith(f"{UNAVAILABLE}rpc error: code = Unknown desc = operation error S3: ListObjectsV2")
    site.backup("nightly")
    refused = (await site.until("nightly"))["status"]["validationErrors"]
    assert refused == ["backup can't be created because BackupStorageLocation default is in Unavailable status."]
    cloud.faults.clear()
    location = await site.until("default", "Available", kind="backupstoragelocations")
    assert "message" not in location["status"]


async def test_foreign_directories_make_a_location_unavailable(sites, cloud):
    site = await sites()
    cloud.put("velero", "photos/cat.png", b"")
    location = await site.until("default", "Unavailable", kind="backupstoragelocations")
    assert location["status"]["message"] == f"{UNAVAILABLE}Backup store contains invalid top-level directories: [photos]"


async def test_a_location_where_nobody_listens_or_that_has_no_plugin_is_unavailable(sites):
    site = await sites()
    elsewhere = {"provider": "aws", "objectStorage": {"bucket": "velero"}, "config": {"s3Url": "http://127.0.0.1:9"}}
    site.create("backupstoragelocations", "elsewhere", elsewhere)
    site.create("backupstoragelocations", "foreign", {"provider": "example", "objectStorage": {"bucket": "velero"}})
    location = await site.until("elsewhere", "Unavailable", kind="backupstoragelocations")
    assert location["status"]["message"].endswith("dial tcp 127.0.0.1:9: connect: connection refused")
    location = await site.until("foreign", "Unavailable", kind="backupstoragelocations")
    assert location["status"]["message"].endswith("unable to locate ObjectStore plugin named velero.io/example")


async def test_the_newest_default_location_is_the_only_one(sites):
    site = await sites()
    moved = {"provider": "aws", "objectStorage": {"bucket": "velero", "prefix": "second"}, "default": True}
    before = site.store.now
    site.store.now = lambda: before() + timedelta(minutes=1)
    site.create("backupstoragelocations", "second", moved)
    await eventually("the first one steps back", lambda: "default" not in site.get("backupstoragelocations", "default")["spec"])
    await site.until("second", "Available", kind="backupstoragelocations")
    site.backup("nightly")
    assert (await site.until("nightly"))["spec"]["storageLocation"] == "second"
    assert site.cloud.keys("velero", "second/backups/nightly/")


async def test_a_deletion_that_the_storage_refuses_leaves_the_backup_deleting(sites, cloud):
    site = await sites(store_validation=100_000.0)
    site.backup("nightly")
    await site.until("nightly")
    cloud.faults.down = True
    site.create("deletebackuprequests", "away", {"backupName": "nightly"})
    request = await site.until("away", "Processed", kind="deletebackuprequests")
    assert request["status"]["errors"]
    assert site.phase("backups", "nightly") == "Deleting"
    cloud.faults.clear()
    site.create("deletebackuprequests", "again", {"backupName": "nightly"})
    await site.until_gone("backups", "nightly")


async def test_a_new_cluster_finds_its_backups_in_the_bucket(sites):
    site = await sites()
    site.backup("nightly")
    before = timeless((await site.until("nightly"))["status"])
    site.velero.kill()
    rebuilt = await sites("eu1-again")
    after = await rebuilt.until("nightly")
    assert timeless(after["status"]) == before
