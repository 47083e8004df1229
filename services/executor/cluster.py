"""Everything that an executor does for one cluster, isolated: whatever happens here delays no other cluster."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from services.executor.artifacts.files import Files
from services.executor.artifacts.measuring import Measurer
from services.executor.artifacts.reading import Artifacts
from services.executor.artifacts.studies import BackupStudy, RestoreStudy
from services.executor.clusters import reach
from services.executor.epoch import ClusterEpoch
from services.executor.fetching import Storage, storage
from services.executor.handlers import ROUTES
from services.executor.kinds import KindMemory
from services.executor.kube import (
    BACKUPS,
    DELETE_REQUESTS,
    LOCATIONS,
    RESTORES,
    SCHEDULES,
    SNAPSHOT_LOCATIONS,
    ForbiddenError,
    Kind,
    Kube,
    NotFoundError,
)
from services.executor.locations.sealing import Sealing
from services.executor.ports import Ports
from services.executor.restores.looking import Looker
from services.executor.restores.surveying import Surveyor
from services.executor.restores.sweeping import keep_swept
from services.executor.seeing.observing import Observer
from services.executor.seeing.presence import Witness
from services.executor.seeing.problems import missing_kinds
from services.executor.seeing.watching import Sees, Several, endless, list_and_watch
from services.executor.settings import ClusterSettings, Settings
from shared.contracts import subjects
from shared.contracts.commands import RestoreCreate, RestoreDelete, ScheduleTrigger
from shared.contracts.envelope import Envelope
from shared.contracts.events import Problem
from shared.contracts.names import Noun
from shared.messaging.connection import Connection
from shared.messaging.consumer import Consumer
from shared.messaging.epochs import Epochs
from shared.messaging.lease import Lease
from shared.messaging.outcomes import Unavailable
from shared.messaging.publisher import Publishes, Record
from shared.messaging.rpc import Answers, serve
from shared.messaging.topology import COMMANDS, executor_consumer
from shared.runtime import logging
from shared.runtime.pacing import jittered
from shared.runtime.process import Runtime
from shared.runtime.stopping import unless_cancelled

log = structlog.get_logger(__name__)

WATCHED: dict[Kind, Noun] = {
    BACKUPS: Noun.BACKUP,
    RESTORES: Noun.RESTORE,
    LOCATIONS: Noun.LOCATION,
    SNAPSHOT_LOCATIONS: Noun.SNAPSHOT_LOCATION,
    DELETE_REQUESTS: Noun.DELETION,
    SCHEDULES: Noun.SCHEDULE,
}
"""What is watched in every cluster, and what messages call it."""

_AGAIN = 5.0


def in_order_with(command: Envelope[Any], address: subjects.Subject) -> str:
    """Return what a command is carried out in order with: its schedule, if it is a slot of one; else its object.

    Restores wait for nobody: one from another cluster takes as long as Velero takes, and must not keep what deletes it waiting.
    """
    if isinstance(command.data, RestoreCreate | RestoreDelete):
        return f"{address.noun}/{address.id}"
    if isinstance(command.data, ScheduleTrigger):
        return f"{address.noun}/{command.data.schedule.id}"
    return f"{address.noun}/{getattr(command.data, 'name', address.id)}"


@dataclass(frozen=True, slots=True)
class ClusterExecutor:
    """The executor of one cluster: watches and is present always, takes commands while it holds the cluster's lease."""

    cluster: ClusterSettings
    settings: Settings
    runtime: Runtime
    connection: Connection
    publisher: Publishes
    """What handlers and watches speak through; a test may put itself in between."""
    memory: asyncio.Semaphore
    """Shared by all clusters: see Measurer."""

    async def run(self) -> None:
        """Serve the cluster until cancelled. A failure that nobody foresaw is logged, and the cluster begun anew."""
        while True:
            unless_cancelled()
            # A task of its own: a TaskGroup that fails leaves a mark of cancellation on the task that it fails in.
            life = asyncio.create_task(self._live(), name=f"cluster {self.cluster.id}")
            try:
                await asyncio.wait({life})
            finally:
                life.cancel()
                await asyncio.wait({life})
            failure = None if life.cancelled() else life.exception()
            if failure is not None and not isinstance(failure, Exception):
                raise failure
            if isinstance(failure, Unavailable):
                self.runtime.health.depends_on(self._name, required=self._is_agent).missing(failure.reason)
            elif failure is not None:
                log.error("cluster failed", exc_info=failure, **{logging.CLUSTER: self.cluster.id})
            await asyncio.sleep(jittered(_AGAIN))

    async def _live(self) -> None:
        measuring = self.settings.measuring
        async with (
            reach(self.cluster, self.settings.timeout, self.settings.writing) as kube,
            storage(measuring.piece) as objects,
        ):
            await self.serve(kube, objects)

    async def serve(self, kube: Kube, objects: Storage) -> None:
        """Watch, be present, give what is stored and take commands through this API server."""
        epoch = ClusterEpoch(self.cluster.id, kube, Epochs(self.connection), self.runtime.clock)
        rhythm = self.settings.rhythm
        observers = {
            kind: Observer(
                cluster=self.cluster.id,
                noun=noun,
                epoch=epoch,
                publisher=self.publisher,
                clock=self.runtime.clock,
                progress_every=rhythm.progress,
                high_water_every=rhythm.high_water,
            )
            for kind, noun in WATCHED.items()
        }
        kinds = KindMemory(kube)
        sealing = Sealing(self.cluster.id, self.cluster.namespace, kube)
        witness = Witness(
            cluster=self.cluster.id,
            namespace=self.cluster.namespace,
            mode="Agent" if self._is_agent else "Hub",
            instance=self.runtime.instance,
            kube=kube,
            kinds=kinds,
            sealing=sealing,
            cluster_uid=lambda: epoch.uid,
            publisher=self.publisher,
            clock=self.runtime.clock,
            rhythm=rhythm,
            dependency=self.runtime.health.depends_on(self._name, required=self._is_agent),
            problems=lambda: self._problems(observers),
        )
        ports = Ports(
            cluster=self.cluster.id,
            namespace=self.cluster.namespace,
            kube=kube,
            kinds=kinds,
            sealing=sealing,
            velero=lambda: witness.velero,
            publisher=self.publisher,
            record=Record(self.connection),
            epoch=epoch,
            clock=self.runtime.clock,
            heard=self.settings.heard,
            restoring=self.settings.restoring,
        )
        artifacts = Artifacts(self.cluster.id, self.cluster.namespace, kube, objects, self.settings.measuring.signing)
        files = Files(artifacts)
        measurers = [
            Measurer(
                study=study,
                cluster=self.cluster.id,
                kube=kube,
                files=files,
                publisher=self.publisher,
                record=Record(self.connection),
                epoch=epoch,
                clock=self.runtime.clock,
                settings=self.settings.measuring,
                memory=self.memory,
            )
            for study in (BackupStudy(self.cluster.id, kube, files), RestoreStudy(files))
        ]
        looked_into: dict[Kind, Sees] = {m.study.kind: Several((observers[m.study.kind], m)) for m in measurers}
        told: dict[Kind, Sees] = {**observers, **looked_into}
        lease = Lease(self.connection, f"executor.{self.cluster.id}", self.runtime.instance, self.settings.lease_ttl)
        try:
            async with asyncio.TaskGroup() as tasks:
                for kind, sees in told.items():
                    tasks.create_task(self._watch(kube, kind, epoch, sees, observers[kind]))
                tasks.create_task(witness.run())
                for subject, answers in self._questions(artifacts, kube).items():
                    tasks.create_task(serve(self.connection, subject, answers))
                tasks.create_task(lease.work(lambda: self._lead(ports, measurers)))
        finally:
            for observer in observers.values():
                observer.stop()

    async def _lead(self, ports: Ports, measurers: list[Measurer]) -> None:
        """Do what only one executor of a cluster should do at a time."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._consumer(ports).run())
            tasks.create_task(keep_swept(ports))
            for measurer in measurers:
                tasks.create_task(measurer.run())

    async def _watch(self, kube: Kube, kind: Kind, epoch: ClusterEpoch, sees: Sees, observer: Observer) -> None:
        rhythm = self.settings.rhythm

        async def once() -> None:
            try:
                await list_and_watch(
                    kube, kind, lambda: epoch.list(kind), sees, inactivity=rhythm.inactivity, relist=rhythm.relist
                )
            except ForbiddenError as no:
                observer.forbidden(kind, no)
                raise
            except NotFoundError:
                observer.absent = True
                raise

        await endless(self.cluster.id, kind, once)

    def _problems(self, observers: Mapping[Kind, Observer]) -> list[Problem]:
        """Return what is wrong with the kinds that are watched, and with objects of theirs."""
        absent = [kind.plural for kind, observer in observers.items() if observer.absent]
        missing = missing_kinds(absent, observers, self.cluster.namespace)
        of_objects = [problem for observer in observers.values() for problem in observer.problems.values()]
        return [missing, *of_objects] if missing else of_objects

    def _consumer(self, ports: Ports) -> Consumer[Ports]:
        return Consumer(
            connection=self.connection,
            stream=COMMANDS,
            name=executor_consumer(self.cluster.id),
            routes=ROUTES,
            ports=ports,
            key=in_order_with,
            clock=self.runtime.clock,
            health=self.runtime.health,
            sure_acks=True,
            patience=self.settings.patience,
        )

    @property
    def _is_agent(self) -> bool:
        return self.cluster.in_cluster

    def _questions(self, artifacts: Artifacts, kube: Kube) -> dict[str, Answers]:
        """Return what is answered, by the subjects on which it is asked."""
        surveying, cluster, agent = self.settings.surveying, self.cluster.id, self._is_agent
        return {
            subjects.artifact(cluster, agent=agent): artifacts.answer,
            subjects.survey(cluster, agent=agent): Surveyor(artifacts, surveying).answer,
            subjects.look(cluster, agent=agent): Looker(kube, surveying).answer,
        }

    @property
    def _name(self) -> str:
        return f"cluster {self.cluster.id}"
