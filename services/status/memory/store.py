"""The memory in MongoDB: the only code of this service that knows pymongo. Every write may be repeated, by anybody.

Objects and rows are written only over the version that they were computed from.
"""

import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

import pymongo
from pymongo import ASCENDING, InsertOne, ReplaceOne, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure

from services.status.captures import whole_captures
from services.status.clusters.projection import SILENCE
from services.status.memory.indexes import INDEXES, PAGES
from services.status.memory.knowing import Knowing
from services.status.memory.placing import Placing, among
from services.status.objects import Record, document, joined, read, record_id
from services.status.ports import Applied, Document, verdict
from services.status.rows import COLLECTIONS, TOLD, Change
from shared.contracts.documents import Collection, capture_id
from shared.contracts.names import Noun
from shared.contracts.phases import UNLISTED
from shared.runtime.settings import MongoSettings
from shared.store import Database, answering, opened_database
from shared.together import Together

_DUPLICATE_KEY: Final = 11000
_INDEXING: Final = 600.0
"""Seconds that an index may take on a large collection, once."""


Write = InsertOne[dict[str, Any]] | ReplaceOne[dict[str, Any]] | UpdateOne


@contextlib.asynccontextmanager
async def opened(settings: MongoSettings) -> AsyncIterator["Store"]:
    """Open the memory while the context lasts. Nothing is asked of the database yet."""
    async with opened_database(settings, "leeward-status") as database:
        yield Store(database)


