"""100,000 schedules in one scheduler: how long it takes to start, what it needs, how punctual it is, and how it takes a storm.

`python -m benchmarks.scheduling N` has N of them. Nearly all are due once a year, so that they are there and ask for nothing;
others are added for each part. When a command was stored is the stream's own word. The storm is judged against as many raw
bulk inserts, into a collection with the same indexes, and as many raw publishes, in the same run before and after it.
"""

import asyncio
import os
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx2
from pymongo import ASCENDING, MongoClient
from pymongo.database import Database

from benchmarks.installation import Installation, directory
from benchmarks.measuring import Report, percentile
from benchmarks.processes import processor, usage
from services.scheduler.indexes import INDEXES
from shared.contracts.catalogue import decode
from shared.contracts.documents import Collection
from shared.contracts.schedules import Schedule, Tick
from shared.messaging.connection import Connection, connect
from shared.messaging.topology import COMMANDS
from shared.runtime.clock import now
from shared.runtime.health import Health
from tests.e2e.product import until

SCHEDULES: Final = 100_000
STORM: Final = 5000
PER_MINUTE: Final = 200
MINUTES: Final = 2
STORMS: Final = 2
_ZONES: Final = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata")
_BATCH: Final = 1000
_IN_FLIGHT: Final = 500
_IDLE: Final = 30.0
_RAW: Final = "raw_ticks"
_RATIO, _PUNCTUAL = 1.5, 250.0

Documents = Database[dict[str, Any]]


class Scheduling(Installation):
    """Of the product only NATS, the database and the scheduler."""

    def start(self) -> None:
        """Start what the scheduler rests on."""
        self.nats.start()
        self.mongo.start()
        self._run("shared.messaging", "ensure", "--clusters", ",".join(self.clusters), user="admin")

    def schedule(self) -> None:
        """Start the scheduler."""
        self.add("scheduler", {**self.nats.environment("scheduler"), "LEEWARD_MONGO__URL": self.mongo.url})

    @property
    def pid(self) -> int:
        """The process of the scheduler."""
        process = self.services["scheduler"].process
        assert process
        return process.pid

    def watched(self) -> float:
        """Return how many schedules the scheduler says it watches."""
        answer = httpx2.get(f"http://127.0.0.1:{self.services['scheduler'].port}/metrics", timeout=10).text
        return next(
            (float(line.split()[1]) for line in answer.splitlines() if line.startswith("leeward_scheduler_schedules ")), 0
        )


def schedules(kind: str, count: int, cron: str | None = None, **fields: Any) -> Iterator[dict[str, Any]]:
    """Return schedules as the gateway stores them; without an expression each is due at some minute of a day of the year."""
    chance = random.Random(7)  # noqa: S311 - not a secret
    made = now() - timedelta(days=1) if cron is None else now()
    template = {
        "scope": {"kind": "production"},
        "spec": {"ttl": "168h", "storageLocation": "default"},
        "labels": {"team": kind},
    }
    for number in range(count):
        yearly = f"{chance.randrange(60)} {chance.randrange(24)} {chance.choice((1, 15))} 6 *"
        era = {"from": made, "cron": cron or yearly, "timezone": "UTC" if cron else chance.choice(_ZONES)}
        said = {"id": f"{kind}-{number}", "name": f"{kind}-{number}", "cluster": "eu1", "eras": [era], "template": template}
        about = {"createdBy": "anna", "createdAt": made, "changedAt": made}
        yield Schedule.read({**said, **about, **fields}).document()


def fill(database: Documents, documents: Iterator[dict[str, Any]]) -> list[str]:
    """Store schedules; return their ids."""
    names: list[str] = []
    batch: list[dict[str, Any]] = []
    for document in documents:
        names.append(document["_id"])
        batch.append(document)
        if len(batch) == _BATCH:
            database[Collection.SCHEDULES].insert_many(batch, ordered=False)
            batch = []
    if batch:
        database[Collection.SCHEDULES].insert_many(batch, ordered=False)
    return names


