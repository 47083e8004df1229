"""`leeward restore`: what is sent, what is followed, and what is said; the gateway is a script."""

import json
import time

import httpx2
import pytest

from leeward import following
from leeward.columns import RESTORES
from leeward.completion import RESTORE_STATUSES
from leeward.errors import Exit
from leeward.operation import get as show_operation
from leeward.output import Format, Output, table
from leeward.restores import deleting, looking, reading, telling, writing
from tests.unit.leeward.script import Script, event, problem, run
from tests.unit.leeward.test_output import NOW

B1 = {"id": "b1", "name": "shop", "cluster": "eu1", "status": "Completed", "createdAt": "2026-03-01T12:00:00Z"}
COPY = {**B1, "id": "b9", "cluster": "us1", "replica": True}
FOUND = {"GET /backups": {"items": [B1, COPY], "nextCursor": None}, "GET /backups/b1": B1, "GET /backups/b9": COPY}
WARNING = {"severity": "Warning", "code": "NamespaceExists", "message": "Namespaces exist already.", "objects": ["shop"]}
BLOCKER = {"severity": "Blocker", "code": "NothingMatches", "message": "Nothing matches.", "objects": []}


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    monkeypatch.setattr(following, "_PAUSES", (0.0,))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def restore(status="Restoring", phase="InProgress", **facts):
    outcome = status if status in {"Completed", "Failed", "PartiallyFailed"} else None
    plain = {"id": "r1", "name": "shop-r", "cluster": "eu1", "backup": {"id": "b1", "name": "shop", "cluster": "eu1"}}
    return {**plain, "status": status, "outcome": outcome, "phase": phase, **facts}


def operation(state, *steps, **facts):
    told = [{"step": name, "detail": detail, "at": "2026-03-01T12:00:00Z"} for name, detail in steps]
    return {"id": "r1", "cluster": "us1", "state": state, "refusal": None, "steps": told, **facts}


async def test_a_backup_is_named_as_people_call_it_and_sent_by_its_id():
    gateway = Script({**FOUND, "POST /restores": restore(findings=[WARNING])})
    out, err, code, error = await run(gateway, writing.create, backup="shop", map=["shop=shop-2"], namespace=["shop"])
    assert (out, code, error) == ("restore shop-r is being brought into cluster eu1\n", None, None)
    assert err.splitlines() == ["Warning: Namespaces exist already.", "  shop", "id r1: `leeward restore wait r1` waits for it"]
    assert gateway.sent("POST /restores") == [
        {"backup": "b1", "spec": {"includedNamespaces": ["shop"], "namespaceMapping": {"shop": "shop-2"}}}
    ]
    headers = next(headers for key, *_, headers in gateway.asked if key == "POST /restores")
    assert headers["idempotency-key"]


async def test_the_copy_that_a_cluster_sees_can_be_meant():
    gateway = Script({**FOUND, "GET /backups": {"items": [COPY], "nextCursor": None}, "POST /restores": restore()})
    await run(gateway, writing.create, backup="shop", from_cluster="us1")
    assert gateway.sent("POST /restores") == [{"backup": "b9"}]


async def test_a_name_that_stands_in_several_clusters_asks_which_one():
    two = {"items": [B1, {**B1, "id": "b2", "cluster": "us1"}], "nextCursor": None}
    _, _, _, error = await run(Script({"GET /backups": two}), writing.create, backup="shop")
    assert (error.exit_code, error.hints) == (Exit.USAGE, ["add --from-cluster eu1 or us1, or use an id"])


OLD = {**B1, "status": "Deleted", "startedAt": "2026-03-01T12:00:00Z"}


@pytest.mark.parametrize(("begun", "meant"), [("2026-03-01T12:00:00Z", "b1"), ("2026-03-02T12:00:00Z", "b9"), (None, "b9")])
async def test_a_copy_does_not_stand_for_its_original_that_was_deleted(begun, meant):
    lists = [
        {"items": [item], "nextCursor": None}
        for item in ({**COPY, "startedAt": begun}, {**OLD, "startedAt": begun and OLD["startedAt"]})
    ]
    gateway = Script({**FOUND, "GET /backups": lists, "POST /restores": restore()})
    await run(gateway, writing.create, backup="shop")
    assert gateway.sent("POST /restores") == [{"backup": meant}]


