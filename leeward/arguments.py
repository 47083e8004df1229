"""Arguments and options that several commands share, and how their values are read."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Annotated

import typer

from leeward import completion, words
from leeward.errors import CliError, Exit

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
