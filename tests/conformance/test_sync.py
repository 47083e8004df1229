"""One bucket, two clusters: what arrives where, and when it goes."""

from typing import Any

import httpx2
import pytest

from tests.conformance.manifests import Json, unique
from tests.conformance.stage import Cluster
from tests.conformance.story import Story, phase_of

A_TICK = 200
"""Seconds within which something has happened that happens once a minute, on a stage that is busy, and fails once."""
A_MINUTE = 65
"""Seconds in which Velero has looked once, whenever it began."""


def carried(writer: Cluster, reader: Cluster, stem: str, **metadata: Any) -> tuple[str, Json, Story, Json]:
    """A Backup on the writer that has arrived at the reader: its namespace, itself, the story of the copy, the copy."""
    namespace, name = writer.furnish(stem), unique(stem)
    story = reader.story("backups", name)
    backup = writer.back_up(name, metadata=metadata, includedNamespaces=[namespace])
    assert phase_of(backup) == "Completed"
    copy = story.until_object(lambda _: True, within=A_TICK)
    reader.settle("backups", name)
    return namespace, backup, story, copy


@pytest.mark.slow
def test_a_copy_arrives(writer: Cluster, reader: Cluster) -> None:
    """A Completed Backup arrives at the reader with labels, annotations and status as they were, and a uid of its own."""
    metadata = {"labels": {"team": "a"}, "annotations": {"example.com/why": "audit"}}
    _, backup, story, copy = carried(writer, reader, "carried", **metadata)

    assert story.phases == ["Completed"]
    assert copy["metadata"]["labels"] == backup["metadata"]["labels"] == {"team": "a", "velero.io/storage-location": "default"}
    assert copy["metadata"]["annotations"] == backup["metadata"]["annotations"]
    assert copy["metadata"]["uid"] != backup["metadata"]["uid"]
    assert copy["status"] == backup["status"]
    assert {key: value for key, value in copy["spec"].items() if value != {}} == backup["spec"]


@pytest.mark.slow
def test_a_copy_returns(writer: Cluster, reader: Cluster) -> None:
    """A copy that is deleted in the cluster alone returns, with another uid."""
    _, backup, story, copy = carried(writer, reader, "returning")
    name = backup["metadata"]["name"]
    reader.delete("backups", name)
    story.until_deleted()
    returned = story.until_object(lambda _: True, within=A_TICK)

    assert returned["metadata"]["uid"] != copy["metadata"]["uid"]
    assert returned["status"] == backup["status"]


@pytest.mark.slow
def test_a_copy_goes(writer: Cluster, reader: Cluster) -> None:
    """A copy goes when the writer has deleted the Backup."""
    _, backup, story, _ = carried(writer, reader, "leaving")
    writer.ask_deletion(backup)
    story.until_deleted(within=A_TICK)

    assert not writer.exists("backups", backup["metadata"]["name"])


@pytest.mark.slow
def test_a_lost_object_returns(writer: Cluster) -> None:
    """A Backup that is deleted in its own cluster alone returns from the bucket, with its status and another uid."""
    namespace, name = writer.furnish("lost"), unique("lost")
    backup = writer.back_up(name, includedNamespaces=[namespace])
    writer.settle("backups", name)
    story = writer.story("backups", name)
    writer.delete("backups", name)
    story.until_deleted()
    returned = story.until_object(lambda _: True, within=A_TICK)

    assert returned["status"] == backup["status"]
    assert returned["metadata"]["uid"] != backup["metadata"]["uid"]


@pytest.mark.slow
def test_restore_from_a_copy(writer: Cluster, reader: Cluster) -> None:
    """The reader restores from a copy, though its location is ReadOnly, and writes the files of the Restore into the bucket."""
    namespace, backup, _, _ = carried(writer, reader, "moved")
    name = unique("moved")
    restore = reader.restore(name, backupName=backup["metadata"]["name"])

    assert phase_of(restore) == "Completed"
    assert reader.api.get(f"/api/v1/namespaces/{namespace}/configmaps/paint")["data"] == {"colour": "green"}
    assert f"restores/{name}/restore-{name}-results.gz" in writer.hands.keys(f"restores/{name}/")


@pytest.mark.slow
def test_what_does_not_arrive(writer: Cluster, reader: Cluster) -> None:
    """A Backup that was refused never reaches the bucket, so it never arrives; a PartiallyFailed one does."""
    refused, partial = unique("refused"), unique("partial")
    stories = [reader.story("backups", name) for name in (refused, partial)]
    writer.back_up(refused, includedNamespaces=["default"], labelSelector={}, orLabelSelectors=[{"matchLabels": {"a": "b"}}])
    writer.back_up(partial, includedNamespaces=["nowhere"])
    stories[1].until_phase("PartiallyFailed", within=A_TICK)

    assert stories[0].events == []
    assert not reader.exists("backups", refused)


@pytest.mark.slow
def test_downloads_of_a_copy(writer: Cluster, reader: Cluster) -> None:
    """The reader signs URLs for the files of a copy."""
    _, backup, _, _ = carried(writer, reader, "fetched")
    answer = reader.download("BackupResourceList", backup["metadata"]["name"])

    assert answer.status_code == httpx2.codes.OK
