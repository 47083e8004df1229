"""Looking at restores: the list, one line, all that is known."""

import contextlib
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from leeward import completion, filters, listing, reading
from leeward.arguments import InCluster
from leeward.columns import RESTORES, dig
from leeward.filters import Filter
from leeward.finding import path
from leeward.finding import restore as find
from leeward.finding import restores as find_all
from leeward.nouns import RESTORE
from leeward.problems import ApiError
from leeward.restores import telling
from leeward.restores.arguments import NameOrId, NamesOrIds
from leeward.session import Session
from shared.contracts.phases import RestoreStatus

FILTERS: Sequence[Filter] = (
    Filter("--cluster -c", "cluster", "CLUSTER", "Into this cluster.", completion.clusters),
    filters.status(completion.RESTORE_STATUSES, completion.restore_statuses),
    filters.OUTCOME,
    Filter("--backup", "backup", "NAME|ID", "Of this backup.", completion.backups),
    Filter("--schedule", "schedule", "SCHEDULE", "Of its latest good backup.", completion.schedules),
    filters.CREATED_BY,
    filters.LABEL,
    filters.SEARCH,
    filters.time("--created-after", "createdAfter", "Asked for after."),
    filters.time("--created-before", "createdBefore", "Asked for before."),
    filters.sort("E.g. -createdAt,name", "-createdAt", completion.restore_sorts),
)
LIST = listing.Listing("/restores", RESTORES, "restores", kinds=("restore",))
WORDS = """List restores of the whole fleet, the newest first.

Also those that were made past Leeward. A filter given twice means either, different filters mean both.
"""


async def get(session: Session, restore: NameOrId, cluster: InCluster = None) -> None:
    """Show a restore in one line; -o json has all of it."""
    found = await find(session.client, restore, cluster)
    session.output.one(RESTORES, found)


async def describe(
    session: Session,
    restore: NamesOrIds = None,
    *,
    cluster: InCluster = None,
    details: Annotated[bool, typer.Option("--details", help="Also what became of each object.")] = False,
) -> None:
    """Show all that is known of restores, and why they failed."""
    found = await find_all(session.client, restore or [], cluster)
    if not session.output.table:
        session.output.data(found[0] if len(found) == 1 else {"items": found})
        return
    for number, item in enumerate(found):
        if number:
            session.output.line("\n")
        telling.show(session.output, await _in_full(session, item))
        if details:
            await reading.describe_resources(session, reading.address(RESTORE, item))


async def _in_full(session: Session, item: dict[str, Any]) -> dict[str, Any]:
    """Return a restore that was refused with all that was said to it: of that it has the beginning, its operation the rest."""
    if item.get("status") != RestoreStatus.REFUSED:
        return item
    with contextlib.suppress(ApiError):
        operation = await session.client.get(path("operations", str(item.get("operationId") or item["id"])))
        return {**item, "reason": dig(operation, "refusal", "detail") or item.get("reason")}
    return item
