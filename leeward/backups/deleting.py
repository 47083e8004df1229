"""Deleting backups with all of their data: one or many, asked first, and what became of each."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from leeward import arguments
from leeward.arguments import InCluster, NamesOrIds, Patience
from leeward.columns import BACKUPS
from leeward.confirming import confirmed
from leeward.errors import CliError, Exit
from leeward.fates import Fate, end, ordered_all
from leeward.finding import backups as find_backups
from leeward.session import Session


async def delete(
    session: Session,
    backup: NamesOrIds = None,
    *,
    cluster: InCluster = None,
    selector: arguments.Selector = None,
    everything: Annotated[bool, typer.Option("--all", help="Every backup of the cluster (--cluster) that is its own.")] = False,
    confirm: arguments.Confirm = False,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait until they are gone; the exit code says whether.")] = False,
    timeout: Patience = None,
    deadline: arguments.Deadline = None,
) -> Exit | None:
    """Delete backups with all of their data.

    In the storage and of volumes; it cannot be undone. If one of the names cannot be found, nothing is deleted.
    """
    patience = arguments.patience(timeout, wait=wait)
    if everything and cluster is None:
        raise CliError("--all is every backup of one cluster: name it (--cluster)", Exit.USAGE)
    found = await find_backups(session.client, backup or [], cluster, selector, everything=everything)
    if not found:
        raise CliError("there is no such backup", Exit.NOT_FOUND)
    if not confirm:
        _ask(session, found)
    fates = await ordered_all(session, "/backups/delete", [Fate("backup", item) for item in found], deadline)
    return await end(session, fates, patience, wait=wait)


def _ask(session: Session, found: Sequence[Mapping[str, Any]]) -> None:
    """Let the person see what is to go, and say yes."""
    what = f"these {len(found)} backups with all of their data" if len(found) > 1 else "this backup with all of its data"
    columns = [column for column in BACKUPS if column.title != "Expires In"]
    confirmed(session.output, columns, found, f"Delete {what}?")