def next_minute(least: float) -> datetime:
    """Return the first full minute that is at least so many seconds away."""
    moment = now() + timedelta(seconds=least)
    return moment.replace(second=0, microsecond=0) + timedelta(minutes=1)


async def stored(connection: Connection, first: int) -> list[tuple[datetime, Any]]:
    """Return the commands from that sequence on, each with the time at which the stream stored it."""
    last = (await connection.stream.stream_info(COMMANDS)).state.last_seq
    found = [await connection.stream.get_msg(COMMANDS, sequence) for sequence in range(first, last + 1)]
    return [(m.time, decode(m.subject or "", m.data or b"")[1]) for m in found if m.time]


async def until_stored(connection: Connection, count: int, patience: float) -> None:
    """Wait until the stream has so many commands. Raise TimeoutError when that takes longer."""
    async with asyncio.timeout(patience):
        while (await connection.stream.stream_info(COMMANDS)).state.last_seq < count:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.2)


async def punctuality(product: Scheduling, database: Documents, connection: Connection, **fields: Any) -> list[float]:
    """Have so many slots a minute for some minutes; return how many seconds after its instant each was stored."""
    first = (await connection.stream.stream_info(COMMANDS)).state.last_seq + 1
    start = next_minute(10)
    kind = f"m{first}"
    names = fill(database, schedules(kind, PER_MINUTE, "* * * * *", **fields))
    settled = start + timedelta(minutes=1)  # found by the rescan until then
    await asyncio.sleep((settled + timedelta(minutes=MINUTES, seconds=3) - now()).total_seconds())
    database[Collection.SCHEDULES].delete_many({"_id": {"$in": names}})
    await asyncio.sleep(3)
    until_then = settled + timedelta(minutes=MINUTES)
    told = [(at, e.data) for at, e in await stored(connection, first) if settled <= e.data.due < until_then]
    assert len(told) == PER_MINUTE * MINUTES, f"{len(told)} of {PER_MINUTE * MINUTES} slots"
    assert product.services["scheduler"].is_ready()
    return [(at - trigger.due).total_seconds() for at, trigger in told]


async def storm(database: Documents, connection: Connection, number: int) -> float:
    """Have many slots at one instant; return after how many seconds all were decided and published."""
    first = (await connection.stream.stream_info(COMMANDS)).state.last_seq + 1
    instant = next_minute(50)  # so that a rescan has found them
    kind = f"storm{number}"
    names = fill(database, schedules(kind, STORM, f"{instant.minute} {instant.hour} * * *"))
    await asyncio.sleep((instant - now()).total_seconds())
    await until_stored(connection, first + STORM - 1, 300)
    told = await stored(connection, first)
    assert len({e.operationid for _, e in told}) == STORM
    marked = {"published": True, "dueAt": instant}
    async with asyncio.timeout(300):
        while database[Collection.TICKS].count_documents(marked) < STORM:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(3)  # seldom: it is asked of the database that is at work
    database[Collection.SCHEDULES].delete_many({"_id": {"$in": names}})
    return max((at - instant).total_seconds() for at, _ in told)


@dataclass(frozen=True, slots=True)
class Raw:
    """Seconds that as many raw inserts and raw publishes take."""

    inserts: float
    publishes: float


