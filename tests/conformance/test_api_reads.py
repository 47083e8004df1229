"""Lists and watches: what a client relies on to miss nothing."""

import pytest

from tests.conformance.manifests import unique
from tests.conformance.stage import Cluster, refusal
from tests.conformance.story import WatchEndedError
from tests.e2e.real.api import velero_path

BACKUPS = velero_path("backups")


def test_list(writer: Cluster) -> None:
    """A list has its own version and whole objects; label and field selectors narrow it."""
    team, (one, two) = unique("team"), (unique("listed"), unique("listed"))
    for name in (one, two):
        writer.rest(name)
        writer.patch("backups", name, {"metadata": {"labels": {"team": team}}})
    found = writer.api.get(BACKUPS, labelSelector=f"team={team}")

    assert (found["kind"], found["apiVersion"]) == ("BackupList", "velero.io/v1")
    assert [item["metadata"]["name"] for item in found["items"]] == sorted([one, two])
    assert all((item["kind"], item["apiVersion"]) == ("Backup", "velero.io/v1") for item in found["items"])
    assert int(found["metadata"]["resourceVersion"]) >= max(int(i["metadata"]["resourceVersion"]) for i in found["items"])
    by_name = writer.api.get(BACKUPS, fieldSelector=f"metadata.name={two}")
    assert [item["metadata"]["name"] for item in by_name["items"]] == [two]
    assert refusal(lambda: writer.api.get(BACKUPS, fieldSelector="status.phase=Completed")).status == 400


ALONE = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


def test_metadata_alone(writer: Cluster) -> None:
    """A list can be had of metadata alone, in pages, too: names and labels of Secrets without what is in them."""
    namespace = writer.furnish("alone")
    path = f"/api/v1/namespaces/{namespace}/secrets"
    page = writer.api.request("GET", path, accept=f"{ALONE},application/json", params={"limit": "1"}).json()
    one = writer.api.request("GET", f"{path}/tool", accept=ALONE.replace("MetadataList", "Metadata")).json()

    assert (page["kind"], page["apiVersion"]) == ("PartialObjectMetadataList", "meta.k8s.io/v1")
    assert page["metadata"]["resourceVersion"]
    assert [set(item) for item in page["items"]] == [{"kind", "apiVersion", "metadata"}]
    assert (one["kind"], set(one)) == ("PartialObjectMetadata", {"kind", "apiVersion", "metadata"})
    assert one["metadata"]["labels"] == {"app": "paint"}


def test_what_no_server_writes(writer: Cluster) -> None:
    """A client that takes nothing that the server can write is refused with 406."""
    error = refusal(lambda: writer.api.request("GET", velero_path("backups"), accept="text/html"))

    assert (error.status, error.body["reason"]) == (406, "NotAcceptable")


def test_pages(writer: Cluster) -> None:
    """A list in pages gives each object once, all from one version, also if another is created meanwhile."""
    team = unique("pages")
    names = sorted(unique("page") for _ in range(5))
    for name in names:
        writer.create("Backup", name, metadata={"labels": {"team": team}}, spec={}, status={"phase": "Completed"})
    pages, token = [], ""
    while not pages or token:
        page = writer.api.get(BACKUPS, labelSelector=f"team={team}", limit="2", **({"continue": token} if token else {}))
        pages.append(page)
        token = page["metadata"].get("continue", "")
        if len(pages) == 1:
            late = {"labels": {"team": team}}
            writer.create("Backup", unique("page-late"), metadata=late, spec={}, status={"phase": "Completed"})

    assert [[item["metadata"]["name"] for item in page["items"]] for page in pages] == [names[:2], names[2:4], names[4:]]
    assert len({page["metadata"]["resourceVersion"] for page in pages}) == 1


