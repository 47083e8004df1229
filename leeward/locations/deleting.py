"""Removing locations: what lies in the storage stays."""

from typing import Annotated

import typer

from leeward import arguments
from leeward.arguments import InCluster, Patience
from leeward.confirming import confirmed
from leeward.errors import Exit
from leeward.fates import Fate, end, ordered
from leeward.locations.arguments import Names
from leeward.locations.looking import find_all
from leeward.locations.sorts import Sort
from leeward.session import Session


async def delete(
    sort: Sort,
    session: Session,
    name: Names = None,
    *,
    cluster: InCluster = None,
    force: Annotated[bool, typer.Option("--force", help="Although schedules or backups need it.")] = False,
    confirm: arguments.Confirm = False,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait until they are gone; the exit code says whether.")] = False,
    timeout: Patience = None,
) -> Exit | None:
    """Remove {noun}s. What lies in the storage stays.

    A Secret that Leeward made for one goes with it. If one of the names cannot be found, nothing is removed.
    """
    patience = arguments.patience(timeout, wait=wait)
    found = await find_all(session.client, sort, name or [], cluster)
    if not confirm:
        what = f"this {sort.words}" if len(found) == 1 else f"these {len(found)} {sort.words}s"
        confirmed(session.output, sort.columns, found, f"Remove {what}? What lies in the storage stays.")
    params = {"force": "true"} if force else None
    fates = [
        await ordered(session.client, Fate(sort.words, item), sort.address(item["cluster"], item["name"]), params)
        for item in found
    ]
    return await end(session, fates, patience, wait=wait)
