"""Removing what restores from other clusters had to leave: mirrors that none needs any more, and copies without one."""

import asyncio

import structlog

from services.executor.backups.choices import NotYet
from services.executor.kube import BACKUPS, LOCATIONS, KubeError, Object
from services.executor.ports import Ports
from services.executor.restores import cleaning, mirrors
from shared.messaging.outcomes import Unavailable
from shared.runtime import logging
from shared.runtime.pacing import jittered
from shared.runtime.stopping import unless_cancelled

log = structlog.get_logger(__name__)

_AGAIN = 60.0
"""Seconds until the next try while something could not be removed."""


async def keep_swept(ports: Ports) -> None:
    """Sweep now, and again and again, by whoever holds the cluster's lease."""
    while True:
        unless_cancelled()
        try:
            clean = await sweep(ports)
        except (Unavailable, KubeError) as error:
            log.info("not swept", **{logging.CLUSTER: ports.cluster, logging.REASON: str(error)})
            clean = False
        unless_cancelled()
        await asyncio.sleep(jittered(ports.restoring.sweep if clean else min(_AGAIN, ports.restoring.sweep)))


async def sweep(ports: Ports) -> bool:
    """Remove mirrors all of whose restores have been answered, and copies whose mirror is gone; tell whether none is left.

    Raises Unavailable; KubeError when the API server does not say what there is.
    """
    clean = True
    for location in (await ports.kube.list(LOCATIONS)).items:
        if mirrors.is_mirror(location, ports.cluster) and await _is_over(ports, location):
            name = mirrors.name_of(location)
            facts = {logging.CLUSTER: ports.cluster, logging.OBJECT: name}
            try:
                await cleaning.remove(ports, location)
            except (NotYet, KubeError) as error:  # one that stays keeps no other
                log.warning("mirror not swept", **facts, **{logging.REASON: str(error)})
                clean = False
            else:
                log.info("mirror swept", **facts)
    try:
        await cleaning.remove_orphans(ports, (await ports.kube.list(BACKUPS)).items)
    except NotYet:
        return False
    return clean


async def _is_over(ports: Ports, location: Object) -> bool:
    """Tell whether every restore that reads through a mirror has been answered."""
    for operation in mirrors.users(location):
        said = await asyncio.gather(*(ports.record.said(ports.cluster, operation, verb) for verb in ("rejected", "finished")))
        if not any(said):
            return False
    return True
