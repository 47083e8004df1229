"""Restores for tests of the gateway: rows as status writes them, and executors that answer what a pre-flight asks."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from shared.contracts import subjects
from shared.contracts.commands import RestoreCreate
from shared.contracts.documents import to_document
from shared.contracts.envelope import Envelope
from shared.contracts.phases import OperationState, RestoreStatus
from shared.contracts.surveys import BackupSurvey, BackupSurveyed, RestoreLook, RestoreSeen
from shared.contracts.views import Creator, ObjectRef, RestoreItem, RestoreSource
from shared.messaging import rpc
from shared.messaging.connection import connect
from shared.runtime.health import Health
from tests.support.gateway import NOW, Stack, Status, operation_item
from tests.support.waiting import eventually, subscribed

_UNLISTED = {RestoreStatus.DELETED, RestoreStatus.REFUSED}


def restore_item(restore_id: str, **facts: Any) -> RestoreItem:
    plain = {
        "id": restore_id,
        "name": restore_id,
        "cluster": "eu1",
        "namespace": "velero",
        "backup": RestoreSource(id="b1", name="shop", cluster="eu1"),
        "created_by": Creator(kind="User", name="anna"),
        "status": RestoreStatus.COMPLETED,
        "phase": "Completed",
        "created_at": NOW,
        "present": True,
    }
    return RestoreItem(**{**plain, **facts})


def restore_document(item: RestoreItem, **facts: Any) -> dict[str, Any]:
    listed = item.status not in _UNLISTED
    plain = {"_id": item.id, "rev": 1, "listed": listed, "aliases": [], "item": to_document(item), "detail": {}, "asOf": NOW}
    return {**plain, **facts}


async def accepts_restore(status: Status, command: Envelope[RestoreCreate]) -> None:
    """The cluster has made the restore: what the executor and the status service do with a command, in short."""
    operation, data = str(command.operationid), command.data
    source = RestoreSource(id=data.source.id, name=data.source.name, cluster=data.source.cluster)
    restore = restore_item(
        operation, name=data.name, cluster=command.cluster, status=RestoreStatus.RESTORING, phase=None, backup=source
    )
    item = operation_item(
        operation,
        OperationState.ACCEPTED,
        kind="restore.create",
        cluster=command.cluster,
        object=ObjectRef(kind="Restore", id=operation, name=data.name),
    )
    detail = {"operationId": operation, "requestedSpec": data.spec.wire(), "findings": [f.wire() for f in data.findings]}
    await status.writes("restores", restore_document(restore, detail=to_document(detail)))
    await status.writes("operations", {"_id": operation, "item": to_document(item)})
    await status.announces("operation", item)


@dataclass
class Clusters:
    """What the executors of both clusters say of a backup, and of what is there already."""

    surveyed: BackupSurveyed = field(default_factory=BackupSurveyed)
    seen: RestoreSeen = field(default_factory=RestoreSeen)
    asked: list[BackupSurvey | RestoreLook] = field(default_factory=list)

    async def survey(self, question: Envelope[BackupSurvey]) -> BackupSurveyed:
        self.asked.append(question.data)
        return self.surveyed

    async def look(self, question: Envelope[RestoreLook]) -> RestoreSeen:
        self.asked.append(question.data)
        return self.seen


@contextlib.asynccontextmanager
async def asked(made: Stack, clusters: Clusters, *, origin: str = "eu1", target: str = "eu1") -> AsyncIterator[None]:
    """An executor at the hub that answers for the cluster of the backup and for the target."""
    async with connect(made.nats.settings("executor"), name="test-asked", dependency=Health().depends_on("nats")) as connection:
        tasks = [
            asyncio.create_task(rpc.serve(connection, subjects.survey(origin, agent=False), clusters.survey)),
            asyncio.create_task(rpc.serve(connection, subjects.look(target, agent=False), clusters.look)),
        ]
        await eventually("subscribed", lambda: len(connection.client._subs) >= len(tasks))
        await subscribed(connection)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
