"""The scheduler, put together: of any number of processes the one that holds the lease turns time into commands."""

import asyncio
from collections.abc import Callable

import structlog

from services.scheduler.leading import Lead
from services.scheduler.ports import Ports, Speaks
from services.scheduler.settings import Settings
from services.scheduler.store import Store, opened
from services.scheduler.triggers import SOURCE
from shared.messaging.connection import NATS, Connection, connect
from shared.messaging.hints import hints
from shared.messaging.lease import Lease
from shared.messaging.outcomes import Unavailable
from shared.messaging.publisher import Publisher
from shared.runtime import logging
from shared.runtime.health import Dependency
from shared.runtime.http import health_app, serving
from shared.runtime.process import Runtime, run
from shared.runtime.settings import load
from shared.runtime.stopping import unless_cancelled
from shared.store import MONGODB

log = structlog.get_logger(__name__)

_KEY = "scheduler"


async def main(runtime: Runtime, settings: Settings, *, publisher: Callable[[Connection], Speaks] = Publisher) -> None:
    """Work until cancelled."""
    health = runtime.health
    database, nats = health.depends_on(MONGODB), health.depends_on(NATS)
    name = f"leeward-{runtime.service}-{runtime.instance}"
    async with (
        serving(health_app(health), settings.http, grace=settings.grace),
        connect(settings.nats, name=name, dependency=nats) as connection,
        opened(settings.mongo) as store,
    ):
        await _ready(store, database, settings.ping_interval)
        ports = Ports(store, publisher(connection), runtime.clock)
        lease = Lease(connection, _KEY, runtime.instance, settings.lease_ttl, dependency=nats)

        async def lead() -> None:
            await Lead(ports, settings, lambda: hints(connection, besides=SOURCE), database, nats).work()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(lease.work(lead))
            tasks.create_task(_watch(store, database, settings.ping_interval))
            await connection.until_lost()


async def _ready(store: Store, database: Dependency, interval: float) -> None:
    """Wait for the database, and make its indexes."""
    while True:
        unless_cancelled()
        try:
            await store.ensure()
        except Unavailable as missing:
            database.missing(missing.reason)
            log.warning("dependency missing", **{logging.DEPENDENCY: MONGODB, logging.REASON: missing.reason})
        except Exception as error:
            database.missing(f"no indexes: {type(error).__name__}")
            log.exception("indexes failed")
        else:
            database.answers()
            return
        await asyncio.sleep(interval)


async def _watch(store: Store, database: Dependency, interval: float) -> None:
    """Ask the database whether it is there, for ever: who does not hold the lease asks nothing else of it."""
    while True:
        unless_cancelled()
        try:
            await store.ping()
        except Unavailable as missing:
            database.missing(missing.reason)
        except Exception as error:
            log.exception("database not looked at")
            database.missing(type(error).__name__)
        else:
            database.answers()
        await asyncio.sleep(interval)


if __name__ == "__main__":
    settings = load(Settings)
    run("scheduler", settings, lambda runtime: main(runtime, settings))
