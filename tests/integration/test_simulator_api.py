"""The simulated API server over the network: with the official client, and with raw HTTP where a client would hide it.

The expectations were observed on a kube-apiserver v1.35.4.
"""

import asyncio
import base64
import io
import json
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp
import pytest
import yaml
from kubernetes.aio import client, config, watch

from simulator import Manner, Rule, SimulatedCluster, User
from simulator.errors import ApiError
from tests.support.waiting import PATIENCE, eventually

VELERO = ("velero.io", "v1", "velero")
BACKUPS = "/apis/velero.io/v1/namespaces/velero/backups"
MERGE_PATCH = {"content-type": "application/merge-patch+json"}


def backup(name="nightly", **metadata):
    return {"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": {"name": name, **metadata}, "spec": {"ttl": "1h"}}


@pytest.fixture
async def cluster():
    async with SimulatedCluster("eu1", namespaces={"shop": {"environment": "production"}}) as running:
        yield running


@pytest.fixture
async def http(cluster):
    async with aiohttp.ClientSession(cluster.url, timeout=aiohttp.ClientTimeout(total=PATIENCE)) as session:
        yield session


@pytest.fixture
async def kube(cluster):
    configuration = client.Configuration()
    await config.load_kube_config_from_dict(cluster.kubeconfig(), client_configuration=configuration)
    async with client.ApiClient(configuration) as connected:
        yield connected


async def answer(request):
    """The code and the document of an answer."""
    async with request as response:
        return response.status, await response.json()


class Stream:
    """An open watch, read line by line."""

    def __init__(self, response):
        self.response = response

    async def next(self):
        """The next event, or None at the end of the stream."""
        line = await asyncio.wait_for(self.response.content.readline(), PATIENCE)
        return json.loads(line) if line else None

    async def names(self, count):
        """The types and names of the next events."""
        events = [await self.next() for _ in range(count)]
        return [(event["type"], event["object"]["metadata"]["name"]) for event in events]


@asynccontextmanager
async def watching(http, path=BACKUPS, **query):
    async with http.get(path, params={"watch": "1", **query}) as response:
        assert response.status == 200
        yield Stream(response)


# The official client


async def test_the_official_client_creates_reads_patches_and_deletes(kube):
    api = client.CustomObjectsApi(kube)
    created = await api.create_namespaced_custom_object(*VELERO, "backups", backup(labels={"a": "b"}))
    assert created["metadata"]["generation"] == 1
    assert await api.get_namespaced_custom_object(*VELERO, "backups", "nightly") == created
    found = await api.list_namespaced_custom_object(*VELERO, "backups", label_selector="a in (b, c)")
    assert found["items"] == [created]
    assert found["kind"] == "BackupList"
    patched = await api.patch_namespaced_custom_object(
        *VELERO, "backups", "nightly", {"status": {"phase": "New"}}, _content_type="application/merge-patch+json"
    )
    assert patched["status"] == {"phase": "New"}
    assert patched["metadata"]["generation"] == 2
    deleted = await api.delete_namespaced_custom_object(*VELERO, "backups", "nightly")
    assert deleted["status"] == "Success"
    with pytest.raises(client.ApiException) as gone:
        await api.get_namespaced_custom_object(*VELERO, "backups", "nightly")
    assert gone.value.status == 404


async def test_the_official_client_reads_built_in_kinds_and_versions(kube):
    namespaces = await client.CoreV1Api(kube).list_namespace(label_selector="environment in (production, prod)")
    assert [item.metadata.name for item in namespaces.items] == ["shop"]
    assert (await client.VersionApi(kube).get_code()).git_version == "v1.35.4"
    definitions = await client.ApiextensionsV1Api(kube).list_custom_resource_definition()
    assert len(definitions.items) == 13
    groups = await client.ApisApi(kube).get_api_versions()
    assert "velero.io" in [group.name for group in groups.groups]
    resources = await client.CustomObjectsApi(kube).get_api_resources("velero.io", "v1")
    assert "backups" in [resource.name for resource in resources.resources]


