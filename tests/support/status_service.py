"""The status service as it runs: on a real broker under its own permissions, and a real database."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from pymongo import AsyncMongoClient

from services.status.__main__ import main
from services.status.objects import read
from services.status.rows import COLLECTIONS
from services.status.settings import Settings
from shared.contracts import subjects
from shared.contracts.catalogue import decode
from shared.contracts.documents import Collection
from shared.messaging.connection import Connection
from shared.messaging.consumer import Patience
from shared.messaging.publisher import Publisher
from shared.messaging.topology import DEAD_LETTERS, STATE
from shared.runtime.clock import now
from shared.runtime.process import Runtime
from shared.runtime.settings import MongoSettings
from tests.support.servers import MongoServer, NatsServer
from tests.support.waiting import PATIENCE, stopped

QUICK = Patience(heartbeat=0.3, retries=(0.05, 0.1), probes=(0.05, 0.1, 0.2), grace=1.0)


@dataclass
class Database:
    """What status has written, for a test to read."""

    settings: MongoSettings
    client: Any = None

    def __post_init__(self) -> None:
        self.client = AsyncMongoClient(self.settings.url.get_secret_value(), tz_aware=True, timeoutMS=int(PATIENCE * 1000))

    def __getitem__(self, collection: Collection) -> Any:
        return self.client[self.settings.database][collection]

    async def item(self, collection: Collection, row_id: str) -> dict[str, Any]:
        return ((await self[collection].find_one({"_id": row_id})) or {}).get("item") or {}

    async def status(self, collection: Collection, row_id: str) -> str | None:
        item = await self.item(collection, row_id)
        return item.get("status") or item.get("state")

    async def documents(self) -> dict[str, Any]:
        """The same as `documents` of the memory in tests: what must not depend on order."""
        counting = {"rev": 0, "statusSeq": 0, "unannounced": 0}
        rows = {(n, row["_id"]): row for n, c in COLLECTIONS.items() async for row in self[c].find({}, counting)}
        return {
            "objects": {found["_id"]: read(found) async for found in self[Collection.OBJECTS].find()},
            "rows": {key: {**row, "item": {**row["item"], "revision": None}} for key, row in rows.items()},
            "captures": {found["_id"]: found async for found in self[Collection.CAPTURES].find()},
            "phases": {found.pop("_id"): found async for found in self[Collection.TRANSITIONS].find({"kind": "Phase"})},
        }


@dataclass
class Clock:
    """The wall clock, put forward by a test that would otherwise have to wait."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return now() + self.ahead

    def forward(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


@dataclass
class Service:
    """A running status service."""

    runtime: Runtime
    clock: Clock
    task: asyncio.Task[None] = field(repr=False)

    @property
    def missing(self) -> list[str]:
        return list(self.runtime.health.report()["missing"])  # type: ignore[call-overload]


@contextlib.asynccontextmanager
async def status_service(
    nats: NatsServer,
    mongo: MongoSettings,
    *,
    publisher: Callable[[Connection], Any] = Publisher,
    instance: str = "s1",
    **tunables: Any,
) -> AsyncIterator[Service]:
    """Run the service while the context lasts."""
    settings = Settings(nats=nats.settings("status"), mongo=mongo, **{"sweep_interval": 0.1, "patience": QUICK} | tunables)
    clock = Clock()
    runtime = Runtime("status", instance, clock)
    task = asyncio.create_task(main(runtime, settings, publisher=publisher))
    try:
        yield Service(runtime, clock, task)
    finally:
        await stopped(task)
        with contextlib.suppress(asyncio.CancelledError, BaseExceptionGroup):
            await task


class Crash(BaseException):
    """The process dies here."""


def dying(moment: str, subject_part: str) -> type[Publisher]:
    """A publisher that ends its process once, just before or just after it has published a certain change."""
    spent: list[str] = []

    class Dying(Publisher):
        async def publish(self, subject: str, envelope: Any) -> None:
            mine = subject_part in subject and not spent
            if mine and moment == "before":
                spent.append(subject)
                raise Crash
            await super().publish(subject, envelope)
            if mine:
                spent.append(subject)
                raise Crash

    return Dying


async def publish(connections: Callable[..., Any], *messages: Any) -> None:
    """Publish messages as those would who may: commands as the gateway, events as the cluster's executor."""
    users: dict[str, Connection] = {}
    for _routes, subject, envelope in messages:
        user = "gateway" if subjects.parse(subject).family == "cmd" else "executor"
        if user not in users:
            users[user] = await connections(user)
        await Publisher(users[user]).publish(subject, envelope)


async def stored(admin: Connection, stream: str) -> list[tuple[str, Any]]:
    """Every message of a stream, in order."""
    last = (await admin.stream.stream_info(stream)).state.last_seq
    found = [await admin.stream.get_msg(stream, sequence) for sequence in range(1, last + 1)]
    return [(m.subject, decode(m.subject, m.data)[1]) for m in found]


async def announced(admin: Connection, noun: str, row_id: str) -> list[tuple[int, str]]:
    """What the state feed holds of one thing: (seq, status)."""
    feed = await stored(admin, STATE)
    return [(e.data.seq, e.data.to) for s, e in feed if s.split(".")[3] == noun and e.data.id == row_id]


async def announced_in_full(admin: Connection, noun: str, row_id: str) -> list[tuple[int, str]]:
    """The same, having made sure that none is missing, repeated or out of order: each goes on from where the last one led."""
    said = [e.data for s, e in await stored(admin, STATE) if s.split(".")[3] == noun and e.data.id == row_id]
    assert [data.from_ for data in said] == [None, *(data.to for data in said[:-1])]
    assert all(before.seq < after.seq for before, after in pairwise(said))
    return [(data.seq, data.to) for data in said]


async def drained(admin: Connection) -> bool:
    """Whether everything that was published has been folded."""
    events = await admin.stream.consumer_info("LW_EVENTS", "status")
    audit = await admin.stream.consumer_info("LW_COMMANDS", "status-audit")
    return all(i.num_pending == 0 and i.num_ack_pending == 0 for i in (events, audit))


async def dead_letters(admin: Connection) -> list[Any]:
    last = (await admin.stream.stream_info(DEAD_LETTERS)).state.last_seq
    found = [await admin.stream.get_msg(DEAD_LETTERS, sequence) for sequence in range(1, last + 1)]
    return [json.loads(m.data)["data"] for m in found]


def database_of(mongo: MongoServer) -> Database:
    """A database of the test's own."""
    return Database(mongo.settings())
