"""Looking at clusters: the list, all that is known of one, and what it holds."""

from typing import Any

from leeward import describing, listing
from leeward.arguments import All, Cursor, Limit
from leeward.clusters.arguments import Name, Names
from leeward.columns import CLUSTERS, KINDS, NAMESPACES
from leeward.errors import CliError, Exit
from leeward.finding import known_clusters, path
from leeward.problems import ApiError
from leeward.session import Session

LIST = listing.Listing("/clusters", CLUSTERS, "clusters", "`leeward cluster add NAME` registers one")
WORDS = "List every cluster that is registered or reports."


async def get(session: Session, name: Name) -> None:
    """Show what is known of a cluster, and what is wrong with it."""
    await describe(session, [name])


async def describe(session: Session, name: Names = None) -> None:
    """Show all that is known of clusters, and what is wrong with them."""
    if not name:
        raise CliError("name clusters", Exit.USAGE)
    found = [await of_name(session, each) for each in dict.fromkeys(name)]
    if not session.output.table:
        session.output.data(found[0] if len(found) == 1 else {"items": found})
        return
    for number, item in enumerate(found):
        if number:
            session.output.line("\n")
        describing.cluster(session.output, item)


async def namespaces(
    session: Session, name: Name, *, limit: Limit = None, cursor: Cursor = None, everything: All = False
) -> None:
    """List the namespaces of a cluster, as it last told."""
    await of_name(session, name)
    of = listing.Listing(path("clusters", name, "namespaces"), NAMESPACES, "namespaces known")
    await listing.show(session, of, {"limit": limit, "cursor": cursor}, everything=everything)


async def kinds(session: Session, name: Name, *, limit: Limit = None, cursor: Cursor = None, everything: All = False) -> None:
    """List the kinds of objects that a cluster has, as it last told."""
    await of_name(session, name)
    of = listing.Listing(path("clusters", name, "resources"), KINDS, "kinds known")
    await listing.show(session, of, {"limit": limit, "cursor": cursor}, everything=everything)


async def of_name(session: Session, name: str) -> dict[str, Any]:
    """Return a cluster; whoever names an unknown one is told which there are.

    Raises CliError.
    """
    try:
        item: dict[str, Any] = await session.client.get(path("clusters", name))
    except ApiError as error:
        if error.exit_code is Exit.NOT_FOUND:
            error.hints += await known_clusters(session.client)
        raise
    return item
