"""Asking for a restore: real HTTP, real NATS with permissions, real database; both clusters are played by the test."""

import functools
from datetime import timedelta

import pytest
from nacl.public import PrivateKey, SealedBox

from services.gateway.settings import PreflightSettings
from shared.contracts.documents import to_document
from shared.contracts.phases import BackupStatus, OperationState, RestoreStatus
from shared.contracts.refusals import Code, refusal
from shared.contracts.surveys import BackupSurveyed, Held, RestoreSeen
from shared.contracts.views import OperationStep, ScheduleItem, ScheduleRef
from tests.support.gateway import (
    API,
    NOW,
    answering,
    backup_document,
    backup_item,
    cluster_document,
    location_document,
    operation_item,
    stack,
    tokens_file,
)
from tests.support.gateway_restores import Clusters, accepts_restore, asked, restore_document, restore_item
from tests.support.timing import PATIENT

STORAGE = {"provider": "aws", "bucket": "backups", "prefix": "eu1", "access_mode": "ReadWrite"}
SPEC = {
    "provider": "aws",
    "objectStorage": {"bucket": "backups", "prefix": "eu1"},
    "config": {"region": "eu", "s3Url": "http://minio.eu1", "profile": "eu1"},
    "credential": {"name": "cloud-credentials", "key": "cloud"},
    "default": True,
}
KEY = PrivateKey.generate()
MARKER = "hunter2-do-not-show"


def backup(backup_id="b1", **facts):
    detail = facts.pop("detail", {"resolvedNamespaces": ["shop", "cart"]})
    plain = {"name": "shop", "phase": "Completed", "storage_location": "default", "started_at": NOW}
    return backup_document(backup_item(backup_id, **{**plain, **facts}), detail=to_document(detail), aliases=["old"])


@pytest.fixture
async def made(nats_server, mongo_server):
    preflight = PreflightSettings(alone=PATIENT, before=PATIENT)  # nobody serves the subjects unless a test does
    async with stack(nats_server, mongo_server, preflight=preflight) as running:
        await running.status.writes("backups", backup())
        await running.status.writes("locations", location_document("default", **STORAGE, spec=SPEC))
        sealing = {"sealingKey": {"id": "k1", "key": bytes(KEY.public_key)}}
        await running.status.writes(
            "cluster_state", cluster_document("eu1"), cluster_document("us1", inventory=to_document(sealing))
        )
        yield running


def post(made, body, path="", **headers):
    return made.client.post(f"{API}/restores{path}", json=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


def accepting(made):
    return answering(made, functools.partial(accepts_restore, made.status))


async def test_a_restore_that_the_cluster_accepts_in_time_is_created(made):
    async with accepting(made):
        response = await post(made, {"backup": "old", "labels": {"team": "shop"}}, prefer="wait=20")
    assert response.status_code == 201, response.text
    body = response.json()
    assert response.headers["location"] == f"{API}/restores/{body['id']}"
    assert (body["status"], body["cluster"], body["backup"]) == (
        "Restoring",
        "eu1",
        {"id": "b1", "name": "shop", "cluster": "eu1"},
    )
    assert body["name"].startswith("shop-20")
    (command,) = made.commands_seen
    assert (command.cluster, command.operationid, command.principal) == ("eu1", body["id"], "anonymous")
    assert command.type == "dev.leeward.restore.create.v1"
    data = command.data
    assert (data.source.id, data.source.ids, data.source.name, data.source.started_at) == ("b1", ["old"], "shop", NOW)
    assert (data.mirror, data.credential, data.schedule, data.labels) == (None, None, None, {"team": "shop"})
    assert {found.code for found in data.findings} == {"NotKnown"}  # no executor has answered, and that stops nothing
    assert [found["code"] for found in body["findings"]] == [found.code for found in data.findings]
    shown = (await made.client.get(f"{API}/backups/b1")).json()["restores"]
    assert [(each["id"], each["cluster"], each["status"]) for each in shown] == [(body["id"], "eu1", "Restoring")]


async def test_a_repeated_request_is_the_same_restore_also_when_the_world_has_moved_on(made):
    first = await post(made, {"backup": "b1"}, idempotency_key="k", prefer="respond-async")
    await made.status.writes("backups", backup(status="Deleting"))
    again = await post(made, {"backup": "b1", "spec": {}}, idempotency_key="k", prefer="respond-async")
    other = await post(made, {"backup": "b1", "name": "x"}, idempotency_key="k", prefer="respond-async")
    assert (first.status_code, again.status_code) == (202, 202)
    assert (first.json()["id"], first.json()["kind"]) == (again.json()["id"], "restore.create")
    assert [[found["code"] for found in told.json()["findings"]] for told in (first, again)] == [["NotKnown"]] * 2
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")
    assert await made.commands() == 1


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"status": "Failed"}, "it has failed"),
        ({"status": "Creating"}, "it is still being made"),
        ({"status": "Expired", "present": False}, "it has expired"),
        ({"expires_at": NOW}, "it has expired"),
        ({"status": "Deleting"}, "it is being deleted"),
        ({"present": False}, "cluster eu1 does not have it any more"),
    ],
)
async def test_what_cannot_be_restored_is_refused_before_anything_is_sent(made, facts, words):
    await made.status.writes("backups", backup(**facts))
    response = await post(made, {"backup": "b1"})
    problem = response.json()
    assert (response.status_code, problem["code"], problem["errors"][0]["pointer"]) == (409, "BackupNotRestorable", "/backup")
    assert words in problem["detail"]
    assert await made.commands() == 0


