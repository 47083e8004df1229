"""Locations over HTTP: real NATS with permissions, real database; cluster and status service are played by the test."""

import json

import pytest

from shared.contracts.commands import Sealed
from shared.contracts.phases import OperationState
from shared.contracts.refusals import Code, refusal
from tests.support.gateway import API, answering, backup_document, backup_item, snapshot_location_document, stack
from tests.support.gateway_restores import restore_document, restore_item
from tests.support.locations import KEYS, MARKER, SPEC, Cluster, storage
from tests.support.schedules import BODY as SCHEDULE
from tests.support.servers import MongoServer
from tests.support.timing import BRIEF

WHERE = f"{API}/clusters/eu1/storage-locations"
SNAPSHOTS = f"{API}/clusters/eu1/snapshot-locations"
NEW = {"name": "main", "spec": SPEC}
WAIT = {"Prefer": "wait=20"}
ASYNC = {"Prefer": "respond-async"}
PATCH = {"content-type": "application/merge-patch+json"}


@pytest.fixture
async def made(nats_server, mongo_server):
    async with stack(nats_server, mongo_server) as running:
        yield running


@pytest.fixture
async def cluster(made):
    played = Cluster(made)
    await played.tells_its_key()
    return played


async def stored(made):
    """Every command as it lies in the stream."""
    return [
        json.loads((await made.admin.stream.get_msg("LW_COMMANDS", seq)).data) for seq in range(1, await made.commands() + 1)
    ]


# ---------------------------------------------------------------------- making


async def test_a_location_is_answered_as_the_cluster_has_it_and_its_credential_is_for_the_cluster_alone(made, cluster):
    async with answering(made, cluster.obeys):
        response = await made.client.post(WHERE, json={**NEW, "credential": KEYS}, headers=WAIT)
    assert response.status_code == 201, response.text
    body = response.json()
    assert (body["name"], body["cluster"], body["bucket"], body["status"]) == ("main", "eu1", "velero", "Available")
    assert body["spec"]["credential"] == {"name": "leeward-main", "key": "cloud"}
    assert response.headers["location"] == f"{WHERE}/main"
    (command,) = made.commands_seen
    assert (command.type, command.cluster) == ("dev.leeward.location.apply.v1", "eu1")
    assert (command.data.name, command.data.expected, command.data.shared_bucket) == ("main", None, False)
    assert cluster.opened(command) == (f"[default]\naws_access_key_id={MARKER}-id\naws_secret_access_key={MARKER}-key\n")
    assert MARKER not in json.dumps(await stored(made))
    shown = await made.client.get(f"{WHERE}/main")
    assert (shown.status_code, shown.json(), shown.headers["etag"]) == (200, body, response.headers["etag"])
    for listing in (WHERE, f"{API}/storage-locations?cluster=eu1"):
        assert [item["name"] for item in (await made.client.get(listing)).json()["items"]] == ["main"]


async def test_a_location_of_a_silent_cluster_is_an_operation_and_a_repetition_is_the_same_one(made, cluster):
    body = {**NEW, "credential": KEYS, "deadline": "2h"}
    headers = {**ASYNC, "Idempotency-Key": "k1"}
    first = await made.client.post(WHERE, json=body, headers=headers)
    assert (first.status_code, first.json()["state"], first.json()["kind"]) == (202, "Queued", "location.apply")
    assert first.headers["location"] == f"{API}/operations/{first.json()['id']}"
    again = await made.client.post(WHERE, json=body, headers=headers)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    other = {**KEYS, "secretAccessKey": "another"}
    assert (await made.client.post(WHERE, json={**body, "credential": other}, headers=headers)).status_code == 202
    for odd in (NEW, {**body, "deadline": "3h"}, {**body, "name": "other"}):
        response = await made.client.post(WHERE, json=odd, headers=headers)
        assert (response.status_code, response.json()["type"]) == (422, "/problems/idempotency-key-reused")
    assert await made.commands() == 1


