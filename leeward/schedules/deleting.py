"""Deleting schedules, with the backups that they made or without: asked first, and followed until nothing is left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from leeward import arguments, words
from leeward.arguments import InCluster, Patience
from leeward.columns import SCHEDULES
from leeward.confirming import confirmed
from leeward.errors import CliError, Exit
from leeward.finding import path, schedules
from leeward.following import Pursuit, pursue
from leeward.problems import ApiError
from leeward.schedules import telling
from leeward.schedules.arguments import AllOfCluster, NamesOrIds
from leeward.session import Session

if TYPE_CHECKING:  # httpx2 takes longer to load than all the rest, and `--help` needs none of it
    from leeward.client import Client, Event

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Fate:
    """A schedule that is to be deleted. `item` is None once it has gone; `left` are the ids of its backups that go with it."""

    schedule: Mapping[str, Any]
    item: Mapping[str, Any] | None
    left: frozenset[str] = frozenset()
    began_with: int = 0
    error: ApiError | None = None

    @property
    def failed(self) -> list[str]:
        """What kept it from going."""
        if self.error is not None:
            return [words.plain(self.error.words)]
        return [words.plain(error) for error in ((self.item or {}).get("deleting") or {}).get("errors") or []]

    @property
    def ended(self) -> bool:
        """Tell whether waiting longer could change anything."""
        return self.item is None or bool(self.failed)

    def line(self) -> str:
        """Say how it goes."""
        if self.item is None:
            return f"{telling.name(self.schedule)} is deleted" + (
                f", with {_backups(self.began_with)}" if self.began_with else ""
            )
        left = f": {_backups(len(self.left))} left" if self.left else ""
        return f"{telling.name(self.schedule)} is being deleted{left}"


def _backups(count: int) -> str:
    return f"{words.number(count)} backup{'' if count == 1 else 's'}"


async def delete(
    session: Session,
    schedule: NamesOrIds = None,
    *,
    cluster: InCluster = None,
    everything: AllOfCluster = False,
    delete_backups: Annotated[
        bool | None,
        typer.Option(
            "--delete-backups/--keep-backups",
            help="What becomes of the backups that it made (without a word, what its settings say).",
            show_default=False,
        ),
    ] = None,
    confirm: arguments.Confirm = False,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait until nothing is left; the exit code says whether.")] = False,
    timeout: Patience = None,
) -> Exit | None:
    """Delete schedules. Their slots are decided no more; their backups stay, or go with all of their data.

    If one of the names cannot be found, nothing is deleted.
    """
    patience = arguments.patience(timeout, wait=wait)
    found = await schedules(session.client, schedule or [], cluster, everything=everything)
    if not found:
        raise CliError("there is no such schedule", Exit.NOT_FOUND)
    fates = [await _look_around(session.client, item, delete_backups) for item in found]
    if not confirm:
        _ask(session, fates)
    fates = [await _order(session.client, fate, delete_backups) for fate in fates]
    in_time = True
    if wait:
        fates, in_time = await _until_gone(session, fates, patience)
    return _told(session, fates, patience if not in_time else None)


async def _look_around(client: "Client", item: Mapping[str, Any], delete_backups: bool | None) -> Fate:
    """Return a schedule with the backups that would go with it."""
    goes = item.get("deleteBackupsOnDeletion") if delete_backups is None else delete_backups
    left: set[str] = set()
    if goes:
        params = {"schedule": item["id"], "limit": _PAGE}
        left = {b["id"] async for page in client.pages("/backups", params) for b in page["items"] if not b.get("replica")}
    return Fate(item, item, frozenset(left), len(left))


def _ask(session: Session, fates: Sequence[Fate]) -> None:
    """Let the person see what is to go, and say yes."""
    what = "this schedule" if len(fates) == 1 else f"these {len(fates)} schedules"
    count = sum(len(fate.left) for fate in fates)
    question = f"Delete {what}" + (f", and {_backups(count)} with all of their data?" if count else "? No backup goes with it.")
    confirmed(session.output, SCHEDULES, [fate.schedule for fate in fates], question)


async def _order(client: "Client", fate: Fate, delete_backups: bool | None) -> Fate:
    params = {} if delete_backups is None else {"deleteBackups": "true" if delete_backups else "false"}
    try:
        answer = await client.delete(path("schedules", str(fate.schedule["id"])), params)
    except ApiError as error:
        return replace(fate, error=error)
    return replace(fate, item=answer or None, left=fate.left if answer else frozenset())


async def _until_gone(session: Session, begin: list[Fate], patience: timedelta | None) -> tuple[list[Fate], bool]:
    """Follow what becomes of them. Returns what is known at the end, and whether that was in time."""
    of: Pursuit[list[Fate]] = Pursuit(
        params={"cluster": sorted({str(fate.schedule["cluster"]) for fate in begin}), "kind": ["schedule", "backup"]},
        look=lambda fates: _look(session.client, fates),
        heard=_heard,
        settled=lambda fates: all(fate.ended for fate in fates),
        progress=_progress,
        left="no longer waiting, the deletion goes on",
    )
    return await pursue(session.client, session.output, begin, of, patience)


async def _look(client: "Client", fates: list[Fate]) -> list[Fate]:
    return [fate if fate.ended else await _looked(client, fate) for fate in fates]


async def _looked(client: "Client", fate: Fate) -> Fate:
    """Ask for a schedule, and for its backups that are still there."""
    try:
        item = await client.get(path("schedules", str(fate.schedule["id"])))
    except ApiError as error:
        if error.exit_code is not Exit.NOT_FOUND:
            raise
        return replace(fate, item=None, left=frozenset())
    if not fate.left:
        return replace(fate, item=item)
    params = {"schedule": fate.schedule["id"], "limit": _PAGE}
    there = {backup["id"] async for page in client.pages("/backups", params) for backup in page["items"]}
    return replace(fate, item=item, left=fate.left & there)


def _heard(fates: list[Fate], event: "Event") -> list[Fate] | None:
    """Return what is known after an event; None if it is about something else."""
    heard = [_after(fate, event) for fate in fates]
    return heard if heard != fates else None


def _after(fate: Fate, event: "Event") -> Fate:
    if event.kind == "schedule" and event.item.get("id") == fate.schedule["id"]:
        gone = event.item.get("status") == "Deleted"
        return replace(fate, item=None, left=frozenset()) if gone else replace(fate, item=event.item)
    if event.kind == "backup" and event.item.get("status") == "Deleted":
        return replace(fate, left=fate.left - {event.item.get("id")})
    return fate


def _progress(fates: Sequence[Fate]) -> str:
    left = sum(len(fate.left) for fate in fates)
    rest = f", {_backups(left)} left" if left else ""
    return (
        f"Deleting: {sum(fate.item is None for fate in fates)} of {len(fates)} gone{rest}"
        if len(fates) > 1
        else f"Deleting{rest}"
    )


def _told(session: Session, fates: Sequence[Fate], passed: timedelta | None) -> Exit | None:
    """Say what became of each, and end with the exit code that says so.

    Raises CliError when one did not go, or (after `passed`) not yet.
    """
    if session.output.table:
        for fate in fates:
            if not fate.failed:
                session.output.line(fate.line())
    else:
        session.output.data({"items": [{"id": fate.schedule["id"], "schedule": fate.item} for fate in fates]})
    failed = [fate for fate in fates if fate.failed]
    if len(failed) == 1 == len(fates) and failed[0].error is not None:
        raise failed[0].error.told()
    if failed:
        lines = [f"{telling.name(fate.schedule)}: {error}" for fate in failed for error in fate.failed]
        again = "the same command tries again; --keep-backups lets the schedule go without them"
        raise CliError("\n  ".join([f"{len(failed)} of {len(fates)} schedules were not deleted", *lines]), hints=[again])
    if passed is not None:
        raise CliError(f"not gone after {words.span(passed)}, the deletion goes on", Exit.TIMED_OUT)
    return None
