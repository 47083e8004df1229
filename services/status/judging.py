"""Judging anew whose backups are, and who writes into one place: when a cluster is registered or no more, or a location moves.

A backup is judged whenever its row is computed. What it is judged by may change without a word about the backup; so the
registrations and locations are compared, every few seconds, with what they were, and what differs is looked at: twice, because
a row may just have been computed from what was before.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from services.status.clusters.replicas import Estate, Place, affected, is_replica
from services.status.fold import apart, refresh, refresh_all
from services.status.ports import Ports
from shared.contracts.names import Noun

_EVERY: Final = timedelta(seconds=3)
"""With the sweep's own interval, a change is noticed within 5 s."""


@dataclass(slots=True)
class Judge:
    """What backups were last judged by; nothing at first, so that everything is looked at once."""

    known: Estate | None = None
    again: set[Place] = field(default_factory=set)
    last: datetime | None = None

    async def look(self, ports: Ports) -> None:
        """Compute again the rows of backups of which it is shown wrongly whether they are copies, and those of clusters.

        Raises Unavailable when the database does not answer; the next look then begins where this one did.
        """
        now = ports.clock()
        if self.last is not None and timedelta() <= now - self.last < _EVERY:
            return
        estate = await ports.memory.estate()
        changed = affected(self.known, estate)
        places = sorted(changed | (self.again & estate.places), key=lambda p: (p.cluster, p.name))
        for place in places:
            await _judge(ports, place, estate)
        await refresh_all(ports, Noun.CLUSTER, {place.cluster for place in places})
        self.known, self.again, self.last = estate, changed, now


async def _judge(ports: Ports, here: Place, estate: Estate) -> None:
    """Bring up to date the backups in one location that are shown as copies and are none, or the reverse."""
    for owner in sorted(await ports.memory.owners(here.cluster, here.name), key=str):
        right = is_replica(owner, here.cluster, here, estate)
        for backup_id in sorted(await ports.memory.misjudged(here.cluster, here.name, owner, replica=right)):
            await apart(Noun.BACKUP, backup_id, refresh(ports, Noun.BACKUP, backup_id))
