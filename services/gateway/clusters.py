"""`/clusters`: what was registered, joined with what reports; what a cluster holds; and the fleet's storage locations."""

import asyncio
from datetime import datetime
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from services.gateway import queries, reading, validation
from services.gateway.answers import listed, model, problem_of
from services.gateway.described import BODY, IF_MATCH, takes, told
from services.gateway.environments import preview
from services.gateway.ports import (
    API,
    MERGE_PATCH,
    Admin,
    Given,
    LocationQuery,
    NoQuery,
    PageQuery,
    Ports,
    Viewer,
    body_of,
    check_if_match,
)
from services.gateway.problems import ProblemError
from services.gateway.schemas import (
    ClusterNamespace,
    ClusterSettings,
    ClusterView,
    InventoryPage,
    Page,
    RegisterCluster,
    ScopePreview,
    ScopeRequest,
)
from services.gateway.slices import slice_of
from shared.contracts.documents import Collection, to_document
from shared.contracts.events import KindInfo
from shared.contracts.views import LocationItem
from shared.runtime import logging

log = structlog.get_logger(__name__)

router = APIRouter(prefix=f"{API}/clusters", tags=["clusters"])
locations = APIRouter(prefix=f"{API}/storage-locations", tags=["locations"])

ClusterName = Annotated[str, Path(description="The id of a cluster.")]
_ATTEMPTS = 5


# ---------------------------------------------------------------------- reading


@router.get("", response_model=Page[ClusterView])
async def list_clusters(ports: Given, _who: Viewer, query: PageQuery) -> Response:
    """List every cluster that is registered or reports."""
    registered, reporting = await asyncio.gather(ports.store.registrations(), ports.store.cluster_states())
    by_name = {str(d["_id"]): d for d in registered}
    states = {str(d["_id"]): d for d in reporting}
    rows = {name: (by_name.get(name), states.get(name)) for name in {*by_name, *states}}
    try:
        part = slice_of({name: (name, *row) for name, row in rows.items()}, query, "clusters")
    except queries.CursorError as error:
        raise problem_of(error) from error
    items: list[ClusterView] = []
    unreadable: list[str] = []
    for name, registration, state in part.items:
        try:
            items.append(reading.cluster(name, registration, state))
        except reading.UnreadableError as error:
            log.warning("record unreadable", **{logging.CLUSTER: name, logging.REASON: str(error)})
            unreadable.append(name)
    return model(Page[ClusterView](items=items, next_cursor=part.next_cursor, total=len(rows), unreadable=unreadable))


@router.get("/{cluster}", response_model=ClusterView, responses=told("not-found"))
async def get_cluster(cluster: ClusterName, ports: Given, _who: Viewer, _no_query: NoQuery) -> Response:
    """Return one cluster; the ETag is the version of its registration."""
    registration, state = await _known(ports, cluster)
    return _shown(cluster, registration, state)


@router.get("/{cluster}/namespaces", response_model=InventoryPage[ClusterNamespace], responses=told("not-found"))
async def list_namespaces(cluster: ClusterName, ports: Given, _who: Viewer, query: PageQuery) -> Response:
    """List the namespaces of a cluster, with the environment that their labels put them in."""
    registration, state = await _known(ports, cluster, "namespaces")
    try:
        wanted = reading.settings(registration or {})
    except reading.UnreadableError as error:
        raise _unreadable(cluster, error) from error
    return _inventory(reading.namespaces(state, wanted), state, query, f"namespaces/{cluster}")


@router.get("/{cluster}/resources", response_model=InventoryPage[KindInfo], responses=told("not-found"))
async def list_resources(cluster: ClusterName, ports: Given, _who: Viewer, query: PageQuery) -> Response:
    """List the kinds that can be chosen for a backup of a cluster."""
    _registration, state = await _known(ports, cluster, "kinds")
    return _inventory(reading.kinds(state), state, query, f"resources/{cluster}")


@router.post(
    "/{cluster}/scope",
    response_model=ScopePreview,
    responses=told(*BODY, "not-found", "inventory-unknown"),
    openapi_extra=takes("ScopeRequest"),
)
async def preview_scope(cluster: ClusterName, request: Request, ports: Given, _who: Viewer, _no_query: NoQuery) -> Response:
    """Tell what a scope means in a cluster, by the namespaces that it last told of. Nothing is made."""
    try:
        wanted = validation.checked(ScopeRequest, await body_of(request))
    except (validation.NotJsonError, validation.InvalidRequestError) as error:
        raise problem_of(error) from error
    registration, state = await _known(ports, cluster, "namespaces", "inventory.truncated")
    held = reading.inventory(state)
    if held is None:
        raise ProblemError("inventory-unknown", f"Cluster {cluster} has not told yet which namespaces it has.")
    try:
        selectors = reading.selectors(registration)
    except reading.UnreadableError as error:
        raise _unreadable(cluster, error) from error
    return model(preview(wanted.scope, cluster, selectors, held))


