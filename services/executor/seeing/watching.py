"""Seeing everything that happens to a kind in a cluster, in three layers: endless → list and watch → one stream.

No event is trusted to arrive: every list is followed by a snapshot of what exists, and a stream that breaks, expires or has
run for too long leads to a new list.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from services.executor.kube import GoneError, Kind, Kube, KubeError, Listed, Object
from services.executor.seeing.observations import version_of
from shared.messaging.outcomes import Unavailable
from shared.runtime import logging
from shared.runtime.pacing import jittered
from shared.runtime.stopping import unless_cancelled

log = structlog.get_logger(__name__)

BOOKMARK = "BOOKMARK"
_AT_LEAST = 1.0
"""Seconds that a list with its watch, and a stream, take at least: one that ends at once is not begun again without pause."""
_BACKOFF = (0.2, 0.5, 1, 2, 5, 10)


class Sees(Protocol):
    """Who is told what a watch sees."""

    async def listed(self, listed: Listed, epoch: int) -> None:
        """Everything that exists, at one version of one epoch."""

    async def changed(self, obj: Object, *, deleted: bool) -> None:
        """One object as it is now, or as it last was."""

    async def passed(self, resource_version: int) -> None:
        """Nothing of this kind happened up to that version."""


@dataclass(frozen=True, slots=True)
class Several:
    """Tells several what a watch sees, one after the other."""

    told: Sequence[Sees]

    async def listed(self, listed: Listed, epoch: int) -> None:
        """See Sees."""
        for each in self.told:
            await each.listed(listed, epoch)

    async def changed(self, obj: Object, *, deleted: bool) -> None:
        """See Sees."""
        for each in self.told:
            await each.changed(obj, deleted=deleted)

    async def passed(self, resource_version: int) -> None:
        """See Sees."""
        for each in self.told:
            await each.passed(resource_version)


Lists = Callable[[], Awaitable[tuple[Listed, int]]]


async def endless(cluster: str, kind: Kind, once: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Outer layer: begin again whenever `once` ends, ever more slowly while it fails, and never in a hurry."""
    failures = 0
    while True:
        unless_cancelled()
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            await once()
            failures = 0
            await asyncio.sleep(max(0.0, begun + _AT_LEAST - loop.time()))
        except (Unavailable, KubeError) as error:
            failures = 0 if loop.time() - begun > _BACKOFF[-1] else failures
            wait = jittered(_BACKOFF[min(failures, len(_BACKOFF) - 1)])
            failures += 1
            facts = {logging.CLUSTER: cluster, logging.KIND: kind.plural, logging.REASON: str(error)}
            log.warning("watch broken", **facts, seconds=round(wait, 1))
            await asyncio.sleep(wait)


async def list_and_watch(kube: Kube, kind: Kind, lists: Lists, sees: Sees, *, inactivity: float, relist: float) -> None:
    """Middle layer: list, then follow from the list's version; returns when it is time to list again.

    Raises Unavailable or KubeError when the API server does not answer or refuses.
    """
    listed, epoch = await lists()
    await sees.listed(listed, epoch)
    version = listed.resource_version
    loop = asyncio.get_running_loop()
    until = loop.time() + relist
    while (left := until - loop.time()) > 0:
        begun = loop.time()
        try:  # inner layer: one HTTP stream, which the server ends every few minutes
            async with asyncio.timeout(left):
                async with contextlib.aclosing(kube.watch(kind, version, inactivity)) as changes:
                    async for change in changes:
                        version = max(version, version_of(change.object))
                        if change.type == BOOKMARK:
                            await sees.passed(version)
                        else:
                            await sees.changed(change.object, deleted=change.type == "DELETED")
                await asyncio.sleep(max(0.0, begun + _AT_LEAST - loop.time()))
        except TimeoutError:
            return
        except GoneError:
            return  # what happened in between is lost to the watch, not to the list
