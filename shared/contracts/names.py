"""Names that Leeward reads and writes on Kubernetes objects, and the nouns that stand for kinds on the wire."""

from enum import StrEnum

OWN_PREFIX = "leeward.dev/"

LABEL_CLUSTER = "leeward.dev/cluster"
LABEL_OPERATION_ID = "leeward.dev/operation-id"
LABEL_BACKUP_ID = "leeward.dev/backup-id"
"""On a DeleteBackupRequest: the id of the backup as people see it."""
LABEL_SCHEDULE_ID = "leeward.dev/schedule-id"
LABEL_VELERO_SCHEDULE = "velero.io/schedule-name"
LABEL_VELERO_BACKUP = "velero.io/backup-name"
LABEL_VELERO_BACKUP_UID = "velero.io/backup-uid"

ANNOTATION_NAME = "leeward.dev/name"
"""The name that was asked for. An object of another name is a copy: what it carries of ours is not about it."""
ANNOTATION_CREATED_BY = "leeward.dev/created-by"
ANNOTATION_SCOPE = "leeward.dev/scope"
ANNOTATION_SLOT = "leeward.dev/slot"
"""The slot (RFC 3339, UTC) that a backup was fired for; one that a person made from a schedule has none."""

RESERVED_PREFIXES = (OWN_PREFIX, "velero.io/")
"""Label prefixes that a person cannot set: they say whose an object is."""


class Noun(StrEnum):
    """A kind of thing as messages call it; the second token of a type, the fourth of a subject."""

    BACKUP = "backup"
    MEASUREMENT = "measurement"
    DELETION = "deletion"
    LOCATION = "location"
    SCHEDULE = "schedule"
    OPERATION = "operation"
    CLUSTER = "cluster"
    INVENTORY = "inventory"
    PRESENCE = "presence"