async def test_a_cluster_that_has_to_be_said_is_asked_for_by_its_option():
    copy = "This is us1's copy of a backup of another cluster: say into which."
    odd = problem(422, "invalid-request", errors=[{"pointer": "/cluster", "detail": copy}])
    clusters = {"items": [{"id": "eu1"}, {"id": "us1"}], "nextCursor": None}
    gateway = Script({**FOUND, "POST /restores": odd, "GET /clusters": clusters})
    _, _, _, error = await run(gateway, writing.create, backup="shop", from_cluster="us1")
    assert (error.words, error.hints, error.exit_code) == (f"--cluster: {copy}", ["clusters: eu1, us1"], Exit.USAGE)


@pytest.mark.parametrize(("given", "where"), [({}, "eu1"), ({"cluster": "us1"}, "us1")])
async def test_advice_names_the_cluster_that_the_restore_is_for(given, where):
    taken = problem(
        409, "refused", code="RestoreNameTaken", detail="It has one.", errors=[{"pointer": "/name", "detail": "It has one."}]
    )
    _, _, _, error = await run(Script({**FOUND, "POST /restores": taken}), writing.create, "r", backup="shop", **given)
    assert error.hints == [f"look at it with `leeward restore describe r --cluster {where}`, or choose another name"]


async def test_what_there_is_to_know_is_said_at_once_also_where_the_cluster_has_not_answered():
    gateway = Script({**FOUND, "POST /restores": operation("Queued", findings=[WARNING], deadline=B1["createdAt"])})
    out, err, _, error = await run(gateway, writing.create, backup="shop", cluster="us1")
    assert ("cluster us1 has not answered yet" in out, error) == (True, None)
    assert err.splitlines()[:2] == ["Warning: Namespaces exist already.", "  shop"]
    out, _, _, _ = await run(Script({"GET /operations/r1": operation("Queued", findings=[WARNING])}), show_operation, "r1")
    assert "  Warning: Namespaces exist already." in out.splitlines()


async def test_one_that_was_refused_is_found_by_its_name_with_the_whole_reason():
    sentence = "Cluster us1 does not reach the storage: " + "access denied " * 40
    refused = restore("Refused", None, reason=f"{sentence[:299]}…", operationId="r1")
    lists = [{"items": [], "nextCursor": None}, {"items": [refused], "nextCursor": None}]
    refusal = {"code": "MirrorFailed", "pointer": "", "detail": sentence.strip()}
    answers = {
        "GET /restores": lists,
        "GET /restores/r1": refused,
        "GET /operations/r1": operation("Rejected", refusal=refusal),
    }
    gateway = Script({**answers, "GET /restores/shop-r": problem(404, "not-found")})
    out, _, _, error = await run(gateway, looking.describe, ["shop-r"])
    assert error is None
    assert sentence.strip() in " ".join(out.split())
    assert gateway.queries("GET /restores")[-1]["status"] == ["Deleted", "Refused"]
    assert RESTORE_STATUSES["refused"] == "Refused"


@pytest.mark.parametrize(
    ("status", "errors", "told"), [("Completed", 0, "Kept as they are (differ): 1"), ("PartiallyFailed", 1, "Failed:  1")]
)
async def test_what_differs_and_stays_as_it_is_is_no_failure(status, errors, told):
    item = restore(status, status, errors=errors, counts={"created": 4, "updated": 0, "skipped": 1, "failed": 1})
    out, _, _, _ = await run(Script({"GET /restores/r1": item}), looking.describe, ["r1"])
    assert f"  {told}" in out.splitlines(), out
    assert out.count("ailed:") == errors


@pytest.mark.parametrize("given", [{}, {"backup": "a", "schedule": "b"}])
async def test_one_source_must_be_named(given):
    gateway = Script({})
    _, _, _, error = await run(gateway, writing.create, **given)
    assert (error.exit_code, gateway.asked) == (Exit.USAGE, [])


async def test_the_latest_good_backup_of_a_schedule_is_the_gateway_s_to_find():
    s1 = {"id": "s1", "name": "nightly", "cluster": "eu1", "status": "Active"}
    none = problem(
        409, "refused", code="NoGoodBackup", detail="It has none.", errors=[{"pointer": "/schedule", "detail": "It has none."}]
    )
    found = {"GET /schedules": {"items": [s1], "nextCursor": None}, "GET /schedules/s1": s1}
    gateway = Script({**found, "POST /restores": none})
    _, _, _, error = await run(gateway, writing.create, schedule="nightly")
    assert gateway.sent("POST /restores") == [{"schedule": "s1"}]
    assert error.words == "--schedule nightly: It has none."
    assert error.hints == ["`leeward backup list --schedule nightly` shows those that there are"]


