"""Schedules over HTTP: made, listed, looked at, changed, paused, skipped; what status has found joined with what is wanted."""

import asyncio

import pytest

from shared.contracts.documents import to_document
from shared.contracts.phases import ScheduleStatus
from shared.contracts.views import ScheduleItem
from tests.support.gateway import API, NOW, eventually, stack
from tests.support.schedules import BODY, FAR, create, judging, row_of, wanted
from tests.support.servers import MongoServer
from tests.support.timing import BRIEF, takes_nats_away

PATCH = {"content-type": "application/merge-patch+json"}


@pytest.fixture
async def made(nats_server, mongo_server):
    async with stack(nats_server, mongo_server, wait=20) as running_stack:
        yield running_stack


async def test_a_new_schedule_is_answered_as_status_has_judged_it(made):
    async with judging(made):
        response = await made.client.post(
            f"{API}/schedules", json={**BODY, "timezone": "Europe/Berlin", "startingDeadline": "2d", "skipNext": 2}
        )
        assert response.status_code == 201, response.text
        body = response.json()
        assert response.headers["location"] == f"{API}/schedules/{body['id']}"
        assert response.headers["etag"] == '"1"'
        assert (body["status"], body["cronText"], body["nextRunAt"]) == ("New", "words of status", "2027-01-01T00:00:00Z")
        assert (body["startingDeadline"], body["skipNext"], body["createdBy"]) == ("48h", 2, "anonymous")
        assert body["template"]["spec"]["ttl"] == "720h"
        assert body["asOf"] is not None
        shown = await made.client.get(response.headers["location"])
        assert (shown.status_code, shown.json(), shown.headers["etag"]) == (200, body, '"1"')
        listed = (await made.client.get(f"{API}/schedules")).json()
        assert [(s["id"], s["cron"]) for s in listed["items"]] == [(body["id"], "0 2 * * *")]


async def test_while_status_is_away_a_schedule_is_new_as_of_never_and_a_change_is_told_all_the_same(made):
    body = await create(made, {"Prefer": "wait=0"}, paused=True, skipNext=3)
    assert (body["status"], body["asOf"], body["paused"], body["cronText"]) == ("New", None, True, "Every day at 02:00")
    assert (body["nextRunAt"], body["skipNext"]) == (None, 3)
    await made.status.writes("schedule_status", row_of(await wanted(made, body["id"]), status=ScheduleStatus.PAUSED))
    change = {"cron": "30 4 * * *", "description": "x"}
    response = await made.client.patch(
        f"{API}/schedules/{body['id']}", json=change, headers={**PATCH, "Prefer": "respond-async"}
    )
    late = response.json()
    assert (late["cron"], late["cronText"], late["description"]) == ("30 4 * * *", "Every day at 04:30", "x")
    assert (late["status"], late["nextRunAt"], late["version"]) == ("Paused", None, 2)
    assert response.headers["preference-applied"] == "respond-async"


async def test_a_template_that_grows_too_large_for_a_message_is_refused(made):
    grows = {"scope": {"kind": "all"}, "spec": {"hooks": {"resources": [{"name": "a"}] * 20_000}}}
    refused = await made.client.post(f"{API}/schedules", json={**BODY, "template": grows})
    assert (refused.status_code, refused.json()["type"]) == (413, "/problems/body-too-large")
    body = await create(made, {"Prefer": "wait=0"})
    path = f"{API}/schedules/{body['id']}"
    refused = await made.client.patch(path, json={"template": grows}, headers=PATCH)
    assert (refused.status_code, refused.json()["type"]) == (413, "/problems/body-too-large")
    assert (await wanted(made, body["id"])).version == 1
    assert [s["name"] async for s in made.database["schedules"].find({})] == [BODY["name"]]


async def test_an_answer_waits_for_status_to_see_the_change_though_nothing_is_announced(made):
    async with judging(made):
        body = await create(made)
    asked = asyncio.create_task(made.client.patch(f"{API}/schedules/{body['id']}", json={"description": "new"}))

    async def stored():
        return (await wanted(made, body["id"])).version == 2

    await eventually("stored", stored)
    assert not asked.done()
    await made.status.writes("schedule_status", row_of(await wanted(made, body["id"]), status=ScheduleStatus.ACTIVE))
    response = await asked
    assert (response.json()["status"], response.json()["description"]) == ("Active", "new")


