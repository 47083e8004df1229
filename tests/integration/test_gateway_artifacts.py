"""Logs, results, lists and tarballs over HTTP: real NATS with permissions, real database; the test is the executor."""

import asyncio
import gzip
import hashlib
import json
import random

import httpx2
import pytest

from services.gateway.settings import ReadSettings
from shared.contracts.artifacts import MAX_CHUNK, Artifact, ArtifactReply, Chunk, Trouble
from tests.support.gateway import (
    API,
    Bucket,
    backup_document,
    backup_item,
    captured,
    cluster_document,
    serving,
    stack,
    tokens_file,
)
from tests.support.timing import PATIENT, takes_nats_away
from tests.support.waiting import eventually

LOG = "".join(f'level=info msg="item {n}"\n' for n in range(2000)).encode()
RESULTS = {"errors": {"namespaces": {"shop": ["resource: /pods name: /web-0 error: no"]}}, "warnings": {}}
TARBALL = random.Random(1).randbytes(3 * MAX_CHUNK + 77)
QUICK = ReadSettings(timeout=PATIENT, pause=0.01)


def bucket(**facts):
    files = {
        ("shop", Artifact.LOG): gzip.compress(LOG),
        ("shop", Artifact.RESULTS): gzip.compress(json.dumps(RESULTS).encode()),
        ("shop", Artifact.RESOURCES): gzip.compress(b'{"v1/Pod":["shop/web-0"]}'),
        ("shop", Artifact.CONTENTS): TARBALL,
    }
    return Bucket(files, **facts)


def row(status="Completed", **facts):
    item = backup_item("b1", name="shop", status=status, phase="Completed", previous_ids=["old"], **facts)
    return backup_document(item, aliases=["old"], uids=["uid-0", "uid-1"])


@pytest.fixture
async def made(nats_server, mongo_server, nats_timeout):
    reads = QUICK.model_copy(update={"timeout": nats_timeout})
    async with stack(nats_server, mongo_server, reads=reads) as running:
        await running.status.writes("backups", row())
        yield running


def read(made, what, **headers):
    return made.client.get(f"{API}/backups/b1/{what}", headers={k.replace("_", "-"): v for k, v in headers.items()})


