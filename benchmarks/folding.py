"""How many events the status service folds in a second, against raw bulk upserts of as many documents.

A fold reads what is known, writes the object, its history and its row over the revisions that they were computed from,
announces what people see differently, and acks. The baseline writes the very rows that came of it, one upsert an event, in
bulk, into a collection of the same database with the same indexes (and, for comparison, into one without any).
"""

import asyncio
import collections
import os
import statistics
import time
from pathlib import Path
from typing import Any, Final

import pymongo
from pymongo import MongoClient, ReplaceOne

from benchmarks.installation import Installation, directory, drained
from benchmarks.measuring import Report
from shared.contracts import subjects
from shared.contracts.envelope import Envelope, type_name
from shared.contracts.events import Observed
from shared.messaging.connection import Connection, connect
from shared.messaging.publisher import Publisher
from shared.runtime.clock import now
from shared.runtime.health import Health
from tests.e2e.product import until

BACKUPS: Final = 300
_PHASES: Final = ("New", "InProgress", "Completed")
ROUNDS: Final = 3
_BATCH: Final = 100
_SHARE, _PATIENCE = 50.0, 300.0


class Status(Installation):
    """Of the product only NATS, the database and the status service."""

    def start(self) -> None:
        """Start with what has been said already: a backlog, as after an outage."""
        self.nats.start()
        self.mongo.start()
        self._run("shared.messaging", "ensure", "--clusters", ",".join(self.clusters), user="admin")

    def fold(self) -> None:
        """Start the status service."""
        mongo = {"LEEWARD_MONGO__URL": self.mongo.url}
        until("status ready", self.add("status", {**self.nats.environment("status"), **mongo}).is_ready, 30)


def event(number: int, version: int, phase: str) -> tuple[str, Envelope[Observed]]:
    """Return what an executor says of one phase of one backup that was asked for here."""
    uid, name, operation = f"uid-{number}", f"backup-{number}", f"operation-{number}"
    metadata = {
        "name": name,
        "namespace": "velero",
        "uid": uid,
        "resourceVersion": str(version),
        "creationTimestamp": "2026-11-22T11:59:00Z",
        "labels": {"leeward.dev/cluster": "eu1", "leeward.dev/operation-id": operation},
        "annotations": {"leeward.dev/created-by": "anna", "leeward.dev/name": name},
    }
    status = {"phase": phase, "expiration": "2099-11-22T11:59:00Z"}
    if phase != _PHASES[0]:
        status["startTimestamp"] = "2026-11-22T11:59:01Z"
    spec = {"storageLocation": "default", "includedNamespaces": ["shop"], "ttl": "720h0m0s", "snapshotVolumes": False}
    body = {"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": metadata, "spec": spec, "status": status}
    data = Observed(epoch=1, uid=uid, resource_version=version, namespace="velero", name=name, object=body)
    envelope = Envelope[Observed](
        id=f"{uid}.{version}",
        source="/clusters/eu1/executor",
        type=type_name("backup", "observed"),
        time=now(),
        cluster="eu1",
        data=data,
    )
    return subjects.observed("eu1", "backup", uid), envelope


async def say(connection: Connection, first: int) -> None:
    """Publish three events of each of so many backups, phase by phase."""
    publisher = Publisher(connection)
    for version, phase in enumerate(_PHASES, first * len(_PHASES) * BACKUPS + 1):
        for batch in range(first * BACKUPS, (first + 1) * BACKUPS, _BATCH):
            await asyncio.gather(*(publisher.publish(*event(n, version, phase)) for n in range(batch, batch + _BATCH)))


async def fold(product: Status) -> list[float]:
    """Fold one round with a status service that is warm, several times; return events a second of each."""
    rates = []
    dependency = Health().depends_on("nats")
    async with connect(product.nats.settings("admin"), name="bench", dependency=dependency) as connection:
        await say(connection, 0)  # the first round warms up
        product.fold()
        await drained(connection, _PATIENCE)
        for number in range(1, ROUNDS + 1):
            service = product.services["status"]
            service.pause()
            await say(connection, number)
            begun = time.perf_counter()
            service.resume()
            await drained(connection, _PATIENCE)
            rates.append(len(_PHASES) * BACKUPS / (time.perf_counter() - begun))
    return rates


