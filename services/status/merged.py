"""Work that many ask for at once and that is enough to do once: whoever asks before it has begun shares it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


class Merged:
    """Does the work of one key one time after the other; each answer is that of a time that began after it was asked for."""

    def __init__(self) -> None:
        self._begun: dict[str, asyncio.Task[Any]] = {}
        self._coming: dict[str, asyncio.Task[Any]] = {}

    async def __call__(self, key: str, work: Callable[[], Awaitable[object]]) -> None:
        """Have the work done; raises what it raises."""
        if key not in self._coming:
            self._coming[key] = asyncio.create_task(self._do(key, work))
        await asyncio.shield(self._coming[key])

    async def _do(self, key: str, work: Callable[[], Awaitable[object]]) -> None:
        if before := self._begun.get(key):
            await asyncio.wait({before})
        self._begun[key] = self._coming.pop(key)
        try:
            await work()
        finally:
            del self._begun[key]  # whoever comes next has waited for this to end
