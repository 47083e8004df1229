"""What becomes of things that are to be deleted, each by an operation of its own: followed, and said of each."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from leeward import words
from leeward.columns import dig
from leeward.errors import CliError, Exit
from leeward.finding import path
from leeward.following import Pursuit, pursue
from leeward.problems import ApiError
from leeward.session import Session
from shared.contracts.phases import OperationState

if TYPE_CHECKING:  # httpx2 takes longer to load than all the rest, and `--help` needs none of it
    from leeward.client import Client, Event

_AT_ONCE = 500
"""Things that one request may name."""
_LOOKS = 8
_SETTLE = timedelta(seconds=5)
"""How long a cluster has to say no, for who does not wait."""
_NOT_DONE = {OperationState.FAILED, OperationState.REJECTED, OperationState.EXPIRED}
_ENDED = {OperationState.SUCCEEDED, *_NOT_DONE}


@dataclass(frozen=True, slots=True)
class Fate:
    """A thing that is to be deleted, and what became of that: the operation, or why there is none.

    Neither: it had gone already. `noun` is what it is called.
    """

    noun: str
    item: Mapping[str, Any]
    operation: Mapping[str, Any] | None = None
    problem: Mapping[str, Any] | None = None

    @property
    def state(self) -> str | None:
        """How far it has come; None if nothing was begun."""
        if self.operation is not None:
            return str(self.operation.get("state"))
        return OperationState.SUCCEEDED if self.problem is None else None

    @property
    def ended(self) -> bool:
        """Tell whether waiting longer could change anything."""
        return self.state is None or self.state in _ENDED

    @property
    def error(self) -> ApiError | CliError | None:
        """Why it was not deleted."""
        if self.problem is not None:
            return ApiError(int(self.problem.get("status") or Exit.FAILED), self.problem)
        refusal = dig(self.operation, "refusal")
        if isinstance(refusal, Mapping):
            return ApiError.of(refusal, name=self.item.get("name"), cluster=self.item.get("cluster"))
        if self.state == OperationState.EXPIRED:
            until = words.moment(dig(self.operation, "deadline"), seconds=True)
            return CliError(f"cluster {self.item.get('cluster')} did not take the request in time (until {until})")
        return CliError("it was not deleted") if self.state in _NOT_DONE else None

    def line(self) -> str:
        """Say how it goes."""
        name, cluster = words.plain(self.item.get("name")), words.plain(self.item.get("cluster"))
        if self.state == OperationState.SUCCEEDED:
            return f"{self.noun} {name} of cluster {cluster} is deleted"
        if self.state == OperationState.ACCEPTED:
            return f"{self.noun} {name} of cluster {cluster} is being deleted"
        until = words.moment(dig(self.operation, "deadline"), seconds=True)
        return f"{self.noun} {name} is to be deleted, cluster {cluster} has not answered yet (it has until {until})"


async def ordered_all(session: Session, address: str, fates: Sequence[Fate], deadline: str | None) -> list[Fate]:
    """Have things deleted by their ids, as many at a time as one request may name, and return what was answered of each.

    Raises CliError.
    """
    parts = [fates[n : n + _AT_ONCE] for n in range(0, len(fates), _AT_ONCE)]
    return [fate for part in parts for fate in await _order(session, address, part, deadline)]


async def _order(session: Session, address: str, fates: Sequence[Fate], deadline: str | None) -> list[Fate]:
    body: dict[str, Any] = {"ids": [fate.item["id"] for fate in fates], **({"deadline": deadline} if deadline else {})}
    try:
        answer = await session.client.post(address, body, key=str(uuid4()))
    except ApiError as error:
        raise error.told({"/deadline": "--deadline"}, body) from error
    except CliError as error:
        error.hints.append("it may have been asked for: to ask once more does no harm")
        raise
    said = {item.get("id"): item for item in answer.get("items") or []}
    return [_fate(session, fate, said.get(fate.item["id"])) for fate in fates]


def _fate(session: Session, fate: Fate, said: Mapping[str, Any] | None) -> Fate:
    if said is None or not (said.get("operation") or said.get("problem")):
        raise session.client.stranger(f"no word about one {fate.noun}")
    return replace(fate, operation=said.get("operation"), problem=said.get("problem"))


async def ordered(client: "Client", fate: Fate, address: str, params: Mapping[str, Any] | None = None) -> Fate:
    """Have the thing at an address deleted, and return what was answered; a no is part of that."""
    try:
        answer = await client.delete(address, params)
    except ApiError as error:
        if error.temporary:
            raise
        return replace(fate, problem=error.document)
    return replace(fate, operation=answer if "state" in answer else None)


async def end(session: Session, begin: Sequence[Fate], patience: timedelta | None, *, wait: bool) -> Exit | None:
    """Follow what becomes of them, and say it: until all have ended, or (without `wait`) their clusters have answered.

    Raises CliError when one was not deleted, or not in time.
    """

    def settled(fates: list[Fate]) -> bool:
        return all(fate.ended or (not wait and fate.state != OperationState.QUEUED) for fate in fates)

    of: Pursuit[list[Fate]] = Pursuit(
        params={"cluster": sorted({str(fate.item["cluster"]) for fate in begin}), "kind": "operation"},
        look=lambda fates: _look(session.client, fates),
        heard=_heard,
        settled=settled,
        progress=_progress,
        left="no longer waiting, the deletion goes on",
    )
    given = patience if wait else _SETTLE
    fates, in_time = await pursue(session.client, session.output, list(begin), of, given, quiet=not wait)
    return _told(session, fates, patience if wait and not in_time else None)


async def _look(client: "Client", fates: list[Fate]) -> list[Fate]:
    """Ask for the operations that have not ended, a few at a time."""
    turn = asyncio.Semaphore(_LOOKS)

    async def look(fate: Fate) -> Fate:
        if fate.ended:
            return fate
        async with turn:
            try:
                return _newer(fate, await client.get(path("operations", str(dig(fate.operation, "id")))))
            except ApiError as error:
                if error.exit_code is not Exit.NOT_FOUND:  # stored, but nobody has told of it yet
                    raise
                return fate

    return list(await asyncio.gather(*map(look, fates)))


def _heard(fates: list[Fate], event: "Event") -> list[Fate] | None:
    """Return what is known after an event; None if it is about something else."""
    if event.kind != "operation" or all(dig(fate.operation, "id") != event.item.get("id") for fate in fates):
        return None
    return [_newer(fate, event.item) if dig(fate.operation, "id") == event.item.get("id") else fate for fate in fates]


def _newer(fate: Fate, operation: Mapping[str, Any]) -> Fate:
    known = dig(fate.operation, "revision") or 0
    return replace(fate, operation=operation) if (operation.get("revision") or 0) >= known else fate


def _progress(fates: Sequence[Fate]) -> str:
    if len(fates) == 1:
        return f"Deleting ({fates[0].state})"
    return f"Deleting: {sum(fate.ended for fate in fates)} of {len(fates)} ended"


def _told(session: Session, fates: Sequence[Fate], passed: timedelta | None) -> Exit | None:
    """Say what became of each, and end with the exit code that says so.

    Raises CliError when one was not deleted, or (after `passed`) not yet.
    """
    if session.output.table:
        for fate in fates:
            if fate.error is None:
                session.output.line(fate.line())
    else:
        items = [{"id": fate.item["id"], "operation": fate.operation, "problem": fate.problem} for fate in fates]
        session.output.data({"items": items})
    failed = [(fate, error) for fate in fates if (error := fate.error) is not None]
    for fate, error in failed:
        if isinstance(error, ApiError):
            error.told(body={"name": fate.item.get("name"), "cluster": fate.item.get("cluster")})
    if len(failed) == 1 == len(fates):
        raise failed[0][1]
    if failed:
        lines = [f"{fate.item.get('name')} ({fate.item.get('cluster')}): {error.words}" for fate, error in failed]
        raise CliError("\n  ".join([f"{len(failed)} of {len(fates)} {fates[0].noun}s were not deleted", *lines]))
    if passed is not None:
        raise CliError(f"not gone after {words.span(passed)}, the deletion goes on", Exit.TIMED_OUT)
    return None
