"""Deleting backups over HTTP: real NATS with permissions, real database; cluster and status service are played by the test."""

import asyncio

import pytest

from shared.contracts.documents import to_document
from shared.contracts.phases import OperationState
from shared.contracts.refusals import Code, refusal
from tests.support.gateway import API, answering, backup_document, backup_item, stack
from tests.support.timing import takes_nats_away
from tests.support.waiting import eventually


@pytest.fixture
async def made(nats_server, mongo_server):
    async with stack(nats_server, mongo_server) as running:
        await running.status.writes("backups", row("b1", previous_ids=["old-b1"]))
        yield running


def row(backup_id, document=None, **facts):
    item = backup_item(backup_id, **{"name": f"name-of-{backup_id}", "phase": "Completed", **facts})
    return backup_document(item, aliases=item.previous_ids, **(document or {}))


def delete(made, backup_id="b1", **headers):
    return made.client.delete(f"{API}/backups/{backup_id}", headers={k.replace("_", "-"): v for k, v in headers.items()})


async def test_a_backup_that_is_gone_in_time_is_shown_as_deleted(made):
    async with answering(made, made.status.deletes):
        response = await delete(made, prefer="wait=20")
    assert response.status_code == 200, response.text
    assert (response.json()["id"], response.json()["status"]) == ("b1", "Deleted")
    assert response.headers["preference-applied"] == "wait=20"
    (command,) = made.commands_seen
    assert (command.cluster, command.type) == ("eu1", "dev.leeward.backup.delete.v1")
    assert (command.data.backup, command.data.name, command.data.ids) == ("b1", "name-of-b1", ["old-b1"])
    assert (command.expiresat - command.time).total_seconds() == 3600


async def test_a_backup_is_deleted_by_any_id_that_it_had(made):
    response = await delete(made, "old-b1", prefer="respond-async")
    assert response.status_code == 202
    assert (await delete(made, "nobody")).status_code == 404
    assert await made.commands() == 1


async def test_a_deletion_that_takes_longer_is_an_operation(made):
    async def accept(command):
        await made.status.ends(command, OperationState.ACCEPTED)

    async with answering(made, accept):
        operation = (await delete(made, idempotency_key="k1", prefer="respond-async")).json()["id"]
        await eventually("accepted", lambda: made.database["operations"].find_one({"_id": operation}))
    response = await delete(made, idempotency_key="k1", prefer="wait=1")
    body = response.json()
    assert (response.status_code, body["state"], body["kind"]) == (202, "Accepted", "backup.delete")
    assert response.headers["location"] == f"{API}/operations/{body['id']}"
    assert (await made.client.get(response.headers["location"])).json()["state"] == "Accepted"


async def test_what_the_cluster_refuses_is_told_in_its_words(made):
    said = refusal(Code.LOCATION_READ_ONLY, pointer="", location="default")
    async with answering(made, lambda command: made.status.rejects(command, said)):
        response = await delete(made, prefer="wait=20")
    assert (response.status_code, response.json()["code"]) == (said.status, "LocationReadOnly")
    assert response.json()["detail"] == said.detail


async def test_what_velero_could_not_delete_is_told_in_its_words(made):
    said = refusal(Code.DELETION_FAILED, name="name-of-b1", message="bucket is on fire")

    async def fail(command):
        deletion = {
            "operationId": str(command.operationid),
            "by": "anonymous",
            "errors": ["bucket is on fire", "so is the disk"],
        }
        await made.status.writes("backups", row("b1", {"detail": to_document({"deletion": deletion})}))
        await made.status.ends(command, OperationState.FAILED, said)

    async with answering(made, fail):
        response = await delete(made, prefer="wait=20")
    body = response.json()
    assert (response.status_code, body["type"], body["code"]) == (409, "/problems/deletion-failed", "DeletionFailed")
    assert body["detail"] == "Velero did not delete backup name-of-b1: bucket is on fire"
    assert [e["detail"] for e in body["errors"]] == ["bucket is on fire", "so is the disk"]
    shown = (await made.client.get(f"{API}/backups/b1")).json()
    assert (shown["status"], shown["deletion"]["errors"][0]) == ("Completed", "bucket is on fire")


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"status": "Deleted", "present": False}, "BackupGone"),
        ({"status": "Creating", "phase": "InProgress"}, "BackupNotEnded"),
        ({"replica": True}, "BackupIsReplica"),
    ],
    ids=str,
)
async def test_what_the_row_knows_is_told_before_anything_is_sent(made, facts, code):
    await made.status.writes("backups", row("b1", {"owner": "us1"}, **facts))
    response = await delete(made)
    body = response.json()
    assert (response.status_code, body["type"], body["code"]) == (409, "/problems/refused", code)
    assert await made.commands() == 0


