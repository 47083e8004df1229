"""Backups that a person makes from a schedule: like any other, of its template."""

from datetime import timedelta

import pytest

from shared.contracts.commands import BackupCreate, Origin, ScheduleTrigger
from shared.contracts.refusals import Code, refusal
from tests.support.gateway import API, answering, stack
from tests.support.schedules import create

NOWAIT = {"Prefer": "wait=0"}


@pytest.fixture
async def made(nats_server, mongo_server):
    async with stack(nats_server, mongo_server, wait=0) as running_stack:
        yield running_stack


async def test_a_backup_from_a_schedule_is_one_of_its_template_also_while_it_is_paused(made):
    template = {
        "labels": {"team": "shop"},
        "scope": {"kind": "production"},
        "spec": {"ttl": "168h", "storageLocation": "archive", "datamover": "kopia"},
    }
    body = await create(made, NOWAIT, paused=True, template=template)
    path = f"{API}/schedules/{body['id']}/backups"
    async with answering(made, made.status.accepts):
        response = await made.client.post(path, json={"name": "by-hand", "deadline": "2h"}, headers={"Prefer": "wait=20"})
        assert response.status_code == 201, response.text
        assert response.headers["location"] == f"{API}/backups/{response.json()['id']}"
        assert response.json()["name"] == "by-hand"
    (command,) = made.commands_seen
    data = command.data
    assert isinstance(data, BackupCreate)
    assert not isinstance(data, ScheduleTrigger)
    assert (command.type, command.cluster, command.principal) == ("dev.leeward.backup.create.v1", "eu1", "anonymous")
    assert command.expiresat - command.time == timedelta(hours=2)
    assert data.schedule == Origin(id=body["id"], name="nightly")
    assert (data.labels, data.spec.ttl, data.spec.storage_location, data.spec.datamover) == (
        *({"team": "shop"}, "168h", "archive"),
        "velero",
    )
    assert (data.scope.kind, data.environments is not None) == ("production", True)


async def test_a_repeated_request_from_a_schedule_makes_one_backup_though_the_template_has_changed(made):
    body = await create(made, NOWAIT)
    path, key = f"{API}/schedules/{body['id']}/backups", {"Idempotency-Key": "k", **NOWAIT}
    first = await made.client.post(path, json={"name": "by-hand"}, headers=key)
    assert first.status_code == 202
    await made.client.patch(f"{API}/schedules/{body['id']}", json={"template": {"spec": {"ttl": "1h"}}})
    again = await made.client.post(path, json={"name": "by-hand"}, headers=key)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    other = await made.client.post(path, json={"name": "other"}, headers=key)
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")
    assert await made.commands() == 1


async def test_a_refusal_is_told_as_that_of_any_backup(made):
    body = await create(made, NOWAIT)
    path = f"{API}/schedules/{body['id']}/backups"
    no = refusal(Code.NAME_TAKEN, cluster="eu1", name="by-hand")
    async with answering(made, lambda command: made.status.rejects(command, no)):
        response = await made.client.post(path, json={"name": "by-hand"}, headers={"Prefer": "wait=20"})
    assert (response.status_code, response.json()["code"], response.json()["errors"][0]["pointer"]) == (
        409,
        "NameTaken",
        "/name",
    )
    unknown = await create(made, NOWAIT, cluster="nowhere")
    response = await made.client.post(f"{API}/schedules/{unknown['id']}/backups", json={"name": "b"})
    assert (response.status_code, response.json()["code"]) == (422, "ClusterUnknown")
    for odd, pointer in (
        ({"name": "B"}, "/name"),
        ({"name": "b", "deadline": "0s"}, "/deadline"),
        ({"name": "b", "x": 1}, "/x"),
    ):
        response = await made.client.post(path, json=odd)
        assert (response.status_code, [e["pointer"] for e in response.json()["errors"]]) == (422, [pointer])
