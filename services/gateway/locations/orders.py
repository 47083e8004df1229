"""A request that a cluster changes one of its locations: what it is about, its command, and the answer to it."""

from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import Request
from starlette.responses import Response

from services.gateway import outcomes, submitting
from services.gateway.auth import Principal
from services.gateway.locations import looking
from services.gateway.locations.looking import Item, Sort
from services.gateway.ports import Ports
from services.gateway.web.answers import model
from services.gateway.web.problems import FieldError, ProblemError
from shared.contracts.base import Wire
from shared.contracts.envelope import Envelope
from shared.contracts.ids import operation_id
from shared.contracts.phases import OperationState
from shared.contracts.refusals import Refusal
from shared.runtime import logging

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a location as it arrived: who asks, where it goes, and how patiently."""

    ports: Ports
    request: Request
    who: Principal
    sort: Sort
    cluster: str
    name: str
    operation: str
    repeatable: bool
    patience: submitting.Preference

    def command(self, verb: str, data: Wire, deadline: str) -> Envelope[Any]:
        """Put what the cluster is to do into its envelope."""
        return submitting.command(
            self.ports,
            self.request,
            self.who,
            operation_id=self.operation,
            cluster=self.cluster,
            noun=self.sort.noun,
            verb=verb,
            data=data,
            deadline=deadline,
        )

    async def row(self) -> dict[str, Any] | None:
        """Return the row of the location, also when it has gone."""
        return await looking.row_of(self.ports, self.sort, self.cluster, self.name)

    async def listed_row(self) -> dict[str, Any] | None:
        """Return the row of the location while it is there."""
        return await looking.listed_row_of(self.ports, self.sort, self.cluster, self.name)


def asked_for(ports: Ports, request: Request, who: Principal, sort: Sort, cluster: str, name: str) -> Asked:
    """Read what a request says beside its body.

    Raises the problem of an Idempotency-Key that cannot be used.
    """
    key = submitting.idempotency_key(request)
    where = sort.address(cluster, None if request.method == "POST" else name)
    patience = submitting.preference(request, ports.settings.wait)
    operation = operation_id(who.name, request.method, where, key)
    return Asked(ports, request, who, sort, cluster, name, operation, key is not None, patience)


def no(slug: str, refusal: Refusal) -> ProblemError:
    """Return a refusal that is known before the cluster is asked as a problem of that kind."""
    errors: list[FieldError] = [{"pointer": refusal.pointer, "detail": refusal.detail}] if refusal.pointer else []
    return ProblemError(slug, refusal.detail, errors=errors, code=refusal.code)


def answer(asked: Asked, found: submitting.Outcome, status: int) -> Response:
    """Return the location with that status if it can be shown, the operation with 202 if not.

    Raises the problem that the cluster's refusal is.
    """
    operation = found.operation
    if operation.state in {OperationState.REJECTED, OperationState.FAILED}:
        raise submitting.refused(operation)
    if operation.state is not OperationState.QUEUED and found.row is not None:
        try:
            return _shown(asked, looking.item_of(asked.sort, found.row), status)
        except ProblemError as error:  # made, but it cannot be shown now: the operation can
            log.warning("location not shown", **{logging.OPERATION: operation.id, logging.REASON: error.detail})
    return outcomes.stored(operation, asked.patience)


def _shown(asked: Asked, item: Item, status: int) -> Response:
    where = {"Location": asked.sort.address(asked.cluster, asked.name)} if status == 201 else {}  # noqa: PLR2004 - Created
    return model(item, status, {**where, **looking.etag(item), **asked.patience.headers})