async def test_what_the_world_does_not_have_yet_is_stored_and_what_is_no_schedule_is_not(made):
    stored = await create(
        made, {"Prefer": "wait=0"}, cluster="nowhere", cron="61 * * * *", timezone="Mars/Base",
    )  # fmt: skip
    assert (stored["cronText"], stored["cron"], stored["timezone"]) == (None, "61 * * * *", "Mars/Base")
    odd = {
        **BODY,
        "name": "x" * 49,
        "cluster": "Eu 1",
        "startingDeadline": "30s",
        "spread": "25h",
        "skipNext": 1001,
        "misfire": "sometimes",
        "unknown": 1,
        "template": {"scope": {"kind": "all"}, "labels": {"velero.io/x": "y"}, "spec": {"ttl": "0s", "nonsense": 1}},
    }
    response = await made.client.post(f"{API}/schedules", json=odd)
    assert (response.status_code, response.json()["type"]) == (422, "/problems/invalid-request")
    assert {e["pointer"] for e in response.json()["errors"]} == {
        *("/name", "/cluster", "/startingDeadline", "/spread", "/skipNext", "/misfire", "/unknown"),
        *("/template/labels/velero.io~1x", "/template/spec/nonsense"),
    }
    body = {**BODY, "template": {"scope": {"kind": "all"}, "spec": {"ttl": "0s", "datamover": "nobody"}}}
    response = await made.client.post(f"{API}/schedules", json=body)
    assert [e["pointer"] for e in response.json()["errors"]] == ["/template/spec/ttl"]
    body["template"]["spec"]["ttl"] = "1h"
    response = await made.client.post(f"{API}/schedules", json=body)
    assert (response.status_code, [e["pointer"] for e in response.json()["errors"]]) == (422, ["/template/spec/datamover"])


async def test_a_cluster_has_each_name_once(made):
    async with judging(made):
        first = await create(made)
        taken = await made.client.post(f"{API}/schedules", json=BODY)
        assert (taken.status_code, taken.json()["type"]) == (409, "/problems/schedule-exists")
        assert [e["pointer"] for e in taken.json()["errors"]] == ["/name"]
        assert (await create(made, cluster="us1"))["id"] != first["id"]
        together = await asyncio.gather(
            *(made.client.post(f"{API}/schedules", json={**BODY, "name": "race"}) for _ in range(5))
        )
        assert sorted(r.status_code for r in together) == [201, 409, 409, 409, 409]


async def test_a_name_that_is_being_deleted_is_taken_and_the_answer_says_so(made):
    async with judging(made):
        body = await create(made)
        change = {"deleting": {"deleteBackups": True, "by": "anna", "at": NOW, "attempt": 1, "errors": ["not yet"]}}
        await made.database["schedules"].update_one({"_id": body["id"]}, {"$set": change})
        taken = await made.client.post(f"{API}/schedules", json=BODY)
        assert (taken.status_code, "is being deleted since 2026-03-01" in taken.json()["detail"]) == (409, True)


async def test_a_repeated_request_makes_one_schedule_whatever_became_of_it(made):
    key = {"Idempotency-Key": "k1"}
    async with judging(made):
        first = await create(made, key)
        await made.client.patch(f"{API}/schedules/{first['id']}", json={"description": "changed"})
        again = await made.client.post(f"{API}/schedules", json=BODY, headers=key)
        assert (again.status_code, again.json()["id"], again.json()["description"]) == (200, first["id"], "changed")
        other = await made.client.post(f"{API}/schedules", json={**BODY, "cron": "0 3 * * *"}, headers=key)
        assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")
        together = await asyncio.gather(
            *(
                made.client.post(f"{API}/schedules", json={**BODY, "name": "b"}, headers={"Idempotency-Key": "k2"})
                for _ in "1234"
            )
        )
        assert sorted(r.status_code for r in together) == [200, 200, 200, 201]
        assert len({r.json()["id"] for r in together}) == 1
        assert (await made.client.delete(f"{API}/schedules/{first['id']}")).status_code == 204

        late = await made.client.post(f"{API}/schedules", json=BODY, headers=key)
        assert (late.status_code, "has been deleted" in late.json()["detail"]) == (422, True)
        assert await made.database["schedules"].count_documents({"_id": first["id"]}) == 0


