"""The event stream over real HTTP and NATS: order, resume, reset, filters, progress, restarts, an end."""

import asyncio
import contextlib
import json
from dataclasses import dataclass, field

import httpx2
import pytest

from services.gateway.settings import EventSettings, GatewayHttp
from services.gateway.waiting import Feed
from shared.contracts.documents import to_document
from shared.contracts.phases import BackupStatus, ClusterStatus, OperationState
from shared.contracts.views import ClusterItem
from shared.messaging.topology import STATE, ensure
from shared.runtime.health import Health
from tests.support.gateway import (
    API,
    NOW,
    backup_item,
    cluster_document,
    operation_item,
    running,
    stack,
)
from tests.support.servers import free_port
from tests.support.timing import takes_nats_away
from tests.support.waiting import PATIENCE, eventually


@pytest.fixture
async def made(nats_server, mongo_server):
    async with stack(nats_server, mongo_server) as running_stack:
        yield running_stack


@dataclass
class Listener:
    """A client of the stream: what it heard, piece by piece."""

    heard: list[dict[str, str]] = field(default_factory=list)
    comments: int = 0
    ended: bool = False

    @property
    def last_id(self):
        return next((e["id"] for e in reversed(self.heard) if "id" in e), None)

    @property
    def events(self):
        return [e for e in self.heard if "event" in e]

    @property
    def names(self):
        return [json.loads(e["data"]).get("name") for e in self.events]

    async def until(self, count):
        await eventually(f"{count} events", lambda: len(self.events) >= count)
        return self.names

    async def until_reset(self):
        """Wait for the first event, which has to be the one that says so; returns its id."""
        await self.until(1)
        assert self.events[0]["event"] == "reset"
        return self.events[0]["id"]


