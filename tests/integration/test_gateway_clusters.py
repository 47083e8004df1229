"""Registering clusters and looking into them; who may; and the addresses around the API."""

import pytest

from services.gateway.settings import GatewayHttp
from shared.messaging.topology import COMMANDS, executor_consumer
from tests.support.gateway import API, answering, cluster_document, running, settings_for, stack, tokens_file
from tests.support.timing import takes_nats_away
from tests.support.waiting import eventually


@pytest.fixture
async def made(nats_server, mongo_server):
    async with stack(nats_server, mongo_server) as running_stack:
        yield running_stack


NEW = {"id": "ap1", "displayName": "Asia", "productionSelector": {"matchLabels": {"a.b/tier": "1"}}}


async def test_a_registered_cluster_has_a_consumer_for_its_commands_before_it_ever_reports(made):
    response = await made.client.post(f"{API}/clusters", json=NEW)
    assert response.status_code == 201, response.text
    body = response.json()
    assert (body["id"], body["status"], body["displayName"], body["createdBy"]) == ("ap1", "NeverSeen", "Asia", "anonymous")
    assert body["productionSelector"]["matchLabels"] == {"a.b/tier": "1"}
    assert (response.headers["etag"], response.headers["location"]) == ('"1"', f"{API}/clusters/ap1")
    consumer = await made.admin.stream.consumer_info(COMMANDS, executor_consumer("ap1"))
    assert consumer.config.filter_subject == "lw.cmd.ap1.>"
    asked = await made.client.post(f"{API}/backups", json={"name": "b", "cluster": "ap1", "scope": {"kind": "all"}})
    assert asked.status_code == 202


async def test_registering_again_just_so_is_no_error_and_otherwise_a_conflict(made):
    await made.client.post(f"{API}/clusters", json=NEW)
    again = await made.client.post(f"{API}/clusters", json=NEW)
    assert (again.status_code, again.headers["etag"]) == (200, '"1"')
    other = await made.client.post(f"{API}/clusters", json={**NEW, "displayName": "Else"})
    assert (other.status_code, other.json()["type"]) == (409, "/problems/cluster-exists")


@takes_nats_away
async def test_without_nats_nothing_is_registered_and_asking_again_heals(made):
    made.nats.kill()
    response = await made.client.post(f"{API}/clusters", json=NEW)
    assert (response.status_code, response.json()["dependency"]) == (503, "nats")
    assert (await made.client.get(f"{API}/clusters/ap1")).status_code == 404
    made.nats.start()
    await made.ready()
    assert (await made.client.post(f"{API}/clusters", json=NEW)).status_code == 201


async def test_before_the_topology_exists_a_cluster_cannot_be_registered(nats_server, mongo_server):
    async with running(settings_for(nats_server, mongo_server)) as client:
        response = await client.post(f"{API}/clusters", json=NEW)
        assert (response.status_code, response.json()["dependency"]) == (503, "nats")
        assert (await client.get("/readyz")).status_code == 503


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"id": "Eu 1"}, "/id"),
        ({}, "/id"),
        ({"id": "x", "status": "Online"}, "/status"),
        ({"id": "x", "productionSelector": {}}, "/productionSelector"),
    ],
)
async def test_a_registration_with_an_odd_field_is_refused_by_name(made, body, pointer):
    response = await made.client.post(f"{API}/clusters", json=body)
    assert (response.status_code, [e["pointer"] for e in response.json()["errors"]]) == (422, [pointer])


