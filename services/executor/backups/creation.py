"""`backup.create`: what the order is judged by, and the Backup that it becomes."""

import asyncio
from dataclasses import dataclass
from typing import ClassVar

from services.executor.answering import if_there
from services.executor.backups import policies, requirements
from services.executor.backups.choices import Refused, resolve
from services.executor.backups.policies import Policy
from services.executor.backups.requirements import Around
from services.executor.kube import (
    BACKUPS,
    CONFIG_MAPS,
    LOCATIONS,
    NAMESPACES,
    PODS,
    SNAPSHOT_LOCATIONS,
    Kind,
    KubeError,
    Object,
)
from services.executor.manifests import Resolved, backup, is_of
from services.executor.ports import Ports
from shared.contracts.commands import BackupCreate
from shared.contracts.envelope import Envelope
from shared.contracts.names import Noun
from shared.contracts.notices import Notice
from shared.contracts.refusals import Code, refusal
from shared.contracts.scopes import AllNamespaces


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The cluster as the order found it."""

    namespaces: list[Object]
    locations: list[Object]
    snapshot_locations: list[Object]
    around: Around


@dataclass(frozen=True, slots=True)
class Creation:
    """The making of one Backup."""

    noun: ClassVar[Noun] = Noun.BACKUP
    ports: Ports
    command: Envelope[BackupCreate]

    async def find(self) -> Object | None:
        """See Task."""
        found = await if_there(self.ports.kube, BACKUPS, self.command.data.name)
        if found is not None and not is_of(found, self.command):
            raise Refused(refusal(Code.NAME_TAKEN, cluster=self.ports.cluster, name=self.command.data.name))
        return found

    async def look(self) -> Surroundings:
        """See Task. Reads at once what this order needs to know, and nothing else."""
        scope = self.command.data.scope
        everything = isinstance(scope, AllNamespaces) and not scope.excluded_namespaces
        namespaces, locations, snapshot_locations, around = await asyncio.gather(
            _nothing() if everything else self._all(NAMESPACES),
            self._all(LOCATIONS),
            self._all(SNAPSHOT_LOCATIONS),
            self._around(),
        )
        return Surroundings(namespaces, locations, snapshot_locations, around)

    def judge(self, seen: Surroundings) -> list[Notice]:
        """See Task."""
        notices = requirements.judge(self.command.data, self.ports.cluster, seen.around)
        self._resolved(seen)
        return notices

    async def make(self, seen: Surroundings) -> Object:
        """See Task."""
        return await self.ports.kube.create(BACKUPS, backup(self.command, self._resolved(seen), self.ports.namespace))

    def _resolved(self, seen: Surroundings) -> Resolved:
        return resolve(self.command.data, self.ports.cluster, seen.namespaces, seen.locations, seen.snapshot_locations)

    async def _around(self) -> Around:
        needed = requirements.kinds_needed(self.command.data)
        kinds, node_agent, policy = await asyncio.gather(
            self.ports.kinds.with_names(needed), self._node_agent(), self._policy()
        )
        return Around(kinds, node_agent, policy, self.ports.velero())

    async def _node_agent(self) -> bool | None:
        order = self.command.data
        if not requirements.wants_node_agent(order):
            return None
        try:
            pods = await self._all(PODS, requirements.NODE_AGENT_LABELS)
        except KubeError:
            if order.spec.snapshot_move_data:
                raise
            return None
        return any((pod.get("status") or {}).get("phase") == "Running" for pod in pods)

    async def _policy(self) -> Policy | None:
        wanted = self.command.data.spec.resource_policy
        config_map = await if_there(self.ports.kube, CONFIG_MAPS, wanted.name) if wanted else None
        return await asyncio.to_thread(policies.read, config_map) if config_map else None

    async def _all(self, kind: Kind, labels: str = "") -> list[Object]:
        return (await self.ports.kube.list(kind, labels)).items


async def _nothing() -> list[Object]:
    return []
