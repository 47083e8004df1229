"""Asking for a backup: `POST /backups`, from the body to the cluster's answer, or to an operation that waits for it."""

import contextlib
import functools
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from services.gateway import details, outcomes, reading, rules, submitting, validation
from services.gateway.auth import Principal
from services.gateway.ports import API, Given, NoQuery, Operator, Ports, body_of
from services.gateway.schemas import CreateBackup
from services.gateway.web.described import BODY, COMMAND_HEADERS, queued, takes, told
from services.gateway.web.problems import FieldError, ProblemError
from shared.contracts.commands import Origin
from shared.contracts.envelope import Envelope
from shared.contracts.ids import operation_id
from shared.contracts.refusals import Code, refusal
from shared.contracts.selectors import Environments
from shared.contracts.views import BackupDetail
from shared.messaging.outcomes import Unavailable

router = APIRouter(prefix=f"{API}/backups", tags=["backups"])


@router.post(
    "",
    status_code=201,
    response_model=BackupDetail,
    responses={**queued("The command is stored; the cluster has not answered yet."), **told(*BODY, "refused", 409)},
    openapi_extra=takes("CreateBackup", parameters=COMMAND_HEADERS),
)
async def create_backup(request: Request, ports: Given, who: Operator, _no_query: NoQuery) -> Response:
    """Ask a cluster for a backup: 201 when it confirmed in time, 202 with the operation if not."""
    key = submitting.idempotency_key(request)
    wanted = await _valid(ports, await body_of(request))
    return await ask(ports, request, who, wanted, operation_id(who.name, "POST", router.prefix, key))


async def ask(
    ports: Ports, request: Request, who: Principal, wanted: CreateBackup, operation: str, schedule: Origin | None = None
) -> Response:
    """Ask a cluster for a backup, made from a schedule or not, and return the answer to the request.

    Raises the problems of one that is known to be refused, and of the cluster's refusal.
    """
    key, patience = submitting.idempotency_key(request), submitting.preference(request, ports.settings.wait)

    def command(environments: Environments | None = None) -> Envelope[Any]:
        return submitting.command(
            ports,
            request,
            who,
            operation_id=operation,
            cluster=wanted.cluster,
            noun="backup",
            verb="create",
            data=validation.backup_command(wanted, environments).model_copy(update={"schedule": schedule}),
            deadline=wanted.deadline,
        )

    asked = command()
    with ports.feed.waiting(operation) as woken:
        stored = await submitting.recall(ports, asked) if key is not None else None
        sure = True
        if stored is None:
            sure = await _fits_cluster(ports, wanted)
            if validation.needs_environments(wanted):
                asked = command(await _selectors(ports, wanted.cluster))
            stored = await submitting.publish(ports, asked)
        # One wait for a database that is away is enough.
        seen = sure or not stored.fresh
        found = submitting.unseen(stored)
        if seen:
            found = await submitting.outcome(
                ports, stored, woken, patience.seconds, row_of=functools.partial(ports.store.backup, operation)
            )
    return await outcomes.created(
        details.BACKUPS, router.prefix, found, patience, lambda row: details.BACKUPS.detail_of(ports, row)
    )


async def _valid(ports: Ports, body: bytes) -> CreateBackup:
    try:
        return validation.backup_request(body)
    except validation.InvalidRequestError as invalid:
        # What depends on the cluster's registration is judged along with the rest, so that one answer tells everything.
        more: list[FieldError] = []
        cluster, mover = validation.cluster_and_mover(invalid.value)
        if cluster is not None:
            with contextlib.suppress(Unavailable):
                more = [*await unknown_cluster(ports, cluster), *await _unknown_mover(ports, cluster, mover)]
        raise validation.InvalidRequestError([*more, *invalid.errors], count=invalid.count + len(more)) from invalid


async def _fits_cluster(ports: Ports, wanted: CreateBackup) -> bool:
    """Tell whether a cluster is known for sure; while the database is away, the doubt speaks for it.

    Raises the problem of one that nobody has heard of, or that has no such data mover; Unavailable when that is not known.
    """
    sure = True
    try:
        errors = await unknown_cluster(ports, wanted.cluster)
    except Unavailable:
        sure = False
    else:
        if errors:
            raise ProblemError("invalid-request", errors[0]["detail"], errors=errors, code=Code.CLUSTER_UNKNOWN)
    await check_mover(ports, wanted.cluster, wanted.spec.datamover)
    return sure


async def check_mover(ports: Ports, cluster: str, mover: str | None, within: str = "") -> None:
    """Return if a cluster has a data mover, which stands in the spec within that part of the request.

    Raises the problem of one that it has not; Unavailable.
    """
    if errors := await _unknown_mover(ports, cluster, mover, within):
        raise ProblemError("invalid-request", f"Data mover {mover!r} is not known.", errors=errors)


async def _unknown_mover(ports: Ports, cluster: str, mover: str | None, within: str = "") -> list[FieldError]:
    """Return the error of a data mover that neither every cluster has nor the settings of this one name.

    Raises Unavailable.
    """
    if not mover or mover in rules.DATAMOVERS:
        return []
    registration = await ports.fleet.registration(cluster)
    try:
        known = reading.settings(registration or {}).data_movers
    except reading.UnreadableError as error:
        raise _unreadable_cluster(cluster, error) from error
    return list(rules.unknown_mover(mover, cluster, known, within))


async def _selectors(ports: Ports, cluster: str) -> Environments:
    """Return what puts the namespaces of a cluster into environments.

    Raises Unavailable when that is not known: a guess could leave out half of production.
    """
    try:
        return reading.selectors(await ports.fleet.registration(cluster))
    except reading.UnreadableError as error:
        raise _unreadable_cluster(cluster, error) from error


def _unreadable_cluster(cluster: str, error: reading.UnreadableError) -> ProblemError:
    return ProblemError("unreadable-document", f"The record of cluster {cluster} cannot be read: {error}")


async def unknown_cluster(ports: Ports, cluster: str) -> list[FieldError]:
    """Return the error of a cluster that nobody has heard of.

    Raises Unavailable.
    """
    if ports.fleet.knows(cluster) or await ports.store.registration(cluster) or await ports.store.cluster_state(cluster):
        return []
    no = refusal(Code.CLUSTER_UNKNOWN, cluster=cluster)
    return [{"pointer": no.pointer, "detail": no.detail}]
