"""One page of each named query of `GET /backups`, against the same page fetched by a plain find with the same indexes.

`python -m benchmarks.listing N [query ...]` makes N backups over 200 clusters in the database of the tests, or in the MongoDB
that `LEEWARD_TEST_MONGODB_URL` names (in a database of its own, which is dropped in the end). Of each query it prints how long
a page takes through the API and by the plain find, in turns, and what the database says it has read for it.
"""

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

import httpx2
from pydantic import SecretStr
from pymongo import MongoClient
from pymongo.database import Database

from benchmarks.backups import CLUSTERS, rows
from benchmarks.installation import Installation, directory
from benchmarks.measuring import RESULTS, machine, milliseconds, percentile, shown
from benchmarks.processes import processor
from services.gateway.backups.queries import BACKUPS, NAMED, BackupQuery
from services.gateway.listing.queries import Plan, plan
from services.status.memory.store import opened
from shared.runtime.settings import MongoSettings
from tests.e2e.product import until

_NAME: Final = "leeward_bench_listing"
_BATCH: Final = 1000
_LIMIT: Final = 50
_ROUNDS: Final = 30
_LEAST: Final = 4
_PATIENCE: Final = 6.0
"""Seconds after which a slow query is not asked again, once it was asked often enough."""

_DEEP: Final = "deep: from the middle"
_SUMMARY: Final = "summary"
_RATIO: Final = 2.0
_PAGE: Final = 50.0
"""Milliseconds: the aim for a page, half of all with 1,000 backups in the stand-in, nearly all with a million in MongoDB."""

Documents = Database[dict[str, Any]]


class Listing(Installation):
    """Of the product only NATS, the database and the gateway."""

    def start(self) -> None:
        """Start with an empty database of that name."""
        self.nats.start()
        self.mongo.start()
        self._run("shared.messaging", "ensure", "--clusters", ",".join(self.clusters), user="admin")
        self.token = self._run("services.gateway", "token", "anna", "--role", "viewer", "--file", str(self.tokens)).strip()
        mongo = {"URL": self.mongo.url, "DATABASE": _NAME, "TIMEOUT": "120"}
        told = {f"LEEWARD_MONGO__{name}": value for name, value in mongo.items()}
        gateway = self.add("gateway", {**self.nats.environment("gateway"), **told, "LEEWARD_TOKENS_FILE": str(self.tokens)})
        until("gateway ready", gateway.is_ready, 30)


@dataclass(frozen=True, slots=True)
class Line:
    """What was measured of one query: milliseconds through the API and by the plain find, and what was read.

    `work`: milliseconds of processor time that a page takes of gateway and database, which others on the machine change
    less. `keys`: index entries examined for each row found; None where the database says that it used no index.
    """

    query: str
    p50: float
    p99: float
    plain50: float
    plain99: float
    work: float
    plain_work: float
    keys: float | None
    index: str
    rows: int
    rounds: int

    @property
    def ratio(self) -> float:
        """How many times longer the API takes than the plain find."""
        return self.p99 / self.plain99


def fill(database: Documents, count: int) -> None:
    """Write the backups, then make the indexes."""
    generated = rows(count)
    while batch := list(islice(generated, _BATCH)):
        database["backups"].insert_many(batch, ordered=False)


async def index(settings: MongoSettings) -> None:
    """Make the indexes that status makes."""
    async with opened(settings) as store:
        await store.ensure()


def questions(database: Documents) -> Iterator[tuple[str, Mapping[str, str], Plan]]:
    """Return each query: its name, its parameters, and what the gateway asks."""
    for name, parameters in NAMED.items():
        yield name, parameters, plan(BACKUPS, asked(parameters))
    first = plan(BACKUPS, asked({}))
    middle = database["backups"].count_documents(first.filter) // 2
    place = next(
        database["backups"].find(first.filter, [order.path for order in first.orders]).sort(first.sort).skip(middle).limit(1)
    )
    parameters = {"cursor": first.next_cursor(place, middle)}
    yield _DEEP, parameters, plan(BACKUPS, asked(parameters))


def asked(parameters: Mapping[str, str]) -> BackupQuery:
    """Return a query as the gateway reads it."""
    repeated = {field.alias for field in BackupQuery.model_fields.values() if field.default == []} | {
        name for name, field in BackupQuery.model_fields.items() if field.default == []
    }
    return BackupQuery.model_validate({name: [text] if name in repeated else text for name, text in parameters.items()})


def plainly(database: Documents, wanted: Plan) -> list[dict[str, Any]]:
    """Fetch the page by one find for each run of the index."""
    found: list[dict[str, Any]] = []
    for run in wanted.runs:
        found += database["backups"].find(run, {"item": 1}).sort(wanted.sort).limit(_LIMIT - len(found))
        if len(found) == _LIMIT:
            break
    return found


def examined(database: Documents, wanted: Plan) -> tuple[float | None, str]:
    """Return how many index entries the database examines for each row that it finds, and which index it uses."""
    keys, found, used = 0, 0, ""
    for run in wanted.runs:
        find = {"find": "backups", "filter": run, "sort": dict(wanted.sort), "limit": _LIMIT, "projection": {"item": 1}}
        explained = database.command("explain", find, verbosity="executionStats")
        stages = list(_stages(explained["queryPlanner"]["winningPlan"]))
        names = [stage["indexName"] for stage in stages if "indexName" in stage]
        if not names:
            return None, "none"
        used = used or ", ".join(dict.fromkeys(names))
        keys += explained["executionStats"]["totalKeysExamined"]
        found += explained["executionStats"]["nReturned"]
        if found >= _LIMIT:
            break
    return (keys / found if found else float(keys)), used


