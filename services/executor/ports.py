"""What carrying out commands needs of the world."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from services.executor.kinds import KindMemory
from services.executor.kube import Kube
from services.executor.locations.sealing import Sealing
from services.executor.restores.struggles import Struggle
from services.executor.settings import Restoring
from shared.contracts.envelope import Envelope
from shared.contracts.events import Answer
from shared.messaging.publisher import Publishes
from shared.runtime.clock import Clock


class Remembers(Protocol):
    """The event stream as the executor's memory."""

    async def answer(self, cluster: str, operation_id: str) -> Envelope[Any] | None:
        """Return what was said to this operation before, if anything was."""

    async def begun(self, cluster: str, operation_id: str) -> Envelope[Any] | None:
        """Return the last step of this operation that was told, if one was."""

    async def said(self, cluster: str, operation_id: str, verb: str) -> Envelope[Any] | None:
        """Return what was last said to this operation in this way, if anything was: `accepted`, `rejected`, `finished`."""

    async def measured(self, cluster: str, uid: str, noun: str = "backup") -> Envelope[Any] | None:
        """Return what was last found out about a backup or restore that has ended, if anything was."""


class KnowsEpoch(Protocol):
    """Which epoch of a cluster observations belong to now."""

    async def current(self) -> int:
        """Return the epoch.

        Raises Unavailable until the cluster has answered once.
        """


@dataclass(frozen=True, slots=True)
class Ports:
    """What handlers need: one cluster's API server, what is known of the cluster, its key, a voice, a memory and the time."""

    cluster: str
    namespace: str
    kube: Kube
    kinds: KindMemory
    sealing: Sealing
    velero: Callable[[], Answer]
    """When Velero last answered."""
    publisher: Publishes
    record: Remembers
    epoch: KnowsEpoch
    clock: Clock
    heard: float = 0.0
    """Seconds that Velero has to hear of a Secret or a ConfigMap before it hears of what names it."""
    restoring: Restoring = field(default_factory=Restoring)
    making: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held from the look at which restores run until one more is made: two into one namespace must see each other."""
    placing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """The same for storage locations: two that write into one place must see each other."""
    struggles: dict[str, Struggle] = field(default_factory=dict)
    """What goes wrong with restores from other clusters, by operation."""
