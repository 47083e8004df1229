"""What the API shows: lists, filters, pages and details over a real database, and what it says while that is away."""

import itertools
import random
import time
from datetime import timedelta

import pytest
import pytest_asyncio

from services.gateway.store import Store, opened
from shared.contracts.documents import to_document
from shared.contracts.phases import BackupStatus
from shared.contracts.views import Creator, ScheduleRef, Size
from shared.messaging.outcomes import Unavailable
from shared.runtime.settings import MongoSettings
from tests.support.gateway import (
    API,
    NOW,
    backup_document,
    backup_item,
    cluster_document,
    location_document,
    stack,
)
from tests.support.servers import MongoServer, NatsServer
from tests.support.timing import BRIEF
from tests.support.waiting import eventually


@pytest.fixture
async def made(nats_server, mongo_server):
    async with stack(nats_server, mongo_server) as running:
        yield running


def names(response):
    assert response.status_code == 200, response.text
    return [item["name"] for item in response.json()["items"]]


async def fill(made, *items):
    await made.status.writes("backups", *(backup_document(item) for item in items))


FLEET = [
    backup_item(
        "shop-1", labels={"team": "shop", "a.b/c": "x"}, created_at=NOW, size=Size(total_bytes=5), storage_location="default"
    ),
    backup_item("shop-2", cluster="us1", created_at=NOW - timedelta(days=1), status=BackupStatus.FAILED, outcome="Failed"),
    backup_item("cart-1", labels={"team": "cart"}, created_at=NOW - timedelta(days=2), created_by=Creator(kind="External")),
    backup_item(
        "nightly-1",
        created_at=NOW - timedelta(days=3),
        created_by=Creator(kind="Schedule", name="nightly"),
        schedule=ScheduleRef(id="s1", name="nightly"),
        size=Size(total_bytes=9),
        expires_at=NOW,
    ),
    backup_item("old", created_at=None, status=BackupStatus.DELETED),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(tmp_path_factory, mongo_server):
    """A gateway over the whole fleet: one for all tests that only read."""
    nats = NatsServer(tmp_path_factory.mktemp("nats"))
    nats.start()
    try:
        async with stack(nats, mongo_server) as running:
            await fill(running, *FLEET, backup_item("refused", status=BackupStatus.REFUSED))
            yield running
    finally:
        nats.kill()


reads = pytest.mark.asyncio(loop_scope="module")


@reads
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["shop-1", "shop-2", "cart-1", "nightly-1"]),
        ("cluster=us1", ["shop-2"]),
        ("cluster=us1&cluster=eu1", ["shop-1", "shop-2", "cart-1", "nightly-1"]),
        ("status=Deleted", ["old"]),
        ("status=Deleted&status=Failed", ["shop-2", "old"]),
        ("outcome=Failed", ["shop-2"]),
        ("createdBy=anna", ["shop-1", "shop-2"]),
        ("createdBy=Schedule", ["nightly-1"]),
        ("createdBy=User/anna", ["shop-1", "shop-2"]),
        ("createdBy=User/nightly", []),
        ("createdBy=External&createdBy=Schedule/nightly", ["cart-1", "nightly-1"]),
        ("createdBy=Schedule&createdBy=anna", ["shop-1", "shop-2", "nightly-1"]),
        ("schedule=nightly", ["nightly-1"]),
        ("schedule=s1", ["nightly-1"]),
        ("storageLocation=default", ["shop-1"]),
        ("label=team%3Dshop", ["shop-1"]),
        ("label=team", ["shop-1", "cart-1"]),
        ("label=a.b/c=x", ["shop-1"]),
        ("label=a.b/c&label=team%3Dcart", ["shop-1", "cart-1"]),
        ("label=team=shop&cluster=us1", []),
        ("search=hop", ["shop-1", "shop-2"]),
        ("search=ho", []),
        ("search=SH", ["shop-1", "shop-2"]),
        ("search=...", []),
        ("createdAfter=2026-02-28T00:00:00Z", ["shop-1", "shop-2"]),
        ("createdBefore=2026-02-28T00:00:00%2B01:00", ["cart-1", "nightly-1"]),
        ("createdAfter=2026-02-26T12:00:00Z&createdBefore=2026-02-28T12:00:00Z", ["cart-1"]),
        ("cluster=eu1&status=Completed&createdBefore=2026-03-01T12:00:00Z", ["cart-1", "nightly-1"]),
        ("status=Failed&cluster=eu1", []),
        ("search=hop&sort=-name&cluster=eu1&cluster=us1", ["shop-2", "shop-1"]),
        ("sort=name", ["cart-1", "nightly-1", "shop-1", "shop-2"]),
        ("sort=-name", ["shop-2", "shop-1", "nightly-1", "cart-1"]),
        ("sort=createdAt", ["nightly-1", "cart-1", "shop-2", "shop-1"]),
        ("sort=-createdAt", ["shop-1", "shop-2", "cart-1", "nightly-1"]),
        ("sort=status", ["nightly-1", "cart-1", "shop-1", "shop-2"]),
        ("sort=-status", ["shop-2", "shop-1", "cart-1", "nightly-1"]),
        ("sort=cluster", ["nightly-1", "cart-1", "shop-1", "shop-2"]),
        ("sort=-cluster", ["shop-2", "shop-1", "cart-1", "nightly-1"]),
        ("sort=size", ["cart-1", "shop-2", "shop-1", "nightly-1"]),
        ("sort=-size", ["nightly-1", "shop-1", "shop-2", "cart-1"]),
        ("sort=expiresAt", ["cart-1", "shop-2", "shop-1", "nightly-1"]),
        ("sort=-expiresAt", ["nightly-1", "shop-1", "shop-2", "cart-1"]),
        ("sort=-size,name", ["nightly-1", "shop-1", "cart-1", "shop-2"]),
        ("sort=cluster,-name", ["shop-1", "nightly-1", "cart-1", "shop-2"]),
        ("sort=expiresAt,name", ["cart-1", "shop-1", "shop-2", "nightly-1"]),
    ],
)
async def test_the_list_can_be_filtered_searched_and_sorted(fleet, query, expected):
    await fleet.ready()  # between two tests its loop stands still, and the database may have counted as away
    response = await fleet.client.get(f"{API}/backups?{query}")
    assert names(response) == expected
    assert (response.json()["total"], response.json()["nextCursor"]) == (len(expected), None)