async def test_a_change_needs_the_version_that_it_was_made_for(made):
    patch = {"content-type": "application/merge-patch+json"}
    first = await made.client.patch(f"{API}/clusters/eu1", json={"displayName": "A"}, headers={**patch, "If-Match": '"1"'})
    assert (first.status_code, first.json()["displayName"], first.headers["etag"]) == (200, "A", '"2"')
    for stale in ('"1"', 'W/"2"', '"x", "1"', "2"):
        late = await made.client.patch(f"{API}/clusters/eu1", json={"displayName": "B"}, headers={**patch, "If-Match": stale})
        assert (late.status_code, late.headers["etag"]) == (412, '"2"'), stale
    for current in ('"2"', "*", '"1", "4"'):
        ok = await made.client.patch(f"{API}/clusters/eu1", json={"displayName": None}, headers={"If-Match": current})
        assert ok.status_code == 200, current
    assert (await made.client.get(f"{API}/clusters/eu1")).json()["displayName"] is None


async def test_a_change_that_makes_no_sense_changes_nothing(made):
    response = await made.client.patch(f"{API}/clusters/eu1", json={"productionSelector": {"matchLabels": {"a b": "c"}}})
    assert [e["pointer"] for e in response.json()["errors"]] == ["/productionSelector/matchLabels/a b"]
    assert (await made.client.get(f"{API}/clusters/eu1")).headers["etag"] == '"1"'


async def test_forgetting_a_cluster_only_forgets_the_registration(made):
    await made.status.writes("cluster_state", cluster_document("eu1"))
    assert (await made.client.delete(f"{API}/clusters/eu1", headers={"If-Match": '"7"'})).status_code == 412
    assert (await made.client.delete(f"{API}/clusters/eu1", headers={"If-Match": '"1"'})).status_code == 204
    shown = await made.client.get(f"{API}/clusters/eu1")
    assert (shown.json()["status"], "etag" in shown.headers) == ("Unregistered", False)
    assert (await made.client.delete(f"{API}/clusters/eu1")).status_code == 404
    assert (await made.client.patch(f"{API}/clusters/eu1", json={})).status_code == 404


@pytest.mark.parametrize(
    ("collection", "document", "words"),
    [
        ("schedules", {"cluster": "eu1", "name": "nightly"}, "1 schedule (nightly)"),
        (
            "operations",
            {"item": {"cluster": "eu1", "state": "Accepted", "kind": "backup.create"}},
            "1 unfinished operation (backup.create)",
        ),
        (
            "restores",
            {"listed": True, "item": {"cluster": "eu1", "status": "Restoring", "name": "back"}},
            "1 running restore (back)",
        ),
        (
            "restores",
            {"listed": True, "item": {"cluster": "us1", "backup": {"cluster": "eu1"}, "status": "Restoring", "name": "away"}},
            "1 running restore (away)",
        ),
    ],
    ids=["schedule", "operation", "restore into it", "restore out of it"],
)
async def test_a_cluster_in_use_is_forgotten_only_by_force(made, collection, document, words):
    await made.status.writes(collection, {"_id": "x", **document})
    refused = await made.client.delete(f"{API}/clusters/eu1")
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/cluster-in-use")
    assert words in refused.json()["detail"]
    assert (await made.client.delete(f"{API}/clusters/eu1?force=true")).status_code == 204
    assert await made.database[collection].find_one({"_id": "x"})


async def test_what_has_ended_or_is_of_another_cluster_keeps_no_cluster(made):
    await made.status.writes("schedules", {"_id": "s", "cluster": "us1", "name": "nightly"})
    for number, state in enumerate(("Succeeded", "Failed", "Rejected", "Expired")):
        item = {"cluster": "eu1", "state": state, "kind": "backup.create"}
        await made.status.writes("operations", {"_id": f"o{number}", "item": item})
    await made.status.writes("restores", {"_id": "r", "listed": True, "item": {"cluster": "eu1", "status": "Completed"}})
    assert (await made.client.delete(f"{API}/clusters/eu1")).status_code == 204


