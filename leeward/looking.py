"""Looking at backups: the list, one line, all that is known."""

from typing import Annotated

import typer

from leeward import arguments, completion, detail, listing, reading
from leeward.arguments import InCluster, NameOrId, NamesOrIds
from leeward.columns import BACKUPS
from leeward.finding import backup as find_backup
from leeward.finding import backups as find_backups
from leeward.finding import path
from leeward.session import Session


async def list_(
    session: Session,
    *,
    cluster: Annotated[
        list[str],
        typer.Option("--cluster", "-c", metavar="CLUSTER", help="Of this cluster.", autocompletion=completion.clusters),
    ] = [],  # noqa: B006 - Typer copies it
    status: Annotated[
        list[str],
        typer.Option("--status", "-s", metavar="STATUS", help="With this status.", autocompletion=completion.statuses),
    ] = [],  # noqa: B006 - as above
    outcome: Annotated[
        list[str],
        typer.Option("--outcome", metavar="OUTCOME", help="That ended so, expired or not.", autocompletion=completion.outcomes),
    ] = [],  # noqa: B006 - as above
    created_by: Annotated[list[str], typer.Option("--created-by", metavar="WHO", help="By anna, Schedule, User/anna.")] = [],  # noqa: B006 - as above
    schedule: Annotated[
        list[str],
        typer.Option("--schedule", metavar="SCHEDULE", help="Made by this schedule.", autocompletion=completion.schedules),
    ] = [],  # noqa: B006 - as above
    storage_location: Annotated[list[str], typer.Option("--storage-location", metavar="LOCATION", help="Stored there.")] = [],  # noqa: B006 - as above
    label: Annotated[
        list[str], typer.Option("--label", "-l", metavar="KEY[=VALUE]", help="With this label: team=shop, or team.")
    ] = [],  # noqa: B006 - as above
    search: arguments.Search = None,
    created_after: Annotated[str | None, typer.Option("--created-after", metavar="TIME", help="Made after.")] = None,
    created_before: Annotated[str | None, typer.Option("--created-before", metavar="TIME", help="Made before.")] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            "--sort", metavar="FIELDS", help="E.g. -createdAt,name [API: -createdAt].", autocompletion=completion.sorts
        ),
    ] = None,
    limit: arguments.Limit = None,
    cursor: arguments.Cursor = None,
    everything: arguments.All = False,
    watch: arguments.Watch = False,
) -> None:
    """List backups of the whole fleet, the newest first.

    A filter given twice means either, different filters mean both.
    """
    params = {
        "cluster": cluster,
        "status": [completion.STATUSES.get(s.lower(), s) for s in status],
        "outcome": [completion.STATUSES.get(s.lower(), s) for s in outcome],
        "createdBy": created_by,
        "schedule": schedule,
        "storageLocation": storage_location,
        "label": label,
        "search": search,
        "createdAfter": arguments.moment(created_after, "--created-after"),
        "createdBefore": arguments.moment(created_before, "--created-before"),
        "sort": sort,
        "limit": limit,
        "cursor": cursor,
    }
    of = listing.Listing("/backups", BACKUPS, "backups")
    if watch:
        await listing.watch(session, of, params, everything=everything)
    else:
        await listing.show(session, of, params, everything=everything)


async def get(session: Session, backup: NameOrId, cluster: InCluster = None) -> None:
    """Show a backup in one line; -o json has all of it."""
    found = await find_backup(session.client, backup, cluster)
    if session.output.table:
        session.output.rows(BACKUPS, [found])
    else:
        session.output.data(found)


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
            detail.show(session.output, item)
            if details:
                await reading.describe_resources(session, item)
        return
    session.output.data(found[0] if backup is not None and len(backup) == 1 else {"items": found})
