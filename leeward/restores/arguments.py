"""Arguments that the commands of restores share."""

from typing import Annotated

import typer

from leeward import completion

NameOrId = Annotated[
    str, typer.Argument(metavar="NAME|ID", help="Name or id of a restore.", autocompletion=completion.restores)
]
NamesOrIds = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME|ID", help="Names or ids of restores.", autocompletion=completion.restores, show_default=False),
]
FromCluster = Annotated[
    str | None,
    typer.Option(
        "--from-cluster",
        metavar="CLUSTER",
        help="The cluster of the backup, where its name stands in several.",
        autocompletion=completion.clusters,
    ),
]
