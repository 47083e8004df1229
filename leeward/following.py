"""Following what changes: live through the event stream, by looking again whenever the stream breaks."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from leeward.errors import CliError, UnreachableError
from leeward.problems import ApiError

if TYPE_CHECKING:  # httpx2 takes longer to load than all the rest, and `--help` needs none of it
    from leeward.client import Client, Event

T = TypeVar("T")

_PAUSES = (0.5, 1.0, 2.0)
"""Seconds between two attempts to listen; the last one repeats."""


async def follow(
    client: "Client",
    params: Mapping[str, Any],
    begin: T,
    look: Callable[[T], Awaitable[T]],
    heard: Callable[[T, "Event"], T | None],
) -> AsyncGenerator[T]:
    """Return what is known, whenever it changes, for ever.

    `look` asks anew; `heard` is what is known after an event, None if that told nothing new.
    Raises CliError when we are no longer let in; that nobody answers is no reason to stop.
    """
    seen, last_id, breaks = begin, None, 0
    while True:
        try:
            async with client.events(params, last_id) as events:
                if last_id is None:
                    seen = await look(seen)
                    yield seen
                async for event in events:
                    breaks, last_id = 0, event.id or last_id
                    news = await look(seen) if event.kind == "reset" else heard(seen, event)
                    if news is not None:
                        seen = news
                        yield seen
        except CliError as error:
            if not passes(error):
                raise
            with contextlib.suppress(UnreachableError):
                seen = await _glance(look, seen)
                last_id = None  # what the stream would repeat is older than this
                yield seen
        await asyncio.sleep(_PAUSES[min(breaks, len(_PAUSES) - 1)])
        breaks += 1


def passes(error: CliError) -> bool:
    """Tell whether trying again later may help."""
    return isinstance(error, UnreachableError) or (isinstance(error, ApiError) and error.temporary)


async def _glance(look: Callable[[T], Awaitable[T]], seen: T) -> T:
    """Look; that there is no answer now is told as UnreachableError, whoever says so."""
    try:
        return await look(seen)
    except CliError as error:
        if passes(error):
            raise UnreachableError(error.words) from error
        raise
