"""The gateway for tests: its composition root on a free port, real NATS and database, and hands to play the other services."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
from pymongo import AsyncMongoClient

from services.gateway import __main__ as gateway
from services.gateway.auth import Role, add_token
from services.gateway.settings import EventSettings, GatewayHttp, Settings
from shared.contracts import ids, subjects
from shared.contracts.artifacts import Artifact, ArtifactRead, ArtifactReply, Chunk, Trouble
from shared.contracts.catalogue import decode
from shared.contracts.commands import BackupCreate, BackupDelete
from shared.contracts.documents import capture_id, to_document
from shared.contracts.envelope import Envelope, type_name
from shared.contracts.events import Changed, Progressed
from shared.contracts.phases import UNLISTED, BackupStatus, LocationStatus, OperationState
from shared.contracts.refusals import Refusal
from shared.contracts.views import (
    BackupItem,
    ClusterItem,
    Creator,
    LocationItem,
    ObjectRef,
    OperationItem,
    SnapshotLocationItem,
)
from shared.messaging import rpc
from shared.messaging.connection import Connection, connect
from shared.messaging.publisher import Publisher
from shared.messaging.topology import COMMANDS, ensure
from shared.runtime.health import Health
from shared.runtime.process import Runtime
from tests.support.servers import PLAIN, MongoServer, NatsServer, free_port
from tests.support.waiting import eventually, stopped, subscribed

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
API = "/api/v1"


def backup_item(backup_id: str, **facts: Any) -> BackupItem:
    plain = {
        "id": backup_id,
        "name": backup_id,
        "cluster": "eu1",
        "namespace": "velero",
        "created_by": Creator(kind="User", name="anna"),
        "status": BackupStatus.COMPLETED,
        "created_at": NOW,
        "present": True,
    }
    return BackupItem(**{**plain, **facts})


def backup_document(item: BackupItem, **facts: Any) -> dict[str, Any]:
    listed = item.status not in UNLISTED
    plain = {"_id": item.id, "rev": 1, "listed": listed, "aliases": [], "item": to_document(item), "detail": {}, "asOf": NOW}
    return {**plain, **facts}


def operation_item(operation_id: str, state: OperationState, **facts: Any) -> OperationItem:
    plain = {"id": operation_id, "kind": "backup.create", "cluster": "eu1", "state": state, "principal": "anonymous"}
    return OperationItem(**{**plain, **facts})


def location_document(name: str, cluster: str = "eu1", **facts: Any) -> dict[str, Any]:
    plain = {
        "id": ids.location_id(cluster, name),
        "name": name,
        "cluster": cluster,
        "namespace": "velero",
        "status": "Available",
    }
    item = LocationItem(**{**plain, **facts})
    return {"_id": item.id, "listed": item.status is not LocationStatus.DELETED, "item": to_document(item)}


def snapshot_location_document(name: str, cluster: str = "eu1", **facts: Any) -> dict[str, Any]:
    plain = {"name": name, "cluster": cluster, "namespace": "velero", "status": "Unchecked"}
    item = SnapshotLocationItem(id=ids.snapshot_location_id(cluster, name), **{**plain, **facts})
    return {"_id": item.id, "listed": item.status is not LocationStatus.DELETED, "item": to_document(item)}


def cluster_document(cluster: str, status: str = "Online", **facts: Any) -> dict[str, Any]:
    item = ClusterItem(id=cluster, status=status, last_seen_at=NOW, mode="Hub", as_of=NOW)
    plain = {"_id": cluster, "item": to_document(item), "namespaces": [], "kinds": [], "inventoryAt": NOW}
    return {**plain, **facts}


@dataclass
class Status:
    """What the status service does, done by the test: writes projections, announces changes."""

    database: Any
    publisher: Publisher
    seq: int = 0

    async def writes(self, collection: str, *documents: dict[str, Any]) -> None:
        for document in documents:
            await self.database[collection].replace_one({"_id": document["_id"]}, document, upsert=True)

    async def announces(self, noun: str, item: BackupItem | OperationItem | ClusterItem, *, seq: int | None = None) -> None:
        self.seq += 1
        status = item.state if isinstance(item, OperationItem) else item.status
        cluster = item.id if isinstance(item, ClusterItem) else item.cluster
        change = Changed(id=item.id, seq=seq or self.seq, from_=None, to=status, at=NOW, item=item.wire())
        envelope = Envelope[Changed](
            id=secrets.token_hex(8),
            source="/status",
            type=type_name(noun, "changed"),
            time=NOW,
            cluster=cluster,
            operationid=item.id if noun == "operation" else None,
            data=change,
        )
        await self.publisher.publish(subjects.state(cluster, noun, status, item.id), envelope)

    async def tells_progress(self, item: BackupItem, *, seq: int | None = None) -> None:
        envelope = Envelope[Progressed](
            id=secrets.token_hex(8),
            source="/status",
            type=type_name("backup", "progressed"),
            time=NOW,
            cluster=item.cluster,
            data=Progressed(id=item.id, seq=seq or self.seq, item=item.wire()),
        )
        await self.publisher.tell(subjects.live(item.cluster, "backup", item.id), envelope)

    async def accepts(self, command: Envelope[BackupCreate]) -> None:
        """The cluster has made the backup: what the executor and the status service do with a command, in short."""
        operation = str(command.operationid)
        backup = backup_item(operation, name=command.data.name, cluster=command.cluster, status=BackupStatus.CREATING)
        item = operation_item(
            operation,
            OperationState.ACCEPTED,
            cluster=command.cluster,
            object=ObjectRef(kind="Backup", id=operation, name=command.data.name),
        )
        detail = {"operationId": operation, "scope": command.data.scope.wire()}
        await self.writes("backups", backup_document(backup, detail=to_document(detail)))
        await self.writes("operations", {"_id": operation, "item": to_document(item)})
        await self.announces("operation", item)

    async def deletes(self, command: Envelope[BackupDelete]) -> None:
        """Velero has deleted the backup: its row first, then the operation, as the status service writes them."""
        row = await self.database["backups"].find_one({"_id": command.data.backup})
        await self.writes("backups", {**row, "listed": False, "item": {**row["item"], "status": "Deleted", "present": False}})
        await self.ends(command, OperationState.SUCCEEDED)

    async def ends(self, command: Envelope[Any], state: OperationState, refusal: Refusal | None = None) -> None:
        operation = str(command.operationid)
        item = operation_item(operation, state, kind="backup.delete", cluster=command.cluster, refusal=refusal)
        await self.writes("operations", {"_id": operation, "item": to_document(item)})
        await self.announces("operation", item)

    async def rejects(self, command: Envelope[BackupCreate], refusal: Refusal) -> None:
        operation = str(command.operationid)
        item = operation_item(operation, OperationState.REJECTED, cluster=command.cluster, refusal=refusal)
        await self.writes("operations", {"_id": operation, "item": to_document(item)})
        await self.announces("operation", item)


@dataclass
class Stack:
    """A running gateway and everything around it."""

    nats: NatsServer
    mongo: MongoServer
    settings: Settings
    database: Any
    health: Health
    client: httpx2.AsyncClient
    admin: Connection
    status: Status
    commands_seen: list[Envelope[Any]] = field(default_factory=list)

    async def commands(self) -> int:
        """How many commands the stream holds."""
        return (await self.admin.stream.stream_info(COMMANDS)).state.messages

    async def ready(self) -> None:
        async def look() -> bool:
            return (await self.client.get("/readyz")).status_code == 200

        await eventually("ready", look)


def settings_for(nats: NatsServer, mongo: MongoServer, **facts: Any) -> Settings:
    return Settings(
        **{
            "http": GatewayHttp(port=free_port()),
            "nats": nats.settings("gateway"),
            "mongo": mongo.settings(),
            "ping": 0.1,
            "wait": 0.2,
            "grace": 2,
            "events": EventSettings(history=50, buffer=200, keepalive=0.3),
            **facts,
        }
    )


@contextlib.asynccontextmanager
async def running(settings: Settings, health: Health | None = None) -> AsyncIterator[httpx2.AsyncClient]:
    """The gateway's own `main`, as its process runs it."""
    runtime = Runtime("gateway", "test", health=health or Health())
    task = asyncio.create_task(gateway.main(runtime, settings))
    url = f"http://127.0.0.1:{settings.http.port}"
    try:
        async with httpx2.AsyncClient(base_url=url, timeout=90, **PLAIN) as client:

            async def alive() -> bool:
                if task.done():
                    task.result()
                with contextlib.suppress(httpx2.TransportError):
                    return (await client.get("/livez")).status_code in {200, 403}
                return False

            await eventually("alive", alive)
            yield client
    finally:
        await stopped(task)
        with contextlib.suppress(asyncio.CancelledError):
            await task


