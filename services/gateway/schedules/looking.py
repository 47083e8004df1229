"""`/schedules`: list them, count them, look at one and at what became of its slots; and try out a timetable."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from services.gateway import validation
from services.gateway.ports import API, Given, NoQuery, Ports, Viewer, body_of
from services.gateway.schedules import keeping, slots, ticks
from services.gateway.schedules.queries import MANAGERS, SCHEDULES, ScheduleQuery, TickQuery
from services.gateway.schemas import Page, PreviewSchedule, SchedulePreview, ScheduleSummary
from services.gateway.web.answers import listed, model
from services.gateway.web.described import BODY, takes, told
from services.gateway.web.problems import FieldError
from shared.contracts.documents import Collection
from shared.contracts.phases import ScheduleStatus
from shared.contracts.views import ScheduleDetail, ScheduleItem, TickItem
from shared.cron.expression import CronInvalidError, parse
from shared.cron.zones import ZoneInvalidError, zone

router = APIRouter(prefix=f"{API}/schedules", tags=["schedules"])


@router.get("", response_model=Page[ScheduleItem])
async def list_schedules(ports: Given, _who: Viewer, query: Annotated[ScheduleQuery, Query()]) -> Response:
    """List the schedules of the whole fleet, also those that Velero keeps in the clusters by itself."""
    return await listed(ports, SCHEDULES, Collection.SCHEDULE_STATUS, query, ScheduleItem)


@router.get("/summary", response_model=ScheduleSummary)
async def summary(ports: Given, _who: Viewer, _no_query: NoQuery) -> Response:
    """Count the schedules by status, by cluster and by who keeps them."""
    body = await ports.shared("schedules/summary", lambda: _summary(ports))
    return Response(body, media_type="application/json")


_SUMMARY: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "status": ({}, {"value": "item.status"}),
    "cluster": ({}, {"value": "item.cluster"}),
    "managedBy": ({}, {"value": "item.managedBy"}),
}


async def _summary(ports: Ports) -> bytes:
    found = await ports.store.tallies(Collection.SCHEDULE_STATUS, {"listed": True}, _SUMMARY)
    counts = {way: {row["_id"].get("value"): row["count"] for row in rows} for way, rows in found.items()}
    statuses = [status.value for status in ScheduleStatus if status is not ScheduleStatus.DELETED]
    return (
        ScheduleSummary(
            status={status: counts["status"].get(status, 0) for status in statuses},
            cluster={name: count for name, count in counts["cluster"].items() if isinstance(name, str)},
            managed_by={name: counts["managedBy"].get(name, 0) for name in MANAGERS},
        )
        .model_dump_json(by_alias=True)
        .encode()
    )


@router.post("/preview", response_model=SchedulePreview, responses=told(*BODY), openapi_extra=takes("PreviewSchedule"))
async def preview_schedule(request: Request, ports: Given, _who: Viewer, _no_query: NoQuery) -> Response:
    """Tell when a timetable would fire next, in words and instants, and what to know of it. Nothing is made."""
    wanted = validation.checked(PreviewSchedule, await body_of(request))
    if errors := [*_wrong("/cron", parse, wanted.cron), *_wrong("/timezone", zone, wanted.timezone)]:
        raise validation.InvalidRequestError(errors)
    return model(slots.preview(wanted, ports.clock()))


def _wrong(pointer: str, reads: Any, text: str) -> list[FieldError]:
    try:
        reads(text)
    except (CronInvalidError, ZoneInvalidError) as error:
        return [{"pointer": pointer, "detail": str(error)}]
    return []


@router.get("/{schedule_id}", response_model=ScheduleDetail, responses=told("not-found"))
async def get_schedule(schedule_id: str, ports: Given, _who: Viewer, _no_query: NoQuery) -> Response:
    """Return one schedule; the ETag is the version of what is wanted of it. One of Velero's own has none."""
    detail = await keeping.detail_of(ports, schedule_id)
    return model(detail, headers=keeping.etag(detail))


@router.get("/{schedule_id}/ticks", response_model=Page[TickItem], responses=told("not-found"))
async def list_ticks(schedule_id: str, ports: Given, _who: Viewer, query: Annotated[TickQuery, Query()]) -> Response:
    """List what became of each slot, the newest first; also of a schedule that has gone. Not counted.

    Slots next to each other that ended alike and ran nothing are one entry, within a page, unless it is filtered by decision.
    """
    return model(await ticks.page(ports, schedule_id, query))
