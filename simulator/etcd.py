"""What survives a restart: every object, one revision counter for all of them, and the changes since the last compaction.

Objects in here are never modified, only replaced, so that a snapshot is a shallow copy and a watch can hold an old version.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from simulator.disk import Disk
from simulator.documents import Document, Name, Objects


class Compacted(Exception):  # noqa: N818 (it is what etcd calls this)
    """The changes asked for are not there any more."""

    def __init__(self, revision: int, floor: int) -> None:
        super().__init__(f"too old resource version: {revision} ({floor})")


@dataclass(frozen=True, slots=True)
class Change:
    """One write: `before` is None for a creation, `after` is None for a deletion."""

    revision: int
    resource: str
    name: Name
    before: Document | None
    after: Document | None


Listener = Callable[[Change | None], None]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole content of an etcd at one revision."""

    revision: int
    objects: dict[str, Objects]


class Etcd:
    """A versioned store of documents by resource (`backups.velero.io`) and (namespace, name)."""

    def __init__(self, *, history: int, revision: int = 0, disk: Disk | None = None) -> None:
        """Keep at least the last `history` changes of each resource, at most twice as many; count on from `revision`.

        With a disk, go on from what it holds. The changes that led there are compacted.
        """
        self._disk = disk
        kept = disk.load() if disk else None
        self.revision, self._objects = kept or (revision, {})
        self._compacted = self.revision
        self._history = history
        self._changes: dict[str, list[Change]] = {}
        self._floors: dict[str, int] = {}
        self._listeners: dict[str, set[Listener]] = {}

    def get(self, resource: str, name: Name) -> Document | None:
        """Return a document, if it is there."""
        return self._objects.get(resource, {}).get(name)

    def objects(self, resource: str, revision: int | None = None) -> Iterator[tuple[Name, Document]]:
        """Return the objects of one resource in the order of their keys, now or at an earlier revision. Raise Compacted."""
        found = dict(self._objects.get(resource, {}))
        if revision is not None and revision < self.revision:
            for change in reversed(self.since(revision, resource)):
                if change.before is None:
                    del found[change.name]
                else:
                    found[change.name] = change.before
        return iter(sorted(found.items(), key=lambda item: item[0]))

    def names_in(self, namespace: str) -> list[tuple[str, Name]]:
        """Return everything that lives in a namespace, as (resource, name)."""
        return [(resource, name) for resource, objects in self._objects.items() for name in objects if name[0] == namespace]

    def put(self, resource: str, name: Name, document: Document) -> Document:
        """Store a document, which becomes ours, and return it with its resource version."""
        stored = _at_revision(document, self.revision + 1)
        if self._disk:
            self._disk.put(self.revision + 1, resource, name, stored)
        objects = self._objects.setdefault(resource, {})
        self._record(Change(self.revision + 1, resource, name, objects.get(name), stored))
        objects[name] = stored
        return stored

    def delete(self, resource: str, name: Name) -> None:
        """Remove a document that is there."""
        if self._disk:
            self._disk.delete(self.revision + 1, resource, name)
        before = self._objects[resource].pop(name)
        self._record(Change(self.revision + 1, resource, name, before, None))

    def _record(self, change: Change) -> None:
        self.revision = change.revision
        changes = self._changes.setdefault(change.resource, [])
        changes.append(change)
        if len(changes) > 2 * self._history:
            self._floors[change.resource] = changes[-self._history - 1].revision
            del changes[: -self._history]
        for listener in tuple(self._listeners.get(change.resource, ())):
            listener(change)

    def floor(self, resource: str) -> int:
        """Return the oldest revision from which the changes of a resource are complete."""
        return max(self._compacted, self._floors.get(resource, 0))

    def since(self, revision: int, resource: str) -> list[Change]:
        """Return the changes of one resource after a revision. Raise Compacted."""
        if revision < self.floor(resource):
            raise Compacted(revision, self.floor(resource))
        changes = self._changes.get(resource, [])
        return changes[bisect_right(changes, revision, key=lambda change: change.revision) :]

    def compact(self) -> None:
        """Forget every change so far. Watches that are open have heard of them already and go on."""
        self._compacted = self.revision
        self._changes.clear()
        self._floors.clear()

    def snapshot(self) -> Snapshot:
        """Return everything there is, with its revision."""
        return Snapshot(self.revision, {resource: dict(objects) for resource, objects in self._objects.items()})

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot: what came after it is gone without a change being recorded, and the counter falls."""
        if self._disk:
            self._disk.replace(snapshot.revision, snapshot.objects)
        self.revision = snapshot.revision
        self._objects = {resource: dict(objects) for resource, objects in snapshot.objects.items()}
        self.compact()
        for listeners in tuple(self._listeners.values()):
            for listener in tuple(listeners):
                listener(None)

    def listen(self, resource: str, listener: Listener) -> None:
        """Call the listener with every change of a resource until `unlisten`; with None when etcd is restored."""
        self._listeners.setdefault(resource, set()).add(listener)

    def unlisten(self, resource: str, listener: Listener) -> None:
        """Call the listener no more."""
        self._listeners.get(resource, set()).discard(listener)


def _at_revision(document: Document, revision: int) -> Document:
    return {**document, "metadata": {**document["metadata"], "resourceVersion": str(revision)}}
