"""Looking at backups: the list, one line, all that is known."""

from collections.abc import Sequence
from typing import Annotated

import typer

from leeward import arguments, completion, filters, listing, reading
from leeward.arguments import InCluster, NameOrId, NamesOrIds
from leeward.backups import telling
from leeward.columns import BACKUPS
from leeward.filters import Filter
from leeward.finding import backup as find_backup
from leeward.finding import backups as find_backups
from leeward.finding import path
from leeward.nouns import BACKUP
from leeward.session import Session

FILTERS: Sequence[Filter] = (
    filters.CLUSTER,
    filters.status(completion.STATUSES, completion.statuses),
    filters.OUTCOME,
    filters.CREATED_BY,
    Filter("--schedule", "schedule", "SCHEDULE", "Made by this schedule.", completion.schedules),
    Filter("--storage-location", "storageLocation", "LOCATION", "Stored there.", completion.locations),
    filters.LABEL,
    filters.SEARCH,
    filters.time("--created-after", "createdAfter", "Made after."),
    filters.time("--created-before", "createdBefore", "Made before."),
    filters.sort("E.g. -createdAt,name", "-createdAt", completion.sorts),
)
LIST = listing.Listing("/backups", BACKUPS, "backups")
WORDS = """List backups of the whole fleet, the newest first.

A filter given twice means either, different filters mean both.
"""


async def get(session: Session, backup: NameOrId, cluster: InCluster = None) -> None:
    """Show a backup in one line; -o json has all of it."""
    found = await find_backup(session.client, backup, cluster)
    session.output.one(BACKUPS, found)


async def describe(
    session: Session,
    backup: NamesOrIds = None,
    *,
    cluster: InCluster = None,
    selector: arguments.Selector = None,
    details: Annotated[bool, typer.Option("--details", help="Also what it holds, object by object.")] = False,
) -> None:
    """Show all that is known of backups, and why they failed."""
    found = await find_backups(session.client, backup or [], cluster, selector)
    if selector is not None:  # which tells what a list shows
        found = [await session.client.get(path("backups", item["id"])) for item in found]
    if session.output.table:
        for number, item in enumerate(found):
            if number:
                session.output.line("\n")
            telling.show(session.output, item)
            if details:
                await reading.describe_resources(session, reading.address(BACKUP, item))
        return
    session.output.data(found[0] if backup is not None and len(backup) == 1 else {"items": found})
