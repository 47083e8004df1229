"""The status service, put together: two consumers fold what was asked and what was seen into MongoDB; a sweep adds time."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from services.status.handlers import COMMAND_ROUTES, EVENT_ROUTES, command_key, event_key
from services.status.heeding import heed_forever
from services.status.judging import Judge
from services.status.memory.store import opened
from services.status.ports import Listening, Ports
from services.status.rescan import Rescan
from services.status.settings import Settings
from services.status.sweeper import look_forever, sweep_forever
from shared.awaiting import until_indexed
from shared.messaging.connection import NATS, Connection, connect
from shared.messaging.consumer import Consumer
from shared.messaging.publisher import Publisher, Publishes
from shared.messaging.topology import COMMANDS, EVENTS, STATUS_COMMANDS, STATUS_EVENTS
from shared.runtime.http import health_app, serving
from shared.runtime.process import Runtime, run
from shared.runtime.settings import load
from shared.runtime.stopping import unless_cancelled
from shared.store import MONGODB


async def main(runtime: Runtime, settings: Settings, *, publisher: Callable[[Connection], Publishes] = Publisher) -> None:
    """Work until cancelled."""
    clock, health = runtime.clock, runtime.health
    database, nats = health.depends_on(MONGODB), health.depends_on(NATS)
    name = f"leeward-{runtime.service}-{runtime.instance}"
    async with (
        serving(health_app(health), settings.http, grace=settings.grace),
        connect(settings.nats, name=name, dependency=nats) as connection,
        opened(settings.mongo) as store,
    ):
        await until_indexed(store.ensure, database, settings.sweep_interval)
        ports = Ports(store, publisher(connection), clock, settings.limits, Listening(since=clock()))
        events = Consumer(
            connection, EVENTS, STATUS_EVENTS, EVENT_ROUTES, ports, event_key, clock, health, patience=settings.patience
        )
        audit = Consumer(
            connection, COMMANDS, STATUS_COMMANDS, COMMAND_ROUTES, ports, command_key, clock, health, patience=settings.patience
        )
        unless_cancelled()  # pymongo rests on asyncio.wait_for, too
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(events.run())
            tasks.create_task(audit.run())
            interval = timedelta(seconds=settings.sweep_interval)
            tasks.create_task(sweep_forever(ports, interval, database, nats))
            tasks.create_task(look_forever(Judge(), ports, interval))
            tasks.create_task(look_forever(Rescan(), ports, interval))
            tasks.create_task(heed_forever(ports, connection))
            await connection.until_lost()


if __name__ == "__main__":
    settings = load(Settings)
    run("status", settings, lambda runtime: main(runtime, settings))
