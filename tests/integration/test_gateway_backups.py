"""Asking for a backup: real HTTP, real NATS with permissions, real database; the cluster is played by the test."""

import asyncio
import json
import time

import pytest

from services.gateway.settings import GatewayHttp
from shared.contracts.backupspec import BackupSpec
from shared.contracts.phases import BackupStatus, OperationState
from shared.contracts.refusals import Code, refusal
from shared.messaging.outcomes import Unavailable
from shared.messaging.publisher import Publisher
from tests.support.gateway import (
    API,
    answering,
    backup_document,
    backup_item,
    cluster_document,
    operation_item,
    running,
    stack,
    tokens_file,
)
from tests.support.servers import free_port
from tests.support.timing import takes_nats_away
from tests.support.waiting import eventually

WANTED = {"name": "shop", "cluster": "eu1", "scope": {"kind": "specific", "namespaces": ["shop"]}, "labels": {"team": "shop"}}


@pytest.fixture
async def made(nats_server, mongo_server):
    async with stack(nats_server, mongo_server) as running:
        yield running


def ask(made, body=None, **headers):
    return made.client.post(f"{API}/backups", json=body or WANTED, headers={k.replace("_", "-"): v for k, v in headers.items()})


async def test_a_backup_that_the_cluster_accepts_in_time_is_created(made):
    async with answering(made, made.status.accepts):
        response = await ask(made, prefer="wait=20")
    assert response.status_code == 201, response.text
    body = response.json()
    assert (body["name"], body["status"], body["scope"]["namespaces"]) == ("shop", "Creating", ["shop"])
    assert response.headers["location"] == f"{API}/backups/{body['id']}"
    assert response.headers["preference-applied"] == "wait=20"
    (command,) = made.commands_seen
    assert (command.cluster, command.principal, command.operationid) == ("eu1", "anonymous", body["operationId"])
    assert command.id == command.operationid
    assert (command.expiresat - command.time).total_seconds() == 3600
    assert command.data.labels == {"team": "shop"}
    shown = (await made.client.get(response.headers["location"])).json()
    assert shown == body


async def test_the_whole_spec_reaches_the_cluster_with_days_in_hours(made):
    spec = {
        "ttl": "30d",
        "datamover": "kopia",
        "orLabelSelectors": [{"matchLabels": {"a.b/c": "d"}}],
        "hooks": {"resources": [{"name": "h", "pre": [{"exec": {"command": ["sync"], "timeout": "30s"}}]}]},
        "orderedResources": {"pods": "shop/a,shop/b"},
        "snapshotVolumes": None,
    }
    async with answering(made, made.status.accepts):
        response = await ask(made, {**WANTED, "spec": spec, "deadline": "2d"}, prefer="wait=20")
    assert response.status_code == 201
    (command,) = made.commands_seen
    assert command.data.spec == BackupSpec.model_validate({**spec, "ttl": "720h", "datamover": "velero"})
    assert (command.expiresat - command.time).total_seconds() == 48 * 3600


async def test_a_cluster_that_does_not_answer_in_time_leaves_an_operation(made):
    response = await ask(made, prefer="wait=0")
    assert response.status_code == 202
    body = response.json()
    assert response.headers["location"] == f"{API}/operations/{body['id']}"
    assert (body["state"], body["kind"], body["cluster"], body["principal"]) == ("Queued", "backup.create", "eu1", "anonymous")
    assert (await made.client.get(response.headers["location"])).json() == body


async def test_a_client_that_does_not_want_to_wait_does_not(made):
    response = await ask(made, prefer="respond-async")
    assert (response.status_code, response.headers["preference-applied"]) == (202, "respond-async")


async def test_an_accepted_operation_without_its_row_is_still_an_operation(made):
    async def accept(command):
        item = operation_item(str(command.operationid), OperationState.ACCEPTED)
        await made.status.writes("operations", {"_id": item.id, "item": item.model_dump(mode="python", by_alias=True)})
        await made.status.announces("operation", item)

    async with answering(made, accept):
        operation = (await ask(made, idempotency_key="k1", prefer="respond-async")).json()["id"]
        await eventually("accepted", lambda: made.database["operations"].find_one({"_id": operation}))
    response = await ask(made, idempotency_key="k1", prefer="wait=1")
    assert (response.status_code, response.json()["state"]) == (202, "Accepted")


async def test_the_row_that_comes_after_the_acceptance_is_waited_for(made):
    async def accept_then_show(command):
        operation = str(command.operationid)
        item = operation_item(operation, OperationState.ACCEPTED)
        await made.status.writes("operations", {"_id": operation, "item": item.model_dump(mode="python", by_alias=True)})
        await made.status.announces("operation", item)
        backup = backup_item(operation, status=BackupStatus.CREATING)
        await made.status.writes("backups", backup_document(backup))
        await made.status.announces("backup", backup)

    begun = time.monotonic()
    async with answering(made, accept_then_show):
        response = await ask(made, prefer="wait=60")
    assert response.status_code == 201
    assert time.monotonic() - begun < 30, "the answer was not woken by the announcement"


