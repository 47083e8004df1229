"""Waiting through everything that can happen to an event stream; the gateway is a script."""

import asyncio
import io
import json
from datetime import timedelta

import httpx2
import pytest
from rich.console import Console

from leeward import describing, following, waiting
from leeward.client import API, Client
from leeward.errors import CliError, Exit
from leeward.output import Format, Output
from leeward.settings import Connection
from tests.support.waiting import PATIENCE, eventually

HERE = Connection("http://gateway:8080", "--url")
AWAY = httpx2.Response(503, json={"type": "/problems/dependency-unavailable", "title": "x", "status": 503, "detail": "away"})
MISSING = httpx2.Response(404, json={"type": "/problems/not-found", "title": "x", "status": 404, "detail": "none"})


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(following, "_PAUSES", (0.0,))


def backup(status="Creating", phase="InProgress", **facts):
    outcome = status if status in {"Completed", "Failed", "PartiallyFailed"} else None
    plain = {
        "id": "b1",
        "name": "shop",
        "cluster": "eu1",
        "status": status,
        "outcome": outcome,
        "phase": phase,
        "previousIds": [],
    }
    return {**plain, **facts}


def operation(state, **facts):
    return {"id": "b1", "cluster": "eu1", "state": state, "refusal": None, **facts}


def event(kind, item, place=None):
    where = f"id: {place}\n" if place else ""
    return f"event: {kind}\n{where}data: {json.dumps(item)}\n\n".encode()


class Gateway:
    """A gateway by script: what each stream brings before it breaks, and what is to be seen at each look."""

    def __init__(self, streams, backups=(), operations=()):
        self.streams, self.backups, self.operations = list(streams), list(backups), list(operations)
        self.asked = []
        self.last_ids = []

    async def __call__(self, request):
        path = request.url.path.removeprefix(API)
        self.asked.append(path)
        if path == "/events":
            self.last_ids.append(request.headers.get("last-event-id"))
            pieces = self.streams.pop(0) if self.streams else [asyncio.Event()]
            return pieces if isinstance(pieces, httpx2.Response) else self._stream(pieces)
        answers = self.backups if path.startswith("/backups") else self.operations
        given = (answers.pop(0) if len(answers) > 1 else answers[0]) if answers else MISSING
        return given if isinstance(given, httpx2.Response) else httpx2.Response(200, json=given)

    @staticmethod
    def _stream(pieces):
        async def content():
            for piece in pieces:
                if isinstance(piece, asyncio.Event):
                    await piece.wait()
                elif isinstance(piece, Exception):
                    raise piece
                else:
                    yield piece

        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=content())


@pytest.fixture
def output():
    plain = {"width": 100_000, "highlight": False}
    return Output(Format.TABLE, Console(file=io.StringIO(), **plain), Console(file=io.StringIO(), **plain))


async def wait(gateway, output, patience=None):
    client = Client(HERE, transport=httpx2.MockTransport(gateway))
    async with client, asyncio.timeout(PATIENCE):
        return await waiting.until_ended(client, output, waiting.Seen("b1"), "eu1", patience)


def said(output):
    return output.stderr.file.getvalue().splitlines()


async def test_it_is_told_as_it_happens_and_each_line_once(output):
    stream = [
        b"id: s-0\n\n",
        event("backup", backup(id="other", status="Failed"), "s-1"),
        event("backup", backup(progress={"itemsBackedUp": 3, "totalItems": 9})),
        event("backup", backup(progress={"itemsBackedUp": 3, "totalItems": 9})),
        event("backup", backup("Completed", "Completed"), "s-2"),
    ]
    gateway = Gateway([stream], [backup(phase="New"), backup("Completed", "Completed")])
    seen = await wait(gateway, output)
    assert seen.exit_code is Exit.OK
    assert said(output) == ["—", "Creating (New)", "Creating 3/9 (InProgress)", "Completed"]


async def test_a_push_that_is_older_than_what_was_looked_up_is_not_shown(output):
    stream = [
        event("backup", backup(phase="Queued", revision=5), "s-1"),
        event("backup", backup(phase="Finalizing", revision=9)),
        event("backup", backup("Completed", "Completed", revision=12), "s-2"),
    ]
    await wait(Gateway([stream], [backup(revision=7), backup("Completed", "Completed", revision=12)]), output)
    assert said(output) == ["—", "Creating (InProgress)", "Creating (Finalizing)", "Completed"]


@pytest.mark.parametrize(
    ("status", "code"),
    [("Completed", Exit.OK), ("PartiallyFailed", Exit.PARTIALLY_FAILED), ("Failed", Exit.FAILED), ("Deleted", Exit.FAILED)],
)
async def test_the_exit_code_says_how_it_ended(output, status, code):
    seen = await wait(Gateway([[]], [backup(status, status)]), output)
    assert describing.ended(output, seen) is code


