"""What lies in the bucket beside a backup, piece by piece: Velero signs, the storage gives, nothing is kept but signed URLs."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from services.executor.fetching import NoChunk, Refused, Storage, Trust, trust_in
from services.executor.kube import (
    BACKUPS,
    DOWNLOAD_REQUESTS,
    LOCATIONS,
    ForbiddenError,
    InvalidError,
    Kube,
    KubeError,
    NotFoundError,
    Object,
)
from services.executor.manifests import ids_of
from shared.contracts.artifacts import Artifact, ArtifactRead, ArtifactReply, Chunk, Trouble
from shared.contracts.envelope import Envelope
from shared.messaging.outcomes import Unavailable

TARGETS: Mapping[Artifact, str] = {
    Artifact.LOG: "BackupLog",
    Artifact.RESULTS: "BackupResults",
    Artifact.RESOURCES: "BackupResourceList",
    Artifact.CONTENTS: "BackupContents",
}
"""What a DownloadRequest calls each artifact."""

_NOT_YET = frozenset({None, "", "New", "Queued", "ReadyToStart", "InProgress"})
_TAKEN = "already exists in object storage"
_SIGNED_FOR = 8 * 60.0
"""Seconds that a signed URL is used; Velero signs for ten minutes."""
_URLS = 256
_LOOKS = (0.05, 0.1, 0.1, 0.2, 0.3, 0.5)
_WORDS = 300


def nothing_stored(backup: Mapping[str, Any]) -> str | None:
    """Say why nothing of a backup can lie in its bucket; None if something may.

    What lies there under the name of one that failed because its name was taken is another backup's.
    """
    name, status = (backup.get("metadata") or {}).get("name"), backup.get("status") or {}
    phase = status.get("phase")
    if phase in _NOT_YET:
        return f"Backup {name} has not ended: nothing of it is stored yet."
    if phase == "FailedValidation":
        return f"Backup {name} was never begun (it failed its validation): nothing of it is stored."
    if phase == "Failed" and _TAKEN in str(status.get("failureReason")):
        return f"Backup {name} was never begun (its name was taken in the bucket): nothing of it is stored."
    return None


@dataclass(slots=True)
class _Way:
    """How to read one file of one backup, for as long as its URL is good."""

    signing: asyncio.Lock = field(default_factory=asyncio.Lock)
    url: str = field(default="", repr=False)
    trust: Trust = True
    until: float = float("-inf")


@dataclass(slots=True)
class Artifacts:
    """Reads what a cluster's Velero has stored. `silence`: seconds that Velero may take to sign."""

    cluster: str
    namespace: str
    kube: Kube
    storage: Storage
    silence: float
    _ways: dict[tuple[str, str], _Way] = field(default_factory=dict)

    async def answer(self, question: Envelope[ArtifactRead]) -> ArtifactReply:
        """Give the piece that is asked for, or say why there is none."""
        order = question.data
        try:
            backup = await self._meant(order)
            chunk = await self.piece(backup, TARGETS[order.artifact], order.offset, order.limit, order.etag)
        except NoChunk as no:
            return ArtifactReply(trouble=no.trouble, detail=no.detail)
        return ArtifactReply(chunk=chunk)

    async def piece(self, backup: Object, target: str, offset: int, limit: int, etag: str | None = None) -> Chunk:
        """Return a piece of one file of a backup; with an etag, only of the file that had it.

        Raises NoChunk.
        """
        if words := nothing_stored(backup):
            raise NoChunk(Trouble.NOT_THERE, words)
        way = self._way(str(backup["metadata"]["uid"]), target)
        for again in (True, False):
            async with way.signing:
                if asyncio.get_running_loop().time() >= way.until:
                    await self._sign(way, backup, target)
                url = way.url
            try:
                return await self.storage.fetch(url, way.trust, offset, limit, etag)
            except Refused:
                if way.url == url:
                    way.until = float("-inf")  # it has run out, or its keys have changed
                if not again:
                    raise
        raise AssertionError("the second refusal is raised")

    async def _meant(self, order: ArtifactRead) -> Object:
        """Return the Backup that a question is about, which need not be the one that has its name now."""
        with self._asking(Trouble.BACKUP_GONE, f"Cluster {self.cluster} has no backup {order.name} (any more)."):
            backup = await self.kube.get(BACKUPS, order.name)
        if ids_of(backup, self.cluster).isdisjoint(order.ids):
            raise NoChunk(Trouble.BACKUP_GONE, f"The backup named {order.name} in cluster {self.cluster} is another one now.")
        return backup

    def _way(self, uid: str, target: str) -> _Way:
        if way := self._ways.get((uid, target)):
            return way
        now = asyncio.get_running_loop().time()
        kept = [(key, way) for key, way in self._ways.items() if way.until > now or way.signing.locked()]
        self._ways = dict(kept[-_URLS:])
        return self._ways.setdefault((uid, target), _Way())

    async def _sign(self, way: _Way, backup: Object, target: str) -> None:
        name, location = str(backup["metadata"]["name"]), str((backup.get("spec") or {}).get("storageLocation") or "")
        gone = f"Backup {name} lies in storage location {location!r}, which cluster {self.cluster} does not have (any more)."
        with self._asking(Trouble.UNREACHABLE, gone):
            way.trust = trust_in(await self.kube.get(LOCATIONS, location))
        unknown = f"Velero's kinds are not known in cluster {self.cluster}: is Velero installed?"
        with self._asking(Trouble.VELERO_SILENT, unknown):
            way.url = await self._ask_velero(name, target)
        way.until = asyncio.get_running_loop().time() + _SIGNED_FOR

    async def _ask_velero(self, backup: str, target: str) -> str:
        """Have Velero sign, by a request of its own that is removed again."""
        request = f"leeward-{uuid4()}"
        body = {
            "apiVersion": DOWNLOAD_REQUESTS.api_version,
            "kind": DOWNLOAD_REQUESTS.name,
            "metadata": {"name": request, "namespace": self.namespace},
            "spec": {"target": {"kind": target, "name": backup}},
        }
        try:
            async with asyncio.timeout(self.silence):
                await self.kube.create(DOWNLOAD_REQUESTS, body)
                for wait in _ladder():
                    status = (await self.kube.get(DOWNLOAD_REQUESTS, request)).get("status") or {}
                    if url := status.get("downloadURL"):
                        return str(url)
                    if status.get("phase") == "Failed":  # Velero 1.19; older ones say nothing for ever
                        raise NoChunk(Trouble.NOT_THERE, f"Velero cannot give it: {str(status.get('message'))[:_WORDS]}")
                    await asyncio.sleep(wait)
        except TimeoutError:
            words = f"Velero in cluster {self.cluster} did not sign a download within {self.silence:g} s."
            raise NoChunk(Trouble.VELERO_SILENT, words) from None
        finally:
            with contextlib.suppress(Unavailable, KubeError):  # Velero removes what is left, after ten minutes
                await self.kube.delete(DOWNLOAD_REQUESTS, request)
        raise AssertionError("the ladder has no end")

    @contextlib.contextmanager
    def _asking(self, missing: Trouble, words: str) -> Iterator[None]:
        """Turn what the API server says into trouble: what is not there means this."""
        try:
            yield
        except Unavailable as away:
            raise NoChunk(Trouble.UNREACHABLE, f"The API server of cluster {self.cluster} does not answer.") from away
        except NotFoundError as gone:
            raise NoChunk(missing, words) from gone
        except ForbiddenError as no:
            why = f"Leeward is not allowed to do this in cluster {self.cluster}: {str(no)[:_WORDS]}"
            raise NoChunk(Trouble.FORBIDDEN, why) from no
        except InvalidError as unknown:
            why = f"The Velero of cluster {self.cluster} has no such download: {str(unknown)[:_WORDS]}"
            raise NoChunk(Trouble.NOT_THERE, why) from unknown
        except KubeError as error:
            raise NoChunk(Trouble.UNREACHABLE, f"Cluster {self.cluster} says: {str(error)[:_WORDS]}") from error


def _ladder() -> Iterator[float]:
    yield from _LOOKS
    while True:
        yield _LOOKS[-1]
