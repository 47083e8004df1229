"""An installation in the foreground of a terminal: started, summed up, kept until Ctrl-C."""

import asyncio
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from leeward.errors import CliError, Exit
from leeward.settings import FOLDER
from leeward.stack.clusters import ChoiceError, Cluster, chosen
from leeward.stack.home import BusyError, Home
from leeward.stack.installation import Installation, Wanted, installed
from leeward.stack.interruption import Interruption
from leeward.stack.narration import Narrator
from leeward.stack.ports import NoPortError
from leeward.stack.process import StartError


def real(kubeconfig: Path | None, contexts: Sequence[str], namespace: str) -> tuple[Cluster, ...]:
    """Return the clusters behind contexts of a kubeconfig.

    Raises CliError.
    """
    try:
        return chosen(kubeconfig, contexts, namespace)
    except ChoiceError as error:
        raise CliError(str(error), Exit.USAGE) from error


def run(data: Path, clusters: tuple[Cluster, ...], ports: Mapping[str, int], mongodb_url: str | None, *, verbose: bool) -> int:
    """Run until interrupted; returns the exit code.

    Raises CliError when it does not start.
    """
    interruption, narrator = Interruption(), Narrator()
    wanted, data = Wanted(clusters, ports, mongodb_url), data.expanduser()
    try:
        code = interruption.run(_live(data, wanted, interruption, narrator, verbose=verbose))
    except (BusyError, NoPortError, StartError) as error:
        raise CliError(str(error)) from error
    except OSError as error:
        hint = "it needs a folder that you may write in, with room on its disk; --data DIR takes another one"
        raise CliError(f"{error.filename or data}: {error.strerror}", hints=[hint]) from error
    if code is None:
        narrator.say("Stopped. What was asked for is kept: the next `leeward up` goes on where this one ended.")
    return code or Exit.OK


async def _live(data: Path, wanted: Wanted, interruption: Interruption, narrator: Narrator, *, verbose: bool) -> int:
    home = Home.at(data)
    async with installed(home, wanted, step=narrator.step, tell=narrator.tell) as installation:
        interruption.kill = installation.kill
        interruption.asked = lambda: narrator.say("\nStopping (Ctrl-C again kills) …")
        narrator.say(f"Starting Leeward, with its data in {shown(home.root)}")
        for cluster in wanted.clusters:
            narrator.say(f"  context {cluster.context} is cluster {cluster.id}")
        async with narrator.following(home.logs if verbose else None):
            await installation.start()
            narrator.say(summary(installation))
            await asyncio.Future()
    return 0


def summary(installation: Installation) -> str:
    """Return what a person needs to know to use it."""
    home, url = installation.plan.home, installation.url
    command = invocation(home.root)
    name = installation.plan.clusters[0].id
    scope = "--namespace shop,cart" if installation.plan.simulated else "--all-namespaces"
    lines = (
        ("API", f"{url}/api/v1   (described in {url}/api/v1/openapi.json)"),
        ("token", f"in {shown(home.token_file)}, an admin's; the `leeward` command finds it by itself"),
        ("logs", f"in {shown(home.logs)}/"),
        ("try", "in another terminal:"),
        ("", f"    {command} cluster list"),
        ("", f"    {command} backup create my-first --cluster {name} {scope} --wait"),
        ("", f"    {command} backup list"),
        ("stop", "with Ctrl-C"),
    )
    return "\n".join(["", "Leeward is running.", *(f"  {title:<7}{words}" for title, words in lines), ""])


def invocation(root: Path) -> str:
    """Return how to call the `leeward` command in this folder from another terminal, so that it finds this installation."""
    by_tool = "UV" in os.environ or "MAKELEVEL" in os.environ  # whose path is not the path of the next terminal
    command = shown(Path(sys.executable).parent / "leeward") if by_tool else "leeward"
    return command if root == Path.cwd() / FOLDER else f"LEEWARD_HOME={shlex.quote(shown(root))} {command}"


def shown(path: Path) -> str:
    """Return a path as people in this folder would write it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
