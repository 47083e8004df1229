"""A gateway by script for commands: what it answers is a table, what it was asked is kept; and a command run against it."""

import asyncio
import io
import json

import httpx2
from rich.console import Console

from leeward.client import API, Client
from leeward.errors import CliError
from leeward.output import Format, Output
from leeward.session import Session
from leeward.settings import Connection
from tests.support.waiting import PATIENCE

HERE = Connection("http://gateway:8080", "--url")


def problem(status, slug, **facts):
    return httpx2.Response(status, json={"type": f"/problems/{slug}", "title": "x", "status": status, "detail": "no", **facts})


def event(kind, item, place=None):
    where = f"id: {place}\n" if place else ""
    return f"event: {kind}\n{where}data: {json.dumps(item)}\n\n".encode()


class Script:
    """Answers by method and path; of several answers to one, each is given once, and the last one for ever."""

    def __init__(self, answers, events=()):
        self.answers = {key: list(value) if isinstance(value, list) else [value] for key, value in answers.items()}
        self.events = list(events)
        self.asked, self.params = [], []

    async def __call__(self, request):
        path = request.url.path.removeprefix(API)
        if path == "/events":
            return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=self._stream())
        key = f"{request.method} {path}"
        body = json.loads(request.content) if request.content else None
        self.asked.append((key, body, dict(request.url.params), request.headers))
        self.params.append((key, request.url.params))
        given = self.answers.get(key, [problem(404, "not-found")])
        answer = given.pop(0) if len(given) > 1 else given[0]
        if isinstance(answer, httpx2.Response):
            return answer
        status = 201 if request.method == "POST" else 200
        return httpx2.Response(status, json=answer, headers={"ETag": '"e1"'})

    async def _stream(self):
        for piece in self.events:
            yield piece
        await asyncio.Event().wait()

    def queries(self, key):
        """What it was asked beside the address: every value of each parameter."""
        return [{name: params.get_list(name) for name in params} for asked, params in self.params if asked == key]

    def sent(self, key):
        """The bodies that were sent there."""
        return [body for asked, body, *_ in self.asked if asked == key]


async def run(gateway, command, *words, form=Format.TABLE, sort_=None, **given):
    """Run a command; returns what it printed, what it said, its exit code, and the error that it ended with.

    `sort_`: the sort of locations that it is about.
    """
    about = [] if sort_ is None else [sort_]
    output = Output(form, *(Console(file=io.StringIO(), width=100_000, highlight=False) for _ in range(2)))
    code = error = None
    async with asyncio.timeout(PATIENCE), Client(HERE, transport=httpx2.MockTransport(gateway)) as client:
        try:
            code = await command(*about, Session(client, output), *words, **given)
        except CliError as raised:
            error = raised
    return output.stdout.file.getvalue(), output.stderr.file.getvalue(), code, error
