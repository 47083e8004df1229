"""Asking for a restore: `POST /restores`, and what it would meet: `POST /restores/preflight`.

Both look the same things up and judge them alike; only that a Blocker refuses the one, and is an answer to the other.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import Response

from services.gateway import details, outcomes, submitting, validation
from services.gateway.auth import Principal, Role
from services.gateway.locations import forms as locationforms
from services.gateway.locations.sealed import sealed_for
from services.gateway.locations.sealing import UnfitError, credential_text
from services.gateway.ports import API, Given, NoQuery, Operator, Ports, Viewer, body_of
from services.gateway.restores import looking, mirrors, preflight, rules, sourcing, surveys
from services.gateway.restores.forms import CreateRestore, RestorePreflight
from services.gateway.restores.preflight import Known
from services.gateway.restores.sourcing import Sourced
from services.gateway.validation import field_error
from services.gateway.web.answers import model, problem_of
from services.gateway.web.described import BODY, COMMAND_HEADERS, queued, takes, told
from services.gateway.web.problems import FieldError, ProblemError, escape
from shared.contracts.commands import RestoreCreate, Source
from shared.contracts.documents import Collection
from shared.contracts.findings import Finding, FindingCode, Severity
from shared.contracts.ids import operation_id
from shared.contracts.locationspec import StorageLocationSpec
from shared.contracts.names import Noun
from shared.contracts.refusals import RULES, Code
from shared.contracts.views import RestoreDetail

router = APIRouter(prefix=f"{API}/restores", tags=["restores"])

_REFUSED: Final[Mapping[str, tuple[Code, str]]] = {
    FindingCode.BACKUP_NOT_RESTORABLE: (Code.BACKUP_NOT_RESTORABLE, "/backup"),
    FindingCode.LOCATION_UNKNOWN: (Code.LOCATION_UNKNOWN, "/backup"),
    FindingCode.LOCATION_UNAVAILABLE: (Code.LOCATION_UNAVAILABLE, "/backup"),
    FindingCode.NAME_TAKEN: (Code.RESTORE_NAME_TAKEN, "/name"),
    FindingCode.NAMESPACE_NOT_IN_BACKUP: (Code.NAMESPACE_NOT_IN_BACKUP, "/spec"),
    FindingCode.NAMESPACE_BUSY: (Code.RESTORE_OVERLAP, "/spec"),
    FindingCode.NOTHING_MATCHES: (Code.NOTHING_MATCHES, "/spec"),
    FindingCode.MODIFIERS_UNKNOWN: (Code.MODIFIERS_UNKNOWN, "/spec/resourceModifier/name"),
}
"""What a Blocker is refused with, and the field at fault."""
_SOURCE = "/backup"
_CONFLICT = 409


@router.post(
    "",
    status_code=201,
    response_model=RestoreDetail,
    responses={
        **queued("The command is stored; the cluster has not answered yet, or has steps to go."),
        **told(*BODY, "refused", _CONFLICT, "sealing-key-unknown"),
    },
    openapi_extra=takes("CreateRestore", parameters=COMMAND_HEADERS),
)
async def create_restore(request: Request, ports: Given, who: Operator, _no_query: NoQuery) -> Response:
    """Bring a backup back: 201 when the cluster confirmed in time, 202 with the operation if not.

    Into another cluster there are steps to go first; the operation tells of each. What the pre-flight finds against it refuses
    it, the rest goes along with the restore.
    """
    key, patience = submitting.idempotency_key(request), submitting.preference(request, ports.settings.wait)
    wanted = _read(await body_of(request))
    operation = operation_id(who.name, "POST", router.prefix, key)
    with ports.feed.waiting(operation) as woken:
        stored = None
        if key is not None:
            stored = await submitting.recall_request(ports, operation, Noun.RESTORE, "create", wanted.digest())
        if stored is None:
            now = ports.clock()
            judged = await _judged(ports, who.name, wanted, now, ports.settings.preflight.before, operation)
            _check_may_steer(who, wanted, judged.source.known)
            if preflight.is_blocked(judged.findings):
                raise _blocked(judged.findings, "/schedule" if wanted.schedule else _SOURCE)
            asked = submitting.command(
                ports,
                request,
                who,
                operation_id=operation,
                cluster=judged.source.known.target,
                noun=Noun.RESTORE,
                verb="create",
                data=await _command(ports, wanted, judged),
                deadline=wanted.deadline,
            )
            stored = await submitting.publish(ports, asked)
        row_of = functools.partial(ports.store.row, Collection.RESTORES, operation)
        found = await submitting.outcome(ports, stored, woken, patience.seconds, row_of=row_of)
    return await outcomes.created(details.RESTORES, router.prefix, found, patience, lambda row: looking.detail_of(ports, row))


@router.post(
    "/preflight",
    response_model=RestorePreflight,
    responses=told(*BODY, "refused", _CONFLICT),
    openapi_extra=takes("CreateRestore"),
)
async def preflight_restore(request: Request, ports: Given, who: Viewer, _no_query: NoQuery) -> Response:
    """Say what a restore would meet, by all that both clusters can tell within seconds. Nothing is made."""
    wanted = _read(await body_of(request))
    now = ports.clock()
    seconds, nobody = ports.settings.preflight.alone, operation_id(who.name, "POST", router.prefix, None)
    findings = (await _judged(ports, who.name, wanted, now, seconds, nobody)).findings
    return model(RestorePreflight(findings=findings, blocked=preflight.is_blocked(findings), as_of=now))


def _read(body: bytes) -> CreateRestore:
    try:
        return validation.checked(CreateRestore, body, rules.PARTS)
    except (validation.NotJsonError, validation.InvalidRequestError) as error:
        raise problem_of(error) from None  # a body may hold a credential: nothing of it goes along with the problem


@dataclass(frozen=True, slots=True)
class Judged:
    """What a request comes to, how the target reads the backup if that is another cluster's, and all findings."""

    source: Sourced
    mirror: StorageLocationSpec | None
    findings: list[Finding]


