"""The executor's composition root: one connection, one isolated executor per cluster."""

import asyncio

from services.executor.cluster import ClusterExecutor
from services.executor.settings import Settings
from shared.messaging.connection import NATS, connect
from shared.messaging.publisher import Publisher
from shared.runtime.http import health_app, serving
from shared.runtime.process import Runtime, run
from shared.runtime.settings import load


async def main(runtime: Runtime, settings: Settings) -> None:
    """Serve every cluster of the settings until cancelled."""
    nats = runtime.health.depends_on(NATS)
    async with (
        serving(health_app(runtime.health), settings.http),
        connect(settings.nats, name=runtime.instance, dependency=nats) as connection,
    ):
        publisher, memory = Publisher(connection), asyncio.Semaphore(settings.measuring.in_all)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(connection.until_lost())
            for cluster in settings.clusters:
                tasks.create_task(ClusterExecutor(cluster, settings, runtime, connection, publisher, memory).run())


if __name__ == "__main__":
    settings = load(Settings)
    run("executor", settings, lambda runtime: main(runtime, settings))