async def test_the_official_client_watches(kube, cluster):
    stream = watch.Watch()
    api = client.CustomObjectsApi(kube)
    cluster.store.create("backups", backup("first"), "velero")
    seen = []
    async with asyncio.timeout(PATIENCE):
        async for event in stream.stream(api.list_namespaced_custom_object, *VELERO, "backups", resource_version="0"):
            seen.append((event["type"], event["object"]["metadata"]["name"]))
            if len(seen) == 1:
                cluster.store.create("backups", backup("second"), "velero")
            if len(seen) == 2:
                break
    await stream.close()
    assert seen == [("ADDED", "first"), ("ADDED", "second")]


async def test_the_official_client_meets_an_expired_version(kube):
    listing = client.CustomObjectsApi(kube).list_namespaced_custom_object
    events = watch.Watch().stream(listing, *VELERO, "backups", resource_version="1", timeout_seconds=5)
    with pytest.raises(client.ApiException) as expired:
        await anext(events)
    assert expired.value.status == 410


async def test_a_kubeconfig_file_leads_to_the_cluster(cluster, tmp_path):
    path = cluster.write_kubeconfig(tmp_path / "config")
    assert yaml.safe_load(path.read_text())["clusters"][0]["cluster"]["server"] == cluster.url
    configuration = client.Configuration()
    await config.load_kube_config(str(path), context="eu1", client_configuration=configuration)
    async with client.ApiClient(configuration) as connected:
        namespace = await client.CoreV1Api(connected).read_namespace("kube-system")
    assert namespace.metadata.uid == cluster.uid


# Writing, in raw HTTP


async def test_health_is_plain_text(http):
    for path in ("/healthz", "/livez", "/readyz"):
        async with http.get(path) as response:
            assert (response.status, await response.text()) == (200, "ok")


async def test_unknown_fields_bring_a_warning_or_a_refusal(http):
    document = {**backup(), "spec": {"foo": 1}}
    async with http.post(BACKUPS, json=document) as response:
        assert response.status == 201
        assert response.headers["warning"] == '299 - "unknown field \\"spec.foo\\""'
        assert (await response.json())["spec"] == {}
    code, status = await answer(http.post(BACKUPS, json=document, params={"fieldValidation": "Strict"}))
    assert (code, status["kind"], status["reason"]) == (400, "Status", "BadRequest")
    assert status["message"] == (
        'Backup in version "v1" cannot be handled as a Backup: strict decoding error: unknown field "spec.foo"'
    )


async def test_a_name_is_generated(http):
    code, created = await answer(http.post(BACKUPS, json=backup(None, generateName="manual-")))
    assert code == 201
    assert created["metadata"]["name"].startswith("manual-")


async def test_a_wrong_value_is_refused_with_its_field(http):
    code, status = await answer(http.post(BACKUPS, json={**backup(), "status": {"phase": ""}}))
    assert (code, status["reason"], status["details"]["causes"][0]["field"]) == (422, "Invalid", "status.phase")


async def test_a_taken_name_and_a_missing_namespace_are_refused(http):
    assert (await answer(http.post(BACKUPS, json=backup())))[0] == 201
    code, status = await answer(http.post(BACKUPS, json=backup()))
    assert (code, status["reason"]) == (409, "AlreadyExists")
    code, status = await answer(http.post("/apis/velero.io/v1/namespaces/nowhere/backups", json=backup()))
    assert (code, status["message"]) == (404, 'namespaces "nowhere" not found')


async def test_merge_patches_respect_the_version_they_name(http):
    _, created = await answer(http.post(BACKUPS, json=backup()))
    path = f"{BACKUPS}/nightly"
    same = await answer(http.patch(path, json={"spec": {"ttl": "1h"}}, headers=MERGE_PATCH))
    assert same == (200, created)
    version = created["metadata"]["resourceVersion"]
    patch = {"metadata": {"resourceVersion": version}, "spec": {"ttl": "2h"}}
    assert (await answer(http.patch(path, json=patch, headers=MERGE_PATCH)))[0] == 200
    code, status = await answer(http.patch(path, json=patch, headers=MERGE_PATCH))
    assert (code, status["reason"]) == (409, "Conflict")