@router.get("/{cluster}/storage-locations", response_model=Page[LocationItem], responses=told("not-found"))
async def list_cluster_locations(cluster: ClusterName, ports: Given, _who: Viewer, query: LocationQuery) -> Response:
    """List the storage locations of one cluster."""
    await _known(ports, cluster)
    only = query.model_copy(update={"cluster": [cluster]})
    return await listed(ports, queries.LOCATIONS, Collection.LOCATIONS, only, LocationItem)


@locations.get("", response_model=Page[LocationItem])
async def list_locations(ports: Given, _who: Viewer, query: LocationQuery) -> Response:
    """List the storage locations of the whole fleet."""
    return await listed(ports, queries.LOCATIONS, Collection.LOCATIONS, query, LocationItem)


def _inventory(rows: dict[str, Any], state: dict[str, Any] | None, query: PageQuery, name: str) -> Response:
    try:
        part = slice_of(rows, query, name)
    except queries.CursorError as error:
        raise problem_of(error) from error
    told = (state or {}).get("inventoryAt")
    as_of = told if isinstance(told, datetime) else None
    return model(InventoryPage[Any](items=part.items, next_cursor=part.next_cursor, total=len(rows), as_of=as_of))


async def _known(ports: Ports, cluster: str, *inventory: str) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    registration, state = await asyncio.gather(
        ports.store.registration(cluster), ports.store.cluster_state(cluster, *inventory)
    )
    if registration is None and state is None:
        raise ProblemError("not-found", f"No cluster {cluster} is registered, and none of that name reports.")
    return registration, state


def _shown(cluster: str, registration: dict[str, Any] | None, state: dict[str, Any] | None, status: int = 200) -> Response:
    try:
        shown = reading.cluster(cluster, registration, state)
    except reading.UnreadableError as error:
        raise _unreadable(cluster, error) from error
    etag = {"ETag": f'"{shown.version}"'} if shown.version is not None else {}
    created = {"Location": f"{router.prefix}/{cluster}"} if status == 201 else {}  # noqa: PLR2004 - Created
    return model(shown, status, {**etag, **created})


def _unreadable(cluster: str, error: reading.UnreadableError) -> ProblemError:
    return ProblemError("unreadable-document", f"The record of cluster {cluster} cannot be read: {error}")


# ---------------------------------------------------------------------- registering


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
    try:
        wanted = validation.read(RegisterCluster, await body_of(request))
    except (validation.NotJsonError, validation.InvalidRequestError) as error:
        raise problem_of(error) from error
    # The consumer first: whatever fails after it, asking again makes everything whole.
    await ports.bus.ensure_cluster(wanted.id)
    settings = ClusterSettings.model_validate(wanted.model_dump(exclude={"id"}))
    document = {"_id": wanted.id, **_fields(settings), "version": 1, "createdBy": who.name, "createdAt": ports.clock()}
    created = await ports.store.register(document)
    registration, state = await _known(ports, wanted.id)
    if not created and (registration is None or reading.settings(registration) != settings):
        raise ProblemError(
            "cluster-exists", f"Cluster {wanted.id} is registered already.", errors=[{"pointer": "/id", "detail": "is taken"}]
        )
    if created:
        log.info("cluster registered", **{logging.CLUSTER: wanted.id, logging.PRINCIPAL: who.name})
        await ports.fleet.refresh()
    return _shown(wanted.id, registration, state, 201 if created else 200)


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
        except (validation.NotJsonError, validation.InvalidRequestError) as error:
            raise problem_of(error) from error
        except reading.UnreadableError as error:
            raise _unreadable(cluster, error) from error
        if await ports.store.change(cluster, registration["version"], _fields(wanted)):
            log.info("cluster changed", **{logging.CLUSTER: cluster, logging.PRINCIPAL: who.name})
            await ports.fleet.refresh()
            return _shown(cluster, *await _known(ports, cluster))
    raise ProblemError("precondition-failed", f"Cluster {cluster} keeps being changed by somebody else.")


@router.delete(
    "/{cluster}",
    status_code=204,
    responses=told("not-found", "precondition-failed"),
    openapi_extra={"parameters": [IF_MATCH]},
)
async def forget_cluster(cluster: ClusterName, request: Request, ports: Given, who: Admin, _no_query: NoQuery) -> Response:
    """Forget a registration. Nothing in the cluster changes; while it reports, it is listed as Unregistered."""
    for _attempt in range(_ATTEMPTS):
        registration = await _registered(ports, cluster)
        check_if_match(request, str(registration["version"]))
        if await ports.store.forget(cluster, registration["version"]):
            log.info("cluster forgotten", **{logging.CLUSTER: cluster, logging.PRINCIPAL: who.name})
            await ports.fleet.refresh()
            return Response(status_code=204)
    raise ProblemError("precondition-failed", f"Cluster {cluster} keeps being changed by somebody else.")


async def _registered(ports: Ports, cluster: str) -> dict[str, Any]:
    registration = await ports.store.registration(cluster)
    if registration is None:
        raise ProblemError("not-found", f"No cluster {cluster} is registered.")
    return registration


def _fields(settings: ClusterSettings) -> dict[str, Any]:
    fields: dict[str, Any] = to_document(settings)
    return fields
