"""Removing locations. One that is needed stays, unless a person says otherwise."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from services.gateway import submitting
from services.gateway.clusters import looking as clusters
from services.gateway.clusters.looking import ClusterName
from services.gateway.clusters.queries import ForceQuery
from services.gateway.locations import looking, places
from services.gateway.locations.looking import SNAPSHOTS, STORAGE, LocationName
from services.gateway.locations.orders import Asked, answer, asked_for, no
from services.gateway.ports import Admin, Given, check_if_match
from services.gateway.restores import queries as restorequeries
from services.gateway.schemas import DEFAULT_DEADLINE
from services.gateway.web.described import COMMAND_HEADERS, IF_MATCH, queued, told
from shared.contracts.commands import LocationDelete, SnapshotLocationDelete
from shared.contracts.documents import Collection
from shared.contracts.locationspec import place_of, spec_digest
from shared.contracts.phases import BackupStatus, OperationState
from shared.contracts.refusals import Code, refusal
from shared.contracts.views import LocationItem, SnapshotLocationItem

router = APIRouter(tags=["locations"])

_REMOVES = {STORAGE.noun: LocationDelete, SNAPSHOTS.noun: SnapshotLocationDelete}
_MOST = 10_000
_FEW = 5
_COMMON = ("not-found", "refused", 409, 412, "precondition-failed")
_STORED = queued("The command is stored; the location has not gone yet.")


@router.delete(
    STORAGE.address("{cluster}", "{name}"),
    response_model=LocationItem,
    responses={**_STORED, **told(*_COMMON, "location-in-use")},
    openapi_extra={"parameters": [*COMMAND_HEADERS, IF_MATCH]},
)
async def delete_storage_location(
    cluster: ClusterName, name: LocationName, request: Request, ports: Given, who: Admin, query: Annotated[ForceQuery, Query()]
) -> Response:
    """Remove a storage location and the Secret that Leeward made for it: 200 when it is gone in time.

    The bucket stays as it is. One that schedules, backups or running restores need is not removed unless `force` says so.
    """
    asked = asked_for(ports, request, who, STORAGE, cluster, name)

    async def judge() -> None:
        if not query.force:
            await _check_unused(asked)

    return await _removed(asked, judge)


@router.delete(
    SNAPSHOTS.address("{cluster}", "{name}"),
    response_model=SnapshotLocationItem,
    responses={**_STORED, **told(*_COMMON)},
    openapi_extra={"parameters": [*COMMAND_HEADERS, IF_MATCH]},
)
async def delete_snapshot_location(
    cluster: ClusterName, name: LocationName, request: Request, ports: Given, who: Admin, _query: Annotated[ForceQuery, Query()]
) -> Response:
    """Remove a volume snapshot location and the Secret that Leeward made for it: 200 when it is gone in time.

    Nothing is checked that `force` could overrule; it is taken so that both sorts are removed alike.
    """

    async def judge() -> None:
        """Let it go: snapshots know the location by what is stored with them."""

    return await _removed(asked_for(ports, request, who, SNAPSHOTS, cluster, name), judge)


async def _removed(asked: Asked, judge: Callable[[], Awaitable[None]]) -> Response:
    row = await asked.row()
    if row is None:
        await clusters.known(asked.ports, asked.cluster)
        raise looking.unknown(asked.sort, asked.cluster, asked.name)
    digest = spec_digest(looking.item_of(asked.sort, row).spec)
    expected = digest if "if-match" in asked.request.headers else None
    data = _REMOVES[asked.sort.noun](name=asked.name, expected=expected)
    wanted = asked.command("delete", data, DEFAULT_DEADLINE)
    with asked.ports.feed.waiting(asked.operation) as woken:
        stored = await submitting.recall(asked.ports, wanted) if asked.repeatable else None
        if stored is None:
            if not row.get("listed"):
                raise looking.unknown(asked.sort, asked.cluster, asked.name)
            check_if_match(asked.request, digest)
            await judge()
            stored = await submitting.publish(asked.ports, wanted)
        found = await submitting.outcome(
            asked.ports, stored, woken, asked.patience.seconds, row_of=asked.row, settled=submitting.ended
        )
    if found.operation.state is OperationState.ACCEPTED:
        found = submitting.Outcome(found.operation)
    return answer(asked, found, 200)


async def _check_unused(asked: Asked) -> None:
    """Return if nothing needs a storage location, as far as the projections tell.

    Raises the problem that says what does. A backup that is a copy of another cluster's does not: its original stays.
    """
    schedules, (backups, count), restores = await asyncio.gather(_schedules(asked), _backups(asked), _restores(asked))
    users = [places.counted("schedule", schedules)] if schedules else []
    users += [places.counted("running restore", restores)] if restores else []
    users += [places.counted("backup", backups, count)] if count else []
    if users:
        facts = {"name": asked.name, "cluster": asked.cluster, "users": " and ".join(users)}
        raise no("location-in-use", refusal(Code.LOCATION_IN_USE, **facts))


async def _restores(asked: Asked) -> list[str]:
    """Return the restores under way in the cluster that read what lies where the location does, whoever's backup it is."""
    row, store = await asked.row(), asked.ports.store
    running = await store.find(
        Collection.RESTORES,
        restorequeries.under_way(asked.cluster),
        restorequeries.SORT,
        _MOST,
        ("item.name", "item.backup.id"),
    )
    of = {each["item"]["name"]: (each["item"].get("backup") or {}).get("id") for each in running}
    backups = await store.pick(
        Collection.BACKUPS, [each for each in of.values() if each], ("item.cluster", "item.storageLocation")
    )
    lie = {each["_id"]: (each["item"].get("cluster"), each["item"].get("storageLocation")) for each in backups}
    shown = {"item.cluster": {"$in": sorted({cluster for cluster, _ in lie.values()})}}
    rows = await store.find(Collection.LOCATIONS, shown, [("_id", 1)], _MOST, ("item",)) if lie else []
    place = place_of(looking.item_of(asked.sort, row).spec) if row else None
    there = {
        (each["item"]["cluster"], each["item"]["name"]) for each in rows if place_of(each["item"].get("spec") or {}) == place
    }
    return sorted(name for name, backup in of.items() if lie.get(backup) in there)