async def test_what_the_cluster_refuses_is_told_in_its_words(made, cluster):
    said = refusal(Code.LOCATION_TAKEN, cluster="eu1", kind="storage location", name="main")

    async def refuse(command):
        await made.status.rejects(command, said)

    async with answering(made, refuse):
        response = await made.client.post(WHERE, json=NEW, headers=WAIT)
    assert (response.status_code, response.json()["code"], response.json()["detail"]) == (409, "LocationTaken", said.detail)


async def test_without_a_key_of_the_cluster_a_credential_goes_nowhere_and_the_answer_says_what_to_do(made):
    response = await made.client.post(WHERE, json={**NEW, "credential": KEYS}, headers=ASYNC)
    body = response.json()
    assert (response.status_code, body["type"]) == (409, "/problems/sealing-key-unknown")
    assert "leeward-executor-key" in body["detail"]
    assert "spec.credential" in body["detail"]
    assert await made.commands() == 0
    named = {**NEW, "spec": {**SPEC, "credential": {"name": "mine", "key": "cloud"}}}
    assert (await made.client.post(WHERE, json=named, headers=ASYNC)).status_code == 202


async def test_nobody_writes_where_another_one_does_unless_a_person_says_so(made, cluster):
    theirs = {**SPEC, "provider": "velero.io/aws", "objectStorage": {"bucket": "velero", "prefix": "/eu/"}}
    await made.status.writes("locations", storage("default", "us1", theirs))
    response = await made.client.post(WHERE, json=NEW, headers=ASYNC)
    body = response.json()
    assert (response.status_code, body["type"], body["code"]) == (409, "/problems/bucket-shared", "BucketShared")
    assert "Storage location default of cluster us1" in body["detail"]
    assert [error["pointer"] for error in body["errors"]] == ["/spec/objectStorage"]
    reading = {**NEW, "spec": {**SPEC, "accessMode": "ReadOnly"}}
    assert (await made.client.post(WHERE, json=reading, headers=ASYNC)).status_code == 202
    async with answering(made, cluster.obeys):
        allowed = await made.client.post(f"{WHERE}?allowSharedBucket=true", json={**NEW, "name": "both"}, headers=WAIT)
    assert (allowed.status_code, allowed.json()["sharedBucket"]) == (201, True)
    rotated = await made.client.patch(f"{WHERE}/both", json={"credential": KEYS}, headers={**PATCH, **ASYNC})
    assert rotated.status_code == 202
    assert (await stored(made))[-1]["data"]["sharedBucket"] is True
    moved = {"spec": {"objectStorage": {"prefix": "else"}}}
    assert (await made.client.patch(f"{WHERE}/both", json=moved, headers={**PATCH, **ASYNC})).status_code == 202
    assert (await stored(made))[-1]["data"]["sharedBucket"] is False


# ---------------------------------------------------------------------- changing


async def test_a_change_goes_by_what_was_seen_and_is_refused_when_that_is_old(made, cluster):
    await made.status.writes("locations", storage())
    etag = (await made.client.get(f"{WHERE}/main")).headers["etag"]
    async with answering(made, cluster.obeys):
        change = {"spec": {"config": {"region": None, "s3ForcePathStyle": "true"}, "validationFrequency": "5m"}}
        response = await made.client.patch(f"{WHERE}/main", json=change, headers={**PATCH, **WAIT, "If-Match": etag})
    assert response.status_code == 200, response.text
    assert response.json()["spec"]["config"] == {"s3ForcePathStyle": "true"}
    assert response.json()["spec"]["objectStorage"] == SPEC["objectStorage"]
    assert response.headers["etag"] != etag
    (command,) = made.commands_seen
    assert (f'"{command.data.expected}"', command.data.credential) == (etag, None)
    stale = await made.client.patch(f"{WHERE}/main", json=change, headers={**PATCH, **ASYNC, "If-Match": etag})
    assert (stale.status_code, stale.headers["etag"]) == (412, response.headers["etag"])
    assert await made.commands() == 1


async def test_what_was_changed_behind_our_back_is_told_by_the_cluster(made, cluster):
    await made.status.writes("locations", storage())
    said = refusal(Code.LOCATION_CHANGED, cluster="eu1", kind="storage location", name="main")
    async with answering(made, lambda command: made.status.rejects(command, said)):
        response = await made.client.patch(f"{WHERE}/main", json={"spec": {"default": True}}, headers={**PATCH, **WAIT})
    assert (response.status_code, response.json()["code"]) == (412, "LocationChanged")


