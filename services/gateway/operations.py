"""`/operations/{id}`: what was asked for and what became of it, from the first instant on."""

from fastapi import APIRouter
from starlette.responses import Response

from services.gateway import reading
from services.gateway.ports import API, Given, NoQuery, Ports, Viewer
from services.gateway.web.answers import model
from services.gateway.web.described import told
from services.gateway.web.problems import ProblemError
from shared.contracts.ids import is_token
from shared.contracts.views import OperationItem

router = APIRouter(prefix=f"{API}/operations", tags=["operations"])


@router.get("/{operation_id}", response_model=OperationItem, responses=told("not-found"))
async def get_operation(operation_id: str, ports: Given, _who: Viewer, _no_query: NoQuery) -> Response:
    """Return an operation; before it has been written down, from the command itself."""
    operation = await _operation(ports, operation_id) if is_token(operation_id) else None
    if operation is None:
        raise ProblemError("not-found", f"There is no operation {operation_id}.")
    seen = reading.last_seen(await ports.store.cluster_state(operation.cluster))
    return model(operation.model_copy(update={"cluster_last_seen_at": seen}))


async def _operation(ports: Ports, operation_id: str) -> OperationItem | None:
    found = await ports.store.operation(operation_id)
    if found is None:
        command = await ports.bus.command(operation_id)
        return reading.queued(command) if command else None
    try:
        return reading.view(OperationItem, found.get("item"))
    except reading.UnreadableError as error:
        raise ProblemError("unreadable-document", f"The record of operation {operation_id} cannot be read: {error}") from error
