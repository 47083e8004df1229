"""Deleting backups with all of their data: one or many, asked first, and what became of each."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from leeward import arguments, words
from leeward.arguments import InCluster, NamesOrIds, Patience
from leeward.columns import BACKUPS, dig
from leeward.confirming import confirmed
from leeward.errors import CliError, Exit
from leeward.finding import backups as find_backups
from leeward.finding import path
from leeward.following import follow
from leeward.output import Shown
from leeward.problems import ApiError
from leeward.session import Session
from shared.contracts.phases import OperationState

if TYPE_CHECKING:  # httpx2 takes longer to load than all the rest, and `--help` needs none of it
    from leeward.client import Client, Event

_AT_ONCE = 500
"""Backups that one request may name."""
_LOOKS = 8
_SETTLE = timedelta(seconds=5)
"""How long a cluster has to say no, for who does not wait."""
_NOT_DONE = {OperationState.FAILED, OperationState.REJECTED, OperationState.EXPIRED}
_ENDED = {OperationState.SUCCEEDED, *_NOT_DONE}


@dataclass(frozen=True, slots=True)
class Fate:
    """A backup that is to be deleted, and what became of that: the operation, or why there is none."""

    backup: Mapping[str, Any]
    operation: Mapping[str, Any] | None = None
    problem: Mapping[str, Any] | None = None

    @property
    def state(self) -> str | None:
        """How far it has come; None if nothing was begun."""
        return str(self.operation.get("state")) if self.operation is not None else None

    @property
    def ended(self) -> bool:
        """Tell whether waiting longer could change anything."""
        return self.operation is None or self.state in _ENDED

    @property
    def error(self) -> ApiError | CliError | None:
        """Why it was not deleted."""
        if self.problem is not None:
            return ApiError(int(self.problem.get("status") or Exit.FAILED), self.problem)
        refusal = dig(self.operation, "refusal")
        if isinstance(refusal, Mapping):
            return ApiError.of(refusal, name=self.backup.get("name"), cluster=self.backup.get("cluster"))
        if self.state == OperationState.EXPIRED:
            until = words.moment(dig(self.operation, "deadline"), seconds=True)
            return CliError(f"cluster {self.backup.get('cluster')} did not take the request in time (until {until})")
        return CliError("it was not deleted") if self.state in _NOT_DONE else None

    def line(self) -> str:
        """Say how it goes."""
        name, cluster = words.plain(self.backup.get("name")), words.plain(self.backup.get("cluster"))
        if self.state == OperationState.SUCCEEDED:
            return f"backup {name} of cluster {cluster} is deleted"
        if self.state == OperationState.ACCEPTED:
            return f"backup {name} of cluster {cluster} is being deleted"
        until = words.moment(dig(self.operation, "deadline"), seconds=True)
        return f"backup {name} is to be deleted, cluster {cluster} has not answered yet (it has until {until})"


async def delete(
    session: Session,
    backup: NamesOrIds = None,
    *,
    cluster: InCluster = None,
    selector: arguments.Selector = None,
    everything: Annotated[bool, typer.Option("--all", help="Every backup of the cluster (--cluster) that is its own.")] = False,
    confirm: arguments.Confirm = False,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait until they are gone; the exit code says whether.")] = False,
    timeout: Patience = None,
    deadline: arguments.Deadline = None,
) -> Exit | None:
    """Delete backups with all of their data.

    In the storage and of volumes; it cannot be undone. If one of the names cannot be found, nothing is deleted.
    """
    patience = arguments.patience(timeout, wait=wait)
    if everything and cluster is None:
        raise CliError("--all is every backup of one cluster: name it (--cluster)", Exit.USAGE)
    found = await find_backups(session.client, backup or [], cluster, selector, everything=everything)
    if not found:
        raise CliError("there is no such backup", Exit.NOT_FOUND)
    if not confirm:
        _ask(session, found)
    fates = [Fate(item) for item in found]
    for n in range(0, len(fates), _AT_ONCE):
        fates[n : n + _AT_ONCE] = await _order(session, fates[n : n + _AT_ONCE], deadline)
    fates, in_time = await _until(session, fates, patience if wait else _SETTLE, wait=wait)
    return _told(session, fates, patience if wait and not in_time else None)


# ---------------------------------------------------------------------- asking


def _ask(session: Session, found: Sequence[Mapping[str, Any]]) -> None:
    """Let the person see what is to go, and say yes."""
    what = f"these {len(found)} backups with all of their data" if len(found) > 1 else "this backup with all of its data"
    columns = [column for column in BACKUPS if column.title != "Expires In"]
    confirmed(session.output, columns, found, f"Delete {what}?")


async def _order(session: Session, fates: Sequence[Fate], deadline: str | None) -> list[Fate]:
    """Ask for the deletion of up to 500 backups."""
    body: dict[str, Any] = {"ids": [fate.backup["id"] for fate in fates], **({"deadline": deadline} if deadline else {})}
    try:
        answer = await session.client.post("/backups/delete", body, key=str(uuid4()))
    except ApiError as error:
        raise error.told({"/deadline": "--deadline"}, body) from error
    except CliError as error:
        error.hints.append("it may have been asked for: to ask once more does no harm")
        raise
    said = {item.get("id"): item for item in answer.get("items") or []}
    return [_fate(session, fate, said.get(fate.backup["id"])) for fate in fates]


def _fate(session: Session, fate: Fate, said: Mapping[str, Any] | None) -> Fate:
    if said is None or not (said.get("operation") or said.get("problem")):
        raise session.client.stranger("no word about one of the backups")
    return replace(fate, operation=said.get("operation"), problem=said.get("problem"))


# ---------------------------------------------------------------------- waiting


async def _until(session: Session, begin: list[Fate], patience: timedelta | None, *, wait: bool) -> tuple[list[Fate], bool]:
    """Follow what becomes of them, until all have ended, or (without `wait`) their clusters have answered.

    Returns what is known then, and whether that was in time.
    """

    def settled(fate: Fate) -> bool:
        return fate.ended or (not wait and fate.state != OperationState.QUEUED)

    fates = begin
    if all(map(settled, fates)):
        return fates, True
    clusters = sorted({str(fate.backup["cluster"]) for fate in fates})
    news = follow(session.client, {"cluster": clusters, "kind": "operation"}, fates, lambda f: _look(session.client, f), _heard)
    try:
        with Shown(session.output, quiet=not wait) as shown:
            async with asyncio.timeout(patience.total_seconds() if patience is not None else None), contextlib.aclosing(news):
                async for fates in news:
                    shown.tell(_progress(fates))
                    if all(map(settled, fates)):
                        return fates, True
    except TimeoutError:
        return fates, False
    except asyncio.CancelledError:
        session.output.say("no longer waiting, the deletion goes on")
        raise
    raise AssertionError("unreachable: following never ends by itself")


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


# ---------------------------------------------------------------------- telling


def _told(session: Session, fates: Sequence[Fate], passed: timedelta | None) -> Exit | None:
    """Say what became of each, and end with the exit code that says so.

    Raises CliError when one was not deleted, or (after `passed`) not yet.
    """
    if session.output.table:
        for fate in fates:
            if fate.error is None:
                session.output.line(fate.line())
    else:
        items = [{"id": fate.backup["id"], "operation": fate.operation, "problem": fate.problem} for fate in fates]
        session.output.data({"items": items})
    failed = [(fate, error) for fate in fates if (error := fate.error) is not None]
    for fate, error in failed:
        if isinstance(error, ApiError):
            error.told(body={"name": fate.backup.get("name"), "cluster": fate.backup.get("cluster")})
    if len(failed) == 1 == len(fates):
        raise failed[0][1]
    if failed:
        lines = [f"{fate.backup.get('name')} ({fate.backup.get('cluster')}): {error.words}" for fate, error in failed]
        raise CliError("\n  ".join([f"{len(failed)} of {len(fates)} backups were not deleted", *lines]))
    if passed is not None:
        raise CliError(f"not gone after {words.span(passed)}, the deletion goes on", Exit.TIMED_OUT)
    return None
