"""What is answered of a request whose outcome was waited for: what has come of it, or the operation that goes on."""

from collections.abc import Awaitable, Callable

import structlog
from starlette.responses import Response

from services.gateway import submitting
from services.gateway.details import Detail, Document, Item, Kind
from services.gateway.ports import API
from services.gateway.web.answers import model
from services.gateway.web.problems import ProblemError
from shared.contracts.phases import OperationState
from shared.contracts.views import OperationItem
from shared.messaging.outcomes import Unavailable
from shared.runtime import logging

log = structlog.get_logger(__name__)


def stored(operation: OperationItem, patience: submitting.Preference) -> Response:
    """Answer 202 with an operation that goes on, and where to look for it."""
    return model(operation, 202, {"Location": f"{API}/operations/{operation.id}", **patience.headers})


async def created(
    kind: Kind[Item, Detail],
    path: str,
    found: submitting.Outcome,
    patience: submitting.Preference,
    detail_of: Callable[[Document], Awaitable[Detail]],
) -> Response:
    """Answer 201 with what was made, which stands below that path, or 202 with the operation.

    Raises the refusal of its cluster.
    """
    operation = found.operation
    if operation.state is OperationState.REJECTED:
        raise submitting.refused(operation)
    if found.row is None or (detail := await shown(kind, operation, detail_of(found.row))) is None:
        return stored(operation, patience)
    # The row may be read a moment before it tells what its operation tells already.
    told = detail.model_copy(update={"notices": operation.notices})
    return model(told, 201, {"Location": f"{path}/{detail.id}", **patience.headers})


async def shown(kind: Kind[Item, Detail], operation: OperationItem, detail: Awaitable[Detail]) -> Detail | None:
    """Return what an operation is about; None if it cannot be shown now, as the operation can."""
    try:
        return await detail
    except (Unavailable, ProblemError) as error:
        event = f"{kind.noun} not shown"
        log.warning(event, **{logging.OPERATION: operation.id, logging.REASON: str(error)})
        return None