async def test_a_change_needs_the_version_that_it_was_made_for(made):
    async with judging(made):
        path = f"{API}/schedules/{(await create(made))['id']}"
        first = await made.client.patch(path, json={"description": "a"}, headers={**PATCH, "If-Match": '"1"'})
        assert (first.status_code, first.headers["etag"]) == (200, '"2"')
        for method, suffix, body in (("PATCH", "", {"description": "b"}), ("POST", "/pause", None), ("DELETE", "", None)):
            late = await made.client.request(method, path + suffix, json=body, headers={"If-Match": '"1"'})
            assert (late.status_code, late.headers["etag"]) == (412, '"2"'), method
        racing = await asyncio.gather(
            *(made.client.patch(path, json={"description": d}, headers={"If-Match": '"2"'}) for d in "cdef")
        )
        assert sorted(r.status_code for r in racing) == [200, 412, 412, 412]
        free = await asyncio.gather(
            made.client.patch(path, json={"description": "g"}),
            made.client.patch(path, json={"spread": "10m"}),
            made.client.post(f"{path}/pause"),
        )
        assert [r.status_code for r in free] == [200, 200, 200]
        shown = (await made.client.get(path)).json()
        assert (shown["description"], shown["spread"], shown["paused"], shown["version"]) == ("g", "10m", True, 6)


async def test_a_patch_changes_what_it_names_and_nothing_else(made):
    async with judging(made):
        scope = {"kind": "specific", "namespaces": ["shop"], "excludedNamespaces": []}
        body = await create(made, paused=True, skipNext=2, template={"scope": scope, "labels": {"a.b/c": "d", "e": "f"}})
        path = f"{API}/schedules/{body['id']}"
        before = await wanted(made, body["id"])
        patch = {"template": {"scope": {"kind": "production"}, "labels": {"e": None}, "spec": {"datamover": "kopia"}}}
        changed = (await made.client.patch(path, json=patch, headers=PATCH)).json()
        assert changed["template"]["scope"] == {"kind": "production", "excludedNamespaces": []}
        assert changed["template"]["labels"] == {"a.b/c": "d"}
        assert changed["template"]["spec"]["datamover"] == "velero"
        after = await wanted(made, body["id"])
        assert (after.pauses, after.skip, after.eras) == (before.pauses, before.skip, before.eras)
        same = await made.client.patch(path, json={"paused": True, "cron": "0 2 * * *"}, headers=PATCH)
        assert same.headers["etag"] == '"2"'
        timetable = (await made.client.patch(path, json={"timezone": "Europe/Berlin", "paused": False}, headers=PATCH)).json()
        after = await wanted(made, body["id"])
        assert [(era.cron, era.timezone) for era in after.eras] == [("0 2 * * *", "UTC"), ("0 2 * * *", "Europe/Berlin")]
        assert (timetable["paused"], after.pauses[-1].to is not None) == (False, True)
        for odd, pointer in (
            ({"name": "x"}, "/name"),
            ({"cron": None}, "/cron"),
            ({"template": None}, "/template"),
            ({"template": {"spec": {"ttl": "0s"}}}, "/template/spec/ttl"),
        ):
            response = await made.client.patch(path, json=odd, headers=PATCH)
            assert (response.status_code, [e["pointer"] for e in response.json()["errors"]]) == (422, [pointer]), odd
        assert (await made.client.patch(path, json=[1], headers=PATCH)).status_code == 422
        assert (await made.client.patch(path, content=b"{", headers=PATCH)).status_code == 400