@contextlib.asynccontextmanager
async def stack(nats: NatsServer, mongo: MongoServer, **facts: Any) -> AsyncIterator[Stack]:
    """Everything together; ready, with cluster eu1 registered and nothing else."""
    settings = settings_for(nats, mongo, **facts)
    health = Health()
    patience = int(settings.mongo.timeout * 1000)
    database_client: AsyncMongoClient[Any] = AsyncMongoClient(mongo.url, tz_aware=True, serverSelectionTimeoutMS=patience)
    database = database_client[settings.mongo.database]
    try:
        async with (
            connect(nats.settings("admin"), name="test-admin", dependency=Health().depends_on("nats")) as admin,
            connect(nats.settings("status"), name="test-status", dependency=Health().depends_on("nats")) as speaker,
        ):
            await ensure(admin.stream, nats.clusters)
            await database["clusters"].insert_one(
                {"_id": "eu1", "displayName": None, "version": 1, "createdBy": "x", "createdAt": NOW}
            )
            async with running(settings, health) as client:
                status = Status(database, Publisher(speaker))
                made = Stack(nats, mongo, settings, database, health, client, admin, status)
                await made.ready()
                yield made
    finally:
        if mongo.lives:  # whoever has taken it away needs no tidying up, and would wait for it in vain
            await database_client.drop_database(settings.mongo.database)
        await database_client.close()


