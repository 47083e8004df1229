"""What a cluster can be asked to do. A command carries all that the executor needs: it has no database to look things up in."""

from shared.contracts.backupspec import BackupSpec, Labels, ObjectName
from shared.contracts.base import Blob, Instant, Wire
from shared.contracts.findings import Finding
from shared.contracts.locationspec import SnapshotLocationSpec, StorageLocationSpec
from shared.contracts.restorespec import ResourceModifiers, RestoreSpec
from shared.contracts.schedules import Concurrency, Misfire
from shared.contracts.scopes import Scope
from shared.contracts.selectors import Environments


class Origin(Wire):
    """The schedule whose template a backup is made from."""

    id: str
    name: str


class BackupCreate(Wire):
    """`backup.create`: make this Backup in the cluster, once.

    `environments`: what the cluster's settings said when the command was given; None for a scope that does not need it.
    `schedule`: the one that a person made it from, if any.
    """

    name: ObjectName
    labels: Labels = {}
    scope: Scope
    spec: BackupSpec = BackupSpec()
    environments: Environments | None = None
    schedule: Origin | None = None


class ScheduleTrigger(BackupCreate):
    """`schedule.trigger`: make the Backup of this slot, once.

    It was due at `due`. With `concurrencyPolicy` forbid it is refused while a backup of an earlier slot runs; unless `misfire`
    is all, it is refused when an earlier slot's was made so late that it covers this one.
    """

    schedule: Origin
    slot: Instant
    due: Instant
    concurrency_policy: Concurrency = Concurrency.FORBID
    misfire: Misfire = Misfire.LATEST


class BackupDelete(Wire):
    """`backup.delete`: have Velero delete this backup with all of its data, once.

    `backup` is the id under which people see it, `ids` all others that it ever had: an object of the same name that has none
    of them is another backup, and stays.
    """

    backup: str
    name: ObjectName
    ids: list[str] = []


class Sealed(Wire):
    """A credential that nobody but the executor of one cluster can read: a sealed box (libsodium) of the text of its file.

    `key` names the public key that it was sealed to (`inventory.observed` tells it).
    """

    key: str
    box: Blob


class LocationApply(Wire):
    """`location.apply`: make this storage location, or change it into this, once.

    `expected` is the digest of the spec that it changes (`spec_digest`); without one it must not be there yet. `sharedBucket`:
    a person has said that another cluster may write into the same place.
    """

    name: ObjectName
    spec: StorageLocationSpec
    expected: str | None = None
    credential: Sealed | None = None
    shared_bucket: bool = False


class LocationDelete(Wire):
    """`location.delete`: remove this storage location, and the Secret that Leeward made for it. The bucket stays as it is."""

    name: ObjectName
    expected: str | None = None


class SnapshotLocationApply(Wire):
    """`snapshotlocation.apply`: make this volume snapshot location, or change it into this, once. As `location.apply`."""

    name: ObjectName
    spec: SnapshotLocationSpec
    expected: str | None = None
    credential: Sealed | None = None


class SnapshotLocationDelete(Wire):
    """`snapshotlocation.delete`: remove this volume snapshot location, and the Secret that Leeward made for it."""

    name: ObjectName
    expected: str | None = None


class Source(Wire):
    """The backup to restore: the id under which people see it, all others that it ever had, and the cluster that it is of.

    In another cluster it is known by its name and by `startedAt`, as Velero wrote it: that travels through the bucket.
    """

    id: str
    ids: list[str] = []
    name: ObjectName
    cluster: str
    started_at: Instant | None = None


class RestoreCreate(Wire):
    """`restore.create`: bring this back, once. The cluster of the envelope is the one that it is brought into.

    `mirror`: of a backup of another cluster, the read-only storage location through which it is read; one that the target has
    already is used before one is made, and what was made is removed when the restore has ended. `storageGiven`: a person has
    said how the storage is reached from there; then, as with a `credential`, none counts in which the target makes backups of
    its own. `modifiers` become a ConfigMap. `schedule`: the one whose latest good backup a person asked for. `findings`: what
    the pre-flight said. `request`: a digest of what the person said, without the credential: by it the same request is known
    again, whatever it would come to by then.
    """

    name: ObjectName
    labels: Labels = {}
    source: Source
    spec: RestoreSpec = RestoreSpec()
    modifiers: ResourceModifiers | None = None
    schedule: Origin | None = None
    mirror: StorageLocationSpec | None = None
    storage_given: bool = False
    credential: Sealed | None = None
    findings: list[Finding] = []
    request: str = ""


class RestoreDelete(Wire):
    """`restore.delete`: remove this Restore with its logs and results. What it has restored stays.

    `restore` is the id under which people see it, `ids` all others that it ever had.
    """

    restore: str
    name: ObjectName
    ids: list[str] = []
