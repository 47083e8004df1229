"""Living with a database that comes and goes: waiting until it has its indexes, and saying for ever whether it answers."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from shared.messaging.outcomes import Unavailable
from shared.runtime import logging
from shared.runtime.health import Dependency
from shared.runtime.stopping import unless_cancelled

log = structlog.get_logger(__name__)


async def until_indexed(ensure: Callable[[], Awaitable[None]], database: Dependency, seconds: float) -> None:
    """Have the indexes made, again and again at that distance until they are there."""
    while True:
        unless_cancelled()
        try:
            await ensure()
        except Unavailable as missing:
            database.missing(missing.reason)
            log.warning("dependency missing", **{logging.DEPENDENCY: database.name, logging.REASON: missing.reason})
        except Exception as error:
            database.missing(f"no indexes: {type(error).__name__}")
            log.exception("indexes failed")
        else:
            database.answers()
            return
        await asyncio.sleep(seconds)


async def watch(ping: Callable[[], Awaitable[None]], database: Dependency, seconds: float) -> None:
    """Look whether the database answers, for ever, whatever it answers."""
    while True:
        unless_cancelled()
        try:
            await ping()
        except Unavailable as away:
            database.missing(away.reason)
        except Exception as error:
            log.exception("database not looked at")
            database.missing(type(error).__name__)
        else:
            database.answers()
        await asyncio.sleep(seconds)
