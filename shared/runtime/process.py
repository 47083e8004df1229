"""`run()`: the life of a process from its first log line to a graceful stop."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NoReturn

import structlog

from shared.runtime import logging, tracing
from shared.runtime.clock import Clock, now
from shared.runtime.health import Health
from shared.runtime.settings import ServiceSettings

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Runtime:
    """What a composition root is handed: who it is, what time it is, whom it reports its dependencies to."""

    service: str
    instance: str
    clock: Clock = now
    health: Health = field(default_factory=Health)


Main = Callable[[Runtime], Awaitable[None]]
"""A composition root: works until it is cancelled, then ends what it has begun and closes what it has opened."""


def run(service: str, settings: ServiceSettings, main: Main) -> NoReturn:
    """Run a service until SIGTERM or SIGINT, then stop it gracefully.

    Exits with 0 after an asked-for stop, 1 when the service failed: a supervisor is expected to start it again.
    """
    instance = settings.instance or f"{socket.gethostname()}-{os.getpid()}"
    if settings.tracing:
        tracing.start(service, instance)
    logging.configure(service, instance, settings.log)
    try:
        raise SystemExit(asyncio.run(_live(Runtime(service, instance), settings.grace, main)))
    finally:
        tracing.stop()


async def _live(runtime: Runtime, grace: float, main: Main) -> int:
    task = asyncio.ensure_future(main(runtime))
    loop, asked = asyncio.get_running_loop(), False

    def stop() -> None:
        nonlocal asked
        asked = True
        task.cancel()
        loop.call_later(grace + 5, os._exit, 1)  # whatever hangs now hangs for ever; every promise survives a kill

    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop)
    log.info("started")
    await asyncio.wait({task})
    with contextlib.suppress(asyncio.CancelledError):
        if (failure := task.exception()) is not None:
            log.error("failed", exc_info=failure)
            return 1
    log.info("stopped")
    return 0 if asked or task.cancelled() else 1
