"""`/restores`: list them, count them, look at one. `creating`, `deleting` and the room of artifacts do the rest."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from services.gateway import reading
from services.gateway.backups.looking import tallied
from services.gateway.details import RESTORES, Document
from services.gateway.ports import API, Given, NoQuery, Ports, Viewer
from services.gateway.restores import queries
from services.gateway.restores.forms import RestoreSummary
from services.gateway.restores.queries import RestoreQuery
from services.gateway.schemas import Page
from services.gateway.web.answers import listed, model
from services.gateway.web.described import told
from shared.contracts.documents import Collection
from shared.contracts.phases import RestoreStatus
from shared.contracts.views import OperationItem, RestoreDetail, RestoreItem

router = APIRouter(prefix=f"{API}/restores", tags=["restores"])


@router.get("", response_model=Page[RestoreItem])
async def list_restores(ports: Given, _who: Viewer, query: Annotated[RestoreQuery, Query()]) -> Response:
    """List restores into any cluster of the fleet; those that were deleted or refused only when `status` asks for them."""
    return await listed(ports, queries.RESTORES, Collection.RESTORES, query, RestoreItem)


@router.get("/summary", response_model=RestoreSummary)
async def summary(ports: Given, _who: Viewer, _no_query: NoQuery) -> Response:
    """Count the restores by status, and those that the list shows by itself by cluster and creator."""
    body = await ports.shared("restores/summary", lambda: _summary(ports))
    return Response(body, media_type="application/json")


async def _summary(ports: Ports) -> bytes:
    statuses = [status.value for status in RestoreStatus if status is not RestoreStatus.REFUSED]
    counts = await tallied(ports, Collection.RESTORES, statuses)
    return RestoreSummary(**counts).model_dump_json(by_alias=True).encode()


@router.get("/{restore_id}", response_model=RestoreDetail, responses=told("not-found"))
async def get_restore(restore_id: str, ports: Given, _who: Viewer, _no_query: NoQuery) -> Response:
    """Return one restore, also by an id that it had before; the steps of one from another cluster as they are told."""
    return model(await detail_of(ports, await RESTORES.row_of(ports, restore_id)))


async def detail_of(ports: Ports, row: Document) -> RestoreDetail:
    """Return a restore with all that is known of it, and the steps that its operation has come through.

    Raises the problem of a row that this version cannot read.
    """
    detail = await RESTORES.detail_of(ports, row)
    if detail.operation_id is None:
        return detail
    found = await ports.store.operation(detail.operation_id)
    try:
        operation = reading.view(OperationItem, found.get("item")) if found else None
    except reading.UnreadableError:  # whoever asks for the operation is told
        operation = None
    return detail.model_copy(update={"steps": operation.steps}) if operation and operation.steps else detail
