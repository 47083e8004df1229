"""What goes wrong with a restore from another cluster, as the process that tries it sees it. A new process begins anew."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

_A_PAUSE: Final = timedelta(seconds=60)
"""When a look begins so long after the last failure, nobody has tried meanwhile."""


@dataclass(slots=True)
class Struggle:
    """Since when the API server has failed at each look, when it last did, and how often the mirror has been made."""

    since: datetime | None = None
    last: datetime | None = None
    made: int = 0

    def looks(self, now: datetime) -> None:
        """Note that a look begins; it may have to wait for its turn before anything is written."""
        if self.last is not None and now - self.last > _A_PAUSE:
            self.over()

    def failed(self, now: datetime) -> float:
        """Note that the API server fails; return for how many seconds it has done nothing else."""
        self.since, self.last = self.since or now, now
        return (now - self.since).total_seconds()

    def over(self) -> None:
        """Note that it does not fail any more."""
        self.since = self.last = None
