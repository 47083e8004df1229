"""Every command in one place, and how each ends: in words and with an exit code, never with a traceback."""

import asyncio
import contextlib
import errno
import importlib
import io
import os
import sys
import traceback
from typing import Annotated, Any

import typer
import typer.main
from typer.core import TyperCommand

from leeward import operation
from leeward.backups import commands as backup
from leeward.clusters import commands as clusters
from leeward.errors import MEANINGS, CliError, Exit
from leeward.locations import commands as locations
from leeward.problems import ApiError
from leeward.restores import commands as restores
from leeward.schedules import commands as schedules
from leeward.words import plain

_EPILOG = "\n".join(["\b", "Exit codes:", *(f"  {code.value:<4} {words}" for code, words in MEANINGS.items())])

app = typer.Typer(
    name="leeward",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=_EPILOG,
    help="Back up and restore a fleet of Kubernetes clusters with Velero.",
)
app.add_typer(backup.app, name="backup")
app.add_typer(schedules.app, name="schedule")
app.add_typer(restores.app, name="restore")
app.add_typer(clusters.app, name="cluster")
app.add_typer(locations.storage, name="location")
app.add_typer(locations.snapshots, name="snapshot-location")
app.add_typer(operation.app, name="operation")


class Later(TyperCommand):
    """A command whose module is loaded when somebody asks for it: `leeward/<name>.py` with a function of that name."""

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **facts: Any) -> Any:
        """Load the command, and let it read its own arguments."""
        name = str(self.name)
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        alone.command(name)(getattr(importlib.import_module(f"leeward.{name}"), name))
        return typer.main.get_command(alone).make_context(info_name, args, *more, **facts)


@app.command("up", cls=Later)
def _up() -> None:
    """Run Leeward on this machine, with simulated clusters or yours."""


@app.command("demo", cls=Later)
def _demo() -> None:
    """Show on this machine what Leeward does."""


def _version() -> str:
    from importlib.metadata import version as installed  # noqa: PLC0415 - it takes its time

    return f"leeward {installed('leeward')}"


@app.command("version")
def version() -> None:
    """Say which version this is."""
    typer.echo(_version())


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(_version())
        raise typer.Exit


@app.callback()
def leeward(
    *, _wanted: Annotated[bool, typer.Option("--version", is_eager=True, callback=_show_version, help="As `version`.")] = False
) -> None:
    """Back up and restore a fleet of Kubernetes clusters with Velero."""


def run(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no dash still gets its list
    try:
        return _ended(app(arguments, standalone_mode=False))
    except BaseExceptionGroup as several:
        return _failed(several.exceptions[0])
    except (Exception, KeyboardInterrupt, asyncio.CancelledError) as error:  # noqa: BLE001 - the last line of defence
        return _failed(error)


def _ended(code: object) -> int:
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    return int(code) if isinstance(code, int) else Exit.OK


def _failed(error: BaseException) -> int:
    if os.environ.get("LEEWARD_DEBUG"):
        traceback.print_exception(error)
    match error:
        case KeyboardInterrupt() | asyncio.CancelledError() | typer.Abort():
            return Exit.INTERRUPTED
        case typer.Exit():
            return error.exit_code
        case BrokenPipeError():  # `leeward backup list | head`: nobody reads on, nobody is to be told
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return Exit.OK
        case OSError(errno=errno.ENOSPC):
            return _tell(CliError("the answer cannot be written: there is no room on the disk"))
        case ApiError():
            return _tell(error.told())
        case CliError():
            return _tell(error)
        case typer.TyperException() if error.format_message().startswith("Usage: "):  # no arguments: the help is the answer
            print(error.format_message(), file=sys.stderr)  # noqa: T201 - a command prints
            return Exit.USAGE
        case typer.TyperException():
            context = getattr(error, "ctx", None)
            hints = [f"`{context.command_path} --help` shows how"] if context is not None else []
            return _tell(CliError(error.format_message().replace("Value error, ", ""), Exit.USAGE, hints=hints))
        case _:
            words = f"unexpected: {type(error).__name__}: {error}"
            return _tell(CliError(words, hints=["LEEWARD_DEBUG=1 shows where; please report it"]))


def _tell(error: CliError) -> int:
    print("leeward:", plain(error.words), file=sys.stderr)  # noqa: T201 - a command prints
    for hint in dict.fromkeys(error.hints):
        print(f"  {plain(hint)}", file=sys.stderr)  # noqa: T201 - as above
    return error.exit_code