@pytest.mark.parametrize("media_type", ["application/json-patch+json", "application/strategic-merge-patch+json"])
async def test_other_patches_are_not_understood(http, media_type):
    await answer(http.post(BACKUPS, json=backup()))
    code, status = await answer(http.patch(f"{BACKUPS}/nightly", data="[]", headers={"content-type": media_type}))
    assert (code, status["reason"]) == (415, "UnsupportedMediaType")


async def test_a_replacement_of_an_older_version_conflicts(http):
    _, created = await answer(http.post(BACKUPS, json=backup()))
    created["spec"]["ttl"] = "2h"
    assert (await answer(http.put(f"{BACKUPS}/nightly", json=created)))[0] == 200
    created["spec"]["ttl"] = "3h"
    assert (await answer(http.put(f"{BACKUPS}/nightly", json=created)))[0] == 409


async def test_velero_kinds_have_no_status_subresource(http):
    await answer(http.post(BACKUPS, json=backup()))
    assert (await answer(http.get(f"{BACKUPS}/nightly/status")))[0] == 404
    assert (await answer(http.patch(f"{BACKUPS}/nightly/status", json={}, headers=MERGE_PATCH)))[0] == 404


async def test_finalizers_hold_an_object_and_its_watchers_see_it_go(http):
    await answer(http.post(BACKUPS, json=backup(finalizers=["x.io/hold"])))
    async with watching(http) as stream:
        assert await stream.names(1) == [("ADDED", "nightly")]
        _, marked = await answer(http.delete(f"{BACKUPS}/nightly"))
        assert (marked["kind"], "deletionTimestamp" in marked["metadata"]) == ("Backup", True)
        assert await stream.names(1) == [("MODIFIED", "nightly")]
        patch = {"metadata": {"finalizers": None}}
        assert (await answer(http.patch(f"{BACKUPS}/nightly", json=patch, headers=MERGE_PATCH)))[0] == 200
        assert await stream.names(1) == [("DELETED", "nightly")]


async def test_a_delete_meets_its_preconditions_or_fails(http):
    _, created = await answer(http.post(BACKUPS, json=backup()))
    assert (await answer(http.delete(f"{BACKUPS}/nightly", json={"preconditions": {"uid": "x"}})))[0] == 409
    code, status = await answer(http.delete(f"{BACKUPS}/nightly", json={"preconditions": {"uid": created["metadata"]["uid"]}}))
    assert (code, status["status"], status["details"]["kind"]) == (200, "Success", "backups")


@pytest.mark.parametrize(
    ("body", "code"), [("{nope", 400), ("[]", 400), ("", 400), ('{"metadata": {"name": "a"}}', 400), (" " * 3_200_000, 413)]
)
async def test_a_body_that_is_no_object_is_refused(http, body, code):
    found, status = await answer(
        http.post(BACKUPS, data=io.BytesIO(body.encode()), headers={"content-type": "application/json"})
    )
    assert (found, status["kind"]) == (code, "Status")


async def test_what_does_not_exist_is_plainly_not_found(http):
    for path in ("/foo", "/apis/x.io/v1", "/apis/velero.io/v1/foos", "/apis/velero.io/v1/backups/nightly"):
        async with http.get(path) as response:
            assert (response.status, await response.text()) == (404, "404 page not found\n")


async def test_a_dry_run_writes_nothing(http, cluster):
    assert (await answer(http.post(BACKUPS, json=backup(), params={"dryRun": "All"})))[0] == 400
    assert cluster.store.list("backups") == []


# Listing