@reads
@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("colour=red", "colour"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=many", "limit"),
        ("status=Odd", "status"),
        ("status=Refused", "status"),
        ("sort=colour", "sort"),
        ("cursor=nonsense", "cursor"),
        ("createdAfter=yesterday", "createdAfter"),
        ("createdAfter=2026-01-01T00:00:00", "createdAfter"),
        ("createdAfter=0001-01-01T00:00:00%2B14:00", "createdAfter"),
        ("search=", "search"),
        ("search=%00", "search"),
        ("created_by=anna", "created_by"),
        ("label=team%20in%20(shop)", "label"),
        ("label=team=-", "label"),
    ],
)
async def test_an_odd_query_is_refused_by_name(fleet, query, parameter):
    await fleet.ready()  # between two tests its loop stands still, and the database may have counted as away
    response = await fleet.client.get(f"{API}/backups?{query}")
    assert response.status_code == 400, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert [e["parameter"] for e in response.json()["errors"]] == [parameter]


@reads
@pytest.mark.parametrize(
    "path", ["/backups/x", "/backups/summary", "/clusters/eu1", "/operations/x", "/clusters?sort=name", "/events"]
)
async def test_a_parameter_that_an_address_does_not_have_is_refused_everywhere(fleet, path):
    await fleet.ready()  # between two tests its loop stands still, and the database may have counted as away
    response = await fleet.client.get(f"{API}{path}{'&' if '?' in path else '?'}colour=red")
    assert (response.status_code, response.json()["type"]) == (400, "/problems/invalid-query")


