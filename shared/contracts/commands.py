"""What a cluster can be asked to do. A command carries all that the executor needs: it has no database to look things up in."""

from shared.contracts.backupspec import BackupSpec, Labels, ObjectName
from shared.contracts.base import Wire
from shared.contracts.scopes import Scope
from shared.contracts.selectors import Environments


class BackupCreate(Wire):
    """`backup.create`: make this Backup in the cluster, once.

    `environments`: what the cluster's settings said when the command was given; None for a scope that does not need it.
    """

    name: ObjectName
    labels: Labels = {}
    scope: Scope
    spec: BackupSpec = BackupSpec()
    environments: Environments | None = None


class BackupDelete(Wire):
    """`backup.delete`: have Velero delete this backup with all of its data, once.

    `backup` is the id under which people see it, `ids` all others that it ever had: an object of the same name that has none
    of them is another backup, and stays.
    """

    backup: str
    name: ObjectName
    ids: list[str] = []
