"""What can be fetched of a Backup and a Restore, by signed URLs."""

import gzip
import io
import json
import tarfile
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest

from tests.conformance.manifests import unique
from tests.conformance.stage import Cluster, refusal

CLEAN = {"errors": {}, "warnings": {}}

OF_A_BACKUP: dict[str, Any] = {
    "BackupResults": CLEAN,
    "BackupVolumeInfos": [],
    "BackupItemOperations": [],
    "BackupVolumeSnapshots": None,
}
OF_A_RESTORE: dict[str, Any] = {"RestoreResults": CLEAN, "RestoreItemOperations": [], "RestoreVolumeInfo": []}
ABSENT = ("CSIBackupVolumeSnapshots", "CSIBackupVolumeSnapshotContents")


def test_json_of_a_backup(writer: Cluster) -> None:
    """Results, volumes and operations of a Backup without volumes are JSON under gzip: empty, and in one case null."""
    name = unique("downloads")
    writer.back_up(name, includedNamespaces=[writer.furnish("downloads")])

    assert {kind: writer.download_json(kind, name) for kind in OF_A_BACKUP} == OF_A_BACKUP


def test_encoding(writer: Cluster) -> None:
    """A download is gzip without saying so: no Content-Encoding, application/octet-stream."""
    name = unique("encoding")
    writer.back_up(name, includedNamespaces=[writer.furnish("encoding")])
    answer = writer.download("BackupResults", name)

    assert answer.status_code == 200
    assert "content-encoding" not in answer.headers
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.content[:2] == b"\x1f\x8b"


def test_resource_list(writer: Cluster) -> None:
    """The resource list names what is stored by kind: cluster-scoped objects by name, others as namespace/name."""
    namespace, name = writer.furnish("resource-list"), unique("resource-list")
    writer.back_up(name, includedNamespaces=[namespace])
    found = writer.download_json("BackupResourceList", name)

    assert found["v1/Namespace"] == [namespace]
    assert found["v1/Secret"] == [f"{namespace}/tool"]
    assert {f"{namespace}/paint", f"{namespace}/shape"} <= set(found["v1/ConfigMap"])


def test_contents(writer: Cluster) -> None:
    """The contents are a tar of JSON files, each object twice: by its kind, and by its preferred version."""
    namespace, name = writer.furnish("contents"), unique("contents")
    writer.back_up(name, includedNamespaces=[namespace])
    with tarfile.open(fileobj=io.BytesIO(writer.download("BackupContents", name).content)) as archive:
        names = set(archive.getnames())
        file = archive.extractfile(f"resources/configmaps/namespaces/{namespace}/paint.json")
        stored = json.loads(file.read()) if file else {}

    assert "metadata/version" in names
    assert f"resources/namespaces/cluster/{namespace}.json" in names
    assert f"resources/configmaps/v1-preferredversion/namespaces/{namespace}/paint.json" in names
    assert (stored["kind"], stored["data"]) == ("ConfigMap", {"colour": "green"})


def test_log(writer: Cluster) -> None:
    """The log of a Backup is text, one line an entry, that names the Backup."""
    name = unique("logged")
    writer.back_up(name, includedNamespaces=[writer.furnish("logged")])
    lines = gzip.decompress(writer.download("BackupLog", name).content).decode().splitlines()

    assert len(lines) > 1
    assert any(f"velero/{name}" in line for line in lines)


@pytest.mark.parametrize("kind", ABSENT)
def test_absent_file(writer: Cluster, kind: str) -> None:
    """A URL is signed also for a file that does not exist; fetching it is 404 NoSuchKey."""
    name = unique("absent")
    writer.back_up(name, includedNamespaces=[writer.furnish("absent")])
    answer = writer.download(kind, name)

    assert answer.status_code == 404
    assert "<Code>NoSuchKey</Code>" in answer.text


def test_pieces(writer: Cluster) -> None:
    """A file can be read in pieces, each only while the file is the same; past its end there is none."""
    name = unique("pieces")
    writer.back_up(name, includedNamespaces=[writer.furnish("pieces")])
    url = writer.signed_url("BackupContents", name)["status"]["downloadURL"]

    def read(**headers: str) -> httpx2.Response:
        fields = {key.replace("_", "-"): value for key, value in headers.items()}
        return httpx2.get(url, headers=fields, trust_env=False, timeout=30, verify=False)

    whole = read()
    etag, size = whole.headers["etag"], len(whole.content)
    first, rest = read(range="bytes=0-99"), read(range="bytes=100-", if_match=etag)
    assert (first.status_code, first.headers["content-range"], first.headers["etag"]) == (206, f"bytes 0-99/{size}", etag)
    assert first.content + rest.content == whole.content
    assert read(range="bytes=0-99", if_match='"another"').status_code == 412
    assert read(range=f"bytes={size}-{size + 9}").status_code == 416


def test_downloads_of_a_restore(writer: Cluster) -> None:
    """Of a Restore there are results, operations, volumes, a log, and a list of what became of each object."""
    namespace, backup, name = writer.furnish("restored"), unique("restored"), unique("restored")
    writer.back_up(backup, includedNamespaces=[namespace], labelSelector={"matchLabels": {"app": "paint"}})
    writer.api.delete(f"/api/v1/namespaces/{namespace}/configmaps/paint")
    writer.restore(name, backupName=backup)

    assert {kind: writer.download_json(kind, name) for kind in OF_A_RESTORE} == OF_A_RESTORE
    found = writer.download_json("RestoreResourceList", name)
    assert found["v1/ConfigMap"] == [f"{namespace}/paint(created)"]
    assert found["v1/Secret"] == [f"{namespace}/tool(skipped)"]
    log = gzip.decompress(writer.download("RestoreLog", name).content).decode()
    assert f"velero/{name}" in log


def test_signed_url(writer: Cluster) -> None:
    """A URL is good for ten minutes, as the request says, and is worth nothing without its query."""
    name = unique("signed")
    writer.back_up(name, includedNamespaces=[writer.furnish("signed")])
    request = writer.signed_url("BackupLog", name)
    created, expires = (datetime.fromisoformat(moment) for moment in
                        (request["metadata"]["creationTimestamp"], request["status"]["expiration"]))  # fmt: skip

    assert timedelta(minutes=9, seconds=55) <= expires - created <= timedelta(minutes=10, seconds=30)
    bare = request["status"]["downloadURL"].partition("?")[0]
    assert httpx2.get(bare, trust_env=False, timeout=30).status_code == 403


def test_unknown_backup(writer: Cluster) -> None:
    """A download of a Backup that does not exist is never answered: it gets an expiration and no phase."""
    name = unique("download")
    story = writer.story("downloadrequests", name)
    writer.create("DownloadRequest", name, spec={"target": {"kind": "BackupLog", "name": "nobody"}})
    story.never(lambda event: event["object"].get("status", {}).get("phase"), within=4)

    assert set(writer.get("downloadrequests", name).get("status", {})) == {"expiration"}


def test_unknown_kind(writer: Cluster) -> None:
    """A download of a kind that does not exist is refused at once with 422."""
    error = refusal(lambda: writer.create("DownloadRequest", unique("kind"), spec={"target": {"kind": "Backup", "name": "a"}}))
    assert (error.status, error.body["details"]["causes"][0]["field"]) == (422, "spec.target.kind")
