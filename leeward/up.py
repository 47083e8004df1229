"""`leeward up`: the whole system on this machine, until Ctrl-C. Only its options: what it does stands in `stack.foreground`."""

from pathlib import Path
from typing import Annotated

import typer

from leeward.settings import FOLDER

PORTS = "Ports (a busy one is replaced and said; kept for the next start)"
REAL = "Real clusters"


def _port(words: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        min=1, max=65535, metavar="PORT", help=words, rich_help_panel=PORTS, show_default=False
    )
    return option


def up(
    *,
    data: Annotated[Path, typer.Option(metavar="DIR", help="Where everything is kept.")] = Path(FOLDER),
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what each process logs.")] = False,
    mongodb_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="LEEWARD_UP_MONGODB_URL",
            help="A MongoDB of yours, not the embedded database. A URL with a password belongs into the environment.",
        ),
    ] = None,
    kubeconfig: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Clusters of yours, not simulated ones (default: as kubectl).", rich_help_panel=REAL),
    ] = None,
    context: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[ID=]CONTEXT", help="Which of them; repeat for several (default: the current one).", rich_help_panel=REAL
        ),
    ] = None,
    velero_namespace: Annotated[
        str, typer.Option(metavar="NAME", help="Where Velero lives in them.", rich_help_panel=REAL)
    ] = "velero",
    port: Annotated[int | None, _port("The API; 8080 unless set.")] = None,
    nats_port: Annotated[int | None, _port("NATS; like all below, any free one unless set.")] = None,
    database_port: Annotated[int | None, _port("The database.")] = None,
    simulator_port: Annotated[int | None, _port("The first simulated cluster; the other and the storage follow.")] = None,
    status_port: Annotated[int | None, _port("The status service's health and metrics.")] = None,
    scheduler_port: Annotated[int | None, _port("The scheduler's health and metrics.")] = None,
    executor_port: Annotated[int | None, _port("The executor's health and metrics.")] = None,
) -> int:
    """Run Leeward on this machine, with two simulated clusters or with yours, until Ctrl-C.

    Everything listens on this machine only and keeps its data: the next start goes on where this one ends.
    """
    from leeward.stack import foreground  # noqa: PLC0415 - only who starts it waits for what it needs

    ports = {
        "gateway": port,
        "nats": nats_port,
        "database": database_port,
        "simulator": simulator_port,
        "status": status_port,
        "scheduler": scheduler_port,
        "executor": executor_port,
    }
    clusters = foreground.real(kubeconfig, context or (), velero_namespace) if kubeconfig or context else ()
    return foreground.run(
        data, clusters, {name: number for name, number in ports.items() if number}, mongodb_url, verbose=verbose
    )
