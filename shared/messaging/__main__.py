"""`python -m shared.messaging`: make the topology, or write the server configuration with every user's permissions.

python -m shared.messaging ensure --clusters eu1,us1      (connects as LEEWARD_NATS__USER, default user: admin)
python -m shared.messaging permissions --clusters eu1,us1 (passwords are read by nats-server from its environment)
"""

import argparse
import asyncio
import re
import sys

from shared.messaging.connection import NATS, NatsSettings, connect
from shared.messaging.permissions import server_config, users
from shared.messaging.topology import Timing, ensure
from shared.runtime.health import Health
from shared.runtime.settings import ServiceSettings, load

_PATIENCE = 15.0


class Settings(ServiceSettings):
    """Where NATS is, and who may change its topology there."""

    nats: NatsSettings = NatsSettings()
    timing: Timing = Timing()


def main(argv: list[str] | None = None) -> int:
    """Run one of the two commands; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m shared.messaging", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("command", choices=["ensure", "permissions"])
    parser.add_argument("--clusters", default="", help="comma-separated ids of the clusters to serve")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=4222)
    parser.add_argument("--store", default="/data/jetstream")
    options = parser.parse_args(argv)
    clusters = [c.strip() for c in options.clusters.split(",") if c.strip()]
    if options.command == "permissions":
        names = {user.name: "$" + _variable(user.name) for user in users(clusters)}
        config = server_config(clusters, names, host=options.host, port=options.port, store=options.store)
        print(re.sub(r'"(\$LEEWARD_NATS_PASSWORD_\w+)"', r"\1", config))  # nats-server expands only bare variables
        return 0
    return asyncio.run(_ensure(clusters))


async def _ensure(clusters: list[str]) -> int:
    settings = load(Settings)
    dependency = Health().depends_on(NATS)
    try:
        async with (
            asyncio.timeout(_PATIENCE),
            connect(settings.nats, name="leeward-ensure", dependency=dependency) as connection,
        ):
            done = await ensure(connection.stream, clusters, settings.timing)
    except TimeoutError:
        print(f"NATS as user {settings.nats.user or '(none)'}: {dependency.problem or 'no answer in time'}", file=sys.stderr)
        return 1
    for word, names in (("created", done.created), ("updated", done.updated), ("in place", done.unchanged)):
        print(f"{word}: {', '.join(names) or '-'}")
    return 0


def _variable(user: str) -> str:
    return "LEEWARD_NATS_PASSWORD_" + user.upper().replace("-", "_")


if __name__ == "__main__":
    sys.exit(main())
