"""Clusters whose Velero restores, for tests of the executor: what is in them, and what is asked of them."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from services.executor.manifests import ids_of
from shared.contracts.envelope import Envelope
from shared.runtime.clock import now
from simulator.controller_manager import furnish_namespace
from tests.integration.executor_harness import World
from tests.support.messages import restore_command, restore_delete_command
from tests.support.simulated_velero import Site
from tests.support.sites import furnished

ENDED = ("Completed", "PartiallyFailed", "Failed", "FailedValidation")


@contextlib.asynccontextmanager
async def restorable(world: World, name: str = "eu1", **more: Any) -> AsyncIterator[Site]:
    """A cluster with a backup `b` of its namespace shop, in which three ConfigMaps are."""
    async with furnished(world, name, **more) as site:
        site.store.create("deployments", {"metadata": {"name": "velero"}, "spec": {"replicas": 1}}, "velero")
        furnish_namespace(site.store, "shop")
        site.backup("b")
        await site.until("b", "Completed")
        yield site


def source(site: Site, backup: str = "b") -> dict[str, Any]:
    """The backup as a request names it."""
    found = site.get("backups", backup)
    first, *more = sorted(ids_of(found, site.cluster.name))
    return {"id": first, "ids": more, "name": backup, "startedAt": (found.get("status") or {}).get("startTimestamp")}


async def ask(world: World, operation: str, site: Site, backup: str = "b", **more: Any) -> Envelope[Any]:
    """Ask for a restore in the cluster of the backup."""
    more = {"cluster": site.cluster.name, "now": now(), **more}
    more["source"] = more.get("source") or source(site, backup)
    return await world.order(restore_command(operation, backup=backup, **more))


async def ask_to_delete(world: World, operation: str, restore: str, **more: Any) -> Envelope[Any]:
    return await world.order(restore_delete_command(operation, restore=restore, **{"now": now(), **more}))


def things(site: Site, namespace: str = "shop") -> dict[str, str]:
    """The ConfigMaps of a namespace that the site was filled with, and what each says."""
    found = site.store.list("configmaps", namespace)
    return {x["metadata"]["name"]: x["data"]["n"] for x in found if x["metadata"]["name"].startswith("thing-")}
