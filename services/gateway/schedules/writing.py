"""Changing schedules: `POST /schedules` and what comes after it, to `DELETE`. Each answer says what status makes of it."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any
from uuid import uuid4

import structlog
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from services.gateway import submitting, validation
from services.gateway.auth import Principal, Role
from services.gateway.backups import creating
from services.gateway.ports import API, MERGE_PATCH, Given, NoQuery, Operator, Ports, body_of, check_if_match
from services.gateway.schedules import changes, keeping
from services.gateway.schedules.changes import Change
from services.gateway.schedules.queries import DeletionQuery
from services.gateway.schemas import CreateSchedule, ScheduleSettings, SkipSlots
from services.gateway.web.answers import model
from services.gateway.web.described import BODY, COMMAND_HEADERS, IF_MATCH, takes, told
from services.gateway.web.problems import ProblemError
from shared.contracts.commands import Origin, ScheduleTrigger
from shared.contracts.ids import operation_id, slot_backup_name, slot_operation_id
from shared.contracts.names import Noun
from shared.contracts.schedules import Schedule
from shared.contracts.selectors import Environments
from shared.contracts.views import ScheduleDetail
from shared.runtime import logging

log = structlog.get_logger(__name__)

router = APIRouter(prefix=f"{API}/schedules", tags=["schedules"])

_PREFER = COMMAND_HEADERS[1]
_CHANGES = ("not-found", "schedule-deleting", "managed-by-velero", "precondition-failed")


@router.post(
    "",
    status_code=201,
    response_model=ScheduleDetail,
    responses={
        200: {"model": ScheduleDetail, "description": "The same request has made it before."},
        **told(*BODY, "idempotency-key-reused", "schedule-exists"),
    },
    openapi_extra=takes("CreateSchedule", parameters=COMMAND_HEADERS),
)
async def create_schedule(request: Request, ports: Given, who: Operator, _no_query: NoQuery) -> Response:
    """Make a schedule. Its cluster or location may be missing, its expression wrong: then its status says so.

    The answer waits for status to judge it; while that is away, it is New, `asOf` null.
    """
    key, patience = submitting.idempotency_key(request), submitting.preference(request, ports.settings.wait)
    wanted = validation.checked(CreateSchedule, await body_of(request))
    await creating.check_mover(ports, wanted.cluster, wanted.template.spec.datamover, within="/template")
    schedule_id = operation_id(who.name, "POST", router.prefix, key)
    schedule = changes.created(wanted, schedule_id, who.name, ports.clock(), str(uuid4()))
    _check_size(ports, schedule)
    before = await keeping.add(ports, schedule, wanted, repeated=key is not None)
    if before is None:
        _log("schedule made", schedule, who)
    row = await keeping.settled(ports, before or schedule, patience.seconds)
    detail = await keeping.shown(ports, before or schedule, row)
    headers = {"Location": f"{router.prefix}/{schedule_id}", **keeping.etag(detail), **patience.headers}
    return model(detail, 201 if before is None else 200, headers)


@router.patch(
    "/{schedule_id}",
    response_model=ScheduleDetail,
    responses=told(*BODY, *_CHANGES),
    openapi_extra=takes("ScheduleSettings", "application/merge-patch+json", parameters=[IF_MATCH, _PREFER]),
)
async def change_schedule(schedule_id: str, request: Request, ports: Given, who: Operator, _no_query: NoQuery) -> Response:
    """Change a schedule by a JSON merge patch: everything but its name and its cluster. No slot of the past fires by it."""
    body, wish = await body_of(request, MERGE_PATCH), str(uuid4())

    def merged(schedule: Schedule) -> tuple[ScheduleSettings, frozenset[str]]:
        return validation.merged_schedule(changes.settings_of(schedule), body)

    def change(schedule: Schedule, now: datetime) -> Change:
        edited = changes.edited(schedule, *merged(schedule), now, wish)
        _check_size(ports, edited.schedule)
        return edited

    first = await keeping.wanted_of(ports, schedule_id)
    mover = merged(first)[0].template.spec.datamover
    if mover != first.template.spec.datamover:
        await creating.check_mover(ports, first.cluster, mover, within="/template")
    return await _changed(ports, request, who, schedule_id, change)


@router.post(
    "/{schedule_id}/pause",
    response_model=ScheduleDetail,
    responses=told(*_CHANGES),
    openapi_extra={"parameters": [IF_MATCH, _PREFER]},
)
async def pause_schedule(schedule_id: str, request: Request, ports: Given, who: Operator, _no_query: NoQuery) -> Response:
    """Let nothing run that is due from now on; `firstAffected` is the first slot that is left out."""
    return await _changed(ports, request, who, schedule_id, changes.paused)


@router.post(
    "/{schedule_id}/resume",
    response_model=ScheduleDetail,
    responses=told(*_CHANGES),
    openapi_extra={"parameters": [IF_MATCH, _PREFER]},
)
async def resume_schedule(schedule_id: str, request: Request, ports: Given, who: Operator, _no_query: NoQuery) -> Response:
    """Let run what is due from now on, and nothing from before; `firstAffected` is the first slot that runs."""
    return await _changed(ports, request, who, schedule_id, changes.resumed)


@router.post(
    "/{schedule_id}/skip",
    response_model=ScheduleDetail,
    responses=told(*BODY, *_CHANGES),
    openapi_extra=takes("SkipSlots", parameters=[IF_MATCH, _PREFER]),
)
async def skip_slots(schedule_id: str, request: Request, ports: Given, who: Operator, _no_query: NoQuery) -> Response:
    """Leave out the next slots, whatever was wished before; `firstAffected` is the first of them, with 0 the next that runs."""
    wanted = validation.checked(SkipSlots, await body_of(request))
    wish = str(uuid4())
    return await _changed(ports, request, who, schedule_id, lambda s, now: changes.skipping(s, wanted.count, now, wish))


@router.delete(
    "/{schedule_id}",
    status_code=202,
    response_model=ScheduleDetail,
    responses={204: {"description": "It has gone."}, **told("not-found", "managed-by-velero", "precondition-failed")},
    openapi_extra={"parameters": [IF_MATCH, _PREFER]},
)
async def delete_schedule(
    schedule_id: str, request: Request, ports: Given, who: Operator, query: Annotated[DeletionQuery, Query()]
) -> Response:
    """Let a schedule go, and the backups that it made if its settings say so or `deleteBackups` does; for that be an admin.

    It fires no more. It stays, with what went wrong in `deleting.errors`, until all are gone or somebody asks again.
    """
    patience = submitting.preference(request, ports.settings.wait)

    def change(schedule: Schedule) -> Schedule:
        check_if_match(request, str(schedule.version))
        last, backups = schedule.deleting, query.delete_backups
        if backups is None:
            backups = last.delete_backups if last is not None else schedule.delete_backups_on_deletion
        if backups and not who.role.covers(Role.ADMIN):
            words = f"{who.name} is a {who.role}; to delete the backups of a schedule needs the role {Role.ADMIN}."
            raise ProblemError("forbidden", f"{words} `deleteBackups=false` leaves them.")
        return changes.deleted(schedule, who.name, ports.clock(), backups=backups)

    try:
        schedule = await keeping.rewrite(ports, schedule_id, change)
    except ProblemError as problem:
        if problem.slug == "not-found" and await keeping.has_been(ports, schedule_id):
            return Response(status_code=204)
        raise
    _log("schedule deleted", schedule, who)
    ports.departures.set()
    if await keeping.gone(ports, schedule, patience.seconds):
        return Response(status_code=204, headers=patience.headers)
    detail = await keeping.shown(ports, schedule, await keeping.row_of(ports, schedule_id))
    return model(detail, 202, {**keeping.etag(detail), **patience.headers})


def _check_size(ports: Ports, schedule: Schedule) -> None:
    """Return if messages can carry the triggers of a schedule.

    Raises the problem of one that is too large when all defaults are written out.
    """
    moment, template = schedule.created_at, schedule.template
    data = ScheduleTrigger(
        name=slot_backup_name(schedule.name, moment),
        labels=template.labels,
        scope=template.scope,
        spec=template.spec,
        environments=Environments(),
        schedule=Origin(id=schedule.id, name=schedule.name),
        slot=moment,
        due=moment,
        concurrency_policy=schedule.concurrency_policy,
        misfire=schedule.misfire,
    )
    submitting.command(
        ports,
        None,
        Principal(f"schedule/{schedule.name}", Role.OPERATOR),
        operation_id=slot_operation_id(schedule.id, moment),
        cluster=schedule.cluster,
        noun=Noun.SCHEDULE,
        verb="trigger",
        data=data,
        deadline=schedule.starting_deadline,
    )


async def _changed(
    ports: Ports, request: Request, who: Principal, schedule_id: str, change: Callable[[Schedule, datetime], Change]
) -> Response:
    """Change a schedule, and say what status makes of it and which slot is the first to go by it."""
    patience, made = submitting.preference(request, ports.settings.wait), list[Change]()

    def rewrite(schedule: Schedule) -> Schedule:
        check_if_match(request, str(schedule.version))
        if schedule.deleting is not None:
            raise ProblemError("schedule-deleting", f"Schedule {schedule.name} is being deleted.")
        made.append(change(schedule, ports.clock()))
        return made[-1].schedule

    schedule = await keeping.rewrite(ports, schedule_id, rewrite)
    stored = ports.clock()
    if made[-1].moved:
        _log("schedule changed", schedule, who)
    row = await keeping.settled(ports, schedule, patience.seconds)
    affected = await keeping.first_affected(ports, made[-1], stored)
    detail = (await keeping.shown(ports, schedule, row)).model_copy(update={"first_affected": affected})
    return model(detail, 200, {**keeping.etag(detail), **patience.headers})


def _log(event: str, schedule: Schedule, who: Principal) -> None:
    facts: dict[str, Any] = {logging.OBJECT: schedule.id, logging.CLUSTER: schedule.cluster, logging.PRINCIPAL: who.name}
    log.info(event, **facts)
