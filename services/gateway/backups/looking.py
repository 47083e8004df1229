"""`/backups`: list them, count them, look at one. `creating`, `deleting` and the room of artifacts do the rest."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from services.gateway import details
from services.gateway.backups.queries import BACKUPS, BackupQuery
from services.gateway.listing.conditions import one_of
from services.gateway.ports import API, Given, NoQuery, Ports, Viewer
from services.gateway.restores import queries as restorequeries
from services.gateway.schemas import BackupSummary, CreatorCount, Page
from services.gateway.web.answers import listed, model, readable
from services.gateway.web.described import told
from shared.contracts.documents import Collection
from shared.contracts.phases import BackupStatus
from shared.contracts.views import BackupDetail, BackupItem, RestoreItem, RestoreRef

router = APIRouter(prefix=f"{API}/backups", tags=["backups"])

_MOST_RESTORES = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@router.get("", response_model=Page[BackupItem])
async def list_backups(ports: Given, _who: Viewer, query: Annotated[BackupQuery, Query()]) -> Response:
    """List backups of the whole fleet; those that were deleted only when `status` asks for them.

    `total` is counted with the first page, and stays what it was then while the list is read further.
    """
    return await listed(ports, BACKUPS, Collection.BACKUPS, query, BackupItem)


@router.get("/summary", response_model=BackupSummary)
async def summary(ports: Given, _who: Viewer, _no_query: NoQuery) -> Response:
    """Count the backups by status, and those that the list shows by itself by cluster and creator."""
    body = await ports.shared("summary", lambda: _summary(ports))
    return Response(body, media_type="application/json")


_EVERY = {"listed": one_of([True, False])}
_LISTED = {"listed": True}
_SUMMARY = {
    "status": (_EVERY, {"value": "item.status"}),
    "cluster": (_LISTED, {"value": "item.cluster"}),
    "creator": (_LISTED, {"kind": "item.createdBy.kind", "name": "item.createdBy.name"}),
}


async def _summary(ports: Ports) -> bytes:
    statuses = [status.value for status in BackupStatus if status is not BackupStatus.REFUSED]
    counts = await tallied(ports, Collection.BACKUPS, statuses)
    return BackupSummary(**counts).model_dump_json(by_alias=True).encode()


async def tallied(ports: Ports, collection: Collection, statuses: Sequence[str]) -> dict[str, Any]:
    """Return how many rows of a list there are by each of these statuses, by cluster and by creator: a summary's fields."""
    found = await ports.store.tallies(collection, _EVERY, _SUMMARY)
    by_status = _counts(found["status"])
    return {
        "status": {status: by_status.get(status, 0) for status in statuses},
        "cluster": _counts(found["cluster"]),
        "created_by": [
            CreatorCount(kind=row["_id"]["kind"], name=row["_id"].get("name"), count=row["count"])
            for row in found["creator"]
            if isinstance(row["_id"].get("kind"), str) and isinstance(row["_id"].get("name"), str | None)
        ],
    }


def _counts(rows: list[dict[str, Any]]) -> dict[str, int]:
    return {row["_id"]["value"]: row["count"] for row in rows if isinstance(row["_id"].get("value"), str)}


@router.get("/{backup_id}", response_model=BackupDetail, responses=told("not-found"))
async def get_backup(backup_id: str, ports: Given, _who: Viewer, _no_query: NoQuery) -> Response:
    """Return one backup, also by an id that it had before."""
    row = await details.BACKUPS.row_of(ports, backup_id)
    detail = await details.BACKUPS.detail_of(ports, row)
    return model(detail.model_copy(update={"restores": await _restores(ports, detail, details.BACKUPS.ids_of(row))}))


async def _restores(ports: Ports, backup: BackupDetail, ids: Sequence[str]) -> list[RestoreRef]:
    """Return the restores of a backup, the newest first: those that name it by an id, and those that Velero names it in."""
    ways = (restorequeries.of_backup(ids), restorequeries.named_by_velero(backup.cluster, backup.name, backup.started_at))
    finds = (ports.store.find(Collection.RESTORES, way, restorequeries.SORT, _MOST_RESTORES, ("item",)) for way in ways)
    rows = [row for found in await asyncio.gather(*finds) for row in found]
    items = [item for item in readable(rows, RestoreItem)[0] if isinstance(item, RestoreItem)]
    newest = sorted(items, key=lambda item: item.created_at or backup.created_at or _EPOCH, reverse=True)
    fields = set(RestoreRef.model_fields)
    return [RestoreRef(**item.model_dump(include=fields)) for item in newest[:_MOST_RESTORES]]