async def test_what_a_request_names_and_nobody_knows_is_told_by_its_field(made):
    for body, pointer in (
        ({"backup": "nobody"}, "/backup"),
        ({"schedule": "nobody"}, "/schedule"),
        ({"backup": "b1", "cluster": "nowhere"}, "/cluster"),
        ({"backup": "b1", "credential": {"file": "x"}}, "/credential"),
        ({"backup": "b1", "storage": {"config": {}}}, "/storage"),
        ({"backup": "b1", "schedule": "s1"}, ""),
        ({}, ""),
        ({"backup": "b1", "spec": {"itemOperationTimeout": "0s"}}, "/spec/itemOperationTimeout"),
        ({"backup": "b1", "spec": {"backupName": "x"}}, "/spec/backupName"),
        ({"backup": "b1", "spec": {"includedResources": ["pods", "*"]}}, "/spec/includedResources/1"),
        ({"backup": "b1", "labels": {"velero.io/x": "y"}}, "/labels/velero.io~1x"),
        ({"backup": "b1", "deadline": "200h"}, "/deadline"),
    ):
        response = await post(made, body)
        assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, pointer), (body, response.text)
    for spec in ({"includedNamespaces": ["nowhere"]}, {"namespaceMapping": {"nowhere": "x"}}):
        response = await post(made, {"backup": "b1", "spec": spec})
        assert (response.status_code, response.json()["code"]) == (422, "NamespaceNotInBackup")
        assert "nowhere" in response.json()["errors"][0]["detail"]
    assert await made.commands() == 0


async def test_another_cluster_is_told_how_to_reach_the_backup_and_the_credential_is_for_it_alone(made):
    overrides = {"config": {"s3Url": "https://minio.us1", "region": None}}
    credential = {"accessKeyId": "AK", "secretAccessKey": MARKER}
    body = {"backup": "b1", "cluster": "us1", "storage": overrides, "credential": credential, "name": "again"}
    async with accepting(made):
        response = await post(made, body, prefer="wait=20")
    assert response.status_code == 201, response.text
    (command,) = made.commands_seen
    assert (command.cluster, command.data.source.cluster) == ("us1", "eu1")
    assert command.data.mirror.wire() == {
        **dict.fromkeys(("credential", "default", "backupSyncPeriod", "validationFrequency")),
        "provider": "aws",
        "objectStorage": {"bucket": "backups", "prefix": "eu1", "caCert": None, "caCertRef": None},
        "config": {"s3Url": "https://minio.us1"},
        "accessMode": "ReadOnly",
    }
    assert command.data.credential.key == "k1"
    assert MARKER in SealedBox(KEY).decrypt(command.data.credential.box).decode()
    assert {found.code for found in command.data.findings} == {"MirrorNeeded", "NotKnown"}
    assert MARKER not in command.model_dump_json() + response.text