async def raw(database: Documents, connection: Connection, ticks: Sequence[dict[str, Any]], body: bytes, number: int) -> Raw:
    """Insert ticks in bulk, then publish as many messages of that size, many in flight."""
    collection = database.client.get_database(database.name)[_RAW]
    begun = time.perf_counter()
    for first in range(0, len(ticks), _BATCH // 2):
        batch = [{**tick, "_id": f"{number}/{tick['_id']}"} for tick in ticks[first : first + _BATCH // 2]]
        await asyncio.to_thread(collection.insert_many, batch, ordered=False)
    inserted = time.perf_counter()
    gate = asyncio.Semaphore(_IN_FLIGHT)

    async def publish(each: int) -> None:
        async with gate:
            await connection.stream.publish(f"lw.cmd.eu1.raw.raw.{number}-{each}", body)

    await asyncio.gather(*(publish(each) for each in range(len(ticks))))
    return Raw(inserted - begun, time.perf_counter() - inserted)


def indexed(database: Documents) -> None:
    """Give the collection of the raw inserts the indexes of ticks."""
    for index in INDEXES:
        if index.collection is Collection.TICKS:
            database[_RAW].create_index([(key, ASCENDING) for key in index.keys], **index.options)


async def measure(product: Scheduling, database: Documents, report: Report) -> None:
    """Measure what happens once it runs."""
    dependency = Health().depends_on("nats")
    async with connect(product.nats.settings("admin"), name="bench", dependency=dependency) as connection:
        spread = await punctuality(product, database, connection, spread="59s")
        report.spread(f"drift, {PER_MINUTE} slots over a minute", spread, p99=_PUNCTUAL)
        print(f"drift over a minute: p99 {1000 * percentile(spread, 0.99):.0f} ms", flush=True)
        report.spread(
            f"drift, {PER_MINUTE} slots at one instant", await punctuality(product, database, connection), p99=_PUNCTUAL
        )
        indexed(database)
        storms: list[float] = []
        raws: list[Raw] = []
        for number in range(STORMS):
            storms.append(await storm(database, connection, number))
            print(f"storm: {storms[-1]:.1f} s", flush=True)
            found = database[Collection.TICKS].find({"schedule": {"$regex": f"^storm{number}-"}})
            ticks = [Tick.of(each).document() for each in found]
            body = (await stored(connection, (await connection.stream.stream_info(COMMANDS)).state.last_seq))[0][1]
            raws.append(await raw(database, connection, ticks, body.model_dump_json(by_alias=True).encode(), number))
    inserts, publishes = (statistics.mean(times) for times in zip(*((r.inserts, r.publishes) for r in raws), strict=True))
    report.add(f"storm: {STORM:,} slots decided and published", statistics.mean(storms), "s")
    report.add(f"raw: {STORM:,} inserts in bulk, same indexes", inserts, "s")
    report.add(f"raw: {STORM:,} publishes", publishes, "s")
    report.add("storm against both", statistics.mean(storms) / (inserts + publishes), "x", _RATIO)


def main() -> None:
    """Run the benchmark for so many schedules."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else SCHEDULES
    report = Report("scheduling", "Schedules", f"{count:,} schedules in one scheduler; two storms, and raw writes after each")
    with directory() as path, Scheduling(path, Path(os.devnull), ("eu1",)) as product:
        client: MongoClient[dict[str, Any]] = MongoClient(product.mongo.url, tz_aware=True, w="majority", journal=True)
        database = client["leeward"]
        begun = time.perf_counter()
        fill(database, schedules("quiet", count))
        print(f"{count:,} schedules made in {time.perf_counter() - begun:.0f} s", flush=True)
        begun = time.perf_counter()
        product.schedule()
        until("all are watched", lambda: product.watched() >= count, 900)
        report.add("start until all are watched", time.perf_counter() - begun, "s")
        print(f"watched after {time.perf_counter() - begun:.0f} s", flush=True)
        time.sleep(5)
        report.add("memory, RSS", usage(product.pid).rss, "MiB")
        worked = processor(product.pid)
        time.sleep(_IDLE)
        report.add("processor when nothing is due", 100 * (processor(product.pid) - worked) / _IDLE, "% of one")
        asyncio.run(measure(product, database, report))
        report.add("memory in the end, RSS", usage(product.pid).rss, "MiB")
        client.close()
    report.finish()


if __name__ == "__main__":
    main()
