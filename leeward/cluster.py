"""`leeward cluster`, `location` and `operation`: where backups are made and kept, and what became of a request."""

from typing import Annotated, Any

import typer

from leeward import completion, describing, listing
from leeward.arguments import All, Cursor, Limit, Search
from leeward.columns import CLUSTERS, KINDS, LOCATIONS, NAMESPACES
from leeward.errors import CliError, Exit
from leeward.finding import known_clusters, path
from leeward.problems import ApiError
from leeward.request import ValueFormError, selector
from leeward.session import Session, command

clusters = typer.Typer(no_args_is_help=True, help="The clusters that Leeward looks after.")
locations = typer.Typer(no_args_is_help=True, help="Where backups are stored.")
operations = typer.Typer(no_args_is_help=True, help="What was asked for, and what became of it.")

Name = Annotated[str, typer.Argument(metavar="CLUSTER", help="The cluster's name.", autocompletion=completion.clusters)]
_ADDED = {
    "/id": "CLUSTER",
    "/displayName": "--display-name",
    "/productionSelector": "--production-selector",
    "/nonProductionSelector": "--non-production-selector",
    "/dataMovers": "--data-mover",
}


@command(clusters, "list")
async def list_clusters(session: Session, *, limit: Limit = None, cursor: Cursor = None, everything: All = False) -> None:
    """List every cluster that is registered or reports."""
    of = listing.Listing("/clusters", CLUSTERS, "clusters", "`leeward cluster add NAME` registers one")
    await listing.show(session, of, {"limit": limit, "cursor": cursor}, everything=everything)


@command(clusters, "get")
async def get_cluster(session: Session, name: Name) -> None:
    """Show what is known of a cluster, and what is wrong with it."""
    item = await _of_cluster(session, name)
    if session.output.table:
        describing.cluster(session.output, item)
    else:
        session.output.data(item)


@command(clusters, "namespaces")
async def list_namespaces(
    session: Session, name: Name, *, limit: Limit = None, cursor: Cursor = None, everything: All = False
) -> None:
    """List the namespaces of a cluster, as it last told."""
    await _of_cluster(session, name)
    of = listing.Listing(path("clusters", name, "namespaces"), NAMESPACES, "namespaces known")
    await listing.show(session, of, {"limit": limit, "cursor": cursor}, everything=everything)


@command(clusters, "resources")
async def list_kinds(
    session: Session, name: Name, *, limit: Limit = None, cursor: Cursor = None, everything: All = False
) -> None:
    """List the kinds of objects that a cluster has, as it last told."""
    await _of_cluster(session, name)
    of = listing.Listing(path("clusters", name, "resources"), KINDS, "kinds known")
    await listing.show(session, of, {"limit": limit, "cursor": cursor}, everything=everything)


@command(clusters, "add")
async def add_cluster(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="CLUSTER", help="A DNS label, as its executor is told.")],
    *,
    display_name: Annotated[str | None, typer.Option("--display-name", metavar="WORDS", help="What people call it.")] = None,
    production_selector: Annotated[
        str | None, typer.Option("--production-selector", metavar="SELECTOR", help="Labels of production namespaces: env=prod.")
    ] = None,
    non_production_selector: Annotated[
        str | None, typer.Option("--non-production-selector", metavar="SELECTOR", help="Labels of all other ones: env!=prod.")
    ] = None,
    data_mover: Annotated[
        list[str], typer.Option("--data-mover", metavar="NAME", help="One that runs there beside Velero's own.")
    ] = [],  # noqa: B006 - Typer copies it
) -> None:
    """Register a cluster, so that it can be asked for backups (also before it first reports)."""
    body: dict[str, Any] = {"id": name, "displayName": display_name, "dataMovers": data_mover or None}
    for key, text in (("productionSelector", production_selector), ("nonProductionSelector", non_production_selector)):
        try:
            body[key] = selector(text) if text is not None else None
        except ValueFormError as error:
            raise CliError(f"{_ADDED['/' + key]}: {error}", Exit.USAGE) from error
    body = {key: value for key, value in body.items() if value is not None}
    try:
        item = await session.client.post("/clusters", body)
    except ApiError as error:
        raise error.told(_ADDED, body) from error
    if not session.output.table:
        session.output.data(item)
        return
    session.output.line(f"cluster {name} is registered: {item['status']}")
    if item["status"] == "NeverSeen":
        session.output.say("it shows as Online once an executor that knows it reports")


@command(locations, "list")
async def list_locations(
    session: Session,
    *,
    cluster: Annotated[
        list[str],
        typer.Option("--cluster", "-c", metavar="CLUSTER", help="Of this cluster.", autocompletion=completion.clusters),
    ] = [],  # noqa: B006 - Typer copies it
    status: Annotated[list[str], typer.Option("--status", metavar="STATUS", help="Available, Unavailable, Pending.")] = [],  # noqa: B006 - as above
    search: Search = None,
    sort: Annotated[
        str | None, typer.Option("--sort", metavar="FIELDS", help="By cluster, name, status [API: cluster,name].")
    ] = None,
    limit: Limit = None,
    cursor: Cursor = None,
    everything: All = False,
) -> None:
    """List the storage locations of the whole fleet."""
    of = listing.Listing("/storage-locations", LOCATIONS, "storage locations known")
    params = {"cluster": cluster, "status": status, "search": search, "sort": sort, "limit": limit, "cursor": cursor}
    await listing.show(session, of, params, everything=everything)


@command(operations, "get")
async def get_operation(
    session: Session, operation: Annotated[str, typer.Argument(metavar="ID", help="The operation's id.")]
) -> None:
    """Show what became of a request."""
    item = await session.client.get(path("operations", operation))
    if session.output.table:
        describing.operation(session.output, item)
    else:
        session.output.data(item)


async def _of_cluster(session: Session, name: str) -> dict[str, Any]:
    """Return a cluster; whoever names an unknown one is told which there are."""
    try:
        item: dict[str, Any] = await session.client.get(path("clusters", name))
    except ApiError as error:
        if error.exit_code is Exit.NOT_FOUND:
            error.hints += await known_clusters(session.client)
        raise
    return item
