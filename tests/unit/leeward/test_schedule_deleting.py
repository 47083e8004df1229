"""Deleting and changing schedules: what is sent, what is waited for, and what is said of each; the gateway is a script."""

import io
import json

import httpx2
import pytest
from rich.console import Console

from leeward import following
from leeward.client import Client
from leeward.errors import CliError, Exit
from leeward.output import Format, Output
from leeward.schedules import deleting, switching, writing
from leeward.session import Session
from tests.unit.leeward.test_deleting import HERE


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(following, "_PAUSES", (0.0,))


class Gateway:
    """Holds schedules s1, s2, …, each with backups; what a schedule looks like at each look after its deletion is a script."""

    def __init__(self, backups=(), **looks):
        self.looks, self.backups = {name: list(script) for name, script in looks.items()}, list(backups)
        self.asked = []
        self.deleted = set()

    def item(self, name, **facts):
        return {"id": name, "name": name, "cluster": "eu1", "status": "Active", "version": 3, "managedBy": "Leeward", **facts}

    async def __call__(self, request):
        path = request.url.path.removeprefix("/api/v1")
        if path == "/events":
            return httpx2.Response(200, headers={"Content-Type": "text/event-stream"}, content=b"")
        if path == "/backups":
            there = [{"id": b, "status": "Completed"} for b in self.backups]
            return httpx2.Response(200, json={"items": there, "nextCursor": None})
        name, _, verb = path.removeprefix("/schedules/").partition("/")
        if request.method != "GET":
            self.asked.append((request.method, path, dict(request.url.params), request.content.decode(), request.headers))
        if name not in self.looks:
            return httpx2.Response(404, json={"type": "/problems/not-found", "title": "x", "status": 404, "detail": "none"})
        if verb:
            return self.answer(name)
        if request.method == "PATCH":
            return httpx2.Response(
                412, json={"type": "/problems/precondition-failed", "title": "x", "status": 412, "detail": "v4"}
            )
        if request.method == "DELETE":
            self.deleted.add(name)
            return self.answer(name, 202)
        return self.answer(name) if name in self.deleted else httpx2.Response(200, json=self.item(name))

    def answer(self, name, status=200):
        script = self.looks[name]
        look = script.pop(0) if len(script) > 1 else script[0]
        if look is None:
            return (
                httpx2.Response(204)
                if status == 202
                else httpx2.Response(404, json={"type": "/problems/not-found", "title": "x", "status": 404, "detail": "none"})
            )
        if "status" in look:
            return httpx2.Response(look["status"], json={"type": f"/problems/{look['slug']}", "title": "x", **look})
        return httpx2.Response(status, json=self.item(name, **look))


async def run(gateway, command, *names, form=Format.TABLE, **given):
    output = Output(form, *(Console(file=io.StringIO(), width=1000) for _ in range(2)))
    error = None
    async with Client(HERE, transport=httpx2.MockTransport(gateway)) as client:
        try:
            await command(Session(client, output), *names, **given)
        except CliError as raised:
            error = raised
    return output.stdout.file.getvalue(), output.stderr.file.getvalue(), error


def going(**facts):
    return {"deleting": {"deleteBackups": True, "by": "anna", "errors": [], **facts}}


async def test_it_is_followed_until_nothing_is_left():
    gateway = Gateway(["b1", "b2"], s1=[going(), going(), None])
    out, err, error = await run(gateway, deleting.delete, ["s1"], delete_backups=True, confirm=True, wait=True)
    assert (out, error) == ("schedule s1 of cluster eu1 is deleted, with 2 backups\n", None)
    assert err.splitlines()[0] == "Deleting, 2 backups left"
    assert [(m, p, q) for m, p, q, *_ in gateway.asked] == [("DELETE", "/schedules/s1", {"deleteBackups": "true"})]


async def test_without_waiting_it_is_said_that_it_goes_on():
    out, _, error = await run(Gateway(["b1"], s1=[going()]), deleting.delete, ["s1"], delete_backups=True, confirm=True)
    assert (out, error) == ("schedule s1 of cluster eu1 is being deleted: 1 backup left\n", None)


async def test_what_its_settings_say_is_left_to_the_gateway():
    gateway = Gateway(s1=[None])
    out, _, error = await run(gateway, deleting.delete, ["s1"], confirm=True, wait=True)
    assert (out, error) == ("schedule s1 of cluster eu1 is deleted\n", None)
    assert gateway.asked[0][2] == {}


async def test_what_keeps_it_from_going_ends_the_wait_and_says_what_can_be_done():
    gateway = Gateway(["b1"], s1=[going(), going(errors=["b1: no access to the bucket"])])
    out, _, error = await run(gateway, deleting.delete, ["s1"], delete_backups=True, confirm=True, wait=True)
    assert (out, error.exit_code) == ("", Exit.FAILED)
    assert error.words.splitlines() == [
        "1 of 1 schedules were not deleted",
        "  schedule s1 of cluster eu1: b1: no access to the bucket",
    ]
    assert "--keep-backups" in error.hints[0]


async def test_the_time_to_wait_is_over_and_the_deletion_goes_on():
    gateway = Gateway(["b1"], s1=[going()])
    out, _, error = await run(gateway, deleting.delete, ["s1"], delete_backups=True, confirm=True, wait=True, timeout="1s")
    assert out == "schedule s1 of cluster eu1 is being deleted: 1 backup left\n"
    assert (error.exit_code, error.words) == (Exit.TIMED_OUT, "not gone after 1s, the deletion goes on")


async def test_who_may_not_delete_backups_is_told_so():
    no = {"status": 403, "slug": "forbidden", "detail": "anna is a operator."}
    _, _, error = await run(Gateway(s1=[no]), deleting.delete, ["s1"], delete_backups=True, confirm=True)
    assert (error.exit_code, error.words) == (Exit.FORBIDDEN, "anna is a operator.")


async def test_nothing_is_deleted_if_one_of_the_names_cannot_be_found():
    gateway = Gateway(s1=[None])
    gateway.looks["schedules"] = [{}]
    _, _, error = await run(gateway, deleting.delete, ["s1", "s9"], confirm=True)
    assert error is not None
    assert gateway.asked == []


async def test_a_change_is_of_the_version_that_was_looked_at():
    gateway = Gateway(s1=[{}])
    _, _, error = await run(gateway, writing.edit, "s1", cron="@daily")
    (method, path, _, body, headers), *_ = gateway.asked
    assert (method, path, json.loads(body)) == ("PATCH", "/schedules/s1", {"cron": "@daily"})
    assert (headers["if-match"], headers["content-type"]) == ('"3"', "application/merge-patch+json")
    assert error.exit_code is Exit.FAILED


async def test_of_several_it_is_said_which_said_no():
    no = {"status": 409, "slug": "schedule-deleting", "detail": "Schedule s2 is being deleted."}
    gateway = Gateway(s1=[{"paused": True, "firstAffected": None}], s2=[no])
    out, _, error = await run(gateway, switching.pause, ["s1", "s2"])
    assert out == "schedule s1 of cluster eu1 is paused\n"
    assert error.words == "1 of 2 schedules said no\n  schedule s2 of cluster eu1: Schedule s2 is being deleted."
