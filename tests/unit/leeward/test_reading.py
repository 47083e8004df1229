"""Logs, results and lists of objects, as they come and as they are shown."""

import io
import json

import httpx2
import pytest
import yaml
from rich.console import Console

from leeward import reading
from leeward.client import Client
from leeward.errors import CliError, Exit, UnreachableError
from leeward.output import Format, Output
from leeward.session import Session
from leeward.settings import Connection

HERE = Connection("http://gateway:8080", "--url")
LOG = 'time="1" msg="grüße"\n\ntime="2" msg="\x1b[2Jend"'


async def run(function, form=Format.TABLE, *, body, kind="text/plain; charset=utf-8", headers=None, **given):
    """Run a command on backup b1; returns what it printed and what it said."""
    asked = []

    async def answer(request):
        if request.url.path == "/api/v1/backups/b1":
            return httpx2.Response(200, json={"id": "b1", "name": "shop", "cluster": "eu1"})
        asked.append(request)
        if isinstance(body, httpx2.Response):
            return body
        return httpx2.Response(200, headers={"Content-Type": kind, **(headers or {})}, content=body)

    output = Output(form, *(Console(file=io.StringIO(), width=1000) for _ in range(2)))
    async with Client(HERE, transport=httpx2.MockTransport(answer)) as client:
        try:
            await function(Session(client, output), "b1", **given)
        except CliError as error:
            error.printed = output.stdout.file.getvalue()
            raise
    return output.stdout.file.getvalue(), output.stderr.file.getvalue(), asked


async def pieces(text, size=3):
    data = text.encode()
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def broken(text):
    async for piece in pieces(text):
        yield piece
    raise httpx2.RemoteProtocolError("incomplete")


async def test_a_log_is_printed_as_it_comes_and_moves_no_cursor():
    out, err, asked = await run(reading.logs, body=pieces(LOG), tail=7)
    assert out == 'time="1" msg="grüße"\n\ntime="2" msg="\ufffd[2Jend"\n'
    assert (err, asked[0].url.params["tail"]) == ("", "7")


@pytest.mark.parametrize(("form", "read"), [(Format.JSON, json.loads), (Format.YAML, yaml.safe_load)])
@pytest.mark.parametrize("text", [LOG, ""])
async def test_programs_get_the_lines(form, read, text):
    out, _, _ = await run(reading.logs, form, body=pieces(text))
    assert read(out) == (text.split("\n") if text else [])


async def test_a_log_that_breaks_off_does_not_look_whole():
    with pytest.raises(UnreachableError, match="broke") as error:
        await run(reading.logs, Format.JSON, body=broken(LOG))
    with pytest.raises(json.JSONDecodeError):
        json.loads(error.value.printed)


async def test_a_copy_is_told_to_be_one():
    _, err, _ = await run(reading.logs, body=b"x\n", headers={"Leeward-Source": "copy"})
    assert "the copy that was kept" in err


async def test_no_log_is_told_in_the_gateways_words():
    no = {"type": "/problems/artifact-missing", "title": "x", "status": 404, "detail": "Backup shop has no log yet."}
    with pytest.raises(CliError, match="has no log yet") as error:
        await run(reading.logs, body=httpx2.Response(404, json=no))
    assert error.value.exit_code is Exit.NOT_FOUND


RESULTS = {
    "errors": {"velero": ["boom"], "namespaces": {"shop": ["a\nb"], "cart": ["c"]}},
    "warnings": {"cluster": ["node"]},
}


async def test_results_are_told_by_place():
    out, _, _ = await run(reading.results, body=json.dumps(RESULTS).encode(), kind="application/json")
    assert out.split("\n") == [
        *("Errors:", "  Velero:", "    boom", "  Namespace cart:", "    c", "  Namespace shop:", "    a", "    b", ""),
        *("Warnings:", "  Cluster:", "    node", ""),
    ]
    out, _, _ = await run(reading.results, body=b"null", kind="application/json")
    assert out == "Errors: none\n\nWarnings: none\n"
    out, _, _ = await run(reading.results, Format.JSON, body=json.dumps(RESULTS).encode(), kind="application/json")
    assert json.loads(out) == RESULTS


async def test_what_a_backup_holds_is_listed_by_kind():
    held = {"v1/Pod": ["shop/web-0", "shop/web-1"], "apps/v1/Deployment": ["shop/web"]}
    out, _, _ = await run(reading.resources, body=json.dumps(held).encode(), kind="application/json")
    assert out == "apps/v1/Deployment: 1\n  - shop/web\nv1/Pod: 2\n  - shop/web-0\n  - shop/web-1\n"


async def test_an_answer_that_breaks_off_is_no_answer():
    with pytest.raises(UnreachableError, match="broke"):
        await run(reading.results, body=broken(json.dumps(RESULTS)), kind="application/json")
