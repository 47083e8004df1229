"""The object storage of the simulator: what is kept, what a signed URL gives to whom, and what can go wrong."""

import io
import tarfile
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from simulator.bulk import MEBIBYTE, Archive
from simulator.cloud import Cloud, StorageError
from tests.support.servers import PLAIN
from tests.support.waiting import PATIENCE

KEY = "backups/b1/b1-logs.gz"


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now


def storage(directory: Path | None = None, now: Clock | None = None) -> Cloud:
    """A cloud with one bucket."""
    cloud = Cloud(directory, now=now or Clock())
    cloud.make_bucket("eu1")
    return cloud


@pytest.fixture(params=["memory", "files"])
def cloud(request: pytest.FixtureRequest, tmp_path: Path) -> Cloud:
    """Both ways of keeping objects."""
    return storage(tmp_path / "cloud" if request.param == "files" else None)


def test_objects_are_kept_listed_in_order_and_removed_by_prefix(cloud: Cloud) -> None:
    for key in ("backups/b2/x", "backups/b1/y", "backups/b1/deep/z", "restores/r"):
        cloud.put("eu1", key, key.encode())
    assert cloud.get("eu1", "backups/b1/y") == b"backups/b1/y"
    assert cloud.keys("eu1", "backups/b1/") == ["backups/b1/deep/z", "backups/b1/y"]
    assert cloud.keys("eu1", "backups/b") == ["backups/b1/deep/z", "backups/b1/y", "backups/b2/x"]
    cloud.delete_prefix("eu1", "backups/b1/")
    assert cloud.keys("eu1") == ["backups/b2/x", "restores/r"]


def test_what_is_missing_is_named_by_its_code(cloud: Cloud) -> None:
    with pytest.raises(StorageError, match=r"^NoSuchKey: "):
        cloud.get("eu1", "nothing")
    with pytest.raises(StorageError, match=r"^NoSuchBucket: "):
        cloud.put("us1", "x", b"")
    assert cloud.keys("eu1", "nothing") == cloud.keys("eu1", "nothing/at/all/") == []