async def test_pausing_resuming_and_skipping_say_which_slot_is_the_first_to_go_by_it(made):
    async with judging(made):
        body = await create(made, cron="0 2 1 1 *")  # far away from now, whenever that is
        path = f"{API}/schedules/{body['id']}"
        new_year = body["createdAt"][:4]
        first, second = (f"{int(new_year) + n}-01-01T02:00:00Z" for n in (1, 2))
        paused = (await made.client.post(f"{path}/pause")).json()
        assert (paused["paused"], paused["status"], paused["firstAffected"], paused["version"]) == (True, "Paused", first, 2)
        again = (await made.client.post(f"{path}/pause")).json()
        assert (again["firstAffected"], again["version"]) == (first, 2)
        resumed = (await made.client.post(f"{path}/resume")).json()
        assert (resumed["paused"], resumed["firstAffected"], resumed["version"]) == (False, first, 3)
        skipped = (await made.client.post(f"{path}/skip", json={"count": 1})).json()
        assert (skipped["skipNext"], skipped["firstAffected"]) == (1, first)
        wish = (await wanted(made, body["id"])).skip
        more = (await made.client.post(f"{path}/skip", json={"count": 1})).json()
        assert (more["skipNext"], more["firstAffected"]) == (1, first)
        assert (await wanted(made, body["id"])).skip.id != wish.id
        edited = (await made.client.patch(path, json={"description": "x"})).json()
        assert edited["firstAffected"] == second
        cleared = (await made.client.post(f"{path}/skip", json={"count": 0})).json()
        assert (cleared["skipNext"], cleared["firstAffected"]) == (0, first)
        for odd in ({"count": 1001}, {"count": -1}, {"count": "1"}, {}):
            response = await made.client.post(f"{path}/skip", json=odd)
            assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "/count"), odd


async def test_lists_are_filtered_sorted_and_counted(made):
    def velero(name, cluster, **facts):
        item = ScheduleItem(
            id=f"{cluster}-{name}", name=name, cluster=cluster, managed_by="Velero", status="Active", cron="@daily", **facts
        )
        return {"_id": item.id, "cluster": cluster, "listed": True, "item": to_document(item)}

    async with judging(made, storage_location={"name": "archive"}):
        ids = [(await create(made, name=name, cluster=cluster))["id"] for name, cluster in (("b", "eu1"), ("a", "us1"))]
        await made.status.writes(
            "schedule_status", velero("c", "eu1", last_backup_at=NOW), velero("shopping", "us1", next_run_at=NOW)
        )
        gone = {**velero("gone", "eu1"), "listed": False}
        await made.status.writes("schedule_status", gone)

        async def names(query=""):
            response = await made.client.get(f"{API}/schedules{query}")
            assert response.status_code == 200, response.text
            return [item["name"] for item in response.json()["items"]]

        assert await names() == ["a", "b", "c", "shopping"]
        assert await names("?sort=-cluster,name") == ["a", "shopping", "b", "c"]
        assert await names("?cluster=eu1&managedBy=Leeward") == ["b"]
        assert await names("?status=New&status=Paused&sort=-name") == ["b", "a"]
        assert await names("?storageLocation=archive") == ["a", "b"]
        assert await names("?search=hop") == ["shopping"]
        assert await names("?sort=-lastBackupAt&limit=1") == ["c"]
        assert (await names("?sort=nextRunAt"))[-2:] == sorted(["a", "b"]) or (await names("?sort=nextRunAt"))[1] == "shopping"
        first = (await made.client.get(f"{API}/schedules?limit=3")).json()
        rest = (await made.client.get(f"{API}/schedules?limit=3&cursor={first['nextCursor']}")).json()
        assert ([s["name"] for s in rest["items"]], rest["total"], rest["nextCursor"]) == (["shopping"], 4, None)
        for odd in ("?status=Deleted", "?managedBy=me", "?sort=cron", "?x=1"):
            assert (await made.client.get(f"{API}/schedules{odd}")).status_code == 400, odd
        assert (await made.client.get(f"{API}/schedules/summary")).json() == {
            "status": {"New": 2, "Active": 2, "Paused": 0, "FailedValidation": 0},
            "cluster": {"eu1": 2, "us1": 2},
            "managedBy": {"Leeward": 2, "Velero": 2},
        }
        assert (await made.client.get(f"{API}/schedules/{ids[0]}")).json()["storageLocation"]["name"] == "archive"


