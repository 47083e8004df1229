"""Finding the schedules whose rows are behind without anybody having said so: hints get lost, clusters and locations move.

Every few seconds the grounds of all clusters are compared with what they were, and the schedules looked at that were judged by
another one; so are those that were changed of late, or are on their way out. Besides, all are walked through, bit by bit.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from services.status.fold import refresh_all
from services.status.ports import Ports
from services.status.schedules.grounds import Ground
from shared.contracts.names import Noun

_EVERY: Final = timedelta(seconds=3)
"""With the sweep's own interval, a change is noticed within 5 s."""
_OVERLAP: Final = timedelta(seconds=30)
"""A change is dated by the gateway that made it, whose clock may be behind ours."""


@dataclass(slots=True)
class Rescan:
    """What schedules were last judged by; nothing at first, so that every one is looked at, and few are computed again.

    `again`: clusters that moved of late; once more, because a row may just have been computed from what was before.
    `after`: how far the walk has come.
    """

    known: dict[str, Ground | None] | None = None
    again: set[str] = field(default_factory=set)
    after: str = ""
    last: datetime | None = None

    async def look(self, ports: Ports) -> None:
        """Compute again the rows that do not show what is wanted, or not by what is known.

        Raises Unavailable when the database does not answer; the next look then begins where this one did.
        """
        now = ports.clock()
        if self.last is not None and timedelta() <= now - self.last < _EVERY:
            return
        memory = ports.memory
        grounds = await memory.grounds()
        known = dict.fromkeys(await memory.schedule_clusters()) if self.known is None else self.known
        moved = {name for name in known.keys() | grounds.keys() if known.get(name) != grounds.get(name)}
        for cluster in sorted(moved | self.again):
            behind = await memory.misplaced(cluster, grounds.get(cluster) or Ground())
            await refresh_all(ports, Noun.SCHEDULE, behind)
        behind, after = await memory.walk(self.after)
        while self.last is None and after:
            more, after = await memory.walk(after)
            behind |= more
        behind |= await memory.outdated((self.last or now) - _OVERLAP)
        await refresh_all(ports, Noun.SCHEDULE, behind)
        self.known, self.again, self.after, self.last = dict(grounds), moved, after, now
