"""The only code here that speaks to MongoDB: reads the projections, owns the registered clusters.

Every way in which the database can fail to answer becomes Unavailable("mongodb").
"""

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from pymongo import ASCENDING
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from services.gateway.indexes import INDEXES
from shared.contracts.documents import Collection, capture_id
from shared.messaging.outcomes import Unavailable
from shared.runtime.settings import MongoSettings
from shared.store import MONGODB, Database, answering, opened_database

Document = dict[str, Any]
ROW_FIELDS = ("item", "aliases", "uids", "owner")
"""What is needed of a row to do something with the backup, or the restore."""


class Store:
    """Projections to read, registrations to keep. Documents come as plain dicts with datetimes in UTC."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._indexed: set[Collection] = set()
        self._away: str | None = None
        """Why the last ping failed: until one succeeds, nobody else needs to wait for a timeout to be told the same."""

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        if self._away is not None:
            raise Unavailable(MONGODB, self._away)
        with answering():
            yield

    def _collection(self, name: Collection) -> AsyncCollection[Document]:
        return self._database.get_collection(name.value)

    async def ping(self) -> None:
        """Return if the database answers.

        Raises Unavailable otherwise.
        """
        try:
            with answering():
                await self._database.command("ping")
        except Unavailable as away:
            self._away = away.reason
            raise
        self._away = None

    # ------------------------------------------------------------------ projections

    async def find(
        self,
        collection: Collection,
        query: Mapping[str, Any],
        sort: Sequence[tuple[str, int]],
        limit: int,
        fields: Sequence[str] | None = None,
    ) -> list[Document]:
        """Return documents in order: the ids and those fields, or everything."""
        with self._answering():
            return await self._collection(collection).find(query, fields).sort(list(sort)).limit(limit).to_list()

    async def pick(self, collection: Collection, ids: Sequence[Any], fields: Sequence[str]) -> list[Document]:
        """Return the documents of these ids, in any order: those fields of each."""
        if not ids:
            return []
        with self._answering():
            return await self._collection(collection).find({"_id": {"$in": list(ids)}}, fields).to_list()

    async def count(self, collection: Collection, query: Mapping[str, Any], limit: int) -> int:
        """Count documents, but not beyond the limit."""
        with self._answering():
            return await self._collection(collection).count_documents(query, limit=limit)

    async def tallies(
        self,
        collection: Collection,
        query: Mapping[str, Any],
        wanted: Mapping[str, tuple[Mapping[str, Any], Mapping[str, str]]],
    ) -> dict[str, list[Document]]:
        """Count documents in several ways in one reading: of each, which of them, and by the values of which fields.

        Each comes as `{_id: {name: value}, count}`, the largest first.
        """
        ways = {
            way: [
                {"$match": dict(which)},
                {"$group": {"_id": {name: f"${path}" for name, path in fields.items()}, "count": {"$sum": 1}}},
                {"$sort": {"count": -1, "_id": 1}},
            ]
            for way, (which, fields) in wanted.items()
        }
        with self._answering():
            found = await (await self._collection(collection).aggregate([{"$match": dict(query)}, {"$facet": ways}])).to_list()
        return dict(found[0])

    async def backup(self, backup_id: str) -> Document | None:
        """Return a backup, as `row` does."""
        return await self.row(Collection.BACKUPS, backup_id)

    async def row(self, collection: Collection, row_id: str) -> Document | None:
        """Return a backup or a restore by its id or by one that it had before; a listed one before one that is not."""
        query = {"$or": [{"_id": row_id}, {"aliases": row_id}]}
        found = await self.find(collection, query, [("listed", -1), ("_id", 1)], 1)
        return found[0] if found else None

    async def rows(self, collection: Collection, ids: Sequence[str]) -> dict[str, Document]:
        """Return rows by the ids that were asked for, as `row` does, without their details."""
        wanted = list(ids)
        query = {"$or": [{"_id": {"$in": wanted}}, {"aliases": {"$in": wanted}}]}
        found = await self.find(collection, query, [("listed", -1), ("_id", 1)], 2 * len(wanted), ROW_FIELDS)
        by_id: dict[str, Document] = {}
        for document in found:
            for known in (document["_id"], *(document.get("aliases") or ())):
                by_id.setdefault(known, document)
        return {name: by_id[name] for name in wanted if name in by_id}

    async def captured(self, cluster: str, uid: str, artifact: str) -> list[Document]:
        """Return the parts of a text that was kept, without what is in them."""
        prefix = capture_id(cluster, uid, artifact)
        query = {"_id": {"$gt": prefix, "$lt": f"{prefix.removesuffix('/')}0"}}  # 0 comes right after /
        return await self.find(Collection.CAPTURES, query, [("_id", 1)], 1000, ("part", "parts", "cut", "at"))

    async def captured_part(self, part_id: str) -> bytes | None:
        """Return what is in one part; None if it has gone meanwhile."""
        with self._answering():
            found = await self._collection(Collection.CAPTURES).find_one({"_id": part_id}, ["data"])
        data = (found or {}).get("data")
        return data if isinstance(data, bytes) else None

    async def transitions(self, row_id: str) -> list[Document]:
        """Return every change of the phase and the status of a backup or a restore, the oldest first.

        Phases that were heard of within one millisecond are in the order in which the cluster wrote them.
        """
        return await self.find(Collection.TRANSITIONS, {"backupId": row_id}, [("at", 1), ("rv", 1), ("_id", 1)], 1000)

    async def operation(self, operation_id: str) -> Document | None:
        """Return an operation."""
        with self._answering():
            return await self._collection(Collection.OPERATIONS).find_one({"_id": operation_id})

    async def cluster_state(self, cluster: str, *inventory: str) -> Document | None:
        """Return what a cluster reports, and of its inventory (which may be large) the parts asked for."""
        with self._answering():
            return await self._collection(Collection.CLUSTER_STATE).find_one(
                {"_id": cluster}, ["item", "inventoryAt", *inventory]
            )

    async def cluster_states(self) -> list[Document]:
        """Return what every cluster reports, without inventories."""
        with self._answering():
            return await self._collection(Collection.CLUSTER_STATE).find({}, ["item"]).to_list()

    async def last_seen(self) -> list[Document]:
        """Return when every cluster was last seen."""
        with self._answering():
            return await self._collection(Collection.CLUSTER_STATE).find({}, ["item.lastSeenAt"]).to_list()

    # ------------------------------------------------------------------ registrations (this service is their only writer)

    async def registrations(self) -> list[Document]:
        """Return every registered cluster."""
        with self._answering():
            return await self._collection(Collection.CLUSTERS).find({}).to_list()

    async def registration(self, cluster: str) -> Document | None:
        """Return one registered cluster."""
        with self._answering():
            return await self._collection(Collection.CLUSTERS).find_one({"_id": cluster})

    async def register(self, document: Document) -> bool:
        """Store a registration; False if there is one of that id."""
        with self._answering():
            try:
                await self._collection(Collection.CLUSTERS).insert_one(document)
            except DuplicateKeyError:
                return False
            return True

    async def change(self, cluster: str, version: int, fields: Document) -> bool:
        """Change a registration that still has that version, and raise it; False if it has not."""
        with self._answering():
            result = await self._collection(Collection.CLUSTERS).update_one(
                {"_id": cluster, "version": version}, {"$set": {**fields, "version": version + 1}}
            )
            return result.matched_count == 1

    async def forget(self, cluster: str, version: int) -> bool:
        """Remove a registration that still has that version; False if it has not."""
        with self._answering():
            result = await self._collection(Collection.CLUSTERS).delete_one({"_id": cluster, "version": version})
            return result.deleted_count == 1

    # ------------------------------------------------------------------ schedules (this service is their only writer)

    async def insert(self, collection: Collection, document: Document) -> bool:
        """Store a document; False if there is one of that id, or of what else is unique."""
        with self._answering():
            if collection not in self._indexed:
                for keys, options in INDEXES[collection]:
                    await self._collection(collection).create_index([(key, ASCENDING) for key in keys], **options)
                self._indexed.add(collection)
            try:
                await self._collection(collection).insert_one(document)
            except DuplicateKeyError:
                return False
            return True

    async def replace(self, collection: Collection, document: Document, version: int) -> bool:
        """Give a document that still has that version other values; False if it has not."""
        fields = {name: value for name, value in document.items() if name != "_id"}
        with self._answering():
            query = {"_id": document["_id"], "version": version}
            return (await self._collection(collection).update_one(query, {"$set": fields})).matched_count == 1

    async def remove(self, collection: Collection, document_id: str, version: int) -> bool:
        """Remove a document that still has that version; False if it has not."""
        with self._answering():
            found = await self._collection(collection).delete_one({"_id": document_id, "version": version})
            return found.deleted_count == 1


@contextlib.asynccontextmanager
async def opened(settings: MongoSettings) -> AsyncIterator[Store]:
    """Open the database; returns at once, also while it is away."""
    async with opened_database(settings, "leeward-gateway") as database:
        yield Store(database)
