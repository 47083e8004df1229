"""Saying that a cluster is there: when its API server and Velero last answered, what it is, and what is wrong with it."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from services.executor.kinds import KindMemory
from services.executor.kube import STATUS_REQUESTS, Kube, KubeError, Object, UnauthorizedError
from services.executor.locations.sealing import Sealing
from services.executor.seeing import problems
from services.executor.seeing.inventory import fitting, namespaces, node_agent
from services.executor.settings import Rhythm
from shared.contracts import subjects
from shared.contracts.base import Wire
from shared.contracts.envelope import Envelope, type_name
from shared.contracts.events import Answer, Inventory, Presence, Problem, VeleroInfo
from shared.contracts.names import Noun
from shared.messaging.outcomes import Unavailable
from shared.messaging.publisher import Publishes
from shared.runtime import logging
from shared.runtime.clock import Clock
from shared.runtime.health import Dependency
from shared.runtime.stopping import unless_cancelled

log = structlog.get_logger(__name__)


_REFUSALS = 3
_PROBLEMS = 50
_WORDS = 500
_TIDYING = 5.0
"""Seconds for removing a request that has been answered."""


class CredentialsRefusedError(Exception):
    """The cluster does not know us, again and again: the credentials have to be read anew."""


def some(problems: list[Problem]) -> list[Problem]:
    """Return as many problems as a message should carry, and how many more there are."""
    if len(problems) <= _PROBLEMS:
        return problems
    more = f"{len(problems) - _PROBLEMS} further problems are not listed."
    return [*problems[:_PROBLEMS], Problem(code="MoreProblems", message=more)]


@dataclass(slots=True)
class Witness:
    """Asks one cluster how it is, and tells. Each question has a loop of its own, so that none waits for another."""

    cluster: str
    namespace: str
    mode: str
    instance: str
    kube: Kube
    kinds: KindMemory
    sealing: Sealing
    cluster_uid: Callable[[], str | None]
    publisher: Publishes
    clock: Clock
    rhythm: Rhythm
    dependency: Dependency
    problems: Callable[[], Iterable[Problem]]
    velero: Answer = field(default_factory=Answer)
    """When Velero last answered, and what is wrong with it now."""
    _api: Answer = field(default_factory=Answer)
    _version: str = ""
    _velero_status: Object = field(default_factory=dict)
    _skew: Problem | None = None
    _kinds_read: float = float("-inf")
    _told: tuple[Any, ...] = ()
    _refused: int = 0

    async def run(self) -> None:
        """Ask and tell for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._every(self.rhythm.presence, self._be_present))
            tasks.create_task(self._every(self.rhythm.velero, self._ask_velero))
            tasks.create_task(self._every(self.rhythm.inventory, self._take_inventory))

    async def _every(self, seconds: float, ask: Callable[[], Any]) -> None:
        while True:
            unless_cancelled()
            try:
                await ask()
            except CredentialsRefusedError:
                raise
            except (Unavailable, KubeError) as error:
                log.info("question not answered", **{logging.CLUSTER: self.cluster, logging.REASON: str(error)})
            except Exception:  # one odd answer must not silence a cluster
                log.exception("question failed", **{logging.CLUSTER: self.cluster})
            # What has never been answered is asked again soon: a cluster that is just coming up should show at once.
            await asyncio.sleep(seconds if self._api.answered_at and self.velero.answered_at else min(seconds, 2))

    # ------------------------------------------------------------------ presence

    async def _be_present(self) -> None:
        refused = False
        try:
            version = await self.kube.read("/version")
        except (Unavailable, KubeError) as error:
            refused = isinstance(error, UnauthorizedError)
            self._api = Answer(answered_at=self._api.answered_at, problem=str(error)[:_WORDS])
            self.dependency.missing(str(error))
        else:
            self._version = str(version.get("gitVersion") or "")
            self._api = Answer(answered_at=self.clock())
            self.dependency.answers()
        self._refused = self._refused + 1 if refused else 0
        data = Presence(
            mode=self.mode,
            instance=self.instance,
            api_server=self._api,
            velero=self.velero,
            problems=some([*self._of_cluster(), *self.problems()]),
            cluster_uid=self.cluster_uid(),
        )
        await self._publish(subjects.presence(self.cluster), Noun.PRESENCE, self.clock(), data)
        if self._refused >= _REFUSALS:
            raise CredentialsRefusedError(f"cluster {self.cluster} refuses our credentials")

    def _of_cluster(self) -> list[Problem]:
        """Return what is wrong with the cluster as a whole, as far as it was asked for."""
        found = (problems.too_old(self._velero_status.get("serverVersion")), self._skew, self.sealing.problem)
        return [problem for problem in found if problem]

    # ------------------------------------------------------------------ Velero

    async def _ask_velero(self) -> None:
        """Have Velero answer a ServerStatusRequest, which needs a running controller, not just a stored object."""
        before, asked = self.velero, self.clock()
        try:
            self._velero_status = await self._status_of_velero()
        except Unavailable as error:
            self.velero = Answer(answered_at=before.answered_at, problem=error.reason)
        except KubeError as error:
            self.velero = Answer(answered_at=before.answered_at, problem=str(error))
        else:
            self.velero = Answer(answered_at=self.clock())
            self._skew = problems.clock_skew(asked, self.clock(), self._velero_status.get("processedTimestamp"))
        if (before.problem is None) != (self.velero.problem is None) or before.answered_at is None:
            await self._be_present()
            await self._take_inventory()

    async def _status_of_velero(self) -> Object:
        request = await self.kube.create(
            STATUS_REQUESTS,
            {
                "apiVersion": STATUS_REQUESTS.api_version,
                "kind": STATUS_REQUESTS.name,
                "metadata": {"generateName": "leeward-", "namespace": self.namespace},
                "spec": {},
            },
        )
        name = str(request["metadata"]["name"])
        try:
            async with asyncio.timeout(self.rhythm.velero_answers):
                while True:
                    status = (await self.kube.get(STATUS_REQUESTS, name)).get("status") or {}
                    if status.get("phase") == "Processed":
                        return dict(status)
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise Unavailable(
                f"Velero in {self.cluster}", f"did not answer a status request within {self.rhythm.velero_answers:g} s"
            ) from None
        finally:
            with contextlib.suppress(Unavailable, KubeError, TimeoutError):
                async with asyncio.timeout(_TIDYING):
                    await self.kube.delete(STATUS_REQUESTS, name)

    # ------------------------------------------------------------------ inventory

    async def _take_inventory(self) -> None:
        loop = asyncio.get_running_loop()
        spaces, agent, key = await asyncio.gather(namespaces(self.kube), node_agent(self.kube), self.sealing.public())
        if loop.time() - self._kinds_read > self.rhythm.kinds:
            await self.kinds.read()
            self._kinds_read = loop.time()
        plugins = self._velero_status.get("plugins")
        velero = VeleroInfo(
            namespace=self.namespace,
            version=self._velero_status.get("serverVersion"),
            plugins=sorted({str(p.get("name")) for p in plugins if isinstance(p, dict)}) if isinstance(plugins, list) else [],
            node_agent=agent,
        )
        kinds = list(self.kinds.known.found)
        inventory = fitting(
            Inventory(kubernetes_version=self._version, velero=velero, namespaces=spaces, kinds=kinds, sealing_key=key)
        )
        # Said when it has changed, and every ten minutes all the same, so that what people see is never older than that.
        told = (inventory, int(loop.time() / 600))
        if told != self._told:
            await self._publish(subjects.inventory(self.cluster), Noun.INVENTORY, self.clock(), inventory)
            self._told = told

    async def _publish(self, subject: str, noun: Noun, now: datetime, data: Wire) -> None:
        envelope = Envelope[Wire](
            id=f"{self.instance}/{self.cluster}/{noun}/{now.timestamp():.3f}",
            source=f"/clusters/{self.cluster}/executor",
            type=type_name(noun, "observed"),
            time=now,
            cluster=self.cluster,
            data=data,
        )
        try:
            await self.publisher.publish(subject, envelope)
        except Unavailable as missing:
            log.warning("not told", **{logging.SUBJECT: subject, logging.REASON: missing.reason})
            raise
