"""Noticing a cancellation that was swallowed on its way."""

import asyncio


def unless_cancelled() -> None:
    """Raise CancelledError if this task was asked to stop; for the head of every endless loop, and before a long sleep.

    `asyncio.wait_for` of Python 3.11, on which the NATS client rests, swallows a cancellation that arrives together with
    the result it waits for (python issue 86296). The task would then go on for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
