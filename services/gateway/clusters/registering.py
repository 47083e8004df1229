"""Registering clusters, changing what was said of one, and forgetting it."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from services.gateway import reading, validation
from services.gateway.clusters.looking import ClusterName, known, shown, unreadable
from services.gateway.clusters.queries import ForceQuery
from services.gateway.listing import paging
from services.gateway.locations import places
from services.gateway.ports import API, MERGE_PATCH, Admin, Given, NoQuery, Ports, body_of, check_if_match
from services.gateway.schemas import ClusterSettings, ClusterView, RegisterCluster
from services.gateway.web.described import BODY, IF_MATCH, takes, told
from services.gateway.web.problems import ProblemError
from shared.contracts.documents import Collection, to_document
from shared.contracts.phases import OperationState, RestoreStatus
from shared.runtime import logging

log = structlog.get_logger(__name__)

router = APIRouter(prefix=f"{API}/clusters", tags=["clusters"])

_ATTEMPTS = 5
_MOST = 1000


@router.post(
    "",
    status_code=201,
    response_model=ClusterView,
    responses={
        200: {"model": ClusterView, "description": "It was registered before, just so."},
        **told(*BODY, "cluster-exists"),
    },
    openapi_extra=takes("RegisterCluster"),
)
async def register_cluster(request: Request, ports: Given, who: Admin, _no_query: NoQuery) -> Response:
    """Register a cluster: from now on it can be asked for things, also before it first reports."""
    wanted = validation.read(RegisterCluster, await body_of(request))
    # The consumer first: whatever fails after it, asking again makes everything whole.
    await ports.bus.ensure_cluster(wanted.id)
    settings = ClusterSettings.model_validate(wanted.model_dump(exclude={"id"}))
    document = {"_id": wanted.id, **_fields(settings), "version": 1, "createdBy": who.name, "createdAt": ports.clock()}
    created = await ports.store.register(document)
    registration, state = await known(ports, wanted.id)
    if not created and (registration is None or reading.settings(registration) != settings):
        raise ProblemError(
            "cluster-exists", f"Cluster {wanted.id} is registered already.", errors=[{"pointer": "/id", "detail": "is taken"}]
        )
    if created:
        log.info("cluster registered", **{logging.CLUSTER: wanted.id, logging.PRINCIPAL: who.name})
        await ports.fleet.refresh()
    return shown(wanted.id, registration, state, 201 if created else 200)


@router.patch(
    "/{cluster}",
    response_model=ClusterView,
    responses=told(*BODY, "not-found", "precondition-failed"),
    openapi_extra=takes("ClusterSettings", "application/merge-patch+json", parameters=[IF_MATCH]),
)
async def change_cluster(cluster: ClusterName, request: Request, ports: Given, who: Admin, _no_query: NoQuery) -> Response:
    """Change what was registered, by a JSON merge patch."""
    body = await body_of(request, MERGE_PATCH)
    for _attempt in range(_ATTEMPTS):
        registration = await _registered(ports, cluster)
        check_if_match(request, str(registration["version"]))
        try:
            wanted = validation.merged_settings(reading.settings(registration), body)
        except reading.UnreadableError as error:
            raise unreadable(cluster, error) from error
        if await ports.store.change(cluster, registration["version"], _fields(wanted)):
            log.info("cluster changed", **{logging.CLUSTER: cluster, logging.PRINCIPAL: who.name})
            await ports.fleet.refresh()
            return shown(cluster, *await known(ports, cluster))
    raise ProblemError("precondition-failed", f"Cluster {cluster} keeps being changed by somebody else.")


@router.delete(
    "/{cluster}",
    status_code=204,
    responses=told("not-found", "cluster-in-use", "precondition-failed"),
    openapi_extra={"parameters": [IF_MATCH]},
)
async def forget_cluster(
    cluster: ClusterName, request: Request, ports: Given, who: Admin, query: Annotated[ForceQuery, Query()]
) -> Response:
    """Forget a registration. Nothing in the cluster changes; while it reports, it is listed as Unregistered.

    One with schedules, or in which something runs, is not forgotten unless `force` says so. Its history stays.
    """
    for _attempt in range(_ATTEMPTS):
        registration = await _registered(ports, cluster)
        check_if_match(request, str(registration["version"]))
        if not query.force:
            await _check_idle(ports, cluster)
        if await ports.store.forget(cluster, registration["version"]):
            log.info("cluster forgotten", **{logging.CLUSTER: cluster, logging.PRINCIPAL: who.name})
            await ports.fleet.refresh()
            return Response(status_code=204)
    raise ProblemError("precondition-failed", f"Cluster {cluster} keeps being changed by somebody else.")


async def _check_idle(ports: Ports, cluster: str) -> None:
    """Return if a cluster has no schedules and nothing runs in it, as far as the projections tell.

    Raises the problem that says what there is.
    """
    found = await asyncio.gather(*(_names(ports, *each, cluster) for each in _IN_USE))
    users = [places.counted(noun, names) for (noun, *_), names in zip(_IN_USE, found, strict=True) if names]
    if users:
        words = f"Cluster {cluster} has {', '.join(users)}. `force=true` forgets it all the same; its history stays."
        raise ProblemError("cluster-in-use", words)


async def _names(
    ports: Ports, _noun: str, collection: Collection, query: Callable[[str], dict[str, Any]], path: str, cluster: str
) -> list[str]:
    rows = await ports.store.find(collection, query(cluster), [("_id", 1)], _MOST, (path,))
    return [str(paging.raw_value_at(row, path)) for row in rows]


_IN_USE: tuple[tuple[str, Collection, Callable[[str], dict[str, Any]], str], ...] = (
    ("schedule", Collection.SCHEDULES, lambda cluster: {"cluster": cluster}, "name"),
    (
        "running restore",
        Collection.RESTORES,
        lambda cluster: {
            "listed": True,
            "item.status": RestoreStatus.RESTORING.value,
            "$or": [{"item.cluster": cluster}, {"item.backup.cluster": cluster}],
        },
        "item.name",
    ),
    (
        "unfinished operation",
        Collection.OPERATIONS,
        lambda cluster: {
            "item.cluster": cluster,
            "item.state": {"$in": [OperationState.QUEUED.value, OperationState.ACCEPTED.value]},
            "item.kind": {"$ne": "restore.create"},
        },
        "item.kind",
    ),
)
"""What keeps a cluster from being forgotten: how it is counted, where it lies, which it is, and what it is called there.

A restore into the cluster counts by its row, one out of it likewise.
"""


async def _registered(ports: Ports, cluster: str) -> dict[str, Any]:
    registration = await ports.store.registration(cluster)
    if registration is None:
        raise ProblemError("not-found", f"No cluster {cluster} is registered.")
    return registration


def _fields(settings: ClusterSettings) -> dict[str, Any]:
    fields: dict[str, Any] = to_document(settings)
    return fields
