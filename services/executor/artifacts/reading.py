"""What lies in the bucket beside a backup or restore, in pieces: Velero signs, the storage gives, only signed URLs are kept."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from services.executor.fetching import NoChunk, Refused, Storage, Trust, trust_in
from services.executor.kube import (
    BACKUPS,
    DOWNLOAD_REQUESTS,
    LOCATIONS,
    RESTORES,
    ForbiddenError,
    InvalidError,
    Kind,
    Kube,
    KubeError,
    NotFoundError,
    Object,
)
from services.executor.manifests import ids_of, location_of, restore_ids_of
from shared.contracts.artifacts import Artifact, ArtifactRead, ArtifactReply, Chunk, Trouble
from shared.contracts.envelope import Envelope
from shared.messaging.outcomes import Unavailable

_FILES: Mapping[Artifact, str] = {
    Artifact.LOG: "Log",
    Artifact.RESULTS: "Results",
    Artifact.RESOURCES: "ResourceList",
    Artifact.CONTENTS: "Contents",
}
"""What a DownloadRequest calls each artifact, behind the kind that it is of."""


@dataclass(frozen=True, slots=True)
class _Sort:
    """What artifacts are of: its kind, and under which ids people know it."""

    kind: Kind
    ids_of: Callable[[Mapping[str, Any], str], frozenset[str]]


_SORTS: Mapping[str, _Sort] = {"backup": _Sort(BACKUPS, ids_of), "restore": _Sort(RESTORES, restore_ids_of)}

_NOT_YET = frozenset({None, "", "New", "Queued", "ReadyToStart", "InProgress"})
_TAKEN = "already exists in object storage"
_SIGNED_FOR = 8 * 60.0
"""Seconds that a signed URL is used; Velero signs for ten minutes."""
_URLS = 256
_LOOKS = (0.05, 0.1, 0.1, 0.2, 0.3, 0.5)
_WORDS = 300
_TIDYING = 5.0
"""Seconds for removing a request that has been answered; others wait meanwhile."""


def target_of(obj: Mapping[str, Any], artifact: Artifact) -> str:
    """Return what a DownloadRequest calls an artifact of a Backup or Restore."""
    return f"{obj.get('kind')}{_FILES[artifact]}"


def nothing_stored(obj: Mapping[str, Any]) -> str | None:
    """Say why nothing of a Backup or Restore can lie in its bucket; None if something may.

    What lies there under the name of a backup that failed because its name was taken is another backup's.
    """
    name, status = f"{obj.get('kind')} {(obj.get('metadata') or {}).get('name')}", obj.get("status") or {}
    phase = status.get("phase")
    if phase in _NOT_YET:
        return f"{name} has not ended: nothing of it is stored yet."
    if phase == "FailedValidation":
        return f"{name} was never begun (it failed its validation): nothing of it is stored."
    if phase == "Failed" and _TAKEN in str(status.get("failureReason")):
        return f"{name} was never begun (its name was taken in the bucket): nothing of it is stored."
    return None


@dataclass(slots=True)
class _Way:
    """How to read one file of one backup or restore, for as long as its URL is good."""

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
            obj = await self.meant(order.of, order.name, order.ids)
            chunk = await self.piece(obj, target_of(obj, order.artifact), order.offset, order.limit, order.etag)
        except NoChunk as no:
            return ArtifactReply(trouble=no.trouble, detail=no.detail)
        return ArtifactReply(chunk=chunk)

    async def piece(self, obj: Object, target: str, offset: int, limit: int, etag: str | None = None) -> Chunk:
        """Return a piece of one file of a Backup or Restore; with an etag, only of the file that had it.

        Raises NoChunk.
        """
        if words := nothing_stored(obj):
            raise NoChunk(Trouble.NOT_THERE, words)
        way = self._way(str(obj["metadata"]["uid"]), target)
        for again in (True, False):
            async with way.signing:
                if asyncio.get_running_loop().time() >= way.until:
                    await self._sign(way, obj, target)
                url = way.url
            try:
                return await self.storage.fetch(url, way.trust, offset, limit, etag)
            except Refused:
                if way.url == url:
                    way.until = float("-inf")  # it has run out, or its keys have changed
                if not again:
                    raise
        raise AssertionError("the second refusal is raised")

    async def meant(self, of: str, name: str, ids: Iterable[str]) -> Object:
        """Return the `backup` or `restore` that a question is about, which need not be the one that has its name now.

        Raises NoChunk.
        """
        sort = _SORTS[of]
        with self._asking(Trouble.BACKUP_GONE, f"Cluster {self.cluster} has no {of} {name} (any more)."):
            obj = await self.kube.get(sort.kind, name)
        if sort.ids_of(obj, self.cluster).isdisjoint(ids):
            raise NoChunk(Trouble.BACKUP_GONE, f"The {of} named {name} in cluster {self.cluster} is another one now.")
        return obj

    def _way(self, uid: str, target: str) -> _Way:
        if way := self._ways.get((uid, target)):
            return way
        now = asyncio.get_running_loop().time()
        kept = [(key, way) for key, way in self._ways.items() if way.until > now or way.signing.locked()]
        self._ways = dict(kept[-_URLS:])
        return self._ways.setdefault((uid, target), _Way())

    async def _sign(self, way: _Way, obj: Object, target: str) -> None:
        name, backup = str(obj["metadata"]["name"]), await self._beside(obj)
        location = location_of(backup)
        whose = f"Backup {backup['metadata']['name']}"
        gone = f"{whose} lies in storage location {location!r}, which cluster {self.cluster} does not have (any more)."
        with self._asking(Trouble.UNREACHABLE, gone):
            way.trust = trust_in(await self.kube.get(LOCATIONS, location))
        unknown = f"Velero's kinds are not known in cluster {self.cluster}: is Velero installed?"
        with self._asking(Trouble.VELERO_SILENT, unknown):
            way.url = await self._ask_velero(name, target)
        way.until = asyncio.get_running_loop().time() + _SIGNED_FOR

    async def _beside(self, obj: Object) -> Object:
        """Return the Backup in whose storage location the files of an object lie; a restore's lie beside its backup's."""
        if obj.get("kind") != RESTORES.name:
            return obj
        backup = str((obj.get("spec") or {}).get("backupName") or "-")
        words = f"Restore {obj['metadata']['name']} was made from backup {backup}, which is gone: its files cannot be reached."
        with self._asking(Trouble.NOT_THERE, words):
            return await self.kube.get(BACKUPS, backup)

    async def _ask_velero(self, name: str, target: str) -> str:
        """Have Velero sign, by a request of its own that is removed again."""
        request = f"leeward-{uuid4()}"
        body = {
            "apiVersion": DOWNLOAD_REQUESTS.api_version,
            "kind": DOWNLOAD_REQUESTS.name,
            "metadata": {"name": request, "namespace": self.namespace},
            "spec": {"target": {"kind": target, "name": name}},
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
            with contextlib.suppress(Unavailable, KubeError, TimeoutError):  # Velero removes what is left, after ten minutes
                async with asyncio.timeout(_TIDYING):
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
