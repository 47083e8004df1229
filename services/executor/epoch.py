"""The epoch of one cluster, as this executor knows it: found out with every list, used for everything that is said."""

import contextlib
from dataclasses import dataclass

from services.executor.kube import NAMESPACES, Kind, Kube, Listed
from shared.messaging.epochs import Epochs
from shared.messaging.outcomes import Unavailable
from shared.runtime.clock import Clock


@dataclass(slots=True)
class ClusterEpoch:
    """Knows which resource versions are comparable. Lists go through here, so that none escapes the comparison."""

    cluster: str
    kube: Kube
    epochs: Epochs
    clock: Clock
    uid: str | None = None
    """Of the namespace kube-system: what tells one cluster from another."""
    _known: int | None = None

    async def list(self, kind: Kind) -> tuple[Listed, int]:
        """List a kind and find out which epoch the result, and what is watched from it on, belongs to."""
        before = await self.epochs.read(self.cluster)
        root = await self.kube.get(NAMESPACES, "kube-system")
        uid = self.uid = str(root["metadata"]["uid"])
        listed = await self.kube.list(kind)
        known = await self.epochs.after_list(self.cluster, before, uid, listed.resource_version, self.clock())
        self._known = known.epoch
        return listed, known.epoch

    async def current(self) -> int:
        """Return the epoch of the newest list.

        Raises Unavailable until something was listed.
        """
        if self._known is None:
            raise Unavailable(f"cluster {self.cluster}", "not listed yet")
        return self._known

    async def seen(self, epoch: int, resource_version: int) -> None:
        """Note how far a watch of that epoch has come; best effort, because the next list says more."""
        with contextlib.suppress(Unavailable):
            await self.epochs.after_event(self.cluster, epoch, resource_version)
