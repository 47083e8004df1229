"""Arguments that the commands of locations share."""

from typing import Annotated

import typer

from leeward import completion

Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name.", autocompletion=completion.locations_of_command)]
Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME", help="Their names.", autocompletion=completion.locations_of_command, show_default=False),
]
SharedBucket = Annotated[
    bool,
    typer.Option(
        "--allow-shared-bucket",
        help="Although another location writes to a bucket and prefix of that name: it is another storage.",
    ),
]
Wait = Annotated[
    bool, typer.Option("--wait", "-w", help="Wait until Velero has looked whether it can be used; the exit code says how.")
]
