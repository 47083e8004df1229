"""One Velero: the controllers of one cluster, with the life of their process."""

import asyncio
import logging
import random
from collections.abc import Coroutine
from typing import Any, Self

from simulator.cloud import Cloud
from simulator.cluster import SimulatedCluster
from simulator.documents import Document
from simulator.errors import ApiError
from simulator.velero.backup import Backups
from simulator.velero.client import Client, Killed, phase_of
from simulator.velero.controller import Change, Controller, Retry, WorkQueue
from simulator.velero.credentials import keys_for
from simulator.velero.deletion import Deletions
from simulator.velero.download import Downloads
from simulator.velero.durations import unreadable
from simulator.velero.faults import Faults
from simulator.velero.finalizer import BackupFinalizer
from simulator.velero.gc import GarbageCollection
from simulator.velero.informer import Informer
from simulator.velero.locations import Locations
from simulator.velero.node_agent import DataDownloads, DataUploads, PodVolumeBackups, PodVolumeRestores, Repositories
from simulator.velero.operations import BackupOperations
from simulator.velero.queue import BackupQueue
from simulator.velero.restore import RestoreFinalizer, RestoreOperations, Restores
from simulator.velero.restore_hooks import Command
from simulator.velero.schedule import Schedules
from simulator.velero.settings import Settings
from simulator.velero.status_request import StatusRequests
from simulator.velero.storage import Storage
from simulator.velero.sync import BackupSync
from simulator.velero.tracker import Tracker

CONTROLLERS: tuple[type[Controller], ...] = (
    Locations,
    BackupQueue,
    Backups,
    BackupOperations,
    BackupFinalizer,
    BackupSync,
    GarbageCollection,
    Deletions,
    Downloads,
    StatusRequests,
    Restores,
    RestoreOperations,
    RestoreFinalizer,
    Schedules,
    Repositories,
    DataUploads,
    DataDownloads,
    PodVolumeBackups,
    PodVolumeRestores,
)
"""Everything that Velero does, one row each."""

_SWEPT = (("backups", "backup"), ("restores", "restore"))

log = logging.getLogger("simulator.velero")