async def test_the_same_key_is_the_same_deletion_also_when_the_backup_is_gone_by_then(made):
    async with answering(made, made.status.deletes):
        first = await delete(made, idempotency_key="k1", prefer="wait=20")
        again = await delete(made, idempotency_key="k1", prefer="wait=20")
        other = await delete(made, idempotency_key="k2", prefer="wait=20")
    assert (first.status_code, again.status_code, other.status_code) == (200, 200, 409)
    assert first.json() == again.json()
    assert await made.commands() == 1


async def test_a_key_still_stands_for_its_deletion_when_the_backup_has_got_another_id(made):
    await delete(made, idempotency_key="k1")
    await made.status.writes("backups", row("b1", previous_ids=["old-b1", "older-b1"]))
    again = await delete(made, idempotency_key="k1")
    assert again.status_code == 202
    assert await made.commands() == 1


@takes_nats_away
async def test_without_nats_the_outcome_is_unknown_and_without_the_database_nothing_is_sent(made):
    made.nats.kill()
    lost = await delete(made, idempotency_key="k1")
    assert (lost.status_code, lost.json()["type"]) == (503, "/problems/outcome-unknown")
    made.nats.start()
    await made.ready()
    assert (await delete(made, idempotency_key="k1")).json()["id"] == lost.json()["operationId"]


# ---------------------------------------------------------------------- many at once


def delete_many(made, *ids, **more):
    headers = {k.replace("_", "-"): v for k, v in more.pop("headers", {}).items()}
    return made.client.post(f"{API}/backups/delete", json={"ids": list(ids), **more}, headers=headers)


async def test_many_are_asked_for_at_once_and_each_has_its_own_answer(made):
    await made.status.writes("backups", row("b2", cluster="us1"), row("b3", status="Creating", phase="InProgress"))
    response = await delete_many(made, "old-b1", "b2", "b3", "nobody", deadline="2h")
    assert response.status_code == 202, response.text
    first, second, busy, unknown = response.json()["items"]
    assert (first["id"], first["operation"]["kind"], first["problem"]) == ("old-b1", "backup.delete", None)
    assert (second["operation"]["cluster"], second["operation"]["state"]) == ("us1", "Queued")
    assert (busy["operation"], busy["problem"]["status"], busy["problem"]["code"]) == (None, 409, "BackupNotEnded")
    assert (unknown["problem"]["status"], unknown["problem"]["type"]) == (404, "/problems/not-found")
    assert await made.commands() == 2
    operation = (await made.client.get(f"{API}/operations/{first['operation']['id']}")).json()
    assert (operation["state"], operation["deadline"]) == ("Queued", first["operation"]["deadline"])


async def test_many_again_with_one_key_are_the_same_operations(made):
    await made.status.writes("backups", *(row(f"c{n}") for n in range(30)))
    ids = [f"c{n}" for n in range(30)]
    first, again = [(await delete_many(made, *ids, headers={"idempotency_key": "k"})).json() for _ in range(2)]
    assert [i["operation"]["id"] for i in first["items"]] == [i["operation"]["id"] for i in again["items"]]
    assert await made.commands() == 30
    changed = (await delete_many(made, *ids[:1], deadline="2h", headers={"idempotency_key": "k"})).json()
    assert changed["items"][0]["problem"]["type"] == "/problems/idempotency-key-reused"


@takes_nats_away
async def test_many_while_nats_is_away_are_not_said_to_be_stored(made):
    made.nats.kill()
    response = await delete_many(made, "b1")
    assert (response.status_code, response.json()["type"]) == (503, "/problems/outcome-unknown")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"ids": []}, "/ids"),
        ({"ids": ["a", "a"]}, "/ids"),
        ({"ids": ["a"] * 501}, "/ids"),
        ({"ids": [1]}, "/ids/0"),
        ({"ids": [""]}, "/ids/0"),
        ({}, "/ids"),
        ({"ids": ["a"], "deadline": "0"}, "/deadline"),
        ({"ids": ["a"], "force": True}, "/force"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_list_that_is_none_is_refused_by_its_field(made, body, pointer):
    response = await made.client.post(f"{API}/backups/delete", json=body)
    assert (response.status_code, [e["pointer"] for e in response.json()["errors"]]) == (422, [pointer])


async def test_twenty_at_once_with_one_key_are_one_deletion(made):
    responses = await asyncio.gather(*(delete(made, idempotency_key="k1", prefer="wait=0") for _ in range(20)))
    assert {r.status_code for r in responses} == {202}
    assert len({r.json()["id"] for r in responses}) == 1
    assert await made.commands() == 1
