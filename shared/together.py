"""Group commit: what is asked while an answer is still under way is asked together, the next time.

Nothing waits for others to come: a question that finds nobody before it is asked at once, alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from shared.messaging.outcomes import Unavailable

Q = TypeVar("Q")
A = TypeVar("A")

_MOST = 100


class Together(Generic[Q, A]):
    """Answers single questions through `many`, which answers a list of them in order."""

    def __init__(self, many: Callable[[Sequence[Q]], Awaitable[Sequence[A]]]) -> None:
        self._many = many
        self._waiting: list[tuple[Q, asyncio.Future[A]]] = []
        self._asking: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Tell whether nothing is asked now."""
        return not self._waiting and (self._asking is None or self._asking.done())

    async def __call__(self, question: Q) -> A:
        """Answer one question, by what was true after it was asked.

        Raises what `many` raises; of an odd question, only to who asked it.
        """
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await answer

    async def _ask(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
            await self._answer([(question, answer) for question, answer in batch if not answer.done()])

    async def _answer(self, batch: Sequence[tuple[Q, "asyncio.Future[A]"]]) -> None:
        if not batch:
            return
        try:
            answers: Sequence[Any] = await self._many([question for question, _ in batch])
        except Exception as error:  # noqa: BLE001 - whatever it is, it is for who asked
            if len(batch) > 1 and not isinstance(error, Unavailable):
                for each in batch:  # one of them cannot be answered; the others can
                    await self._answer([each])
                return
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, answer), found in zip(batch, answers, strict=True):
            if not answer.done():
                answer.set_result(found)