async def test_a_credential_alone_is_replaced_and_the_secret_that_was_named_is_left(made, cluster):
    await made.status.writes("locations", storage(spec={**SPEC, "credential": {"name": "mine", "key": "cloud"}}))
    async with answering(made, cluster.obeys):
        response = await made.client.patch(f"{WHERE}/main", json={"credential": KEYS}, headers={**PATCH, **WAIT})
    assert (response.status_code, response.json()["spec"]["credential"]["name"]) == (200, "leeward-main")
    (command,) = made.commands_seen
    assert command.data.spec.credential is None
    assert MARKER in cluster.opened(command)


async def test_a_change_repeated_after_it_was_done_is_the_same_operation(made, cluster):
    await made.status.writes("locations", storage())
    etag = (await made.client.get(f"{WHERE}/main")).headers["etag"]
    headers = {**PATCH, **WAIT, "Idempotency-Key": "k1", "If-Match": etag}
    change = {"spec": {"config": {"region": "us"}}}
    async with answering(made, cluster.obeys):
        first = await made.client.patch(f"{WHERE}/main", json=change, headers=headers)
        again = await made.client.patch(f"{WHERE}/main", json=change, headers=headers)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    other = await made.client.patch(f"{WHERE}/main", json={"spec": {"config": {"region": "ap"}}}, headers=headers)
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")
    assert await made.commands() == 1


async def test_what_there_is_not_cannot_be_looked_at_changed_or_removed(made, cluster):
    await made.status.writes("locations", storage("gone", status="Deleted"))
    for address in (f"{WHERE}/none", f"{WHERE}/gone", f"{SNAPSHOTS}/none", f"{API}/clusters/none/storage-locations/x"):
        for method, body in (("GET", None), ("PATCH", {}), ("DELETE", None)):
            response = await made.client.request(method, address, json=body)
            assert (response.status_code, response.json()["type"]) == (404, "/problems/not-found"), (method, address)
    nowhere = await made.client.post(f"{API}/clusters/none/storage-locations", json=NEW)
    assert (nowhere.status_code, nowhere.json()["type"]) == (404, "/problems/not-found")
    assert await made.commands() == 0


# ---------------------------------------------------------------------- removing


async def test_a_location_that_is_needed_is_removed_only_by_force(made, cluster):
    await made.status.writes("locations", storage())
    for number in range(7):
        item = backup_item(f"b{number}", storage_location="main")
        await made.status.writes("backups", backup_document(item))
    others = {
        "copy": {"storage_location": "main", "replica": True},
        "refused": {"storage_location": "main", "present": False, "status": "Failed"},
        "deleted": {"storage_location": "main", "status": "Deleted"},
        "elsewhere": {"storage_location": "main", "cluster": "us1"},
        "other": {"storage_location": "other"},
    }
    for name, facts in others.items():
        await made.status.writes("backups", backup_document(backup_item(name, **facts)))
    template = {"scope": {"kind": "all"}, "spec": {"storageLocation": "main"}}
    await made.client.post(f"{API}/schedules", json={**SCHEDULE, "name": "nightly", "template": template}, headers=ASYNC)
    by_default = {"_id": "s", "listed": True, "item": {"name": "weekly", "cluster": "eu1", "storageLocation": {"name": "main"}}}
    await made.status.writes("schedule_status", by_default)
    reads = {"status": "Restoring", "backup": {"id": "elsewhere", "name": "shop", "cluster": "us1"}}
    await made.status.writes("locations", storage("main", "us1"))
    await made.status.writes(
        "restores",
        restore_document(restore_item("reading", **reads)),
        restore_document(restore_item("ended", **{**reads, "status": "Completed"})),
        restore_document(restore_item("into-us1", cluster="us1", **reads)),
        restore_document(restore_item("from-other", status="Restoring", backup={"id": "other", "name": "shop"})),
    )
    response = await made.client.delete(f"{WHERE}/main")
    body = response.json()
    assert (response.status_code, body["type"], body["code"]) == (409, "/problems/location-in-use", "LocationInUse")
    assert (
        "2 schedules (nightly, weekly) and 1 running restore (reading) and 7 backups (b0, b1, b2, b3, b4, …)" in body["detail"]
    )
    assert await made.commands() == 0
    async with answering(made, cluster.obeys):
        forced = await made.client.delete(f"{WHERE}/main?force=true", headers=WAIT)
    assert (forced.status_code, forced.json()["status"]) == (200, "Deleted")
    (command,) = made.commands_seen
    assert (command.type, command.data.name, command.data.expected) == ("dev.leeward.location.delete.v1", "main", None)


