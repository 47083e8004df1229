"""Reading what Velero wrote of a restore: its log, its results, and what became of each object."""

from leeward import reading
from leeward.arguments import InCluster, Patience, duration, within
from leeward.finding import restore as find
from leeward.nouns import RESTORE
from leeward.restores.arguments import NameOrId
from leeward.session import Session


async def logs(
    session: Session,
    restore: NameOrId,
    *,
    cluster: InCluster = None,
    tail: reading.Tail = None,
    timeout: Patience = None,
) -> None:
    """Print Velero's log of a restore.

    It is there once the restore has ended, and stays when the restore has gone (its first 5 MiB).
    """
    async with within(duration(timeout)):
        await reading.print_log(session, await _address(session, restore, cluster), tail)


async def results(session: Session, restore: NameOrId, *, cluster: InCluster = None) -> None:
    """Show the errors and warnings of a restore."""
    await reading.print_results(session, await _address(session, restore, cluster))


async def resources(session: Session, restore: NameOrId, *, cluster: InCluster = None) -> None:
    """List the objects of a restore by kind, and what became of each: created, updated, skipped or failed."""
    await reading.print_resources(session, await _address(session, restore, cluster), "the restore is of no objects")


async def _address(session: Session, name_or_id: str, cluster: str | None) -> str:
    return reading.address(RESTORE, await find(session.client, name_or_id, cluster))
