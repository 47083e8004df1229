"""A simulated cluster: a store, the API server in front of it, and what can happen to both."""

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Self

import yaml

from simulator import discovery
from simulator.access import Access, User
from simulator.api import Api, Manner
from simulator.disk import Disk
from simulator.documents import Document
from simulator.etcd import Snapshot
from simulator.faults import Faults
from simulator.server import Listener
from simulator.store import Store, utc_now

Labels = Mapping[str, str]

SYSTEM_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
FIRST_REVISION = 200
"""Where resource versions start: a cluster that has just been made has written a few hundred objects already."""


class SimulatedCluster:
    """One cluster. Everything in it outlives `stop` and `start`, as etcd outlives an API server.

    `store` is the way in for controllers and tests of the same process, `faults` what a test orders at the front door.
    """

    def __init__(
        self,
        name: str,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        namespaces: Mapping[str, Labels] | None = None,
        velero_namespace: str = "velero",
        tokens: Mapping[str, User] | None = None,
        manner: Manner | None = None,
        now: Callable[[], datetime] = utc_now,
        history: int = 10_000,
        data: Path | None = None,
        furnish: Callable[[Store], None] | None = None,
    ) -> None:
        """Make a cluster that does not listen yet.

        Args:
            name: what kubeconfigs call it.
            host: the address to listen on.
            port: the port to listen on; 0 lets the system choose one, which is kept for later starts.
            namespaces: further namespaces, with their labels.
            velero_namespace: where Velero is installed.
            tokens: bearer tokens and their users; without any, everybody may do everything.
            manner: version and times of the API server.
            now: the clock of the cluster.
            history: how many changes of each kind a watch can start behind.
            data: a folder whose file holds etcd, so that the cluster outlives the process; what is in it already wins over
                `namespaces` and `furnish`. Without one, everything is in memory.
            furnish: writes what a new cluster holds from the beginning.

        Raise DataInUse when another process works on the folder.

        """
        self.name = name
        self.velero_namespace = velero_namespace
        self._furnish = furnish or _leave_empty
        self._disk = Disk(data / "etcd.sqlite") if data else None
        self.store = Store(now=now, history=history, disk=self._disk)
        self.faults = Faults()
        self.access = Access(dict(tokens or {}))
        self._namespaces: dict[str, Labels] = {name: {} for name in (*SYSTEM_NAMESPACES, velero_namespace)}
        self._namespaces |= namespaces or {}
        api = Api(self.store, self.faults, self.access, manner or Manner(), self._drop)
        self._listener = Listener(api, host, port)
        self.is_new = self.store.find("namespaces", "kube-system") is None
        """Whether nothing was there before, on disk."""
        if self.is_new:
            self._build(FIRST_REVISION)

    def _drop(self, client: object) -> None:
        self._listener.drop(client)

    def _build(self, revision: int) -> None:
        """Make the cluster at once: whoever looks, also on disk, finds all of it or nothing."""
        fresh = Store(now=self.store.now, revision=revision)
        for definition in discovery.definitions():
            fresh.create("customresourcedefinitions", definition)
        for name, labels in self._namespaces.items():
            fresh.create("namespaces", {"metadata": {"name": name, "labels": dict(labels)}})
        self._furnish(fresh)
        self.store.restore(fresh.snapshot())

    # Reaching it

    @property
    def url(self) -> str:
        """Where it listens. Raise RuntimeError before the first start when the port was left to the system."""
        if not self._listener.port:
            raise RuntimeError(f"cluster {self.name} has no port before its first start")
        host = f"[{self._listener.host}]" if ":" in self._listener.host else self._listener.host
        return f"http://{host}:{self._listener.port}"

    @property
    def listening(self) -> bool:
        """Whether its API server accepts connections."""
        return self._listener.listening

    def kubeconfig(self, *, token: str | None = None) -> Document:
        """Return a kubeconfig with one context of the cluster's name; the token is the first one unless given."""
        token = token or next(iter(self.access.tokens), None)
        user: Document = {"token": token} if token else {}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": self.name, "cluster": {"server": self.url}}],
            "users": [{"name": self.name, "user": user}],
            "contexts": [{"name": self.name, "context": {"cluster": self.name, "user": self.name}}],
            "current-context": self.name,
        }

    def write_kubeconfig(self, path: Path | str, *, token: str | None = None) -> Path:
        """Write the kubeconfig to a file and return its path."""
        path = Path(path)
        path.write_text(yaml.safe_dump(self.kubeconfig(token=token), sort_keys=False))
        return path

    # The life of its API server

    async def start(self) -> None:
        """Listen on the port of the last time. Raise OSError when it is taken."""
        self.faults.open()
        await self._listener.start()

    async def stop(self) -> None:
        """Refuse connections and break the open ones, as a killed API server does. The store stays."""
        self.faults.close()
        await self._listener.stop()

    def close(self) -> None:
        """Let go of the file that holds etcd, if there is one. Nothing can be written any more."""
        if self._disk:
            self._disk.close()

    async def restart(self) -> None:
        """Kill the API server and start it again: its watch cache is empty, so older versions have expired."""
        await self.stop()
        self.store.compact()
        await self.start()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # What can happen to its memory

    def compact(self) -> None:
        """Let every version up to now expire: a watch from before answers 410. Open watches go on."""
        self.store.compact()

    def snapshot(self) -> Snapshot:
        """Take a backup of etcd."""
        return self.store.snapshot()

    def restore_etcd(self, snapshot: Snapshot) -> None:
        """Go back to a backup of etcd: objects vanish or return without an event, and resource versions fall."""
        self.store.restore(snapshot)
        self.faults.cut_watches(reset=True)

    def rebuild(self, *, revision: int = FIRST_REVISION) -> None:
        """Put a new cluster in its place: same name and address, other uids, versions from `revision` on."""
        self._build(revision)
        self.faults.cut_watches(reset=True)

    @property
    def uid(self) -> str:
        """The uid of the namespace kube-system, by which clusters are told apart."""
        return str(self.store.get("namespaces", "kube-system")["metadata"]["uid"])


def _leave_empty(_: Store) -> None:
    """Furnish nothing."""
