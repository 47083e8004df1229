"""`restore.delete`: the Restore goes by a plain deletion, and Velero removes its files before it lets it go.

It is told before it is done, so that a command that comes again when the restore has gone is not taken for one about another.
"""

import asyncio
from dataclasses import dataclass
from typing import ClassVar, Final

from services.executor.answering import Done, if_there, publish
from services.executor.backups.choices import NotYet, Refused
from services.executor.backups.requirements import silence
from services.executor.kube import BACKUPS, LOCATIONS, RESTORES, Object
from services.executor.manifests import location_of, restore_ids_of
from services.executor.ports import Ports
from services.executor.restores.judging import message_of, phase_of
from shared.contracts.commands import RestoreDelete
from shared.contracts.envelope import Envelope
from shared.contracts.events import Step
from shared.contracts.names import Noun
from shared.contracts.notices import Notice
from shared.contracts.refusals import Code, refusal

_SOON: Final = 0.3
_LATER: Final = 2.0


@dataclass(frozen=True, slots=True)
class Seen:
    """The restore that is meant, if it is there, and why Velero may not let it go."""

    restore: Object | None
    in_the_way: str


@dataclass(frozen=True, slots=True)
class RestoreDeletion:
    """The deletion of one Restore. It never makes an object: it is done when there is none."""

    noun: ClassVar[Noun] = Noun.RESTORE
    ports: Ports
    command: Envelope[RestoreDelete]

    async def find(self) -> Object | None:
        """See Task."""
        restore, begun = await asyncio.gather(
            self._restore(), self.ports.record.begun(self.ports.cluster, str(self.command.operationid))
        )
        if restore is None and begun:
            raise Done("the restore has gone")
        return None

    async def look(self) -> Seen:
        """See Task."""
        restore = await self._restore()
        going = restore is not None and _is_going(restore)
        return Seen(restore, await self._in_the_way(restore) if restore and going else "")

    def judge(self, seen: Seen) -> list[Notice]:
        """See Task."""
        name = self.command.data.name
        if seen.restore is None:
            raise Refused(refusal(Code.RESTORE_GONE, cluster=self.ports.cluster, name=name))
        if _is_going(seen.restore):
            late = refusal(Code.RESTORE_NOT_DELETED, name=name, message=seen.in_the_way)
            raise NotYet(f"Velero has not let restore {name} go yet", after=_LATER, instead=late)
        return list(silence(self.ports.cluster, self.ports.velero()))

    async def make(self, _seen: Seen) -> Object:
        """See Task."""
        name = self.command.data.name
        await publish(self.ports, self.command, "step", Step(step="Requested", detail=f"Restore {name}"))
        await self.ports.kube.delete(RESTORES, name)
        raise NotYet(f"restore {name} is going", after=_SOON)

    async def _restore(self) -> Object | None:
        order = self.command.data
        found = await if_there(self.ports.kube, RESTORES, order.name)
        meant = found is not None and not restore_ids_of(found, self.ports.cluster).isdisjoint((order.restore, *order.ids))
        return found if meant else None

    async def _in_the_way(self, restore: Object) -> str:
        """Return why Velero does not let a restore go: only where its storage can be reached are its files removed."""
        backup = await if_there(self.ports.kube, BACKUPS, str((restore.get("spec") or {}).get("backupName") or "-"))
        wanted = location_of(backup or {})
        location = await if_there(self.ports.kube, LOCATIONS, wanted) if wanted else None
        if location is not None and phase_of(location) != "Available":
            return f"{wanted} is {phase_of(location) or 'not validated'}: {message_of(location)}"
        problem = self.ports.velero().problem
        return f"Velero does not answer: {problem}" if problem else "Velero gives no reason"


def _is_going(restore: Object) -> bool:
    return bool((restore.get("metadata") or {}).get("deletionTimestamp"))
