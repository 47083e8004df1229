"""An executor's world with a simulated Velero and an object storage in it."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from simulator.cloud import Cloud
from simulator.velero import Settings
from tests.integration.executor_harness import RHYTHM, World
from tests.support.servers import free_port
from tests.support.simulated_velero import QUICK, Site
from tests.support.timing import PATIENT

WITH_VELERO = RHYTHM.model_copy(update={"velero_answers": PATIENT, "inactivity": 90.0})
"""The Velero of such a site answers, and its API server sends bookmarks as seldom as a real one."""


@contextlib.asynccontextmanager
async def furnished(world: World, name: str = "eu1", *, settings: Settings = QUICK, **more: Any) -> AsyncIterator[Site]:
    """A cluster whose Velero works, reachable for the executor of the world; with one namespace that holds something."""
    cloud = Cloud(port=free_port())
    cloud.make_bucket("velero")
    site = Site(cloud, name, settings=settings, namespaces=("shop", "cart"), **more)
    site.fill("shop", 3)
    async with cloud:
        await site.cluster.start()
        site.cluster.write_kubeconfig(world.directory / f"{name}.yaml")
        world.clusters[name] = site.cluster
        await site.start()
        try:
            yield site
        finally:
            await site.velero.stop()
