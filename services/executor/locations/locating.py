"""`location.apply` and `snapshotlocation.apply`: a location made, or changed into what was asked for, with its credential.

The Secret comes first, under a name of its own, and Velero has a moment to hear of it; a change turns to it in one write. Only
then goes what the location is to replace: its former Secret, and that another one was the default. It notes the former Secret
until that has gone, so that whoever comes after a process that ended knows of it.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Final

import structlog

from services.executor.answering import end, if_there
from services.executor.backups.choices import NotYet, Refused
from services.executor.backups.requirements import silence
from services.executor.kube import (
    LOCATIONS,
    SNAPSHOT_LOCATIONS,
    ConflictError,
    Kind,
    KubeError,
    NotFoundError,
    Object,
)
from services.executor.locations import judging, secrets
from services.executor.locations.judging import Sort
from services.executor.manifests import is_of
from services.executor.ports import Ports
from shared.contracts.commands import LocationApply, SnapshotLocationApply
from shared.contracts.envelope import Envelope
from shared.contracts.names import Noun
from shared.contracts.notices import Notice
from shared.contracts.refusals import Code, refusal
from shared.runtime import logging

log = structlog.get_logger(__name__)

KINDS: Final[dict[Noun, Kind]] = {Noun.LOCATION: LOCATIONS, Noun.SNAPSHOT_LOCATION: SNAPSHOT_LOCATIONS}


@dataclass(frozen=True, slots=True)
class Seen:
    """The locations of the sort, the one that is meant, if it is there, and the credential, opened."""

    listed: list[Object]
    live: Object | None
    text: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Application:
    """The making, or changing, of one location."""

    sort: Sort
    ports: Ports
    command: Envelope[LocationApply] | Envelope[SnapshotLocationApply]

    @property
    def noun(self) -> Noun:
        """See Task."""
        return self.sort.noun

    async def find(self) -> Object | None:
        """See Task. Sees to it that what it replaces goes."""
        order = self.command.data
        found = await if_there(self.ports.kube, self._kind, order.name)
        if found is None:
            return None
        if is_of(found, self.command):
            return await self._settled(found)
        if order.expected is None:
            raise Refused(refusal(Code.LOCATION_TAKEN, cluster=self.ports.cluster, kind=self.sort.words, name=order.name))
        return None

    async def look(self) -> Seen:
        """See Task. Raises Refused when the credential cannot be opened."""
        order = self.command.data
        listed, text = await asyncio.gather(self.ports.kube.list(self._kind), self._credential())
        return Seen(listed.items, next((x for x in listed.items if x["metadata"]["name"] == order.name), None), text)

    def judge(self, seen: Seen) -> list[Notice]:
        """See Task."""
        judging.check(self.sort, self.command, seen.live, seen.listed)
        return list(silence(self.ports.cluster, self.ports.velero()))

    async def make(self, seen: Seen) -> Object:
        """See Task. Raises NotYet for Velero to hear of a new Secret: what is looked at may have changed meanwhile."""
        if await self._write_secret(seen) and self.ports.heard:
            raise NotYet("Velero hears of the Secret first", after=self.ports.heard)
        return await self._settled(await self._write(seen))

    async def undo(self) -> None:
        """Remove the Secret of a location that has not come to be, or has not been changed.

        Raises Retry when that may be possible in a moment.
        """
        if self.command.data.credential:
            try:
                await secrets.discard(self.ports.kube, [self._secret])
            except KubeError as no:
                self._leave(no)

    async def _write(self, seen: Seen) -> Object:
        name = self.command.data.name
        if seen.live is None:
            body = judging.manifest(self.sort, self.command, self.ports.namespace)
            return await self.ports.kube.create(self._kind, body)
        change = judging.change(self.sort, self.command, seen.live)
        try:
            return await self.ports.kube.patch(self._kind, name, change)
        except (ConflictError, NotFoundError) as no:
            raise NotYet(f"{self.sort.words} {name} was changed meanwhile", after=0.2) from no

    async def _write_secret(self, seen: Seen) -> bool:
        if seen.text is None:
            return False
        name, labels = self._secret, judging.labels(self.command)
        body = judging.secret(name, self.ports.namespace, self.command.data.name, seen.text, labels)
        return await secrets.write(self.ports.kube, body)

    async def _settled(self, made: Object) -> Object:
        """Return the location once what it replaces has gone: that another is the default, and Secrets that it had before.

        Raises Retry when that may be possible in a moment; what the cluster refuses for good is left.
        """
        kube, name = self.ports.kube, self.command.data.name
        try:
            if judging.is_default(made):
                for other in judging.other_defaults(made, (await kube.list(self._kind)).items):
                    await self._end_default(other)
            if noted := judging.formers(made):
                await secrets.discard(kube, noted.values())
                made = await kube.patch(self._kind, name, {"metadata": {"annotations": dict.fromkeys(noted)}})
        except KubeError as no:
            self._leave(no)
        return made

    async def _end_default(self, name: str) -> None:
        try:
            await self.ports.kube.patch(LOCATIONS, name, {"spec": {"default": None}})
        except NotFoundError:
            return  # it has gone, which is as good

    def _leave(self, no: KubeError) -> None:
        """Note what stays as it is for good.

        Raises Retry for what may be over in a moment.
        """
        end(self.ports, self.command, no)
        log.warning("not tidied up", **{logging.OPERATION: self.command.operationid, logging.REASON: str(no)})

    async def _credential(self) -> bytes | None:
        sealed = self.command.data.credential
        return await self.ports.sealing.open(sealed) if sealed else None

    @property
    def _secret(self) -> str:
        return self.sort.secret(self.command.data.name, str(self.command.operationid))

    @property
    def _kind(self) -> Kind:
        return KINDS[self.sort.noun]
