"""Deleting backups. Velero does it; what a row says against it is told before."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from services.gateway import submitting, validation
from services.gateway.deletions import Deletions
from services.gateway.details import BACKUPS, Document
from services.gateway.outcomes import shown
from services.gateway.ports import API, Given, NoQuery, Operator, Ports
from services.gateway.schemas import DeleteBackups, DeletionAnswers
from services.gateway.web.described import BODY, COMMAND_HEADERS, queued, takes, told
from services.gateway.web.problems import FieldError, ProblemError
from shared.contracts.commands import BackupDelete
from shared.contracts.phases import BackupStatus
from shared.contracts.refusals import Code, Refusal, refusal
from shared.contracts.views import BackupDetail, BackupItem

router = APIRouter(prefix=f"{API}/backups", tags=["backups"])

_BUSY = ("InProgress", "Waiting", "Finalizing")
"""How the phases begin in which Velero will not let go of a backup; one that has not begun can be withdrawn."""


@router.delete(
    "/{backup_id}",
    response_model=BackupDetail,
    responses={**queued("The deletion is stored; the backup is not gone yet."), **told("not-found", "refused", 409)},
    openapi_extra={"parameters": COMMAND_HEADERS},
)
async def delete_backup(backup_id: str, request: Request, ports: Given, who: Operator, _no_query: NoQuery) -> Response:
    """Have Velero delete a backup with its data: 200 when it is gone in time, 202 with the operation if not."""
    return await DELETIONS.one(ports, request, who, backup_id)


@router.post(
    "/delete",
    status_code=202,
    response_model=DeletionAnswers,
    responses=told(*BODY),
    openapi_extra=takes("DeleteBackups", parameters=COMMAND_HEADERS[:1]),
)
async def delete_backups(request: Request, ports: Given, who: Operator, _no_query: NoQuery) -> Response:
    """Have Velero delete many backups. Each has an operation, or the problem that it would have been answered with alone.

    Nothing is waited for. An Idempotency-Key counts for each backup by itself.
    """
    return await DELETIONS.many(ports, request, who)


def objection(item: BackupItem, owner: Any = None) -> Refusal | None:
    """Return what speaks against deleting a backup as far as its row tells; the cluster may know more. First match wins.

    `owner` is the cluster whose backup this is a copy of, if it is known.
    """
    gone = item.status in {BackupStatus.DELETED, BackupStatus.REFUSED}
    never = item.phase is None and item.status is not BackupStatus.CREATING
    if gone or (not item.present and (never or item.status is BackupStatus.EXPIRED)):
        return refusal(Code.BACKUP_GONE, cluster=item.cluster, name=item.name)
    if item.replica:
        if isinstance(owner, str):
            return refusal(Code.BACKUP_IS_REPLICA, cluster=item.cluster, name=item.name, owner=owner)
        words = f"Backup {item.name} in cluster {item.cluster} is a copy of one made elsewhere: delete it there."
        return Refusal(code=Code.BACKUP_IS_REPLICA, pointer="", detail=words)
    if not item.present and item.phase is None:
        return refusal(Code.BACKUP_NOT_ENDED, name=item.name, phase="still to be made")
    if item.status is BackupStatus.CREATING and (item.phase or "").startswith(_BUSY):
        return refusal(Code.BACKUP_NOT_ENDED, name=item.name, phase=item.phase)
    return None


def _objection(row: Document) -> Refusal | None:
    return objection(BACKUPS.item_of(row), row.get("owner"))


async def _failed(ports: Ports, found: submitting.Outcome) -> ProblemError:
    """Return what Velero has said to a deletion that it did not do."""
    operation, said = found.operation, list[str]()
    if found.row is not None:
        detail = await shown(BACKUPS, operation, BACKUPS.detail_of(ports, found.row))
        deletion = detail.deletion if detail else None
        said = deletion.errors if deletion and deletion.operation_id == operation.id else []
    no = operation.refusal
    words = no.detail if no else "; ".join(said[:3]) or "Velero gives no reason."
    errors: list[FieldError] = [{"detail": each} for each in said[: validation.MAX_ERRORS]]
    code = no.code if no else Code.DELETION_FAILED
    return ProblemError("deletion-failed", words, errors=errors, operationId=operation.id, code=code)


DELETIONS = Deletions(
    BACKUPS,
    DeleteBackups,
    router.prefix,
    data=lambda backup, name, others: BackupDelete(backup=backup, name=name, ids=others),
    objection=_objection,
    shown=BACKUPS.detail_of,
    failed=_failed,
)
