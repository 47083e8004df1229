"""Waiting for a condition with a deadline; never for luck."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from shared.messaging.connection import Connection

PATIENCE: Final = 60.0
"""Seconds for what is on its way. Only a test that fails waits so long: how busy the machine is must not decide about any."""


async def eventually(what: str, probe: Callable[[], Any | Awaitable[Any]], timeout: float = PATIENCE) -> Any:
    """Return the first truthy answer of the probe.

    Raises AssertionError with the last answer when the deadline passes, also if it is the probe that hangs.
    """
    answer = None
    try:
        async with asyncio.timeout(timeout) as patience:
            while not patience.expired():  # whatever the probe waits for may swallow the cancellation (see unless_cancelled)
                found = probe()
                answer = await found if isinstance(found, Awaitable) else found
                if answer:
                    return answer
                await asyncio.sleep(0.02)
    except TimeoutError:
        if not patience.expired():
            raise  # the probe's own
    raise AssertionError(f"{what}: not within {timeout} s (last answer: {answer!r})")


async def stopped(task: asyncio.Task[Any]) -> None:
    """Ask a service to stop, and wait until it has: whatever it was doing, it ends, or every task of it is shown."""
    task.cancel()
    _, left = await asyncio.wait({task}, timeout=PATIENCE)
    if left:
        for each in asyncio.all_tasks():
            each.print_stack()
    assert not left, "a stop must end everything"


async def subscribed(connection: Connection) -> None:
    """Wait until the server knows the connection's subscriptions: what is said from now on is heard.

    One flush is not enough: the client's ping overtakes what it has not yet sent.
    """
    for _ in range(2):
        await connection.client.flush(int(PATIENCE))
