"""What a handler works with: the memory, the voice, the clock, and how much we have heard. Tests bring their own."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from services.status.clusters.replicas import Estate, Place
from services.status.merged import Merged
from services.status.objects import Record
from services.status.rows import Change, Limits
from services.status.schedules.grounds import Ground
from services.status.schedules.projection import Decided, Made
from services.status.schedules.validity import Namespaces
from shared.contracts.names import Noun
from shared.messaging.publisher import Publishes
from shared.runtime.clock import Clock

Document = Mapping[str, Any]


class Verdict(StrEnum):
    """How an observation compares with what was known of its object."""

    FRESH = "fresh"
    EQUAL = "equal"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of an observation: the record as it was before, if there was one, and as it is now."""

    verdict: Verdict
    before: Record | None
    after: Record


@dataclass(frozen=True, slots=True)
class Maker:
    """Whose backups are meant: those of a schedule of Leeward's by its id, of one of Velero's by its cluster and name."""

    id: str | None
    cluster: str
    name: str


def verdict(known: Record | None, seen: Record) -> Verdict:
    """Compare an observation with what was known."""
    if known is None or known.order < seen.order:
        return Verdict.FRESH
    return Verdict.EQUAL if known.order == seen.order else Verdict.STALE


class Remembers(Protocol):
    """The memory. Every call raises Unavailable("mongodb") when the database does not answer, and may then be repeated."""

    async def apply(self, seen: Record) -> Applied:
        """Join an observation with what was known of its object (see `joined`)."""

    async def settle(self, seen: Record) -> None:
        """Mark the object gone if a page of a snapshot, applied before, did not name it."""

    async def keep_page(self, page: Document) -> None:
        """Remember a page of a snapshot for observations that come late."""

    async def miss(self, page: Document) -> set[str]:
        """Mark gone what the page should have named; return the identities of all that it found gone."""

    async def records(self, identity: str) -> list[Record]:
        """Return all objects of one identity."""

    async def stalled(self, cluster: str, before: datetime) -> str | None:
        """Return namespace/name of a backup made before then that Velero has given no phase."""

    async def silence(self, cluster: str) -> str | None:
        """Return what there is to say of a cluster's Velero that does not answer."""

    async def unaware(self, noun: Noun, cluster: str, silence: str | None) -> set[str]:
        """Return the backups, or restores, without a phase whose rows say something else about the silence of their Velero."""

    async def identity(self, cluster: str, noun: str, uid: str) -> str | None:
        """Return the id under which an object is to be seen."""

    async def formerly(self, noun: Noun, row_id: str) -> Sequence[str]:
        """Return the ids of the rows of backups, or of restores, that had this id before."""

    async def removals(self, restore_ids: Collection[str]) -> Sequence[Document]:
        """Return the rows of the operations that were to remove a restore of one of these ids."""

    async def estate(self) -> Estate:
        """Return every registered cluster and every storage location."""

    async def estate_of(self, cluster: str) -> Estate:
        """Return whether one cluster is registered, and its storage locations, perhaps among those of others."""

    async def sharing(self, cluster: str) -> Sequence[Place]:
        """Return the locations in which a cluster makes backups if others write into the same place, and those others.

        Others are its own, and those of clusters that are registered or online: of any other it is not known to write.
        """

    async def owners(self, cluster: str, location: str) -> set[str | None]:
        """Return which clusters the backups in a location are said to be of."""

    async def misjudged(self, cluster: str, location: str, owner: str | None, *, replica: bool) -> set[str]:
        """Return the backups of that owner in a location that are not shown as copies, or not as originals, but should be."""

    async def keep_capture(self, part: Document) -> None:
        """Keep a part of a captured text, unless the same part was stored later."""

    async def captured(self, cluster: str, uids: Collection[str]) -> Sequence[str]:
        """Return the artifacts that were captured whole of a backup, or a restore, of which these are the objects."""

    async def phase_reached(self, seen: Record, *, moved: bool) -> None:
        """Keep when a phase, if there is one, was first seen.

        The history of the object goes where its identity is now: looked for if it may have `moved`, or is not as seen here.
        """

    async def status_reached(self, row_id: str, entry: Document) -> None:
        """Keep an announced status change for the history of a backup or a restore."""

    async def schedule(self, schedule_id: str) -> Document | None:
        """Return what is wanted of a schedule."""

    async def ground(self, cluster: str) -> Ground:
        """Return what the schedules of a cluster are judged by; an empty one when nothing is known of it."""

    async def grounds(self) -> Mapping[str, Ground]:
        """Return the grounds of all clusters of which anything is known."""

    async def namespaces(self, cluster: str) -> Namespaces | None:
        """Return the namespaces of a cluster, if it has told all of them."""

    async def made(self, maker: Maker) -> Made:
        """Return what is known of the backups that a schedule made."""

    async def decided(self, schedule_id: str) -> Decided:
        """Return what is known of the slots of a schedule that did not run."""

    async def schedule_clusters(self) -> set[str]:
        """Return the clusters of all schedules that are listed."""

    async def misplaced(self, cluster: str, standing: Ground) -> set[str]:
        """Return the listed schedules of a cluster whose rows were computed from another ground."""

    async def outdated(self, since: datetime) -> set[str]:
        """Return schedules, changed since then or on their way out, whose rows do not show the version that is wanted."""

    async def walk(self, after: str) -> tuple[set[str], str]:
        """Return such schedules among the next so many by id, and where to go on; the empty text at the end."""

    async def row(self, noun: Noun, row_id: str) -> Document | None:
        """Return a stored row."""

    async def save(self, noun: Noun, row_id: str, current: Document | None, change: Change) -> Document | None:
        """Write a change over the row it was computed from (None: there was none); None when somebody else was faster.

        None, too, when that is not certain: what is read next says.
        """

    async def forget(self, noun: Noun, row_id: str, rev: int) -> bool:
        """Remove a row of that revision if all its changes were announced; False when somebody else was faster."""

    async def announced(self, noun: Noun, row_id: str, seq: int) -> None:
        """Take an announcement off a row."""

    async def told(self, backup_id: str, shows: Sequence[Any] | None) -> None:
        """Note in the row of a backup what of it its schedule shows."""

    async def due(self, noun: Noun, now: datetime, limit: int) -> Sequence[str]:
        """Return rows that time may have changed."""

    async def unannounced(self, noun: Noun, before: datetime, limit: int) -> Sequence[Document]:
        """Return rows with a change from before then that was not announced."""


@dataclass(slots=True)
class Listening:
    """Since when we have heard everything: a silence counts only from here on. Moves with every gap of our own."""

    since: datetime


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything that a handler may touch."""

    memory: Remembers
    publisher: Publishes
    clock: Clock
    limits: Limits
    listening: Listening
    merged: Merged = field(default_factory=Merged)