async def test_only_what_was_seen_is_removed_when_the_request_says_so(made, cluster):
    await made.status.writes("locations", storage())
    etag = (await made.client.get(f"{WHERE}/main")).headers["etag"]
    stale = await made.client.delete(f"{WHERE}/main", headers={"If-Match": '"x"'})
    assert (stale.status_code, stale.json()["type"]) == (412, "/problems/precondition-failed")
    headers = {**WAIT, "If-Match": etag, "Idempotency-Key": "k1"}
    async with answering(made, cluster.obeys):
        first = await made.client.delete(f"{WHERE}/main", headers=headers)
        again = await made.client.delete(f"{WHERE}/main", headers=headers)
        other = await made.client.delete(f"{WHERE}/main", headers=WAIT)
    assert (first.status_code, again.status_code, other.status_code) == (200, 200, 404)
    assert [f'"{command.data.expected}"' for command in made.commands_seen] == [etag]


@pytest.mark.parametrize("state", [OperationState.FAILED, OperationState.REJECTED])
async def test_what_the_cluster_does_not_remove_is_told_in_its_words(made, cluster, state):
    await made.status.writes("locations", storage())
    said = refusal(Code.LOCATION_NOT_DELETED, cluster="eu1", kind="storage location", name="main")
    async with answering(made, lambda command: made.status.ends(command, state, said)):
        response = await made.client.delete(f"{WHERE}/main", headers=WAIT)
    assert (response.status_code, response.json()["code"]) == (409, "LocationNotDeleted")


# ---------------------------------------------------------------------- the other sort


async def test_snapshot_locations_are_made_changed_and_removed_alike(made, cluster):
    await made.status.writes("snapshot_locations", snapshot_location_document("there", "us1", provider="gcp"))
    body = {"name": "snaps", "spec": {"provider": "aws", "config": {"region": "eu"}}, "credential": KEYS}
    async with answering(made, cluster.obeys):
        first = await made.client.post(SNAPSHOTS, json=body, headers=WAIT)
        assert (first.status_code, first.json()["status"]) == (201, "Unchecked"), first.text
        assert first.headers["location"] == f"{SNAPSHOTS}/snaps"
        change = {"spec": {"config": {"region": "us"}}}
        headers = {**PATCH, **WAIT, "If-Match": first.headers["etag"]}
        second = await made.client.patch(f"{SNAPSHOTS}/snaps", json=change, headers=headers)
        assert (second.status_code, second.json()["spec"]["config"]) == (200, {"region": "us"})
        assert second.json()["spec"]["credential"]["name"] == "leeward-snaps"
        listed = (await made.client.get(f"{API}/snapshot-locations?sort=-name")).json()["items"]
        assert [(item["cluster"], item["name"]) for item in listed] == [("us1", "there"), ("eu1", "snaps")]
        assert len((await made.client.get(SNAPSHOTS)).json()["items"]) == 1
        assert (await made.client.get(f"{SNAPSHOTS}/snaps")).json() == second.json()
        last = await made.client.delete(f"{SNAPSHOTS}/snaps?force=true", headers=WAIT)
    assert (last.status_code, last.json()["status"]) == (200, "Deleted")
    kinds = [command.type.split(".")[2:4] for command in made.commands_seen]
    assert kinds == [["snapshotlocation", "apply"], ["snapshotlocation", "apply"], ["snapshotlocation", "delete"]]
    assert MARKER in cluster.opened(made.commands_seen[0])


