"""What runs for ever beside the requests, and what of the requests is written down."""

import asyncio
import contextlib

import pytest
from pymongo.errors import OperationFailure
from starlette.responses import PlainTextResponse
from structlog.testing import capture_logs

from services.gateway import __main__ as gateway
from services.gateway.fleet import Fleet
from services.gateway.store import Store
from services.gateway.waiting import Event, Feed, Interest
from services.gateway.web.edge import Edge
from shared.messaging.outcomes import Unavailable
from shared.runtime.health import Dependency
from tests.support.gateway import NOW, cluster_document, operation_item
from tests.support.waiting import eventually


class Database:
    """A database that answers with the given errors, one after another, and then well."""

    def __init__(self, *errors):
        self.errors, self.asked = list(errors), 0

    async def command(self, _name):
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)

    def get_collection(self, _name):
        raise AssertionError("asked while it is known to be away")


@contextlib.asynccontextmanager
async def forever(coroutine):
    task = asyncio.create_task(coroutine)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


@pytest.mark.parametrize(
    "error",
    [OperationFailure("Authentication failed.", 18), OperationFailure("odd", 2), OperationFailure("odd"), RuntimeError("odd")],
    ids=repr,
)
async def test_the_look_at_the_database_survives_whatever_it_answers(error):
    dependency, database = Dependency("mongodb"), Database(error)
    said = []
    dependency_missing = dependency.missing
    spy = type(
        "Spy",
        (),
        {"missing": lambda _s, r: (said.append(r), dependency_missing(r)), "answers": lambda _s: dependency.answers()},
    )()
    async with forever(gateway.watch(Store(database).ping, spy, 0.001)) as task:
        await eventually("answers", lambda: dependency.problem is None)
        assert not task.done()
    assert len(said) == 1


async def test_nobody_waits_for_a_database_that_is_known_to_be_away():
    store = Store(Database(OperationFailure("not primary", 10107)))
    with pytest.raises(Unavailable):
        await store.ping()
    with pytest.raises(Unavailable, match="10107"):
        await store.backup("b")
    await store.ping()
    with pytest.raises(AssertionError):
        await store.backup("b")


# ---------------------------------------------------------------------- what events are told of clusters


class World:
    """Stands for the store: what is registered, and what reports."""

    def __init__(self, registered=(), reporting=()):
        self.registered, self.reporting = list(registered), list(reporting)
        self.error = None

    def answer(self, value):
        if self.error:
            raise self.error
        return value

    async def registrations(self):
        return self.answer(self.registered)

    async def last_seen(self):
        return self.answer(self.reporting)

    async def cluster_state(self, cluster):
        return self.answer(next((d for d in self.reporting if d["_id"] == cluster), None))


def registration(name, version=1, **facts):
    return {"_id": name, "displayName": None, "version": version, "createdBy": "x", "createdAt": NOW, **facts}


def feed_of():
    feed = Feed(Dependency("feed"))
    feed.begin(0, 0)
    return feed


async def test_every_change_of_a_registration_is_told_once_whoever_made_it():
    world = World([registration("eu1")], [cluster_document("us1")])
    fleet = Fleet(world, feed_of())
    async with fleet.feed.listening(Interest(), None) as listener:

        async def told():
            await fleet.refresh()
            found = []
            while not listener.queue.empty():
                item = fleet.shown(await listener.next(1)).item
                found.append((item["id"], item["status"], item["displayName"], item["version"]))
            return found

        assert await told() == []  # what was there before anybody looked is no change
        world.registered = [registration("eu1", 2, displayName="Europe"), registration("us1")]
        assert await told() == [("eu1", "NeverSeen", "Europe", 2), ("us1", "Online", None, 1)]
        assert await told() == []
        world.registered, world.error = [], Unavailable("mongodb", "away")
        assert await told() == []
        world.error = None
        assert await told() == [("eu1", "Unregistered", None, None), ("us1", "Unregistered", None, None)]


async def test_an_event_that_cannot_be_read_or_joined_passes_as_it_was_announced():
    fleet = Fleet(World([registration("eu1")]), feed_of())
    event = Event(1, "cluster", "eu1", {"id": "eu1", "status": "Online"})
    assert fleet.shown(event) == event
    await fleet.refresh()
    assert fleet.shown(event).item["version"] == 1
    for odd in (Event(1, "cluster", "eu1", {"status": "Dancing"}), Event(1, "backup", "eu1", {"x": 1})):
        assert fleet.shown(odd) == odd


async def test_an_operation_is_told_with_when_its_cluster_was_seen():
    fleet = Fleet(World([], [cluster_document("eu1")]), feed_of())
    await fleet.refresh()
    item = operation_item("op", "Queued").wire()
    assert fleet.shown(Event(1, "operation", "eu1", item)).item == {**item, "clusterLastSeenAt": "2026-03-01T12:00:00Z"}
    assert fleet.shown(Event(1, "operation", "us1", item)).item == item


async def test_looking_around_survives_whatever_happens():
    world = World([registration("eu1")])
    world.error = RuntimeError("odd")
    fleet = Fleet(world, feed_of())
    event = Event(1, "cluster", "eu1", {"id": "eu1", "status": "Online"})
    async with forever(gateway.look_around(fleet, None, 0.001)) as task:
        await asyncio.sleep(0.01)
        assert not task.done()
        world.error = None
        await eventually("read", lambda: fleet.shown(event) != event)


# ---------------------------------------------------------------------- what is written down


@pytest.mark.parametrize(("path", "level"), [("/livez", "debug"), ("/readyz", "debug"), ("/metrics", "debug"), ("/x", "info")])
async def test_what_machines_ask_every_second_is_not_written_down(path, level):
    scope = {"type": "http", "method": "GET", "path": path, "headers": []}
    with capture_logs() as lines:
        await Edge(PlainTextResponse("ok"), local_only=False)(scope, None, _nobody)
    assert [(line["event"], line["log_level"]) for line in lines] == [("request", level)]


async def _nobody(_message):
    pass
