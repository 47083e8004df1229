"""Volumes in backups and restores of the simulated Velero: what its clients see of snapshots and of moved data."""

from functools import partial

import pytest

from simulator.cloud import Cloud
from simulator.controller_manager import bind
from simulator.velero import Flaw
from simulator.velero.storage import Storage, unpack
from tests.support.simulated_velero import Site
from tests.support.waiting import eventually

DRIVER = "ebs.csi.aws.com"
ENDED = ("Completed", "PartiallyFailed", "Failed", "FailedValidation")


class VolumeSite(Site):
    """A site with a node agent, and a running pod with one volume in the namespace shop."""

    def __init__(self, cloud):
        super().__init__(cloud, namespaces=("shop",))
        store = self.store
        store.create("deployments", {"metadata": {"name": "velero"}, "spec": {"replicas": 1}}, "velero")
        store.create(
            "storageclasses", {"metadata": {"name": "gp3"}, "provisioner": "ebs.csi.aws.com", "reclaimPolicy": "Delete"}
        )
        store.create("nodes", {"metadata": {"name": "n1"}})
        claim = {"storageClassName": "gp3", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}}
        bind(store, store.create("persistentvolumeclaims", {"metadata": {"name": "data"}, "spec": claim}, "shop"))
        volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
        self.run("db", "shop", {"volumes": volumes})
        self.run("agent", "velero", {}, labels={"role": "node-agent"})

    def run(self, name, namespace, spec, **metadata):
        self.store.create("pods", {"metadata": {"name": name, **metadata}, "spec": {**spec, "nodeName": "n1"}}, namespace)
        self.store.patch("pods", name, {"status": {"phase": "Running"}}, namespace, subresource="status")

    def with_snapshot_class(self):
        self.store.create("volumesnapshotclasses", {"metadata": {"name": "ebs"}, "driver": DRIVER})

    def file(self, target):
        storage = Storage(self.cloud, self.get("backupstoragelocations", "default"))
        return unpack(storage.get_file(target, "b"))

    def infos(self):
        return self.file("BackupVolumeInfos")

    async def backed_up(self, name="b", **spec):
        self.backup(name, **spec)
        return await self.until(name)

    async def restored(self, **spec):
        self.create("restores", "r", {"backupName": "b", **spec})
        return await self.until("r", *ENDED, kind="restores")


@pytest.fixture
async def site():
    cloud = Cloud()
    cloud.make_bucket("velero")
    async with cloud:
        made = VolumeSite(cloud)
        await made.start()
        yield made
        made.velero.kill()


def phases(watch):
    """The phases of the only object of a watch, each as often as it was entered."""
    found = []
    for event in watch.take():
        phase = event.object.get("status", {}).get("phase", "")
        if not found or found[-1] != phase:
            found.append(phase)
    return found


# Snapshots


async def test_a_provider_takes_a_snapshot_and_gives_a_copy_back(site):
    backup = await site.backed_up()
    assert (backup["status"]["volumeSnapshotsAttempted"], backup["status"]["volumeSnapshotsCompleted"]) == (1, 1)
    (info,) = site.infos()
    assert (info["backupMethod"], info["result"], info["pvcName"]) == ("NativeSnapshot", "succeeded", "data")
    await site.restored(namespaceMapping={"shop": "shop-2"})
    claim = site.store.get("persistentvolumeclaims", "data", "shop-2")
    assert claim["spec"]["volumeName"].startswith("velero-clone-")
    copy = site.store.get("persistentvolumes", claim["spec"]["volumeName"])
    assert copy["spec"]["claimRef"]["namespace"] == "shop-2"
    original = site.store.get("persistentvolumes", info["pvName"])
    assert copy["spec"]["csi"]["volumeHandle"] != original["spec"]["csi"]["volumeHandle"]
    assert claim["status"]["phase"] == "Bound"