@pytest.mark.parametrize(
    ("said", "status", "pointer"),
    [
        (refusal(Code.NAME_TAKEN, cluster="eu1", name="shop"), 409, "/name"),
        (refusal(Code.NAMESPACE_UNKNOWN, cluster="eu1", names="shop"), 422, "/scope/namespaces"),
        (refusal(Code.LOCATION_READ_ONLY, location="default"), 422, "/spec/storageLocation"),
    ],
    ids=lambda value: getattr(value, "code", None),
)
async def test_a_refusal_of_the_cluster_is_told_with_its_field(made, said, status, pointer):
    async with answering(made, lambda command: made.status.rejects(command, said)):
        response = await ask(made, prefer="wait=20")
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert (body["type"], body["code"], body["detail"]) == ("/problems/refused", said.code, said.detail)
    assert body["errors"] == [{"pointer": pointer, "detail": said.detail}]
    operation = (await made.client.get(f"{API}/operations/{body['operationId']}")).json()
    assert operation["refusal"]["code"] == said.code


async def test_nothing_that_is_refused_here_is_published(made):
    bad = [
        (422, json.dumps({**WANTED, "spec": {"ttl": "banana"}}), "application/json"),
        (422, json.dumps({**WANTED, "surprise": 1}), "application/json"),
        (422, json.dumps({**WANTED, "cluster": "nowhere"}), "application/json"),
        (400, "{", "application/json"),
        (415, json.dumps(WANTED), "text/plain"),
        (413, json.dumps({**WANTED, "labels": {"a": "x" * 600_000}}), "application/json"),
    ]
    for status, body, media_type in bad:
        response = await made.client.post(f"{API}/backups", content=body, headers={"content-type": media_type})
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json"
    assert (await made.client.post(f"{API}/backups", content=json.dumps(WANTED))).status_code == 415
    assert await made.commands() == 0


async def test_a_body_that_comes_in_pieces_is_cut_off_at_the_limit(made):
    async def endless():
        for _ in range(2000):
            yield b" " * 1024

    response = await made.client.post(f"{API}/backups", content=endless(), headers={"content-type": "application/json"})
    assert response.status_code == 413


async def test_a_small_body_that_grows_too_large_for_a_message_is_refused(made):
    hooks = {"resources": [{"name": "a"}] * 20_000}
    response = await ask(made, {**WANTED, "spec": {"hooks": hooks}})
    assert (response.status_code, response.json()["type"]) == (413, "/problems/body-too-large")
    assert await made.commands() == 0


async def test_an_unknown_cluster_is_named_along_with_everything_else(made):
    response = await ask(made, {**WANTED, "cluster": "nowhere", "name": "A"})
    assert {e["pointer"] for e in response.json()["errors"]} == {"/cluster", "/name"}


async def test_a_cluster_that_only_reports_is_known(made):
    await made.status.writes("cluster_state", cluster_document("us1"))
    assert (await ask(made, {**WANTED, "cluster": "us1"})).status_code == 202


async def test_the_same_request_twice_is_one_command_and_one_answer(made):
    async with answering(made, made.status.accepts):
        first = await ask(made, idempotency_key="k1", prefer="wait=20")
        again = await ask(made, idempotency_key="k1", prefer="wait=20")
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert await made.commands() == 1


async def test_twenty_at_once_with_one_key_are_one_command(made):
    responses = await asyncio.gather(*(ask(made, idempotency_key="k1") for _ in range(20)))
    assert {r.status_code for r in responses} == {202}
    assert len({r.json()["id"] for r in responses}) == 1
    assert await made.commands() == 1


async def test_two_requests_without_a_key_are_two(made):
    first, second = await ask(made), await ask(made)
    assert first.json()["id"] != second.json()["id"]
    assert await made.commands() == 2


@pytest.mark.parametrize("other", [{"name": "other"}, {"cluster": "us1"}, {"spec": {"ttl": "1h"}}, {"deadline": "2h"}], ids=str)
async def test_a_key_stands_for_one_request_only(made, other):
    await made.status.writes("cluster_state", cluster_document("us1"))
    first = await ask(made, idempotency_key="k1")
    response = await ask(made, {**WANTED, **other}, idempotency_key="k1")
    assert (response.status_code, response.json()["type"]) == (422, "/problems/idempotency-key-reused")
    assert response.json()["operationId"] == first.json()["id"]
    assert await made.commands() == 1


async def test_a_key_used_with_another_spelling_of_the_same_request_is_the_same_request(made):
    first = await ask(made, {**WANTED, "spec": {"ttl": "30d"}}, idempotency_key="k1")
    again = await ask(made, {**WANTED, "spec": {"ttl": "720h"}, "deadline": "60m"}, idempotency_key="k1")
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])


