"""`leeward operation`: what was asked for, and what became of it."""

from typing import Annotated

import typer

from leeward import describing
from leeward.finding import path
from leeward.session import Session, command

app = typer.Typer(no_args_is_help=True, help="What was asked for, and what became of it.")


@command(app, "get")
async def get(session: Session, operation: Annotated[str, typer.Argument(metavar="ID", help="The operation's id.")]) -> None:
    """Show what became of a request."""
    item = await session.client.get(path("operations", operation))
    if session.output.table:
        describing.operation(session.output, item)
    else:
        session.output.data(item)