async def test_volumes_are_left_out_when_told_so(site):
    backup = await site.backed_up(snapshotVolumes=False)
    assert "volumeSnapshotsAttempted" not in backup["status"]
    (info,) = site.infos()
    assert info["skipped"] is True
    assert info["skippedReason"]


async def test_a_driver_that_nobody_knows_is_a_warning(site):
    volume = site.store.list("persistentvolumes")[0]["metadata"]["name"]
    site.store.patch("persistentvolumes", volume, {"spec": {"csi": {"driver": "example.com/none"}}})
    backup = await site.backed_up()
    assert (backup["status"]["phase"], backup["status"]["warnings"]) == ("Completed", 1)
    assert site.infos()[0]["skipped"] is True


async def test_a_snapshot_class_makes_it_a_csi_snapshot(site):
    site.with_snapshot_class()
    backup = await site.backed_up()
    assert (backup["status"]["csiVolumeSnapshotsAttempted"], backup["status"]["csiVolumeSnapshotsCompleted"]) == (1, 1)
    assert site.infos()[0]["csiSnapshotInfo"]["size"] == 10 * 2**30


# Moving the data of snapshots


async def test_moved_data_goes_through_every_phase_and_the_backup_waits_for_it(site):
    site.with_snapshot_class()
    uploads = site.store.watch("datauploads", "velero")
    backup = await site.backed_up(snapshotMoveData=True)
    assert site.phases("b")[-4:] == ["InProgress", "WaitingForPluginOperations", "Finalizing", "Completed"]
    assert (backup["status"]["backupItemOperationsAttempted"], backup["status"]["backupItemOperationsCompleted"]) == (1, 1)
    assert phases(uploads) == ["New", "Accepted", "Prepared", "InProgress", "Completed"]
    (upload,) = site.store.list("datauploads", "velero", labels="velero.io/backup-name=b")
    labels, status = upload["metadata"]["labels"], upload["status"]
    assert labels["velero.io/backup-uid"] == backup["metadata"]["uid"]
    assert labels["velero.io/async-operation-id"].startswith("du-")
    assert upload["metadata"]["ownerReferences"][0]["name"] == "b"
    assert status["progress"]["bytesDone"] == status["progress"]["totalBytes"] > status["incrementalBytes"] > 0
    (info,) = site.infos()
    assert info["snapshotDataMoved"] is True
    assert info["snapshotDataMovementInfo"]["size"] == status["progress"]["totalBytes"]
    assert info["snapshotDataMovementInfo"]["snapshotHandle"] == status["snapshotID"]


async def test_an_upload_that_fails_fails_the_backup_in_part(site):
    site.with_snapshot_class()
    site.velero.faults.flaw(Flaw(errors=("disk gone",)), kind="datauploads")
    backup = await site.backed_up(snapshotMoveData=True)
    assert (backup["status"]["phase"], backup["status"]["errors"]) == ("PartiallyFailed", 1)
    assert backup["status"]["backupItemOperationsFailed"] == 1
    (upload,) = site.store.list("datauploads", "velero")
    assert (upload["status"]["phase"], upload["status"]["message"]) == ("Failed", "disk gone")
    assert site.infos()[0]["result"] == "failed"


async def test_an_upload_that_hangs_can_be_canceled(site):
    site.with_snapshot_class()
    uploads = site.store.watch("datauploads", "velero")
    site.velero.faults.hold("*", "InProgress", kind="datauploads")
    site.backup("b", snapshotMoveData=True)
    await site.until("b", "WaitingForPluginOperations")
    await site.velero.faults.held()
    (upload,) = site.store.list("datauploads", "velero")
    site.store.patch("datauploads", upload["metadata"]["name"], {"spec": {"cancel": True}}, "velero")
    site.velero.faults.release()
    backup = await site.until("b")
    assert backup["status"]["phase"] == "PartiallyFailed"
    assert phases(uploads)[-3:] == ["InProgress", "Canceling", "Canceled"]


