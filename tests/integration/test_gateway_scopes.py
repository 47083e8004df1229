"""Environments, patterns and data movers: what a cluster's registration means for a request; previews; what a detail shows."""

import asyncio

import pytest

from services.gateway.settings import GatewayHttp
from shared.contracts.backupspec import LabelSelector
from shared.contracts.documents import to_document
from shared.contracts.notices import About, notice
from shared.contracts.phases import OperationState
from shared.contracts.selectors import Environments
from tests.support.gateway import (
    API,
    answering,
    backup_document,
    backup_item,
    cluster_document,
    operation_item,
    running,
    stack,
)
from tests.support.servers import MongoServer, free_port
from tests.support.timing import BRIEF
from tests.support.waiting import eventually

OWN = {"productionSelector": {"matchLabels": {"tier": "1"}}, "dataMovers": ["ours"]}
PRODUCTION = {"name": "shop", "cluster": "eu1", "scope": {"kind": "production", "excludedNamespaces": ["test-*"]}}


@pytest.fixture
async def made(nats_server, mongo_server):
    async with stack(nats_server, mongo_server) as running_stack:
        yield running_stack


def ask(made, body, client=None, **headers):
    named = {k.replace("_", "-"): v for k, v in headers.items()}
    return (client or made.client).post(f"{API}/backups", json=body, headers=named)


async def settle(made, settings):
    response = await made.client.patch(f"{API}/clusters/eu1", json=settings)
    assert response.status_code == 200, response.text
    return response.json()


async def test_an_environment_travels_with_the_selectors_of_its_cluster(made):
    shown = await settle(made, OWN)
    assert (shown["productionSelector"]["matchLabels"], shown["dataMovers"]) == ({"tier": "1"}, ["ours"])
    async with answering(made, made.status.accepts):
        assert (await ask(made, PRODUCTION, prefer="wait=20")).status_code == 201
        assert (await ask(made, {**PRODUCTION, "scope": {"kind": "all"}}, prefer="wait=20")).status_code == 201
    first, second = made.commands_seen
    assert first.data.environments == Environments(production=LabelSelector(match_labels={"tier": "1"}))
    assert first.data.scope.excluded_namespaces == ["test-*"]
    assert second.data.environments is None


async def test_a_cluster_that_nobody_has_registered_has_the_usual_environments(made):
    await made.status.writes("cluster_state", cluster_document("us1"))
    async with answering(made, made.status.accepts):
        assert (await ask(made, {**PRODUCTION, "cluster": "us1"}, prefer="wait=20")).status_code == 201
    assert made.commands_seen[0].data.environments == Environments()


async def test_a_key_stands_for_the_same_request_also_when_the_selectors_have_changed(made):
    first = await ask(made, PRODUCTION, idempotency_key="k1")
    await settle(made, OWN)
    again = await ask(made, PRODUCTION, idempotency_key="k1")
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json()["id"] == first.json()["id"]
    assert await made.commands() == 1


async def test_selectors_are_never_guessed(nats_server, tmp_path):
    """A gateway that has seen the registration goes by it while the database is away; one that has not sends nothing."""
    mongo = MongoServer(tmp_path / "mongo", timeout=BRIEF)
    if mongo.external:
        pytest.skip("the database is not ours to stop")
    mongo.start()
    async with stack(nats_server, mongo) as made:
        await settle(made, OWN)  # after which the gateway reads its registrations again
        mongo.kill()
        async with answering(made, lambda _command: asyncio.sleep(0)):
            known = await ask(made, PRODUCTION, prefer="wait=0")
            assert known.status_code == 202, known.text
            await eventually("the command", lambda: made.commands_seen)
        assert made.commands_seen[0].data.environments.production.match_labels == {"tier": "1"}
        assert (await ask(made, {**PRODUCTION, "spec": {"datamover": "ours"}})).status_code == 202
        late = made.settings.model_copy(update={"http": GatewayHttp(port=free_port())})
        async with running(late) as client:

            async def nats_there():
                return "nats" not in (await client.get("/readyz")).json()["missing"]

            await eventually("nats", nats_there)
            for body in (PRODUCTION, {**PRODUCTION, "scope": {"kind": "all"}, "spec": {"datamover": "ours"}}):
                unknown = await ask(made, body, client)
                assert (unknown.status_code, unknown.json()["dependency"]) == (503, "mongodb")
            assert (await ask(made, {**PRODUCTION, "scope": {"kind": "all"}}, client)).status_code == 202
        assert await made.commands() == 3
        mongo.start()  # to be left in order
    mongo.kill()


