"""Arguments that the commands of schedules share."""

from typing import Annotated

import typer

from leeward import completion

NameOrId = Annotated[
    str, typer.Argument(metavar="NAME|ID", help="Name or id of a schedule.", autocompletion=completion.schedules)
]
NamesOrIds = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME|ID", help="Names or ids of schedules.", autocompletion=completion.schedules, show_default=False
    ),
]
AllOfCluster = Annotated[bool, typer.Option("--all", help="Every schedule of the cluster (--cluster), instead of names.")]
