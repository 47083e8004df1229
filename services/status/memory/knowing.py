"""What schedules are computed from, read from MongoDB: part of the memory (see `store`)."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from services.status.ports import Document, Maker
from services.status.schedules.grounds import LOCATION_FIELDS, SELECTORS, STATE_FIELDS, Ground, ground
from services.status.schedules.projection import Decided, Made
from services.status.schedules.validity import Namespaces
from shared.contracts.documents import Collection, from_document
from shared.contracts.schedules import Decision
from shared.contracts.views import BackupRef
from shared.store import Database, answering
from shared.together import Together

_OURS: Final = {"listed": True, "item.managedBy": "Leeward"}
_PAGE: Final = 1000
_SHOWN: Final = {"$ifNull": ["$item.namespace", False]}
"""Of a backup: whether its cluster has shown it. One that is only asked for has no namespace."""


class Knowing:
    """See Remembers. What is asked for at the same time is read together."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._wanted = Together(self._schedules)
        self._standing = Together(self._grounds_of)
        self._spaces = Together(self._namespaces)

    async def schedule(self, schedule_id: str) -> Document | None:
        """See Remembers."""
        return await self._wanted(schedule_id)

    async def _schedules(self, schedule_ids: Sequence[str]) -> list[Document | None]:
        with answering():
            wanted = self.database[Collection.SCHEDULES].find({"_id": {"$in": list(schedule_ids)}})
            found = {each["_id"]: each async for each in wanted}
        return [found.get(each) for each in schedule_ids]

    async def ground(self, cluster: str) -> Ground:
        """See Remembers."""
        return await self._standing(cluster)

    async def _grounds_of(self, clusters: Sequence[str]) -> list[Ground]:
        among = {"$in": list(dict.fromkeys(clusters))}
        found = await self._grounds({"_id": among}, {"listed": True, "item.cluster": among})
        return [found.get(cluster) or Ground() for cluster in clusters]

    async def grounds(self) -> Mapping[str, Ground]:
        """See Remembers."""
        return await self._grounds({}, {"listed": True})

    async def _grounds(self, clusters: Mapping[str, Any], locations: Mapping[str, Any]) -> dict[str, Ground]:
        db, fields = self.database, [f"item.{name}" for name in LOCATION_FIELDS]
        with answering():
            registered, states, places = await asyncio.gather(
                db[Collection.CLUSTERS].find(clusters, dict.fromkeys(SELECTORS, 1)).to_list(),
                db[Collection.CLUSTER_STATE].find(clusters, dict.fromkeys(STATE_FIELDS, 1)).to_list(),
                db[Collection.LOCATIONS].find(locations, dict.fromkeys(fields, 1)).to_list(),
            )
        registrations, reported = ({each["_id"]: each for each in found} for found in (registered, states))
        within: dict[str, list[Document]] = {}
        for each in places:
            within.setdefault(each["item"]["cluster"], []).append(each["item"])
        names = registrations.keys() | reported.keys() | within.keys()
        return {n: ground(registrations.get(n), reported.get(n), within.get(n, [])) for n in names}

    async def namespaces(self, cluster: str) -> Namespaces | None:
        """See Remembers."""
        return await self._spaces(cluster)

    async def _namespaces(self, clusters: Sequence[str]) -> list[Namespaces | None]:
        with answering():
            states = self.database[Collection.CLUSTER_STATE].find(
                {"_id": {"$in": list(dict.fromkeys(clusters))}}, {"namespaces": 1, "inventory.truncated": 1}
            )
            known = {state["_id"]: _complete(state) async for state in states}
        return [known.get(cluster) for cluster in clusters]

    async def made(self, maker: Maker) -> Made:
        """See Remembers."""
        # In its own cluster: copies in others may count as theirs, when nobody owns the bucket any more.
        mine: dict[str, Any] = {"item.schedule.id": maker.id, "item.cluster": maker.cluster, "item.replica": False}
        mine["item.schedule.name"] = {"$exists": True} if maker.id else maker.name
        group = {
            "_id": "$item.outcome",
            "count": {"$sum": 1},
            "shown": {"$max": {"$cond": [_SHOWN, 1, 0]}},
            "lastAt": {"$max": {"$cond": [_SHOWN, "$item.createdAt", None]}},
        }
        backups = self.database[Collection.BACKUPS]
        with answering():
            counted = await (await backups.aggregate([{"$match": mine}, {"$group": group}])).to_list()
            last = counted and await backups.find_one(
                {"listed": True, **mine},
                {"item.id": 1, "item.name": 1, "item.status": 1},
                sort=[("item.createdAt", -1), ("_id", -1)],
            )
        return Made(
            any=any(each["shown"] for each in counted),
            last_at=max((each["lastAt"] for each in counted if each["lastAt"]), default=None),
            last=BackupRef.read(last["item"]) if last else None,
            outcomes={each["_id"]: each["count"] for each in counted if each["_id"]},
        )

    async def decided(self, schedule_id: str) -> Decided:
        """See Remembers."""
        idle = {"schedule": schedule_id, "decision": {"$in": [Decision.MISSED.value, Decision.SKIPPED.value]}}
        group = {"_id": {"skip": "$skip", "of": "$decision"}, "count": {"$sum": "$count"}, "to": {"$max": "$to"}}
        with answering():
            found = await (await self.database[Collection.TICKS].aggregate([{"$match": idle}, {"$group": group}])).to_list()
        skipped = [each for each in found if each["_id"]["of"] == Decision.SKIPPED]
        return Decided(
            missed=sum(each["count"] for each in found if each["_id"]["of"] == Decision.MISSED),
            skipped=sum(each["count"] for each in skipped),
            last_skipped_at=max((each["to"] for each in skipped), default=None),
            obeyed={skip: each["count"] for each in skipped if (skip := each["_id"].get("skip"))},
        )

    # ------------------------------------------------------------ what rows are behind

    async def schedule_clusters(self) -> set[str]:
        """See Remembers."""
        with answering():
            return set(await self.database[Collection.SCHEDULE_STATUS].distinct("item.cluster", {"listed": True}))

    async def misplaced(self, cluster: str, standing: Ground) -> set[str]:
        """See Remembers."""
        other = [{"ground": {"$ne": standing.fingerprint}}, {"namespaces": {"$nin": [None, standing.spaces]}}]
        return await self._rows({"listed": True, "item.cluster": cluster, "$or": other})

    async def outdated(self, since: datetime) -> set[str]:
        """See Remembers."""
        with answering():
            changed = self.database[Collection.SCHEDULES].find({"changedAt": {"$gte": since}}, {"_id": 1})
            found = [each["_id"] async for each in changed]
        found += await self._rows({"listed": True, "item.deleting.at": {"$exists": True}})
        parts = [found[first : first + _PAGE] for first in range(0, len(found), _PAGE)]
        return {each for part in parts for each in await self._differing({"$in": part})}

    async def walk(self, after: str) -> tuple[set[str], str]:
        """See Remembers."""
        with answering():
            page = self.database[Collection.SCHEDULES].find({"_id": {"$gt": after}}, {"_id": 1}, sort=[("_id", 1)], limit=_PAGE)
            wanted = [each["_id"] async for each in page]
        last = wanted[-1] if len(wanted) == _PAGE else ""
        return await self._differing({"$gt": after, **({"$lte": last} if last else {})}), last

    async def _differing(self, ids: Mapping[str, Any]) -> set[str]:
        """Return the schedules of which the row says another version than is wanted, or of which there is only one of both."""
        with answering():
            wanted, shown = [
                {
                    each["_id"]: each.get("version")
                    async for each in self.database[name].find({"_id": ids, **which}, {"version": 1})
                }
                for name, which in ((Collection.SCHEDULES, {}), (Collection.SCHEDULE_STATUS, _OURS))
            ]
        return {each for each in wanted.keys() | shown.keys() if wanted.get(each) != shown.get(each)}

    async def _rows(self, which: Mapping[str, Any]) -> set[str]:
        with answering():
            return {row["_id"] async for row in self.database[Collection.SCHEDULE_STATUS].find(which, {"_id": 1})}


def _complete(state: Document) -> Namespaces | None:
    """Return the namespaces of a cluster if it has told all of them."""
    told, held = state.get("namespaces"), state.get("inventory") or {}
    if told is None or held.get("truncated") is not False:
        return None
    return {each["name"]: each.get("labels") or {} for each in from_document(told)}
