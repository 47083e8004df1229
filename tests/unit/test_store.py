"""The way to the database: who is asked to stop while it does not answer stops."""

import asyncio

import pytest
from pymongo.errors import AutoReconnect

from shared.store import answering


async def test_a_cancellation_that_the_driver_turned_into_an_error_of_its_own_still_ends_the_task():
    begun = asyncio.Event()

    async def ask():
        with answering():
            begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise AutoReconnect("it swallowed that") from None

    task = asyncio.create_task(ask())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
