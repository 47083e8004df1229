"""Deleting: who is asked, what is sent, what is waited for, and what is said of each; the gateway is a script."""

import io
import json
from datetime import timedelta

import httpx2
import pytest
from rich.console import Console

from leeward import fates, following
from leeward.backups import deleting
from leeward.client import Client
from leeward.errors import CliError, Exit
from leeward.output import Format, Output
from leeward.session import Session
from leeward.settings import Connection

HERE = Connection("http://gateway:8080", "--url")
NO = {"type": "/problems/refused", "title": "x", "status": 409, "code": "BackupNotEnded", "detail": "Backup b2 is InProgress."}


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(following, "_PAUSES", (0.0,))


class Gateway:
    """Holds backups b1, b2, …; deletes them as `answers` says: states that an operation goes through, or a problem."""

    def __init__(self, **answers):
        self.answers = {name: list(answer) if isinstance(answer, tuple) else answer for name, answer in answers.items()}
        self.posted, self.labels = [], {}

    def backup(self, name):
        return {"id": name, "name": name, "cluster": "eu1", "status": "Completed", "labels": self.labels.get(name, {})}

    def operation(self, name, state, **facts):
        return {"id": f"op-{name}", "cluster": "eu1", "state": state, "revision": None, **facts}

    async def __call__(self, request):
        path = request.url.path.removeprefix("/api/v1")
        if path == "/backups/delete":
            body = json.loads(request.content)
            self.posted.append(body)
            items = []
            for name in body["ids"]:
                answer = self.answers[name]
                said = {"problem": answer} if isinstance(answer, dict) else {"operation": self.operation(name, answer.pop(0))}
                items.append({"id": name, **said})
            return httpx2.Response(202, json={"items": items})
        if path == "/backups":
            return httpx2.Response(200, json={"items": [self.backup(name) for name in self.answers], "nextCursor": None})
        if path.startswith("/operations/op-"):
            name = path.removeprefix("/operations/op-")
            states = self.answers[name]
            state = states.pop(0) if len(states) > 1 else states[0]
            return httpx2.Response(200, json=state if isinstance(state, dict) else self.operation(name, state))
        if path == "/events":
            return httpx2.Response(200, headers={"Content-Type": "text/event-stream"}, content=b"")
        name = path.removeprefix("/backups/")
        if name in self.answers:
            return httpx2.Response(200, json=self.backup(name))
        return httpx2.Response(404, json={"type": "/problems/not-found", "title": "x", "status": 404, "detail": "none"})


async def delete(gateway, *names, form=Format.TABLE, confirm=True, **given):
    output = Output(form, *(Console(file=io.StringIO(), width=1000) for _ in range(2)))
    error = None
    async with Client(HERE, transport=httpx2.MockTransport(gateway)) as client:
        try:
            await deleting.delete(Session(client, output), list(names), confirm=confirm, **given)
        except CliError as raised:
            error = raised
    return output.stdout.file.getvalue(), error


async def test_one_is_deleted_and_waited_for():
    gateway = Gateway(b1=("Queued", "Accepted", "Succeeded"))
    out, error = await delete(gateway, "b1", wait=True)
    assert (out, error) == ("backup b1 of cluster eu1 is deleted\n", None)
    assert gateway.posted == [{"ids": ["b1"]}]


async def test_without_waiting_the_clusters_word_is_enough():
    out, error = await delete(Gateway(b1=("Queued", "Queued", "Accepted", "Succeeded")), "b1")
    assert (out, error) == ("backup b1 of cluster eu1 is being deleted\n", None)


async def test_a_cluster_that_is_away_does_it_later(monkeypatch):
    monkeypatch.setattr(fates, "_SETTLE", timedelta(seconds=0.2))
    out, error = await delete(Gateway(b1=("Queued", "Queued")), "b1")
    assert "cluster eu1 has not answered yet" in out
    assert error is None


async def test_what_is_refused_is_told_with_what_to_do():
    out, error = await delete(Gateway(b2=NO), "b2", wait=True)
    assert (out, error.words, error.exit_code) == ("", "Backup b2 is InProgress.", Exit.FAILED)
    assert error.hints == ["`leeward backup wait b2` waits for its end"]


