"""Carrying out a command exactly once, and saying so: `accepted` with the object that it made, or `rejected` with why not."""

import asyncio
import contextlib
import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import structlog

from services.executor.backups.choices import NotYet, Refused
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
from services.executor.ports import Ports
from services.executor.seeing.observations import observed
from shared.contracts import subjects
from shared.contracts.base import Wire
from shared.contracts.envelope import Envelope, type_name
from shared.contracts.events import Accepted, Finished, Rejected, Step
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

    @property
    def noun(self) -> Noun:
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


async def _nothing() -> None:
    """Undo nothing."""


async def carry_out(
    ports: Ports, command: Envelope[Any], task: Task[S], undo: Callable[[], Awaitable[None]] = _nothing
) -> None:
    """Carry out a command and say so; or say why not.

    Looks before it acts: into the record (answered before, even if the object is gone by now), then at the name (made
    before, but not reported; or taken by another). Only then does the deadline count: what is done is done, however late.
    `undo` removes what was made on the way to an object that is not made; it is called before that is said.
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
        made = _found(found) or await _make(ports, command, task, seen)
    except Done as done:
        await publish(ports, command, "finished", Finished(succeeded=True, detail=str(done)))
        return
    except (NotYet, Refused, KubeError) as error:
        no = end(ports, command, error)
        await undo()
        await refuse(ports, command, no)
        return
    await accept(ports, command, task.noun, made, _notices(task, seen))


def end(ports: Ports, command: Envelope[Any], error: NotYet | Refused | KubeError) -> Refusal:
    """Return the refusal in which an error ends a command.

    Raises Retry for one that may be over in a moment.
    """
    match error:
        case Refused():
            return error.refusal
        case NotYet():
            raise Retry(str(error), after=error.after) from error
        case GoneError() | InternalError():
            if late(ports, command):
                return deadline(ports, command)
            raise Retry(str(error)) from error
        case _:
            return _words(ports.cluster, error)


async def accept(ports: Ports, command: Envelope[Any], noun: Noun, made: Object, notices: list[Notice]) -> None:
    """Say that the object of a command is there."""
    body = observed(made, await ports.epoch.current())
    await publish(ports, command, "accepted", Accepted(noun=noun, object=body, notices=notices))
    facts = {logging.OPERATION: command.operationid, logging.CLUSTER: ports.cluster, logging.OBJECT: body.name}
    log.info("command accepted", **facts)


async def publish(ports: Ports, command: Envelope[Any], verb: str, data: Wire) -> None:
    """Say what becomes of a command; a step as often as it is told with other words."""
    operation = str(command.operationid)
    telling = f"/{data.step}/{hashlib.sha256(data.words.encode()).hexdigest()[:16]}" if isinstance(data, Step) else ""
    envelope = Envelope[Wire](
        id=f"{operation}/{verb}{telling}",
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
    if late(ports, command):
        raise Refused(_awaited(task, seen) or deadline(ports, command))
    surroundings = _result(seen)
    task.judge(surroundings)
    try:
        return await task.make(surroundings)
    except AlreadyExistsError:
        found = await task.find()
        if found is None:
            raise Retry("the name was taken and free again within a moment", after=0.2) from None
        return found
    except (GoneError, InternalError):
        if late(ports, command) and (found := await _find(task)) is not None:
            return found  # it was made nevertheless, and from now on nobody would look
        raise


async def _find(task: Task[S]) -> Object | None:
    try:
        return await task.find()
    except KubeError as error:
        return _found(error)


def _found(outcome: Object | BaseException | None) -> Object | None:
    """Return what a command has made, if it was found.

    Raises Retry while the API server fails at looking: what may be there is not refused.
    """
    if isinstance(outcome, (GoneError, InternalError)):
        raise Retry(str(outcome)) from outcome
    return _result(outcome)


def _notices(task: Task[S], seen: S | BaseException) -> list[Notice]:
    """Return what is to be known of what has been made; whatever would be refused by now was not when it was made."""
    if not isinstance(seen, BaseException):
        with contextlib.suppress(Refused, NotYet):
            return task.judge(seen)
    return []


def late(ports: Ports, command: Envelope[Any]) -> bool:
    """Tell whether the time has passed in which a command could begin."""
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


def deadline(ports: Ports, command: Envelope[Any]) -> Refusal:
    """Return what is said when that time has passed."""
    passed = command.expiresat.isoformat(timespec="seconds") if command.expiresat else ""
    return refusal(Code.DEADLINE_EXCEEDED, deadline=passed, cluster=ports.cluster)


async def refuse(ports: Ports, command: Envelope[Any], reason: Refusal) -> None:
    """Say why a command is not carried out."""
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
