"""The gateway: `python -m services.gateway` serves the API, `… token NAME --role operator --file tokens.json` makes a token."""

import argparse
import asyncio
import functools
import sys
from pathlib import Path

import structlog

from services.gateway.app import build
from services.gateway.auth import Role, Tokens, TokensFileError, add_token
from services.gateway.bus import Bus
from services.gateway.fleet import Fleet
from services.gateway.ports import Ports
from services.gateway.schedules import departures
from services.gateway.settings import Settings
from services.gateway.store import opened
from services.gateway.waiting import Feed
from shared.awaiting import watch
from shared.messaging.connection import NATS, connect
from shared.runtime.http import serving
from shared.runtime.process import Runtime, run
from shared.runtime.settings import load
from shared.runtime.stopping import unless_cancelled
from shared.store import MONGODB

log = structlog.get_logger(__name__)


async def main(runtime: Runtime, settings: Settings) -> None:
    """Serve until cancelled. The API answers from the first moment; what is not there yet, it says."""
    tokens = None
    if settings.tokens_file is not None:
        # Not required: one broken edit must not take every gateway out of service while the last good tokens are in force.
        tokens = Tokens(settings.tokens_file, runtime.health.depends_on("tokens", required=False))
    feed = Feed(runtime.health.depends_on("feed"), history=settings.events.history, buffer=settings.events.buffer)
    bus = Bus(settings.timing)
    async with opened(settings.mongo) as store, asyncio.TaskGroup() as tasks:
        fleet = Fleet(store, feed)
        ports = Ports(settings, store, bus, feed, fleet, tokens, runtime.health, runtime.clock)
        background = [
            tasks.create_task(hear(runtime, settings, bus, feed), name="nats"),
            tasks.create_task(watch(store.ping, runtime.health.depends_on(MONGODB), settings.ping), name="mongodb"),
            tasks.create_task(look_around(fleet, tokens, settings.ping), name="surroundings"),
            tasks.create_task(departures.see_off(ports, settings.departures), name="departures"),
        ]
        try:
            # Left first on the way out: requests that have begun may still use NATS and the database.
            patience = max(settings.reads.patience, settings.events.patience)
            async with serving(build(ports), settings.http, grace=settings.grace, patience=patience):
                try:
                    await asyncio.Future()
                finally:
                    feed.close()
        finally:
            for task in background:
                task.cancel()


async def hear(runtime: Runtime, settings: Settings, bus: Bus, feed: Feed) -> None:
    """Connect to NATS, lend the connection to the commands, and follow the state feed.

    Raises ConnectionError when the connection is lost for good.
    """
    name = f"leeward-{runtime.service}"
    async with connect(settings.nats, name=name, dependency=runtime.health.depends_on(NATS)) as connection:
        with bus.using(connection):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(feed.follow(connection))
                tasks.create_task(feed.follow_progress(connection))
                await connection.lost


async def look_around(fleet: Fleet, tokens: Tokens | None, seconds: float) -> None:
    """Look, for ever, what somebody else has changed: registrations (another gateway) and the tokens file (a person)."""
    while True:
        unless_cancelled()
        try:
            if tokens is not None:
                tokens.refresh()
            await fleet.refresh()
        except Exception:
            log.exception("surroundings not looked at")
        await asyncio.sleep(seconds)


def make_token(arguments: list[str]) -> int:
    """Make a token, print it once, keep only its hash."""
    parser = argparse.ArgumentParser(prog="python -m services.gateway token", description="Make a token; it is shown once.")
    parser.add_argument("name", help="who the token stands for; shown as the creator of what is asked for with it")
    parser.add_argument("--role", type=Role, choices=list(Role), required=True)
    parser.add_argument("--file", type=Path, required=True, help="the tokens file; made if missing")
    parser.add_argument("--replace", action="store_true", help="make the tokens that the name has invalid")
    options = parser.parse_args(arguments)
    try:
        print(add_token(options.file, options.name, options.role, replace=options.replace))
    except (TokensFileError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def command(arguments: list[str]) -> None:
    """Serve, or make a token."""
    if arguments[:1] == ["token"]:
        raise SystemExit(make_token(arguments[1:]))
    settings = load(Settings)
    if settings.refusal_to_bind is not None:
        raise SystemExit(settings.refusal_to_bind)
    try:
        if settings.tokens_file is not None:
            Tokens(settings.tokens_file)
    except TokensFileError as error:
        raise SystemExit(f"tokens file: {error}") from error
    run("gateway", settings, functools.partial(main, settings=settings))


if __name__ == "__main__":
    command(sys.argv[1:])