async def test_a_data_mover_is_one_that_the_clusters_settings_name(made):
    odd = {**PRODUCTION, "scope": {"kind": "all"}, "spec": {"datamover": "ours"}}
    refused = await ask(made, odd)
    assert (refused.status_code, [e["pointer"] for e in refused.json()["errors"]]) == (422, ["/spec/datamover"])
    with_more = await ask(made, {**odd, "name": "UPPER", "cluster": "eu1"})
    assert {e["pointer"] for e in with_more.json()["errors"]} == {"/spec/datamover", "/name"}
    assert await made.commands() == 0
    await settle(made, OWN)
    async with answering(made, made.status.accepts):
        assert (await ask(made, odd, prefer="wait=20")).status_code == 201
    assert made.commands_seen[0].data.spec.datamover == "ours"


# ---------------------------------------------------------------------- previews

NAMESPACES = [
    {"name": "shop", "labels": [{"k": "tier", "v": "1"}]},
    {"name": "team-a", "labels": [{"k": "environment", "v": "test"}]},
    {"name": "team-b", "labels": [{"k": "environment", "v": "production"}]},
]


def preview(made, cluster="eu1", **scope):
    return made.client.post(f"{API}/clusters/{cluster}/scope", json={"scope": scope})


async def test_a_scope_is_previewed_by_what_the_cluster_last_told_and_its_own_selectors(made):
    await settle(made, OWN)
    await made.status.writes("cluster_state", cluster_document("eu1", namespaces=NAMESPACES))
    production = (await preview(made, kind="production")).json()
    assert (production["namespaces"], production["everything"]) == (["shop"], False)
    assert production["asOf"] == "2026-03-01T12:00:00Z"
    teams = (await preview(made, kind="specific", namespaces=["team-*"], excludedNamespaces=["*-b"])).json()
    assert (teams["namespaces"], teams["excluded"], teams["refusal"]) == (["team-a"], ["team-b"], None)
    nothing = (await preview(made, kind="specific", namespaces=["x-*"])).json()
    assert nothing["namespaces"] == []
    assert nothing["refusal"]["detail"] == "The scope matches no namespace of cluster eu1."
    everything = (await preview(made, kind="all")).json()
    assert (everything["everything"], len(everything["namespaces"])) == (True, 3)


async def test_a_preview_of_nothing_that_is_known_is_no_preview(made):
    early = await preview(made, kind="all")
    assert (early.status_code, early.json()["type"]) == (409, "/problems/inventory-unknown")
    assert (await preview(made, "nowhere", kind="all")).status_code == 404
    odd = await preview(made, kind="specific", namespaces=["*"])
    assert (odd.status_code, [e["pointer"] for e in odd.json()["errors"]]) == (422, ["/scope/namespaces/0"])


# ---------------------------------------------------------------------- what a detail shows


async def test_a_detail_shows_all_that_was_found_out_about_a_backup(made):
    told = notice(About.VELERO_SILENT, cluster="eu1", since="noon").wire()
    detail = {
        "operationId": "op",
        "scope": {"kind": "production", "excludedNamespaces": []},
        "resolvedNamespaces": ["shop"],
        "requestedSpec": {"ttl": "1h", "orderedResources": {"pods": "a/b"}},
        "spec": {"ttl": "1h0m0s", "storageLocation": "default"},
        "notices": [told],
        "volumes": [{"namespace": "shop", "claim": "data", "method": "CSISnapshot", "result": "succeeded", "sizeBytes": 5}],
        "why": [{"message": "hook failed", "count": 3, "example": "pods shop/web-0"}],
        "deletion": {"operationId": "op2", "by": "anna", "errors": ["no"]},
        "captured": ["log", "results"],
        "measuredAt": "2026-03-01T12:00:00Z",
    }
    document = backup_document(backup_item("b1", outcome="PartiallyFailed"), detail=to_document(detail))
    await made.status.writes("backups", document)
    shown = (await made.client.get(f"{API}/backups/b1")).json()
    assert {name: shown[name] for name in detail if name not in {"volumes", "why", "deletion"}} == {
        name: value for name, value in detail.items() if name not in {"volumes", "why", "deletion"}
    }
    assert (shown["volumes"][0]["sizeBytes"], shown["volumes"][0]["incrementalBytes"]) == (5, None)
    assert (shown["why"][0]["count"], shown["deletion"]["errors"]) == (3, ["no"])


async def test_an_operation_shows_what_a_person_should_know_all_the_same(made):
    told = notice(About.NODE_AGENT_MISSING, cluster="eu1", field="defaultVolumesToFsBackup")
    item = operation_item("op", OperationState.ACCEPTED, notices=[told])
    await made.status.writes("operations", {"_id": "op", "item": to_document(item)})
    shown = (await made.client.get(f"{API}/operations/op")).json()
    assert shown["notices"] == [told.wire()]
