"""How Backups and Restores go, and what keeps them."""

from tests.conformance.manifests import deletion_of, unique
from tests.conformance.stage import Cluster
from tests.conformance.story import phase_of

REFUSED = "backup deletion failed: "


def test_deletion(writer: Cluster) -> None:
    """A DeleteBackupRequest removes the Backup, its files, its Restores with theirs, and at last itself."""
    namespace, name, restore = writer.furnish("deleted"), unique("deleted"), unique("deleted")
    backup = writer.back_up(name, includedNamespaces=[namespace])
    writer.restore(restore, backupName=name)
    writer.settle("restores", restore)
    assert writer.hands.keys(f"restores/{restore}/")
    request = deletion_of(backup)
    request_story = writer.story("deletebackuprequests", request["metadata"]["name"])
    story = writer.story("backups", name)
    writer.api.create(request)
    story.until_deleted()
    request_story.until_deleted()

    assert story.phases == ["Deleting"]
    assert request_story.phases == ["", "InProgress", "Processed"]
    assert "errors" not in request_story.events[-1]["object"]["status"]
    assert not writer.exists("restores", restore)
    assert writer.hands.keys(f"backups/{name}/") == writer.hands.keys(f"restores/{restore}/") == []


def test_labels_of_a_request(writer: Cluster) -> None:
    """A request without labels gets those by which Velero finds it: the Backup's name and uid."""
    name = unique("unlabelled")
    backup = writer.rest_known(name, storageLocation="default")
    request = unique("unlabelled")
    story = writer.story("deletebackuprequests", request)
    writer.create("DeleteBackupRequest", request, spec={"backupName": name})

    labels = story.until_phase("InProgress")["metadata"]["labels"]
    assert labels == {"velero.io/backup-name": name, "velero.io/backup-uid": backup["metadata"]["uid"]}


def test_nothing_to_delete(writer: Cluster) -> None:
    """The deletion of a Backup that does not exist is Processed with an error, and stays."""
    name = unique("nothing")
    story = writer.story("deletebackuprequests", name)
    writer.create("DeleteBackupRequest", name, spec={"backupName": "nobody"})

    assert story.until_final()["status"] == {"phase": "Processed", "errors": [f"{REFUSED}backup not found"]}
    assert writer.exists("deletebackuprequests", name)


def test_deletion_without_a_location(writer: Cluster) -> None:
    """A Backup whose location is gone cannot be deleted; it stays as it was."""
    backup = writer.rest_known(unique("homeless"), storageLocation="nowhere")
    request = writer.ask_deletion(backup)

    assert request["status"]["errors"] == [f"{REFUSED}backup storage location nowhere not found"]
    assert writer.get("backups", backup["metadata"]["name"]) == backup


def test_deletion_from_a_read_only_location(reader: Cluster) -> None:
    """A Backup in a ReadOnly location cannot be deleted; it stays as it was."""
    backup = reader.rest_known(unique("protected"), storageLocation="default")
    request = reader.ask_deletion(backup)

    reason = "cannot delete backup because backup storage location default is currently in read-only mode"
    assert request["status"]["errors"] == [REFUSED + reason]
    assert reader.get("backups", backup["metadata"]["name"]) == backup


def test_deletion_of_a_running_backup(fragile: Cluster) -> None:
    """A Backup that is running cannot be deleted; once it has ended, a new request can."""
    name = unique("running")
    story = fragile.story("backups", name)
    with fragile.work_held():
        fragile.create("Backup", name, spec={"includedNamespaces": ["default"]})
        backup = story.until_phase("InProgress")
        # Velero counts it as running, and sees it so itself, a moment after that is written down.
        story.never(lambda event: event["type"] == "DELETED", within=1)
        early = fragile.ask_deletion(backup)
    story.until_phase("Completed")
    fragile.settle("backups", name)
    fragile.ask_deletion(backup)
    story.until_deleted()

    assert early["status"]["errors"] == [f"{REFUSED}backup is still in progress"]


def test_gc_failure_read_only(reader: Cluster) -> None:
    """What has expired in a ReadOnly location stays, with the label velero.io/gc-failure=BSLReadOnly."""
    name = unique("expired")
    story = reader.story("backups", name)
    reader.rest(name, storageLocation="default", status={"expiration": "2020-01-01T00:00:00Z"})
    backup = story.until_object(lambda item: "velero.io/gc-failure" in item["metadata"].get("labels", {}))

    assert backup["metadata"]["labels"] == {"velero.io/gc-failure": "BSLReadOnly"}
    assert phase_of(backup) == "Completed"


def test_gc_failure_without_a_location(writer: Cluster) -> None:
    """What has expired in a location that is gone stays, with the label velero.io/gc-failure=BSLNotFound."""
    name = unique("expired")
    story = writer.story("backups", name)
    writer.rest(name, storageLocation="nowhere", status={"expiration": "2020-01-01T00:00:00Z"})
    backup = story.until_object(lambda item: "velero.io/gc-failure" in item["metadata"].get("labels", {}))

    assert backup["metadata"]["labels"] == {"velero.io/gc-failure": "BSLNotFound"}


def test_deleted_restore(writer: Cluster) -> None:
    """A deleted Restore takes its files with it, by a finalizer, and leaves what it restored."""
    namespace, backup, name = writer.furnish("restored"), unique("restored"), unique("restored")
    writer.back_up(backup, includedNamespaces=[namespace])
    restore = writer.restore(name, backupName=backup, namespaceMapping={namespace: f"{namespace}-copy"})
    writer.settle("restores", name)
    story = writer.story("restores", name)
    assert len(writer.hands.keys(f"restores/{name}/")) == 5
    writer.delete("restores", name)
    story.until_deleted()

    assert restore["metadata"]["finalizers"] == ["restores.velero.io/external-resources-finalizer"]
    assert [event["type"] for event in story.events] == ["MODIFIED", "DELETED"]
    assert "deletionTimestamp" in story.events[0]["object"]["metadata"]
    assert writer.hands.keys(f"restores/{name}/") == []
    assert writer.api.get(f"/api/v1/namespaces/{namespace}-copy/configmaps/paint")["data"] == {"colour": "green"}


def test_deleted_restore_without_velero(fragile: Cluster) -> None:
    """While Velero is dead a deleted Restore stays, marked; it goes when Velero is back."""
    namespace, backup, name = fragile.furnish("blocked"), unique("blocked"), unique("blocked")
    fragile.back_up(backup, includedNamespaces=[namespace])
    fragile.restore(name, backupName=backup)
    fragile.settle("restores", name)
    story = fragile.story("restores", name)
    with fragile.velero_killed():
        fragile.delete("restores", name)
        marked = story.until_object(lambda item: "deletionTimestamp" in item["metadata"])
        story.never(lambda event: event["type"] == "DELETED", within=2)
    story.until_deleted()

    assert marked["metadata"]["finalizers"] == ["restores.velero.io/external-resources-finalizer"]
