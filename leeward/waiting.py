"""Waiting for a backup to end: live through the event stream, by looking again when the stream breaks.

What is seen only moves forward: a look after every break, so that nothing depends on a stream being whole.
"""

import asyncio
import contextlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from leeward import finding, words
from leeward.columns import dig, status
from leeward.errors import CliError, Exit
from leeward.following import follow
from leeward.output import Output, Shown
from leeward.problems import ApiError
from shared.contracts.phases import BackupStatus, OperationState, Outcome
from shared.runtime import clock

if TYPE_CHECKING:  # httpx2 takes longer to load than all the rest, and `--help` needs none of it
    from leeward.client import Client, Event

_GIVEN_UP: Final = {OperationState.REJECTED, OperationState.EXPIRED}
_ENDED: Final = {
    BackupStatus.COMPLETED,
    BackupStatus.PARTIALLY_FAILED,
    BackupStatus.FAILED,
    BackupStatus.EXPIRED,
    BackupStatus.DELETED,
}
_EXITS: Final = {Outcome.COMPLETED: Exit.OK, Outcome.PARTIALLY_FAILED: Exit.PARTIALLY_FAILED, Outcome.FAILED: Exit.FAILED}


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a backup that was asked for: the operation until the cluster has it, then the backup."""

    id: str
    operation: dict[str, Any] | None = None
    backup: dict[str, Any] | None = None

    @property
    def ended(self) -> bool:
        """Tell whether waiting longer could change anything."""
        return self.not_made or bool(dig(self.backup, "outcome")) or dig(self.backup, "status") in _ENDED

    @property
    def not_made(self) -> bool:
        """Tell whether the cluster will never make it."""
        return dig(self.operation, "state") in _GIVEN_UP and not dig(self.backup, "outcome")

    @property
    def exit_code(self) -> Exit:
        """How it ended."""
        return _EXITS.get(dig(self.backup, "outcome"), Exit.FAILED)

    def line(self, now: datetime) -> str:
        """Say how it goes, in one line."""
        phase, state = dig(self.backup, "phase"), dig(self.operation, "state")
        if phase is None and state == OperationState.QUEUED:
            seen = dig(self.operation, "clusterLastSeenAt")
            last = f", last seen {words.moment(seen, seconds=True)}" if seen else ""
            return f"{state}: waiting for cluster {words.plain(dig(self.operation, 'cluster'))}{last}"
        if self.backup is None:
            return words.plain(state)
        more = f" ({words.plain(phase)})" if phase and phase != self.backup.get("status") else ""
        return f"{status(self.backup, now)}{more}"

    def with_event(self, event: "Event") -> "Seen | None":
        """Return what is known after an event; None if it is about something else, or older than what is known."""
        if event.kind == "backup" and self.id in {event.item.get("id"), *(event.item.get("previousIds") or [])}:
            return replace(self, backup=event.item) if _newer(event.item, self.backup) else None
        if event.kind == "operation" and event.item.get("id") == self.id:
            return replace(self, operation=event.item) if _newer(event.item, self.operation) else None
        return None


def _newer(item: dict[str, Any], known: dict[str, Any] | None) -> bool:
    """Tell whether a push is not behind what a look has shown before."""
    return (item.get("revision") or 0) >= (dig(known, "revision") or 0)


async def look(client: "Client", backup_id: str) -> Seen:
    """Ask what has become of it.

    Raises CliError.
    """
    try:
        backup = await client.get(finding.path("backups", backup_id))
    except ApiError as error:
        if error.exit_code is not Exit.NOT_FOUND:
            raise
        backup = None
    if backup is not None and (backup.get("phase") or backup.get("outcome")):
        return Seen(backup_id, backup=backup)
    try:  # until the cluster has it, the operation says more
        return Seen(backup_id, await client.get(finding.path("operations", backup_id)), backup)
    except ApiError as error:
        if backup is None or error.exit_code is not Exit.NOT_FOUND:
            raise
        return Seen(backup_id, backup=backup)


async def begin(client: "Client", name_or_id: str, cluster: str | None) -> Seen:
    """Return where waiting begins: a backup, or the request for one that its cluster has not taken yet.

    Raises CliError.
    """
    try:
        found = await finding.backup(client, name_or_id, cluster)
    except CliError as error:
        if error.exit_code is not Exit.NOT_FOUND:
            raise
        try:
            return Seen(name_or_id, await client.get(finding.path("operations", name_or_id)))
        except ApiError:
            raise error from None
    return await look(client, found["id"])


async def until_ended(client: "Client", output: Output, begin: Seen, cluster: str, patience: timedelta | None) -> Seen:
    """Wait, showing how it goes on stderr, and return how it ended, with all that is known of it.

    Raises CliError when the time is up, and CancelledError (after a word) when the person has had enough.
    """
    later = f"`leeward backup wait {begin.id}` waits on, `leeward backup describe {begin.id}` shows it"
    seen = begin
    try:
        async with asyncio.timeout(patience.total_seconds() if patience is not None else None):
            params = {"cluster": cluster, "kind": ["backup", "operation"]}
            news = follow(client, params, begin, lambda seen: look(client, seen.id), Seen.with_event)
            with Shown(output) as shown:
                async with contextlib.aclosing(news) as changes:
                    shown.tell(begin.line(clock.now()))
                    async for seen in changes:
                        shown.tell(seen.line(clock.now()))
                        if seen.ended:
                            break
            return await _in_full(client, seen)
    except TimeoutError:
        words_ = f"not ended after {words.span(patience or timedelta())}, it goes on: {seen.line(clock.now())}"
        raise CliError(words_, Exit.TIMED_OUT, hints=[later]) from None
    except asyncio.CancelledError:
        output.say(f"no longer waiting, the backup goes on:\n  {later}")
        raise


async def _in_full(client: "Client", seen: Seen) -> Seen:
    """Return what only a look tells (an event carries what a list shows), if it can be had."""
    with contextlib.suppress(CliError):
        full = await look(client, seen.id)
        return full if full.ended else seen
    return seen
