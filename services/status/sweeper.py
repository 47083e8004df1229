"""Time: what moves when no message comes. Expirations, deadlines, silences, and announcements that a crash left behind."""

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from services.status.announcer import announce
from services.status.fold import apart, refresh
from services.status.judging import Judge
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
            await apart(noun, row["_id"], announce(ports, noun, row))
        for row_id in await ports.memory.due(noun, now, _BATCH):
            await apart(noun, row_id, refresh(ports, noun, row_id))


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


async def judge_forever(ports: Ports, interval: timedelta) -> None:
    """Look at that interval whose backups are, until cancelled; apart from the sweep, because a first look may take long."""
    judge = Judge()
    while True:
        unless_cancelled()
        try:
            await judge.look(ports)
        except Unavailable as missing:  # the sweep tells readiness
            log.info("judging waits", **{logging.DEPENDENCY: missing.dependency, logging.REASON: missing.reason})
        except Exception:
            log.exception("judging failed")
        await asyncio.sleep(interval.total_seconds())