async def test_what_stands_against_it_is_told_in_full():
    errors = [{"pointer": "/spec", "detail": "Nothing matches."}, {"pointer": "/name", "detail": "Cluster eu1 has one."}]
    blocked = problem(409, "refused", code="NothingMatches", detail="Nothing matches.", errors=errors)
    _, _, _, error = await run(Script({**FOUND, "POST /restores": blocked}), writing.create, "r", backup="shop")
    assert error.exit_code is Exit.FAILED
    assert error.words.splitlines() == ["2 things are wrong", "  Nothing matches.", "  NAME: Cluster eu1 has one."]


async def test_the_steps_of_one_from_another_cluster_are_told_until_all_is_removed():
    first = ("MirrorLocation", "waits at most 2m for Velero")
    found = ("FindBackup", "waits at most 5m")
    bring = ("Restore", "makes restore shop-r")
    clean = ("CleanUp", "removes leeward-mirror-1")
    news = [
        event("operation", operation("Queued", first, revision=2), "s-1"),
        event("operation", operation("Queued", first, found, revision=3), "s-2"),
        event("operation", operation("Accepted", first, found, bring, revision=4), "s-3"),
        event("restore", restore(cluster="us1", progress={"itemsRestored": 3, "totalItems": 9}, revision=4), "s-3"),
        event("operation", operation("Accepted", first, found, bring, clean, revision=5), "s-4"),
        event("restore", restore("Restoring", "Finalizing", cluster="us1", revision=5), "s-5"),
        event("restore", restore("Completed", "Completed", cluster="us1", revision=6), "s-6"),
        event("operation", operation("Succeeded", first, found, bring, clean, revision=7), "s-7"),
    ]
    over = restore(
        "Completed", "Completed", cluster="us1", steps=operation("x", first, found, bring, clean)["steps"], revision=7
    )
    answers = {
        **FOUND,
        "POST /restores": operation("Queued"),
        "GET /restores/r1": [problem(404, "not-found"), over],
        "GET /operations/r1": [operation("Queued", revision=1), operation("Succeeded", first, found, bring, clean, revision=7)],
    }
    gateway = Script(answers, news)
    out, err, code, error = await run(gateway, writing.create, backup="shop", cluster="us1", wait=True)
    assert (code, error) == (Exit.OK, None), err
    assert err.splitlines() == [
        "Queued: waiting for cluster us1",
        "MirrorLocation: waits at most 2m for Velero",
        "FindBackup: waits at most 5m",
        "Restore: makes restore shop-r",
        "Restoring 3/9 (InProgress)",
        "CleanUp: removes leeward-mirror-1",
        "Completed",
    ]
    assert "Backup:  shop (eu1)" in out
    assert "Status:  Completed" in out


async def test_a_step_that_fails_ends_the_wait_in_the_cluster_s_words():
    refusal = {"code": "MirrorFailed", "pointer": "/credential", "detail": "Cluster us1 does not reach it: access denied"}
    answers = {
        **FOUND,
        "POST /restores": operation("Queued"),
        "GET /operations/r1": operation("Rejected", ("MirrorLocation", "x"), refusal=refusal),
    }
    _, _, _, error = await run(Script(answers), writing.create, backup="shop", cluster="us1", wait=True)
    assert (error.exit_code, "access denied" in error.words, "--credential-file" in error.hints[0]) == (Exit.FAILED, True, True)


async def test_a_credential_is_sent_and_never_shown(tmp_path):
    mark = "MARK0123456789"
    (tmp_path / "keys").write_text(f"[default]\naws_access_key_id=AKIA\naws_secret_access_key={mark}\n")
    odd = problem(422, "invalid-request", errors=[{"pointer": "/credential/secretAccessKey", "detail": "is odd"}])
    gateway = Script({**FOUND, "POST /restores": odd, "POST /restores/preflight": odd})
    for command in (writing.create, writing.preflight):
        out, err, _, error = await run(gateway, command, backup="shop", credential_file=str(tmp_path / "keys"))
        assert error.words == "the credential: is odd"
        assert mark not in out + err + repr(error.hints)
    assert gateway.sent("POST /restores")[0]["credential"] == {"accessKeyId": "AKIA", "secretAccessKey": mark}


