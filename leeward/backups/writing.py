"""Asking for a backup, and waiting for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from leeward import arguments, completion
from leeward.arguments import InCluster, NameOrId, Patience
from leeward.asking import Request, asked, waited
from leeward.backups import scoping
from leeward.backups.form import BACKUP as FORM
from leeward.backups.form import FIELDS
from leeward.errors import CliError, Exit
from leeward.finding import path
from leeward.finding import schedule as find_schedule
from leeward.nouns import BACKUP
from leeward.request import Body, body_of
from leeward.requestfile import request_in
from leeward.session import Session
from shared.runtime import clock

FIELD_PARAMETERS = arguments.fields(FIELDS)
_PARTS = "name, cluster, scope and spec"


async def create(
    session: Session,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="What to call the backup.", show_default=False)] = None,
    *,
    all_namespaces: arguments.Everything = False,
    production: arguments.Production = False,
    non_production: arguments.NonProduction = False,
    from_file: arguments.FromFile = None,
    preview: arguments.Preview = False,
    from_schedule: Annotated[
        str | None,
        typer.Option(
            "--from-schedule",
            metavar="SCHEDULE",
            help="By the form of a schedule, now; NAME may be left out then.",
            autocompletion=completion.schedules,
        ),
    ] = None,
    wait: arguments.Wait = False,
    timeout: Patience = None,
    idempotency_key: arguments.IdempotencyKey = None,
    **fields: Any,
) -> Exit | None:
    """Ask a cluster for a backup.

    It is made once, however often the request has to be repeated. A cluster that is away does it when it is back
    (see --deadline). Hooks are written in a file (--from-file).
    """
    patience = arguments.patience(timeout, wait=wait)
    scopes = {"all_namespaces": all_namespaces, "production": production, "non_production": non_production}
    if from_schedule is not None:
        _only_beside({**fields, **scopes, "from_file": from_file, "preview": preview})
        order = Order(from_schedule, name, "NAME", fields["deadline"])
        return await by_schedule(session, order, fields["cluster"], idempotency_key, patience, wait=wait)
    base = request_in(from_file, _PARTS) if from_file is not None else None
    given = {**fields, **scopes, "name": name or ("preview" if preview else None)}
    body, options = body_of(given, FORM, base=base)
    source = "stdin" if from_file == "-" else from_file
    if preview:
        return await scoping.preview(session, body, options, source)
    request = Request("/backups", body, options, source, idempotency_key)
    return await asked(session, request, patience, wait=wait)


_BESIDE = ("cluster", "deadline")
"""What can be said beside a schedule, whose form says all else."""


def _only_beside(given: Mapping[str, Any]) -> None:
    """Raise CliError when an option is given that the form of a schedule answers."""
    more = [name for name, value in given.items() if name not in _BESIDE and value not in (None, False, [])]
    if more:
        raise CliError(
            f"--from-schedule takes everything from the schedule: leave out --{more[0].replace('_', '-')}",
            Exit.USAGE,
            hints=["`leeward schedule edit` changes the schedule"],
        )


@dataclass(frozen=True, slots=True)
class Order:
    """A backup by the form of a schedule: whose, what to call it and by which option that was said, and its deadline."""

    schedule: str
    name: str | None
    option: str
    deadline: str | None


async def by_schedule(
    session: Session, order: Order, cluster: str | None, key: str | None, patience: timedelta | None, *, wait: bool
) -> Exit | None:
    """Ask for a backup now by the form of a schedule."""
    found = await find_schedule(session.client, order.schedule, cluster)
    name = order.name or _name_now(found["name"], clock.now())
    body: Body = {"name": name, **({"deadline": order.deadline} if order.deadline else {})}
    options = {"/name": order.option, "/deadline": "--deadline"}
    request = Request(path("schedules", found["id"], "backups"), body, options, key=key, facts={"cluster": found["cluster"]})
    return await asked(session, request, patience, wait=wait)


def _name_now(schedule: str, now: datetime) -> str:
    """Return what Velero would call a backup of a schedule now; never the name of a slot, which is at a full minute."""
    return f"{schedule}-{now.replace(second=max(now.second, 1)):%Y%m%d%H%M%S}"


async def wait(session: Session, backup: NameOrId, cluster: InCluster = None, timeout: Patience = None) -> Exit:
    """Wait until a backup has ended; the exit code says how."""
    return await waited(session, BACKUP, backup, cluster, timeout)
