"""The scheduler, put together: of any number of processes the one that holds the lease turns time into commands."""

import asyncio
from collections.abc import Callable

from services.scheduler.leading import Lead
from services.scheduler.ports import Ports, Speaks
from services.scheduler.settings import Settings
from services.scheduler.store import opened
from services.scheduler.triggers import SOURCE
from shared.awaiting import until_indexed, watch
from shared.messaging.connection import NATS, Connection, connect
from shared.messaging.hints import hints
from shared.messaging.lease import Lease
from shared.messaging.publisher import Publisher
from shared.runtime.http import health_app, serving
from shared.runtime.process import Runtime, run
from shared.runtime.settings import load
from shared.store import MONGODB

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
        await until_indexed(store.ensure, database, settings.ping_interval)
        ports = Ports(store, publisher(connection), runtime.clock)
        lease = Lease(connection, _KEY, runtime.instance, settings.lease_ttl, dependency=nats)

        async def lead() -> None:
            await Lead(ports, settings, lambda: hints(connection, besides=SOURCE), database, nats).work()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(lease.work(lead))
            # Who does not hold the lease asks nothing else of it.
            tasks.create_task(watch(store.ping, database, settings.ping_interval))
            await connection.until_lost()


if __name__ == "__main__":
    settings = load(Settings)
    run("scheduler", settings, lambda runtime: main(runtime, settings))
