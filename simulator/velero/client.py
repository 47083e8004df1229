"""What a controller does with objects: the store of its cluster, seen from Velero's namespace, until its process is killed."""

from datetime import UTC, datetime, timedelta
from typing import Any

from simulator.cluster import SimulatedCluster
from simulator.documents import Document
from simulator.store import Store
from simulator.watch import Watch


class Killed(Exception):  # noqa: N818 (nobody handles it as an error: it ends what a dead process would still do)
    """This process is dead and writes nothing any more."""


class Client:
    """Objects in Velero's namespace, by kind (`backups`) and name. It lives as long as one Velero process.

    Reading is as in `Store`. Every write is one request, so that a watch sees it as one event.
    """

    def __init__(self, cluster: SimulatedCluster) -> None:
        self.store: Store = cluster.store
        self.namespace = cluster.velero_namespace
        self._dead = False

    def die(self) -> None:
        """Refuse every later write."""
        self._dead = True

    def now(self) -> datetime:
        """Return the time by the clock of the cluster."""
        return self.store.now()

    def timestamp(self, after: float = 0.0) -> str:
        """Return the time `after` seconds from now as objects carry it."""
        return (self.now() + timedelta(seconds=after)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def age(self, timestamp: str | None) -> float:
        """Return how long ago a timestamp was by the clock of the cluster, which is nobody's to speed up."""
        since = moment(timestamp)
        return 0.0 if since is None else (self.now() - since).total_seconds()

    def find(self, kind: str, name: str) -> Document | None:
        """Return an object, or None."""
        return self.store.find(kind, name, self.namespace)

    def list(self, kind: str, labels: str = "") -> list[Document]:
        """Return the objects of a kind, by name."""
        return self.store.list(kind, self.namespace, labels=labels)

    def watch(self, kind: str) -> Watch:
        """Follow a kind: what exists as ADDED, then the changes."""
        return self.store.watch(kind, self.namespace)

    def create(self, kind: str, document: Document) -> Document:
        """Create an object. Raise ApiError."""
        self.check()
        return self.store.create(kind, document, self.namespace)

    def patch(self, kind: str, name: str, patch: Document) -> Document:
        """Change an object by a merge patch and return it. Raise ApiError."""
        self.check()
        return self.store.patch(kind, name, patch, self.namespace)

    def patch_status(self, kind: str, name: str, **fields: Any) -> Document:
        """Change fields of the status; None removes one."""
        return self.patch(kind, name, {"status": fields})

    def delete(self, kind: str, name: str) -> None:
        """Delete an object, or mark it if it has finalizers. Raise ApiError."""
        self.check()
        self.store.delete(kind, name, self.namespace)

    def check(self) -> None:
        """Raise Killed in a dead process; due before a write that goes past this client."""
        if self._dead:
            raise Killed


def phase_of(document: Document | None) -> str:
    """Return the phase of an object, empty when it has none (or is not there)."""
    status = (document or {}).get("status") or {}
    return str(status.get("phase", ""))


def moment(text: str | None) -> datetime | None:
    """Read a timestamp of an object."""
    return datetime.fromisoformat(text) if text else None
