"""Time: what moves when no message comes. Expirations, deadlines, silences, and announcements that a crash left behind."""

import asyncio
from datetime import timedelta
from typing import Final, Protocol

import structlog

from services.status.fold import apart, proclaim, refresh_all
from services.status.ports import Ports
from services.status.rows import COLLECTIONS
from shared.messaging.outcomes import Unavailable
from shared.runtime import logging
from shared.runtime.health import Dependency
from shared.runtime.stopping import unless_cancelled

log = structlog.get_logger(__name__)

_LEFT_BEHIND: Final = timedelta(seconds=1)  # younger ones are being announced by whoever made the change
_BATCH: Final = 500


async def sweep(ports: Ports) -> None:
    """Announce what was left behind, and compute again every row whose time has come.

    Any number of services may do this at once: they meet in revisions and in message ids.

    Raises Unavailable when the database or the broker does not answer.
    """
    now = ports.clock()
    for noun in COLLECTIONS:
        for row in await ports.memory.unannounced(noun, now - _LEFT_BEHIND, _BATCH):
            await apart(noun, row["_id"], proclaim(ports, noun, row))
        await refresh_all(ports, noun, await ports.memory.due(noun, now, _BATCH))


async def sweep_forever(ports: Ports, interval: timedelta, database: Dependency, nats: Dependency) -> None:
    """Sweep at that interval until cancelled.

    A gap in our own listening (NATS or the database away, a process that slept) starts the patience with others anew: what
    they said meanwhile is still on its way to us. Nothing ends this but being cancelled: time must not stand still.
    """
    last = ports.clock()
    while True:
        unless_cancelled()
        now = ports.clock()
        if nats.problem or database.problem or now - last > ports.limits.offline_after / 2:
            ports.listening.since = now
        last = now
        try:
            await sweep(ports)
            database.answers()
        except Unavailable as missing:
            if missing.dependency == database.name:  # of NATS, its own connection knows best
                database.missing(missing.reason)
            log.warning("sweep waits", **{logging.DEPENDENCY: missing.dependency, logging.REASON: missing.reason})
        except Exception as error:
            database.missing(f"sweep failed: {type(error).__name__}")
            log.exception("sweep failed")
        await asyncio.sleep(interval.total_seconds())


class Looks(Protocol):
    """Something that looks whether rows are as they should be."""

    async def look(self, ports: Ports) -> None:
        """Compute again those that are not. Raises Unavailable when something does not answer."""


async def look_forever(looker: Looks, ports: Ports, interval: timedelta) -> None:
    """Have it look at that interval until cancelled; apart from the sweep, because a first look may take long."""
    which = {logging.KIND: type(looker).__name__}
    while True:
        unless_cancelled()
        try:
            await looker.look(ports)
        except Unavailable as missing:  # the sweep tells readiness
            log.info("look waits", **which, **{logging.DEPENDENCY: missing.dependency, logging.REASON: missing.reason})
        except Exception:
            log.exception("look failed", **which)
        await asyncio.sleep(interval.total_seconds())