async def test_lists_come_in_pages_of_one_version(http):
    for name in ("a", "b", "c"):
        await answer(http.post(BACKUPS, json=backup(name)))
    _, first = await answer(http.get(BACKUPS, params={"limit": "2"}))
    assert first["metadata"]["remainingItemCount"] == 1
    await answer(http.delete(f"{BACKUPS}/c"))
    _, second = await answer(http.get(BACKUPS, params={"limit": "2", "continue": first["metadata"]["continue"]}))
    assert [item["metadata"]["name"] for item in first["items"] + second["items"]] == ["a", "b", "c"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_an_old_page_expires(http, cluster):
    for name in ("a", "b"):
        await answer(http.post(BACKUPS, json=backup(name)))
    _, first = await answer(http.get(BACKUPS, params={"limit": "1"}))
    await answer(http.post(BACKUPS, json=backup("c")))
    cluster.compact()
    code, status = await answer(http.get(BACKUPS, params={"limit": "1", "continue": first["metadata"]["continue"]}))
    assert (code, status["reason"]) == (410, "Expired")


async def test_a_list_from_the_cache_knows_no_pages(http):
    for name in ("a", "b"):
        await answer(http.post(BACKUPS, json=backup(name)))
    _, found = await answer(http.get("/apis/velero.io/v1/backups", params={"limit": "1", "resourceVersion": "0"}))
    assert len(found["items"]) == 2


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"labelSelector": "a b"}, 400),
        ({"fieldSelector": "spec.foo=x"}, 400),
        ({"limit": "abc"}, 400),
        ({"resourceVersion": "abc"}, 400),
        ({"resourceVersion": "99999999"}, 504),
        ({"continue": "abc"}, 400),
    ],
)
async def test_a_list_with_a_bad_parameter_is_refused(http, query, code):
    assert (await answer(http.get(BACKUPS, params=query)))[0] == code


# Watching


async def test_a_watch_begins_after_the_version_of_a_list(http):
    await answer(http.post(BACKUPS, json=backup("before")))
    _, found = await answer(http.get(BACKUPS))
    await answer(http.post(BACKUPS, json=backup("between")))
    async with watching(http, resourceVersion=found["metadata"]["resourceVersion"]) as stream:
        await answer(http.post(BACKUPS, json=backup("after")))
        assert await stream.names(2) == [("ADDED", "between"), ("ADDED", "after")]


async def test_a_watch_of_all_namespaces_sees_them_all(http):
    async with watching(http, "/apis/velero.io/v1/backups", labelSelector="tier=gold") as stream:
        await answer(http.post("/apis/velero.io/v1/namespaces/shop/backups", json=backup("a", labels={"tier": "gold"})))
        await answer(http.post(BACKUPS, json=backup("b")))
        await answer(http.post(BACKUPS, json=backup("c", labels={"tier": "gold"})))
        assert await stream.names(2) == [("ADDED", "a"), ("ADDED", "c")]


async def test_a_version_that_is_too_old_is_an_event_of_a_good_answer(http, cluster):
    async with watching(http, resourceVersion="1") as stream:
        event = await stream.next()
        assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
        assert await stream.next() is None
    version = cluster.store.revision
    cluster.store.create("backups", backup(), "velero")
    cluster.compact()
    async with watching(http, resourceVersion=str(version)) as stream:
        assert (await stream.next())["object"]["code"] == 410


async def test_an_open_watch_outlives_a_compaction(http, cluster):
    async with watching(http, resourceVersion=str(cluster.store.revision)) as stream:
        cluster.compact()
        cluster.store.create("backups", backup(), "velero")
        assert await stream.names(1) == [("ADDED", "nightly")]


async def test_a_watch_ends_in_good_order_when_its_time_is_up(http):
    async with watching(http, timeoutSeconds="1") as stream:
        assert await stream.next() is None


