"""Restores that meet others, and what becomes of them when their Backup goes."""

from tests.conformance.manifests import Json, deletion_of, unique
from tests.conformance.stage import Cluster
from tests.conformance.story import Story, phase_of


def source(cluster: Cluster) -> tuple[str, Json]:
    """A namespace, and a Backup of it that Velero has done with."""
    namespace, name = cluster.furnish("endings"), unique("endings")
    backup = cluster.back_up(name, includedNamespaces=[namespace])
    assert phase_of(backup) == "Completed"
    cluster.settle("backups", name)
    return namespace, backup


def begun(cluster: Cluster, namespace: str, backup: Json) -> Story:
    """A Restore of it into another namespace that is InProgress; work has to be held."""
    name = unique("begun")
    story = cluster.story("restores", name)
    mapping = {namespace: f"{namespace}-copy"}
    cluster.create("Restore", name, spec={"backupName": backup["metadata"]["name"], "namespaceMapping": mapping})
    story.until_phase("InProgress")
    return story


def test_two_at_once(fragile: Cluster) -> None:
    """Of two Restores at once the second waits without a phase until the first has been carried out; both complete."""
    namespace, backup = source(fragile)
    name, other = unique("second"), f"{namespace}-other"
    second = fragile.story("restores", name)
    with fragile.work_held():
        first = begun(fragile, namespace, backup)
        spec = {"backupName": backup["metadata"]["name"], "namespaceMapping": {namespace: other}}
        fragile.create("Restore", name, spec=spec)
        second.never(lambda event: phase_of(event["object"]), within=2)
    ended = [story.until_final() for story in (first, second)]

    assert [phase_of(each) for each in ended] == ["Completed", "Completed"]
    assert ended[0]["status"]["startTimestamp"] <= ended[1]["status"]["startTimestamp"]
    for copy in (f"{namespace}-copy", other):
        assert fragile.has(f"/api/v1/namespaces/{copy}/configmaps/paint")


def test_backup_object_deleted_meanwhile(fragile: Cluster) -> None:
    """A Restore that has begun goes on when its Backup's object goes, but cannot be finalized: PartiallyFailed, no error."""
    namespace, backup = source(fragile)
    fragile.listed()
    with fragile.work_held():
        story = begun(fragile, namespace, backup)
        fragile.delete("backups", backup["metadata"]["name"])
    restore = story.until_final()

    assert phase_of(restore) == "PartiallyFailed"
    assert not {"errors", "hookStatus", "failureReason"} & set(restore["status"])
    assert fragile.has(f"/api/v1/namespaces/{namespace}-copy/configmaps/paint")


def test_backup_deleted_meanwhile(fragile: Cluster) -> None:
    """A Backup can be deleted while a Restore of it runs: both go, and the Restore may never have come to a final phase."""
    namespace, backup = source(fragile)
    backups = fragile.story("backups", backup["metadata"]["name"])
    with fragile.work_held():
        story = begun(fragile, namespace, backup)
        fragile.api.create(deletion_of(backup))
    story.until_deleted()
    backups.until_deleted()

    assert fragile.hands.keys(f"backups/{backup['metadata']['name']}/") == []


def test_restore_deleted_meanwhile(fragile: Cluster) -> None:
    """A Restore that is deleted while it runs is carried out all the same, and goes when that is done."""
    namespace, backup = source(fragile)
    with fragile.work_held():
        story = begun(fragile, namespace, backup)
        name = str(story.events[0]["object"]["metadata"]["name"])
        fragile.delete("restores", name)
        marked = story.until_object(lambda item: "deletionTimestamp" in item["metadata"])
        story.never(lambda event: event["type"] == "DELETED", within=2)
    story.until_deleted()

    assert phase_of(marked) == "InProgress"
    assert fragile.has(f"/api/v1/namespaces/{namespace}-copy/configmaps/paint")


def test_restore_without_its_backup(fragile: Cluster) -> None:
    """A Restore whose Backup's object is gone can be deleted; its files stay in the bucket, as nobody knows where they are."""
    namespace, backup = source(fragile)
    name = unique("outlived")
    fragile.restore(name, backupName=backup["metadata"]["name"], namespaceMapping={namespace: f"{namespace}-copy"})
    fragile.settle("restores", name)
    story = fragile.story("restores", name)
    fragile.listed()
    fragile.delete("backups", backup["metadata"]["name"])
    fragile.settle("backups", backup["metadata"]["name"])
    fragile.delete("restores", name)
    story.until_deleted()

    assert len(fragile.hands.keys(f"restores/{name}/")) == 5
