"""Several clusters with a Velero in each, and the object storage that they share, as one thing to start and to stop."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from simulator.access import ADMIN
from simulator.cloud import Cloud
from simulator.cluster import Labels, SimulatedCluster
from simulator.documents import Document
from simulator.seed import Said, bare, furnish, make_buckets
from simulator.velero.server import Velero
from simulator.velero.settings import Settings


@dataclass(frozen=True, slots=True)
class Site:
    """One cluster with its Velero, if it has one, and the storage of all of them."""

    cluster: SimulatedCluster
    velero: Velero | None
    cloud: Cloud


class Fleet:
    """Sites by name. With a folder for data all of it outlives the process: clusters, buckets and the key of signed URLs."""

    def __init__(
        self, names: Sequence[str], *, host: str = "127.0.0.1", port: int = 0, data: Path | None = None, token: str = "",
        seed: Mapping[str, Said] | None = None, settings: Settings | None = None, velero: bool = True,
        namespaces: Mapping[str, Labels] | None = None,
    ) -> None:  # fmt: skip
        """Make a fleet that does not listen yet.

        The clusters take the ports from `port` on, the storage the one after them; 0 lets the system choose. A cluster that the
        seed does not name holds only an installed Velero, with a bucket of its own.

        Raise DataInUse when another process works on the folder.
        """
        ports = range(port, port + len(names) + 1) if port else [0] * (len(names) + 1)
        self.cloud = Cloud(data / "storage" if data else None, host=host, port=ports[-1])
        self.sites: dict[str, Site] = {}
        for name, own_port in zip(names, ports, strict=False):
            said = (seed or {}).get(name) or bare(f"velero-{name}")
            make_buckets(self.cloud, said)
            cluster = SimulatedCluster(
                name, host=host, port=own_port, namespaces=namespaces, tokens={token: ADMIN} if token else None,
                data=data / "clusters" / name if data else None,
                furnish=partial(furnish, said=said) if velero else None,
            )  # fmt: skip
            self.sites[name] = Site(cluster, Velero(cluster, self.cloud, settings) if velero else None, self.cloud)
        self._running = AsyncExitStack()

    async def start(self) -> None:
        """Listen everywhere and start every Velero. Raise OSError when a port is taken."""
        async with AsyncExitStack() as starting:
            starting.callback(self._close)
            await starting.enter_async_context(self.cloud)
            for site in self.sites.values():
                await starting.enter_async_context(site.cluster)
            for velero in self.veleros:
                await velero.start()
                starting.push_async_callback(velero.stop)
            self._running = starting.pop_all()

    async def stop(self) -> None:
        """Let every Velero end what it does, then close every port and file."""
        await self._running.aclose()

    def _close(self) -> None:
        for site in self.sites.values():
            site.cluster.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def veleros(self) -> list[Velero]:
        """Every Velero there is."""
        return [site.velero for site in self.sites.values() if site.velero]

    def kubeconfig(self) -> Document:
        """Return one kubeconfig with a context a cluster; the first one's is the current one."""
        return merge_kubeconfigs(site.cluster.kubeconfig() for site in self.sites.values())


def merge_kubeconfigs(configs: Iterable[Document]) -> Document:
    """Make one kubeconfig of several; the first one's context stays the current one."""
    given = list(configs)
    merged = dict(given[0])
    for part in ("clusters", "users", "contexts"):
        merged[part] = [entry for config in given for entry in config[part]]
    return merged
