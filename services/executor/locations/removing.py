"""`location.delete` and `snapshotlocation.delete`: a location removed, and the Secrets that Leeward made for it.

That it was begun is told with the uid, so that a command that comes again removes no other of that name; and with the Secrets,
which nothing else names once the location has gone.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from services.executor.answering import Done, if_there, publish
from services.executor.backups.choices import NotYet
from services.executor.kube import Kind, Object
from services.executor.locations import judging, secrets
from services.executor.locations.judging import Sort
from services.executor.locations.locating import KINDS
from services.executor.ports import Ports
from services.executor.seeing.observations import uid_of
from shared.contracts.commands import LocationDelete, SnapshotLocationDelete
from shared.contracts.envelope import Envelope
from shared.contracts.events import Step
from shared.contracts.names import Noun
from shared.contracts.notices import Notice
from shared.contracts.refusals import Code, refusal

_WITH: Final = ", with Secret "
_AND: Final = ", "


@dataclass(frozen=True, slots=True)
class Removal:
    """The removal of one location. It makes nothing: it is done when the location has gone."""

    sort: Sort
    ports: Ports
    command: Envelope[LocationDelete] | Envelope[SnapshotLocationDelete]

    @property
    def noun(self) -> Noun:
        """See Task."""
        return self.sort.noun

    async def find(self) -> Object | None:
        """See Task."""
        live, begun = await asyncio.gather(
            self._live(), self.ports.record.begun(self.ports.cluster, str(self.command.operationid))
        )
        if begun and not (live and begun.data.detail.startswith(self._told(live))):
            raise await self._done(begun.data.detail.partition(_WITH)[2].split(_AND))
        return None

    async def look(self) -> Object | None:
        """See Task."""
        return await self._live()

    def judge(self, seen: Object | None) -> list[Notice]:
        """See Task."""
        name = self.command.data.name
        if seen is not None and seen["metadata"].get("deletionTimestamp"):
            late = refusal(Code.LOCATION_NOT_DELETED, cluster=self.ports.cluster, kind=self.sort.words, name=name)
            raise NotYet(f"the cluster has not removed {self.sort.words} {name} yet", instead=late)
        judging.check_expected(self.sort, self.command, seen)
        return []

    async def make(self, seen: Object | None) -> Object:
        """See Task. Never returns: raises Done, or NotYet while the cluster keeps the location."""
        live = seen or {}
        held = judging.secrets_of(live)
        told = f"{self._told(live)}{_WITH}{_AND.join(held)}" if held else self._told(live)
        await publish(self.ports, self.command, "step", Step(step="Requested", detail=told))
        await self.ports.kube.delete(self._kind, self.command.data.name)
        left = await self._live()
        if left is not None and uid_of(left) == uid_of(live):
            raise NotYet(f"the cluster has not removed {self.sort.words} {self.command.data.name} yet", after=0.5)
        raise await self._done(held)

    async def _done(self, held: list[str]) -> Done:
        """Return that it has gone; with it go its Secrets, but for one that serves another location, too."""
        await secrets.discard(self.ports.kube, filter(None, held))
        return Done(f"{self.sort.words} {self.command.data.name} has gone")

    async def _live(self) -> Object | None:
        return await if_there(self.ports.kube, self._kind, self.command.data.name)

    def _told(self, live: Object) -> str:
        return f"{self.sort.kind} {self.command.data.name} ({uid_of(live)})"

    @property
    def _kind(self) -> Kind:
        return KINDS[self.sort.noun]
