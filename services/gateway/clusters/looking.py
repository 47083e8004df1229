"""`/clusters`: what was registered, joined with what reports, and what a cluster holds. `registering` changes it."""

import asyncio
from datetime import datetime
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from services.gateway import reading, validation
from services.gateway.clusters.environments import preview
from services.gateway.clusters.joining import JoinRecipe, recipe
from services.gateway.clusters.queries import JoinQuery
from services.gateway.listing.filters import PageQuery
from services.gateway.listing.slices import slice_of
from services.gateway.ports import API, Given, NoQuery, Ports, Viewer, body_of
from services.gateway.schemas import (
    ClusterNamespace,
    ClusterView,
    InventoryPage,
    Page,
    ScopePreview,
    ScopeRequest,
)
from services.gateway.web.answers import model
from services.gateway.web.described import BODY, takes, told
from services.gateway.web.problems import ProblemError
from shared.contracts.events import KindInfo
from shared.runtime import logging

log = structlog.get_logger(__name__)

router = APIRouter(prefix=f"{API}/clusters", tags=["clusters"])

ClusterName = Annotated[str, Path(description="The id of a cluster.")]


# ---------------------------------------------------------------------- reading


@router.get("", response_model=Page[ClusterView])
async def list_clusters(ports: Given, _who: Viewer, query: Annotated[PageQuery, Query()]) -> Response:
    """List every cluster that is registered or reports."""
    registered, reporting = await asyncio.gather(ports.store.registrations(), ports.store.cluster_states())
    by_name = {str(d["_id"]): d for d in registered}
    states = {str(d["_id"]): d for d in reporting}
    rows = {name: (by_name.get(name), states.get(name)) for name in {*by_name, *states}}
    part = slice_of({name: (name, *row) for name, row in rows.items()}, query, "clusters")
    items: list[ClusterView] = []
    odd: list[str] = []
    for name, registration, state in part.items:
        try:
            items.append(reading.cluster(name, registration, state))
        except reading.UnreadableError as error:
            log.warning("record unreadable", **{logging.CLUSTER: name, logging.REASON: str(error)})
            odd.append(name)
    return model(Page[ClusterView](items=items, next_cursor=part.next_cursor, total=len(rows), unreadable=odd))


@router.get("/{cluster}", response_model=ClusterView, responses=told("not-found"))
async def get_cluster(cluster: ClusterName, ports: Given, _who: Viewer, _no_query: NoQuery) -> Response:
    """Return one cluster; the ETag is the version of its registration."""
    registration, state = await known(ports, cluster)
    return shown(cluster, registration, state)


@router.get("/{cluster}/namespaces", response_model=InventoryPage[ClusterNamespace], responses=told("not-found"))
async def list_namespaces(cluster: ClusterName, ports: Given, _who: Viewer, query: Annotated[PageQuery, Query()]) -> Response:
    """List the namespaces of a cluster, with the environment that their labels put them in."""
    registration, state = await known(ports, cluster, "namespaces")
    try:
        wanted = reading.settings(registration or {})
    except reading.UnreadableError as error:
        raise unreadable(cluster, error) from error
    return _inventory(reading.namespaces(state, wanted), state, query, f"namespaces/{cluster}")


@router.get("/{cluster}/resources", response_model=InventoryPage[KindInfo], responses=told("not-found"))
async def list_resources(cluster: ClusterName, ports: Given, _who: Viewer, query: Annotated[PageQuery, Query()]) -> Response:
    """List the kinds that can be chosen for a backup of a cluster."""
    _registration, state = await known(ports, cluster, "kinds")
    return _inventory(reading.kinds(state), state, query, f"resources/{cluster}")


@router.get("/{cluster}/join", response_model=JoinRecipe, responses=told("not-found"))
async def how_to_join(cluster: ClusterName, ports: Given, _who: Viewer, query: Annotated[JoinQuery, Query()]) -> Response:
    """Tell what joins a cluster, step by step: what has to be set and typed where only its people have rights."""
    (_registration, state), registered, reporting = await asyncio.gather(
        known(ports, cluster), ports.store.registrations(), ports.store.cluster_states()
    )
    try:
        namespace = reading.cluster(cluster, None, state).velero.namespace if state else None
    except reading.UnreadableError:
        namespace = None
    served = [str(document["_id"]) for document in (*registered, *reporting)]
    return model(recipe(cluster, query.mode, served, namespace))


@router.post(
    "/{cluster}/scope",
    response_model=ScopePreview,
    responses=told(*BODY, "not-found", "inventory-unknown"),
    openapi_extra=takes("ScopeRequest"),
)
async def preview_scope(cluster: ClusterName, request: Request, ports: Given, _who: Viewer, _no_query: NoQuery) -> Response:
    """Tell what a scope means in a cluster, by the namespaces that it last told of. Nothing is made."""
    wanted = validation.checked(ScopeRequest, await body_of(request))
    registration, state = await known(ports, cluster, "namespaces", "inventory.truncated")
    held = reading.inventory(state)
    if held is None:
        raise ProblemError("inventory-unknown", f"Cluster {cluster} has not told yet which namespaces it has.")
    try:
        selectors = reading.selectors(registration)
    except reading.UnreadableError as error:
        raise unreadable(cluster, error) from error
    return model(preview(wanted.scope, cluster, selectors, held))


def _inventory(rows: dict[str, Any], state: dict[str, Any] | None, query: PageQuery, name: str) -> Response:
    part = slice_of(rows, query, name)
    told = (state or {}).get("inventoryAt")
    as_of = told if isinstance(told, datetime) else None
    return model(InventoryPage[Any](items=part.items, next_cursor=part.next_cursor, total=len(rows), as_of=as_of))


async def known(ports: Ports, cluster: str, *inventory: str) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return what was registered of a cluster and what it reports, with the parts of its inventory that are asked for.

    Raises the problem of one that nobody has heard of.
    """
    registration, state = await asyncio.gather(
        ports.store.registration(cluster), ports.store.cluster_state(cluster, *inventory)
    )
    if registration is None and state is None:
        raise ProblemError("not-found", f"No cluster {cluster} is registered, and none of that name reports.")
    return registration, state


def shown(cluster: str, registration: dict[str, Any] | None, state: dict[str, Any] | None, status: int = 200) -> Response:
    """Return a cluster as an answer.

    Raises the problem of a record that this version cannot read.
    """
    try:
        shown = reading.cluster(cluster, registration, state)
    except reading.UnreadableError as error:
        raise unreadable(cluster, error) from error
    etag = {"ETag": f'"{shown.version}"'} if shown.version is not None else {}
    created = {"Location": f"{router.prefix}/{cluster}"} if status == 201 else {}  # noqa: PLR2004 - Created
    return model(shown, status, {**etag, **created})


def unreadable(cluster: str, error: reading.UnreadableError) -> ProblemError:
    """Return the problem of a cluster whose record this version cannot read."""
    return ProblemError("unreadable-document", f"The record of cluster {cluster} cannot be read: {error}")