async def test_a_credential_is_not_shown_by_any_way_to_say_no(made):
    wanted = {"accessKeyId": "AK", "secretAccessKey": MARKER}
    elsewhere = {"backup": "b1", "cluster": "us1", "credential": wanted}
    await made.status.writes("cluster_state", cluster_document("us1"))  # without a key
    for body in (
        {"backup": "b1", "credential": wanted},
        {**elsewhere, "credential": {"secretAccessKey": MARKER}},
        {**elsewhere, "credential": MARKER},
        {**elsewhere, "credential": {**wanted, "accessKeyId": "A K"}},
        {**elsewhere, "credential": {"tenantId": "t", "clientId": "c", "clientSecret": MARKER}},
        {**elsewhere, "name": "No"},
        {**elsewhere, "storage": {"config": {"nonsense": "x"}}},
        elsewhere,
    ):
        response = await post(made, body)
        assert response.status_code in {409, 422}, response.text
        assert MARKER not in response.text
    assert response.json()["type"] == "/problems/sealing-key-unknown"
    assert await made.commands() == 0


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"s3Url": f"https://user:{MARKER}@minio.us1"}, "must not carry a user or a password"),
        ({"s3Url": "ftp://minio.us1"}, "must be an address"),
        ({"s3ForcePathStyle": "yes"}, "must be true or false"),
        ({"nonsense": "x"}, "is not known to provider aws"),
    ],
)
async def test_settings_of_the_storage_are_judged_as_those_of_a_location_are(made, config, words):
    for path in ("", "/preflight"):
        response = await post(made, {"backup": "b1", "cluster": "us1", "storage": {"config": config}}, path)
        (error,) = response.json()["errors"]
        assert (response.status_code, error["pointer"]) == (422, f"/storage/config/{next(iter(config))}"), response.text
        assert words in error["detail"]
        assert MARKER not in response.text
    assert await made.commands() == 0


async def test_into_which_cluster_a_copy_of_anothers_backup_goes_has_to_be_said(made):
    await made.status.writes("backups", backup("copy", cluster="us1", replica=True))
    for path in ("", "/preflight"):
        response = await post(made, {"backup": "copy"}, path)
        (error,) = response.json()["errors"]
        assert (response.status_code, error["pointer"]) == (422, "/cluster")
        assert "cluster us1's copy of a backup of another cluster" in error["detail"]
    assert await made.commands() == 0


async def test_the_latest_good_backup_of_a_schedule_is_taken(made):
    schedule = ScheduleItem(id="s1", name="nightly", cluster="eu1", status="Active", cron="@daily")
    await made.status.writes("schedule_status", {"_id": "s1", "listed": True, "item": to_document(schedule)})
    assert (await post(made, {"schedule": "s1"})).json()["code"] == "NoGoodBackup"
    of = {"schedule": ScheduleRef(id="s1", name="nightly")}
    later = {f"h{n}": NOW + timedelta(hours=n) for n in range(7)}
    never = NOW + timedelta(days=36500)
    await made.status.writes(
        "backups",
        backup("h0", **of, created_at=later["h0"], expires_at=never),
        backup("h1", **of, created_at=later["h1"]),
        backup("h2", **of, created_at=later["h2"], status=BackupStatus.PARTIALLY_FAILED),
        backup("h3", **of, created_at=later["h3"], expires_at=NOW),
        backup("h4", **of, created_at=later["h4"], present=False),
        backup("h5", **of, created_at=later["h5"], replica=True, cluster="us1"),
        backup("h6", **of, created_at=later["h6"], cluster="us1"),
    )
    async with accepting(made):
        response = await post(made, {"schedule": "s1"}, prefer="wait=20")
    assert response.status_code == 201, response.text
    (command,) = made.commands_seen
    assert (command.data.source.id, command.data.schedule.name) == ("h1", "nightly")


async def test_what_the_preflight_finds_comes_with_its_severity_and_changes_nothing(made):
    held = [Held(api_version="v1", kind="Pod", names=["shop/web-0", "cart/web-1"])]
    clusters = Clusters(
        BackupSurveyed(held=held, storage_classes=[], node_ports=[]),
        RestoreSeen(existing=[Held(api_version="v1", kind="Pod", names=["shop-old/web-0"])]),
    )
    body = {"backup": "b1", "cluster": "us1", "spec": {"namespaceMapping": {"shop": "shop-old"}}}
    async with asked(made, clusters, target="us1"):
        response = await post(made, body, "/preflight")
        blocked = await post(made, {**body, "spec": {"includedResources": ["configmaps"]}}, "/preflight")
    assert response.status_code == 200, response.text
    told = {found["code"]: found for found in response.json()["findings"]}
    assert told.keys() == {"MirrorNeeded", "CredentialMissing", "ObjectsExist"}
    assert told["ObjectsExist"]["objects"] == ["Pod shop-old/web-0"]
    assert not response.json()["blocked"]
    survey, look, *_ = clusters.asked
    assert (survey.name, survey.ids) == ("shop", ["b1", "old"])
    assert look.held == [Held(api_version="v1", kind="Pod", names=["shop-old/web-0", "cart/web-1"])]
    assert blocked.json()["blocked"] is False  # the kinds of neither cluster are known: nothing can be ruled out
    assert await made.commands() == 0


