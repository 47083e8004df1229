"""The memory in MongoDB: the only code of this service that knows pymongo. Every write may be repeated, by anybody."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, get_args

import pymongo
import structlog
from pymongo import ASCENDING, DESCENDING, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError, OperationFailure

from services.scheduler.housekeeping import QUIET
from services.scheduler.indexes import INDEXES
from services.scheduler.measures import BROKEN
from services.scheduler.ports import Document, Facts, Sketch
from shared.contracts import documents
from shared.contracts.schedules import Decision, Tick
from shared.contracts.scopes import BY_ENVIRONMENT
from shared.runtime import logging
from shared.runtime.settings import MongoSettings
from shared.store import Database, answering, opened_database

log = structlog.get_logger(__name__)

Names = documents.Collection
Documents = AsyncCollection[dict[str, Any]]

_DUPLICATE_KEY: Final = 11000
_INDEXING: Final = 600.0
"""Seconds that an index may take on a large collection, once."""
_PATIENCE: Final = 10.0
"""Seconds that a question about many may take: a database that is slow is asked no less by asking it again."""
_SCANNING: Final = 600.0
"""Seconds until a scan of everything has its first page: some databases read all of it before."""
_SOME: Final = 250
"""So many are written, or gone through, at a time."""
_SKETCH: Final = {"eras": 1, "spread": 1, "spreadSince": 1, "deleting": 1}
_BY_ENVIRONMENT: Final = frozenset(get_args(scope.model_fields["kind"].annotation)[0] for scope in BY_ENVIRONMENT)


@contextlib.asynccontextmanager
async def opened(settings: MongoSettings) -> AsyncIterator["Store"]:
    """Open the memory while the context lasts. Nothing is asked of the database yet."""
    async with opened_database(settings, "leeward-scheduler") as database:
        yield Store(database)


class Store:
    """See Remembers, which this is."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def ensure(self) -> None:
        """Make the indexes, and drop those of ticks that are none any more. Repeating it changes nothing.

        Raises Unavailable when the database does not answer.
        """
        with answering(), pymongo.timeout(_INDEXING):
            for index in INDEXES:
                await self._of(index.collection).create_index([(key, ASCENDING) for key in index.keys], **index.options)
            wanted = {index.keys for index in INDEXES if index.collection is Names.TICKS}
            for name, about in (await self._of(Names.TICKS).index_information()).items():
                if tuple(key for key, _ in about["key"]) not in wanted | {("_id",)}:
                    await self._of(Names.TICKS).drop_index(name)

    async def ping(self) -> None:
        """Ask the database whether it is there.

        Raises Unavailable.
        """
        with answering():
            await self.database.command("ping")

    def _of(self, collection: Names) -> Documents:
        return self.database[collection]

    # ------------------------------------------------------------ reading

    async def sketches(self, since: datetime | None) -> AsyncIterator[Sequence[Sketch]]:
        """See Remembers."""
        changed: dict[str, Any] = {} if since is None else {"changedAt": {"$gte": since}}
        schedules = self._of(Names.SCHEDULES).find(changed, _SKETCH, batch_size=_SOME)
        while True:
            with _patiently(_SCANNING):  # each page by itself
                page = await schedules.to_list(_SOME)
            if not page:
                return
            yield await self._sketched(page)

    async def _sketched(self, page: Sequence[Document]) -> list[Sketch]:
        decided_to = await self._clocks([document["_id"] for document in page])
        return [Sketch(document, decided_to.get(document["_id"])) for document in page]

    async def facts(self, schedules: Sequence[str]) -> Sequence[Facts]:
        """See Remembers."""
        wanted = list(dict.fromkeys(schedules))
        found, clocks, status = await asyncio.gather(
            self._among(Names.SCHEDULES, wanted),
            self._clocks(wanted),
            self._among(Names.SCHEDULE_STATUS, wanted, {"item.version": 1, "item.reasons": 1}),
        )
        unknown = [each["_id"] for each in found if each["_id"] not in clocks]
        skips = {each["_id"]: str(each["skip"].get("id")) for each in found if isinstance(each.get("skip"), Mapping)}
        clusters = {str(each.get("cluster")) for each in found if _by_environment(each)}
        registered, newest, skipped = await asyncio.gather(
            self._among(Names.CLUSTERS, list(clusters), {"productionSelector": 1, "nonProductionSelector": 1}),
            self.newest(unknown),
            self._skipped(skips),
        )
        rows = {row["_id"]: row.get("item") for row in status}
        registrations = {each["_id"]: each for each in registered}
        return [
            Facts(
                document=each,
                decided_to=clocks.get(each["_id"]) or newest.get(each["_id"]),
                skipped=skipped.get(each["_id"], 0),
                status=rows.get(each["_id"]),
                registration=registrations.get(str(each.get("cluster"))),
            )
            for each in found
        ]

    async def _among(self, collection: Names, keys: Sequence[Any], fields: Mapping[str, int] | None = None) -> list[Document]:
        if not keys:
            return []
        with _patiently():
            return [each async for each in self._of(collection).find({"_id": {"$in": list(keys)}}, fields)]

    async def _clocks(self, schedules: Sequence[str]) -> dict[str, datetime]:
        return {clock["_id"]: clock["decidedTo"] for clock in await self._among(Names.SCHEDULE_CLOCK, schedules)}

    async def _skipped(self, wishes: Mapping[str, str]) -> dict[str, int]:
        """Return how many slots each schedule's wish to skip has used up."""
        if not wishes:
            return {}
        used: dict[str, int] = {}
        asked = {"decision": Decision.SKIPPED.value, "skip": {"$in": list(wishes.values())}}
        with _patiently():
            async for tick in self._of(Names.TICKS).find(asked, {"schedule": 1, "skip": 1, "count": 1}):
                if wishes.get(tick["schedule"]) == tick["skip"]:
                    used[tick["schedule"]] = used.get(tick["schedule"], 0) + int(tick["count"])
        return used

    async def newest(self, schedules: Sequence[str]) -> Mapping[str, datetime]:
        """See Remembers."""
        if not schedules:
            return {}
        asked: list[Mapping[str, Any]] = [
            {"$match": {"schedule": {"$in": list(schedules)}}},
            {"$sort": {"schedule": ASCENDING, "to": ASCENDING}},  # so that of each only the last one is read
            {"$group": {"_id": "$schedule", "to": {"$last": "$to"}}},
        ]
        with _patiently():
            return {each["_id"]: each["to"] async for each in await self._of(Names.TICKS).aggregate(asked)}

    async def unpublished(self, since: datetime) -> AsyncIterator[Sequence[Tick]]:
        """See Remembers."""
        with _patiently():
            waiting = self._of(Names.TICKS).find({"published": False, "deadline": {"$gt": since}})
            found = _readable(await waiting.sort("deadline", ASCENDING).to_list())
        for first in range(0, len(found), _SOME):
            yield found[first : first + _SOME]

    # ------------------------------------------------------------ writing

    async def insert(self, ticks: Sequence[Tick]) -> Collection[str]:
        """See Remembers."""
        with _patiently():
            try:
                await self._of(Names.TICKS).insert_many([tick.document() for tick in ticks], ordered=False)
            except BulkWriteError as error:
                failures = error.details["writeErrors"]
                other = [failure for failure in failures if failure["code"] != _DUPLICATE_KEY]
                if worst := (other or error.details["writeConcernErrors"]):
                    raise OperationFailure(str(worst[0].get("errmsg")), worst[0]["code"]) from error
                return {ticks[failure["index"]].id for failure in failures}
        return ()

    async def mark(self, ticks: Mapping[str, str | None]) -> None:
        """See Remembers."""
        ends = {tick: {"published": None, "reason": why} if why else {"published": True} for tick, why in ticks.items()}
        for some in _parts(ends.items()):
            writes = [UpdateOne({"_id": tick}, {"$set": end}) for tick, end in some]
            with _patiently():
                await self._of(Names.TICKS).bulk_write(writes, ordered=False)

    async def advance(self, decided_to: Mapping[str, datetime]) -> None:
        """See Remembers."""
        for some in _parts(decided_to.items()):
            writes = [UpdateOne({"_id": schedule}, {"$max": {"decidedTo": slot}}, upsert=True) for schedule, slot in some]
            with _patiently():
                await self._of(Names.SCHEDULE_CLOCK).bulk_write(writes, ordered=False)

    # ------------------------------------------------------------ housekeeping

    async def resting(self, after: datetime, until: datetime) -> Sequence[str]:
        """See Remembers."""
        old = {"decidedAt": {"$gt": after, "$lte": until}, "decision": {"$in": sorted(QUIET)}}
        with _patiently():
            return sorted(await self._of(Names.TICKS).distinct("schedule", old))

    async def chain(self, schedule: str, until: datetime, most: int) -> Sequence[Tick]:
        """See Remembers."""
        with _patiently():
            old = self._of(Names.TICKS).find({"schedule": schedule, "decidedAt": {"$lte": until}})
            found = await old.sort("to", DESCENDING).limit(most).to_list()
        ticks = _readable(found[::-1])
        if len(ticks) < len(found) or not ticks:
            return []
        with _patiently():
            among = {"schedule": schedule, "to": {"$gte": ticks[0].to, "$lte": ticks[-1].to}}
            return ticks if await self._of(Names.TICKS).count_documents(among) == len(ticks) else []

    async def extend(self, before: Tick, after: Tick) -> bool:
        """See Remembers."""
        same = {"_id": before.id, "to": before.to, "count": before.count}
        with _patiently():
            return (await self._of(Names.TICKS).replace_one(same, after.document())).matched_count == 1

    async def drop(self, ticks: Collection[str]) -> None:
        """See Remembers."""
        with _patiently():
            await self._of(Names.TICKS).delete_many({"_id": {"$in": list(ticks)}})

    async def forget_clocks(self, before: datetime) -> int:
        """See Remembers."""
        with _patiently():
            old = [
                each["_id"] async for each in self._of(Names.SCHEDULE_CLOCK).find({"decidedTo": {"$lt": before}}, {"_id": 1})
            ]
        forgotten = 0
        for some in _parts(old):
            there = {each["_id"] for each in await self._among(Names.SCHEDULES, some, {"_id": 1})}
            with _patiently():
                gone = {"_id": {"$in": [each for each in some if each not in there]}}
                forgotten += (await self._of(Names.SCHEDULE_CLOCK).delete_many(gone)).deleted_count
        return forgotten

    async def forget_skips(self, before: datetime) -> None:
        """See Remembers."""
        skipped = {"decision": Decision.SKIPPED.value, "decidedAt": {"$lt": before}}
        with _patiently():
            old = await self._of(Names.TICKS).find(skipped, {"schedule": 1, "skip": 1}).to_list()
        for some in _parts(old):
            schedules = await self._among(Names.SCHEDULES, list({tick["schedule"] for tick in some}), {"skip.id": 1})
            wishes = {(each["_id"], str(each["skip"].get("id"))) for each in schedules if each.get("skip")}
            await self.drop([tick["_id"] for tick in some if (tick["schedule"], tick["skip"]) not in wishes])


@contextlib.contextmanager
def _patiently(seconds: float = _PATIENCE) -> Iterator[None]:
    with answering(), pymongo.timeout(seconds):
        yield


def _by_environment(schedule: Document) -> bool:
    template = schedule.get("template")
    scope = template.get("scope") if isinstance(template, Mapping) else None
    return isinstance(scope, Mapping) and str(scope.get("kind")) in _BY_ENVIRONMENT


def _readable(found: Iterable[Document]) -> list[Tick]:
    """Read ticks; one that nobody can read is as if it were not there."""
    ticks: list[Tick] = []
    for each in found:
        try:
            ticks.append(Tick.of(each))
        except (ValueError, TypeError):
            BROKEN.labels("read").inc()
            log.error("tick left out", **{logging.OPERATION: str(each.get("_id"))})  # noqa: TRY400 - its words may be long
    return ticks


def _parts(items: Iterable[Any]) -> list[list[Any]]:
    whole = list(items)
    return [whole[first : first + _SOME] for first in range(0, len(whole), _SOME)]
