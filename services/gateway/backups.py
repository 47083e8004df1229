"""`/backups`: list them, count them, look at one. `creating`, `deleting` and `artifacts` do the rest."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from services.gateway import details, queries
from services.gateway.answers import listed, model
from services.gateway.conditions import one_of
from services.gateway.described import told
from services.gateway.ports import API, BackupQuery, Given, NoQuery, Ports, Viewer
from services.gateway.schemas import BackupSummary, CreatorCount, Page
from shared.contracts.documents import Collection
from shared.contracts.phases import BackupStatus
from shared.contracts.views import BackupDetail, BackupItem

router = APIRouter(prefix=f"{API}/backups", tags=["backups"])


@router.get("", response_model=Page[BackupItem])
async def list_backups(ports: Given, _who: Viewer, query: BackupQuery) -> Response:
    """List backups of the whole fleet; those that were deleted only when `status` asks for them.

    `total` is counted with the first page, and stays what it was then while the list is read further.
    """
    return await listed(ports, queries.BACKUPS, Collection.BACKUPS, query, BackupItem)


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
    found = await ports.store.tallies(Collection.BACKUPS, _EVERY, _SUMMARY)
    statuses = _counts(found["status"])
    return (
        BackupSummary(
            status={status.value: statuses.get(status, 0) for status in BackupStatus if status is not BackupStatus.REFUSED},
            cluster=_counts(found["cluster"]),
            created_by=[
                CreatorCount(kind=row["_id"]["kind"], name=row["_id"].get("name"), count=row["count"])
                for row in found["creator"]
                if isinstance(row["_id"].get("kind"), str) and isinstance(row["_id"].get("name"), str | None)
            ],
        )
        .model_dump_json(by_alias=True)
        .encode()
    )


def _counts(rows: list[dict[str, Any]]) -> dict[str, int]:
    return {row["_id"]["value"]: row["count"] for row in rows if isinstance(row["_id"].get("value"), str)}


@router.get("/{backup_id}", response_model=BackupDetail, responses=told("not-found"))
async def get_backup(backup_id: str, ports: Given, _who: Viewer, _no_query: NoQuery) -> Response:
    """Return one backup, also by an id that it had before."""
    return model(await details.detail_of(ports, await details.row_of(ports, backup_id)))