@pytest.mark.parametrize("mode", ["Hub", "Agent"])
async def test_what_joins_a_cluster_is_told_step_by_step(made, mode):
    await made.client.post(f"{API}/clusters", json=NEW)
    response = await made.client.get(f"{API}/clusters/ap1/join?mode={mode}")
    body = response.json()
    assert (response.status_code, body["cluster"], body["mode"]) == (200, "ap1", mode)
    commands = "\n".join(command for step in body["steps"] for command in step["commands"])
    assert "--clusters ap1,eu1 " in commands
    assert "deploy/rbac/executor.yaml" in commands
    assert (await made.client.get(f"{API}/clusters/nowhere/join")).status_code == 404
    assert (await made.client.get(f"{API}/clusters/ap1/join?mode=Odd")).status_code == 400


async def test_a_cluster_shows_its_node_agent_and_what_is_wrong_with_it(made):
    document = cluster_document("eu1")
    wrong = {"code": "NotAllowed", "message": "No credential can be taken.", "object": "Secret/x"}
    document["item"] = {**document["item"], "problems": [wrong], "velero": {"version": "v1.18.0", "nodeAgent": False}}
    await made.status.writes("cluster_state", document)
    shown = (await made.client.get(f"{API}/clusters/eu1")).json()
    assert shown["velero"]["nodeAgent"] is False
    assert shown["problems"] == [wrong]


async def test_the_list_is_what_is_registered_and_what_reports(made):
    await made.client.post(f"{API}/clusters", json=NEW)
    odd = {"_id": "odd", "item": {"status": "Dancing"}}
    await made.status.writes("cluster_state", cluster_document("eu1", "Offline"), cluster_document("us1"), odd)
    body = (await made.client.get(f"{API}/clusters")).json()
    assert [(c["id"], c["status"], c["lastSeenAt"]) for c in body["items"]] == [
        ("ap1", "NeverSeen", None),
        ("eu1", "Offline", "2026-03-01T12:00:00Z"),
        ("odd", "Unregistered", None),
        ("us1", "Unregistered", "2026-03-01T12:00:00Z"),
    ]
    first = (await made.client.get(f"{API}/clusters?limit=3")).json()
    rest = (await made.client.get(f"{API}/clusters?limit=3&cursor={first['nextCursor']}")).json()
    assert ([c["id"] for c in rest["items"]], rest["nextCursor"], rest["total"]) == (["us1"], None, 4)


async def test_namespaces_and_kinds_of_a_cluster_as_it_last_said(made):
    await made.client.patch(f"{API}/clusters/eu1", json={"productionSelector": {"matchLabels": {"tier": "1"}}})
    namespaces = [
        {"name": "shop", "labels": [{"k": "tier", "v": "1"}]},
        {"name": "test", "labels": [{"k": "environment", "v": "test"}]},
        {"name": "kube-system", "labels": []},
    ]
    names = {"singular": "pod", "shortNames": ["po"]}
    kinds = [{"name": "pods", "group": "", "kind": "Pod", "namespaced": True, **names}]
    await made.status.writes("cluster_state", cluster_document("eu1", namespaces=namespaces, kinds=kinds))
    body = (await made.client.get(f"{API}/clusters/eu1/namespaces?limit=2")).json()
    assert [(n["name"], n["environment"]) for n in body["items"]] == [("kube-system", None), ("shop", "Production")]
    assert (body["total"], body["asOf"]) == (3, "2026-03-01T12:00:00Z")
    rest = (await made.client.get(f"{API}/clusters/eu1/namespaces?limit=2&cursor={body['nextCursor']}")).json()
    assert [(n["name"], n["environment"]) for n in rest["items"]] == [("test", "NonProduction")]
    assert (await made.client.get(f"{API}/clusters/eu1/resources")).json()["items"] == kinds
    assert (await made.client.get(f"{API}/clusters/nowhere/namespaces")).status_code == 404


async def test_a_cluster_that_has_not_said_anything_holds_nothing_that_we_know_of(made):
    body = (await made.client.get(f"{API}/clusters/eu1/namespaces")).json()
    assert (body["items"], body["total"], body["asOf"]) == ([], 0, None)


# ---------------------------------------------------------------------- who may

