"""Registering clusters, changing what was said of one, and forgetting it."""

from typing import Annotated, Any

import typer

from leeward import arguments, completion, words
from leeward.clusters import form, looking, telling
from leeward.clusters.arguments import Name, Names, NewName
from leeward.columns import CLUSTERS
from leeward.confirming import confirmed
from leeward.errors import CliError, Exit
from leeward.finding import path
from leeward.problems import ApiError
from leeward.request import body_of
from leeward.session import Session

FIELD_PARAMETERS = arguments.fields(form.FIELDS)


Mode = Annotated[
    str | None,
    typer.Option(
        "--mode",
        metavar="MODE",
        help="How it is reached: hub, whose executor needs a way in, or agent, which dials out from inside [usually hub].",
        autocompletion=completion.modes,
    ),
]


async def add(session: Session, name: NewName, *, mode: Mode = None, **fields: Any) -> None:
    """Register a cluster, so that it can be asked for backups, and say what joins it.

    Also before it first reports.
    """
    body, options = body_of(fields, form.CLUSTER)
    body = {"id": name, **body}
    try:
        item = await session.client.post("/clusters", body)
    except ApiError as error:
        raise error.told({**options, "/id": "CLUSTER"}, body) from error
    if not session.output.table:
        session.output.data(item)
        return
    session.output.line(f"cluster {name} is registered: {words.plain(item['status'])}")
    if item["status"] == "NeverSeen":
        session.output.say("it shows as Online once an executor that knows it reports")
        await telling.join(session, name, mode)


async def join(session: Session, name: Name, *, mode: Mode = None) -> None:
    """Show what joins a cluster: the steps that let an executor work in it."""
    await looking.of_name(session, name)
    await telling.join(session, name, mode)


async def edit(
    session: Session,
    name: Name,
    *,
    unset: arguments.Unset = [],  # noqa: B006 - Typer copies it
    **fields: Any,
) -> None:
    """Change what was said of a cluster when it was registered.

    An option replaces all that its field says.
    """
    now = await looking.of_name(session, name)
    changes, options = form.CHANGE.of(now, fields, unset)
    if not changes:
        raise CliError(f"cluster {name} is like that already: say what is to change", Exit.USAGE)
    try:
        item = await session.client.patch(path("clusters", name), changes, now.get("version"))
    except ApiError as error:
        raise error.told(options, changes) from error
    if session.output.table:
        session.output.line(f"cluster {name} is changed")
    else:
        session.output.data(item)


async def remove(
    session: Session,
    name: Names = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Although it has schedules, or something runs there.")] = False,
    confirm: arguments.Confirm = False,
) -> None:
    """Forget clusters. Nothing in them changes, and their history stays.

    If one of the names cannot be found, none is forgotten.
    """
    if not name:
        raise CliError("name clusters", Exit.USAGE)
    found = [await looking.of_name(session, each) for each in dict.fromkeys(name)]
    if not confirm:
        what = "this cluster" if len(found) == 1 else f"these {len(found)} clusters"
        confirmed(session.output, CLUSTERS, found, f"Forget {what}? Nothing in the cluster changes.")
    for item in found:
        await session.client.delete(path("clusters", str(item["id"])), {"force": "true"} if force else None)
        if session.output.table:
            session.output.line(f"cluster {words.plain(item['id'])} is forgotten")
    if not session.output.table:
        session.output.data({"items": [{"id": item["id"]} for item in found]})
