"""One backup, or one restore: found by any id that it ever had, and shown with all that is known of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from services.gateway import reading
from services.gateway.ports import Ports
from services.gateway.web.problems import ProblemError
from shared.contracts.artifacts import Artifact
from shared.contracts.documents import Collection
from shared.contracts.phases import BackupStatus, RestoreStatus
from shared.contracts.views import BackupDetail, BackupItem, RestoreDetail, RestoreItem

Document = dict[str, Any]
Item = TypeVar("Item", BackupItem, RestoreItem)
Detail = TypeVar("Detail", BackupDetail, RestoreDetail)


@dataclass(frozen=True, slots=True)
class Kind(Generic[Item, Detail]):
    """What can be looked at, and read of: backups, or restores.

    `asked`: the status of one that was asked for and that no cluster has shown yet. `gone`: the statuses of one that is not
    there any more. `kept`: what is copied when one ends.
    """

    noun: Literal["backup", "restore"]
    collection: Collection
    item: type[Item]
    detail: type[Detail]
    asked: str
    gone: frozenset[str]
    kept: frozenset[Artifact]

    def unknown(self, row_id: str) -> ProblemError:
        """Return the problem of an id that none has or had."""
        return ProblemError("not-found", f"There is no {self.noun} {row_id}.")

    async def row_of(self, ports: Ports, row_id: str) -> Document:
        """Return the row of one.

        Raises the problem of an id that none has or had.
        """
        found = await ports.store.row(self.collection, row_id)
        if found is None:
            raise self.unknown(row_id)
        return found

    def item_of(self, row: Document) -> Item:
        """Return what a list shows of it.

        Raises the problem of a row that this version cannot read.
        """
        try:
            return reading.view(self.item, row.get("item"))
        except reading.UnreadableError as error:
            raise self._unreadable(row, error) from error

    async def detail_of(self, ports: Ports, row: Document) -> Detail:
        """Return all that is known of it.

        Raises the problem of a row that this version cannot read.
        """
        try:
            detail = reading.detail(self.detail, row, await ports.store.transitions(str(row["_id"])))
        except reading.UnreadableError as error:
            raise self._unreadable(row, error) from error
        if detail.status != self.asked or detail.present or detail.reason:
            return detail
        return detail.model_copy(update={"reason": await _waits_for(ports, detail.cluster)})

    def ids_of(self, row: Document) -> list[str]:
        """Return every id that it has or had: by these an executor knows it from another of the same name."""
        item = row.get("item")
        shown: Mapping[str, Any] = item if isinstance(item, Mapping) else {}
        known = [row["_id"], shown.get("id", row["_id"]), *(shown.get("previousIds") or ()), *(row.get("aliases") or ())]
        return list(dict.fromkeys(map(str, known)))

    def _unreadable(self, row: Document, error: reading.UnreadableError) -> ProblemError:
        return ProblemError("unreadable-document", f"The record of {self.noun} {row['_id']} cannot be read: {error}")


BACKUPS = Kind(
    "backup",
    Collection.BACKUPS,
    BackupItem,
    BackupDetail,
    asked=BackupStatus.CREATING,
    gone=frozenset({BackupStatus.DELETED, BackupStatus.EXPIRED}),
    kept=frozenset({Artifact.LOG, Artifact.RESULTS}),  # tarballs never are: they hold every Secret
)
RESTORES = Kind(
    "restore",
    Collection.RESTORES,
    RestoreItem,
    RestoreDetail,
    asked=RestoreStatus.RESTORING,
    gone=frozenset(set(RestoreStatus) - {RestoreStatus.RESTORING}),
    kept=frozenset({Artifact.LOG, Artifact.RESULTS, Artifact.RESOURCES}),
)


async def _waits_for(ports: Ports, cluster: str) -> str:
    """Say what something waits for that was asked for and that no cluster has shown."""
    seen = reading.last_seen(await ports.store.cluster_state(cluster))
    return f"Waits for cluster {cluster}, which was {f'last seen {seen:%Y-%m-%d %H:%M:%S} UTC' if seen else 'never seen'}."
