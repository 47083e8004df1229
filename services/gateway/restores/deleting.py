"""Deleting restores. What they have brought back stays."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from services.gateway import submitting
from services.gateway.deletions import Deletions
from services.gateway.details import RESTORES, Document
from services.gateway.ports import API, Given, NoQuery, Operator, Ports
from services.gateway.restores import looking
from services.gateway.restores.forms import DeleteRestores
from services.gateway.schemas import DeletionAnswers
from services.gateway.web.described import BODY, COMMAND_HEADERS, queued, takes, told
from services.gateway.web.problems import ProblemError
from shared.contracts.commands import RestoreDelete
from shared.contracts.phases import UNLISTED_RESTORES, RestoreStatus
from shared.contracts.refusals import Code, Refusal, refusal
from shared.contracts.views import RestoreDetail, RestoreItem

router = APIRouter(prefix=f"{API}/restores", tags=["restores"])


@router.delete(
    "/{restore_id}",
    response_model=RestoreDetail,
    responses={**queued("The deletion is stored; the restore is not gone yet."), **told("not-found", "refused", 409)},
    openapi_extra={"parameters": COMMAND_HEADERS},
)
async def delete_restore(restore_id: str, request: Request, ports: Given, who: Operator, _no_query: NoQuery) -> Response:
    """Remove a restore with its log and results: 200 when it is gone in time, 202 with the operation if not."""
    return await _DELETIONS.one(ports, request, who, restore_id)


@router.post(
    "/delete",
    status_code=202,
    response_model=DeletionAnswers,
    responses=told(*BODY),
    openapi_extra=takes("DeleteRestores", parameters=COMMAND_HEADERS[:1]),
)
async def delete_restores(request: Request, ports: Given, who: Operator, _no_query: NoQuery) -> Response:
    """Remove many restores. Each has an operation, or the problem that it would have been answered with alone.

    Nothing is waited for. An Idempotency-Key counts for each restore by itself.
    """
    return await _DELETIONS.many(ports, request, who)


def objection(item: RestoreItem) -> Refusal | None:
    """Return what speaks against deleting a restore as far as its row tells; the cluster may know more."""
    if item.status is RestoreStatus.RESTORING:
        return refusal(Code.RESTORE_NOT_ENDED, name=item.name, phase=item.phase or "still to be made")
    if item.status in UNLISTED_RESTORES or not item.present:
        return refusal(Code.RESTORE_GONE, cluster=item.cluster, name=item.name)
    return None


def _objection(row: Document) -> Refusal | None:
    return objection(RESTORES.item_of(row))


async def _failed(_ports: Ports, found: submitting.Outcome) -> ProblemError:
    return submitting.refused(found.operation)


_DELETIONS = Deletions(
    RESTORES,
    DeleteRestores,
    router.prefix,
    data=lambda restore, name, others: RestoreDelete(restore=restore, name=name, ids=others),
    objection=_objection,
    shown=looking.detail_of,
    failed=_failed,
)
