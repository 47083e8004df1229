"""Making and changing locations. What only the whole fleet shows is judged here, the rest by the cluster.

A credential is sealed to the cluster's key before anything else happens to it; nothing that is stored, logged or answered
has it in it.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, TypeVar

import structlog
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from services.gateway import submitting
from services.gateway.clusters import looking as clusters
from services.gateway.clusters.looking import ClusterName
from services.gateway.locations import forms, looking, places
from services.gateway.locations.forms import (
    Change,
    ChangeSnapshotLocation,
    ChangeStorageLocation,
    CreateSnapshotLocation,
    CreateStorageLocation,
)
from services.gateway.locations.looking import SNAPSHOTS, STORAGE, LocationName
from services.gateway.locations.orders import Asked, answer, asked_for, no
from services.gateway.locations.queries import SharedQuery
from services.gateway.locations.sealed import sealed_for
from services.gateway.ports import MERGE_PATCH, Admin, Given, NoQuery, body_of, check_if_match
from services.gateway.validation import InvalidRequestError, NotJsonError
from services.gateway.web.answers import problem_of, readable
from services.gateway.web.described import BODY, COMMAND_HEADERS, IF_MATCH, queued, takes, told
from shared.contracts.commands import (
    LocationApply,
    Sealed,
    SnapshotLocationApply,
)
from shared.contracts.documents import Collection
from shared.contracts.envelope import Envelope
from shared.contracts.locationspec import place_of, spec_digest
from shared.contracts.names import Noun
from shared.contracts.views import LocationItem, SnapshotLocationItem

log = structlog.get_logger(__name__)

router = APIRouter(tags=["locations"])

T = TypeVar("T")

_APPLIES: Final[dict[Noun, type[LocationApply] | type[SnapshotLocationApply]]] = {
    STORAGE.noun: LocationApply,
    SNAPSHOTS.noun: SnapshotLocationApply,
}
_MOST = 10_000
_NOT_SEALED_YET = Sealed(key="", box=b"")
"""Stands for a credential where it only counts that there is one."""
_STORED = queued("The command is stored; the cluster has not answered yet.")
_PATCHED = "application/merge-patch+json"
_COMMON = ("not-found", "refused", 409, 412)
_SEALS = ("sealing-key-unknown",)


def _read(read: Callable[[], T]) -> T:
    try:
        return read()
    except (NotJsonError, InvalidRequestError) as error:
        raise problem_of(error) from None  # a body may hold a credential: nothing of it goes along with the problem


# ---------------------------------------------------------------------- making


@router.post(
    STORAGE.address("{cluster}"),
    status_code=201,
    response_model=LocationItem,
    responses={**_STORED, **told(*BODY, *_COMMON, *_SEALS, "bucket-shared")},
    openapi_extra=takes("CreateStorageLocation", parameters=COMMAND_HEADERS),
)
async def create_storage_location(
    cluster: ClusterName, request: Request, ports: Given, who: Admin, query: Annotated[SharedQuery, Query()]
) -> Response:
    """Make a storage location: 201 when the cluster confirmed in time, 202 with the operation if not.

    Another location that writes into the same place is a reason to refuse, unless `allowSharedBucket` says otherwise.
    """
    body = await body_of(request)
    wanted = _read(lambda: forms.created(CreateStorageLocation, body))
    return await _made(asked_for(ports, request, who, STORAGE, cluster, wanted.name), wanted, shared=query.allow_shared_bucket)


@router.post(
    SNAPSHOTS.address("{cluster}"),
    status_code=201,
    response_model=SnapshotLocationItem,
    responses={**_STORED, **told(*BODY, *_COMMON, *_SEALS)},
    openapi_extra=takes("CreateSnapshotLocation", parameters=COMMAND_HEADERS),
)
async def create_snapshot_location(
    cluster: ClusterName, request: Request, ports: Given, who: Admin, _no_query: NoQuery
) -> Response:
    """Make a volume snapshot location: 201 when the cluster confirmed in time, 202 with the operation if not."""
    body = await body_of(request)
    wanted = _read(lambda: forms.created(CreateSnapshotLocation, body))
    return await _made(asked_for(ports, request, who, SNAPSHOTS, cluster, wanted.name), wanted, shared=False)


async def _made(asked: Asked, wanted: Change, *, shared: bool) -> Response:
    await clusters.known(asked.ports, asked.cluster)

    async def judge() -> None:
        if not shared:
            await _check_alone(asked, wanted, None)

    return await _applied(asked, wanted, None, shared=shared, judge=judge)


# ---------------------------------------------------------------------- changing


@router.patch(
    STORAGE.address("{cluster}", "{name}"),
    response_model=LocationItem,
    responses={**_STORED, **told(*BODY, *_COMMON, *_SEALS, "bucket-shared", "precondition-failed")},
    openapi_extra=takes("ChangeStorageLocation", _PATCHED, parameters=[*COMMAND_HEADERS, IF_MATCH]),
)
async def change_storage_location(
    cluster: ClusterName, name: LocationName, request: Request, ports: Given, who: Admin, query: Annotated[SharedQuery, Query()]
) -> Response:
    """Change a storage location by a JSON merge patch; a `credential` alone replaces the one that there is."""
    body = await body_of(request, MERGE_PATCH)
    asked = asked_for(ports, request, who, STORAGE, cluster, name)
    return await _changed(asked, ChangeStorageLocation, body, shared=query.allow_shared_bucket)


@router.patch(
    SNAPSHOTS.address("{cluster}", "{name}"),
    response_model=SnapshotLocationItem,
    responses={**_STORED, **told(*BODY, *_COMMON, *_SEALS, "precondition-failed")},
    openapi_extra=takes("ChangeSnapshotLocation", _PATCHED, parameters=[*COMMAND_HEADERS, IF_MATCH]),
)
async def change_snapshot_location(
    cluster: ClusterName, name: LocationName, request: Request, ports: Given, who: Admin, _no_query: NoQuery
) -> Response:
    """Change a volume snapshot location by a JSON merge patch; a `credential` alone replaces the one that there is."""
    body = await body_of(request, MERGE_PATCH)
    return await _changed(asked_for(ports, request, who, SNAPSHOTS, cluster, name), ChangeSnapshotLocation, body, shared=False)


async def _changed(
    asked: Asked, form: type[ChangeStorageLocation] | type[ChangeSnapshotLocation], body: bytes, *, shared: bool
) -> Response:
    """Merge onto what status last saw, and have the cluster refuse it if that has been changed since.

    A repeated request is merged onto what the first one asked for: a patch that is in there already changes nothing.
    """
    earlier = await asked.ports.bus.command(asked.operation) if asked.repeatable else None
    row = await asked.row()
    if row is None or (earlier is None and not row.get("listed")):
        await clusters.known(asked.ports, asked.cluster)
        raise looking.unknown(asked.sort, asked.cluster, asked.name)
    item = looking.item_of(asked.sort, row)
    before = item.spec
    was = earlier.data.spec.wire() if earlier and isinstance(earlier.data, _APPLIES[asked.sort.noun]) else before
    wanted = _read(lambda: forms.changed(form, body, was))
    if isinstance(item, LocationItem) and item.shared_bucket:
        shared = shared or place_of(before) == place_of(wanted.spec.wire())

    async def judge() -> None:
        check_if_match(asked.request, spec_digest(before))
        if not shared:
            await _check_alone(asked, wanted, before)

    return await _applied(asked, wanted, spec_digest(before), shared=shared, judge=judge)


# ---------------------------------------------------------------------- the command


async def _applied(
    asked: Asked, wanted: Change, expected: str | None, *, shared: bool, judge: Callable[[], Awaitable[None]]
) -> Response:
    def command(credential: Sealed | None) -> Envelope[Any]:
        spec = wanted.spec.model_copy(update={"credential": None}) if credential else wanted.spec
        facts: dict[str, Any] = {"name": asked.name, "spec": spec, "expected": expected, "credential": credential}
        if asked.sort is STORAGE:
            facts["shared_bucket"] = shared
        return asked.command("apply", _APPLIES[asked.sort.noun](**facts), wanted.deadline)

    with asked.ports.feed.waiting(asked.operation) as woken:
        stored = None
        if asked.repeatable:
            stored = await submitting.recall(asked.ports, command(_NOT_SEALED_YET if wanted.credential else None))
        if stored is None:
            await judge()
            stored = await submitting.publish(asked.ports, command(await _sealed(asked, wanted)))
        found = await submitting.outcome(asked.ports, stored, woken, asked.patience.seconds, row_of=asked.listed_row)
    return answer(asked, found, 200 if expected else 201)


async def _sealed(asked: Asked, wanted: Change) -> Sealed | None:
    return await sealed_for(asked.ports, asked.cluster, wanted.spec.provider, wanted.credential, wanted.spec.config)


async def _check_alone(asked: Asked, wanted: Change, before: dict[str, Any] | None) -> None:
    """Return if no other location of the fleet would write into the same place.

    Raises the problem that says which one does; Unavailable, because a guess could cost somebody's backups.
    """
    if not isinstance(wanted, ChangeStorageLocation):
        return
    spec = wanted.spec.wire()
    query = {"listed": True, "item.bucket": wanted.spec.object_storage.bucket}
    rows = await asked.ports.store.find(Collection.LOCATIONS, query, [("_id", 1)], _MOST, ("item",))
    known, _unreadable = readable(rows, LocationItem)
    there = [item for item in known if isinstance(item, LocationItem)]
    if others := places.writers(spec, asked.cluster, asked.name, there, before):
        raise no("bucket-shared", places.shared(others))