async def _judged(ports: Ports, who: str, wanted: CreateRestore, now: datetime, seconds: float, operation: str) -> Judged:
    """Look everything up, and judge it.

    Raises the problems of what the request names and nobody knows, and of what it says of the storage.
    """
    source = await sourcing.sourced(ports, wanted, now, operation)
    mirror = _mirror(wanted, source.known)
    known = await surveys.looked(ports, who, source, seconds)
    return Judged(source, mirror, preflight.judge(known))


def _mirror(wanted: CreateRestore, known: Known) -> StorageLocationSpec | None:
    """Return the location through which another cluster reads the backup; None within its own, and while nobody knows where.

    Raises the problem of what is said of the storage and does not fit.
    """
    if not known.crosses:
        for name in ("credential", "storage"):
            if getattr(wanted, name) is not None:
                raise _unfit(f"/{name}", f"is only for a backup of another cluster; this one is of {known.target} itself")
    if not known.crosses or known.origin is None:
        return None
    said = {name: value for name, value in wanted.storage.config.items() if value is not None} if wanted.storage else {}
    if errors := list(locationforms.override_errors(known.origin.provider or "", said, "/storage/config")):
        raise problem_of(validation.InvalidRequestError(errors))
    try:
        mirror = mirrors.mirror(known.origin, wanted.storage)
        if wanted.credential is not None:
            credential_text(mirror.provider, wanted.credential, mirror.config)
    except ValidationError as error:
        detail = field_error(error.errors(include_url=False, include_input=False)[0])["detail"]
        raise _unfit("/storage", f"makes no storage location for cluster {known.target}: {detail}") from None
    except UnfitError as unfit:
        raise _unfit("/storage/config" if unfit.pointer.endswith("/config") else unfit.pointer, unfit.detail) from None
    return mirror


def _check_may_steer(who: Principal, wanted: CreateRestore, known: Known) -> None:
    """Return if the target's own credential is only shown to whom somebody with that right has chosen.

    Raises the problem of a request that would send it elsewhere.
    """
    if wanted.credential is not None or known.origin is None or who.role.covers(Role.ADMIN):
        return
    if steered := mirrors.steered(known.origin, wanted.storage):
        words = (
            f"Without a credential in the request, Velero of cluster {known.target} shows its own to whatever "
            f"{', '.join(steered)} leads to: that needs the role {Role.ADMIN}, and {who.name} is a {who.role}. "
            "Give a credential, or let an admin make a storage location for it."
        )
        at = [FieldError(pointer=f"/storage/config/{escape(name)}", detail="needs a credential beside it") for name in steered]
        raise ProblemError("forbidden", words, errors=at)


def _unfit(pointer: str, detail: str) -> ProblemError:
    return ProblemError("invalid-request", f"{pointer[1:]} {detail}", errors=[{"pointer": pointer, "detail": detail}])


def _blocked(findings: Sequence[Finding], source: str) -> ProblemError:
    """Return the problem of a restore that would be refused, or come to nothing; `source` names the backup in the request."""
    blockers = [found for found in findings if found.severity is Severity.BLOCKER]
    errors: list[FieldError] = []
    for found in blockers:
        pointer = _REFUSED[found.code][1]
        objects = f" ({', '.join(found.objects)})" if found.objects else ""
        errors.append({"pointer": source if pointer == _SOURCE else pointer, "detail": f"{found.message}{objects}"})
    code, pointer = _REFUSED[blockers[0].code]
    # Where a backup lies is not said in the request, as the rules of its codes have it.
    status = _CONFLICT if pointer == _SOURCE else RULES[code].status
    return ProblemError("refused", errors[0]["detail"], errors=errors, status=status, code=code)


# ---------------------------------------------------------------------- the command


async def _command(ports: Ports, wanted: CreateRestore, judged: Judged) -> RestoreCreate:
    """Return what the target is asked to do.

    Raises the problem of a cluster to whose key no credential can be sealed.
    """
    known, mirror = judged.source.known, judged.mirror
    backup, *others = judged.source.ids
    return RestoreCreate(
        name=known.name,
        labels=wanted.labels,
        source=Source(
            id=backup,
            ids=others,
            name=known.backup.name,
            cluster=known.backup.cluster,
            started_at=known.backup.started_at,
        ),
        spec=wanted.spec,
        modifiers=wanted.resource_modifiers,
        schedule=judged.source.schedule,
        mirror=mirror,
        storage_given=known.storage_told,
        credential=await sealed_for(ports, known.target, mirror.provider, wanted.credential, mirror.config) if mirror else None,
        findings=judged.findings,
        request=wanted.digest(),
    )
