"""Carrying out a command exactly once, and saying so: `accepted` with the object that it made, or `rejected` with why not."""

import asyncio
import contextlib
import re
from typing import Any, ClassVar, Protocol, TypeVar

import structlog

from services.executor.choices import NotYet, Refused
from services.executor.kube import (
    AlreadyExistsError,
    ForbiddenError,
    GoneError,
    InternalError,
    InvalidError,
    Kind,
    Kube,
    KubeError,
    NotFoundError,
    Object,
)
from services.executor.observations import observed
from services.executor.ports import Ports
from shared.contracts import subjects
from shared.contracts.base import Wire
from shared.contracts.envelope import Envelope, type_name
from shared.contracts.events import Accepted, Finished, Rejected
from shared.contracts.names import Noun
from shared.contracts.notices import Notice
from shared.contracts.refusals import Code, Refusal, refusal
from shared.messaging.outcomes import Retry
from shared.runtime import logging

log = structlog.get_logger(__name__)

T = TypeVar("T")
S = TypeVar("S")

_UNKNOWN_FIELD = re.compile(r'unknown field "spec\.([^"]+)"')


class Done(Exception):  # noqa: N818 - an outcome
    """The command was carried out before, to its end: there is no object left to show."""


class Task(Protocol[S]):
    """One command. Every part may be called any number of times, and makes one object in all."""

    noun: ClassVar[Noun]
    """What its object is called."""

    async def find(self) -> Object | None:
        """Return the object that this command has already made.

        Raises Refused when its name belongs to another, Done when it has been and gone.
        """

    async def look(self) -> S:
        """Return what the command is judged by."""

    def judge(self, seen: S) -> list[Notice]:
        """Return what a person should know although it can be done.

        Raises Refused, or NotYet when the cluster may be ready soon.
        """

    async def make(self, seen: S) -> Object:
        """Make the object; it has been judged."""


async def carry_out(ports: Ports, command: Envelope[Any], task: Task[S]) -> None:
    """Carry out a command and say so; or say why not.

    Looks before it acts: into the record (answered before, even if the object is gone by now), then at the name (made
    before, but not reported; or taken by another). Only then does the deadline count: what is done is done, however late.
    """
    operation = str(command.operationid)
    # Asked all at once, judged in order: what failed counts only if it comes to that.
    answer, found, seen = await asyncio.gather(
        ports.record.answer(ports.cluster, operation), task.find(), task.look(), return_exceptions=True
    )
    if _result(answer):
        log.info("command was answered before", **{logging.OPERATION: operation, logging.CLUSTER: ports.cluster})
        return
    try:
        made = _result(found) or await _make(ports, command, task, seen)
    except Done as done:
        await publish(ports, command, "finished", Finished(succeeded=True, detail=str(done)))
        return
    except NotYet as wait:
        raise Retry(str(wait), after=wait.after) from wait
    except (GoneError, InternalError) as passing:
        if _late(ports, command):
            await _refuse(ports, command, _deadline(ports, command))
            return
        raise Retry(str(passing)) from passing
    except Refused as no:
        await _refuse(ports, command, no.refusal)
        return
    except KubeError as no:
        await _refuse(ports, command, _words(ports.cluster, no))
        return
    body = observed(made, await ports.epoch.current())
    await publish(ports, command, "accepted", Accepted(noun=task.noun, object=body, notices=_notices(task, seen)))
    log.info("command accepted", **{logging.OPERATION: operation, logging.CLUSTER: ports.cluster, logging.OBJECT: body.name})


async def publish(ports: Ports, command: Envelope[Any], verb: str, data: Wire) -> None:
    """Say what becomes of a command."""
    operation = str(command.operationid)
    envelope = Envelope[Wire](
        id=f"{operation}/{verb}",
        source=f"/clusters/{ports.cluster}/executor",
        type=type_name(Noun.OPERATION, verb),
        time=ports.clock(),
        cluster=ports.cluster,
        operationid=operation,
        principal=command.principal,
        traceparent=command.traceparent,
        data=data,
    )
    await ports.publisher.publish(subjects.operation(ports.cluster, verb, operation), envelope)


async def if_there(kube: Kube, kind: Kind, name: str) -> Object | None:
    """Return an object, or None."""
    try:
        return await kube.get(kind, name)
    except NotFoundError:
        return None


def _result(outcome: T | BaseException) -> T:
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


async def _make(ports: Ports, command: Envelope[Any], task: Task[S], seen: S | BaseException) -> Object:
    if _late(ports, command):
        raise Refused(_awaited(task, seen) or _deadline(ports, command))
    surroundings = _result(seen)
    task.judge(surroundings)
    try:
        return await task.make(surroundings)
    except AlreadyExistsError:
        found = await task.find()
        if found is None:
            raise Retry("the name was taken and free again within a moment", after=0.2) from None
        return found


def _notices(task: Task[S], seen: S | BaseException) -> list[Notice]:
    """Return what is to be known of what has been made; whatever would be refused by now was not when it was made."""
    if not isinstance(seen, BaseException):
        with contextlib.suppress(Refused, NotYet):
            return task.judge(seen)
    return []


def _late(ports: Ports, command: Envelope[Any]) -> bool:
    return command.expiresat is not None and ports.clock() > command.expiresat


def _awaited(task: Task[S], seen: S | BaseException) -> Refusal | None:
    """Return what is still being waited for, if that says more than that it is too late."""
    if not isinstance(seen, BaseException):
        try:
            task.judge(seen)
        except NotYet as wait:
            return wait.instead
        except Refused:
            return None
    return None


def _deadline(ports: Ports, command: Envelope[Any]) -> Refusal:
    deadline = command.expiresat.isoformat(timespec="seconds") if command.expiresat else ""
    return refusal(Code.DEADLINE_EXCEEDED, deadline=deadline, cluster=ports.cluster)


async def _refuse(ports: Ports, command: Envelope[Any], reason: Refusal) -> None:
    await publish(ports, command, "rejected", Rejected(refusal=reason))
    log.info("command refused", **{logging.OPERATION: command.operationid, logging.REASON: reason.code})


def _words(cluster: str, no: KubeError) -> Refusal:
    match no:
        case ForbiddenError():
            return refusal(Code.FORBIDDEN_IN_CLUSTER, cluster=cluster, message=no)
        case NotFoundError():
            return refusal(Code.VELERO_MISSING, cluster=cluster)
        case InvalidError() if fields := _UNKNOWN_FIELD.findall(str(no)):
            pointer = "/spec/" + re.sub(r"\[(\d+)\]", r"/\1", fields[0]).replace(".", "/")
            return refusal(Code.FIELD_UNSUPPORTED, pointer=pointer, cluster=cluster, field=", ".join(fields))
        case _:
            return refusal(Code.REFUSED_BY_CLUSTER, cluster=cluster, message=no)
