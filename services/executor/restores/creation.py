"""`restore.create` of a backup that the cluster has: what the order is judged by, and the Restore that it becomes."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import ClassVar

import structlog

from services.executor.answering import if_there
from services.executor.backups.choices import Refused
from services.executor.kube import (
    BACKUPS,
    CONFIG_MAPS,
    LOCATIONS,
    RESTORES,
    AlreadyExistsError,
    KubeError,
    NotFoundError,
    Object,
)
from services.executor.manifests import ids_of, is_of, modifiers, modifiers_name, owned_by, restore
from services.executor.ports import Ports
from services.executor.restores.judging import (
    Around,
    Running,
    check_backup,
    check_location,
    judge,
    kinds_needed,
    modifier_of,
    outcome_of,
)
from shared.contracts.commands import RestoreCreate
from shared.contracts.envelope import Envelope
from shared.contracts.names import Noun
from shared.contracts.notices import Notice
from shared.contracts.refusals import Code, refusal
from shared.runtime import logging

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """The cluster as the order found it."""

    backup: Object | None
    locations: list[Object]
    around: Around


@dataclass(frozen=True, slots=True)
class Restoration:
    """The making of one Restore."""

    noun: ClassVar[Noun] = Noun.RESTORE
    ports: Ports
    command: Envelope[RestoreCreate]

    async def find(self) -> Object | None:
        """See Task. Sees to it that its ConfigMap goes when it goes."""
        found = await if_there(self.ports.kube, RESTORES, self.command.data.name)
        if found is not None and not is_of(found, self.command):
            raise Refused(refusal(Code.RESTORE_NAME_TAKEN, cluster=self.ports.cluster, name=self.command.data.name))
        if found is not None:
            await self.tie(found)
        return found

    async def look(self) -> Seen:
        """See Task."""
        backup, locations, seen = await asyncio.gather(
            if_there(self.ports.kube, BACKUPS, self.command.data.source.name),
            self.ports.kube.list(LOCATIONS),
            around(self.ports, self.command),
        )
        return Seen(backup, locations.items, seen)

    def judge(self, seen: Seen) -> list[Notice]:
        """See Task."""
        source = self.command.data.source
        if seen.backup is None or ids_of(seen.backup, self.ports.cluster).isdisjoint((source.id, *source.ids)):
            raise Refused(refusal(Code.BACKUP_GONE, pointer="/backup", cluster=self.ports.cluster, name=source.name))
        check_backup(self.command.data, seen.backup, self.ports.clock())
        check_location(self.ports.cluster, seen.backup, seen.locations)
        return judge(self.command, seen.backup, seen.around)

    async def make(self, _seen: Seen) -> Object:
        """See Task."""
        return await self.create()

    async def create(self) -> Object:
        """Make the Restore, and before it the ConfigMap that it reads.

        Nobody sees whether Velero has heard of that: it is given a moment.
        Raises AlreadyExistsError when its name is taken, also by itself.
        """
        if self.command.data.modifiers:
            body = modifiers(self.command, self.ports.namespace)
            try:
                await self.ports.kube.create(CONFIG_MAPS, body)
            except AlreadyExistsError:
                await self.ports.kube.patch(CONFIG_MAPS, modifiers_name(self.command), {"data": body["data"]})
            await asyncio.sleep(self.ports.heard)
        made = await self.ports.kube.create(RESTORES, restore(self.command, self.ports.namespace))
        await self.tie(made)
        return made

    async def undo(self) -> None:
        """Remove the ConfigMap of a Restore that is not made."""
        if self.command.data.modifiers:
            with contextlib.suppress(KubeError):  # whoever may not remove it has hardly made it
                await self.ports.kube.delete(CONFIG_MAPS, modifiers_name(self.command))

    async def tie(self, made: Object) -> None:
        """See to it that the ConfigMap goes when the Restore goes; the API server may fail at it, which ends no restore."""
        if not self.command.data.modifiers:
            return
        try:
            await self.ports.kube.patch(CONFIG_MAPS, modifiers_name(self.command), owned_by(made))
        except NotFoundError:
            return  # somebody has removed it: Velero has read it, or says that it cannot
        except KubeError as error:
            log.warning("not tied", **{logging.OPERATION: self.command.operationid, logging.REASON: str(error)})


async def around(ports: Ports, command: Envelope[RestoreCreate]) -> Around:
    """Return what a restore is judged by beside its backup."""
    wanted = modifier_of(command)
    running, modifier, kinds = await asyncio.gather(
        _running(ports),
        if_there(ports.kube, CONFIG_MAPS, wanted) if wanted else _nothing(),
        ports.kinds.with_names(kinds_needed(command.data.spec)),
    )
    return Around(running, modifier, kinds, ports.velero())


async def _running(ports: Ports) -> list[Running]:
    """Return the restores that go on, each with its backup."""
    found = [x for x in (await ports.kube.list(RESTORES)).items if outcome_of(x) is None]
    names = [str((x.get("spec") or {}).get("backupName") or "") for x in found]
    known = {name: await if_there(ports.kube, BACKUPS, name) for name in dict.fromkeys(names) if name}
    return [Running(x, known.get(name)) for x, name in zip(found, names, strict=True)]


async def _nothing() -> None:
    return None
