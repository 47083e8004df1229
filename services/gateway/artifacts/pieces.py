"""An artifact of a backup or a restore, piece by piece: from its cluster through the executor, or from the copy that was kept.

The next piece is asked for when the last one has been taken, so that memory stays small however much there is.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import structlog

from services.gateway import asking, details
from services.gateway.ports import Ports
from services.gateway.web.problems import ProblemError
from services.gateway.web.streaming import BrokenOffError
from shared.contracts import subjects
from shared.contracts.artifacts import MAX_CHUNK, Artifact, ArtifactRead, ArtifactReply, Chunk, Trouble
from shared.contracts.documents import whole_capture
from shared.messaging.connection import NATS
from shared.messaging.outcomes import Unavailable
from shared.runtime import logging

log = structlog.get_logger(__name__)

_PROBLEMS = {
    Trouble.NOT_THERE: "artifact-missing",
    Trouble.CHANGED: "artifact-changed",
    Trouble.VELERO_SILENT: "cluster-silent",
    Trouble.UNREACHABLE: "storage-unreachable",
    Trouble.FORBIDDEN: "storage-forbidden",
}
_GONE = {"backup": "backup-gone", "restore": "restore-gone"}
_PASSING = frozenset({Trouble.VELERO_SILENT, Trouble.UNREACHABLE})
"""What may be better in a moment."""
Kind = details.Kind[Any, Any]


class TroubleError(Exception):
    """There is no piece; the words are for people."""

    def __init__(self, trouble: Trouble, detail: str, noun: str = "backup") -> None:
        super().__init__(detail)
        self.trouble = trouble
        self.detail = detail
        self.noun = noun

    def problem(self) -> ProblemError:
        """Return it as a request is answered with."""
        return ProblemError(_PROBLEMS.get(self.trouble) or _GONE[self.noun], self.detail, code=self.trouble)


@dataclass(frozen=True, slots=True)
class Remote:
    """An artifact where it lies. `agent`: the executor that is asked for it runs inside the cluster."""

    ports: Ports
    principal: str
    kind: Kind
    cluster: str
    name: str
    ids: list[str]
    artifact: Artifact
    agent: bool

    async def piece(self, offset: int = 0, limit: int = MAX_CHUNK, etag: str | None = None) -> Chunk:
        """Return a piece.

        Raises TroubleError; Unavailable when there is no connection to ask through.
        """
        wanted = ArtifactRead(
            of=self.kind.noun,
            name=self.name,
            ids=self.ids,
            artifact=self.artifact,
            offset=offset,
            limit=min(limit, MAX_CHUNK),
            etag=etag,
        )
        subject, patience = subjects.artifact(self.cluster, agent=self.agent), self.ports.settings.reads.timeout
        try:
            reply = await asking.ask(
                self.ports, self.principal, self.cluster, subject, ("artifact", "read"), wanted, ArtifactReply, patience
            )
        except Unavailable as away:
            if away.dependency == NATS:
                raise
            raise TroubleError(Trouble.VELERO_SILENT, f"The {away.dependency} {away.reason}.") from away
        if reply.chunk is None:
            words = reply.detail or "The executor gives no reason."
            raise TroubleError(reply.trouble or Trouble.VELERO_SILENT, words, self.kind.noun)
        _check(reply.chunk, wanted)
        return reply.chunk

    async def pieces(self, first: Chunk, end: int) -> AsyncIterator[bytes]:
        """Give what a first piece begins, up to `end`.

        Raises BrokenOffError when the rest cannot be had.
        """
        data, at, etag, total = first.data[: end - first.offset], first.offset, first.etag, first.total
        while True:
            yield data
            at += len(data)
            if at >= end:
                return
            chunk = await self._again(at, min(MAX_CHUNK, end - at), etag)
            if chunk.total != total:
                raise BrokenOffError(f"{self.artifact} of {self.name} had {total} bytes, and has {chunk.total}")
            data = chunk.data

    async def _again(self, offset: int, limit: int, etag: str) -> Chunk:
        """Return a piece, asking more than once for one that may come in a moment."""
        for tries_left in reversed(range(self.ports.settings.reads.tries)):
            try:
                return await self.piece(offset, limit, etag)
            except (TroubleError, Unavailable) as error:
                lasting = isinstance(error, TroubleError) and error.trouble not in _PASSING
                if lasting or not tries_left:
                    raise BrokenOffError(f"{self.artifact} of {self.name} at {offset}: {error}") from error
                log.info("piece asked for again", **{logging.CLUSTER: self.cluster, logging.REASON: str(error)})
            await asyncio.sleep(self.ports.settings.reads.pause)
        raise BrokenOffError(f"{self.artifact} of {self.name} at {offset}: not asked for")


def _check(chunk: Chunk, wanted: ArtifactRead) -> None:
    """Return if a piece is the one that was asked for.

    Raises TroubleError otherwise: what does not fit together must never be put together.
    """
    if wanted.etag is not None and chunk.etag != wanted.etag:
        raise TroubleError(Trouble.CHANGED, "It was replaced while it was read.")
    rest = max(0, min(wanted.limit, chunk.total - wanted.offset))
    if chunk.offset != wanted.offset or len(chunk.data) > wanted.limit or (rest and not chunk.data):
        raise TroubleError(Trouble.UNREACHABLE, "The executor has answered with another piece than it was asked for.")


@dataclass(frozen=True, slots=True)
class Kept:
    """The copy of an artifact that was made when its backup or restore ended. `cut`: of its beginning only."""

    ports: Ports
    parts: list[str]
    cut: bool

    async def pieces(self) -> AsyncIterator[bytes]:
        """Give all of it.

        Raises BrokenOffError when it goes away meanwhile, or the database does.
        """
        for part in self.parts:
            try:
                data = await self.ports.store.captured_part(part)
            except Unavailable as away:
                raise BrokenOffError(str(away)) from away
            if data is None:
                raise BrokenOffError(f"{part} has gone")
            yield data


async def remote(ports: Ports, principal: str, kind: Kind, row: details.Document, artifact: Artifact) -> Remote:
    """Return an artifact where it lies, or would lie, if its row does not already say that there is none.

    Raises TroubleError.
    """
    item = kind.item_of(row)
    if not item.present:
        if item.status in kind.gone:
            words = f"{kind.noun.capitalize()} {item.name} has gone from cluster {item.cluster}."
            raise TroubleError(Trouble.BACKUP_GONE, words, kind.noun)
        raise TroubleError(Trouble.NOT_THERE, f"Cluster {item.cluster} has no {kind.noun} {item.name}, or none yet.")
    agent = asking.is_agent(await ports.store.cluster_state(item.cluster))
    return Remote(ports, principal, kind, item.cluster, item.name, kind.ids_of(row), artifact, agent)


async def kept(ports: Ports, kind: Kind, row: details.Document, artifact: Artifact) -> Kept | None:
    """Return the copy of an artifact, if there is a whole one."""
    item = kind.item_of(row)
    for uid in row.get("uids") or ():
        parts = whole_capture(await ports.store.captured(item.cluster, str(uid), artifact))
        if parts:
            return Kept(ports, [str(part["_id"]) for part in parts], any(part.get("cut") for part in parts))
    return None