def odd(chance, name):
    """A backup of which anything may be unknown, and that has much in common with others."""
    return backup_item(
        name,
        cluster=chance.choice(["eu1", "us1"]),
        created_at=chance.choice([None, NOW, NOW + timedelta(milliseconds=chance.randrange(3))]),
        expires_at=chance.choice([None, NOW]),
        size=Size(total_bytes=chance.choice([None, 0, 1, 2**40])),
        status=chance.choice([BackupStatus.COMPLETED, BackupStatus.FAILED, BackupStatus.DELETED]),
        created_by=chance.choice([Creator(kind="External"), Creator(kind="User", name="anna")]),
        labels=chance.choice([{}, {"team": "shop"}, {"team": "cart", "tier": "1"}]),
    )


async def pages(made, query, limit=7, between=None):
    """A list read page by page, and what each page said of its length."""
    found, totals, cursor = [], [], ""
    while True:
        page = await made.client.get(f"{API}/backups?{query}&limit={limit}{cursor}")
        found += names(page)
        totals.append(page.json()["total"])
        if page.json()["nextCursor"] is None:
            return found, totals
        cursor = f"&cursor={page.json()['nextCursor']}"
        if between:
            await between()


@pytest.mark.parametrize("sort", ["-createdAt", "size,-name", "-expiresAt,cluster", "status"])
async def test_pages_are_the_list_also_while_it_grows(made, sort):
    chance = random.Random(7)
    await fill(made, *(odd(chance, f"b{i:03}") for i in range(60)))
    whole = names(await made.client.get(f"{API}/backups", params={"sort": sort, "limit": 500}))
    late = iter(range(100))

    async def insert():
        await fill(made, odd(chance, f"late{next(late)}"))

    found, totals = await pages(made, f"sort={sort}", between=insert)
    assert [name for name in found if name.startswith("b")] == whole
    assert len(set(found)) == len(found)
    assert set(totals) == {len(whole)}


async def test_pages_are_the_list_whatever_it_is_filtered_and_sorted_by(made):
    chance = random.Random(11)
    await fill(made, *(odd(chance, f"b{i:03}") for i in range(80)))
    filters = [
        "cluster=eu1&cluster=us1",
        "status=Failed&status=Deleted",
        "status=Deleted",
        "createdBy=External&createdBy=anna",
        "label=team=shop&label=tier",
        "search=b0",
        "createdAfter=2026-03-01T12:00:00Z",
        "createdBefore=2026-03-01T12:00:00.002Z&cluster=eu1",
    ]
    sorts = ["-createdAt", "createdAt", "-size", "expiresAt", "cluster", "-status", "name"]
    for filtered, sort in itertools.product(filters, sorts):
        query = f"{filtered}&sort={sort}"
        whole = names(await made.client.get(f"{API}/backups?{query}&limit=500"))
        found, totals = await pages(made, query)
        assert (found, set(totals)) == (whole, {len(whole)}), query
        assert len(whole) > 7, query


async def test_a_cursor_belongs_to_its_sort_and_filters(made):
    await fill(made, *FLEET)
    cursor = (await made.client.get(f"{API}/backups?limit=1")).json()["nextCursor"]
    assert names(await made.client.get(f"{API}/backups?limit=1&cursor={cursor}")) == ["shop-2"]
    other = await made.client.get(f"{API}/backups?limit=1&sort=name&cursor={cursor}")
    assert (other.status_code, other.json()["type"]) == (400, "/problems/invalid-cursor")


