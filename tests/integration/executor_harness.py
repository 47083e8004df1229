"""An executor against simulated clusters and a real NATS, in one event loop, so that a test can stop time at any point."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from services.executor.cluster import ClusterExecutor
from services.executor.settings import ClusterSettings, Measuring, Restoring, Rhythm, Settings
from shared.contracts import subjects
from shared.contracts.base import Wire
from shared.contracts.catalogue import decode
from shared.contracts.envelope import Envelope
from shared.messaging.connection import Connection
from shared.messaging.consumer import Patience
from shared.messaging.publisher import Publisher, Publishes
from shared.runtime.clock import now
from shared.runtime.health import Health
from shared.runtime.process import Runtime
from simulator.api import Manner
from simulator.cluster import SimulatedCluster
from tests.support.messages import backup_command, delete_command, trigger_command
from tests.support.servers import free_port
from tests.support.timing import PATIENT, TIMING
from tests.support.waiting import PATIENCE

RHYTHM = Rhythm(
    presence=0.5, velero=60, velero_answers=0.3, inventory=1, relist=600, inactivity=20, progress=0.5, high_water=0.1
)
"""For clusters without a Velero, whose silence is soon noticed."""
MEASURING = Measuring(pause=0, retries=(0.2, 0.4), signing=PATIENT, piece=PATIENT)
RESTORING = Restoring(look=0.1)
WAITS = Patience(heartbeat=0.5, retries=(0.1, 0.2), probes=(0.1, 0.2), grace=1.0)


class Crash(BaseException):
    """The process dies here, as by kill -9: no ack, no nak, no farewell."""


@dataclass
class Heard:
    """Everything that was said about clusters, in the order of the stream."""

    messages: list[tuple[subjects.Subject, Envelope[Any]]] = field(default_factory=list)

    async def hear(self, message: Any) -> None:
        self.messages.append(decode(message.subject, message.data))

    def of(self, noun: str, verb: str | None = None, cluster: str | None = None) -> list[Envelope[Any]]:
        return [
            envelope
            for address, envelope in self.messages
            if address.noun == noun and verb in {None, address.verb} and cluster in {None, address.cluster}
        ]

    def phases(self, name: str) -> list[str | None]:
        seen = [e.data for e in self.of("backup", "observed") if e.data.name == name]
        return [(o.object.get("status") or {}).get("phase") for o in seen]


@dataclass
class Faulty:
    """A publisher that crashes once, before or after it has published the first message that matches."""

    inner: Publishes
    matches: Callable[[str], bool]
    after: bool
    crashed: bool = False

    async def publish(self, subject: str, envelope: Envelope[Wire]) -> None:
        due = not self.crashed and self.matches(subject)
        if due:
            self.crashed = True
            if self.after:
                await self.inner.publish(subject, envelope)
            raise Crash(subject)
        await self.inner.publish(subject, envelope)

    async def tell(self, subject: str, envelope: Envelope[Wire]) -> None:
        await self.inner.tell(subject, envelope)


def location(
    name: str = "default", *, mode: str = "ReadWrite", phase: str | None = "Available", default: bool = True, **status: Any
):
    return {
        "apiVersion": "velero.io/v1",
        "kind": "BackupStorageLocation",
        "metadata": {"name": name, "namespace": "velero"},
        "spec": {"provider": "aws", "objectStorage": {"bucket": "b"}, "accessMode": mode, "default": default},
        **({"status": {"phase": phase, **status}} if phase else {}),
    }


def snapshot_location(name: str, provider: str = "aws"):
    return {
        "apiVersion": "velero.io/v1",
        "kind": "VolumeSnapshotLocation",
        "metadata": {"name": name, "namespace": "velero"},
        "spec": {"provider": provider},
    }


def velero_backup(name: str, **spec: Any):
    meta = {"name": name, "namespace": "velero"}
    return {"apiVersion": "velero.io/v1", "kind": "Backup", "metadata": meta, "spec": spec}


def velero_schedule(name: str, schedule: str = "0 3 * * *", **template: Any):
    meta = {"name": name, "namespace": "velero"}
    spec = {"schedule": schedule, "template": template}
    return {"apiVersion": "velero.io/v1", "kind": "Schedule", "metadata": meta, "spec": spec}


@dataclass
class Running:
    """An executor while it runs."""

    health: Health
    tasks: list[asyncio.Task[None]]

    async def crashed(self) -> None:
        """Wait until it has died of a Crash."""
        done, _ = await asyncio.wait(self.tasks, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        assert done, "the executor did not reach the point where it was to die"


@dataclass
class World:
    """Clusters, a broker and what was heard; starts and kills executors."""

    admin: Connection
    as_user: Callable[..., Any]
    directory: Path
    clusters: dict[str, SimulatedCluster] = field(default_factory=dict)
    heard: Heard = field(default_factory=Heard)
    publishers: dict[str, Publisher] = field(default_factory=dict)

    async def add(self, name: str, **facts: Any) -> SimulatedCluster:
        manner = Manner(bookmark_interval=0.5)
        cluster = SimulatedCluster(name, namespaces={"shop": {}, "cart": {}}, manner=manner, port=free_port(), **facts)
        await cluster.start()
        cluster.store.create("backupstoragelocations", location())
        cluster.write_kubeconfig(self.directory / f"{name}.yaml")
        self.clusters[name] = cluster
        return cluster

    async def ask(self, operation: str, cluster: str = "eu1", **more: Any) -> Envelope[Any]:
        return await self.order(backup_command(operation, cluster=cluster, now=more.pop("now", now()), **more))

    async def ask_to_delete(self, operation: str, backup: str, cluster: str = "eu1", **more: Any) -> Envelope[Any]:
        command = delete_command(operation, backup=backup, cluster=cluster, now=more.pop("now", now()), **more)
        return await self.order(command)

    async def trigger(self, slot: datetime, **more: Any) -> str:
        """Send a slot to its cluster as the scheduler does; return its operation id."""
        return str((await self.order(trigger_command(slot, **more), "scheduler")).operationid)

    async def order(self, command: Envelope[Any], user: str = "gateway") -> Envelope[Any]:
        if user not in self.publishers:
            self.publishers[user] = Publisher(await self.as_user(user))
        noun, verb = command.type.split(".")[2:4]
        subject = subjects.command(command.cluster, noun, verb, str(command.operationid))
        await self.publishers[user].publish_command(subject, command)
        return command

    @contextlib.asynccontextmanager
    async def executor(
        self,
        *names: str,
        user: str = "executor",
        instance: str = "one",
        rhythm: Rhythm = RHYTHM,
        measuring: Measuring = MEASURING,
        wrap: Any = None,
        timeout: float = PATIENT,
        writing: float | None = None,
        ahead: timedelta = timedelta(),
    ) -> AsyncIterator["Running"]:
        """Run an executor for these clusters; leaving the block kills it (the connection just goes away).

        By its clock it is so much later.
        """
        health = Health()
        runtime = Runtime("executor", instance, lambda: now() + ahead, health)
        connection = await self.as_user(user, health)
        publisher = wrap(Publisher(connection)) if wrap else Publisher(connection)
        settings = Settings(
            clusters=[ClusterSettings(id=n, kubeconfig=self.directory / f"{n}.yaml") for n in names or self.clusters],
            rhythm=rhythm,
            measuring=measuring,
            heard=0.1,
            restoring=RESTORING,
            patience=WAITS,
            timeout=timeout,
            writing=writing or timeout,
            lease_ttl=TIMING.lease_ttl,
        )
        tasks = [
            asyncio.create_task(ClusterExecutor(cluster, settings, runtime, connection, publisher, asyncio.Semaphore(4)).run())
            for cluster in settings.clusters
        ]
        try:
            yield Running(health, tasks)
        finally:
            for task in tasks:
                task.cancel()
            _, left = await asyncio.wait(tasks, timeout=PATIENCE)
            if left:
                for t in asyncio.all_tasks():
                    t.print_stack()
            assert not left, "a stop must end everything"

    def backups(self, cluster: str = "eu1") -> list[dict[str, Any]]:
        return [dict(item) for item in self.clusters[cluster].store.list("backups")]

    def answers(self, operation: str) -> list[str]:
        """What was said to an operation, but for its steps."""
        said = [e.type.split(".")[3] for e in self.heard.of("operation") if e.operationid == operation]
        return [verb for verb in said if verb != "step"]

    def answer(self, operation: str) -> Any:
        """The data of the one answer to an operation."""
        (found,) = [e.data for e in self.heard.of("operation") if e.operationid == operation and ".step." not in e.type]
        return found
