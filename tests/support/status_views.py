"""Looking at what a status service at rest shows."""

from services.status.judging import Judge
from shared.contracts.documents import from_document
from shared.contracts.names import Noun
from shared.contracts.views import BackupDetail, OperationItem
from tests.support.status_memory import Desk


async def hear(desk: Desk, *messages) -> None:
    for message in messages:
        await desk.hear(*message)


def row(desk: Desk, backup_id: str = "op1"):
    return desk.memory.rows[Noun.BACKUP, backup_id]


def shown(desk: Desk, backup_id: str = "op1") -> BackupDetail:
    """A backup as the API would show it, without its history."""
    return detail_of(BackupDetail, row(desk, backup_id))


def detail_of(model, stored):
    return model.read({**from_document(stored["item"]), **from_document(stored["detail"])})


def only(desk: Desk) -> BackupDetail:
    (backup_id,) = [i for noun, i in desk.memory.rows if noun is Noun.BACKUP]
    return shown(desk, backup_id)


def operation(desk: Desk, operation_id: str) -> OperationItem:
    return OperationItem.read(from_document(desk.memory.rows[Noun.OPERATION, operation_id]["item"]))


async def judged(desk: Desk, judge: Judge | None = None) -> None:
    """Let the sweep look at whose backups are."""
    judge = judge or Judge()
    judge.last = None
    await judge.look(desk.ports)