async def test_metadata_alone_can_be_listed_in_pages_and_read(http, cluster):
    for index in range(3):
        cluster.store.create("secrets", {"metadata": {"name": f"s{index}"}, "stringData": {"password": "hidden"}}, "shop")
    alone = {"accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"}
    path = "/api/v1/namespaces/shop/secrets"
    async with http.get(path, params={"limit": 2}, headers=alone) as response:
        text = await response.text()
    found = json.loads(text)
    assert (found["kind"], found["apiVersion"]) == ("PartialObjectMetadataList", "meta.k8s.io/v1")
    assert [set(item) for item in found["items"]] == [{"kind", "apiVersion", "metadata"}] * 2
    assert [item["metadata"]["name"] for item in found["items"]] == ["s0", "s1"]
    assert found["metadata"]["remainingItemCount"] == 1
    assert base64.b64encode(b"hidden").decode() not in text
    code, one = await answer(http.get(f"{path}/s2", headers=alone))
    assert (code, one["kind"], sorted(one)) == (200, "PartialObjectMetadata", ["apiVersion", "kind", "metadata"])
    assert (await answer(http.get(path, headers={"accept": "text/html"})))[0] == 406


async def test_a_version_that_is_no_number_is_refused(http):
    assert (await answer(http.get(BACKUPS, params={"watch": "1", "resourceVersion": "abc"})))[0] == 500


async def test_the_end_of_the_initial_events_is_marked(http, cluster):
    cluster.store.create("backups", backup(), "velero")
    async with watching(http, allowWatchBookmarks="true", resourceVersion="0") as stream:
        assert (await stream.next())["type"] == "ADDED"
        event = await stream.next()
    assert event == {
        "type": "BOOKMARK",
        "object": {
            "apiVersion": "velero.io/v1",
            "kind": "Backup",
            "metadata": {
                "resourceVersion": str(cluster.store.revision),
                "annotations": {"k8s.io/initial-events-end": "true"},
            },
        },
    }


async def test_bookmarks_carry_the_newest_version_of_the_cluster():
    async with (
        SimulatedCluster("eu1", manner=Manner(bookmark_interval=0.05)) as cluster,
        aiohttp.ClientSession(cluster.url) as http,
        watching(http, resourceVersion=str(cluster.store.revision), allowWatchBookmarks="true") as stream,
    ):
        cluster.store.create("restores", {"metadata": {"name": "r"}}, "velero")

        async def newest():
            event = await stream.next()
            assert (event["type"], set(event["object"]["metadata"])) == ("BOOKMARK", {"resourceVersion"})
            return event["object"]["metadata"]["resourceVersion"] == str(cluster.store.revision)

        await eventually("the newest version", newest)  # the first one may have been on its way before


async def test_a_watch_whose_client_has_left_is_forgotten(http, cluster):
    async with watching(http):
        await eventually("the server has noticed", lambda: cluster.faults.open_watches == 1)
    await eventually("the server has noticed", lambda: cluster.faults.open_watches == 0)


# Faults


async def test_requests_and_watches_hang_until_released(http, cluster):
    async with watching(http, resourceVersion=str(cluster.store.revision)) as stream:
        await eventually("the server has noticed", lambda: cluster.faults.open_watches == 1)
        cluster.faults.hang()
        cluster.store.create("backups", backup("meanwhile"), "velero")
        reading = asyncio.create_task(stream.next())
        asking = asyncio.create_task(answer(http.post(BACKUPS, json=backup("asked"))))
        await eventually("the server has noticed", lambda: cluster.faults.calls[-1].method == "POST")
        done, _ = await asyncio.wait((reading, asking), timeout=0.2)
        assert not done
        assert cluster.store.find("backups", "asked", "velero") is None
        cluster.faults.release()
        assert (await reading)["object"]["metadata"]["name"] == "meanwhile"
        assert (await asking)[0] == 201


async def test_a_cluster_that_hangs_can_be_stopped(cluster, http):
    cluster.faults.hang()
    asking = asyncio.create_task(answer(http.get(BACKUPS)))
    await eventually("the server has noticed", lambda: cluster.faults.calls)
    async with asyncio.timeout(PATIENCE / 2):
        await cluster.stop()
    with pytest.raises(aiohttp.ClientError):
        await asking


async def test_a_slow_cluster_can_be_stopped_without_delay(cluster, http):
    cluster.faults.slow(PATIENCE)
    asking = asyncio.create_task(answer(http.get(BACKUPS)))
    await eventually("the server has noticed", lambda: cluster.faults.calls)
    async with asyncio.timeout(PATIENCE / 2):
        await cluster.stop()
    with pytest.raises(aiohttp.ClientError):
        await asking


