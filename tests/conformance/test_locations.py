"""Storage locations: when they can be used, and why they cannot."""

from tests.conformance.manifests import Json, unique
from tests.conformance.stage import Cluster


def nowhere(cluster: Cluster) -> Json:
    """A location at a port where nobody listens."""
    spec = cluster.hands.location(prefix="nowhere")
    return {**spec, "config": {**spec["config"], "s3Url": "http://127.0.0.1:9"}}


def test_available(fragile: Cluster) -> None:
    """A new location has no phase; soon it is Available, with the time at which Velero looked and no message."""
    name = unique("fresh")
    story = fragile.story("backupstoragelocations", name)
    fragile.create("BackupStorageLocation", name, spec=fragile.hands.location(prefix=name))
    status = story.until_phase("Available")["status"]

    assert story.phases == ["", "Available"]
    assert set(status) <= {"phase", "lastValidationTime", "lastSyncedTime"}
    assert status["lastValidationTime"]


def test_validated_again(fragile: Cluster) -> None:
    """Velero looks again and again, and each time writes down when."""
    name, status = fragile.assessed(fragile.hands.location(prefix=unique("again")))
    story = fragile.story("backupstoragelocations", name)
    later = story.until_object(lambda item: item["status"]["lastValidationTime"] != status["lastValidationTime"])

    assert later["status"]["lastValidationTime"] > status["lastValidationTime"]


def test_second_location(fragile: Cluster) -> None:
    """A Backup can name another location: its files are there, its label says so, and nothing is in the default one."""
    prefix, namespace, name = unique("second"), fragile.furnish("second"), unique("second")
    location, _ = fragile.assessed(fragile.hands.location(prefix=prefix))
    backup = fragile.back_up(name, includedNamespaces=[namespace], storageLocation=location)

    assert backup["status"]["phase"] == "Completed"
    assert backup["metadata"]["labels"]["velero.io/storage-location"] == location
    assert fragile.hands.keys(f"backups/{name}/") == []
    assert fragile.download("BackupResults", name).status_code == 200


def test_unreachable(fragile: Cluster) -> None:
    """A location where nobody listens is Unavailable, and says so at length; Backups to it are refused."""
    name, status = fragile.assessed(nowhere(fragile))
    backup = fragile.back_up(unique("unreachable"), includedNamespaces=["default"], storageLocation=name)

    assert status["phase"] == "Unavailable"
    assert status["message"].startswith(
        f'BackupStorageLocation "{name}" is unavailable: rpc error: code = Unknown desc = operation error S3: ListObjectsV2, '
    )
    assert status["message"].endswith("dial tcp 127.0.0.1:9: connect: connection refused")
    assert backup["status"]["validationErrors"] == [
        f"backup can't be created because BackupStorageLocation {name} is in Unavailable status."
    ]


def test_deletion_from_an_unavailable_location(fragile: Cluster) -> None:
    """What lies in an Unavailable location cannot be deleted."""
    name, _ = fragile.assessed(nowhere(fragile))
    backup = fragile.rest_known(unique("kept"), storageLocation=name)

    assert fragile.ask_deletion(backup)["status"]["errors"] == [
        f"backup deletion failed: cannot delete backup because backup storage location {name} is currently in Unavailable state"
    ]


def test_missing_bucket(fragile: Cluster) -> None:
    """A location on a bucket that does not exist is Unavailable: NoSuchBucket."""
    name, status = fragile.assessed(fragile.hands.location(bucket="no-such-bucket"))

    assert status["phase"] == "Unavailable"
    assert status["message"].startswith(f'BackupStorageLocation "{name}" is unavailable: ')
    assert status["message"].endswith("NoSuchBucket: The specified bucket does not exist")


def test_foreign_directories(fragile: Cluster) -> None:
    """A location is Unavailable if there is anything in it that is not Velero's."""
    prefix, namespace = unique("foreign"), fragile.furnish("foreign")
    inner, _ = fragile.assessed(fragile.hands.location(prefix=f"{prefix}/inner"))
    fragile.back_up(unique("foreign"), includedNamespaces=[namespace], storageLocation=inner)
    outer, status = fragile.assessed(fragile.hands.location(prefix=prefix))

    assert status["phase"] == "Unavailable"
    assert status["message"] == (
        f'BackupStorageLocation "{outer}" is unavailable: Backup store contains invalid top-level directories: [inner]'
    )


def test_unknown_provider(fragile: Cluster) -> None:
    """A location of a provider without a plugin is Unavailable."""
    name, status = fragile.assessed({**fragile.hands.location(prefix="unknown"), "provider": "example"})

    assert status["phase"] == "Unavailable"
    assert status["message"] == (
        f'BackupStorageLocation "{name}" is unavailable: unable to locate ObjectStore plugin named velero.io/example'
    )


def test_one_default(fragile: Cluster) -> None:
    """Of several default locations the newest wins and the others stop being it; the choice can be taken back."""
    # Creation times have whole seconds, and the newest is found by them.
    before = fragile.get("backupstoragelocations", "default")["metadata"]["creationTimestamp"]
    fragile.eventually("the next second", lambda: fragile.clock() > before)
    old = fragile.story("backupstoragelocations", "default")
    name, _ = fragile.assessed({**fragile.hands.location(prefix=unique("newest")), "default": True})
    try:
        old.until_object(lambda item: not item["spec"].get("default"))
        backup = fragile.back_up(unique("newest"), includedNamespaces=["default"])
    finally:
        fragile.delete("backupstoragelocations", name)
        fragile.patch("backupstoragelocations", "default", {"spec": {"default": True}})

    assert backup["spec"]["storageLocation"] == name


def test_closed_storage(fragile: Cluster) -> None:
    """When the storage goes away its location becomes Unavailable and Backups are refused; when it is back, all is well."""
    story = fragile.story("backupstoragelocations", "default")
    with fragile.storage_closed():
        story.until_phase("Unavailable")
        refused = fragile.back_up(unique("closed"), includedNamespaces=["default"])
    story.until_phase("Available")
    accepted = fragile.back_up(unique("reopened"), includedNamespaces=["default"])

    assert refused["status"]["validationErrors"] == [
        "backup can't be created because BackupStorageLocation default is in Unavailable status."
    ]
    assert accepted["status"]["phase"] == "Completed"


def test_sync_time(writer: Cluster) -> None:
    """Of a location that Velero syncs, it writes down when it did."""
    status = writer.eventually(
        "a sync", lambda: writer.get("backupstoragelocations", "default")["status"].get("lastSyncedTime"), within=130
    )

    assert status.endswith("Z")
