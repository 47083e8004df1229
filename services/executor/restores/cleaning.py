"""Removing what was made to read another cluster's backup: copies that Velero brought, Secret and mirror; nothing else.

A mirror that other restores still read through is only left; whoever is the last to leave removes it. The mirror itself goes
last, so that as long as anything is there, it is found.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any

from services.executor.answering import if_there
from services.executor.backups.choices import NotYet
from services.executor.kube import (
    BACKUP_REPOSITORIES,
    BACKUPS,
    LOCATIONS,
    RESTORES,
    SECRETS,
    ConflictError,
    KubeError,
    NotFoundError,
    Object,
)
from services.executor.locations.judging import STORAGE, secrets_of
from services.executor.manifests import is_passing, location_of
from services.executor.ports import Ports
from services.executor.restores import mirrors
from services.executor.restores.judging import outcome_of
from shared.contracts.commands import RestoreCreate
from shared.contracts.envelope import Envelope

_SOON = 0.2


async def used(ports: Ports, command: Envelope[RestoreCreate]) -> list[Object]:
    """Return the mirrors through which a restore reads."""
    try:
        found = (await ports.kube.list(LOCATIONS)).items
    except NotFoundError:  # Velero has been removed, and its locations with it
        return []
    return [x for x in found if mirrors.is_mirror(x, ports.cluster) and mirrors.is_used(x, command)]


async def clean(ports: Ports, command: Envelope[RestoreCreate]) -> None:
    """Remove what was made for a restore.

    Raises NotYet while it goes on; KubeError as the API server does.
    """
    for location in await used(ports, command):
        await leave(ports, command, location)
    own = mirrors.mirror_name(command)
    if await if_there(ports.kube, LOCATIONS, own) is None:
        await _remove_copies(ports, own)
        if command.data.credential:
            await ports.kube.delete(SECRETS, STORAGE.secret(own))
    with contextlib.suppress(NotYet, KubeError):  # others' remains are not waited for
        await remove_orphans(ports, (await ports.kube.list(BACKUPS)).items)


async def leave(ports: Ports, command: Envelope[RestoreCreate], location: Object) -> None:
    """Cease to read through a mirror, and remove it if nobody else does.

    Raises NotYet while it goes on; KubeError as the API server does.
    """
    if mirrors.others(location, command):
        await _patch(ports, mirrors.name_of(location), mirrors.use(location, command, begin=False))
    else:
        await remove(ports, location)


async def remove(ports: Ports, location: Object) -> None:
    """Remove a mirror that nobody reads through, with all that came with it.

    Raises NotYet while it goes on, or somebody has begun to use it; KubeError as the API server does.
    """
    name = mirrors.name_of(location)
    if not mirrors.is_leaving(location):
        await _patch(ports, name, mirrors.leave(location))
    if await _remove_copies(ports, name):
        raise NotYet(f"copies of backups in {name} are going", after=_SOON)  # Velero may have brought one more
    await _remove_repositories(ports, name)
    for secret in secrets_of(location):
        await ports.kube.delete(SECRETS, secret)
    await ports.kube.delete(LOCATIONS, name)
    if await if_there(ports.kube, LOCATIONS, name) is not None:
        raise NotYet(f"storage location {name} is going", after=_SOON)
    await _remove_copies(ports, name)


async def remove_orphans(ports: Ports, backups: Iterable[Object]) -> None:
    """Remove those of these backups that were brought through a mirror that is gone: each hides the one that it is a copy of.

    Velero brings one more if it is just listing the bucket when the mirror goes, and never removes it.

    Raises NotYet for those that a restore reads; KubeError as the API server does.
    """
    for spot in sorted({location_of(each) for each in backups if is_passing(each)}):
        if await if_there(ports.kube, LOCATIONS, spot) is None:
            await _remove_copies(ports, spot)


async def _remove_repositories(ports: Ports, location: str) -> None:
    """Remove what Velero noted of the repositories behind a mirror, which it would look after for ever; the data stays."""
    with contextlib.suppress(KubeError):  # it may not be allowed, and does no harm
        for repository in (await ports.kube.list(BACKUP_REPOSITORIES, mirrors.copies_of(location))).items:
            await ports.kube.delete(BACKUP_REPOSITORIES, mirrors.name_of(repository))


async def _patch(ports: Ports, name: str, change: dict[str, Any]) -> None:
    try:
        await ports.kube.patch(LOCATIONS, name, change)
    except (ConflictError, NotFoundError) as error:
        raise NotYet(f"storage location {name} changed meanwhile", after=_SOON) from error


async def _remove_copies(ports: Ports, location: str) -> int:
    """Remove what Velero has brought through a mirror, unless a restore reads it; return how much there was."""
    found = (await ports.kube.list(BACKUPS, mirrors.copies_of(location))).items
    copies = [mirrors.name_of(x) for x in found if mirrors.is_copy(x, location)]
    if not copies:
        return 0
    running = (await ports.kube.list(RESTORES)).items
    read = {str((x.get("spec") or {}).get("backupName")): mirrors.name_of(x) for x in running if outcome_of(x) is None}
    if busy := sorted(name for name in copies if name in read):
        raise NotYet(f"restore {read[busy[0]]} still reads backup {busy[0]}")
    for name in copies:
        await ports.kube.delete(BACKUPS, name)
        await asyncio.sleep(0)
    return len(copies)