async def test_a_page_is_read_without_what_it_does_not_show_and_counted_only_if_it_is_not_the_whole(made, monkeypatch):
    await made.status.writes("backups", *(backup_document(item, detail={"spec": {"x": "y" * 1000}}) for item in FLEET))
    asked, find, pick, count = [], Store.find, Store.pick, Store.count

    def told(name, original):
        async def seen(self, *args):
            found = await original(self, *args)
            asked.append((name, {key for document in found for key in document} if name != "count" else found))
            return found

        return seen

    for name, original in (("find", find), ("pick", pick), ("count", count)):
        monkeypatch.setattr(Store, name, told(name, original))
    read = [("find", {"_id"}), ("pick", {"_id", "item"})]
    assert (await made.client.get(f"{API}/backups")).json()["total"] == 4
    assert asked == read
    monkeypatch.setattr("services.gateway.web.answers._GLANCE", 10)
    await fill(made, *(backup_item(f"more-{i}") for i in range(10)))
    asked.clear()
    first = (await made.client.get(f"{API}/backups?limit=1")).json()
    assert (first["total"], sorted(asked, key=str)) == (14, sorted([*read, ("count", 14)], key=str))
    asked.clear()
    second = (await made.client.get(f"{API}/backups?limit=1&cursor={first['nextCursor']}")).json()
    assert (second["total"], {name for name, _ in asked}) == (14, {"find"})
    asked.clear()
    whole = (await made.client.get(f"{API}/backups?limit=500")).json()
    assert (whole["total"], asked) == (14, [("find", {"_id", "item"})])


async def test_a_row_that_goes_while_its_page_is_read_is_left_out(made, monkeypatch):
    await fill(made, *FLEET[:3])
    pick = Store.pick

    async def late(self, *args):
        await made.database["backups"].delete_one({"_id": "shop-2"})
        return await pick(self, *args)

    monkeypatch.setattr(Store, "pick", late)
    response = await made.client.get(f"{API}/backups?limit=2")
    assert (names(response), response.json()["unreadable"]) == (["shop-1"], [])
    monkeypatch.undo()
    assert names(await made.client.get(f"{API}/backups?cursor={response.json()['nextCursor']}")) == ["cart-1"]


async def test_only_who_asks_for_the_inventory_of_a_cluster_reads_it(made, monkeypatch):
    namespaces, kinds = [{"name": "a", "labels": []}], [{"name": "pods", "group": "", "kind": "Pod", "namespaced": True}]
    await made.status.writes("cluster_state", cluster_document("us1", namespaces=namespaces, kinds=kinds))
    read, cluster_state = [], Store.cluster_state

    async def seen(self, *args):
        document = await cluster_state(self, *args)
        read.append({"namespaces", "kinds"} & set(document or {}))
        return document

    monkeypatch.setattr(Store, "cluster_state", seen)
    wanted = {"name": "shop", "cluster": "us1", "scope": {"kind": "all"}}
    operation = (await made.client.post(f"{API}/backups", json=wanted, headers={"Prefer": "wait=0"})).json()["id"]
    assert (await made.client.get(f"{API}/operations/{operation}")).json()["clusterLastSeenAt"]
    await made.client.get(f"{API}/clusters/us1")
    await made.client.get(f"{API}/clusters")
    assert read == [set(), set(), set()]
    assert (await made.client.get(f"{API}/clusters/us1/namespaces")).json()["total"] == 1
    assert (await made.client.get(f"{API}/clusters/us1/resources")).json()["total"] == 1
    assert read[3:] == [{"namespaces"}, {"kinds"}]


async def test_a_long_list_is_counted_only_so_far(made, monkeypatch):
    monkeypatch.setattr("services.gateway.web.answers.COUNT_LIMIT", 3)
    monkeypatch.setattr("services.gateway.web.answers._GLANCE", 2)
    await fill(made, *FLEET)
    body = (await made.client.get(f"{API}/backups")).json()
    assert (body["total"], body["totalAtLeast"]) == (None, 3)
    exact = (await made.client.get(f"{API}/backups?cluster=eu1")).json()
    assert (exact["total"], exact["totalAtLeast"]) == (3, None)