async def test_a_broken_stream_is_resumed_where_it_broke(output):
    first = [b"id: s-1\n\n", event("backup", backup(phase="New"), "s-2"), httpx2.ReadError("cut")]
    gateway = Gateway([first, [event("backup", backup("Failed", "Failed"), "s-3")]], [backup(phase="New"), AWAY])
    seen = await wait(gateway, output)
    assert seen.exit_code is Exit.FAILED
    assert gateway.last_ids == [None, "s-2"]


async def test_a_stream_that_ends_quietly_is_resumed_as_well(output):
    first = [b"id: s-1\n\n", event("backup", backup(), "s-2")]
    gateway = Gateway([first, [event("backup", backup("Completed", "Completed"), "s-3")]], [backup()])
    assert (await wait(gateway, output)).exit_code is Exit.OK
    assert gateway.last_ids == [None, "s-2"]
    assert gateway.asked.count("/backups/b1") == 2  # at the beginning, and in full at the end: not after the break


async def test_missed_changes_are_looked_up(output):
    first = [b"id: s-1\n\n", event("reset", {"reason": "too late"}, "s-9")]
    assert (await wait(Gateway([first], [backup(), backup("Completed", "Completed")]), output)).exit_code is Exit.OK


@pytest.mark.parametrize("broken", [AWAY, httpx2.Response(502, text="<html>")], ids=["problem", "proxy"])
async def test_without_a_stream_it_is_looked_at_again_and_again(output, broken):
    gateway = Gateway([broken] * 9, [backup(), AWAY, backup(), backup("PartiallyFailed", "PartiallyFailed")])
    seen = await wait(gateway, output)
    assert seen.exit_code is Exit.PARTIALLY_FAILED
    assert gateway.asked.count("/backups/b1") >= 4


async def test_a_cluster_that_is_away_is_named_until_it_has_the_backup(output):
    seen_at = "2026-03-01T12:00:00Z"
    stream = [
        event("backup", backup("Creating", "InProgress"), "s-1"),
        event("backup", backup("Completed", "Completed"), "s-2"),
    ]
    gateway = Gateway([stream], [backup(phase=None)], [operation("Queued", clusterLastSeenAt=seen_at)])
    await wait(gateway, output)
    assert said(output)[1].startswith("Queued: waiting for cluster eu1, last seen 2026-03-01")
    assert said(output)[2:] == ["Creating (InProgress)", "Completed"]


async def test_a_refusal_that_comes_late_is_told_in_the_clusters_words(output):
    refusal = {"code": "NamespaceUnknown", "pointer": "/scope", "detail": "Cluster eu1 has no namespace shop."}
    stream = [event("operation", operation("Rejected", refusal=refusal), "s-1")]
    gateway = Gateway([stream], [MISSING], [operation("Queued")])
    seen = await wait(gateway, output)
    with pytest.raises(CliError, match="has no namespace shop") as error:
        describing.ended(output, seen)
    assert error.value.exit_code is Exit.FAILED
    assert error.value.told().hints == ["`leeward cluster namespaces eu1` shows those that exist"]


async def test_a_request_that_nobody_took_in_time_made_nothing(output):
    seen = await wait(Gateway([[]], [backup("Refused", None)], [operation("Expired", deadline="2026-03-01T12:00:00Z")]), output)
    with pytest.raises(CliError, match="did not take the request in time"):
        describing.ended(output, seen)


async def test_when_time_is_up_it_says_that_the_backup_goes_on(output):
    with pytest.raises(CliError, match="it goes on") as error:
        await wait(Gateway([], [backup()]), output, timedelta(seconds=0.2))
    assert error.value.exit_code is Exit.TIMED_OUT
    assert "leeward backup wait b1" in error.value.hints[0]


async def test_who_has_had_enough_is_told_that_the_backup_goes_on(output):
    task = asyncio.create_task(wait(Gateway([], [backup()]), output))
    await eventually("it waits", lambda: "Creating (InProgress)" in said(output))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "the backup goes on" in said(output)[-2]
    assert "leeward backup wait b1" in said(output)[-1]


async def test_a_token_that_is_no_longer_good_ends_the_waiting(output):
    no = httpx2.Response(401, json={"type": "/problems/unauthenticated", "title": "x", "status": 401, "detail": "no"})
    with pytest.raises(CliError) as error:
        await wait(Gateway([no], [no]), output)
    assert error.value.exit_code is Exit.FORBIDDEN


async def test_what_nobody_knows_is_not_waited_for(output):
    with pytest.raises(CliError) as error:
        await wait(Gateway([[]], [MISSING], [MISSING]), output)
    assert error.value.exit_code is Exit.NOT_FOUND
