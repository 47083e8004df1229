"""Asking for a backup, and waiting for it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import uuid4

import typer

from leeward import arguments, completion, describing, detail, scoping, waiting
from leeward.arguments import InCluster, NameOrId, Patience
from leeward.errors import CliError, Exit, UnreachableError
from leeward.finding import known_clusters, path
from leeward.finding import schedule as find_schedule
from leeward.problems import ApiError
from leeward.request import FIELDS, Body, body_of
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
    body, options = body_of(given, base=base)
    source = "stdin" if from_file == "-" else from_file
    if preview:
        return await scoping.preview(session, body, options, source)
    return await asked(session, "/backups", body, options, source, idempotency_key, patience, wait=wait)


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
    return await asked(session, path("schedules", found["id"], "backups"), body, options, None, key, patience, wait=wait)


def _name_now(schedule: str, now: datetime) -> str:
    """Return what Velero would call a backup of a schedule now; never the name of a slot, which is at a full minute."""
    return f"{schedule}-{now.replace(second=max(now.second, 1)):%Y%m%d%H%M%S}"


async def asked(
    session: Session,
    address: str,
    body: Body,
    options: dict[str, str],
    source: str | None,
    idempotency_key: str | None,
    patience: timedelta | None,
    *,
    wait: bool,
) -> Exit | None:
    """Send a request that becomes a backup, and say what has become of it, or wait until it has ended."""
    answer = await _ask(session, address, body, options, source, idempotency_key or str(uuid4()))
    seen = waiting.Seen(answer["id"], **{"operation" if "state" in answer else "backup": answer})
    told: set[str] = set()
    _note(session, answer, options, told)
    try:
        if not wait:
            return describing.asked(session.output, seen)
        seen = await waiting.until_ended(session.client, session.output, seen, answer["cluster"], patience)
        _note(session, seen.backup or seen.operation or {}, options, told)
        return describing.ended(session.output, seen)
    except ApiError as error:  # the cluster's no, that came later
        raise error.told(options, body, source) from error


async def _ask(
    session: Session, address: str, body: Body, options: dict[str, str], source: str | None, key: str
) -> dict[str, Any]:
    """Send the request; what is wrong with it is told by the options that it was made of."""
    try:
        answer: dict[str, Any] = await session.client.post(address, body, key=key)
    except ApiError as error:
        raise await refused(session, error, body, options, source, key) from error
    except UnreachableError as error:
        error.hints += _unknown(error.sent, key)
        raise
    except asyncio.CancelledError:
        session.output.say(f"interrupted: it may have been asked for; --idempotency-key {key} repeats just this request")
        raise
    return answer


async def refused(
    session: Session, error: ApiError, body: Body, options: dict[str, str], source: str | None, key: str
) -> ApiError:
    """Return the error in the words of whoever typed the options."""
    told = error.told(options, body, source)
    if error.code == "ClusterUnknown" or any(e.get("pointer") == "/cluster" for e in error.errors):
        told.hints += await known_clusters(session.client)
    told.hints += _unknown(error.sent, key)
    return told


def _unknown(sent: bool, key: str) -> list[str]:
    """Say how to find out, if it is not known whether a request was taken."""
    return (
        [f"it may have been taken: --idempotency-key {key} repeats just this request, and nothing is done twice"]
        if sent
        else []
    )


def _note(session: Session, answer: Mapping[str, Any], options: Mapping[str, str], told: set[str]) -> None:
    """Say what a person should know of a request that was accepted, each thing once."""
    for line in detail.notices(answer, options):
        if line not in told:
            session.output.say(f"note: {line}")
        told.add(line)


async def wait(session: Session, backup: NameOrId, cluster: InCluster = None, timeout: Patience = None) -> Exit:
    """Wait until a backup has ended; the exit code says how."""
    patience = arguments.duration(timeout)
    begin = await waiting.begin(session.client, backup, cluster)
    where = (begin.backup or begin.operation or {})["cluster"]
    seen = begin if begin.ended else await waiting.until_ended(session.client, session.output, begin, where, patience)
    return describing.ended(session.output, seen)
