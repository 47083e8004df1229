"""The queue: which backup may start, one after the other or several at once, never two of the same namespace."""

from collections.abc import Iterable

from simulator.documents import Document, dig
from simulator.velero.client import phase_of
from simulator.velero.controller import Change, Controller
from simulator.velero.selection import namespaces_of

_NEW = ("", "New")
_AHEAD = ("Queued", "ReadyToStart", "InProgress")


def position(backup: Document) -> int:
    """Return the place of a backup in the queue; those that have left it are before all others."""
    return int(dig(backup, "status.queuePosition") or 0)


def queued(backups: Iterable[Document]) -> list[Document]:
    """Return the backups that wait, in their order."""
    return sorted((backup for backup in backups if phase_of(backup) == "Queued"), key=position)


def conflict(backup: Document, others: Iterable[Document], namespaces: list[str]) -> str:
    """Return the name of a backup ahead that holds one of the same namespaces, or nothing."""
    mine = set(namespaces_of(backup.get("spec") or {}, namespaces))
    for other in others:
        behind = phase_of(other) == "Queued" and position(other) >= position(backup)
        if not behind and mine.intersection(namespaces_of(other.get("spec") or {}, namespaces)):
            return str(other["metadata"]["name"])
    return ""


class BackupQueue(Controller):
    """Takes new backups into the queue and out of it.

    It looks at the queue when a backup has ended, when a new one comes while a place is free, and at its ticks. In 1.18 it
    often looks a moment before the place of the ended backup is free; then all wait for the next tick.
    """

    kind = "backups"
    tick = "queue_recheck"

    def keys(self, change: Change) -> Iterable[str]:
        """Return a new backup, or everything that waits where a place may be free."""
        if phase_of(change.after) in _NEW and change.after is not None:
            return (change.name,)
        if change.before is None or change.after is None:
            return ()
        before, after = phase_of(change.before), phase_of(change.after)
        ended = before == "InProgress" != after and not self.velero.tracker.missed(change.name)
        came = before != "Queued" == after and self._free()
        return self.ticked() if ended or came else ()

    def ticked(self) -> Iterable[str]:
        """Return everything that waits."""
        return [backup["metadata"]["name"] for backup in queued(self.velero.known("backups"))]

    async def reconcile(self, name: str) -> None:
        """Take a new backup in, or a waiting one out if it may start."""
        backup = self.client.find("backups", name)
        if backup is not None and phase_of(backup) in _NEW:
            await self.velero.work()
            await self._enter(name)
        elif backup is not None and self._may_start(backup):
            await self.velero.work()
            await self._leave(name)

    async def _enter(self, name: str) -> None:
        if phase_of(self.client.find("backups", name)) in _NEW:
            last = max((position(backup) for backup in queued(self.client.list("backups"))), default=0)
            self.client.patch_status("backups", name, phase="Queued", queuePosition=last + 1)

    async def _leave(self, name: str) -> None:
        backup = self.client.find("backups", name)
        if backup is None or not self._may_start(backup):
            return
        self.velero.tracker.starting(name)
        self.client.patch_status("backups", name, phase="ReadyToStart", queuePosition=None)
        for place, other in enumerate(queued(self.client.list("backups")), 1):
            if position(other) != place:
                self.client.patch_status("backups", other["metadata"]["name"], queuePosition=place)

    def _free(self) -> bool:
        return self.velero.tracker.running < max(self.settings.concurrent_backups, 1)

    def _may_start(self, backup: Document) -> bool:
        """Tell whether a waiting backup is the first one that nothing holds back."""
        if phase_of(backup) != "Queued" or not self._free():
            return False
        namespaces = [item["metadata"]["name"] for item in self.client.store.list("namespaces")]
        mine = position(backup)
        ahead = [item for item in self.client.list("backups") if phase_of(item) in _AHEAD and position(item) < mine]
        if conflict(backup, ahead, namespaces):
            return False
        return all(conflict(other, ahead, namespaces) for other in queued(ahead))