async def test_a_slow_server_answers_late(http, cluster):
    loop = asyncio.get_running_loop()
    cluster.faults.slow(0.2)
    began = loop.time()
    assert (await answer(http.get(BACKUPS)))[0] == 200
    assert loop.time() - began >= 0.2


async def test_a_stopped_server_refuses_and_comes_back_with_everything_on_the_same_port(http, cluster):
    await answer(http.post(BACKUPS, json=backup()))
    url = cluster.url
    async with watching(http, resourceVersion=str(cluster.store.revision)) as stream:
        async with asyncio.timeout(PATIENCE / 2):
            await cluster.stop()
        with pytest.raises(aiohttp.ClientError):
            await stream.next()
    with pytest.raises(aiohttp.ClientConnectorError):
        await http.get(BACKUPS)
    cluster.store.create("backups", backup("meanwhile"), "velero")
    await cluster.start()
    assert cluster.url == url
    _, found = await answer(http.get(BACKUPS))
    assert [item["metadata"]["name"] for item in found["items"]] == ["meanwhile", "nightly"]


async def test_a_restart_expires_older_versions(http, cluster):
    version = cluster.store.revision
    await answer(http.post(BACKUPS, json=backup()))
    await cluster.restart()
    async with watching(http, resourceVersion=str(version)) as stream:
        assert (await stream.next())["object"]["code"] == 410
    async with watching(http, resourceVersion=str(version + 1)) as stream:
        cluster.store.create("backups", backup("next"), "velero")
        assert await stream.names(1) == [("ADDED", "next")]


@pytest.mark.parametrize("reset", [False, True])
async def test_watches_are_cut_and_requests_are_not(http, cluster, reset):
    async with watching(http) as stream:
        await eventually("the server has noticed", lambda: cluster.faults.open_watches == 1)
        assert cluster.faults.cut_watches(reset=reset) == 1
        if reset:
            with pytest.raises(aiohttp.ClientError):
                await stream.next()
        else:
            assert await stream.next() is None
    assert (await answer(http.get(BACKUPS)))[0] == 200


@pytest.mark.parametrize(("code", "reason"), [(429, "TooManyRequests"), (500, "InternalError"), (503, "ServiceUnavailable")])
async def test_the_next_requests_that_match_fail(http, cluster, code, reason):
    cluster.faults.fail_next(2, code, when=lambda call: call.method == "POST" and call.path.endswith("/backups"))
    for _ in range(2):
        assert (await answer(http.get(BACKUPS)))[0] == 200
        found, status = await answer(http.post(BACKUPS, json=backup()))
        assert (found, status["kind"], status["reason"]) == (code, "Status", reason)
    assert (await answer(http.post(BACKUPS, json=backup())))[0] == 201


async def test_a_watch_may_meet_a_storage_that_initializes(http, cluster):
    cluster.faults.fail_next(1, 429, when=lambda call: call.watch)
    async with http.get(BACKUPS, params={"watch": "1"}) as response:
        assert (response.status, response.headers["retry-after"]) == (429, "1")
        assert (await response.json())["message"] == "storage is (re)initializing"


async def test_an_answer_is_lost_although_the_request_took_effect(http, cluster):
    cluster.faults.lose_answers(when=lambda call: call.method == "POST")
    with pytest.raises(aiohttp.ClientError):
        await http.post(BACKUPS, json=backup())
    assert cluster.store.find("backups", "nightly", "velero") is not None
    assert (await answer(http.post(BACKUPS, json=backup())))[0] == 409


