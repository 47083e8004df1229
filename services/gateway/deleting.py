"""Deleting backups: one and waiting for it, or many at once. Velero does it; what a row says against it is told before."""

import asyncio
from typing import Any

import structlog
from fastapi import APIRouter, Request
from starlette.responses import Response

from services.gateway import details, submitting, validation
from services.gateway.answers import model, problem_of
from services.gateway.auth import Principal
from services.gateway.described import BODY, COMMAND_HEADERS, queued, takes, told
from services.gateway.ports import API, Given, NoQuery, Operator, Ports, body_of
from services.gateway.problems import FieldError, ProblemError
from services.gateway.schemas import DEFAULT_DEADLINE, DeleteBackups, DeletionAnswer, DeletionAnswers, ProblemDocument
from shared.contracts.commands import BackupDelete
from shared.contracts.envelope import Envelope
from shared.contracts.ids import operation_id
from shared.contracts.phases import BackupStatus, OperationState
from shared.contracts.refusals import Code, Refusal, refusal
from shared.contracts.views import BackupDetail, BackupItem, OperationItem
from shared.messaging.outcomes import Unavailable
from shared.runtime import logging

log = structlog.get_logger(__name__)

router = APIRouter(prefix=f"{API}/backups", tags=["backups"])

_AT_ONCE = 20
"""Commands of one request that are stored at the same time."""
_BUSY = ("InProgress", "Waiting", "Finalizing")
"""How the phases begin in which Velero will not let go of a backup; one that has not begun can be withdrawn."""
_FAULT = 500


@router.delete(
    "/{backup_id}",
    response_model=BackupDetail,
    responses={**queued("The deletion is stored; the backup is not gone yet."), **told("not-found", "refused", 409)},
    openapi_extra={"parameters": COMMAND_HEADERS},
)
async def delete_backup(backup_id: str, request: Request, ports: Given, who: Operator, _no_query: NoQuery) -> Response:
    """Have Velero delete a backup with its data: 200 when it is gone in time, 202 with the operation if not."""
    key, patience = submitting.idempotency_key(request), submitting.preference(request, ports.settings.wait)
    row = await details.row_of(ports, backup_id)
    operation = operation_id(who.name, "DELETE", f"{router.prefix}/{backup_id}", key)
    wanted = command(ports, request, who, operation, row, DEFAULT_DEADLINE)
    with ports.feed.waiting(operation) as woken:
        stored = await submitting.recall(ports, wanted) if key is not None else None
        if stored is None:
            _permitted(row)
            stored = await submitting.publish(ports, wanted)
        found = await submitting.outcome(
            ports, stored, woken, patience.seconds, settled=submitting.ended, backup=str(row["_id"])
        )
    return await _answer(ports, found, patience)


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
    key = submitting.idempotency_key(request)
    try:
        wanted = validation.checked(DeleteBackups, await body_of(request))
    except (validation.NotJsonError, validation.InvalidRequestError) as error:
        raise problem_of(error) from error
    rows = await ports.store.backups(wanted.ids)
    turn = asyncio.Semaphore(_AT_ONCE)

    async def one(backup_id: str) -> OperationItem | ProblemError:
        async with turn:
            try:
                if backup_id not in rows:
                    raise details.unknown(backup_id)
                operation = operation_id(who.name, "POST", f"{router.prefix}/delete/{backup_id}", key)
                asked = command(ports, request, who, operation, rows[backup_id], wanted.deadline)
                return await _asked(ports, asked, rows[backup_id], repeated=key is not None)
            except ProblemError as problem:
                return problem

    answers = await asyncio.gather(*map(one, wanted.ids))
    faults = [answer for answer in answers if isinstance(answer, ProblemError) and answer.status >= _FAULT]
    if len(faults) == len(answers):
        raise faults[0]
    return model(DeletionAnswers(items=[_item(*each) for each in zip(wanted.ids, answers, strict=True)]), 202)


async def _asked(ports: Ports, command: Envelope[Any], row: dict[str, Any], *, repeated: bool) -> OperationItem:
    stored = await submitting.recall(ports, command) if repeated else None
    if stored is None:
        _permitted(row)
        stored = await submitting.publish(ports, command)
    if stored.fresh:
        return submitting.unseen(stored).operation
    return (await submitting.outcome(ports, stored, asyncio.Event(), 0, backup=str(row["_id"]))).operation


def _item(backup_id: str, answer: OperationItem | ProblemError) -> DeletionAnswer:
    if isinstance(answer, ProblemError):
        return DeletionAnswer(id=backup_id, problem=ProblemDocument.read(answer.document()))
    return DeletionAnswer(id=backup_id, operation=answer)


def command(
    ports: Ports, request: Request | None, who: Principal, operation: str, row: dict[str, Any], deadline: str
) -> Envelope[Any]:
    """Return the command that has a backup deleted.

    Raises the problem of a row that this version cannot read.
    """
    item = details.item_of(row)
    backup, *others = details.ids_of(row, item)
    return submitting.command(
        ports,
        request,
        who,
        operation_id=operation,
        cluster=item.cluster,
        noun="backup",
        verb="delete",
        data=BackupDelete(backup=backup, name=item.name, ids=others),
        deadline=deadline,
    )


def _permitted(row: dict[str, Any]) -> None:
    """Return if nothing is known against the deletion.

    Raises the problem that says what is.
    """
    no = objection(details.item_of(row), row.get("owner"))
    if no is not None:
        raise ProblemError("refused", no.detail, status=no.status, code=no.code)


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


async def _answer(ports: Ports, found: submitting.Outcome, patience: submitting.Preference) -> Response:
    operation = found.operation
    if operation.state is OperationState.REJECTED:
        raise submitting.refused(operation)
    if operation.state is OperationState.FAILED:
        raise await _failed(ports, found)
    if operation.state is OperationState.SUCCEEDED and found.backup is not None:
        try:
            return model(await details.detail_of(ports, found.backup), 200, patience.headers)
        except (Unavailable, ProblemError) as error:  # gone, but it cannot be shown now: the operation can
            log.warning("backup not shown", **{logging.OPERATION: operation.id, logging.REASON: str(error)})
    return model(operation, 202, {"Location": f"{API}/operations/{operation.id}", **patience.headers})


async def _failed(ports: Ports, found: submitting.Outcome) -> ProblemError:
    """Return what Velero has said to a deletion that it did not do."""
    operation, said = found.operation, list[str]()
    if found.backup is not None:
        try:
            deletion = (await details.detail_of(ports, found.backup)).deletion
        except (Unavailable, ProblemError) as error:
            log.warning("backup not shown", **{logging.OPERATION: operation.id, logging.REASON: str(error)})
        else:
            said = deletion.errors if deletion and deletion.operation_id == operation.id else []
    no = operation.refusal
    words = no.detail if no else "; ".join(said[:3]) or "Velero gives no reason."
    errors: list[FieldError] = [{"detail": each} for each in said[: validation.MAX_ERRORS]]
    code = no.code if no else Code.DELETION_FAILED
    return ProblemError("deletion-failed", words, errors=errors, operationId=operation.id, code=code)