async def test_a_repeated_key_whose_operation_cannot_be_read_is_not_answered_by_a_guess(made):
    first = (await ask(made, idempotency_key="k1")).json()["id"]
    await made.status.writes("operations", {"_id": first, "item": {"state": "Dancing"}})
    again = await ask(made, idempotency_key="k1")
    assert (again.status_code, again.json()["type"]) == (500, "/problems/unreadable-document")
    assert again.json()["operationId"] == first


async def test_the_same_key_still_answers_after_the_cluster_was_forgotten(made):
    first = await ask(made, idempotency_key="k1")
    assert (await made.client.delete(f"{API}/clusters/eu1")).status_code == 204
    assert (await ask(made, idempotency_key="k1")).json()["id"] == first.json()["id"]
    assert (await ask(made, idempotency_key="k2")).status_code == 422


async def test_one_persons_key_is_not_anothers(nats_server, mongo_server, tmp_path):
    tokens = tokens_file(tmp_path / "tokens.json", anna="operator", eve="operator")
    async with stack(nats_server, mongo_server, tokens_file=tmp_path / "tokens.json") as made:
        ids = {(await ask(made, idempotency_key="k1", authorization=tokens[name])).json()["id"] for name in ("anna", "eve")}
        assert len(ids) == 2


@takes_nats_away
async def test_without_nats_the_outcome_is_unknown_and_the_same_key_finds_it_later(made):
    made.nats.kill()
    response = await ask(made, idempotency_key="k1")
    body = response.json()
    assert (response.status_code, body["type"], body["dependency"]) == (503, "/problems/outcome-unknown", "nats")
    report = (await made.client.get("/readyz")).json()
    assert "nats" in report["missing"]
    made.nats.start()
    await made.ready()
    again = await ask(made, idempotency_key="k1")
    assert (again.status_code, again.json()["id"]) == (202, body["operationId"])
    assert await made.commands() == 1


async def test_a_command_whose_confirmation_was_lost_is_found_again(made):
    """The command is stored, the confirmation does not come: the gateway cannot know, and must not claim to."""
    publish = Publisher.publish_command

    async def stored_but_not_heard(self, subject, envelope):
        await publish(self, subject, envelope)
        raise Unavailable("nats", "no answer")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Publisher, "publish_command", stored_but_not_heard)
        lost = await ask(made, idempotency_key="k1")
    assert (lost.status_code, lost.json()["type"]) == (503, "/problems/outcome-unknown")
    operation = lost.json()["operationId"]
    assert (await made.client.get(f"{API}/operations/{operation}")).json()["state"] == "Queued"
    again = await ask(made, idempotency_key="k1")
    assert (again.status_code, again.json()["id"], await made.commands()) == (202, operation, 1)


@takes_nats_away
async def test_a_server_that_hangs_is_an_unknown_outcome_too(made):
    first = await ask(made, idempotency_key="k1")
    made.nats.pause()
    try:
        lost = await ask(made, idempotency_key="k1")
        assert (lost.status_code, lost.json()["operationId"]) == (503, first.json()["id"])
    finally:
        made.nats.resume()
    await made.ready()
    assert (await ask(made, idempotency_key="k1")).json()["id"] == first.json()["id"]
    assert await made.commands() == 1


async def test_operations_work_from_the_first_instant_and_know_when_the_cluster_was_seen(made):
    operation = (await ask(made)).json()["id"]
    await made.status.writes("cluster_state", cluster_document("eu1", "Offline"))
    shown = (await made.client.get(f"{API}/operations/{operation}")).json()
    assert (shown["state"], shown["clusterLastSeenAt"]) == ("Queued", "2026-03-01T12:00:00Z")
    item = operation_item(operation, OperationState.SUCCEEDED)
    await made.status.writes("operations", {"_id": operation, "item": item.model_dump(mode="python", by_alias=True)})
    assert (await made.client.get(f"{API}/operations/{operation}")).json()["state"] == "Succeeded"


@pytest.mark.parametrize("unknown", ["nope", "a.b", "*", ">", "a%20b", "x" * 200])
async def test_an_unknown_operation_is_not_found(made, unknown):
    response = await made.client.get(f"{API}/operations/{unknown}")
    assert (response.status_code, response.json()["type"]) == (404, "/problems/not-found")


@takes_nats_away
async def test_a_gateway_that_starts_before_nats_answers_what_it_can(nats_server, mongo_server):
    async with stack(nats_server, mongo_server) as made:
        made.nats.kill()
        late = made.settings.model_copy(update={"http": GatewayHttp(port=free_port())})
        async with running(late) as client:
            assert (await client.get(f"{API}/backups")).status_code == 200
            assert (await client.post(f"{API}/backups", json=WANTED)).status_code == 503
            assert (await client.get(f"{API}/operations/x")).json()["dependency"] == "nats"
            made.nats.start()

            async def ready():
                return (await client.get("/readyz")).status_code == 200

            await eventually("ready", ready)
            assert (await client.post(f"{API}/backups", json=WANTED)).status_code == 202