@pytest.mark.parametrize("key", ["../us1/x", "a/../../b", "/etc/passwd", "a//b"])
def test_a_key_cannot_leave_its_bucket_folder(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        storage(tmp_path / "cloud").put("eu1", key, b"")


async def test_a_signed_url_serves_the_object_as_it_is(cloud: Cloud) -> None:
    cloud.put("eu1", KEY, b"\x1f\x8b-gzip")
    async with cloud, httpx2.AsyncClient(timeout=PATIENCE, **PLAIN) as client:
        answer = await client.get(cloud.sign("eu1", KEY, 600))
        missing = await client.get(cloud.sign("eu1", "backups/b1/none", 600))
    assert (answer.status_code, answer.content) == (200, b"\x1f\x8b-gzip")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert "content-encoding" not in answer.headers
    assert missing.status_code == 404
    assert "NoSuchKey" in missing.text


@pytest.mark.parametrize(
    ("asked", "status", "content"),
    [
        ("bytes=2-4", 206, b"234"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-2", 206, b"89"),
        ("bytes=5-99", 206, b"56789"),
        ("bytes=10-", 416, None),
        ("lines=1-2", 200, b"0123456789"),
    ],
)
async def test_a_range_is_served(asked: str, status: int, content: bytes | None) -> None:
    cloud = storage()
    cloud.put("eu1", KEY, b"0123456789")
    async with cloud, httpx2.AsyncClient(timeout=PATIENCE, **PLAIN) as client:
        answer = await client.get(cloud.sign("eu1", KEY, 600), headers={"range": asked})
    assert answer.status_code == status
    assert content is None or answer.content == content


async def test_a_url_ends_with_its_time_and_fits_only_its_object() -> None:
    clock = Clock()
    cloud = storage(now=clock)
    cloud.put("eu1", KEY, b"log")
    cloud.put("eu1", "secret", b"other")
    async with cloud, httpx2.AsyncClient(timeout=PATIENCE, **PLAIN) as client:
        url = cloud.sign("eu1", KEY, 600)
        clock.now += timedelta(seconds=600)
        assert (await client.get(url)).status_code == 200
        clock.now += timedelta(seconds=1)
        assert (await client.get(url)).status_code == 403
        assert (await client.get(url.replace("X-Amz-Expires=600", "X-Amz-Expires=6000"))).status_code == 403
        assert (await client.get(cloud.sign("eu1", KEY, 600).replace(KEY, "secret"))).status_code == 403
        assert (await client.get(f"{cloud.url}/eu1/secret")).status_code == 403
        assert (await client.put(cloud.sign("eu1", KEY, 600), content=b"forged")).status_code == 403
    assert cloud.get("eu1", KEY) == b"log"


async def test_files_outlive_the_process_and_so_do_urls(tmp_path: Path) -> None:
    first = storage(tmp_path / "cloud")
    first.put("eu1", KEY, b"log")
    async with first:
        url = urlsplit(first.sign("eu1", KEY, 600))
    second = Cloud(tmp_path / "cloud", port=url.port or 0, now=Clock())
    async with second, httpx2.AsyncClient(timeout=PATIENCE, **PLAIN) as client:
        assert (await client.get(url.geturl())).content == b"log"
    assert (tmp_path / "cloud" / "signing.key").stat().st_mode & 0o777 == 0o600


async def test_storage_that_is_down_answers_nobody_until_it_returns() -> None:
    cloud = storage()
    cloud.put("eu1", KEY, b"log")
    async with cloud, httpx2.AsyncClient(timeout=PATIENCE, **PLAIN) as client:
        cloud.faults.down = True
        with pytest.raises(StorageError, match=r"^operation error S3: ListObjectsV2.*connection refused"):
            cloud.keys("eu1")
        assert (await client.get(cloud.sign("eu1", KEY, 600))).status_code == 503
        cloud.faults.clear()
        assert (await client.get(cloud.sign("eu1", KEY, 600))).status_code == 200


def test_ordered_failures_hit_the_writes_they_name_and_then_end() -> None:
    cloud = storage()
    cloud.faults.fail_puts(1, "*-logs.gz")
    cloud.put("eu1", "backups/b1/velero-backup.json", b"{}")
    with pytest.raises(StorageError, match=r"^InternalError"):
        cloud.put("eu1", KEY, b"log")
    cloud.put("eu1", KEY, b"log")


def test_a_bucket_whose_keys_are_withdrawn_refuses_alone() -> None:
    cloud = storage()
    cloud.make_bucket("us1")
    cloud.faults.denied.add("eu1")
    with pytest.raises(StorageError, match=r"^AccessDenied"):
        cloud.get("eu1", KEY)
    assert cloud.keys("us1") == []


async def test_an_object_is_served_only_while_it_is_the_one_that_was_meant(cloud: Cloud) -> None:
    cloud.put("eu1", KEY, b"0123456789")
    async with cloud, httpx2.AsyncClient(timeout=PATIENCE, **PLAIN) as client:
        url = cloud.sign("eu1", KEY, 600)
        etag = (await client.get(url)).headers["etag"]
        same = await client.get(url, headers={"if-match": etag, "range": "bytes=4-5"})
        assert (same.status_code, same.content, same.headers["etag"]) == (206, b"45", etag)
        assert same.headers["content-range"] == "bytes 4-5/10"
        cloud.put("eu1", KEY, b"9876543210")
        other = await client.get(url, headers={"if-match": etag, "range": "bytes=4-5"})
    assert (other.status_code, "PreconditionFailed" in other.text) == (412, True)


def test_a_large_archive_is_whole_whatever_parts_it_is_read_in() -> None:
    large = Archive(3)
    whole = large.part(0, large.size)
    assert len(whole) == large.size > 3 * MEBIBYTE
    edges = [0, 1, 100, MEBIBYTE, MEBIBYTE + 7, 2 * MEBIBYTE + 700_000, large.size - 1, large.size]
    assert b"".join(large.part(first, end) for first, end in pairwise(edges)) == whole
    with tarfile.open(fileobj=io.BytesIO(whole), mode="r:gz") as archive:
        assert [member.size for member in archive.getmembers()] == [3 * MEBIBYTE]


def test_something_large_takes_the_place_of_an_object_until_that_is_put_again(cloud: Cloud) -> None:
    with pytest.raises(StorageError, match="NoSuchKey"):
        cloud.replace("eu1", KEY, Archive(1))
    cloud.put("eu1", KEY, b"small")
    cloud.replace("eu1", KEY, Archive(1))
    assert cloud.find("eu1", KEY).size > MEBIBYTE
    cloud.put("eu1", KEY, b"again")
    assert cloud.get("eu1", KEY) == b"again"