async def test_a_restored_etcd_loses_objects_silently_and_its_versions_fall(http, cluster):
    await answer(http.post(BACKUPS, json=backup("kept")))
    snapshot = cluster.snapshot()
    await answer(http.post(BACKUPS, json=backup("lost")))
    _, before = await answer(http.get(BACKUPS))
    async with watching(http, resourceVersion=before["metadata"]["resourceVersion"]) as stream:
        await eventually("the server has noticed", lambda: cluster.faults.open_watches == 1)
        cluster.restore_etcd(snapshot)
        with pytest.raises(aiohttp.ClientError):
            await stream.next()
    _, after = await answer(http.get(BACKUPS))
    assert [item["metadata"]["name"] for item in after["items"]] == ["kept"]
    assert int(after["metadata"]["resourceVersion"]) < int(before["metadata"]["resourceVersion"])
    # Who goes on from the version it knew hears nothing, not even an error.
    async with watching(http, resourceVersion=before["metadata"]["resourceVersion"]) as stream:
        await answer(http.post(BACKUPS, json=backup("unseen")))
        await answer(http.post(BACKUPS, json=backup("seen")))
        assert await stream.names(1) == [("ADDED", "seen")]


async def test_a_rebuilt_cluster_is_another_one_under_the_same_address(http, cluster):
    await answer(http.post(BACKUPS, json=backup()))
    uid, url = cluster.uid, cluster.url
    cluster.rebuild()
    assert cluster.uid != uid
    assert cluster.url == url
    assert (await answer(http.get(BACKUPS)))[1]["items"] == []
    assert (await answer(http.get("/api/v1/namespaces/shop")))[0] == 200


async def test_clear_withdraws_every_order(http, cluster):
    cluster.faults.fail_next(5)
    cluster.faults.hang()
    cluster.faults.slow(PATIENCE)
    cluster.faults.clear()
    assert (await answer(http.get(BACKUPS)))[0] == 200


# Access


async def test_tokens_say_who_may_do_what():
    reading = Rule(frozenset(("get", "list", "watch")), frozenset(("backups.velero.io",)), frozenset(("velero",)))
    own = Rule(frozenset(("get",)), frozenset(("secrets",)), frozenset(("velero",)), frozenset(("own",)))
    reader = User("reader", (reading, own))
    async with (
        SimulatedCluster("eu1", tokens={"secret": User("admin"), "weak": reader}) as cluster,
        aiohttp.ClientSession(cluster.url) as http,
    ):
        assert cluster.kubeconfig()["users"][0]["user"] == {"token": "secret"}

        async def code(method, path, token):
            headers = {"authorization": f"Bearer {token}"} if token else {}
            async with http.request(method, path, headers=headers, json=backup() if method == "POST" else None) as response:
                return response.status

        assert await code("GET", BACKUPS, None) == 401
        assert await code("GET", BACKUPS, "wrong") == 401
        assert await code("GET", "/healthz", None) == 200
        assert await code("POST", BACKUPS, "secret") == 201
        assert await code("GET", f"{BACKUPS}/nightly", "weak") == 200
        assert await code("POST", BACKUPS, "weak") == 403
        assert await code("GET", "/apis/velero.io/v1/backups", "weak") == 403
        assert await code("GET", "/api/v1/namespaces/velero/secrets", "weak") == 403
        assert await code("GET", "/api/v1/namespaces/velero/secrets/own", "weak") == 404
        assert await code("GET", "/api/v1/namespaces/velero/secrets/another", "weak") == 403
        async with http.delete(f"{BACKUPS}/nightly", headers={"authorization": "Bearer weak"}) as response:
            status = await response.json()
    assert status["message"] == (
        'backups.velero.io "nightly" is forbidden: User "reader" cannot delete resource "backups" in API group "velero.io" '
        'in the namespace "velero"'
    )


# Several clusters, and the process


async def test_clusters_do_not_know_each_other():
    async with SimulatedCluster("eu1") as first, SimulatedCluster("eu2") as second:
        first.store.create("backups", backup(), "velero")
        assert first.uid != second.uid
        with pytest.raises(ApiError):
            second.store.get("backups", "nightly", "velero")


async def test_a_port_can_be_chosen_and_a_taken_one_is_said():
    async with SimulatedCluster("eu1") as first:
        port = urlsplit(first.url).port
        with pytest.raises(OSError, match="in use"):
            await SimulatedCluster("eu2", port=port).start()
