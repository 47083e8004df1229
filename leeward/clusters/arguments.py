"""Arguments that the commands of clusters share."""

from typing import Annotated

import typer

from leeward import completion

Name = Annotated[str, typer.Argument(metavar="CLUSTER", help="The cluster's name.", autocompletion=completion.clusters)]
Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="CLUSTER", help="Names of clusters.", autocompletion=completion.clusters, show_default=False),
]
NewName = Annotated[str, typer.Argument(metavar="CLUSTER", help="A DNS label, as its executor is told.")]