# ---------------------------------------------------------------------- secrets


async def test_no_answer_log_line_document_or_message_holds_a_secret(made, cluster, caplog):
    caplog.set_level("DEBUG")
    await made.status.writes("locations", storage("other"))
    secret = {"credential": KEYS}
    parts = [
        *({"credential": {**KEYS, name: [MARKER]}} for name in ("sessionToken", "file", "token", "tenantId")),
        *({"credential": {**KEYS, name: MARKER}} for name in ("file", "token", "tenantId")),
        {"credential": MARKER},
        {"credential": [MARKER]},
        {"credential": {"serviceAccountKey": MARKER}},
        {"credential": {"storageAccountKey": MARKER}},
        {"credential": {"accessKeyId": f"{MARKER}\n", "secretAccessKey": MARKER}},
        {"credential": {"file": MARKER * 4000}},
        {**secret, "deadline": "0s"},
        {**secret, "surprise": 1},
        {**secret, "spec": {**SPEC, "provider": "gcp"}},
        {**secret, "spec": {**SPEC, "credential": {"name": "a", "key": "b"}}},
        {**secret, "spec": {**SPEC, "config": {"s3Url": f"https://u:{MARKER}@h"}}},
        {**secret, "name": "not A name"},
    ]  # fmt: skip
    broken = [json.dumps({**NEW, **secret})[:-9], json.dumps({**NEW, **secret, "x": "y" * 600_000}), f'"{MARKER}"', "["]
    json_headers, said = {"content-type": "application/json"}, []
    for method, address, plain in (
        ("POST", WHERE, NEW),
        ("PATCH", f"{WHERE}/other", {}),
        ("POST", SNAPSHOTS, {"name": "s", "spec": {"provider": "aws"}}),
    ):
        for body in [*(json.dumps({**plain, **part}) for part in parts), *broken]:
            response = await made.client.request(method, address, content=body, headers=json_headers)
            assert 400 <= response.status_code < 500, (method, body[:200], response.text)
            said.append(response.text + str(response.headers))
    odd = await made.client.post(WHERE, content=json.dumps({**NEW, **secret}), headers={"content-type": "text/plain"})
    assert odd.status_code == 415
    async with answering(made, cluster.obeys):
        good = await made.client.post(WHERE, json={**NEW, **secret, "spec": {**SPEC, "accessMode": "ReadOnly"}}, headers=WAIT)
    assert good.status_code == 201, good.text
    said += [odd.text, good.text, (await made.client.get(f"{API}/openapi.json")).text, (await made.client.get("/metrics")).text]
    said += [caplog.text, json.dumps(await stored(made))]
    said += [str([row async for row in made.database[name].find()]) for name in await made.database.list_collection_names()]
    assert not [text[max(0, text.index(MARKER) - 300) :][:600] for text in said if MARKER in text]


async def test_a_fault_of_ours_tells_nothing_of_the_credential_either(made, cluster, caplog, monkeypatch):
    def fail(*_args, **_kwargs):
        raise RuntimeError("unexpected")

    monkeypatch.setattr("services.gateway.locations.sealed.seal", fail)
    response = await made.client.post(WHERE, json={**NEW, "credential": KEYS})
    assert (response.status_code, response.json()["type"]) == (500, "/problems/internal-error")
    assert "unexpected" in caplog.text
    assert MARKER not in response.text + caplog.text


def test_a_sealed_box_is_the_only_form_of_a_credential_that_a_command_knows():
    assert set(Sealed.model_fields) == {"key", "box"}


async def test_without_the_database_nobody_guesses_who_else_writes_there(nats_server, tmp_path):
    mongo = MongoServer(tmp_path / "mongo", timeout=BRIEF)
    if mongo.external:
        pytest.skip("the database is not ours to stop")
    mongo.start()
    async with stack(nats_server, mongo) as made:
        mongo.kill()
        response = await made.client.post(WHERE, json=NEW)
        assert (response.status_code, response.json()["dependency"]) == (503, "mongodb")
        assert await made.commands() == 0