async def test_moved_data_comes_back_into_a_new_volume(site):
    site.with_snapshot_class()
    await site.backed_up(snapshotMoveData=True)
    downloads = site.store.watch("datadownloads", "velero")
    restore = await site.restored(namespaceMapping={"shop": "shop-2"})
    assert restore["status"]["phase"] == "Completed"
    assert (restore["status"]["restoreItemOperationsAttempted"], restore["status"]["restoreItemOperationsCompleted"]) == (1, 1)
    assert phases(downloads) == ["New", "Accepted", "Prepared", "InProgress", "Completed"]
    (download,) = site.store.list("datadownloads", "velero", labels="velero.io/restore-name=r")
    assert download["spec"]["targetVolume"]["namespace"] == "shop-2"
    assert download["spec"]["snapshotID"] == site.infos()[0]["snapshotDataMovementInfo"]["snapshotHandle"]
    claim = site.store.get("persistentvolumeclaims", "data", "shop-2")
    assert claim["spec"]["volumeName"] != site.infos()[0]["pvName"]


async def test_without_a_node_agent_data_waits(site):
    site.with_snapshot_class()
    site.store.delete("pods", "agent", "velero")
    site.backup("b", snapshotMoveData=True)
    await site.until("b", "WaitingForPluginOperations")
    await eventually("it was looked at", lambda: "updated" in site.file("BackupItemOperations")[0]["status"])
    assert [item["status"]["phase"] for item in site.store.list("datauploads", "velero")] == ["New"]
    site.run("agent", "velero", {}, labels={"role": "node-agent"})
    await site.until("b", "Completed")


# Copies through pods


async def test_copies_of_volumes_make_a_repository_and_a_backup_each(site):
    copies = site.store.watch("podvolumebackups", "velero")
    backup = await site.backed_up(defaultVolumesToFsBackup=True)
    assert backup["status"]["phase"] == "Completed"
    assert phases(copies) == ["", "Accepted", "Prepared", "InProgress", "Completed"]
    (copy,) = site.store.list("podvolumebackups", "velero", labels="velero.io/backup-name=b")
    assert (copy["spec"]["volume"], copy["spec"]["node"], copy["spec"]["pod"]["name"]) == ("data", "n1", "db")
    assert copy["spec"]["tags"]["pvc-uid"] == copy["metadata"]["labels"]["velero.io/pvc-uid"]
    ready = partial(site.phase, "backuprepositories", "shop-default-kopia")
    await eventually("the repository is ready", lambda: ready() == "Ready")
    (info,) = site.infos()
    assert (info["backupMethod"], info["pvbInfo"]["size"]) == ("PodVolumeBackup", copy["status"]["progress"]["totalBytes"])


async def test_copies_come_back_with_their_pods(site):
    await site.backed_up(defaultVolumesToFsBackup=True)
    site.store.delete("pods", "db", "shop")
    site.store.delete("persistentvolumeclaims", "data", "shop")
    restore = await site.restored()
    assert restore["status"]["phase"] == "Completed"
    (copy,) = site.store.list("podvolumerestores", "velero", labels="velero.io/restore-name=r")
    assert copy["status"]["phase"] == "Completed"
    assert copy["spec"]["sourceNamespace"] == "shop"


async def test_a_pod_without_a_node_agent_beside_it_cannot_be_copied(site):
    site.store.delete("pods", "agent", "velero")
    backup = await site.backed_up(defaultVolumesToFsBackup=True)
    assert (backup["status"]["phase"], backup["status"]["errors"]) == ("PartiallyFailed", 1)


async def test_a_copy_that_fails_fails_the_backup_in_part(site):
    site.velero.faults.flaw(Flaw(errors=("read error",)), kind="podvolumebackups")
    backup = await site.backed_up(defaultVolumesToFsBackup=True)
    assert (backup["status"]["phase"], backup["status"]["errors"]) == ("PartiallyFailed", 1)
