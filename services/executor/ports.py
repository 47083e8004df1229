"""What carrying out commands needs of the world."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from services.executor.kinds import KindMemory
from services.executor.kube import Kube
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


class KnowsEpoch(Protocol):
    """Which epoch of a cluster observations belong to now."""

    async def current(self) -> int:
        """Return the epoch.

        Raises Unavailable until the cluster has answered once.
        """


@dataclass(frozen=True, slots=True)
class Ports:
    """What handlers need: one cluster's API server, what is known of the cluster, a voice, a memory and the time."""

    cluster: str
    namespace: str
    kube: Kube
    kinds: KindMemory
    velero: Callable[[], Answer]
    """When Velero last answered."""
    publisher: Publishes
    record: Remembers
    epoch: KnowsEpoch
    clock: Clock