async def test_the_log_is_text_and_its_end_can_be_had_alone(made):
    async with serving(made, bucket()):
        whole, tail = await read(made, "logs"), await read(made, "logs?tail=2")
    assert (whole.status_code, whole.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert (whole.content, whole.headers["leeward-source"]) == (LOG, "cluster")
    assert tail.text == 'level=info msg="item 1998"\nlevel=info msg="item 1999"\n'
    for odd in ("0", "-1", "x", "1000000"):
        assert (await read(made, f"logs?tail={odd}")).json()["errors"][0]["parameter"] == "tail"


async def test_results_and_the_list_of_what_is_inside_are_json(made):
    async with serving(made, bucket()):
        results, resources = await read(made, "results"), await read(made, "resources")
    assert (results.headers["content-type"], results.json()) == ("application/json", RESULTS)
    assert resources.json() == {"v1/Pod": ["shop/web-0"]}


async def test_the_executor_is_told_which_backup_is_meant_by_every_id_it_had(made):
    asked = bucket()
    async with serving(made, asked):
        await read(made, "results")
    assert asked.asked[0].ids == ["b1", "old"]
    assert (asked.asked[0].name, asked.asked[0].artifact, asked.asked[0].etag) == ("shop", Artifact.RESULTS, None)


async def test_a_cluster_with_an_agent_is_asked_through_the_agent(made):
    await made.status.writes("backups", row(cluster="us1"))
    agent = cluster_document("us1")
    agent["item"]["mode"] = "Agent"
    await made.status.writes("cluster_state", agent)
    async with serving(made, bucket(), "us1", agent=True):
        assert (await read(made, "results")).json() == RESULTS


async def test_the_tarball_comes_as_it_lies_in_the_bucket(made):
    async with serving(made, bucket()):
        response = await read(made, "contents")
    assert (response.status_code, response.headers["content-type"]) == (200, "application/gzip")
    assert response.content == TARBALL
    assert response.headers["content-length"] == str(len(TARBALL))
    assert (response.headers["etag"], response.headers["accept-ranges"]) == ('"first"', "bytes")
    assert response.headers["content-disposition"] == 'attachment; filename="shop.tar.gz"'


@pytest.mark.parametrize(
    ("wanted", "begin", "end"),
    [
        ("bytes=0-9", 0, 10),
        (f"bytes={MAX_CHUNK - 3}-{2 * MAX_CHUNK + 3}", MAX_CHUNK - 3, 2 * MAX_CHUNK + 4),
        ("bytes=1500000-", 1500000, len(TARBALL)),
        ("bytes=-5", len(TARBALL) - 5, len(TARBALL)),
        ("bytes=0-", 0, len(TARBALL)),
    ],
)
async def test_a_part_of_the_tarball_is_that_part(made, wanted, begin, end):
    async with serving(made, bucket()):
        response = await read(made, "contents", range=wanted)
    assert (response.status_code, response.content) == (206, TARBALL[begin:end])
    assert response.headers["content-range"] == f"bytes {begin}-{end - 1}/{len(TARBALL)}"
    assert response.headers["content-length"] == str(end - begin)


async def test_a_range_that_cannot_be_is_told_or_ignored(made):
    async with serving(made, bucket()):
        beyond = await read(made, "contents", range=f"bytes={len(TARBALL)}-")
        several = await read(made, "contents", range="bytes=0-1,5-6")
    assert (beyond.status_code, beyond.json()["type"]) == (416, "/problems/range-not-satisfiable")
    assert beyond.headers["content-range"] == f"bytes */{len(TARBALL)}"
    assert (several.status_code, several.content) == (200, TARBALL)


async def test_a_download_goes_on_only_with_what_it_began_with(made):
    async with serving(made, bucket()):
        same = await read(made, "contents", range="bytes=100-", if_range='"first"')
        other = await read(made, "contents", range="bytes=100-", if_range='"second"')
    assert (same.status_code, same.content) == (206, TARBALL[100:])
    assert (other.status_code, other.content) == (200, TARBALL)


async def test_no_more_is_read_than_the_reader_takes(made):
    big = Bucket({("shop", Artifact.CONTENTS): bytes(96 * 1024 * 1024)})
    async with serving(made, big), made.client.stream("GET", f"{API}/backups/b1/contents") as response:
        pieces = response.aiter_raw(1024)
        await anext(pieces)
        count = 0
        while len(big.asked) > count:  # until what lies between us, sockets' buffers too, is full
            count = len(big.asked)
            await asyncio.sleep(0.5)
        assert count < 60, "more than 30 MiB were read for a reader who has taken a kilobyte"


# ---------------------------------------------------------------------- when it breaks


def breaks_at(offset, reply):
    return lambda wanted: reply if wanted.offset >= offset else None


BREAKS = {
    "changed meanwhile": ArtifactReply(trouble=Trouble.CHANGED, detail="changed"),
    "gone meanwhile": ArtifactReply(trouble=Trouble.BACKUP_GONE, detail="gone"),
    "storage away for good": ArtifactReply(trouble=Trouble.UNREACHABLE, detail="away"),
    "another piece": ArtifactReply(chunk=Chunk(etag='"first"', total=len(TARBALL), offset=0, data=b"x")),
    "of another size": ArtifactReply(chunk=Chunk(etag='"first"', total=9 * len(TARBALL), offset=MAX_CHUNK, data=b"x")),
    "an empty piece": ArtifactReply(chunk=Chunk(etag='"first"', total=len(TARBALL), offset=MAX_CHUNK, data=b"")),
    "another etag": ArtifactReply(chunk=Chunk(etag='"x"', total=len(TARBALL), offset=MAX_CHUNK, data=b"x")),
    "nothing at all": ArtifactReply(),
}


@pytest.mark.parametrize("reply", BREAKS.values(), ids=BREAKS)
async def test_a_download_that_breaks_is_an_error_to_its_reader_and_goes_on_where_it_broke(made, reply):
    broken = bucket(trouble=breaks_at(MAX_CHUNK, reply))
    got = bytearray()

    async def download():
        async with made.client.stream("GET", f"{API}/backups/b1/contents") as response:
            etag.append(response.headers["etag"])
            async for piece in response.aiter_raw():
                got.extend(piece)

    etag = []
    async with serving(made, broken):
        with pytest.raises(httpx2.RemoteProtocolError):
            await download()
        assert got == TARBALL[: len(got)]
        broken.trouble = lambda _: None
        rest = await read(made, "contents", range=f"bytes={len(got)}-", if_range=etag[0])
    assert hashlib.sha256(got + rest.content).digest() == hashlib.sha256(TARBALL).digest()


async def test_a_log_that_breaks_is_an_error_to_its_reader(made):
    packed = gzip.compress(random.Random(1).randbytes(2 * MAX_CHUNK))
    broken = Bucket(
        {("shop", Artifact.LOG): packed}, trouble=breaks_at(MAX_CHUNK, ArtifactReply(trouble=Trouble.CHANGED, detail="x"))
    )
    async with serving(made, broken):
        for what in ("logs", "logs?tail=3"):
            with pytest.raises(httpx2.RemoteProtocolError):
                await read(made, what)
    async with serving(made, Bucket({("shop", Artifact.RESULTS): gzip.compress(b"{}" * 10_000)[:-9]})):
        with pytest.raises(httpx2.RemoteProtocolError):
            await read(made, "results")


async def test_what_is_better_in_a_moment_is_waited_for(made):
    flaky, seen = bucket(), set()

    def now_and_then(wanted):
        first_time = wanted.offset not in seen and wanted.offset > 0
        seen.add(wanted.offset)
        return ArtifactReply(trouble=Trouble.UNREACHABLE, detail="a moment, please") if first_time else None

    flaky.trouble = now_and_then
    async with serving(made, flaky):
        assert (await read(made, "contents")).content == TARBALL


TROUBLES = [
    (Trouble.BACKUP_GONE, 404, "backup-gone"),
    (Trouble.NOT_THERE, 404, "artifact-missing"),
    (Trouble.CHANGED, 409, "artifact-changed"),
    (Trouble.VELERO_SILENT, 504, "cluster-silent"),
    (Trouble.UNREACHABLE, 504, "storage-unreachable"),
    (Trouble.FORBIDDEN, 502, "storage-forbidden"),
]


@pytest.mark.parametrize(("trouble", "status", "slug"), TROUBLES, ids=str)
async def test_every_trouble_is_told_in_the_executors_words(made, trouble, status, slug):
    odd = bucket(trouble=lambda _: ArtifactReply(trouble=trouble, detail="so it is"))
    async with serving(made, odd):
        for what in ("logs", "results", "resources", "contents", "contents?"):
            response = await read(made, what)
            body = response.json()
            assert (response.status_code, body["type"], body["detail"]) == (status, f"/problems/{slug}", "so it is")


async def test_what_is_not_compressed_is_not_shown_as_a_log(made):
    async with serving(made, Bucket({("shop", Artifact.LOG): b"plain"})):
        response = await read(made, "logs")
    assert (response.status_code, response.json()["type"]) == (500, "/problems/unreadable-document")


async def test_a_cluster_that_nobody_serves_does_not_answer(made):
    response = await read(made, "contents")
    assert (response.status_code, response.json()["type"]) == (504, "/problems/cluster-silent")
    assert "executor of eu1" in response.json()["detail"]


@takes_nats_away
async def test_without_nats_it_is_nats_that_is_away(made):
    made.nats.kill()

    async def away():
        response = await read(made, "contents")
        return (response.status_code, response.json().get("dependency")) == (503, "nats")

    await eventually("nats is missed", away)


async def test_there_is_nothing_of_a_backup_that_there_is_not(made):
    assert (await made.client.get(f"{API}/backups/nobody/logs")).status_code == 404
    asked = bucket()
    async with serving(made, asked):
        await made.status.writes("backups", row("Creating", present=False))
        early = await read(made, "contents")
        await made.status.writes("backups", row("Deleted", present=False))
        late = await read(made, "contents")
    assert (early.status_code, early.json()["type"]) == (404, "/problems/artifact-missing")
    assert (late.status_code, late.json()["type"]) == (404, "/problems/backup-gone")
    assert asked.asked == []


# ---------------------------------------------------------------------- what outlives the backup


async def keep(made, artifact, data, **facts):
    await made.status.writes("captures", *captured(artifact, gzip.compress(data), **facts))


AWAY = {
    "the backup has gone": (row("Deleted", present=False), None),
    "the storage has lost it": (row(), Trouble.NOT_THERE),
    "Velero is silent": (row(), Trouble.VELERO_SILENT),
    "the storage is away": (row(), Trouble.UNREACHABLE),
}


@pytest.mark.parametrize(("document", "trouble"), AWAY.values(), ids=AWAY)
async def test_logs_and_results_stay_when_their_cluster_cannot_give_them(made, document, trouble):
    await made.status.writes("backups", document)
    await keep(made, Artifact.LOG, LOG)
    await keep(made, Artifact.RESULTS, json.dumps(RESULTS).encode())
    odd = bucket(trouble=lambda _: ArtifactReply(trouble=trouble, detail="no") if trouble else None)
    async with serving(made, odd):
        log, results, tail = await read(made, "logs"), await read(made, "results"), await read(made, "logs?tail=1")
    assert (log.content, log.headers["leeward-source"]) == (LOG, "copy")
    assert results.json() == RESULTS
    assert tail.text == 'level=info msg="item 1999"\n'


@takes_nats_away
async def test_logs_stay_when_nobody_serves_the_cluster_or_nats_is_away(made):
    await keep(made, Artifact.LOG, LOG)
    assert (await read(made, "logs")).content == LOG
    made.nats.kill()
    assert (await read(made, "logs")).content == LOG


async def test_a_copy_of_the_beginning_says_that_it_is_one(made):
    await keep(made, Artifact.LOG, LOG, cut=True)
    text = (await read(made, "logs")).text
    assert text.encode().startswith(LOG)
    assert "only its beginning was kept" in text[len(LOG) :]


async def test_a_copy_with_a_part_missing_is_no_copy(made):
    await keep(made, Artifact.LOG, LOG)
    await made.database["captures"].delete_one({"_id": "eu1/uid-1/log/1"})
    response = await read(made, "logs")
    assert (response.status_code, response.json()["type"]) == (504, "/problems/cluster-silent")


async def test_a_copy_is_of_this_backup_and_of_no_other(made):
    await keep(made, Artifact.LOG, LOG, uid="uid-10")
    await keep(made, Artifact.RESULTS, LOG)
    assert (await read(made, "logs")).status_code == 504


async def test_the_cluster_comes_first_while_it_answers(made):
    await keep(made, Artifact.LOG, b"old\n")
    async with serving(made, bucket()):
        assert (await read(made, "logs")).content == LOG


async def test_what_holds_secrets_is_not_for_viewers(nats_server, mongo_server, tmp_path):
    tokens = tokens_file(tmp_path / "tokens.json", vera="viewer", otto="operator")
    async with stack(nats_server, mongo_server, tokens_file=tmp_path / "tokens.json", reads=QUICK) as made:
        await made.status.writes("backups", row())
        async with serving(made, bucket()):
            assert (await read(made, "logs", authorization=tokens["vera"])).status_code == 200
            assert (await read(made, "contents", authorization=tokens["vera"])).status_code == 403
            assert (await read(made, "contents", authorization=tokens["otto"])).content == TARBALL