class Velero:
    """A Velero server for one cluster. It can be started again after `stop` and after `kill`; the objects remember.

    `client`, `tracker` and the controllers belong to one life of the process, `faults` and `settings` outlive it.
    """

    def __init__(self, cluster: SimulatedCluster, cloud: Cloud, settings: Settings | None = None) -> None:
        self.cluster = cluster
        self.cloud = cloud
        self.settings = settings or Settings()
        self.faults = Faults()
        self.chance = random.Random(self.settings.seed)  # noqa: S311 (chances of a simulation, not secrets)
        self._tasks: list[asyncio.Task[None]] = []
        self._workers: list[asyncio.Task[None]] = []
        self._reset()

    def _reset(self) -> None:
        self.client = Client(self.cluster)
        self.tracker = Tracker()
        self.commands: dict[str, list[Command]] = {}
        """The commands that restores wait for to be run in pods, by the restore; as the tracker, of one life only."""
        self._queues = {controller(self): WorkQueue() for controller in CONTROLLERS}
        kinds = {kind for controller in self._queues for kind in (controller.kind, *controller.also)}
        self._informers = {kind: Informer(self.client, kind, self._hear, self.sleep) for kind in sorted(kinds)}

    # Its life

    @property
    def running(self) -> bool:
        """Whether the process lives; its controllers may still wait for a kind that cannot be read."""
        return bool(self._tasks)

    @property
    def stalled(self) -> dict[str, str]:
        """The kinds that it hears nothing of, with the reasons."""
        return {kind: informer.problem for kind, informer in self._informers.items() if informer.problem}

    async def start(self) -> None:
        """Start the process: what was in progress failed, the default location is marked, and the controllers begin.

        The controllers do not begin before every kind can be read.
        """
        if self.running:
            raise RuntimeError(f"Velero of cluster {self.cluster.name} runs already")
        self._reset()
        self._sweep()
        self._mark_default_location()
        self._spawn(self._tasks, *(informer.run() for informer in self._informers.values()), self._begin())
        await asyncio.sleep(0)

    async def stop(self) -> None:
        """End the process as SIGTERM does: nothing new begins, and what is under way has a while to end."""
        for task in self._tasks:
            task.cancel()
        for queue in self._queues.values():
            queue.close()
        if self._workers:
            await asyncio.wait(self._workers, timeout=self.settings.graceful_stop / self.settings.speed)
        ended = [*self._tasks, *self._workers]
        self.kill()
        await asyncio.gather(*ended, return_exceptions=True)

    def kill(self) -> None:
        """End the process as SIGKILL does: everything stops where it waits, and nothing is written any more."""
        self.client.die()
        for task in (*self._tasks, *self._workers):
            task.cancel()
        self._tasks, self._workers = [], []

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.kill()

    # For the controllers

    async def sleep(self, seconds: float) -> None:
        """Wait for a time of Velero's."""
        await asyncio.sleep(seconds / self.settings.speed)

    async def work(self, seconds: float | None = None) -> None:
        """Spend the time that work takes, by default that of one step."""
        await self.sleep((self.settings.step if seconds is None else seconds) * self.faults.slowness)

    def due(self, timestamp: str | None, period: float) -> bool:
        """Tell whether a period of Velero's time has passed since a timestamp, which is exact to the second only."""
        return timestamp is None or (self.client.age(timestamp) + 1.0) * self.settings.speed >= period

    def known(self, kind: str) -> list[Document]:
        """Return the objects of a kind that is watched, to look through and not to change; cheaper than a list."""
        return self._informers[kind].known

    def storage(self, location: Document) -> Storage:
        """Return the bucket behind a BackupStorageLocation."""
        return Storage(self.cloud, location, keys_for(self.client, location))

    # Inside

    def _spawn(self, group: list[asyncio.Task[None]], *work: Coroutine[Any, Any, None]) -> None:
        group.extend(asyncio.create_task(coroutine) for coroutine in work)

    def _sweep(self) -> None:
        """Fail what an earlier process left in progress; of a kind that cannot be read nothing is found."""
        for kind, word in _SWEPT:
            documents = self.client.list(kind)
            if any(unreadable(kind, document) for document in documents):
                log.error("%s: failed to list %s", self.cluster.name, kind)
                continue
            reason = f'found a {word} with status "InProgress" during the server starting, mark it as "Failed"'
            for document in documents:
                if phase_of(document) == "InProgress":
                    self.client.patch_status(
                        kind, document["metadata"]["name"],
                        phase="Failed", failureReason=reason, completionTimestamp=self.client.timestamp(),
                    )  # fmt: skip

    def _mark_default_location(self) -> None:
        name = self.settings.default_location
        if self.client.find("backupstoragelocations", name):
            self.client.patch("backupstoragelocations", name, {"spec": {"default": True}})

    async def _begin(self) -> None:
        for informer in self._informers.values():
            await informer.synced.wait()
        for controller, queue in self._queues.items():
            self._spawn(self._workers, *(self._work(controller, queue) for _ in range(controller.workers)))
            if controller.tick:
                self._spawn(self._tasks, self._tick(controller, queue))

    def _hear(self, change: Change) -> None:
        for controller, queue in self._queues.items():
            if change.kind == controller.kind or change.kind in controller.also:
                for name in controller.keys(change):
                    queue.add(name)

    async def _tick(self, controller: Controller, queue: WorkQueue) -> None:
        """Work off everything now and then, by a clock that started with the process."""
        loop = asyncio.get_running_loop()
        period = getattr(self.settings, controller.tick) / self.settings.speed
        due = loop.time()
        while True:
            if not self._informers[controller.kind].problem:
                for name in controller.ticked():
                    queue.add(name)
            due = max(due + period, loop.time())
            await asyncio.sleep(due - loop.time())

    async def _work(self, controller: Controller, queue: WorkQueue) -> None:
        failures: dict[str, int] = {}
        while (name := await queue.take()) is not None:
            try:
                await controller.reconcile(name)
                failures.pop(name, None)
            except Killed:
                return
            except Exception as error:  # one odd object must not keep the others from being worked on
                failures[name] = failures.get(name, 0) + 1
                self._retry(queue, name, failures[name])
                if not isinstance(error, ApiError | Retry):
                    log.warning("%s: %s %s failed", self.cluster.name, type(controller).__name__, name, exc_info=error)
            finally:
                queue.done(name)

    def _retry(self, queue: WorkQueue, name: str, failures: int) -> None:
        delay = min(self.settings.retry_first * 2.0 ** min(failures - 1, 20), self.settings.retry_most)
        asyncio.get_running_loop().call_later(delay / self.settings.speed, queue.add, name)