@pytest.mark.parametrize("status", ["Online", "Offline"], ids=["its executor has just gone", "it is known to be away"])
async def test_when_the_cluster_of_a_backup_is_lost_the_target_says_from_its_copy_what_is_in_it(made, status):
    await made.status.writes("cluster_state", cluster_document("eu1", status))
    lying = {**STORAGE, "access_mode": "ReadOnly"}
    copy = {"cluster": "us1", "replica": True, "storage_location": "theirs", "started_at": NOW, "name": "shop"}
    await made.status.writes(
        "locations",
        location_document("theirs", "us1", **lying, spec={**SPEC, "accessMode": "ReadOnly"}),
        location_document(
            "other", "us1", **{**lying, "bucket": "else"}, spec={"provider": "aws", "objectStorage": {"bucket": "else"}}
        ),
    )
    await made.status.writes(
        "backups",
        backup("c0", **{**copy, "storage_location": "other"}),
        backup("c1", **copy),
        backup("c2", **{**copy, "started_at": NOW + timedelta(hours=1)}),
        backup("c3", **{**copy, "replica": False}),
    )
    clusters = Clusters(BackupSurveyed(held=[Held(api_version="v1", kind="Pod", names=["shop/web-0"])]))
    body = {"backup": "b1", "cluster": "us1", "spec": {"includedNamespaces": ["shop", "nowhere"]}}
    async with asked(made, clusters, origin="us1", target="us1"):
        told = (await post(made, body, "/preflight")).json()["findings"]
    assert [found["code"] for found in told] == ["NamespaceNotInBackup", "MirrorFound"]
    survey, look = clusters.asked
    assert (survey.name, survey.ids) == ("shop", ["c1", "old"])
    assert look.held == [Held(api_version="v1", kind="Pod", names=["shop/web-0"])]


async def test_while_the_cluster_of_a_backup_answers_its_copy_is_not_asked(made):
    await made.status.writes(
        "locations", location_document("theirs", "us1", **STORAGE, spec={**SPEC, "accessMode": "ReadOnly"})
    )
    await made.status.writes("backups", backup("c1", cluster="us1", replica=True, storage_location="theirs"))
    clusters = Clusters(BackupSurveyed(held=[Held(api_version="v1", kind="Pod", names=["shop/web-0"])]))
    async with asked(made, clusters, target="us1"):
        await post(made, {"backup": "b1", "cluster": "us1"}, "/preflight")
    survey, _ = clusters.asked
    assert (survey.ids, survey.within) == (["b1", "old"], pytest.approx(PATIENT / 2 * 0.75 - 0.5, abs=0.1))


async def test_a_name_that_is_taken_and_a_namespace_that_is_busy_are_refused(made):
    other = restore_item("r1", name="taken")
    busy = restore_item("r2", name="busy", status=RestoreStatus.RESTORING, phase="InProgress")
    spec = to_document({"requestedSpec": {"includedNamespaces": ["web"], "namespaceMapping": {"web": "shop"}}})
    await made.status.writes("restores", restore_document(other), restore_document(busy, detail=spec))
    response = await post(made, {"backup": "b1", "name": "taken"})
    errors = response.json()["errors"]
    assert (response.status_code, response.json()["code"]) == (409, "RestoreNameTaken")
    assert [error["pointer"] for error in errors] == ["/name", "/spec"]
    assert "Restore busy still runs" in errors[1]["detail"]
    assert (await post(made, {"backup": "b1", "spec": {"includedNamespaces": ["cart"]}})).status_code == 202


async def test_the_clusters_refusal_is_told(made):
    no = refusal(Code.MIRROR_FAILED, cluster="us1", location="leeward-mirror-1", message="Access Denied")

    async def reject(command):
        await made.status.rejects(command, no)

    async with answering(made, reject):
        response = await post(made, {"backup": "b1", "cluster": "us1"}, prefer="wait=20")
    assert (response.status_code, response.json()["code"], response.json()["detail"]) == (409, "MirrorFailed", no.detail)


