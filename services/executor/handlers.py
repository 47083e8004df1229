"""What commands do in a cluster. The table at the end is the whole of it."""

from typing import Final

from services.executor.answering import carry_out
from services.executor.creation import Creation
from services.executor.deletion import Deletion
from services.executor.ports import Ports
from services.executor.triggering import Firing
from shared.contracts.commands import BackupCreate, BackupDelete, ScheduleTrigger
from shared.contracts.envelope import Envelope, type_name
from shared.contracts.schedules import Misfire
from shared.messaging.consumer import Delivery, Routes

MOST_WAITING: Final = 128
"""Commands of a cluster that may wait for a storage location: half of what a consumer holds."""


async def create_backup(command: Envelope[BackupCreate], _delivery: Delivery, ports: Ports) -> None:
    """Make the Backup that was asked for."""
    await carry_out(ports, command, Creation(ports, command))


async def delete_backup(command: Envelope[BackupDelete], _delivery: Delivery, ports: Ports) -> None:
    """Have Velero delete the backup that is meant."""
    await carry_out(ports, command, Deletion(ports, command))


async def trigger_schedule(command: Envelope[ScheduleTrigger], delivery: Delivery, ports: Ports) -> None:
    """Make the Backup of a slot.

    It may wait for its storage location unless a newer slot waits behind it, to whom it leaves that, or too many wait already:
    others would not be taken any more.
    """
    followed = delivery.behind and command.data.misfire != Misfire.ALL
    patient = not followed and delivery.waiting + delivery.behind < MOST_WAITING
    await carry_out(ports, command, Firing(ports, command, patient))


ROUTES: Routes[Ports] = {
    type_name("backup", "create"): create_backup,
    type_name("backup", "delete"): delete_backup,
    type_name("schedule", "trigger"): trigger_schedule,
}
