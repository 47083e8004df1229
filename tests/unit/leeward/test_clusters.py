"""`leeward cluster`: what is registered, changed and forgotten, and what joins a cluster; the gateway is a script."""

import io

import httpx2
import pytest

from leeward.clusters import looking, writing
from leeward.errors import Exit
from leeward.output import Format
from tests.unit.leeward.script import Script, problem, run

EU1 = {
    "id": "eu1",
    "status": "Online",
    "displayName": "Europe",
    "productionSelector": {"matchLabels": {"env": "prod"}},
    "version": 3,
}
NEW = {"id": "eu2", "status": "NeverSeen", "version": 1}


async def test_a_change_says_only_what_changes_of_the_version_that_was_looked_at():
    gateway = Script({"GET /clusters/eu1": EU1, "PATCH /clusters/eu1": EU1})
    given = {"production_selector": "env=live", "display_name": "Europe"}
    out, _, _, error = await run(gateway, writing.edit, "eu1", unset=["data-mover"], **given)
    assert (out, error) == ("cluster eu1 is changed\n", None)
    _, body, _, headers = gateway.asked[-1]
    assert body == {"productionSelector": {"matchLabels": {"env": "live"}}}
    assert headers["if-match"] == '"3"'


async def test_what_is_so_already_is_not_asked_for():
    gateway = Script({"GET /clusters/eu1": EU1})
    _, _, _, error = await run(gateway, writing.edit, "eu1", display_name="Europe")
    assert (error.exit_code, len(gateway.asked)) == (Exit.USAGE, 1)


async def test_one_that_has_schedules_is_forgotten_only_by_force():
    used = problem(409, "cluster-in-use", detail="Cluster eu1 has 2 schedules. `force=true` forgets it all the same.")
    gateway = Script({"GET /clusters/eu1": EU1, "DELETE /clusters/eu1": [used, httpx2.Response(204)]})
    _, _, _, error = await run(gateway, writing.remove, ["eu1"], confirm=True)
    assert error.words == "Cluster eu1 has 2 schedules. --force forgets it all the same."
    out, _, _, error = await run(gateway, writing.remove, ["eu1"], confirm=True, force=True)
    assert (out, error) == ("cluster eu1 is forgotten\n", None)
    assert gateway.asked[-1][2] == {"force": "true"}


async def test_nothing_is_forgotten_unasked_or_if_a_name_is_wrong(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    gateway = Script({"GET /clusters/eu1": EU1, "GET /clusters": {"items": [EU1], "nextCursor": None}})
    _, _, _, unasked = await run(gateway, writing.remove, ["eu1"])
    _, _, _, unknown = await run(gateway, writing.remove, ["eu1", "eu9"], confirm=True)
    assert (unasked.exit_code, unknown.exit_code) == (Exit.USAGE, Exit.NOT_FOUND)
    assert unknown.hints == ["clusters: eu1"]
    assert not [key for key, *_ in gateway.asked if key.startswith("DELETE")]


@pytest.mark.parametrize("form", [Format.TABLE, Format.JSON])
async def test_several_are_described_at_once(form):
    gateway = Script({"GET /clusters/eu1": EU1, "GET /clusters/eu2": NEW})
    out, _, _, error = await run(gateway, looking.describe, ["eu1", "eu2"], form=form)
    assert error is None
    assert "eu1" in out
    assert "eu2" in out