def upserts(product: Status) -> dict[str, float]:
    """Upsert in bulk what came of the folding; return events a second, each the median of several rounds.

    `row`: one row an event, with the indexes of the rows; `bare`: the same without indexes; `all`: everything that an event
    leaves (its object, its row, its history), each with its indexes.
    """
    client: MongoClient[dict[str, Any]] = MongoClient(product.mongo.url, w="majority", journal=True)
    database = client["leeward"]
    found = {name: list(database[name].find({}, limit=BACKUPS)) for name in ("backups", "objects")}
    assert all(len(documents) == BACKUPS for documents in found.values()), "what the fold should have written is not there"
    history = list(database["transitions"].find({"backupId": {"$in": [row["_id"] for row in found["backups"]]}}))
    for name in (*found, "transitions"):
        for index, facts in database[name].index_information().items():
            options = {k: v for k, v in facts.items() if k not in {"key", "v", "ns"}}
            if index != "_id_":
                database[f"bench_{name}"].create_index(facts["key"], name=index, **options)
    count, seconds = len(_PHASES) * BACKUPS, collections.defaultdict(list)
    for number in range(ROUNDS + 1):
        row = sum(_upsert(database["bench_backups"], found["backups"], number, v) for v in range(len(_PHASES)))
        bare = sum(_upsert(database["bench_bare"], found["backups"], number, v) for v in range(len(_PHASES)))
        objects = sum(_upsert(database["bench_objects"], found["objects"], number, v) for v in range(len(_PHASES)))
        spent = {"row": row, "bare": bare, "all": row + objects + _upsert(database["bench_transitions"], history, number, 0)}
        for name, took in spent.items():
            seconds[name].append(took)
    client.close()
    return {name: count / statistics.median(took[1:]) for name, took in seconds.items()}


def _upsert(
    collection: "pymongo.collection.Collection[dict[str, Any]]", documents: list[dict[str, Any]], number: int, version: int
) -> float:
    """Write one version of each document; return how long it took."""
    begun = time.perf_counter()
    for first in range(0, len(documents), _BATCH):
        batch = [{**d, "_id": f"{number}/{d['_id']}", "rev": version} for d in documents[first : first + _BATCH]]
        for each in batch:
            if "item" in each:
                each["item"] = {**each["item"], "status": ("Creating", "Creating", "Completed")[version]}
        collection.bulk_write([ReplaceOne({"_id": d["_id"]}, d, upsert=True) for d in batch], ordered=False)
    return time.perf_counter() - begun


def main() -> None:
    """Run the benchmark."""
    count = len(_PHASES) * BACKUPS
    report = Report(
        "folding",
        "Events folded by status",
        f"median of {ROUNDS} rounds of {count} events ({BACKUPS} backups: {', '.join(_PHASES)}) from a backlog",
    )
    with directory() as path, Status(path, Path(os.devnull), ("eu1",)) as product:
        folded = statistics.median(asyncio.run(fold(product)))
        product.services["status"].kill()
        raw = upserts(product)
    report.add("folded", folded, "events/s")
    report.add("raw: one row an event, same indexes", raw["row"], "events/s")
    report.add("raw: one row an event, no indexes", raw["bare"], "events/s")
    report.add("raw: object, row and history of each event", raw["all"], "events/s")
    report.add("folded against one row, same indexes", 100 * folded / raw["row"], "%", _SHARE, "≥")
    report.add("folded against one row, no indexes", 100 * folded / raw["bare"], "%")
    report.add("folded against object, row and history", 100 * folded / raw["all"], "%")
    report.finish()


if __name__ == "__main__":
    main()