@contextlib.asynccontextmanager
async def listening(client, query="", **headers):
    listener = Listener()
    begun = asyncio.Event()

    async def read():
        async with client.stream("GET", f"{API}/events{query}", headers=headers, timeout=None) as response:
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            piece = {}
            async for line in response.aiter_lines():
                if line.startswith(":"):
                    listener.comments += 1
                elif line:
                    key, _, value = line.partition(": ")
                    piece[key] = value
                elif piece:
                    listener.heard.append(piece)
                    piece = {}
                    begun.set()
        listener.ended = True

    task = asyncio.create_task(read())
    try:
        waiting = asyncio.create_task(begun.wait())
        await asyncio.wait({task, waiting}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if task.done():
            task.result()
        yield listener
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def place(event_id):
    stream, _, sequence = event_id.partition("-")
    return stream, int(sequence)


async def all_read(made):
    """Wait until the gateway has read everything that was announced, and return the stream and its newest place."""
    newest = (await made.admin.stream.stream_info(STATE)).state.last_seq

    async def newest_place():
        async with listening(made.client) as probe:
            stream, sequence = place(await eventually("a place to resume from", lambda: probe.last_id))
        return (stream, sequence) if sequence == newest else None

    return await eventually("all read", newest_place)


def numbered(n, **facts):
    return backup_item(f"b{n}", **facts)


async def test_changes_come_in_order_with_ids_and_the_item_as_the_list_shows_it(made):
    async with listening(made.client) as listener:
        for n in range(20):
            await made.status.announces("backup", numbered(n))
        assert await listener.until(20) == [f"b{n}" for n in range(20)]
        ids = [place(e["id"]) for e in listener.events]
        assert [sequence for _, sequence in ids] == sorted({sequence for _, sequence in ids})
        assert len({stream for stream, _ in ids}) == 1
        assert {e["event"] for e in listener.events} == {"backup"}
        assert json.loads(listener.events[0]["data"]) == numbered(0).wire()


async def test_everybody_hears_everything(made):
    async with listening(made.client) as one, listening(made.client) as two:
        await made.status.announces("backup", numbered(1))
        assert await one.until(1) == await two.until(1) == ["b1"]


async def test_a_client_that_comes_back_gets_what_it_missed_and_nothing_twice(made):
    async with listening(made.client) as listener:
        await made.status.announces("backup", numbered(1))
        await listener.until(1)
    for n in (2, 3):
        await made.status.announces("backup", numbered(n))
    async with listening(made.client, **{"Last-Event-ID": listener.last_id}) as again:
        await made.status.announces("backup", numbered(4))
        assert await again.until(3) == ["b2", "b3", "b4"]


async def test_a_client_that_heard_nothing_can_still_resume(made):
    await made.status.announces("backup", numbered(0))
    await all_read(made)
    async with listening(made.client) as probe:
        await eventually("a place to resume from", lambda: probe.last_id)
    assert probe.events == []
    await made.status.announces("backup", numbered(1))
    async with listening(made.client, **{"Last-Event-ID": probe.last_id}) as again:
        assert await again.until(1) == ["b1"]


@pytest.mark.parametrize("last", ["999999", "nonsense", "-3", "0-0", "x" * 65, "1" * 5000], ids=lambda last: last[:10])
async def test_a_client_with_an_id_that_is_not_known_is_told_to_list_again(made, last):
    async with listening(made.client, **{"Last-Event-ID": last}) as listener:
        await listener.until_reset()
        await made.status.announces("backup", numbered(1))
        assert (await listener.until(2))[-1] == "b1"


async def test_a_client_that_was_away_for_too_long_is_told_to_list_again(made):
    for n in range(60):  # the ring of this gateway holds 50
        await made.status.announces("backup", numbered(n))
    stream, newest = await all_read(made)
    async with listening(made.client, **{"Last-Event-ID": f"{stream}-{newest - 51}"}) as late:
        await late.until_reset()
    async with listening(made.client, **{"Last-Event-ID": f"{stream}-{newest - 50}"}) as just:
        assert (await just.until(50))[0] == "b10"


async def test_a_gateway_that_has_just_started_knows_what_was_announced_before(made):
    for n in range(5):
        await made.status.announces("backup", numbered(n))
    stream, _ = await all_read(made)
    second = f"{stream}-2"
    other = made.settings.model_copy(update={"http": GatewayHttp(port=free_port())})
    async with running(other) as client, listening(client, **{"Last-Event-ID": second}) as listener:
        assert await listener.until(3) == ["b2", "b3", "b4"]


async def test_filters_by_cluster_and_kind(made):
    async with listening(made.client, "?cluster=us1&kind=backup&kind=cluster") as listener:
        await made.status.announces("backup", numbered(1))
        await made.status.announces("backup", numbered(2, cluster="us1"))
        await made.status.announces("operation", operation_item("op", OperationState.QUEUED, cluster="us1"))
        await made.status.announces("cluster", ClusterItem(id="us1", status=ClusterStatus.OFFLINE))
        await listener.until(2)
        assert [e["event"] for e in listener.events] == ["backup", "cluster"]


@pytest.mark.parametrize("kind", ["odd", "Backup", "presence"])
async def test_a_kind_that_there_is_not_is_refused(made, kind):
    response = await made.client.get(f"{API}/events?kind={kind}")
    assert (response.status_code, response.json()["errors"][0]["parameter"]) == (400, "kind")


async def test_progress_comes_without_an_id_and_is_not_sent_again(made):
    async with listening(made.client) as listener:
        await eventually("a place to resume from", lambda: listener.last_id is not None)
        await made.status.tells_progress(numbered(1))
        await listener.until(1)
        assert "id" not in listener.events[0]
    async with listening(made.client, **{"Last-Event-ID": listener.last_id}) as again:
        await made.status.announces("backup", numbered(2))
        assert await again.until(1) == ["b2"]


async def test_progress_that_an_announcement_has_overtaken_is_not_heard(made):
    async with listening(made.client) as listener:
        await made.status.announces("backup", numbered(1), seq=5)
        await listener.until(1)
        await made.status.tells_progress(numbered(1, status=BackupStatus.CREATING), seq=4)
        await made.status.tells_progress(numbered(2), seq=4)
        assert await listener.until(2) == ["b1", "b2"]


async def test_a_state_stream_that_was_made_anew_makes_everybody_list_again(made):
    async with listening(made.client) as listener:
        for n in range(3):
            await made.status.announces("backup", numbered(n))
        await listener.until(3)
        await made.admin.stream.delete_stream(STATE)
        await ensure(made.admin.stream, made.nats.clusters)
        await made.status.announces("backup", numbered(0), seq=1)
        await eventually("the stream has ended", lambda: listener.ended)
    async with listening(made.client, **{"Last-Event-ID": listener.last_id}) as again:
        begin = await again.until_reset()
        await made.status.announces("backup", numbered(1), seq=1)
        assert (await again.until(2))[-1] == "b1"
    async with listening(made.client, **{"Last-Event-ID": begin}) as resumed:
        assert await resumed.until(1) == ["b1"]


async def test_a_cluster_is_told_as_the_list_shows_it_when_it_reports_and_when_it_is_registered(made):
    await made.status.writes("cluster_state", cluster_document("us1"))
    async with listening(made.client, "?kind=cluster") as listener:

        async def told(count, cluster):
            await listener.until(count)
            event = listener.events[count - 1]
            shown = (await made.client.get(f"{API}/clusters/{cluster}")).json()
            return event, shown

        await made.client.patch(f"{API}/clusters/eu1", json={"displayName": "Europe"})
        event, shown = await told(1, "eu1")
        assert (json.loads(event["data"]), shown["displayName"], "id" in event) == (shown, "Europe", False)

        await made.status.announces(
            "cluster", ClusterItem(id="us1", status=ClusterStatus.ONLINE, last_seen_at=NOW, as_of=NOW, mode="Hub")
        )
        event, shown = await told(2, "us1")
        assert (json.loads(event["data"]), shown["status"], "id" in event) == (shown, "Unregistered", True)

        assert (await made.client.post(f"{API}/clusters", json={"id": "us1", "displayName": "US"})).status_code == 201
        event, shown = await told(3, "us1")
        assert (json.loads(event["data"]), shown["status"], "id" in event) == (shown, "Online", False)

        await made.client.delete(f"{API}/clusters/us1")
        event, shown = await told(4, "us1")
        assert (json.loads(event["data"]), shown["status"]) == (shown, "Unregistered")

        await made.client.delete(f"{API}/clusters/eu1")
        await listener.until(5)
        gone = json.loads(listener.events[4]["data"])
        assert (gone["id"], gone["status"], gone["lastSeenAt"]) == ("eu1", "Unregistered", None)


async def test_a_registration_at_another_gateway_is_told_here_too(made):
    other = made.settings.model_copy(update={"http": GatewayHttp(port=free_port())})
    async with running(other) as client, listening(made.client, "?kind=cluster") as listener:
        await client.patch(f"{API}/clusters/eu1", json={"displayName": "Europe"})
        await listener.until(1)
        assert json.loads(listener.events[0]["data"])["displayName"] == "Europe"


async def test_an_operation_is_told_as_it_is_shown(made):
    item = operation_item("op", OperationState.QUEUED)
    await made.status.writes("cluster_state", cluster_document("eu1"))
    await made.status.writes("operations", {"_id": "op", "item": to_document(item)})

    async def told():
        async with listening(made.client) as listener:
            await made.status.announces("operation", item)
            await listener.until(1)
            return json.loads(listener.events[0]["data"])

    shown = (await made.client.get(f"{API}/operations/op")).json()
    assert shown["clusterLastSeenAt"]
    await eventually("the gateway has looked around", lambda: _is(told, shown))


async def _is(ask, wanted):
    return await ask() == wanted


async def test_a_quiet_client_with_a_filter_moves_on_with_the_feed(made):
    async with listening(made.client, "?cluster=us1") as listener:
        await eventually("a place to resume from", lambda: listener.last_id is not None)
        before = listener.last_id
        for n in range(60):  # more than this gateway keeps
            await made.status.announces("backup", numbered(n))
        await eventually("moved on", lambda: place(listener.last_id)[1] == place(before)[1] + 60)
    async with listening(made.client, "?cluster=us1", **{"Last-Event-ID": listener.last_id}) as again:
        await made.status.announces("backup", numbered(1, cluster="us1"))
        await again.until(1)
        assert [e["event"] for e in again.events] == ["backup"]


async def test_an_announcement_that_is_repeated_or_overtaken_is_heard_once(made):
    async with listening(made.client) as listener:
        for seq, status in ((1, BackupStatus.CREATING), (2, BackupStatus.COMPLETED), (1, BackupStatus.CREATING)):
            await made.status.announces("backup", numbered(1, status=status), seq=seq)
        await made.status.announces("backup", numbered(2))
        await listener.until(3)
        assert [json.loads(e["data"])["status"] for e in listener.events] == ["Creating", "Completed", "Completed"]


async def test_silence_is_filled_with_comments(made):
    async with listening(made.client) as listener:
        await eventually("two comments", lambda: listener.comments >= 2)


@takes_nats_away
async def test_a_restart_of_nats_loses_nothing_that_was_stored(made):
    async with listening(made.client) as listener:
        await made.status.announces("backup", numbered(1))
        await listener.until(1)
        made.nats.kill()

        async def noticed():
            return (await made.client.get("/readyz")).status_code == 503

        await eventually("noticed", noticed)
        made.nats.start()
        await made.ready()

        async def announced():
            with contextlib.suppress(Exception):  # the test's own connection comes back when it does
                await made.status.announces("backup", numbered(2), seq=100)
                return True

        await eventually("announced", announced)
        await eventually("heard", lambda: "b2" in listener.names)
        assert listener.names == ["b1", "b2"]


async def test_a_client_that_goes_away_is_forgotten(made):
    feeds = []
    original = Feed._subscribe

    def spy(self, *args):
        feeds.append(self)
        return original(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Feed, "_subscribe", spy)
        async with listening(made.client):
            assert feeds[0].listeners == 1
        await eventually("forgotten", lambda: feeds[0].listeners == 0)


async def test_stopping_the_gateway_ends_its_streams_at_once(made):
    patient = made.settings.model_copy(update={"http": GatewayHttp(port=free_port()), "grace": 60, "events": EventSettings()})
    loop = asyncio.get_running_loop()
    url = f"http://127.0.0.1:{patient.http.port}"
    gateway = contextlib.AsyncExitStack()
    await gateway.enter_async_context(running(patient, Health()))
    async with httpx2.AsyncClient(base_url=url, trust_env=False) as client, listening(client) as listener:
        begun = loop.time()
        await gateway.aclose()
        assert loop.time() - begun < 30, "waited for its grace, or for a stream that never ends"
        await eventually("the stream has ended", lambda: listener.ended)
