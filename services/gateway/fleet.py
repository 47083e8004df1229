"""What events need to know of clusters beyond what is announced: what was registered, and when each was last seen.

Read again every few seconds, because another gateway may change it, and after every change made here.
"""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import structlog

from services.gateway import reading
from services.gateway.store import Document, Store
from services.gateway.waiting import Event, Feed
from shared.contracts.phases import ClusterStatus
from shared.contracts.views import ClusterItem, OperationItem
from shared.messaging.outcomes import Unavailable
from shared.runtime import logging

log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Fleet:
    """The registrations as they were last read. None = not read yet: events then pass as they were announced."""

    store: Store
    feed: Feed
    _registered: dict[str, Document] | None = None
    _seen: dict[str, datetime] = field(default_factory=dict)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def refresh(self) -> None:
        """Read everything again, and tell who listens of each cluster whose registration has changed.

        While the database is away nothing changes here: the next look finds what this one missed.
        """
        async with self._reading:  # so that a look begun before a change never ends after the one that follows it
            try:
                registered = {str(d["_id"]): d for d in await self.store.registrations()}
                self._seen = {str(d["_id"]): seen for d in await self.store.last_seen() if (seen := _last_seen(d)) is not None}
                known = registered if self._registered is None else self._registered
                changed = sorted(name for name in {*known, *registered} if known.get(name) != registered.get(name))
                events = [Event(None, "cluster", name, await self._reported(name)) for name in changed]
            except Unavailable as away:
                log.debug("registrations not read", **{logging.REASON: away.reason})
                return
            self._registered = registered
            for event in events:
                self.feed.tell(event)

    def knows(self, cluster: str) -> bool:
        """Tell whether a cluster was registered at the last look; what is not known here may be all the same."""
        return cluster in (self._registered or ())

    async def registration(self, cluster: str) -> Document | None:
        """Return what was registered of a cluster; while the database is away, as it was at the last look.

        Raises Unavailable when there was none by then: what somebody has said since must not be guessed at.
        """
        try:
            return await self.store.registration(cluster)
        except Unavailable:
            known = (self._registered or {}).get(cluster)
            if known is None:
                raise
            return known

    async def _reported(self, cluster: str) -> dict[str, Any]:
        """Return what a cluster reports, as it would be announced; one that neither reports nor is registered is gone."""
        state = await self.store.cluster_state(cluster)
        if state is not None:
            try:
                return reading.view(ClusterItem, state.get("item")).wire()
            except reading.UnreadableError as error:
                log.warning("record unreadable", **{logging.CLUSTER: cluster, logging.REASON: str(error)})
        return ClusterItem(id=cluster, status=ClusterStatus.NEVER_SEEN).wire()

    def shown(self, event: Event) -> Event:
        """Return an event with its item as the API shows it; one that cannot be read passes as it was announced.

        A cluster is joined with its registration, an operation told when its cluster was seen.
        """
        try:
            if event.noun == "cluster" and self._registered is not None:
                state = {"item": event.item}
                return replace(event, item=reading.cluster(event.cluster, self._registered.get(event.cluster), state).wire())
            if event.noun == "operation" and event.cluster in self._seen:
                item = reading.view(OperationItem, event.item)
                return replace(event, item=item.model_copy(update={"cluster_last_seen_at": self._seen[event.cluster]}).wire())
        except reading.UnreadableError as error:
            log.warning("event unreadable", **{logging.CLUSTER: event.cluster, logging.REASON: str(error)})
        return event


def _last_seen(document: Document) -> datetime | None:
    item = document.get("item")
    seen = item.get("lastSeenAt") if isinstance(item, dict) else None
    return seen if isinstance(seen, datetime) else None