def _stages(stage: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(stage, Mapping):
        yield stage
        for value in stage.values():
            yield from _stages(value)
    elif isinstance(stage, list):
        for value in stage:
            yield from _stages(value)


@dataclass(slots=True)
class Samples:
    """Seconds by the clock and of the processors, one for each time."""

    processes: Sequence[int]
    clock: list[float] = field(default_factory=list)
    work: list[float] = field(default_factory=list)

    def take(self, look: Callable[[], Any]) -> None:
        """Look once more."""
        worked, begun = sum(map(processor, self.processes)), time.perf_counter()
        look()
        self.clock.append(time.perf_counter() - begun)
        self.work.append(sum(map(processor, self.processes)) - worked)

    @property
    def figures(self) -> tuple[float, float, float]:
        """The half and the 99th percentile by the clock, and half of the work, in milliseconds."""
        return (
            milliseconds(statistics.median(self.clock)),
            milliseconds(percentile(self.clock, 0.99)),
            milliseconds(statistics.median(self.work)),
        )


def in_turns(processes: Sequence[int], ours: Callable[[], Any], plain: Callable[[], Any]) -> tuple[Samples, Samples]:
    """Time two ways of looking in turns, after one to warm up, until it was often enough."""
    ours()
    plain()
    pair = Samples(processes), Samples(processes)
    until_then = time.perf_counter() + _PATIENCE
    while len(pair[0].clock) < _ROUNDS and (len(pair[0].clock) < _LEAST or time.perf_counter() < until_then):
        pair[0].take(ours)
        pair[1].take(plain)
    return pair


def measure(product: Listing, database: Documents, only: Sequence[str]) -> Iterator[Line]:
    """Measure every query, or only those of these names."""
    headers = {"Authorization": f"Bearer {product.token}"}
    service, server = product.services["gateway"].process, product.mongo.process
    processes = [each.pid for each in (service, server) if each]
    with httpx2.Client(base_url=product.url, headers=headers, timeout=300) as client:

        def get(path: str, parameters: Mapping[str, str]) -> Any:
            answer = client.get(path, params=parameters)
            answer.raise_for_status()
            return answer.json()

        for name, parameters, wanted in questions(database):
            if only and name not in only:
                continue
            shown_rows = [row["id"] for row in get("/backups", parameters)["items"]]
            assert shown_rows == [row["_id"] for row in plainly(database, wanted)], f"{name}: not the same page"
            times = in_turns(processes, lambda p=parameters: get("/backups", p), lambda w=wanted: plainly(database, w))  # type: ignore[misc]
            yield line(name, times, examined(database, wanted), len(shown_rows))
        group: list[dict[str, Any]] = [{"$match": {"listed": True}}, {"$group": {"_id": "$item.status", "count": {"$sum": 1}}}]
        times = in_turns(processes, lambda: get("/backups/summary", {}), lambda: list(database["backups"].aggregate(group)))
        yield line(_SUMMARY, times, (None, ""), 0)


def line(name: str, samples: tuple[Samples, Samples], read: tuple[float | None, str], found: int) -> Line:
    """Return the figures of one query."""
    (p50, p99, work), (plain50, plain99, plain_work) = (each.figures for each in samples)
    return Line(name, p50, p99, plain50, plain99, work, plain_work, *read, found, len(samples[0].clock))


def table(lines: Iterable[Line]) -> Iterator[str]:
    """Return the lines as they stand in the documentation."""
    yield "| query | p50 | p99 | plain p50 | plain p99 | ratio of p99 | work | plain work | keys a row | rows |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    for each in lines:
        keys = "-" if each.keys is None else shown(each.keys)
        times = (each.p50, each.p99, each.plain50, each.plain99, each.ratio, each.work, each.plain_work)
        yield f"| {each.query} | {' | '.join(map(shown, times))} | {keys} | {each.rows} |"


def verdicts(lines: list[Line], count: int) -> Iterator[str]:
    """Return the targets and whether they are met, in words."""
    lists = [each for each in lines if each.query != _SUMMARY]
    met, worst = sum(each.ratio <= _RATIO for each in lists), max(lists, key=lambda each: each.ratio)
    worked = sum(each.work <= _RATIO * each.plain_work for each in lists)
    yield f"work ≤ {_RATIO:g} times the plain find's: {worked} of {len(lists)}"
    yield f"p99 ≤ {_RATIO:g} times the plain find: {met} of {len(lists)}; the worst is {worst.query!r} ({shown(worst.ratio)})"
    for name, times in (("p50", [each.p50 for each in lists]), ("p99", [each.p99 for each in lists])):
        yield f"{name} ≤ {_PAGE:g} ms: {sum(time <= _PAGE for time in times)} of {len(lists)} with {count:,} backups"


def main() -> None:
    """Run the benchmark for so many backups."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with directory() as path, Listing(path, Path(os.devnull), ("eu1",)) as product:
        client: MongoClient[dict[str, Any]] = MongoClient(product.mongo.url, tz_aware=True)
        database = client[_NAME]
        try:
            client.drop_database(_NAME)
            begun = time.perf_counter()
            fill(database, count)
            asyncio.run(index(MongoSettings(url=SecretStr(product.mongo.url), database=_NAME, timeout=600)))
            kind = "MongoDB" if product.mongo.external else "the stand-in of the tests"
            print(
                f"{count:,} backups over {CLUSTERS} clusters in {kind}, made in {time.perf_counter() - begun:.0f} s", flush=True
            )
            lines = list(measure(product, database, sys.argv[2:]))
        finally:
            client.drop_database(_NAME)
            client.close()
    found = {"backups": count, "database": kind, "lines": [asdict(each) for each in lines], "machine": machine()}
    if not sys.argv[2:]:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"listing-{count}.json").write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    print(*table(lines), *verdicts(lines, count), sep="\n")


if __name__ == "__main__":
    main()