async def test_a_schedule_of_veleros_is_shown_and_not_changed(made):
    item = ScheduleItem(id="v1", name="old", cluster="eu1", managed_by="Velero", status="Paused", cron="@every 1h", paused=True)
    record = {"labelSelector": {"matchLabels": {"a.b": "c"}}}
    row = {"_id": "v1", "cluster": "eu1", "listed": True, "item": to_document(item), "asOf": NOW}
    row["detail"] = {"veleroTemplate": to_document(record)}
    await made.status.writes("schedule_status", row)
    shown = await made.client.get(f"{API}/schedules/v1")
    assert (shown.status_code, "etag" in shown.headers) == (200, False)
    assert shown.json()["veleroTemplate"] == record
    assert (shown.json()["template"], shown.json()["version"], shown.json()["asOf"]) == (None, None, "2026-03-01T12:00:00Z")
    for method, suffix, body in (
        ("PATCH", "", {"description": "b"}),
        ("POST", "/pause", None),
        ("POST", "/resume", None),
        ("POST", "/skip", {"count": 1}),
        ("POST", "/backups", {"name": "b"}),
        ("DELETE", "", None),
    ):
        response = await made.client.request(method, f"{API}/schedules/v1{suffix}", json=body)
        assert (response.status_code, response.json()["type"]) == (409, "/problems/managed-by-velero"), (method, suffix)
    assert (await made.client.get(f"{API}/schedules/v1/ticks")).json()["items"] == []


async def test_what_is_not_there_is_not_found(made):
    for method, suffix, body in (
        ("GET", "", None),
        ("GET", "/ticks", None),
        ("PATCH", "", {}),
        ("POST", "/pause", None),
        ("POST", "/skip", {"count": 1}),
        ("POST", "/backups", {"name": "b"}),
        ("DELETE", "", None),
    ):
        response = await made.client.request(method, f"{API}/schedules/nobody{suffix}", json=body)
        assert (response.status_code, response.json()["type"]) == (404, "/problems/not-found"), (method, suffix)


@takes_nats_away
async def test_without_nats_a_schedule_is_made_and_changed_and_only_a_backup_must_wait(made):
    made.nats.kill()
    body = await create(made, {"Prefer": "wait=0"})
    path = f"{API}/schedules/{body['id']}"
    assert (await made.client.post(f"{path}/pause", headers={"Prefer": "wait=0"})).status_code == 200
    assert (await wanted(made, body["id"])).paused
    away = await made.client.post(f"{path}/backups", json={"name": "b"})
    assert (away.status_code, away.json()["dependency"]) == (503, "nats")


async def test_without_the_database_every_answer_says_so_and_nothing_is_made(nats_server, tmp_path):
    mongo = MongoServer(tmp_path / "mongo", timeout=BRIEF)
    if mongo.external:
        pytest.skip("the database is not ours to stop")
    mongo.start()
    try:
        async with stack(nats_server, mongo, wait=0) as made:
            body = await create(made)
            path = f"{API}/schedules/{body['id']}"
            mongo.kill()
            for method, address, content in (
                ("GET", f"{API}/schedules", None),
                ("GET", path, None),
                ("GET", f"{path}/ticks", None),
                ("POST", f"{API}/schedules", {**BODY, "name": "other"}),
                ("PATCH", path, {"description": "x"}),
                ("POST", f"{path}/pause", None),
                ("POST", f"{path}/backups", {"name": "b"}),
                ("DELETE", path, None),
            ):
                away = await made.client.request(method, address, json=content)
                assert (away.status_code, away.json()["dependency"]) == (503, "mongodb"), (method, address)
            assert (await made.client.post(f"{API}/schedules/preview", json={"cron": "@daily"})).status_code == 200
    finally:
        mongo.kill()


async def test_a_record_that_cannot_be_read_is_told_of_and_harms_no_other(made):
    async with judging(made):
        good = await create(made)
        broken = {
            "_id": "odd",
            "cluster": "eu1",
            "listed": True,
            "item": {"name": "odd", "status": "Dancing", "managedBy": "Velero"},
        }
        await made.status.writes("schedule_status", broken)
        listed = (await made.client.get(f"{API}/schedules")).json()
        assert ([s["id"] for s in listed["items"]], listed["unreadable"]) == ([good["id"]], ["odd"])
        assert (await made.client.get(f"{API}/schedules/odd")).status_code == 500


def test_the_far_future_is_far():
    assert FAR > NOW