class Store(Knowing, Placing):
    """See Remembers, which this is. What is asked for at the same time is read, and written, together."""

    def __init__(self, database: Database) -> None:
        Knowing.__init__(self, database)
        Placing.__init__(self, database)
        collections = (*COLLECTIONS.values(), Collection.OBJECTS)
        self._reading = {name: Together(partial(self._read, name)) for name in collections}
        self._writing = {name: Together(partial(self._write, name)) for name in (*collections, Collection.TRANSITIONS)}
        self._settling = Together(self._outdated)
        self._showing = Together(self._records)
        self._silent = Together(self._silences)

    async def ensure(self) -> None:
        """Make the indexes, drop those that are none any more, and mend what an earlier version has written otherwise.

        Repeating it changes nothing.

        Raises Unavailable when the database does not answer.
        """
        with answering(), pymongo.timeout(_INDEXING):
            for index in INDEXES:
                await self.database[index.collection].create_index([(key, ASCENDING) for key in index.keys], **index.options)
            for collection in {index.collection for index in INDEXES}:
                wanted = {index.keys for index in INDEXES if index.collection == collection}
                for name, about in (await self.database[collection].index_information()).items():
                    if tuple(key for key, _ in about["key"]) not in wanted | {("_id",)}:
                        await self.database[collection].drop_index(name)
            # Deleted backups were listed once. Nothing is heard of them any more that would have their rows computed again.
            listed = {"listed": True, "item.status": {"$in": [status.value for status in UNLISTED]}}
            await self.database[Collection.BACKUPS].update_many(listed, {"$set": {"listed": False}, "$inc": {"rev": 1}})

    def _of(self, noun: Noun) -> AsyncCollection[dict[str, Any]]:
        return self.database[COLLECTIONS[noun]]

    # ------------------------------------------------------------ objects

    async def apply(self, seen: Record) -> Applied:
        """See Remembers."""
        while True:
            stored = await self._reading[Collection.OBJECTS](seen.id)
            known = read(stored) if stored else None
            now = joined(known, seen)
            if now == known or await self._written(stored, now):
                return Applied(verdict(known, seen), known, now)

    async def _written(self, stored: Document | None, now: Record) -> bool:
        """Write a record over the version it was computed from; False when somebody else was faster."""
        version = stored["version"] if stored else 0
        fields = {**document(now), "version": version + 1}
        write = ReplaceOne({"_id": now.id, "version": version}, fields) if stored else InsertOne(fields)
        return await self._writing[Collection.OBJECTS](write)

    async def settle(self, seen: Record) -> None:
        """See Remembers."""
        if await self._settling(seen):
            with answering():
                found = await self.database[PAGES].find_one(pages_without(seen), {"at": 1}, sort=[("at", ASCENDING)])
                if found is not None:
                    same = {"_id": seen.id, "epoch": seen.epoch, "rv": seen.rv}
                    await self.database[Collection.OBJECTS].update_one(*_gone(same, found["at"]))

    async def _outdated(self, seen: Sequence[Record]) -> list[bool]:
        """Tell of each object whether there may be a page that is not older; mostly one look tells that there is none."""
        if len(seen) == 1:
            return [True]
        lowest: dict[tuple[str, str], tuple[int, int]] = {}
        for each in seen:
            kind, version = (each.cluster, each.noun), (each.epoch, each.rv)
            lowest[kind] = min(lowest.get(kind, version), version)
        younger = [
            {"cluster": cluster, "noun": noun, **versions}
            for (cluster, noun), (epoch, rv) in lowest.items()
            for versions in ({"epoch": epoch, "listRv": {"$gte": rv}}, {"epoch": {"$gt": epoch}})
        ]
        with answering():
            return [await self.database[PAGES].find_one({"$or": younger}, {"_id": 1}) is not None] * len(seen)

    async def keep_page(self, page: Document) -> None:
        """See Remembers."""
        with answering():
            said = {name: value for name, value in page.items() if name not in {"_id", "at"}}
            kept = {"$setOnInsert": said, "$min": {"at": page["at"]}, "$currentDate": {"receivedAt": True}}
            await self.database[PAGES].update_one({"_id": page["_id"]}, kept, upsert=True)

    async def miss(self, page: Document) -> set[str]:
        """See Remembers."""
        uids = {"$gte": page["fromUid"], "$nin": page["uids"]} | ({"$lt": page["toUid"]} if page["toUid"] is not None else {})
        known = [{"epoch": {"$lt": page["epoch"]}}, {"epoch": page["epoch"], "rv": {"$lte": page["listRv"]}}]
        missing = {"cluster": page["cluster"], "noun": page["noun"], "uid": uids, "$or": known}
        objects = self.database[Collection.OBJECTS]
        with answering():
            await objects.update_many(*_gone(missing, page["at"]))
            return set(await objects.distinct("identity", {**missing, "goneAt": page["at"]}))

    async def records(self, identity: str) -> list[Record]:
        """See Remembers."""
        return await self._showing(identity)

    async def _records(self, identities: Sequence[str]) -> list[list[Record]]:
        shown: dict[str, list[Record]] = {identity: [] for identity in identities}
        with answering():
            async for found in self.database[Collection.OBJECTS].find({"identity": among(identities)}):
                shown[found["identity"]].append(read(found))
        return [shown[identity] for identity in identities]

    async def stalled(self, cluster: str, before: datetime) -> str | None:
        """See Remembers."""
        waiting = {"cluster": cluster, "noun": Noun.BACKUP, "phase": None, "createdAt": {"$lte": before}}
        with answering():
            found = await self.database[Collection.OBJECTS].find_one(
                {**waiting, "goneAt": None, "unreadable": None}, {"namespace": 1, "name": 1}, sort=[("createdAt", ASCENDING)]
            )
        return f"{found['namespace']}/{found['name']}" if found else None

    async def identity(self, cluster: str, noun: str, uid: str) -> str | None:
        """See Remembers."""
        found = await self._reading[Collection.OBJECTS](record_id(cluster, noun, uid))
        return found["identity"] if found else None

    # ------------------------------------------------------------ around a backup

    async def silence(self, cluster: str) -> str | None:
        """See Remembers."""
        return await self._silent(cluster)

    async def _silences(self, clusters: Sequence[str]) -> list[str | None]:
        with answering():
            states = self.database[Collection.CLUSTER_STATE].find({"_id": among(clusters)}, {SILENCE: 1})
            said = {state["_id"]: state.get(SILENCE) async for state in states}
        return [said.get(cluster) for cluster in clusters]

    async def unaware(self, noun: Noun, cluster: str, silence: str | None) -> set[str]:
        """See Remembers."""
        waiting = {"cluster": cluster, "noun": noun, "phase": None, "goneAt": None}
        with answering():
            found = await self.database[Collection.OBJECTS].distinct("identity", waiting)
            if not found:
                return set()
            rows = self._of(noun).find({"_id": {"$in": found}, SILENCE: {"$ne": silence}}, {"_id": 1})
            return {row["_id"] async for row in rows}

    async def formerly(self, noun: Noun, row_id: str) -> Sequence[str]:
        """See Remembers."""
        with answering():
            return [row["_id"] async for row in self._of(noun).find({"aliases": row_id}, {"_id": 1})]

    async def removals(self, restore_ids: Iterable[str]) -> Sequence[Document]:
        """See Remembers."""
        about = {"command.restore": among(sorted(restore_ids))}
        with answering():
            return await self.database[Collection.OPERATIONS].find(about).to_list()

    async def keep_capture(self, part: Document) -> None:
        """See Remembers."""
        kept = self.database[Collection.CAPTURES]
        with answering():
            try:
                await kept.insert_one(dict(part))
            except DuplicateKeyError:
                await kept.replace_one({"_id": part["_id"], "sequence": {"$lt": part["sequence"]}}, part)

    async def captured(self, cluster: str, uids: Iterable[str]) -> Sequence[str]:
        """See Remembers."""
        beginnings = [capture_id(cluster, uid).removesuffix("/") for uid in sorted(uids)]
        ranges = [{"_id": {"$gt": f"{beginning}/", "$lt": f"{beginning}0"}} for beginning in beginnings]  # 0 comes after /
        with answering():
            return whole_captures(
                [each async for each in self.database[Collection.CAPTURES].find({"$or": ranges}, {"data": 0})]
            )

    # ------------------------------------------------------------ history

    async def phase_reached(self, seen: Record, *, moved: bool) -> None:
        """See Remembers."""
        if seen.phase is not None:
            key = f"{seen.cluster}/{seen.uid}/{seen.epoch}/{seen.phase}"
            first = {"rv": seen.rv, "at": seen.observed_at}
            new = {"_id": key, "kind": "Phase", "to": seen.phase, "backupId": seen.identity, "object": seen.id} | first
            if not await self._writing[Collection.TRANSITIONS](InsertOne(new)):
                later = [{"rv": {"$gt": seen.rv}}, {"rv": seen.rv, "at": {"$gt": seen.observed_at}}]
                with answering():
                    await self.database[Collection.TRANSITIONS].update_one({"_id": key, "$or": later}, {"$set": first})
        identity = None if moved else seen.identity
        while (found := await self._reading[Collection.OBJECTS](seen.id)) and found["identity"] != identity:
            identity = found["identity"]  # the object may move on meanwhile; its history follows it
            others = {"object": seen.id, "backupId": {"$ne": identity}}
            with answering():
                await self.database[Collection.TRANSITIONS].update_many(others, {"$set": {"backupId": identity}})

    async def status_reached(self, row_id: str, entry: Document) -> None:
        """See Remembers."""
        new = {"kind": "Status", "to": entry["to"], "at": entry["at"], "backupId": row_id}
        await self._writing[Collection.TRANSITIONS](InsertOne({"_id": f"{row_id}/status/{entry['seq']}", **new}))

    # ------------------------------------------------------------ rows

    async def row(self, noun: Noun, row_id: str) -> Document | None:
        """See Remembers."""
        return await self._reading[COLLECTIONS[noun]](row_id)

    async def save(self, noun: Noun, row_id: str, current: Document | None, change: Change) -> Document | None:
        """See Remembers."""
        fields = {**change.fields, "statusSeq": change.status_seq}
        news = [change.announcement] if change.announcement else []
        if current is None:
            row = {"_id": row_id, **fields, "rev": 1, "unannounced": news}
            write: Write = InsertOne(row)
        else:
            # What others have announced meanwhile is not known here: it is announced again, and dropped by the stream.
            row = {**current, **fields, "rev": current["rev"] + 1, "unannounced": [*current["unannounced"], *news]}
            update: dict[str, Any] = {"$set": fields, "$inc": {"rev": 1}, "$push": {"unannounced": {"$each": news}}}
            write = UpdateOne({"_id": row_id, "rev": current["rev"]}, update)
        return row if await self._writing[COLLECTIONS[noun]](write) else None

    async def forget(self, noun: Noun, row_id: str, rev: int) -> bool:
        """See Remembers."""
        with answering():
            gone = await self._of(noun).delete_one({"_id": row_id, "rev": rev, "unannounced.0": {"$exists": False}})
        return gone.deleted_count == 1

    async def announced(self, noun: Noun, row_id: str, seq: int) -> None:
        """See Remembers."""
        await self._writing[COLLECTIONS[noun]](UpdateOne({"_id": row_id}, {"$pull": {"unannounced": {"seq": seq}}}))

    async def told(self, backup_id: str, shows: Sequence[Any] | None) -> None:
        """See Remembers."""
        await self._writing[Collection.BACKUPS](UpdateOne({"_id": backup_id}, {"$set": {TOLD: shows}}))

    async def due(self, noun: Noun, now: datetime, limit: int) -> Sequence[str]:
        """See Remembers."""
        with answering():
            found = self._of(noun).find({"recheckAt": {"$lte": now}}, {"_id": 1}, sort=[("recheckAt", ASCENDING)], limit=limit)
            return [row["_id"] async for row in found]

    async def unannounced(self, noun: Noun, before: datetime, limit: int) -> Sequence[Document]:
        """See Remembers."""
        with answering():
            return [row async for row in self._of(noun).find({"unannounced.at": {"$lte": before}}, limit=limit)]

    # ------------------------------------------------------------ together

    async def _read(self, collection: Collection, keys: Sequence[str]) -> list[Document | None]:
        """Read documents by their ids."""
        with answering():
            found = {each["_id"]: each async for each in self.database[collection].find({"_id": among(keys)})}
        return [found.get(key) for key in keys]

    async def _write(self, collection: Collection, writes: Sequence[Write]) -> list[bool]:
        """Make each write whose condition holds, in any order; tell of each whether it was made for certain.

        The database says of inserts which were too late, but of updates only how many were made. If one was not, none is
        certain: who is told so reads again, and finds its own write if it was made.
        """
        late: set[int] = set()
        with answering():
            try:
                made = (await self.database[collection].bulk_write(writes, ordered=False)).matched_count
            except BulkWriteError as error:
                made, failures = error.details["nMatched"], error.details["writeErrors"]
                late = {failure["index"] for failure in failures if failure["code"] == _DUPLICATE_KEY}
                if len(late) < len(failures) or error.details["writeConcernErrors"]:
                    raise _plain(error) from error
        certain = made == sum(not isinstance(write, InsertOne) for write in writes)
        return [n not in late if isinstance(write, InsertOne) else certain for n, write in enumerate(writes)]