async def test_one_odd_record_does_not_take_the_list_down(made):
    await fill(made, *FLEET[:2])
    await made.status.writes("backups", {"_id": "odd", "listed": True, "item": {"name": 3, "createdAt": "never", "labels": 4}})
    body = (await made.client.get(f"{API}/backups?limit=500")).json()
    assert ([i["name"] for i in body["items"]], body["unreadable"], body["total"]) == (["shop-1", "shop-2"], ["odd"], 3)
    assert (await made.client.get(f"{API}/backups/odd")).json()["type"] == "/problems/unreadable-document"
    for sort in ("name", "-size", "status", "createdAt"):
        seen, cursor = [], ""
        for _page in range(5):
            body = (await made.client.get(f"{API}/backups?limit=1&sort={sort}{cursor}")).json()
            seen += [i["name"] for i in body["items"]]
            if body["nextCursor"] is None:
                break
            cursor = f"&cursor={body['nextCursor']}"
        assert sorted(seen) == ["shop-1", "shop-2"], sort


async def test_a_backup_is_found_by_its_id_and_by_those_it_had(made):
    item = backup_item("b1", labels={"a.b/c": "x"}, previous_ids=["b0"])
    detail = to_document(
        {"operationId": "op", "spec": {"labelSelector": {"matchLabels": {"a.b/c": "d"}}}, "failureReason": "disk"}
    )
    await made.status.writes("backups", backup_document(item, aliases=["b0"], detail=detail))
    moves = [
        {"_id": n, "kind": "Status", "backupId": "b1", "to": to, "at": NOW + timedelta(seconds=n)} for n, to in enumerate("ab")
    ]
    await made.status.writes("transitions", *reversed(moves))
    body = (await made.client.get(f"{API}/backups/b1")).json()
    assert body["labels"] == {"a.b/c": "x"}
    assert body["spec"] == {"labelSelector": {"matchLabels": {"a.b/c": "d"}}}
    assert (body["failureReason"], body["asOf"], [t["to"] for t in body["transitions"]]) == (
        "disk",
        "2026-03-01T12:00:00Z",
        ["a", "b"],
    )
    assert (await made.client.get(f"{API}/backups/b0")).json() == body
    assert (await made.client.get(f"{API}/backups/b")).status_code == 404


async def test_phases_heard_of_within_one_millisecond_are_in_the_order_in_which_the_cluster_wrote_them(made):
    phases = ["ReadyToStart", "InProgress", "Finalizing", "Completed"]
    await made.status.writes("backups", backup_document(backup_item("b1", phase="Completed")))
    await made.status.writes(
        "transitions",
        *({"_id": to, "kind": "Phase", "backupId": "b1", "to": to, "at": NOW, "rv": 8 + n} for n, to in enumerate(phases)),
    )
    assert [t["to"] for t in (await made.client.get(f"{API}/backups/b1")).json()["transitions"]] == phases


async def test_a_backup_that_no_cluster_has_shown_says_what_it_waits_for(made):
    item = backup_item("b1", status="Creating", phase=None, present=False)
    await made.status.writes(
        "backups", backup_document(item), backup_document(item.model_copy(update={"id": "b2", "cluster": "us1"}))
    )
    await made.status.writes("cluster_state", cluster_document("eu1", "Offline"))
    assert (await made.client.get(f"{API}/backups/b1")).json()["reason"] == (
        "Waits for cluster eu1, which was last seen 2026-03-01 12:00:00 UTC."
    )
    assert (await made.client.get(f"{API}/backups/b2")).json()["reason"] == "Waits for cluster us1, which was never seen."


async def test_the_summary_counts_what_the_filters_offer(made):
    await fill(made, *FLEET)
    body = (await made.client.get(f"{API}/backups/summary")).json()
    assert body["status"] == {
        "Creating": 0,
        "Completed": 3,
        "PartiallyFailed": 0,
        "Failed": 1,
        "Expired": 0,
        "Deleting": 0,
        "Deleted": 1,
    }
    assert body["cluster"] == {"eu1": 3, "us1": 1}
    assert sorted((c["kind"], c["name"], c["count"]) for c in body["createdBy"] if c["name"]) == [
        ("Schedule", "nightly", 1),
        ("User", "anna", 2),
    ]
    assert {"kind": "External", "name": None, "count": 1} in body["createdBy"]


async def test_locations_are_not_filtered_by_a_status_that_is_never_listed(made):
    response = await made.client.get(f"{API}/storage-locations?status=Deleted")
    assert (response.status_code, response.json()["errors"][0]["parameter"]) == (400, "status")


