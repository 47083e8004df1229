"""What commands do in a cluster. The table at the end is the whole of it."""

from typing import Final

from services.executor.answering import carry_out
from services.executor.backups.creation import Creation
from services.executor.backups.deletion import Deletion
from services.executor.backups.triggering import Firing
from services.executor.locations.judging import SNAPSHOTS, STORAGE
from services.executor.locations.locating import Application
from services.executor.locations.removing import Removal
from services.executor.ports import Ports
from services.executor.restores.creation import Restoration
from services.executor.restores.crossing import cross
from services.executor.restores.deletion import RestoreDeletion
from shared.contracts.commands import (
    BackupCreate,
    BackupDelete,
    LocationApply,
    LocationDelete,
    RestoreCreate,
    RestoreDelete,
    ScheduleTrigger,
    SnapshotLocationApply,
    SnapshotLocationDelete,
)
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


async def create_restore(command: Envelope[RestoreCreate], _delivery: Delivery, ports: Ports) -> None:
    """Make the Restore that was asked for; if the backup is another cluster's, all that it takes to get there."""
    if command.data.mirror is not None:
        await cross(ports, command)
        return
    async with ports.making:
        task = Restoration(ports, command)
        await carry_out(ports, command, task, task.undo)


async def delete_restore(command: Envelope[RestoreDelete], _delivery: Delivery, ports: Ports) -> None:
    """Remove the Restore that is meant."""
    await carry_out(ports, command, RestoreDeletion(ports, command))


async def apply_location(command: Envelope[LocationApply], _delivery: Delivery, ports: Ports) -> None:
    """Make the storage location that was asked for, or change it into that."""
    async with ports.placing:
        task = Application(STORAGE, ports, command)
        await carry_out(ports, command, task, task.undo)


async def delete_location(command: Envelope[LocationDelete], _delivery: Delivery, ports: Ports) -> None:
    """Remove the storage location that is meant."""
    async with ports.placing:
        await carry_out(ports, command, Removal(STORAGE, ports, command))


async def apply_snapshot_location(command: Envelope[SnapshotLocationApply], _delivery: Delivery, ports: Ports) -> None:
    """Make the volume snapshot location that was asked for, or change it into that."""
    task = Application(SNAPSHOTS, ports, command)
    await carry_out(ports, command, task, task.undo)


async def delete_snapshot_location(command: Envelope[SnapshotLocationDelete], _delivery: Delivery, ports: Ports) -> None:
    """Remove the volume snapshot location that is meant."""
    await carry_out(ports, command, Removal(SNAPSHOTS, ports, command))


ROUTES: Routes[Ports] = {
    type_name("backup", "create"): create_backup,
    type_name("backup", "delete"): delete_backup,
    type_name("schedule", "trigger"): trigger_schedule,
    type_name("restore", "create"): create_restore,
    type_name("restore", "delete"): delete_restore,
    type_name("location", "apply"): apply_location,
    type_name("location", "delete"): delete_location,
    type_name("snapshotlocation", "apply"): apply_snapshot_location,
    type_name("snapshotlocation", "delete"): delete_snapshot_location,
}
