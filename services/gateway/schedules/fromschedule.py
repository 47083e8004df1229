"""A backup now from the template of a schedule: like any that a person asks for, but for where its form comes from."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from services.gateway import submitting, validation
from services.gateway.backups import creating
from services.gateway.ports import API, Given, NoQuery, Operator, body_of
from services.gateway.schedules import keeping
from services.gateway.schemas import BackupFromSchedule, CreateBackup
from services.gateway.web.described import BODY, COMMAND_HEADERS, queued, takes, told
from services.gateway.web.problems import ProblemError
from shared.contracts.commands import Origin
from shared.contracts.ids import operation_id
from shared.contracts.views import BackupDetail

router = APIRouter(prefix=f"{API}/schedules", tags=["schedules"])


@router.post(
    "/{schedule_id}/backups",
    status_code=201,
    response_model=BackupDetail,
    responses={
        **queued("The command is stored; the cluster has not answered yet."),
        **told(*BODY, "refused", "not-found", "schedule-deleting", "managed-by-velero"),
    },
    openapi_extra=takes("BackupFromSchedule", parameters=COMMAND_HEADERS),
)
async def create_backup(schedule_id: str, request: Request, ports: Given, who: Operator, _no_query: NoQuery) -> Response:
    """Ask for a backup from a schedule's template, also while it is paused: 201 when the cluster confirmed in time.

    A refusal that blames something of the template names it as `POST /backups` would.
    """
    key = submitting.idempotency_key(request)
    wanted = validation.checked(BackupFromSchedule, await body_of(request))
    schedule = await keeping.wanted_of(ports, schedule_id)
    if schedule.deleting is not None:
        raise ProblemError("schedule-deleting", f"Schedule {schedule.name} is being deleted.")
    template = schedule.template
    backup = CreateBackup(
        name=wanted.name,
        cluster=schedule.cluster,
        labels=template.labels,
        scope=template.scope,
        spec=template.spec,
        deadline=wanted.deadline,
    )
    operation = operation_id(who.name, "POST", f"{router.prefix}/{schedule_id}/backups", key)
    return await creating.ask(ports, request, who, backup, operation, Origin(id=schedule.id, name=schedule.name))