async def test_storage_locations_of_the_fleet_and_of_one_cluster(made):
    gone = {**location_document("gone"), "listed": False}
    await made.status.writes("locations", location_document("b"), location_document("a"), location_document("c", "us1"), gone)
    assert names(await made.client.get(f"{API}/storage-locations")) == ["a", "b", "c"]
    assert names(await made.client.get(f"{API}/storage-locations?cluster=us1")) == ["c"]
    assert names(await made.client.get(f"{API}/clusters/eu1/storage-locations?sort=-name")) == ["b", "a"]
    assert (await made.client.get(f"{API}/clusters/nowhere/storage-locations")).status_code == 404


# ---------------------------------------------------------------------- while the database is away


async def test_without_the_database_reads_say_so_quickly_and_writes_still_reach_the_cluster(nats_server, tmp_path):
    mongo = MongoServer(tmp_path / "mongo", timeout=BRIEF)
    if mongo.external:
        pytest.skip("the database is not ours to stop")
    mongo.start()
    async with stack(nats_server, mongo, wait=1) as made:
        await fill(made, FLEET[0])
        assert mongo.process
        mongo.process.terminate()  # not killed: what is tested is that it is away, not how durable it is
        mongo.process.wait()
        wanted = {"name": "shop", "cluster": "eu1", "scope": {"kind": "all"}}
        begun = time.monotonic()
        early = await made.client.post(f"{API}/backups", json=wanted)
        assert early.status_code == 202
        assert time.monotonic() - begun < 2 * BRIEF, "waited for the database more than once"
        begun = time.monotonic()
        response = await made.client.get(f"{API}/backups")
        assert time.monotonic() - begun < 2 * BRIEF
        assert (response.status_code, response.json()["dependency"]) == (503, "mongodb")
        asked = await made.client.post(f"{API}/backups", json=wanted, headers={"Idempotency-Key": "k"})
        assert (asked.status_code, asked.json()["state"], await made.commands()) == (202, "Queued", 2)
        assert (await made.client.get(f"{API}/operations/{asked.json()['id']}")).json()["dependency"] == "mongodb"

        async def missing():
            report = await made.client.get("/readyz")
            return report.status_code == 503 and report.json()["missing"] == ["mongodb"]

        await eventually("readiness names the database", missing)
        begun = time.monotonic()
        assert (await made.client.get(f"{API}/backups")).json()["dependency"] == "mongodb"
        assert (await made.client.post(f"{API}/backups", json=wanted)).json()["state"] == "Queued"
        again = await made.client.post(f"{API}/backups", json=wanted, headers={"Idempotency-Key": "k"})
        assert time.monotonic() - begun < BRIEF, "waited for a database that was known to be away"
        told = again.json()
        assert (again.status_code, told["dependency"], told["operationId"]) == (503, "mongodb", asked.json()["id"])
        mongo.start()
        await made.ready()
        assert names(await made.client.get(f"{API}/backups")) == ["shop-1"]
        again = await made.client.post(f"{API}/backups", json=wanted, headers={"Idempotency-Key": "k"})
        assert again.json()["id"] == asked.json()["id"]
    mongo.kill()


async def test_a_database_that_hangs_is_away_too(nats_server, tmp_path):
    mongo = MongoServer(tmp_path / "mongo")
    if mongo.external:
        pytest.skip("the database is not ours to stop")
    mongo.start()
    try:
        async with opened(MongoSettings(url=mongo.url, database="x", timeout=0.5)) as store:

            async def answers():
                try:
                    await store.ping()
                except Unavailable:
                    return False
                return True

            await eventually("the database answers", answers)
            mongo.pause()
            begun = time.monotonic()
            with pytest.raises(Unavailable, match="mongodb"):
                await store.backup("b")
            assert time.monotonic() - begun < 15, "waited for longer than it was told to"
            mongo.resume()
            await eventually("the database is back", answers)
    finally:
        mongo.kill()
