"""Heeding hints: whoever has changed something about a schedule says so, and its row is computed again at once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import structlog

from services.status.fold import apart, refresh
from services.status.ports import Ports
from shared.contracts.names import Noun
from shared.messaging.connection import Connection
from shared.messaging.hints import hints
from shared.messaging.outcomes import Unavailable
from shared.runtime import logging
from shared.runtime.stopping import unless_cancelled

log = structlog.get_logger(__name__)

_AT_A_TIME: Final = 32
_MOST: Final = 100_000
_PAUSE: Final = 1.0


async def heed_forever(ports: Ports, connection: Connection) -> None:
    """Heed hints until cancelled. What fails, or is missed, the rescan finds."""
    while True:
        unless_cancelled()
        try:
            await heed(ports, hints(connection))
        except* Exception:  # nobody may rest on hints, so nothing rests on this
            log.exception("hints failed")
        await asyncio.sleep(_PAUSE)


async def heed(ports: Ports, heard: AsyncIterator[str]) -> None:
    """Compute the row of each schedule that is named, until no more is heard; one named often in a while is computed once."""
    waiting: asyncio.Queue[str | None] = asyncio.Queue()
    queued: set[str] = set()

    async def work() -> None:
        while (schedule := await waiting.get()) is not None:
            queued.discard(schedule)
            try:
                await apart(Noun.SCHEDULE, schedule, refresh(ports, Noun.SCHEDULE, schedule))
            except Unavailable as missing:
                log.info("hint not heeded", **{logging.DEPENDENCY: missing.dependency, logging.REASON: missing.reason})
            unless_cancelled()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_AT_A_TIME):
            tasks.create_task(work())
        async for schedule in heard:
            if schedule not in queued and len(queued) < _MOST:
                queued.add(schedule)
                waiting.put_nowait(schedule)
        for _ in range(_AT_A_TIME):
            waiting.put_nowait(None)
