"""What is asked while an answer is under way is asked together; an odd question fails alone."""

import asyncio

import pytest

from shared.messaging.outcomes import Unavailable
from shared.together import Together


class Database:
    def __init__(self) -> None:
        self.asked: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def double(self, numbers):
        self.asked.append(list(numbers))
        await self.gate.wait()
        if -1 in numbers:
            raise Unavailable("database", "away")
        if any(not isinstance(number, int) for number in numbers):
            raise TypeError("not a number")
        return [2 * number for number in numbers]


async def test_one_question_is_asked_at_once_and_those_that_come_meanwhile_together():
    database = Database()
    database.gate.clear()
    together = Together(database.double)
    first = asyncio.create_task(together(1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert database.asked == [[1]]
    others = [asyncio.create_task(together(number)) for number in (2, 3)]
    await asyncio.sleep(0)
    database.gate.set()
    assert await asyncio.gather(first, *others) == [2, 4, 6]
    assert database.asked == [[1], [2, 3]]
    assert together.idle


async def test_an_odd_question_fails_alone():
    together = Together(Database().double)
    answers = await asyncio.gather(together(1), together("odd"), together(3), return_exceptions=True)
    assert answers[0] == 2
    assert isinstance(answers[1], TypeError)
    assert answers[2] == 6


async def test_a_database_that_is_away_is_away_for_all_and_asked_once():
    database = Database()
    together = Together(database.double)
    answers = await asyncio.gather(together(-1), together(2), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unavailable, Unavailable]
    assert database.asked == [[-1, 2]]
    assert await together(4) == 8


async def test_who_has_gone_is_not_asked_for_and_keeps_nobody_else_waiting():
    database = Database()
    database.gate.clear()
    together = Together(database.double)
    first, gone, last = (asyncio.create_task(together(number)) for number in (1, 2, 3))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    database.gate.set()
    assert await asyncio.gather(first, last) == [2, 6]
    with pytest.raises(asyncio.CancelledError):
        await gone
