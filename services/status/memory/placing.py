"""Where backups lie and who writes there, read from MongoDB: part of the memory (see `store`)."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from services.status.clusters.replicas import PLACE_FIELDS, Estate, Place, place, sharing
from shared.contracts.documents import Collection
from shared.contracts.names import Noun
from shared.contracts.phases import ClusterStatus
from shared.store import Database, answering
from shared.together import Together


def among(keys: Sequence[str]) -> Any:
    """Return the condition that a value is one of these."""
    return keys[0] if len(keys) == 1 else {"$in": list(dict.fromkeys(keys))}


class Placing:
    """See Remembers. What is asked for at the same time is read together."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._owning = Together(self._estates_of)
        self._writing_there = Together(self._sharing)

    async def estate(self) -> Estate:
        """See Remembers."""
        return await self._estate({}, {})

    async def _estates_of(self, clusters: Sequence[str]) -> list[Estate]:
        these = among(clusters)
        return [await self._estate({"_id": these}, {"listed": True, "item.cluster": these})] * len(clusters)

    async def estate_of(self, cluster: str) -> Estate:
        """See Remembers."""
        return await self._owning(cluster)

    async def _estate(self, clusters: Mapping[str, Any], locations: Mapping[str, Any]) -> Estate:
        with answering():
            registered, places = await asyncio.gather(
                self.database[Collection.CLUSTERS].find(clusters, {"_id": 1}).to_list(),
                self.database[Collection.LOCATIONS].find(locations, {f"item.{name}": 1 for name in PLACE_FIELDS}).to_list(),
            )
        return Estate(frozenset(str(each["_id"]) for each in registered), frozenset(place(each["item"]) for each in places))

    async def sharing(self, cluster: str) -> Sequence[Place]:
        """See Remembers."""
        return await self._writing_there(cluster)

    async def _sharing(self, clusters: Sequence[str]) -> list[Sequence[Place]]:
        own = await self._writable({"item.cluster": among(clusters)})
        where = {(each.storage.bucket, each.storage.prefix) for each in own if each.storage}
        there = await self._writable({"$or": [_lies_in(*each) for each in sorted(where)]}) if where else []
        meeting = [sharing(cluster, there) for cluster in clusters]
        others = {each.cluster for places in meeting for each in places} - set(clusters)
        known = {*clusters, *(await self._alive(sorted(others)) if others else ())}
        return [
            sharing(cluster, [each for each in places if each.cluster in known])
            for cluster, places in zip(clusters, meeting, strict=True)
        ]

    async def _writable(self, which: Mapping[str, Any]) -> list[Place]:
        mode = {"listed": True, "item.accessMode": "ReadWrite", **which}
        with answering():
            found = self.database[Collection.LOCATIONS].find(mode, {f"item.{name}": 1 for name in PLACE_FIELDS})
            return [place(each["item"]) async for each in found]

    async def _alive(self, clusters: Sequence[str]) -> set[str]:
        """Return those of the clusters that are registered, or online."""
        online = {"_id": among(clusters), "item.status": ClusterStatus.ONLINE.value}
        with answering():
            found = await asyncio.gather(
                self.database[Collection.CLUSTERS].find({"_id": among(clusters)}, {"_id": 1}).to_list(),
                self.database[Collection.CLUSTER_STATE].find(online, {"_id": 1}).to_list(),
            )
        return {str(each["_id"]) for some in found for each in some}

    async def owners(self, cluster: str, location: str) -> set[str | None]:
        """See Remembers."""
        there = {"cluster": cluster, "noun": Noun.BACKUP, "location": location, "owner": {"$ne": cluster}}
        with answering():
            return set(await self.database[Collection.OBJECTS].distinct("owner", there))

    async def misjudged(self, cluster: str, location: str, owner: str | None, *, replica: bool) -> set[str]:
        """See Remembers."""
        there = {"cluster": cluster, "noun": Noun.BACKUP, "location": location, "owner": owner}
        with answering():
            found = set(await self.database[Collection.OBJECTS].distinct("identity", there))
            if not found:
                return found
            right = self.database[Collection.BACKUPS].find({"_id": {"$in": list(found)}, "item.replica": replica}, {"_id": 1})
            return found - {row["_id"] async for row in right}


def _lies_in(bucket: str, prefix: str) -> dict[str, Any]:
    """Return the condition that a location lies there, however its prefix is written."""
    ways = [f"{before}{prefix}{after}" for before in ("", "/") for after in ("", "/")] if prefix else [None, "", "/"]
    return {"item.bucket": bucket, "item.prefix": {"$in": ways}}
