"""Velero's phases and the statuses that people see, with the tables that lead from one to the other."""

from enum import StrEnum


class BackupStatus(StrEnum):
    """What people see of a backup. `Refused` is never listed: it ends a row that was Creating until the cluster said no."""

    CREATING = "Creating"
    COMPLETED = "Completed"
    PARTIALLY_FAILED = "PartiallyFailed"
    FAILED = "Failed"
    EXPIRED = "Expired"
    DELETING = "Deleting"
    DELETED = "Deleted"
    REFUSED = "Refused"


UNLISTED = frozenset({BackupStatus.DELETED, BackupStatus.REFUSED})
"""The statuses that a list leaves out unless it is asked for them; a refused backup is never shown in one."""


class RestoreStatus(StrEnum):
    """What people see of a restore. `Refused` ends one that was Restoring until the cluster said no."""

    RESTORING = "Restoring"
    COMPLETED = "Completed"
    PARTIALLY_FAILED = "PartiallyFailed"
    FAILED = "Failed"
    DELETING = "Deleting"
    DELETED = "Deleted"
    REFUSED = "Refused"


UNLISTED_RESTORES = frozenset({RestoreStatus.DELETED, RestoreStatus.REFUSED})
"""The same of restores; a refused one is shown in a list that asks for it."""


class RestoreStep(StrEnum):
    """What a restore from another cluster is at, in order; each is told before it is begun, with what it waits for."""

    MIRROR = "MirrorLocation"
    FIND = "FindBackup"
    RESTORE = "Restore"
    CLEAN_UP = "CleanUp"


class Outcome(StrEnum):
    """How the work of a backup or a restore ended; kept for ever, also when the status has moved on to Expired."""

    COMPLETED = "Completed"
    PARTIALLY_FAILED = "PartiallyFailed"
    FAILED = "Failed"


class OperationState(StrEnum):
    """What became of a request. Accepted = the cluster has the object; Succeeded and Failed = the work has ended."""

    QUEUED = "Queued"
    ACCEPTED = "Accepted"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    REJECTED = "Rejected"
    EXPIRED = "Expired"


class ClusterStatus(StrEnum):
    """Whether a cluster answers. Unregistered = reports without having been registered; NeverSeen = the reverse."""

    ONLINE = "Online"
    OFFLINE = "Offline"
    NEVER_SEEN = "NeverSeen"
    UNREGISTERED = "Unregistered"


class LocationStatus(StrEnum):
    """What people see of a location. Pending = Velero has not validated it yet; Deleted is never listed.

    Unchecked = Velero never validates it, as it is with volume snapshot locations.
    """

    AVAILABLE = "Available"
    UNAVAILABLE = "Unavailable"
    PENDING = "Pending"
    UNCHECKED = "Unchecked"
    DELETED = "Deleted"


class ScheduleStatus(StrEnum):
    """What people see of a schedule: New until its first backup, then Active. Deleted is never listed."""

    NEW = "New"
    ACTIVE = "Active"
    PAUSED = "Paused"
    FAILED_VALIDATION = "FailedValidation"
    DELETED = "Deleted"


class SlotResult(StrEnum):
    """What became of a slot that was sent to its cluster, beside the status of its backup.

    Late: made more than a minute after it was due. Undelivered: the cluster did not answer before the deadline.
    """

    PENDING = "Pending"
    ACCEPTED = "Accepted"
    LATE = "Late"
    REFUSED = "Refused"
    OVERLAP = "Overlap"
    SUPERSEDED = "Superseded"
    UNDELIVERED = "Undelivered"


PHASE_OUTCOME: dict[str, Outcome] = {
    "Completed": Outcome.COMPLETED,
    "PartiallyFailed": Outcome.PARTIALLY_FAILED,
    "Failed": Outcome.FAILED,
    "FailedValidation": Outcome.FAILED,
}
"""The phases of a Backup or a Restore that end its work. Any other phase, also one not known here, means that it goes on."""

DELETING_PHASE = "Deleting"
