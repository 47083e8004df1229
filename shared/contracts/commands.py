"""What a cluster can be asked to do. A command carries all that the executor needs: it has no database to look things up in."""

from shared.contracts.backupspec import BackupSpec, Labels, ObjectName
from shared.contracts.base import Instant, Wire
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