async def test_of_several_each_is_told():
    refused = {
        "id": "op-b3",
        "state": "Rejected",
        "refusal": {"code": "LocationReadOnly", "pointer": "", "detail": "Read-only."},
    }
    gateway = Gateway(b1=("Queued", "Succeeded"), b2=NO, b3=("Queued", refused))
    out, error = await delete(gateway, "b1", "b2", "b3", "b1", wait=True)
    assert out == "backup b1 of cluster eu1 is deleted\n"
    assert error.words.splitlines() == [
        "2 of 3 backups were not deleted",
        "  b2 (eu1): Backup b2 is InProgress.",
        "  b3 (eu1): Read-only.",
    ]
    assert error.exit_code is Exit.FAILED
    assert gateway.posted == [{"ids": ["b1", "b2", "b3"]}]


async def test_what_velero_could_not_delete_is_told_in_its_words():
    refusal = {"code": "DeletionFailed", "pointer": "", "detail": "Velero did not delete backup b1: access denied"}
    failed = {"id": "op-b1", "state": "Failed", "refusal": refusal}
    _, error = await delete(Gateway(b1=("Queued", failed)), "b1", wait=True)
    assert (error.words, error.exit_code) == (refusal["detail"], Exit.FAILED)
    assert error.hints == ["`leeward backup describe b1 --cluster eu1` shows all that Velero said"]


async def test_a_name_that_is_nobodys_deletes_nothing():
    gateway = Gateway(b1=("Queued",))
    _, error = await delete(gateway, "b1", "nope")
    assert (error.exit_code, gateway.posted) == (Exit.NOT_FOUND, [])


async def test_without_a_terminal_nothing_is_deleted_unconfirmed(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    gateway = Gateway(b1=("Queued",))
    _, error = await delete(gateway, "b1", confirm=False)
    assert (error.exit_code, gateway.posted, "--confirm" in error.hints[0]) == (Exit.USAGE, [], True)


@pytest.mark.parametrize(("typed", "sent"), [("y\n", 1), ("n\n", 0), ("\n", 0), ("", 0)])
async def test_on_a_terminal_the_person_is_asked(monkeypatch, typed, sent):
    terminal = io.StringIO(typed)
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stdin", terminal)
    gateway = Gateway(b1=("Succeeded",))
    _, error = await delete(gateway, "b1", confirm=False)
    assert len(gateway.posted) == sent
    assert error is None if sent else "nothing was deleted" in error.words


async def test_labels_choose_what_is_deleted():
    gateway = Gateway(b1=("Succeeded",) * 2, b2=("Succeeded",), b3=("Succeeded",))
    gateway.labels = {"b1": {"team": "shop", "tier": "x"}, "b2": {"team": "shop"}, "b3": {"team": "shop", "tier": "y"}}
    await delete(gateway, selector="team=shop,tier=x")
    await delete(gateway, selector="tier")
    assert gateway.posted == [{"ids": ["b1"]}, {"ids": ["b1", "b3"]}]


@pytest.mark.parametrize(
    "given", [{}, {"selector": "a=b", "names": ["b1"]}, {"selector": "=b"}, {"everything": True}, {"selector": ""}]
)
async def test_what_is_to_be_deleted_must_be_said_clearly(given):
    gateway = Gateway(b1=("Succeeded",))
    _, error = await delete(gateway, *given.pop("names", []), **given)
    assert (error.exit_code, gateway.posted) == (Exit.USAGE, [])


async def test_everything_of_one_cluster_is_deleted_five_hundred_at_a_time():
    gateway = Gateway(**{f"b{n}": ("Succeeded",) for n in range(1200)})
    out, error = await delete(gateway, everything=True, cluster="eu1", deadline="2h")
    assert [(len(body["ids"]), body["deadline"]) for body in gateway.posted] == [(500, "2h"), (500, "2h"), (200, "2h")]
    assert (len(out.splitlines()), error) == (1200, None)


async def test_the_time_to_wait_ends_and_the_deletion_goes_on():
    out, error = await delete(Gateway(b1=("Accepted", "Accepted")), "b1", wait=True, timeout="100ms")
    assert (error.exit_code, "goes on" in error.words, "is being deleted" in out) == (Exit.TIMED_OUT, True, True)


async def test_programs_get_each_answer():
    out, error = await delete(Gateway(b1=("Succeeded",), b2=NO), "b1", "b2", form=Format.JSON)
    items = json.loads(out)["items"]
    assert [(item["id"], item["operation"] and item["operation"]["state"], item["problem"]) for item in items] == [
        ("b1", "Succeeded", None),
        ("b2", None, NO),
    ]
    assert error.exit_code is Exit.FAILED
