"""A download breaks, goes on and ends whole: over a transport that plays the gateway's storage."""

import asyncio
import io
import json
import os

import httpx2
import pytest
from rich.console import Console

from leeward import downloading
from leeward.client import Client
from leeward.errors import CliError, Exit
from leeward.output import Format, Output
from leeward.settings import Connection
from tests.support.waiting import eventually

CONTENT = os.urandom(300_000)
ADDRESS = "/backups/b1/contents"
HERE = Connection("http://gateway:8080", "--url")


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(downloading, "_PAUSES", (0.0, 0.0))


class Storage:
    """An artifact that can be read by ranges. `breaks`: after how many bytes each answer ends; then none does."""

    def __init__(self, content=CONTENT, breaks=(), etag='"one"'):
        self.content, self.breaks, self.etag = content, list(breaks), etag
        self.asked = []
        self.hangs = False

    async def __call__(self, request):
        self.asked.append((request.headers.get("range"), request.headers.get("if-range")))
        begin, status, place = 0, 200, {}
        if request.headers.get("range") and request.headers["if-range"] == self.etag:
            begin, status = int(request.headers["range"].removeprefix("bytes=").removesuffix("-")), 206
            place = {"Content-Range": f"bytes {begin}-{len(self.content) - 1}/{len(self.content)}"}
        cut = self.breaks.pop(0) if self.breaks else None
        headers = {"ETag": self.etag, "Content-Type": "application/gzip", **place}
        headers["Content-Length"] = str(len(self.content) - begin)
        return httpx2.Response(status, headers=headers, content=self._body(begin, cut))

    async def _body(self, begin, cut):
        for at in range(begin, len(self.content), 10_000):
            if cut is not None and at - begin >= cut:
                if self.hangs:
                    await asyncio.Event().wait()
                raise httpx2.ReadError("cut")
            yield self.content[at : at + 10_000]


def output():
    return Output(Format.TABLE, *(Console(file=io.StringIO(), width=1000) for _ in range(2)))


async def fetch(storage, target, said=None):
    async with Client(HERE, transport=httpx2.MockTransport(storage)) as client:
        return await downloading.download(client, said or output(), ADDRESS, target)


async def test_what_is_whole_stands_there_and_nothing_else(tmp_path):
    assert await fetch(Storage(), tmp_path / "shop.tar.gz") == len(CONTENT)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"shop.tar.gz": CONTENT}


@pytest.mark.parametrize("breaks", [[100_000], [0, 0, 50_000, 0, 0, 10_000, 20_000], [290_000]])
async def test_a_download_that_breaks_goes_on_where_it_ended(tmp_path, breaks):
    storage = Storage(breaks=breaks)
    await fetch(storage, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == CONTENT
    got = 0
    for (range_, if_range), cut in zip(storage.asked[1:], breaks, strict=True):
        got += cut
        assert (range_, if_range) == ((f"bytes={got}-", '"one"') if got else (None, None))


async def test_it_is_given_up_after_attempts_that_bring_nothing_and_the_same_command_goes_on(tmp_path):
    said = output()
    with pytest.raises(CliError) as error:
        await fetch(Storage(breaks=[100_000, 0, 0, 0]), tmp_path / "f", said)
    assert error.value.exit_code is Exit.UNREACHABLE
    assert error.value.hints[-1] == f"97.7 KiB of 293.0 KiB are in {tmp_path / 'f.part'}: the same command goes on from there"
    assert "trying again" in said.stderr.file.getvalue()
    assert not (tmp_path / "f").exists()
    again = Storage()
    await fetch(again, tmp_path / "f")
    assert again.asked == [("bytes=100000-", '"one"')]
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"f": CONTENT}


