"""Waiting for a condition with a deadline; never for luck."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


async def eventually(what: str, probe: Callable[[], Any | Awaitable[Any]], timeout: float = 15.0) -> Any:
    """Return the first truthy answer of the probe.

    Raises AssertionError with the last answer when the deadline passes.
    """
    deadline = asyncio.get_running_loop().time() + timeout
    while True:
        answer = probe()
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer:
            return answer
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"{what}: not within {timeout} s (last answer: {answer!r})")
        await asyncio.sleep(0.02)
