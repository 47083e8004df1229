"""Following what changes: live through the event stream, by looking again whenever the stream breaks."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from leeward.errors import CliError, UnreachableError
from leeward.output import Output, Shown
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


@dataclass(frozen=True, slots=True)
class Pursuit(Generic[T]):
    """Something that is followed to its end: which events tell of it, how it is looked at, and when it is over.

    `look`, `heard`: as for `follow`; `progress` is how it goes in one line, `left` what is said to who no longer waits.
    """

    params: Mapping[str, Any]
    look: Callable[[T], Awaitable[T]]
    heard: Callable[[T, "Event"], T | None]
    settled: Callable[[T], bool]
    progress: Callable[[T], str]
    left: str


async def pursue(
    client: "Client", output: Output, begin: T, of: Pursuit[T], patience: timedelta | None, *, quiet: bool = False
) -> tuple[T, bool]:
    """Follow something until it is settled, showing how it goes. Returns what is known then, and whether that was in time.

    Raises CancelledError (after a word) when the person has had enough.
    """
    seen = begin
    if of.settled(seen):
        return seen, True
    news = follow(client, of.params, seen, of.look, of.heard)
    try:
        with Shown(output, quiet=quiet) as shown:
            async with asyncio.timeout(patience.total_seconds() if patience is not None else None), contextlib.aclosing(news):
                async for seen in news:
                    shown.tell(of.progress(seen))
                    if of.settled(seen):
                        return seen, True
    except TimeoutError:
        return seen, False
    except asyncio.CancelledError:
        output.say(of.left)
        raise
    raise AssertionError("unreachable: following never ends by itself")