def _plain(error: BulkWriteError) -> Exception:
    """Return the failure of a bulk as a single write would have raised it."""
    concerns = error.details["writeConcernErrors"]
    first = next((f for f in error.details["writeErrors"] if f["code"] != _DUPLICATE_KEY), None) or concerns[0]
    return OperationFailure(str(first.get("errmsg")), first["code"])


def pages_without(seen: Record) -> dict[str, Any]:
    """Return the filter for pages that should have named an object and did not.

    It has one complete branch for each range of the index, so that what is newer than every page makes none of them be read.
    """
    covers = {
        "cluster": seen.cluster,
        "noun": seen.noun,
        "fromUid": {"$lte": seen.uid},
        "uids": {"$ne": seen.uid},
        "$or": [{"toUid": None}, {"toUid": {"$gt": seen.uid}}],
    }
    younger = ({"epoch": seen.epoch, "listRv": {"$gte": seen.rv}}, {"epoch": {"$gt": seen.epoch}})
    return {"$or": [{**covers, **versions} for versions in younger]}


def _gone(which: Mapping[str, Any], at: datetime) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the filter and the update that mark objects gone since then, unless they are known to have gone before."""
    return {"$and": [dict(which), {"$or": [{"goneAt": None}, {"goneAt": {"$gt": at}}]}]}, {
        "$set": {"goneAt": at},
        "$inc": {"version": 1},
    }
