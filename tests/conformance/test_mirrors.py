"""A backup of one cluster restored in another, through a read-only location on the writer's storage that is made for it."""

from dataclasses import dataclass

import httpx2
import pytest

from tests.conformance.manifests import VELERO, Json, of_core, unique
from tests.conformance.stage import Cluster
from tests.conformance.story import phase_of
from tests.conformance.test_sync import A_MINUTE, A_TICK
from tests.e2e.real.installation import workload
from tests.e2e.real.likeness import contents


@dataclass(frozen=True)
class Mirrored:
    """A Backup of the writer's, the names of its namespace and of the reader's location on it, and the copy there."""

    namespace: str
    backup: Json
    location: str
    secret: str
    copy: Json

    @property
    def name(self) -> str:
        return str(self.backup["metadata"]["name"])


def keyed(cluster: Cluster, prefix: str) -> Json:
    """A location of this cluster on the storage that asks for keys, with keys of its own."""
    identity = f"{cluster.name}-of-{prefix}"
    cluster.hands.admit(identity, f"secret of {identity}")
    reference = cluster.keep_keys(prefix, identity, f"secret of {identity}")
    return {**cluster.hands.locked(prefix=prefix), "credential": reference}


def mirrored(writer: Cluster, reader: Cluster, stem: str) -> Mirrored:
    """A Backup with Deployments, ConfigMaps, Secrets and a Service, which the reader's new location has brought."""
    prefix, name = unique(stem), unique(stem)
    for item in workload(prefix, {"team": "shop"}):
        writer.api.create(item)
    service = {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}]}
    writer.api.create(of_core("Service", "web", prefix, metadata={"annotations": {"example.com/why": "shop"}}, spec=service))
    source = writer.left_alone(keyed(writer, prefix))
    labels = {"labels": {"example.com/origin": writer.name}}
    backup = writer.back_up(name, metadata=labels, includedNamespaces=[prefix], storageLocation=source)
    assert phase_of(backup) == "Completed"
    story = reader.story("backups", name)
    location = reader.left_alone({**keyed(reader, prefix), "accessMode": "ReadOnly"}, "mirror")
    copy = story.until_object(lambda _: True, within=A_TICK)
    reader.settle("backups", name)
    return Mirrored(prefix, backup, location, prefix, copy)


@pytest.mark.slow
def test_a_copy_through_a_mirror(writer: Cluster, reader: Cluster) -> None:
    """A copy names the location through which it came, in its spec and in a label; labels and status are as before."""
    found = mirrored(writer, reader, "seen")

    assert found.copy["spec"]["storageLocation"] == found.location != found.backup["spec"]["storageLocation"]
    assert found.copy["metadata"]["labels"] == {
        "example.com/origin": writer.name,
        "velero.io/storage-location": found.location,
    }
    assert found.copy["status"] == found.backup["status"]


@pytest.mark.slow
def test_restore_through_a_mirror(writer: Cluster, reader: Cluster) -> None:
    """What is restored through a mirror is what was backed up, field by field, and its log lies in the writer's storage."""
    found = mirrored(writer, reader, "mirrored")
    name = unique("mirrored")
    restore = reader.restore(name, backupName=found.name)
    ours, theirs = contents(reader.api, found.namespace), contents(writer.api, found.namespace)

    assert phase_of(restore) == "Completed"
    assert set(ours) == set(theirs) >= {"services/web", "deployments/worker", "secrets/web", "configmaps/worker"}
    for path, item in theirs.items():
        assert ours[path] == item, path
    assert reader.api.get(f"/api/v1/namespaces/{found.namespace}")["metadata"]["labels"]["team"] == "shop"
    assert reader.download("RestoreLog", name).status_code == httpx2.codes.OK
    assert reader.download_json("RestoreResults", name)["errors"] == {}


@pytest.mark.slow
def test_a_mirror_is_removed(writer: Cluster, reader: Cluster) -> None:
    """A mirror that is removed leaves its copies; when these are removed they stay away, and the source is as it was."""
    found = mirrored(writer, reader, "removed")
    name = unique("removed")
    reader.restore(name, backupName=found.name)
    reader.settle("restores", name)
    reader.delete("backupstoragelocations", found.location)
    reader.api.delete(f"/api/v1/namespaces/{VELERO}/secrets/{found.secret}")
    story = reader.story("backups", found.name)
    story.never(lambda event: event["type"] == "DELETED", within=A_MINUTE)
    reader.delete("backups", found.name)
    story.until_deleted()
    story.never(lambda event: event["type"] == "ADDED", within=A_MINUTE)

    assert writer.get("backups", found.name)["status"] == found.backup["status"]
    assert writer.download("BackupResults", found.name).status_code == httpx2.codes.OK
    assert phase_of(reader.get("restores", name)) == "Completed"


@pytest.mark.slow
def test_a_restore_without_its_mirror(writer: Cluster, reader: Cluster) -> None:
    """Without its mirror a copy cannot be restored; a Restore made through it can be deleted, with and without the copy."""
    found = mirrored(writer, reader, "orphaned")
    first, second = unique("orphaned"), unique("orphaned")
    for name in (first, second):
        reader.restore(name, backupName=found.name)
        reader.settle("restores", name)
    reader.delete("backupstoragelocations", found.location)
    reader.settle("backups", found.name)
    refused = reader.restore(unique("orphaned"), backupName=found.name)
    stories = [reader.story("restores", name) for name in (first, second)]
    reader.delete("restores", first)
    stories[0].until_deleted()
    reader.delete("backups", found.name)
    reader.settle("backups", found.name)
    reader.delete("restores", second)
    stories[1].until_deleted()

    assert refused["status"]["validationErrors"] == [
        f'Error retrieving backup: BackupStorageLocation.velero.io "{found.location}" not found'
    ]


@pytest.mark.slow
def test_a_hidden_backup(writer: Cluster, reader: Cluster) -> None:
    """A Backup of the same name that the cluster has already hides the one behind a mirror: it is never brought."""
    prefix, name = unique("hidden"), unique("hidden")
    namespace = writer.furnish("hidden")
    source = writer.left_alone(keyed(writer, prefix))
    backup = writer.back_up(name, includedNamespaces=[namespace], storageLocation=source)
    own = reader.rest(name, storageLocation="default")
    location = reader.left_alone({**keyed(reader, prefix), "accessMode": "ReadOnly"}, "mirror")
    synced = reader.story("backupstoragelocations", location)
    synced.until_object(lambda item: item["status"].get("lastSyncedTime"), within=A_TICK)

    found = reader.get("backups", name)
    assert found["metadata"]["uid"] == own["metadata"]["uid"]
    assert "startTimestamp" in backup["status"]
    assert "startTimestamp" not in found["status"]
