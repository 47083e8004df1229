"""An artifact of a backup, piece by piece: from its cluster through the executor, or from the copy that outlives the backup.

The next piece is asked for when the last one has been taken, so that memory stays small however much there is.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import uuid4

import structlog
from pydantic_core import from_json

from services.gateway import details
from services.gateway.ports import Ports
from services.gateway.problems import ProblemError
from services.gateway.streaming import BrokenOffError
from shared.contracts import subjects
from shared.contracts.artifacts import MAX_CHUNK, Artifact, ArtifactRead, ArtifactReply, Chunk, Trouble
from shared.contracts.base import Wire
from shared.contracts.documents import whole_capture
from shared.contracts.envelope import Envelope, type_name
from shared.contracts.phases import BackupStatus
from shared.messaging.connection import NATS
from shared.messaging.outcomes import Unavailable
from shared.runtime import logging

log = structlog.get_logger(__name__)

_PROBLEMS = {
    Trouble.BACKUP_GONE: "backup-gone",
    Trouble.NOT_THERE: "artifact-missing",
    Trouble.CHANGED: "artifact-changed",
    Trouble.VELERO_SILENT: "cluster-silent",
    Trouble.UNREACHABLE: "storage-unreachable",
    Trouble.FORBIDDEN: "storage-forbidden",
}
_PASSING = frozenset({Trouble.VELERO_SILENT, Trouble.UNREACHABLE})
"""What may be better in a moment."""
_AGENT = "Agent"


class TroubleError(Exception):
    """There is no piece; the words are for people."""

    def __init__(self, trouble: Trouble, detail: str) -> None:
        super().__init__(detail)
        self.trouble = trouble
        self.detail = detail

    def problem(self) -> ProblemError:
        """Return it as a request is answered with."""
        return ProblemError(_PROBLEMS[self.trouble], self.detail, code=self.trouble)


@dataclass(frozen=True, slots=True)
class Remote:
    """An artifact where it lies. `agent`: the executor that is asked for it runs inside the cluster."""

    ports: Ports
    principal: str
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
            name=self.name, ids=self.ids, artifact=self.artifact, offset=offset, limit=min(limit, MAX_CHUNK), etag=etag
        )
        envelope = Envelope[Wire](
            id=str(uuid4()),
            source="/gateway",
            type=type_name("artifact", "read"),
            time=self.ports.clock(),
            cluster=self.cluster,
            principal=self.principal,
            data=wanted,
        )
        subject = subjects.artifact(self.cluster, agent=self.agent)
        try:
            answer = await self.ports.bus.ask(subject, envelope, self.ports.settings.reads.timeout)
            reply = ArtifactReply.read(from_json(answer))
        except Unavailable as away:
            if away.dependency == NATS:
                raise
            raise TroubleError(Trouble.VELERO_SILENT, f"The {away.dependency} {away.reason}.") from away
        except ValueError as error:
            raise TroubleError(Trouble.VELERO_SILENT, "The executor has answered something that cannot be read.") from error
        if reply.chunk is None:
            words = reply.detail or "The executor gives no reason."
            raise TroubleError(reply.trouble or Trouble.VELERO_SILENT, words)
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
    """The copy of a log or of results that was made when the backup ended. `cut`: of its beginning only."""

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


async def remote(ports: Ports, principal: str, row: details.Document, artifact: Artifact) -> Remote:
    """Return an artifact where it lies, or would lie, if its row does not already say that there is none.

    Raises TroubleError.
    """
    item = details.item_of(row)
    if not item.present:
        if item.status in {BackupStatus.DELETED, BackupStatus.EXPIRED}:
            raise TroubleError(Trouble.BACKUP_GONE, f"Backup {item.name} has gone from cluster {item.cluster}.")
        raise TroubleError(Trouble.NOT_THERE, f"Cluster {item.cluster} has no backup {item.name}, or none yet.")
    state = await ports.store.cluster_state(item.cluster)
    agent = ((state or {}).get("item") or {}).get("mode") == _AGENT
    return Remote(ports, principal, item.cluster, item.name, details.ids_of(row, item), artifact, agent)


async def kept(ports: Ports, row: details.Document, artifact: Artifact) -> Kept | None:
    """Return the copy of an artifact, if there is a whole one."""
    item = details.item_of(row)
    for uid in row.get("uids") or ():
        parts = whole_capture(await ports.store.captured(item.cluster, str(uid), artifact))
        if parts:
            return Kept(ports, [str(part["_id"]) for part in parts], any(part.get("cut") for part in parts))
    return None