async def test_restores_are_listed_counted_and_looked_at_with_the_steps_of_their_operation(made):
    items = [
        restore_item("r1", created_at=NOW),
        restore_item("r2", status="Failed", cluster="us1", created_at=NOW + timedelta(hours=1)),
        restore_item("gone", status="Deleted", present=False),
        restore_item("never", status="Refused", phase=None, present=False),
        restore_item("foreign", backup={"name": "shop"}, created_by={"kind": "External"}, created_at=NOW + timedelta(hours=2)),
    ]
    detail = {"operationId": "op1", "counts": {"created": 7}}
    await made.status.writes("restores", *(restore_document(item, detail=to_document(detail)) for item in items))
    steps = [OperationStep(step="MirrorLocation", detail="made", at=NOW), OperationStep(step="Restore", at=NOW)]
    operation = operation_item("op1", OperationState.ACCEPTED, steps=steps)
    await made.status.writes("operations", {"_id": "op1", "item": to_document(operation)})

    async def ids(query=""):
        return [item["id"] for item in (await made.client.get(f"{API}/restores{query}")).json()["items"]]

    assert await ids() == ["foreign", "r2", "r1"]
    assert await ids("?sort=createdAt&limit=2") == ["r1", "r2"]
    assert await ids("?cluster=us1") == ["r2"]
    assert await ids("?status=Deleted") == ["gone"]
    assert await ids("?status=Deleted&status=Refused&sort=name") == ["gone", "never"]
    assert await ids("?backup=b1&status=Completed") == ["r1"]
    assert await ids("?backup=shop&createdBy=External") == ["foreign"]
    assert await ids("?search=r1") == ["r1"]
    assert (await made.client.get(f"{API}/restores?status=Odd")).status_code == 400
    counts = (await made.client.get(f"{API}/restores/summary")).json()
    assert (counts["status"]["Failed"], counts["status"]["Deleted"], counts["cluster"]) == (1, 1, {"eu1": 2, "us1": 1})
    shown = (await made.client.get(f"{API}/restores/r1")).json()
    assert ([step["step"] for step in shown["steps"]], shown["counts"]["created"]) == (["MirrorLocation", "Restore"], 7)
    assert (await made.client.get(f"{API}/restores/nobody")).status_code == 404
    of_backup = (await made.client.get(f"{API}/backups/b1")).json()["restores"]
    assert [each["id"] for each in of_backup] == ["foreign", "r2", "r1"]


async def test_who_may_only_look_may_ask_what_a_restore_would_meet(nats_server, mongo_server, tmp_path):
    tokens = tokens_file(tmp_path / "tokens.json", eve="viewer", otto="operator")
    async with stack(nats_server, mongo_server, tokens_file=tmp_path / "tokens.json") as made:
        eve, otto = ({"authorization": tokens[name]} for name in ("eve", "otto"))
        assert (await post(made, {"backup": "x"}, "/preflight", **eve)).status_code == 422
        assert (await post(made, {"backup": "x"}, **eve)).status_code == 403
        assert (await made.client.delete(f"{API}/restores/x", headers=eve)).status_code == 403
        assert (await post(made, {"backup": "x"}, **otto)).status_code == 422
        assert (await made.client.delete(f"{API}/restores/x", headers=otto)).status_code == 404


async def test_where_a_cluster_shows_its_own_credential_is_not_an_operators_choice(nats_server, mongo_server, tmp_path):
    tokens = tokens_file(tmp_path / "tokens.json", otto="operator", anna="admin")
    async with stack(nats_server, mongo_server, tokens_file=tmp_path / "tokens.json") as made:
        await made.status.writes("backups", backup())
        await made.status.writes("locations", location_document("default", **STORAGE, spec=SPEC))
        sealing = {"sealingKey": {"id": "k1", "key": bytes(KEY.public_key)}}
        await made.status.writes(
            "cluster_state", cluster_document("eu1"), cluster_document("us1", inventory=to_document(sealing))
        )
        otto, anna = ({"authorization": tokens[name], "prefer": "respond-async"} for name in ("otto", "anna"))
        elsewhere = {"backup": "b1", "cluster": "us1", "storage": {"config": {"s3Url": "https://minio.us1"}}}
        response = await post(made, elsewhere, **otto)
        assert (response.status_code, response.json()["errors"][0]["pointer"]) == (403, "/storage/config/s3Url")
        assert (
            "Without a credential in the request, Velero of cluster us1 shows its own to whatever s3Url leads to"
            in (response.json()["detail"])
        )
        assert await made.commands() == 0
        keys = {"accessKeyId": "AK", "secretAccessKey": MARKER}
        assert (await post(made, {**elsewhere, "credential": keys}, **otto)).status_code == 202
        assert (await post(made, {**elsewhere, "storage": {"config": {"region": "us"}}}, **otto)).status_code == 202
        assert (await post(made, elsewhere, **anna)).status_code == 202
