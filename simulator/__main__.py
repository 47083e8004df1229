"""`python -m simulator`: simulated clusters, each with a Velero, served until a signal comes or the parent dies."""

import argparse
import asyncio
import os
import secrets
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import yaml

from simulator.control import Control
from simulator.disk import DataInUse
from simulator.fleet import Fleet
from simulator.privacy import write_private
from simulator.seed import demo
from simulator.velero.settings import Settings

_FAILED = 1
_LOOK = 0.5
_STOPPING = 2.0
"""Seconds that a Velero has to end what it does when the process is told to stop."""


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__)
    parser.add_argument(
        "--name", action="append", metavar="NAME", help="name of a cluster; repeat for several (default: eu1, or the seed's)"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument(
        "--port", type=int, default=0,
        help="port of the first cluster; the others follow, and after them the storage (default: free ones)",
    )  # fmt: skip
    parser.add_argument("--namespace", action="append", default=[], metavar="NAME[,LABEL=VALUE]", help="a further namespace")
    parser.add_argument(
        "--seed", choices=["demo"], help="what new clusters hold; demo: eu1 and us1 with workloads and schedules"
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep everything here, so that it outlives the process")
    parser.add_argument("--speed", type=float, default=1.0, help="how many times faster than real ones the Veleros go")
    parser.add_argument("--no-velero", dest="velero", action="store_false", help="API servers only")
    parser.add_argument("--kubeconfig", type=Path, help="write one kubeconfig with a context a cluster to this file")
    parser.add_argument("--token-file", type=Path, help="ask for the bearer token in this file, which is made if it is missing")
    parser.add_argument(
        "--control", type=Path, metavar="FILE", help="take orders for faults; this file says where, with a token"
    )
    parser.add_argument("--with-parent", type=int, metavar="PID", help="end when this process does")
    return parser.parse_args(argv)


def namespaces(texts: list[str]) -> dict[str, dict[str, str]]:
    """Read namespaces with labels, as in `shop,environment=production`."""
    found = {}
    for text in texts:
        name, *labels = text.split(",")
        found[name] = dict(label.split("=", 1) for label in labels)
    return found


def read_token(path: Path | None) -> str:
    """Return the token of a file, after making the file if there is none; empty without a path."""
    if path is None:
        return ""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32) + "\n")
    return path.read_text().strip()


async def ended(process: int) -> None:
    """Wait until another process has ended; one that is not there has. Without pidfds (not Linux) it is looked for."""
    if not hasattr(os, "pidfd_open"):
        while _exists(process):  # noqa: ASYNC110 (nobody could set an event)
            await asyncio.sleep(_LOOK)
        return
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return
    gone = asyncio.Event()
    asyncio.get_running_loop().add_reader(handle, gone.set)
    try:
        await gone.wait()
    finally:
        asyncio.get_running_loop().remove_reader(handle)
        os.close(handle)


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


async def until_told(parent: int | None) -> None:
    """Wait for SIGINT, SIGTERM, or the end of the parent."""
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    waiting: list[asyncio.Task[object]] = [asyncio.create_task(stopping.wait())]
    if parent is not None:
        waiting.append(asyncio.create_task(ended(parent)))
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


async def serve(options: argparse.Namespace) -> None:
    """Serve until told to stop. Raise OSError when a port is taken, and DataInUse when the data is."""
    told = asyncio.create_task(until_told(options.with_parent))
    await asyncio.sleep(0)
    seed = demo() if options.seed else None
    fleet = Fleet(
        options.name or list(seed or ["eu1"]), host=options.host, port=options.port, data=options.data,
        token=read_token(options.token_file), seed=seed, velero=options.velero, namespaces=namespaces(options.namespace),
        settings=Settings(speed=options.speed, graceful_stop=_STOPPING * options.speed),
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(fleet)
        for name, site in fleet.sites.items():
            print(f"{name}: {site.cluster.url}")
        print(f"storage: {fleet.cloud.url}")
        if options.kubeconfig:
            write_private(options.kubeconfig, yaml.safe_dump(fleet.kubeconfig(), sort_keys=False))
            print(f"kubeconfig: {options.kubeconfig}")
        if options.control:
            await stack.enter_async_context(Control(fleet, options.control))
            print(f"control: {options.control}")
        print("ready", flush=True)
        await told


def main() -> int:
    """Run the command and return its exit code."""
    try:
        asyncio.run(serve(arguments()))
    except (OSError, DataInUse) as error:
        print(f"simulator: {error}", file=sys.stderr)
        return _FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