def test_resumed_watch(writer: Cluster) -> None:
    """A watch from a version tells every change after it, once and in order, whoever made it and whenever."""
    name = unique("resumed")
    story = writer.story("backups", name)
    versions = [writer.rest(name)["metadata"]["resourceVersion"]]
    versions.append(writer.patch("backups", name, {"metadata": {"labels": {"n": "1"}}})["metadata"]["resourceVersion"])
    # Every wait opens a connection of its own, from the version of the event at which the last one ended.
    for version in versions:
        assert story.until(lambda event: True)["object"]["metadata"]["resourceVersion"] == version
    writer.patch("backups", name, {"metadata": {"labels": {"n": "2"}}})
    writer.delete("backups", name)
    gone = story.until_deleted()

    assert [event["type"] for event in story.events] == ["ADDED", "MODIFIED", "MODIFIED", "DELETED"]
    assert gone["metadata"]["labels"] == {"n": "2"}
    assert int(gone["metadata"]["resourceVersion"]) > int(story.events[2]["object"]["metadata"]["resourceVersion"])


def test_watch_without_a_version(writer: Cluster) -> None:
    """A watch without a version begins with what exists, as ADDED."""
    name = unique("existing")
    writer.rest(name)
    with writer.api.watch(BACKUPS, timeout=20, fieldSelector=f"metadata.name={name}") as events:
        first = next(events)

    assert (first["type"], first["object"]["metadata"]["name"]) == ("ADDED", name)


def test_selected_watch(writer: Cluster) -> None:
    """In a watch with a label selector an object that loses its label is DELETED, and ADDED when it has it again."""
    team, name = unique("team"), unique("wanderer")
    story = writer.story("backups", labels=f"team={team}")
    writer.rest(name)
    for value in (team, "other", team):
        writer.patch("backups", name, {"metadata": {"labels": {"team": value}}})
    story.until(lambda event: event["type"] == "ADDED" and len(story.events) > 1)

    assert [event["type"] for event in story.events] == ["ADDED", "DELETED", "ADDED"]


def test_expired_version(writer: Cluster) -> None:
    """A watch from a version that is too old answers 200 and one ERROR event: 410 Expired."""
    with writer.api.watch(BACKUPS, timeout=20, resourceVersion="1") as events:
        event = next(events)

    assert event["type"] == "ERROR"
    assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")
    assert event["object"]["message"].startswith("too old resource version: 1 (")


def test_watch_that_ends(writer: Cluster) -> None:
    """A watch with timeoutSeconds ends by itself, in good order."""
    with writer.api.watch(BACKUPS, timeout=20, timeoutSeconds="1", fieldSelector="metadata.name=nobody") as events:
        assert list(events) == []


@pytest.mark.slow
def test_bookmarks(writer: Cluster) -> None:
    """A quiet watch that asks for bookmarks gets one in about a minute: a version and nothing else, good to go on from."""
    # Writes of other kinds move the version of the cluster, so a bookmark is worth having.
    params = {"allowWatchBookmarks": "true", "fieldSelector": "metadata.name=nobody"}
    start = writer.api.get(BACKUPS, fieldSelector="metadata.name=nobody")["metadata"]["resourceVersion"]
    with writer.api.watch(BACKUPS, timeout=100, resourceVersion=start, **params) as events:
        bookmark = next(events)

    assert bookmark["type"] == "BOOKMARK"
    assert set(bookmark["object"]) <= {"kind", "apiVersion", "metadata", "spec", "status"}
    version = bookmark["object"]["metadata"]["resourceVersion"]
    assert int(version) >= int(start)
    with writer.api.watch(BACKUPS, timeout=20, resourceVersion=version, timeoutSeconds="1", **params) as events:
        assert [event["type"] for event in events if event["type"] == "ERROR"] == []


def test_restarted_api_server(fragile: Cluster) -> None:
    """A killed API server comes back with its objects; a watch from before has expired; Velero has survived."""
    name = unique("before")
    old = fragile.rest(name)
    story = fragile.story("backups", name)
    fragile.patch("backups", name, {"metadata": {"labels": {"a": "1"}}})
    fragile.hands.kill_apiserver()
    fragile.hands.start_apiserver()
    kept = fragile.eventually("the list", lambda: fragile.get("backups", name))
    with pytest.raises(WatchEndedError) as ended:
        story.until(lambda event: True, within=30)

    assert kept["metadata"]["uid"] == old["metadata"]["uid"]
    assert (ended.value.status["code"], ended.value.status["reason"]) == (410, "Expired")
    assert fragile.back_up(unique("after"), includedNamespaces=["default"])["status"]["phase"] == "Completed"
