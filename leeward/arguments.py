"""Arguments and options that several commands share, and how their values are read."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from datetime import datetime, timedelta
from inspect import Parameter
from typing import Annotated, Any

import typer

from leeward import completion, words
from leeward.errors import CliError, Exit
from leeward.request import Field

NameOrId = Annotated[str, typer.Argument(metavar="NAME|ID", help="Name or id of a backup.", autocompletion=completion.backups)]
NamesOrIds = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME|ID", help="Names or ids of backups.", autocompletion=completion.backups, show_default=False),
]
InCluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        "-c",
        metavar="CLUSTER",
        help="The cluster, where a name stands in several.",
        autocompletion=completion.clusters,
    ),
]
Patience = Annotated[
    str | None, typer.Option("--timeout", metavar="DURATION", help="Stop waiting after, e.g. 10m; what was asked for goes on.")
]
Selector = Annotated[
    str | None,
    typer.Option("--selector", "-l", metavar="KEY[=VALUE]", help="All with these labels, instead of names (with commas: and)."),
]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Wait until it has ended; the exit code says how.")]
IdempotencyKey = Annotated[
    str | None,
    typer.Option("--idempotency-key", metavar="KEY", help="Repeat an earlier request: what has the same key is done once."),
]
Deadline = Annotated[
    str | None, typer.Option("--deadline", metavar="DURATION", help="How long to wait for a cluster that is away (usually 1h).")
]
Confirm = Annotated[bool, typer.Option("--confirm", "--yes", "-y", help="Do not ask.")]
Everything = Annotated[bool, typer.Option("--all-namespaces", "-A", help="Every namespace, as if none is named.")]
Production = Annotated[bool, typer.Option("--production", help="Every namespace of production.")]
NonProduction = Annotated[bool, typer.Option("--non-production", help="Every namespace of the other environments.")]
FromFile = Annotated[
    str | None,
    typer.Option("--from-file", "-f", metavar="FILE", help="Request in YAML or JSON, - for stdin; options win over it."),
]
Unset = Annotated[
    list[str], typer.Option("--unset", metavar="OPTION", help="What it usually is again, e.g. --unset ttl.", show_default=False)
]
Preview = Annotated[bool, typer.Option("--preview", help="Only show which namespaces it would be of now; ask for nothing.")]
Limit = Annotated[int | None, typer.Option("--limit", metavar="N", help="How many at a time, 1 to 500 [API: 50].")]
Cursor = Annotated[str | None, typer.Option("--cursor", metavar="CURSOR", help="From here on (a list says where it went on).")]
All = Annotated[bool, typer.Option("--all", "-a", help="All of them, page after page.")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Show changes as they happen, until Ctrl-C.")]
Search = Annotated[str | None, typer.Option("--search", metavar="TEXT", help="Whose name contains this.")]


def fields(table: Iterable[Field]) -> tuple[Parameter, ...]:
    """Return the options that fill a request, as Typer wants to see them."""
    return tuple(map(_parameter, table))


def _parameter(field: Field) -> Parameter:
    many = field.kind == list[str]
    option = typer.Option(
        *field.names.split(),
        metavar=field.metavar,
        help=field.help,
        show_default=False,
        autocompletion=completion.FIELDS.get(field.option),
    )
    kind: Any = field.kind if many else field.kind | None
    return Parameter(field.parameter, Parameter.KEYWORD_ONLY, annotation=Annotated[kind, option], default=[] if many else None)


def duration(text: str | None, option: str = "--timeout") -> timedelta | None:
    """Read a length of time.

    Raises CliError.
    """
    if text is None:
        return None
    from shared.contracts.durations import DurationError, parse  # noqa: PLC0415 - pydantic takes its time

    try:
        length = parse(text)
    except DurationError as error:
        raise CliError(f"{option}: {error}", Exit.USAGE) from error
    if length <= timedelta():
        raise CliError(f"{option}: {text!r} is no time at all", Exit.USAGE)
    return length


def patience(text: str | None, *, wait: bool) -> timedelta | None:
    """Read how long to wait, by who does wait.

    Raises CliError.
    """
    if text is not None and not wait:
        raise CliError("--timeout is how long to --wait: give both", Exit.USAGE)
    return duration(text)


@contextlib.asynccontextmanager
async def within(patience: timedelta | None) -> AsyncIterator[None]:
    """Give up when the time is over.

    Raises CliError.
    """
    try:
        async with asyncio.timeout(patience.total_seconds() if patience is not None else None):
            yield
    except TimeoutError:
        raise CliError(f"not done after {words.span(patience or timedelta())}", Exit.TIMED_OUT) from None


def moment(text: str | None, option: str) -> str | None:
    """Return a time with its zone; one without a zone is this machine's.

    Raises CliError.
    """
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise CliError(f"{option}: {text!r} is not a time such as 2026-11-22 or 2026-11-22T08:30", Exit.USAGE) from error
    return (at if at.tzinfo else at.astimezone()).isoformat()
