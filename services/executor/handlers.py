"""What commands do in a cluster. The table at the end is the whole of it."""

from services.executor.answering import carry_out
from services.executor.creation import Creation
from services.executor.deletion import Deletion
from services.executor.ports import Ports
from shared.contracts.commands import BackupCreate, BackupDelete
from shared.contracts.envelope import Envelope, type_name
from shared.messaging.consumer import Delivery, Routes


async def create_backup(command: Envelope[BackupCreate], _delivery: Delivery, ports: Ports) -> None:
    """Make the Backup that was asked for."""
    await carry_out(ports, command, Creation(ports, command))


async def delete_backup(command: Envelope[BackupDelete], _delivery: Delivery, ports: Ports) -> None:
    """Have Velero delete the backup that is meant."""
    await carry_out(ports, command, Deletion(ports, command))


ROUTES: Routes[Ports] = {
    type_name("backup", "create"): create_backup,
    type_name("backup", "delete"): delete_backup,
}
