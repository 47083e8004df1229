"""Wait for what a real cluster does in its own time, and say what did not come."""

import time
from collections.abc import Callable
from typing import TypeVar

import httpx2

from tests.e2e.real.api import ApiError

T = TypeVar("T")


def eventually(what: str, probe: Callable[[], T | None], *, timeout: float = 60, every: float = 0.1) -> T:
    """First truthy answer of `probe`. Refusals and broken connections count as "not yet"; TimeoutError names `what`."""
    deadline = time.monotonic() + timeout
    while True:
        reason = "not yet"
        try:
            if answer := probe():
                return answer
        except (ApiError, httpx2.TransportError) as error:
            reason = repr(error)
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout:.0f} s ({reason})")
        time.sleep(every)
