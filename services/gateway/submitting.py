"""From a valid request to an outcome: publish once, wait for the cluster's answer, say what is known when time is up."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from fastapi import Request

from services.gateway import reading
from services.gateway.auth import Principal
from services.gateway.ports import Ports
from services.gateway.web.problems import FieldError, ProblemError, unavailable
from shared.contracts.base import Wire
from shared.contracts.catalogue import encode
from shared.contracts.durations import parse
from shared.contracts.envelope import Envelope, type_name
from shared.contracts.phases import OperationState
from shared.contracts.subjects import command as command_subject
from shared.contracts.views import OperationItem
from shared.messaging.outcomes import Unavailable
from shared.messaging.publisher import CommandTakenError
from shared.runtime import logging

log = structlog.get_logger(__name__)

MAX_WAIT = 60
MAX_COMMAND = 960 * 1024
"""Bytes of a command; NATS takes 1 MiB with headers. A small body can grow when its defaults are written out."""
_KEY = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?")
_TRACE = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_SOURCE = "/gateway"
_MILLISECOND = timedelta(milliseconds=1)
_STARTED = frozenset({OperationState.ACCEPTED, OperationState.SUCCEEDED, OperationState.FAILED})


@dataclass(frozen=True, slots=True)
class Preference:
    """How long the client will wait for an outcome (RFC 7240), and what of its wish is honoured."""

    seconds: float
    applied: str | None

    @property
    def headers(self) -> dict[str, str]:
        """The header that says so."""
        return {"Preference-Applied": self.applied} if self.applied else {}


def preference(request: Request, default: float) -> Preference:
    """Read `Prefer`: `respond-async` waits not at all, `wait=N` so many seconds; together they mean N. Others are ignored."""
    wishes = [wish.strip().lower() for line in request.headers.getlist("prefer") for wish in line.split(",")]
    for wish in wishes:
        name, _, value = wish.partition("=")
        number = value.strip().strip('"')
        if name.strip() == "wait" and number.isascii() and number.isdigit():
            seconds = min(int(number[:9]), MAX_WAIT)
            return Preference(seconds, f"wait={seconds}")
    return Preference(0, "respond-async") if "respond-async" in wishes else Preference(default, None)


def idempotency_key(request: Request) -> str | None:
    """Return the Idempotency-Key; None without one.

    Raises the problem of one that is empty, too long or not printable.
    """
    key = request.headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise ProblemError(
            "invalid-header",
            "The Idempotency-Key cannot be used.",
            errors=[{"header": "Idempotency-Key", "detail": "must have 1 to 255 printable ASCII characters"}],
        )
    return key


def command(
    ports: Ports,
    request: Request | None,
    who: Principal,
    *,
    operation_id: str,
    cluster: str,
    noun: str,
    verb: str,
    data: Wire,
    deadline: str,
) -> Envelope[Any]:
    """Put a command into its envelope; one without a request is the gateway's own doing on somebody's behalf.

    Raises the problem of one that no message can carry.
    """
    now, trace = ports.clock(), request.headers.get("traceparent", "") if request is not None else ""
    # Whole milliseconds, as messages keep them: the patience of a stored command can then be read from its times.
    patience = max(parse(deadline) // _MILLISECOND, 1) * _MILLISECOND
    envelope = Envelope[Wire](
        id=operation_id,
        source=_SOURCE,
        type=type_name(noun, verb),
        time=now,
        cluster=cluster,
        operationid=operation_id,
        principal=who.name,
        expiresat=now + patience,
        traceparent=trace if _TRACE.fullmatch(trace) else None,
        data=data,
    )
    size = len(encode(envelope))
    if size > MAX_COMMAND:
        raise ProblemError("body-too-large", f"Written out, the request has {size} bytes; a command may have {MAX_COMMAND}.")
    return envelope


@dataclass(frozen=True, slots=True)
class Submitted:
    """A command that the stream holds. `fresh`: stored by this very request, so that nothing can have become of it unseen."""

    command: Envelope[Any]
    fresh: bool


async def recall(ports: Ports, wanted: Envelope[Any]) -> Submitted | None:
    """Return the command that an earlier request with the same key has stored; None if there is none.

    Raises the problems of a key that was used for something else, and of a stream that does not answer.
    """
    return await _recall(ports, str(wanted.operationid), _asked(wanted))


async def recall_request(ports: Ports, operation_id: str, noun: str, verb: str, digest: str) -> Submitted | None:
    """Return the command that an earlier, equal request has stored, by the request's digest, which stands in the command.

    So a request is known again before anything is looked up for it. Raises as `recall` does.
    """
    return await _recall(ports, operation_id, (type_name(noun, verb), digest))


async def _recall(ports: Ports, operation_id: str, asked: tuple[Any, ...]) -> Submitted | None:
    try:
        stored = await ports.bus.command(operation_id)
    except Unavailable as away:
        raise _unknown(operation_id, away) from away
    return None if stored is None else _same(stored, asked)


async def publish(ports: Ports, wanted: Envelope[Any]) -> Submitted:
    """Store the command and return it, or the equal one that was stored before.

    Raises as `recall` does.
    """
    operation_id = str(wanted.operationid)
    noun, verb = wanted.type.split(".")[2:4]
    try:
        await ports.bus.publish_command(command_subject(wanted.cluster, noun, verb, operation_id), wanted)
    except CommandTakenError as taken:
        return _same(taken.stored, _asked(wanted))
    except Unavailable as away:
        raise _unknown(operation_id, away) from away
    log.info(
        "command stored",
        **{
            logging.OPERATION: operation_id,
            logging.CLUSTER: wanted.cluster,
            logging.KIND: wanted.type,
            logging.PRINCIPAL: wanted.principal,
        },
    )
    return Submitted(wanted, fresh=True)


_OURS = {"environments", "backup", "restore", "ids", "expected"}
"""What a command carries that no request says, and that may have changed between two tries of one."""
_SEALED = "credential"
"""What no two tries carry alike, because a box is sealed anew each time: of it only counts that it is there."""
_FROM_SCHEDULE = {"name", "schedule"}
"""What a request for a backup from a schedule says; the rest is the schedule's, and may have changed as well."""