BACKUP = {"name": "b", "cluster": "eu1", "scope": {"kind": "all"}}
SCHEDULE = {"name": "s", "cluster": "eu1", "cron": "@daily", "template": {"scope": {"kind": "all"}}}
ADDRESSES = [
    ("GET", "/backups", None, "viewer"),
    ("GET", "/backups/summary", None, "viewer"),
    ("GET", "/backups/x", None, "viewer"),
    ("GET", "/backups/x/logs", None, "viewer"),
    ("GET", "/backups/x/results", None, "viewer"),
    ("GET", "/backups/x/resources", None, "viewer"),
    ("GET", "/backups/x/contents", None, "operator"),
    ("DELETE", "/backups/x", None, "operator"),
    ("POST", "/backups/delete", {"ids": ["x"]}, "operator"),
    ("POST", "/clusters/eu1/scope", {"scope": {"kind": "all"}}, "viewer"),
    ("GET", "/clusters", None, "viewer"),
    ("GET", "/clusters/eu1", None, "viewer"),
    ("GET", "/clusters/eu1/namespaces", None, "viewer"),
    ("GET", "/clusters/eu1/resources", None, "viewer"),
    ("GET", "/clusters/eu1/join", None, "viewer"),
    *(("GET", f"/{sort}-locations", None, "viewer") for sort in ("storage", "snapshot")),
    *(("GET", f"/clusters/eu1/{sort}-locations", None, "viewer") for sort in ("storage", "snapshot")),
    *(("GET", f"/clusters/eu1/{sort}-locations/x", None, "viewer") for sort in ("storage", "snapshot")),
    *(("PATCH", f"/clusters/eu1/{sort}-locations/x", {}, "admin") for sort in ("storage", "snapshot")),
    *(("DELETE", f"/clusters/eu1/{sort}-locations/x", None, "admin") for sort in ("storage", "snapshot")),
    *(("POST", f"/clusters/eu1/{sort}-locations", {}, "admin") for sort in ("storage", "snapshot")),
    ("GET", "/restores", None, "viewer"),
    ("GET", "/restores/summary", None, "viewer"),
    *(("GET", f"/restores/x{part}", None, "viewer") for part in ("", "/logs", "/results", "/resources")),
    ("POST", "/restores/preflight", {"backup": "x"}, "viewer"),
    ("POST", "/restores", {"backup": "x"}, "operator"),
    ("POST", "/restores/delete", {"ids": ["x"]}, "operator"),
    ("DELETE", "/restores/x", None, "operator"),
    ("GET", "/operations/x", None, "viewer"),
    ("GET", "/events?kind=odd", None, "viewer"),
    ("POST", "/backups", BACKUP, "operator"),
    ("GET", "/schedules", None, "viewer"),
    ("GET", "/schedules/summary", None, "viewer"),
    ("GET", "/schedules/x", None, "viewer"),
    ("GET", "/schedules/x/ticks", None, "viewer"),
    ("POST", "/schedules/preview", {"cron": "@daily"}, "viewer"),
    ("POST", "/schedules", SCHEDULE, "operator"),
    ("PATCH", "/schedules/x", {}, "operator"),
    ("POST", "/schedules/x/pause", None, "operator"),
    ("POST", "/schedules/x/resume", None, "operator"),
    ("POST", "/schedules/x/skip", {"count": 1}, "operator"),
    ("POST", "/schedules/x/backups", {"name": "b"}, "operator"),
    ("DELETE", "/schedules/x", None, "operator"),
    ("POST", "/clusters", {"id": "eu1"}, "admin"),
    ("PATCH", "/clusters/eu1", {"displayName": "x"}, "admin"),
    ("DELETE", "/clusters/eu1", None, "admin"),
]


