"""A schedule as a person wants it: written by the gateway, fired by the scheduler, judged by status.

What has changed over time is kept as long as a slot may lie in it: a slot belongs to the timetable that was in force at the
slot, and is paused if it was due within a pause, whenever it is decided. So nobody who looks late decides otherwise.
"""

import hashlib
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, StringConstraints

from shared.contracts.backupspec import BackupSpec, Labels, LabelValue, ObjectName
from shared.contracts.base import Instant, Wire
from shared.contracts.documents import from_document, to_document
from shared.contracts.durations import GoDuration, parse
from shared.contracts.scopes import Scope

LONGEST_NAME = 48
"""A backup is called `<schedule>-<slot>`, 15 characters longer, and its schedule's name is a label: both end at 63."""


def _schedule_name(value: str) -> str:
    if len(value) > LONGEST_NAME:
        raise ValueError(f"must be at most {LONGEST_NAME} characters: it stands before the slot in the names of backups")
    return value


ScheduleName = Annotated[ObjectName, LabelValue, AfterValidator(_schedule_name)]
CronText = Annotated[str, StringConstraints(min_length=1, max_length=256)]
ZoneName = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class Concurrency(StrEnum):
    """What happens at a slot while a backup of an earlier one still runs: `forbid` leaves the slot out."""

    FORBID = "forbid"
    ALLOW = "allow"


class Misfire(StrEnum):
    """Which slots are made up for when nothing could run at their time, as long as none is older than `startingDeadline`."""

    LATEST = "latest"
    ALL = "all"
    NONE = "none"


class Template(Wire):
    """What every backup of the schedule is like; the scope is resolved to namespaces anew at each run."""

    labels: Labels = {}
    scope: Scope
    spec: BackupSpec = BackupSpec()


class Era(Wire):
    """Which timetable was, or is, in force, for slots at or after `from`."""

    from_: Instant = Field(alias="from")
    cron: CronText
    timezone: ZoneName = "UTC"


class Pause(Wire):
    """A time in which nothing due runs: at or after `from`, before `to`; None while it lasts."""

    from_: Instant = Field(alias="from")
    to: Instant | None = None


class Skip(Wire):
    """A person's wish that the next `count` slots due at or after `notBefore` do not run. Each wish has an id of its own."""

    id: str
    count: int
    not_before: Instant


class Deletion(Wire):
    """A person's wish that the schedule goes, with the backups that it made or without. Nothing of it fires any more."""

    delete_backups: bool
    by: str
    at: Instant
    attempt: int = 1
    errors: list[str] = []


class Schedule(Wire):
    """The whole of it. `eras` is never empty, the oldest first; `changedAt` moves with every change, and orders rescans.

    `spreadSince`: when the spread was last changed; a slot that waited for its part of the old one is not late before then.
    """

    id: str
    name: ScheduleName
    cluster: str
    description: str = ""
    eras: Annotated[list[Era], Field(min_length=1)]
    pauses: list[Pause] = []
    skip: Skip | None = None
    spread: GoDuration = "0s"
    spread_since: Instant | None = None
    starting_deadline: GoDuration = "1h"
    misfire: Misfire = Misfire.LATEST
    concurrency_policy: Concurrency = Concurrency.FORBID
    delete_backups_on_deletion: bool = False
    template: Template
    deleting: Deletion | None = None
    version: int = 1
    created_by: str
    created_at: Instant
    changed_at: Instant

    @property
    def cron(self) -> str:
        """The expression in force."""
        return self.eras[-1].cron

    @property
    def timezone(self) -> str:
        """The time zone in force."""
        return self.eras[-1].timezone

    @property
    def paused(self) -> bool:
        """Whether a person has paused it, and nobody resumed it since."""
        return bool(self.pauses) and self.pauses[-1].to is None

    def paused_at(self, moment: datetime) -> bool:
        """Tell whether it was, or is, paused then."""
        return any(pause.from_ <= moment and (pause.to is None or moment < pause.to) for pause in self.pauses)

    @property
    def offset(self) -> timedelta:
        """How long after each slot it is due: always the same part of `spread`, in whole seconds, another for each schedule."""
        seconds = int(parse(self.spread).total_seconds())
        digest = hashlib.sha256(self.id.encode()).digest()
        return timedelta(seconds=int.from_bytes(digest[:8], "big") % (seconds + 1))

    def due(self, slot: datetime) -> datetime:
        """Return when a slot is due, as long as it is not decided: not before the spread that says so was wanted."""
        due = slot + self.offset
        return due if self.spread_since is None else max(due, self.spread_since)

    def document(self) -> dict[str, Any]:
        """Return it as it lies in MongoDB."""
        fields: dict[str, Any] = to_document(self)
        return {"_id": fields.pop("id"), **fields}

    @classmethod
    def of(cls, document: Any) -> Self:
        """Read it from MongoDB.

        Raises pydantic.ValidationError, or another ValueError, when it is none of this version's.
        """
        fields = from_document(document)
        return cls.read({**fields, "id": fields["_id"]})


class Decision(StrEnum):
    """What the scheduler decided for a slot, once. Only Triggered was sent to the cluster."""

    TRIGGERED = "Triggered"
    SKIPPED = "Skipped"
    PAUSED = "Paused"
    INVALID = "Invalid"
    MISSED = "Missed"
    SUPERSEDED = "Superseded"


class Tick(Wire):
    """A decision: of one slot, or of a run of slots that ended alike and ran nothing (`from` to `to`, `count` of them).

    `id` is the operation id of the first slot. `reason`: the code of what made it Invalid, or for which a Triggered one is
    never sent. `skip`: the wish that a Skipped one obeyed. `ran`: for Superseded the newer slot that was run instead.
    `published`: whether the stream has the command of a Triggered one; None for one that is never sent, and for all others.
    `forgetAt`: when the record may be forgotten; None: never, as far as time goes.
    """

    id: str
    schedule: str
    cluster: str
    from_: Instant = Field(alias="from")
    to: Instant
    count: int = 1
    decision: Decision
    reason: str | None = None
    skip: str | None = None
    ran: Instant | None = None
    backup_name: str | None = None
    due_at: Instant
    deadline: Instant | None = None
    decided_at: Instant
    forget_at: Instant | None = None
    published: bool | None = None

    def document(self) -> dict[str, Any]:
        """Return it as it lies in MongoDB."""
        fields: dict[str, Any] = to_document(self)
        return {"_id": fields.pop("id"), **fields}

    @classmethod
    def of(cls, document: Any) -> Self:
        """Read it from MongoDB.

        Raises pydantic.ValidationError, or another ValueError, when it is none of this version's.
        """
        fields = from_document(document)
        return cls.read({**fields, "id": fields["_id"]})
