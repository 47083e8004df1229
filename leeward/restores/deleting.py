"""Deleting restores: what Velero wrote of them goes, what they brought back stays."""

from typing import Annotated

import typer

from leeward import arguments
from leeward.arguments import InCluster, Patience
from leeward.columns import RESTORES
from leeward.confirming import confirmed
from leeward.errors import Exit
from leeward.fates import Fate, end, ordered_all
from leeward.finding import restores
from leeward.restores.arguments import NamesOrIds
from leeward.session import Session


async def delete(
    session: Session,
    restore: NamesOrIds = None,
    *,
    cluster: InCluster = None,
    confirm: arguments.Confirm = False,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait until they are gone; the exit code says whether.")] = False,
    timeout: Patience = None,
    deadline: arguments.Deadline = None,
) -> Exit | None:
    """Delete restores with their logs and results. What they have brought back stays.

    If one of the names cannot be found, nothing is deleted.
    """
    patience = arguments.patience(timeout, wait=wait)
    found = await restores(session.client, restore or [], cluster)
    if not confirm:
        what = "this restore" if len(found) == 1 else f"these {len(found)} restores"
        confirmed(session.output, RESTORES, found, f"Delete {what}? What was brought back stays.")
    fates = await ordered_all(session, "/restores/delete", [Fate("restore", item) for item in found], deadline)
    return await end(session, fates, patience, wait=wait)
