"""Ctrl-C and its like: the first one stops in peace, a second one at once."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_AGAIN = 1.0
"""Seconds within which a second signal is the same one: a terminal and whoever stands between may each send it."""


class Interruption:
    """Cancels the work at the first signal; at a second one it calls `kill` and leaves, with code 130."""

    def __init__(self) -> None:
        self.kill: Callable[[], None] = lambda: None
        self.asked: Callable[[], None] = lambda: None
        """Called at the first signal."""
        self._first: float | None = None

    def run(self, work: Coroutine[Any, Any, int]) -> int | None:
        """Do the work and return its result; None when it was interrupted."""
        return asyncio.run(self._live(work))

    async def _live(self, work: Coroutine[Any, Any, int]) -> int | None:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue  # `nohup`: it is to outlive the terminal
            loop.add_signal_handler(number, self._receive, task)
        await asyncio.wait({task})
        return None if task.cancelled() else task.result()

    def _receive(self, task: "asyncio.Task[int]") -> None:
        now = asyncio.get_running_loop().time()
        if self._first is None:
            self._first = now
            self.asked()
            task.cancel()
        elif now - self._first > _AGAIN:
            self.kill()
            os._exit(130)
