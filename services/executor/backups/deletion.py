"""`backup.delete`: whether Velero would do it, and the DeleteBackupRequest by which it is asked to.

Velero removes its requests together with the backup, within a second or two. So that a command that comes again then is not
taken for one about a backup that never was, a step is told before the request is made.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from services.executor.answering import Done, if_there, publish
from services.executor.backups.choices import NotYet, Refused
from services.executor.backups.requirements import silence
from services.executor.kube import BACKUPS, DELETE_REQUESTS, LOCATIONS, Object
from services.executor.manifests import deletion, deletion_name, ids_of, is_of, location_of
from services.executor.ports import Ports
from shared.contracts.commands import BackupDelete
from shared.contracts.envelope import Envelope
from shared.contracts.events import Step
from shared.contracts.names import Noun
from shared.contracts.notices import Notice
from shared.contracts.refusals import Code, refusal

_RUNNING: Final = ("InProgress", "WaitingForPluginOperations", "Finalizing")
"""How the phases begin in which Velero works on a backup. What has not begun can be withdrawn."""

_WORDS = 500


@dataclass(frozen=True, slots=True)
class Seen:
    """The backup that is meant, if it is there, and the storage locations."""

    backup: Object | None
    locations: list[Object]


@dataclass(frozen=True, slots=True)
class Deletion:
    """The making of one DeleteBackupRequest."""

    noun: ClassVar[Noun] = Noun.DELETION
    ports: Ports
    command: Envelope[BackupDelete]

    async def find(self) -> Object | None:
        """See Task."""
        name, operation = deletion_name(self.command), str(self.command.operationid)
        request: Object | None
        request, begun = await asyncio.gather(
            if_there(self.ports.kube, DELETE_REQUESTS, name), self.ports.record.begun(self.ports.cluster, operation)
        )
        if request is not None and not is_of(request, self.command):
            taken = f"there is another DeleteBackupRequest {name}"
            raise Refused(refusal(Code.REFUSED_BY_CLUSTER, cluster=self.ports.cluster, message=taken))
        if request is None and begun and await self._backup() is None:
            raise Done("the backup has gone")
        return request

    async def look(self) -> Seen:
        """See Task."""
        backup, locations = await asyncio.gather(self._backup(), self.ports.kube.list(LOCATIONS))
        return Seen(backup, locations.items)

    def judge(self, seen: Seen) -> list[Notice]:
        """See Task."""
        check(self.command.data, self.ports.cluster, seen.backup, seen.locations)
        return list(silence(self.ports.cluster, self.ports.velero()))

    async def make(self, seen: Seen) -> Object:
        """See Task."""
        body = deletion(self.command, seen.backup or {}, self.ports.namespace)
        await publish(
            self.ports, self.command, "step", Step(step="Requested", detail=f"DeleteBackupRequest {body['metadata']['name']}")
        )
        return await self.ports.kube.create(DELETE_REQUESTS, body)

    async def _backup(self) -> Object | None:
        """Return the backup that is meant: of that name, and one of the ids that it is known by."""
        order = self.command.data
        found = await if_there(self.ports.kube, BACKUPS, order.name)
        meant = found is not None and not ids_of(found, self.ports.cluster).isdisjoint((order.backup, *order.ids))
        return found if meant else None


def check(order: BackupDelete, cluster: str, backup: Mapping[str, Any] | None, locations: Iterable[Mapping[str, Any]]) -> None:
    """Say what Velero would say, before it is asked: it would leave the request standing with an error. Pure.

    Raises Refused, or NotYet while Velero has not looked at the storage location.
    """
    if backup is None:
        raise Refused(refusal(Code.BACKUP_GONE, cluster=cluster, name=order.name))
    phase = str((backup.get("status") or {}).get("phase") or "")
    if phase.startswith(_RUNNING):
        raise Refused(refusal(Code.BACKUP_NOT_ENDED, name=order.name, phase=phase))
    wanted = location_of(backup)
    if not wanted:
        return  # nobody has looked at it yet: Velero will choose one
    location = next((x for x in locations if x["metadata"]["name"] == wanted), None)
    if location is None:
        raise Refused(refusal(Code.LOCATION_UNKNOWN, pointer="", cluster=cluster, location=wanted))
    if (location.get("spec") or {}).get("accessMode") == "ReadOnly":
        raise Refused(refusal(Code.LOCATION_READ_ONLY, pointer="", location=wanted))
    status = location.get("status") or {}
    if status.get("phase") == "Unavailable":
        message = str(status.get("message") or "Velero gives no reason")[:_WORDS]
        raise Refused(refusal(Code.LOCATION_UNAVAILABLE, pointer="", location=wanted, message=message))
    if status.get("phase") != "Available":
        raise NotYet(f"storage location {wanted} has not been validated yet")