async def test_each_role_may_do_its_own_and_no_more(nats_server, mongo_server, tmp_path):
    path = tmp_path / "tokens.json"
    tokens = tokens_file(path, vera="viewer", otto="operator", anna="admin")
    async with stack(nats_server, mongo_server, tokens_file=path) as made:
        listed = {
            (m.upper(), p) for p, ms in (await made.client.get(f"{API}/openapi.json")).json()["paths"].items() for m in ms
        }
        assert len(listed) == len(ADDRESSES)
        ranks = {"vera": 0, "otto": 1, "anna": 2}
        for method, address, body, needed in ADDRESSES:
            for name, rank in ranks.items():
                response = await made.client.request(method, API + address, json=body, headers={"Authorization": tokens[name]})
                allowed = rank >= ("viewer", "operator", "admin").index(needed)
                assert (response.status_code == 403) != allowed, (method, address, name, response.text)
            for header in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic eDp5"}):
                response = await made.client.request(method, API + address, json=body, headers=header)
                assert response.status_code == 401, (method, address)
                assert response.headers["www-authenticate"].startswith("Bearer")
                assert response.json()["type"] == "/problems/unauthenticated"
                odd = f"{API}{address}{'&' if '?' in address else '?'}colour=red"
                assert (await made.client.request(method, odd, json=body, headers=header)).status_code == 401, (method, address)
        assert (await made.client.get("/readyz")).status_code == 200
        url_token = tokens["anna"].removeprefix("Bearer ")
        assert (await made.client.get(f"{API}/events?token={url_token}&access_token={url_token}")).status_code == 401


async def test_the_tokens_name_is_the_principal_and_no_log_line_holds_a_token(nats_server, mongo_server, tmp_path, caplog):
    path = tmp_path / "tokens.json"
    tokens = tokens_file(path, otto="operator")
    caplog.set_level("DEBUG")
    async with stack(nats_server, mongo_server, tokens_file=path) as made:
        async with answering(made, made.status.accepts):
            headers = {"Authorization": tokens["otto"], "Prefer": "wait=20"}
            assert (await made.client.post(f"{API}/backups", json=BACKUP, headers=headers)).status_code == 201
        assert made.commands_seen[0].principal == "otto"
    text = caplog.text
    assert "otto" in text
    assert tokens["otto"].removeprefix("Bearer ") not in text


async def test_a_token_taken_out_of_the_file_is_refused_from_then_on(nats_server, mongo_server, tmp_path):
    path = tmp_path / "tokens.json"
    tokens = tokens_file(path, otto="operator", vera="viewer")
    async with stack(nats_server, mongo_server, tokens_file=path) as made:
        assert (await made.client.get(f"{API}/backups", headers={"Authorization": tokens["vera"]})).status_code == 200
        path.write_text("[]")
        assert (await made.client.get(f"{API}/backups", headers={"Authorization": tokens["vera"]})).status_code == 401


async def test_a_tokens_file_that_cannot_be_read_shows_in_readiness_and_takes_nobody_out_of_service(
    nats_server, mongo_server, tmp_path
):
    path = tmp_path / "tokens.json"
    tokens, good = tokens_file(path, vera="viewer"), path.read_bytes()
    async with stack(nats_server, mongo_server, tokens_file=path) as made:

        async def told(missing):
            report = await made.client.get("/readyz")
            return (report.status_code, report.json()["missing"]) == (200, missing)

        await eventually("fine", lambda: told([]))
        path.write_text("[")
        await eventually("told, without any request with a token", lambda: told(["tokens"]))
        assert (await made.client.get(f"{API}/backups", headers={"Authorization": tokens["vera"]})).status_code == 200
        path.write_bytes(good)
        await eventually("fine again", lambda: told([]))


# ---------------------------------------------------------------------- around the API


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:8080"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:5173"}, 200),
        ({"Host": "localhost"}, 200),
    ],
    ids=str,
)
async def test_without_tokens_only_this_machine_is_answered(made, headers, status):
    response = await made.client.get(f"{API}/backups", headers=headers)
    assert response.status_code == status
    if status == 403:
        assert response.json()["type"] == "/problems/host-refused"


