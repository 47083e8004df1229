"""Making and changing schedules, and a backup now from the form of one."""

from typing import Annotated, Any
from uuid import uuid4

import typer

from leeward import arguments, words
from leeward.arguments import InCluster, Patience
from leeward.backups import writing as backups
from leeward.errors import CliError, Exit, UnreachableError
from leeward.finding import path
from leeward.finding import schedule as find_schedule
from leeward.problems import ApiError
from leeward.request import body_of
from leeward.requestfile import request_in
from leeward.schedules import form, telling
from leeward.schedules.arguments import NameOrId
from leeward.session import Session

NEW, CHANGED = arguments.fields(form.FIRST), arguments.fields(form.CHANGES)
_PARTS = "name, cluster, cron and template"


async def create(
    session: Session,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="What to call it; its backups begin with that.", show_default=False)
    ] = None,
    *,
    all_namespaces: arguments.Everything = False,
    production: arguments.Production = False,
    non_production: arguments.NonProduction = False,
    from_file: arguments.FromFile = None,
    **fields: Any,
) -> None:
    """Have backups made by themselves.

    A schedule is stored also when its cluster or storage location is not there yet: its status says what is wrong,
    until it is right. Hooks are written in a file (--from-file).
    """
    base = request_in(from_file, _PARTS) if from_file is not None else None
    scopes = {"all_namespaces": all_namespaces, "production": production, "non_production": non_production}
    body, options = body_of({**fields, **scopes, "name": name}, form.SCHEDULE, base=base)
    key = str(uuid4())
    try:
        item = await session.client.post("/schedules", body, key=key)
    except ApiError as error:
        raise error.told(options, body, _source(from_file)) from error
    except UnreachableError as error:
        if error.sent:
            error.hints.append("it may have been stored: `leeward schedule list` shows whether it was")
        raise
    first = words.moment(item.get("nextRunAt"))
    runs = f", and runs first at {first}" if first != words.UNKNOWN and not item.get("reasons") else ""
    telling.told(session.output, item, f"is {telling.state(item)}{runs}")


async def edit(
    session: Session,
    schedule: NameOrId,
    *,
    cluster: InCluster = None,
    all_namespaces: arguments.Everything = False,
    production: arguments.Production = False,
    non_production: arguments.NonProduction = False,
    from_file: arguments.FromFile = None,
    unset: arguments.Unset = [],  # noqa: B006 - Typer copies it
    **fields: Any,
) -> None:
    """Change when a schedule runs, or the form of its backups.

    An option replaces all that its field says. No slot of the past is run by a change; the answer says which is the first that
    goes by it.
    """
    base = request_in(from_file, _PARTS) if from_file is not None else None
    found = await find_schedule(session.client, schedule, cluster)
    scopes = {"all_namespaces": all_namespaces, "production": production, "non_production": non_production}
    changes, options = form.CHANGE.of(found, {**fields, **scopes}, unset, base=base)
    if not changes:
        raise CliError(f"{telling.name(found)} is like that already: say what is to change", Exit.USAGE)
    try:
        item = await session.client.patch(path("schedules", found["id"]), changes, found.get("version"))
    except ApiError as error:
        raise error.told(options, changes, _source(from_file)) from error
    telling.told(session.output, item, f"is changed{telling.from_on(item)}")


async def run(
    session: Session,
    schedule: NameOrId,
    *,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="What to call the backup (usually SCHEDULE-TIME).")
    ] = None,
    cluster: InCluster = None,
    deadline: arguments.Deadline = None,
    wait: arguments.Wait = False,
    timeout: Patience = None,
    idempotency_key: arguments.IdempotencyKey = None,
) -> Exit | None:
    """Ask for a backup now, by the form of a schedule.

    Also of one that is paused. Its slots stay as they are.
    """
    patience = arguments.patience(timeout, wait=wait)
    order = backups.Order(schedule, name, "--name", deadline)
    return await backups.by_schedule(session, order, cluster, idempotency_key, patience, wait=wait)


def _source(file: str | None) -> str | None:
    return "stdin" if file == "-" else file
