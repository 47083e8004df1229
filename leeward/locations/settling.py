"""What becomes of a change of a location: until its cluster has taken it, and until Velero has looked whether it can be used.

It is asked for again and again: that Velero has looked and found nothing new changes no status, and so is no event.
"""

import asyncio
import contextlib
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from leeward import words
from leeward.columns import dig
from leeward.errors import CliError, Exit, UnreachableError
from leeward.finding import path
from leeward.following import passes
from leeward.locations.sorts import Sort
from leeward.output import Shown
from leeward.problems import ApiError
from leeward.session import Session
from shared.contracts.phases import LocationStatus, OperationState

if TYPE_CHECKING:  # httpx2 takes longer to load than all the rest, and `--help` needs none of it
    from leeward.client import Client

_PAUSE = 1.0
_NOT_DONE = {OperationState.FAILED, OperationState.REJECTED, OperationState.EXPIRED}
_LOOKED_AT = {LocationStatus.AVAILABLE, LocationStatus.UNAVAILABLE}


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a change: the operation until the cluster has taken it, then the location.

    `before`: when Velero had last looked at it before the change.
    """

    sort: Sort
    cluster: str
    name: str
    before: str | None
    operation: dict[str, Any] | None = None
    item: dict[str, Any] | None = None

    @classmethod
    def of(cls, sort: Sort, cluster: str, name: str, answer: dict[str, Any], *, before: str | None) -> Self:
        """Return what an answer tells; one that shows the location shows when Velero had looked at it until now."""
        before = answer.get("lastValidatedAt", before) if "state" not in answer and before is not None else before
        return cls(sort, cluster, name, before, **{"operation" if "state" in answer else "item": answer})

    @property
    def refused(self) -> bool:
        """Tell whether the cluster will never take it."""
        return dig(self.operation, "state") in _NOT_DONE

    @property
    def taken(self) -> bool:
        """Tell whether the cluster has taken it."""
        return self.operation is None or dig(self.operation, "state") not in {*_NOT_DONE, OperationState.QUEUED}

    @property
    def ended(self) -> bool:
        """Tell whether waiting longer could change anything."""
        looked = dig(self.item, "status") in _LOOKED_AT and dig(self.item, "lastValidatedAt") != self.before
        return self.refused or (self.taken and (not self.sort.validated or looked))

    def line(self) -> str:
        """Say how it goes."""
        if not self.taken:
            return f"{words.plain(dig(self.operation, 'state'))}: waiting for cluster {self.cluster}"
        return f"waiting until Velero has looked at it ({words.plain(dig(self.item, 'status'))})"


async def settled(session: Session, begin: Seen, what: str, patience: timedelta | None, *, wait: bool) -> Exit | None:
    """Say what has become of a change, or wait until Velero has looked at the location.

    Raises CliError when it was refused, cannot be used, or (with `wait`) nobody has looked in time.
    """
    seen, sort, output = begin, begin.sort, session.output
    if wait:
        seen = await _until(session, seen, patience)
    if not output.table:
        output.data(seen.operation if seen.item is None else seen.item)
    if seen.refused:
        raise _refused(seen)
    if not output.table:
        pass
    elif not seen.taken:
        until = words.moment(dig(seen.operation, "deadline"), seconds=True)
        output.line(f"{sort.words} {seen.name}: asked for, cluster {seen.cluster} has not answered yet (it has until {until})")
        output.say(f"`leeward operation get {dig(seen.operation, 'id')}` shows what becomes of it")
    else:
        now = f", and {words.plain(seen.item['status'])}" if seen.item is not None and sort.validated else ""
        output.line(f"{sort.words} {words.plain(seen.name)} of cluster {words.plain(seen.cluster)} {what}{now}")
    if wait and dig(seen.item, "status") == LocationStatus.UNAVAILABLE:
        raise CliError(f"Velero cannot use it: {words.plain(dig(seen.item, 'message'))}")
    return None


def _refused(seen: Seen) -> CliError:
    refusal = dig(seen.operation, "refusal")
    if isinstance(refusal, dict):
        return ApiError.of(refusal, name=seen.name, cluster=seen.cluster).told()
    until = words.moment(dig(seen.operation, "deadline"), seconds=True)
    return CliError(f"cluster {seen.cluster} did not take the request in time (until {until}): nothing was changed")


async def _until(session: Session, begin: Seen, patience: timedelta | None) -> Seen:
    """Look until nothing more can be expected, showing how it goes.

    Raises CliError when the time is up, and CancelledError (after a word) when the person has had enough.
    """
    seen = begin
    try:
        with Shown(session.output) as shown:
            async with asyncio.timeout(patience.total_seconds() if patience is not None else None):
                while not seen.ended:
                    shown.tell(seen.line())
                    await asyncio.sleep(_PAUSE)
                    seen = await _look(session.client, seen)
    except TimeoutError:
        raise CliError(
            f"not done after {words.span(patience or timedelta())}, it goes on: {seen.line()}",
            Exit.TIMED_OUT,
            hints=[f"`leeward {seen.sort.command} describe {seen.name} --cluster {seen.cluster}` shows it"],
        ) from None
    except asyncio.CancelledError:
        session.output.say("no longer waiting, what was asked for goes on")
        raise
    return seen


async def _look(client: "Client", seen: Seen) -> Seen:
    """Ask for the operation until the cluster has answered, then for the location; that nobody answers now passes."""
    with contextlib.suppress(UnreachableError):
        try:
            if not seen.taken:
                return replace(seen, operation=await client.get(path("operations", str(dig(seen.operation, "id")))))
            return replace(seen, item=await client.get(seen.sort.address(seen.cluster, seen.name)))
        except ApiError as error:
            if error.exit_code is not Exit.NOT_FOUND and not passes(error):
                raise
    return seen