@pytest.mark.parametrize(("blocked", "code"), [(False, Exit.OK), (True, Exit.FAILED)])
async def test_a_preflight_says_what_it_would_meet(blocked, code):
    findings = [BLOCKER, WARNING] if blocked else [WARNING]
    gateway = Script(
        {**FOUND, "POST /restores/preflight": {"findings": findings, "blocked": blocked, "asOf": "2026-03-01T12:00:00Z"}}
    )
    out, err, ended, error = await run(gateway, writing.preflight, backup="shop")
    assert (ended, error) == (code, None)
    assert out.splitlines()[-2:] == ["Warning: Namespaces exist already.", "  shop"]
    assert ("it would be refused: 1 blocker" in err) is blocked
    out, _, ended, _ = await run(gateway, writing.preflight, backup="shop", form=Format.JSON)
    assert (json.loads(out)["blocked"], ended) == (blocked, code)


async def test_it_is_listed_with_where_its_backup_is_from():
    other = restore(
        "PartiallyFailed", cluster="us1", errors=2, createdAt="2026-03-01T12:00:00Z", createdBy={"kind": "External"}
    )
    (header, line), _ = table(RESTORES, [other], NOW, 100_000)
    assert str(header).split("  ")[0] == "Name"
    assert "shop (eu1)" in str(line)
    assert "PartiallyFailed" in str(line)


async def test_all_that_is_known_is_told_what_went_wrong_first():
    item = restore(
        "PartiallyFailed",
        "PartiallyFailed",
        createdBy={"kind": "User", "name": "anna"},
        counts={"created": 4, "updated": 0, "skipped": 1, "failed": 2},
        why=[{"message": "not allowed", "count": 2, "example": "secrets/a", "namespace": "shop"}],
        spec={"backupName": "shop", "namespaceMapping": {"shop": "shop-2"}, "existingResourcePolicy": "update"},
        findings=[WARNING],
        modifiers={"resourceModifierRules": [{"conditions": {"groupResource": "deployments.apps", "namespaces": ["shop"]}}]},
        steps=operation("x", ("CleanUp", "removes a mirror"))["steps"],
        transitions=[{"kind": "Status", "to": "Restoring", "at": "2026-03-01T12:00:00Z"}],
    )
    out, err, _, _ = await run(Script({"GET /restores/r1": item}), looking.describe, ["r1"])
    lines = out.splitlines()
    assert lines[0].split() == ["Name:", "shop-r"]
    assert any(line.split() == ["Why:", "2", "x", "not", "allowed"] for line in lines)
    for told in (
        "  Failed:  2",
        "  Namespace Mapping: shop to shop-2",
        "  Existing Objects:  are updated",
        "  deployments.apps in shop",
        "  2026-03-01 12:00:00Z  CleanUp: removes a mirror",
        "  Warning: Namespaces exist already.",
    ):
        assert told in lines, out
    assert "restore results r1" in err


async def test_its_log_is_read_by_its_name():
    items = {"items": [restore("Completed")], "nextCursor": None}
    gateway = Script({"GET /restores": items, "GET /restores/r1": restore("Completed")})

    async def answer(request):
        if request.url.path.endswith("/logs"):
            return httpx2.Response(200, headers={"Content-Type": "text/plain"}, content=b"a\nb\n")
        return await gateway(request)

    out, _, _, error = await run(answer, reading.logs, "shop-r")
    assert (out, error) == ("a\nb\n", None)


async def test_it_is_deleted_and_what_it_brought_back_stays():
    said = {"items": [{"id": "r1", "operation": operation("Succeeded")}]}
    gateway = Script({"GET /restores/r1": restore("Completed"), "POST /restores/delete": said})
    out, _, code, error = await run(gateway, deleting.delete, ["r1"], confirm=True, wait=True)
    assert (out, code, error) == ("restore shop-r of cluster eu1 is deleted\n", None, None)
    assert gateway.sent("POST /restores/delete") == [{"ids": ["r1"]}]


def test_an_empty_preflight_says_so(capsys):
    telling.preflight(Output(), {"findings": [], "blocked": False})
    assert capsys.readouterr().err == "nothing stands against it\n"