async def test_whoever_interrupts_it_is_told_how_to_go_on(tmp_path):
    storage, said = Storage(breaks=[100_000]), output()
    storage.hangs = True
    task = asyncio.create_task(fetch(storage, tmp_path / "f", said))
    await eventually("begun", lambda: (tmp_path / "f.part").exists() and (tmp_path / "f.part").stat().st_size == 100_000)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "the same command goes on from there" in said.stderr.file.getvalue()
    await fetch(Storage(), tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == CONTENT


async def test_what_was_replaced_meanwhile_is_read_from_its_beginning(tmp_path):
    with pytest.raises(CliError):
        await fetch(Storage(breaks=[100_000, 0, 0, 0]), tmp_path / "f")
    other = Storage(CONTENT[::-1], etag='"two"')
    await fetch(other, tmp_path / "f")
    assert other.asked == [("bytes=100000-", '"one"')]
    assert (tmp_path / "f").read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("note", ["", "{}", '{"address": "/backups/other/contents", "etag": "\\"one\\"", "total": 300000}'])
async def test_a_part_of_something_unknown_is_worth_nothing(tmp_path, note):
    (tmp_path / "f.part").write_bytes(b"x" * 1000)
    (tmp_path / "f.part.etag").write_text(note)
    await fetch(Storage(), tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (206, {"Content-Range": "bytes 5-299999/300000"}),
        (206, {"Content-Range": "bytes 100000-299999/300001"}),
        (206, {"Content-Range": "bytes 100000-299999/300000", "ETag": '"two"'}),
        (206, {}),
        (416, {"Content-Range": "bytes */300000"}),
    ],
)
async def test_what_does_not_fit_is_never_put_together(tmp_path, status, headers):
    with pytest.raises(CliError):
        await fetch(Storage(breaks=[100_000, 0, 0, 0]), tmp_path / "f")
    storage = Storage()
    odd = {"ETag": '"one"', "Content-Type": "application/gzip", **headers}

    async def answer(request):
        return httpx2.Response(status, headers=odd, content=b"x") if "range" in request.headers else await storage(request)

    await fetch(answer, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "answer",
    [
        httpx2.Response(200, headers={"Content-Type": "application/gzip"}, content=b"x"),
        httpx2.Response(200, headers={"Content-Type": "text/html", "ETag": '"x"'}, content=b"<html>"),
    ],
)
async def test_what_is_no_artifact_is_not_saved(tmp_path, answer):
    with pytest.raises(CliError, match="does not answer as Leeward would"):
        await fetch(lambda _: answer, tmp_path / "f")
    assert list(tmp_path.iterdir()) == []


async def test_a_no_is_told_at_once_and_leaves_nothing(tmp_path):
    asked = []

    def no(request):
        asked.append(request)
        document = {"type": "/problems/backup-gone", "title": "x", "status": 404, "detail": "Backup shop has gone."}
        return httpx2.Response(404, json=document)

    with pytest.raises(CliError, match="Backup shop has gone") as error:
        await fetch(no, tmp_path / "f")
    assert (error.value.exit_code, len(asked), list(tmp_path.iterdir())) == (Exit.NOT_FOUND, 1, [])


async def test_two_downloads_do_not_write_one_file(tmp_path):
    storage = Storage(breaks=[100_000])
    storage.hangs = True
    first = asyncio.create_task(fetch(storage, tmp_path / "f"))
    await eventually("begun", lambda: (tmp_path / "f.part").exists() and (tmp_path / "f.part").stat().st_size == 100_000)
    with pytest.raises(CliError, match="another download"):
        await fetch(Storage(), tmp_path / "f")
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert json.loads((tmp_path / "f.part.etag").read_text())["total"] == len(CONTENT)


async def test_a_place_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(CliError, match="cannot be written: No such file") as error:
        await fetch(Storage(), tmp_path / "none" / "f")
    assert error.value.exit_code is Exit.USAGE


def test_the_usual_name_of_the_file_is_veleros_and_every_file_system_takes_it(tmp_path):
    assert str(downloading.place("shop", None)) == "shop-data.tar.gz"
    assert downloading.place("shop", tmp_path) == tmp_path / "shop-data.tar.gz"
    assert downloading.place("shop", tmp_path / "x") == tmp_path / "x"
    assert "/" not in str(downloading.place("../x", None))
    longest = tmp_path / f"{downloading.place('n' * 253, None)}.part.etag"
    longest.write_text("")


async def test_nobody_else_may_read_what_was_downloaded(tmp_path):
    storage = Storage(breaks=[100_000, 0, 0, 0])
    with pytest.raises(CliError):
        await fetch(storage, tmp_path / "f")
    assert (tmp_path / "f.part").stat().st_mode & 0o077 == 0
    await fetch(Storage(), tmp_path / "f")
    assert (tmp_path / "f").stat().st_mode & 0o077 == 0