@contextlib.asynccontextmanager
async def answering(made: Stack, answer: Callable[[Envelope[Any]], Any]) -> AsyncIterator[None]:
    """A cluster that answers every command as it comes, as executor and status would."""
    seen: asyncio.Queue[Any] = asyncio.Queue()
    subscription = await made.admin.client.subscribe("lw.cmd.>", cb=seen.put)
    await subscribed(made.admin)

    async def work() -> None:
        while True:
            message = await seen.get()
            _, envelope = decode(message.subject, message.data)
            made.commands_seen.append(envelope)
            await answer(envelope)

    task = asyncio.create_task(work())
    try:
        yield
    finally:
        task.cancel()
        await subscription.unsubscribe()


@dataclass
class Bucket:
    """What lies in a cluster's storage, read piece by piece as its executor would."""

    files: dict[tuple[str, Artifact], bytes] = field(default_factory=dict)
    asked: list[ArtifactRead] = field(default_factory=list)
    etag: str = '"first"'
    trouble: Callable[[ArtifactRead], ArtifactReply | None] = lambda _: None
    """Says what else than a piece is answered."""

    async def answer(self, question: Envelope[ArtifactRead]) -> ArtifactReply:
        wanted = question.data
        self.asked.append(wanted)
        if (odd := self.trouble(wanted)) is not None:
            return odd
        data = self.files.get((wanted.name, wanted.artifact))
        if data is None:
            return ArtifactReply(trouble=Trouble.NOT_THERE, detail=f"Nothing is stored for {wanted.name}.")
        if wanted.etag not in {None, self.etag}:
            return ArtifactReply(trouble=Trouble.CHANGED, detail="It is another one now.")
        piece = data[wanted.offset : wanted.offset + wanted.limit]
        return ArtifactReply(chunk=Chunk(etag=self.etag, total=len(data), offset=wanted.offset, data=piece))


@contextlib.asynccontextmanager
async def serving(made: Stack, bucket: Bucket, cluster: str = "eu1", *, agent: bool = False) -> AsyncIterator[None]:
    """An executor that reads a cluster's storage, at the hub or inside the cluster."""
    user = f"cluster-{cluster}" if agent else "executor"
    async with connect(made.nats.settings(user), name="test-executor", dependency=Health().depends_on("nats")) as connection:
        task = asyncio.create_task(rpc.serve(connection, subjects.artifact(cluster, agent=agent), bucket.answer))
        await eventually("subscribed", lambda: connection.client._subs)
        await subscribed(connection)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])


def captured(artifact: Artifact, data: bytes, uid: str = "uid-1", *, size: int = 400, **facts: Any) -> list[dict[str, Any]]:
    """The parts of a text that was kept, as status stores them."""
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    plain = {"cluster": "eu1", "uid": uid, "artifact": artifact.value, "parts": len(pieces), "cut": False, "at": NOW, **facts}
    return [
        {"_id": capture_id("eu1", uid, artifact, number), "part": number, "data": piece, **plain}
        for number, piece in enumerate(pieces)
    ]


def tokens_file(path: Path, **roles: str) -> dict[str, str]:
    """Make a tokens file; returns name → Authorization header value."""
    return {name: f"Bearer {add_token(path, name, Role(role))}" for name, role in roles.items()}
