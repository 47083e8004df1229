"""Deleting backups, or restores: one and waiting for it, or many at once. What a row says against it is told before."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from fastapi import Request
from starlette.responses import Response

from services.gateway import outcomes, submitting, validation
from services.gateway.auth import Principal
from services.gateway.details import Detail, Document, Item, Kind
from services.gateway.ports import Ports, body_of
from services.gateway.schemas import DEFAULT_DEADLINE, DeleteMany, DeletionAnswer, DeletionAnswers, ProblemDocument
from services.gateway.web.answers import model
from services.gateway.web.problems import ProblemError
from shared.contracts.commands import BackupDelete, RestoreDelete
from shared.contracts.envelope import Envelope
from shared.contracts.ids import operation_id
from shared.contracts.phases import OperationState
from shared.contracts.refusals import Refusal
from shared.contracts.views import OperationItem

_AT_ONCE = 20
"""Commands of one request that are stored at the same time."""
_FAULT = 500


@dataclass(frozen=True, slots=True)
class Deletions(Generic[Item, Detail]):
    """What differs between deleting backups and deleting restores.

    `form` is the body of the request for many, `path` the address below which they stand. `data` makes what a command says of
    an id, a name and former ids. `objection` returns what a row says against the deletion, `shown` what is answered of one
    that has gone, `failed` the problem of one that its cluster took on and did not do.
    """

    kind: Kind[Item, Detail]
    form: type[DeleteMany]
    path: str
    data: Callable[[str, str, list[str]], BackupDelete | RestoreDelete]
    objection: Callable[[Document], Refusal | None]
    shown: Callable[[Ports, Document], Awaitable[Detail]]
    failed: Callable[[Ports, submitting.Outcome], Awaitable[ProblemError]]

    async def one(self, ports: Ports, request: Request, who: Principal, row_id: str) -> Response:
        """Answer `DELETE`: 200 when it is gone in time, 202 with the operation if not."""
        key, patience = submitting.idempotency_key(request), submitting.preference(request, ports.settings.wait)
        row = await self.kind.row_of(ports, row_id)
        operation = operation_id(who.name, "DELETE", f"{self.path}/{row_id}", key)
        wanted = self.command(ports, request, who, operation, row, DEFAULT_DEADLINE)
        with ports.feed.waiting(operation) as woken:
            stored = await self._stored(ports, wanted, row, repeated=key is not None)
            row_of = functools.partial(ports.store.row, self.kind.collection, str(row["_id"]))
            found = await submitting.outcome(ports, stored, woken, patience.seconds, row_of=row_of, settled=submitting.ended)
        return await self._answer(ports, found, patience)

    async def many(self, ports: Ports, request: Request, who: Principal) -> Response:
        """Answer `POST …/delete`, waiting for nothing: each has an operation, or the problem that it would have met alone.

        An Idempotency-Key counts for each of them by itself. Raises a problem of our own making that all have met.
        """
        key = submitting.idempotency_key(request)
        wanted = validation.checked(self.form, await body_of(request))
        rows = await ports.store.rows(self.kind.collection, wanted.ids)

        async def each(row_id: str) -> OperationItem:
            if row_id not in rows:
                raise self.kind.unknown(row_id)
            operation = operation_id(who.name, "POST", f"{self.path}/delete/{row_id}", key)
            asked = self.command(ports, request, who, operation, rows[row_id], wanted.deadline)
            stored = await self._stored(ports, asked, rows[row_id], repeated=key is not None)
            if stored.fresh:
                return submitting.unseen(stored).operation
            return (await submitting.outcome(ports, stored, asyncio.Event(), 0, row_of=_nothing)).operation

        return await _answers(wanted.ids, each)

    def command(
        self, ports: Ports, request: Request | None, who: Principal, operation: str, row: Document, deadline: str
    ) -> Envelope[Any]:
        """Return the command that has one deleted.

        Raises the problem of a row that this version cannot read.
        """
        item = self.kind.item_of(row)
        known_as, *others = self.kind.ids_of(row)
        return submitting.command(
            ports,
            request,
            who,
            operation_id=operation,
            cluster=item.cluster,
            noun=self.kind.noun,
            verb="delete",
            data=self.data(known_as, item.name, others),
            deadline=deadline,
        )

    async def _stored(self, ports: Ports, wanted: Envelope[Any], row: Document, *, repeated: bool) -> submitting.Submitted:
        """Store a command, unless an earlier request did; what is known against it counts for a new one only."""
        stored = await submitting.recall(ports, wanted) if repeated else None
        if stored is not None:
            return stored
        no = self.objection(row)
        if no is not None:
            raise ProblemError("refused", no.detail, status=no.status, code=no.code)
        return await submitting.publish(ports, wanted)

    async def _answer(self, ports: Ports, found: submitting.Outcome, patience: submitting.Preference) -> Response:
        operation = found.operation
        if operation.state is OperationState.REJECTED:
            raise submitting.refused(operation)
        if operation.state is OperationState.FAILED:
            raise await self.failed(ports, found)
        if operation.state is OperationState.SUCCEEDED and found.row is not None:
            gone = await outcomes.shown(self.kind, operation, self.shown(ports, found.row))
            if gone is not None:
                return model(gone, 200, patience.headers)
        return outcomes.stored(operation, patience)


async def _nothing() -> None:
    """Stand for a row that nobody will look at."""


async def _answers(ids: Sequence[str], each: Callable[[str], Awaitable[OperationItem]]) -> Response:
    """Ask for each of many, a few at a time; a problem is an answer, unless all are of our own making."""
    turn = asyncio.Semaphore(_AT_ONCE)

    async def answer(row_id: str) -> OperationItem | ProblemError:
        async with turn:
            try:
                return await each(row_id)
            except ProblemError as problem:
                return problem

    answers = await asyncio.gather(*map(answer, ids))
    faults = [answer for answer in answers if isinstance(answer, ProblemError) and answer.status >= _FAULT]
    if len(faults) == len(answers):
        raise faults[0]
    return model(DeletionAnswers(items=[_item(*pair) for pair in zip(ids, answers, strict=True)]), 202)


def _item(row_id: str, answer: OperationItem | ProblemError) -> DeletionAnswer:
    if isinstance(answer, ProblemError):
        return DeletionAnswer(id=row_id, problem=ProblemDocument.read(answer.document()))
    return DeletionAnswer(id=row_id, operation=answer)
