"""Waiting for a backup or a restore to end: live through the event stream, by looking again when the stream breaks.

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
from leeward.nouns import BACKUP, Noun
from leeward.output import Output, Shown
from leeward.problems import ApiError
from shared.contracts.phases import BackupStatus, OperationState, Outcome, RestoreStatus, RestoreStep
from shared.runtime import clock

if TYPE_CHECKING:  # httpx2 takes longer to load than all the rest, and `--help` needs none of it
    from leeward.client import Client, Event

_GIVEN_UP: Final = {OperationState.REJECTED, OperationState.EXPIRED}
_UNDER_WAY: Final = {OperationState.QUEUED, OperationState.ACCEPTED}
_ENDED: Final = {
    *(BackupStatus.COMPLETED, BackupStatus.PARTIALLY_FAILED, BackupStatus.FAILED, BackupStatus.EXPIRED, BackupStatus.DELETED),
    *(RestoreStatus.COMPLETED, RestoreStatus.PARTIALLY_FAILED, RestoreStatus.FAILED, RestoreStatus.DELETED),
}
_EXITS: Final = {Outcome.COMPLETED: Exit.OK, Outcome.PARTIALLY_FAILED: Exit.PARTIALLY_FAILED, Outcome.FAILED: Exit.FAILED}


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of something that was asked for: the operation until the cluster has it, then the thing itself.

    Of a restore from another cluster both: its operation has steps, of which the last one comes after the restore's end.
    """

    id: str
    operation: dict[str, Any] | None = None
    item: dict[str, Any] | None = None
    noun: Noun = BACKUP

    @property
    def ended(self) -> bool:
        """Tell whether waiting longer could change anything."""
        over = bool(dig(self.item, "outcome")) or dig(self.item, "status") in _ENDED
        return self.not_made or (over and not self.stepping)

    @property
    def stepping(self) -> bool:
        """Tell whether steps are left to take."""
        return bool(self.steps) and dig(self.operation, "state") in _UNDER_WAY

    @property
    def not_made(self) -> bool:
        """Tell whether the cluster will never make it."""
        return dig(self.operation, "state") in _GIVEN_UP and not dig(self.item, "outcome")

    @property
    def exit_code(self) -> Exit:
        """How it ended."""
        return _EXITS.get(dig(self.item, "outcome"), Exit.FAILED)

    @property
    def steps(self) -> list[str]:
        """The steps of a long operation so far, one line each."""
        return [step(s) for s in dig(self.operation, "steps") or dig(self.item, "steps") or []]

    def line(self, now: datetime) -> str:
        """Say how it goes, in one line."""
        phase, state = dig(self.item, "phase"), dig(self.operation, "state")
        if phase is None and state == OperationState.QUEUED and not self.steps:
            seen = dig(self.operation, "clusterLastSeenAt")
            last = f", last seen {words.moment(seen, seconds=True)}" if seen else ""
            return f"{state}: waiting for cluster {words.plain(dig(self.operation, 'cluster'))}{last}"
        at = (dig(self.operation, "steps") or [{}])[-1].get("step")
        if self.stepping and (phase is None or at != RestoreStep.RESTORE or dig(self.item, "outcome")):
            return self.steps[-1]
        if self.item is None:
            return words.plain(state)
        more = f" ({words.plain(phase)})" if phase and phase != self.item.get("status") else ""
        return f"{status(self.item, now)}{more}"

    def with_event(self, event: "Event") -> "Seen | None":
        """Return what is known after an event; None if it is about something else, or older than what is known."""
        if event.kind == self.noun.name and self.id in {event.item.get("id"), *(event.item.get("previousIds") or [])}:
            return replace(self, item=event.item) if _newer(event.item, self.item) else None
        if event.kind == "operation" and event.item.get("id") == self.id:
            return replace(self, operation=event.item) if _newer(event.item, self.operation) else None
        return None


def step(told: Any) -> str:
    """Return a step of an operation, with what it does and waits for."""
    return ": ".join(words.plain(part) for part in (told.get("step"), told.get("detail")) if part)


def _newer(item: dict[str, Any], known: dict[str, Any] | None) -> bool:
    """Tell whether a push is not behind what a look has shown before."""
    return (item.get("revision") or 0) >= (dig(known, "revision") or 0)


async def look(client: "Client", identity: str, noun: Noun = BACKUP) -> Seen:
    """Ask what has become of it.

    Raises CliError.
    """
    try:
        item = await client.get(finding.path(noun.things, identity))
    except ApiError as error:
        if error.exit_code is not Exit.NOT_FOUND:
            raise
        item = None
    if item is not None and (item.get("phase") or item.get("outcome")) and not item.get("steps"):
        return Seen(identity, None, item, noun)
    try:  # until the cluster has it, the operation says more; of a long one, to its end
        return Seen(identity, await client.get(finding.path("operations", identity)), item, noun)
    except ApiError as error:
        if item is None or error.exit_code is not Exit.NOT_FOUND:
            raise
        return Seen(identity, None, item, noun)


async def begin(client: "Client", name_or_id: str, cluster: str | None, noun: Noun = BACKUP) -> Seen:
    """Return where waiting begins: a thing, or the request for one that its cluster has not taken yet.

    Raises CliError.
    """
    try:
        found = await finding.thing(client, noun.name, name_or_id, cluster)
    except CliError as error:
        if error.exit_code is not Exit.NOT_FOUND:
            raise
        try:
            return Seen(name_or_id, await client.get(finding.path("operations", name_or_id)), None, noun)
        except ApiError:
            raise error from None
    return await look(client, found["id"], noun)


async def until_ended(client: "Client", output: Output, begin: Seen, cluster: str, patience: timedelta | None) -> Seen:
    """Wait, showing how it goes on stderr, and return how it ended, with all that is known of it.

    Raises CliError when the time is up, and CancelledError (after a word) when the person has had enough.
    """
    noun = begin.noun
    later = f"`leeward {noun.name} wait {begin.id}` waits on, `leeward {noun.name} describe {begin.id}` shows it"
    seen, told = begin, 0
    try:
        async with asyncio.timeout(patience.total_seconds() if patience is not None else None):
            params = {"cluster": cluster, "kind": [noun.name, "operation"]}
            news = follow(client, params, begin, lambda seen: look(client, seen.id, noun), Seen.with_event)
            with Shown(output) as shown:
                async with contextlib.aclosing(news) as changes:
                    told = _tell(shown, begin, told)
                    async for seen in changes:
                        told = _tell(shown, seen, told)
                        if seen.ended:
                            break
            return await _in_full(client, seen)
    except TimeoutError:
        words_ = f"not ended after {words.span(patience or timedelta())}, it goes on: {seen.line(clock.now())}"
        raise CliError(words_, Exit.TIMED_OUT, hints=[later]) from None
    except asyncio.CancelledError:
        output.say(f"no longer waiting, the {noun.name} goes on:\n  {later}")
        raise


def _tell(shown: Shown, seen: Seen, told: int) -> int:
    """Show the steps that are new (`told` of them are not), then how it goes; returns how many steps there are."""
    line = seen.line(clock.now())
    for each in (*seen.steps[told:], *([line] if line not in seen.steps else [])):
        shown.tell(each)
    return max(told, len(seen.steps))


async def _in_full(client: "Client", seen: Seen) -> Seen:
    """Return what only a look tells (an event carries what a list shows), if it can be had."""
    with contextlib.suppress(CliError):
        full = await look(client, seen.id, seen.noun)
        return full if full.ended else seen
    return seen
