"""Names that Leeward reads and writes on Kubernetes objects, and the nouns that stand for kinds on the wire."""

from enum import StrEnum

OWN_PREFIX = "leeward.dev/"

LABEL_CLUSTER = "leeward.dev/cluster"
LABEL_OPERATION_ID = "leeward.dev/operation-id"
LABEL_BACKUP_ID = "leeward.dev/backup-id"
"""On a DeleteBackupRequest: the id of the backup as people see it."""
LABEL_BACKUP_CLUSTER = "leeward.dev/backup-cluster"
"""On a Restore: the cluster that the backup is of. Its id is in the label above."""
LABEL_MIRROR_OF = "leeward.dev/mirror-of"
"""On a storage location that Leeward made to reach another cluster's backups: that cluster."""
MIRROR_PREFIX = "leeward-mirror-"
"""What the name of such a location begins with; the backups seen through it go with it, and are nobody's loss."""
LABEL_LOCATION = "leeward.dev/location"
"""On a Secret or ConfigMap that Leeward made: that it belongs to a location or a restore of this name (as a label has it)."""
LABEL_VELERO_LOCATION = "velero.io/storage-location"
LABEL_SCHEDULE_ID = "leeward.dev/schedule-id"
LABEL_VELERO_SCHEDULE = "velero.io/schedule-name"
LABEL_VELERO_BACKUP = "velero.io/backup-name"
LABEL_VELERO_BACKUP_UID = "velero.io/backup-uid"

ANNOTATION_NAME = "leeward.dev/name"
"""The name that was asked for. An object of another name is a copy: what it carries of ours is not about it."""
ANNOTATION_CREATED_BY = "leeward.dev/created-by"
ANNOTATION_SCOPE = "leeward.dev/scope"
ANNOTATION_SHARED_BUCKET = "leeward.dev/shared-bucket"
"""On a storage location, `true`: a person has said that other clusters may write into the same place."""
ANNOTATION_USED_BY = "leeward.dev/used-by."
"""Begins an annotation of a mirror; an operation's id follows, whose restore reads through it. The last one removes it."""
ANNOTATION_LEAVING = "leeward.dev/leaving"
"""On a mirror, `true`: it is being removed, and nobody may begin to use it."""
ANNOTATION_REPLACED = "leeward.dev/former-secret."
"""Begins an annotation of a location; an operation's id follows, which has replaced this Secret of ours. Gone once that is."""
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
    SNAPSHOT_LOCATION = "snapshotlocation"
    RESTORE = "restore"
    RESTORE_MEASUREMENT = "restoremeasurement"
    SCHEDULE = "schedule"
    OPERATION = "operation"
    CLUSTER = "cluster"
    INVENTORY = "inventory"
    PRESENCE = "presence"