def _asked(command: Envelope[Any]) -> tuple[Any, ...]:
    """Return what was asked for and how patiently, but not when; by the digest of the request, where the command has one."""
    fields = command.data.wire()
    if fields.get("request"):
        return command.type, fields["request"]
    patience = None if command.expiresat is None else command.expiresat - command.time
    told = _FROM_SCHEDULE if fields.get("schedule") else fields.keys() - _OURS
    said = {field: fields[field] is not None if field == _SEALED else fields[field] for field in told}
    return command.type, command.cluster, said, patience


def _same(stored: Envelope[Any], asked: tuple[Any, ...]) -> Submitted:
    if _asked(stored) != asked:
        raise ProblemError(
            "idempotency-key-reused",
            "The Idempotency-Key stands for another request.",
            errors=[{"header": "Idempotency-Key", "detail": "was used for another request"}],
            operationId=stored.operationid,
        )
    return Submitted(stored, fresh=False)


def _unknown(operation_id: str, away: Unavailable) -> ProblemError:
    return ProblemError(
        "outcome-unknown",
        f"{away.dependency} did not confirm the command of operation {operation_id}: {away.reason}",
        headers={"Retry-After": "2"},
        operationId=operation_id,
        dependency=away.dependency,
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known of an operation, and the row of what it is about, once both are there."""

    operation: OperationItem
    row: dict[str, Any] | None = None


RowOf = Callable[[], Awaitable[dict[str, Any] | None]]
"""Reads the row of what an operation is about; None while there is none."""


def made(found: Outcome) -> bool:
    """Tell whether what an operation makes can be shown, or never will be."""
    if found.operation.state in _STARTED:
        return found.row is not None
    return found.operation.state is not OperationState.QUEUED


def ended(found: Outcome) -> bool:
    """Tell whether the operation has come to its end."""
    return found.operation.state not in {OperationState.QUEUED, OperationState.ACCEPTED}


def unseen(submitted: Submitted) -> Outcome:
    """Return what is known of a command of which nothing has been seen yet but that it is stored."""
    return Outcome(reading.queued(submitted.command))


async def outcome(
    ports: Ports,
    submitted: Submitted,
    woken: asyncio.Event,
    seconds: float,
    *,
    row_of: RowOf,
    settled: Callable[[Outcome], bool] = made,
) -> Outcome:
    """Wait until the operation is settled or the time is up, and return what the projections say then.

    `row_of` reads the row of what it is about, once the cluster has answered.
    Without the database there is nothing to wait for: a command that was just stored is queued, and more is not known.
    Raises the problem of one that was stored earlier, because anything may have become of it.
    """
    try:
        return await _settled(ports, submitted, woken, seconds, settled, row_of)
    except Unavailable as away:
        if submitted.fresh:
            return unseen(submitted)
        raise unavailable(away.dependency, away.reason, operationId=submitted.command.operationid) from away


async def _settled(
    ports: Ports,
    submitted: Submitted,
    woken: asyncio.Event,
    seconds: float,
    settled: Callable[[Outcome], bool],
    row_of: RowOf,
) -> Outcome:
    try:
        async with asyncio.timeout(seconds or None) as patience:
            while seconds:
                woken.clear()
                found = await _look(ports, submitted, row_of)
                if settled(found):
                    return found
                await woken.wait()
    except TimeoutError:
        if not patience.expired():
            raise
    return await _look(ports, submitted, row_of)


async def _look(ports: Ports, submitted: Submitted, row_of: RowOf) -> Outcome:
    operation_id = str(submitted.command.operationid)
    found = await ports.store.operation(operation_id)
    if found is None:
        return unseen(submitted)
    try:
        operation = reading.view(OperationItem, found.get("item"))
    except reading.UnreadableError as error:
        if not submitted.fresh:
            raise ProblemError(
                "unreadable-document",
                f"The record of operation {operation_id} cannot be read: {error}",
                operationId=operation_id,
            ) from error
        log.warning("operation unreadable", **{logging.OPERATION: operation_id, logging.REASON: str(error)})
        return unseen(submitted)
    started = operation.state in _STARTED
    return Outcome(operation, await row_of() if started else None)


def refused(operation: OperationItem) -> ProblemError:
    """Return a cluster's refusal as a problem, with the field that it blames."""
    refusal = operation.refusal
    if refusal is None:
        return ProblemError("refused", f"Cluster {operation.cluster} refused without a reason.", operationId=operation.id)
    errors: list[FieldError] = [{"pointer": refusal.pointer, "detail": refusal.detail}]
    return ProblemError(
        "refused", refusal.detail, errors=errors, status=refusal.status, code=refusal.code, operationId=operation.id
    )