async def test_with_tokens_any_host_is_answered(nats_server, mongo_server, tmp_path):
    tokens = tokens_file(tmp_path / "tokens.json", vera="viewer")
    async with stack(nats_server, mongo_server, tokens_file=tmp_path / "tokens.json") as made:
        headers = {"Authorization": tokens["vera"], "Host": "leeward.example"}
        assert (await made.client.get(f"{API}/backups", headers=headers)).status_code == 200


async def test_every_answer_carries_the_headers_that_keep_browsers_from_guessing_and_keeping(made):
    for address in (f"{API}/backups", f"{API}/nowhere", f"{API}/openapi.json", "/problems/refused"):
        response = await made.client.get(address)
        assert response.headers["x-content-type-options"] == "nosniff"
        assert (response.headers.get("cache-control") == "no-store") == address.startswith(API)


async def test_what_there_is_not_is_a_problem_with_a_page_of_words(made):
    response = await made.client.get(f"{API}/nowhere")
    assert (response.status_code, response.json()["status"]) == (404, 404)
    page = await made.client.get(response.json()["type"])
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert (await made.client.get("/problems/nothing")).status_code == 404
    other = await made.client.put(f"{API}/backups")
    assert (other.status_code, other.json()["type"]) == (405, "/problems/method-not-allowed")
    assert {m.strip() for m in other.headers["allow"].split(",")} >= {"GET"}


async def test_a_fault_of_ours_is_a_problem_without_a_trace_of_its_inside(made, monkeypatch):
    async def fail(*_args, **_kwargs):
        raise RuntimeError("secret inside")

    monkeypatch.setattr("services.gateway.store.Store.find", fail)
    response = await made.client.get(f"{API}/backups/x")
    assert (response.status_code, response.json()["type"]) == (500, "/problems/internal-error")
    assert "secret" not in response.text


async def test_requests_are_counted_by_route_and_not_by_id(made):
    for name in ("a", "b"):
        await made.client.get(f"{API}/clusters/{name}-never-a-label")
    await made.client.get("/odd/never-a-label")
    text = (await made.client.get("/metrics")).text
    assert f'leeward_http_requests_total{{method="GET",route="{API}/clusters/{{cluster}}",status="404"}}' in text
    assert "never-a-label" not in text
    assert 'leeward_dependency_up{dependency="mongodb"} 1.0' in text


async def test_the_openapi_document_tells_of_bodies_problems_and_tokens(made):
    document = (await made.client.get(f"{API}/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    create = document["paths"][f"{API}/backups"]["post"]
    schemas = document["components"]["schemas"]
    reference = create["requestBody"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
    assert schemas[reference]["additionalProperties"] is False
    assert set(schemas[reference]["required"]) == {"name", "cluster", "scope"}
    assert create["security"]
    told = {"201", "202", "400", "401", "403", "409", "413", "415", "422", "500", "503"}
    assert set(create["responses"]) == told
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            problems = {status: r for status, r in operation["responses"].items() if int(status) >= 400}
            assert {"400", "401", "403", "500", "503"} <= set(problems), (method, path)
            assert all(list(r["content"]) == ["application/problem+json"] for r in problems.values()), (method, path)
            assert "404" in problems or "{" not in path, (method, path)

    def references(node):
        if isinstance(node, dict):
            yield from ([node["$ref"]] if isinstance(node.get("$ref"), str) else [])
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    assert {r.removeprefix("#/components/schemas/") for r in references(document)} <= set(schemas)


async def test_the_port_is_the_one_asked_for_and_a_busy_one_is_an_error(made):
    busy = made.settings.model_copy(update={"http": GatewayHttp(port=made.settings.http.port)})
    with pytest.raises(BaseExceptionGroup) as caught:
        async with running(busy):
            pass
    assert caught.group_contains(OSError)