async def _schedules(asked: Asked) -> list[str]:
    """Return the schedules whose backups go there: by name, or because it is what their cluster takes by itself."""
    find = functools.partial(asked.ports.store.find, sort=[("_id", 1)], limit=_MOST)
    shown = {"listed": True, "item.cluster": asked.cluster, "item.storageLocation.name": asked.name}
    wanted = {"cluster": asked.cluster, "template.spec.storageLocation": asked.name}
    rows, documents = await asyncio.gather(
        find(Collection.SCHEDULE_STATUS, shown, fields=("item.name",)),
        find(Collection.SCHEDULES, wanted, fields=("name",)),
    )
    names = {str(row["_id"]): str((row.get("item") or {}).get("name")) for row in rows}
    names |= {str(document["_id"]): str(document.get("name")) for document in documents}
    return sorted(names.values())


async def _backups(asked: Asked) -> tuple[list[str], int]:
    query = {
        "listed": True,
        "item.cluster": asked.cluster,
        "item.storageLocation": asked.name,
        "item.replica": {"$ne": True},
        "$or": [{"item.present": True}, {"item.status": BackupStatus.CREATING.value}],
    }
    store = asked.ports.store
    rows, count = await asyncio.gather(
        store.find(Collection.BACKUPS, query, [("item.createdAt", -1), ("_id", 1)], _FEW, ("item.name",)),
        store.count(Collection.BACKUPS, query, _MOST),
    )
    return [str(row["item"].get("name")) for row in rows], count
