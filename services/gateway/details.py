"""One backup: found by any id that it ever had, and shown with all that is known of it."""

from typing import Any

from services.gateway import reading
from services.gateway.ports import Ports
from services.gateway.problems import ProblemError
from shared.contracts.phases import BackupStatus
from shared.contracts.views import BackupDetail, BackupItem

Document = dict[str, Any]


def unknown(backup_id: str) -> ProblemError:
    """Return the problem of an id that no backup has or had."""
    return ProblemError("not-found", f"There is no backup {backup_id}.")


async def row_of(ports: Ports, backup_id: str) -> Document:
    """Return the row of a backup.

    Raises the problem of an id that no backup has or had.
    """
    found = await ports.store.backup(backup_id)
    if found is None:
        raise unknown(backup_id)
    return found


def item_of(row: Document) -> BackupItem:
    """Return what a list shows of a backup.

    Raises the problem of a row that this version cannot read.
    """
    try:
        return reading.view(BackupItem, row.get("item"))
    except reading.UnreadableError as error:
        raise _unreadable(row, error) from error


async def detail_of(ports: Ports, row: Document) -> BackupDetail:
    """Return a backup with all that is known of it.

    Raises the problem of a row that this version cannot read.
    """
    try:
        detail = reading.backup_detail(row, await ports.store.transitions(str(row["_id"])))
    except reading.UnreadableError as error:
        raise _unreadable(row, error) from error
    if detail.status is not BackupStatus.CREATING or detail.present or detail.reason:
        return detail
    return detail.model_copy(update={"reason": await _waits_for(ports, detail.cluster)})


async def _waits_for(ports: Ports, cluster: str) -> str:
    """Say what a backup waits for that was asked for and that no cluster has shown."""
    seen = reading.last_seen(await ports.store.cluster_state(cluster))
    return f"Waits for cluster {cluster}, which was {f'last seen {seen:%Y-%m-%d %H:%M:%S} UTC' if seen else 'never seen'}."


def ids_of(row: Document, item: BackupItem) -> list[str]:
    """Return every id that a backup has or had: by these an executor knows it from another of the same name."""
    known = [str(row["_id"]), item.id, *item.previous_ids, *map(str, row.get("aliases") or ())]
    return list(dict.fromkeys(known))


def _unreadable(row: Document, error: reading.UnreadableError) -> ProblemError:
    return ProblemError("unreadable-document", f"The record of backup {row['_id']} cannot be read: {error}")
