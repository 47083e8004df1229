"""Pausing, resuming and skipping: what is wanted of the coming slots, and which one is the first that goes by it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from leeward import words
from leeward.arguments import InCluster
from leeward.errors import CliError, Exit
from leeward.finding import path, schedules
from leeward.problems import ApiError
from leeward.schedules import telling
from leeward.schedules.arguments import AllOfCluster, NamesOrIds
from leeward.session import Session

_AT_ONCE = 8


async def pause(
    session: Session, schedule: NamesOrIds = None, *, cluster: InCluster = None, everything: AllOfCluster = False
) -> Exit | None:
    """Run nothing until it is resumed.

    Each slot that is left out is written down.
    """
    found = await schedules(session.client, schedule or [], cluster, everything=everything)
    return await _each(session, found, "pause", None, lambda item: f"is paused{telling.from_on(item)}")


async def resume(
    session: Session, schedule: NamesOrIds = None, *, cluster: InCluster = None, everything: AllOfCluster = False
) -> Exit | None:
    """Run again what was paused.

    A slot that has passed meanwhile is not made up for.
    """
    found = await schedules(session.client, schedule or [], cluster, everything=everything)
    return await _each(session, found, "resume", None, lambda item: f"runs again{telling.from_on(item)}")


async def skip(
    session: Session,
    schedule: NamesOrIds = None,
    *,
    count: Annotated[int, typer.Option("--count", "-n", metavar="N", help="How many; 0 takes an earlier wish back.")] = 1,
    cluster: InCluster = None,
    everything: AllOfCluster = False,
) -> Exit | None:
    """Leave out the next slot, or the next N.

    Then it goes on by itself.
    """
    found = await schedules(session.client, schedule or [], cluster, everything=everything)
    return await _each(session, found, "skip", {"count": count}, _skipped)


def _skipped(item: Mapping[str, Any]) -> str:
    count = item.get("skipNext") or 0
    if count > 1:
        return f"leaves out {telling.slots(count)}{telling.from_on(item)}"
    first = words.moment(item.get("firstAffected"))
    return f"leaves out the next slot, {first}" if count else f"leaves out no slot; the next one is {first}"


async def _each(
    session: Session,
    found: Sequence[Mapping[str, Any]],
    verb: str,
    body: Mapping[str, Any] | None,
    what: Callable[[Mapping[str, Any]], str],
) -> Exit | None:
    """Ask for the same of each, a few at a time, and say of each what has become of it.

    Raises CliError when one of them said no.
    """
    turn = asyncio.Semaphore(_AT_ONCE)

    async def ask(item: Mapping[str, Any]) -> dict[str, Any] | ApiError:
        async with turn:
            try:
                answer: dict[str, Any] = await session.client.post(path("schedules", str(item["id"]), verb), body)
            except ApiError as error:
                return error.told({"/count": "--count"}, body)
            return answer

    if not found:
        raise CliError("there is no such schedule", Exit.NOT_FOUND)
    answers = await asyncio.gather(*map(ask, found))
    changed = [answer for answer in answers if not isinstance(answer, ApiError)]
    refused = [(item, answer) for item, answer in zip(found, answers, strict=True) if isinstance(answer, ApiError)]
    if len(found) == 1 == len(refused):
        raise refused[0][1]
    if session.output.table:
        for answer in changed:
            telling.told(session.output, answer, what(answer))
    else:
        session.output.data(changed[0] if len(found) == 1 else {"items": changed})
    if refused:
        lines = [f"{telling.name(item)}: {words.plain(error.words)}" for item, error in refused]
        raise CliError("\n  ".join([f"{len(refused)} of {len(found)} schedules said no", *lines]))
    return None
