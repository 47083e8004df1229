"""What every command has: the connection, the output, and one way to begin and to end."""

import asyncio
import inspect
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from leeward.errors import Exit
from leeward.output import Format, Output
from leeward.settings import Given, find

if TYPE_CHECKING:  # httpx2 takes longer to load than all the rest, and `--help` needs none of it
    from leeward.client import Client

_OPTIONS: dict[str, tuple[Any, Any]] = {
    "output": (
        Annotated[Format, typer.Option("--output", "-o", help="How to print the answer.")],
        Format.TABLE,
    ),
    "url": (
        Annotated[str | None, typer.Option("--url", metavar="URL", help="Where Leeward is [env: LEEWARD_URL].")],
        None,
    ),
    "token_file": (
        Annotated[
            Path | None,
            typer.Option("--token-file", metavar="FILE", help="File with the token [env: LEEWARD_TOKEN_FILE]."),
        ],
        None,
    ),
    "ca_file": (
        Annotated[
            Path | None,
            typer.Option("--ca-file", metavar="FILE", help="Certificates to trust [env: LEEWARD_CA_FILE]."),
        ],
        None,
    ),
}
"""Options that every command has: type and default."""


@dataclass(frozen=True, slots=True)
class Session:
    """One run of a command."""

    client: "Client"
    output: Output


Command = Callable[..., Awaitable[Exit | None]]


def command(
    app: typer.Typer, name: str, *, more: Sequence[inspect.Parameter] = (), formats: bool = True, **facts: Any
) -> Callable[[Command], Command]:
    """Register an `async def(session, …)` as a command that has the options of every command, too.

    `more` are options that it takes as `**`, because a table says what they are. Without `formats` it prints no answer
    that could be had as JSON, and `--output` is its own to use.
    """

    def register(function: Command) -> Command:
        told = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        own = [parameter for parameter in told if parameter.kind is not inspect.Parameter.VAR_KEYWORD]
        run = runner(function, [*own, *more], formats=formats)
        app.command(name, cls=_Spelling, help=inspect.getdoc(function), **facts)(run)
        return function

    return register


class _Spelling(TyperCommand):
    """Takes `--wait=true` and `--snapshot-volumes=false`, as Velero's command does, for `--wait` and `--no-…`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments."""
        flags = [p for p in self.params if getattr(p, "is_flag", False)]
        spelt = {f"{opt}=true": [opt] for p in flags for opt in p.opts}
        spelt |= {f"{opt}=false": list(p.secondary_opts[:1]) for p in flags for opt in p.opts}
        end = args.index("--") if "--" in args else len(args)
        return super().parse_args(ctx, [*(word for arg in args[:end] for word in spelt.get(arg, [arg])), *args[end:]])


def runner(function: Command, own: list[inspect.Parameter], *, formats: bool = True) -> Callable[..., int]:
    """Return the plain function that Typer calls: it opens the session, runs the command and returns its exit code."""

    def run(**given: Any) -> int:
        output = Output(given.pop("output") if formats else Format.TABLE)
        where = Given(given.pop("url"), given.pop("token_file"), given.pop("ca_file"))

        async def within() -> Exit | None:
            from leeward.client import Client  # noqa: PLC0415 - as above

            async with Client(find(where, os.environ, Path.cwd()), notice=output.say) as client:
                return await function(Session(client, output), **given)

        return asyncio.run(within()) or Exit.OK

    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        for name, (annotation, default) in _OPTIONS.items()
        if formats or name != "output"
    ]
    mine = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    run.__signature__ = inspect.Signature([*mine, *shared])  # type: ignore[attr-defined]  # what Typer makes options of
    run.__annotations__ = {p.name: p.annotation for p in (*mine, *shared)}
    return run
