"""Files in the bucket as texts: read in pieces, as far as is wanted, and cut into parts that outlive what they are about."""

import asyncio
import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from services.executor.artifacts.causes import mended
from services.executor.artifacts.reading import Artifacts
from services.executor.artifacts.unpacking import Unpacked
from services.executor.fetching import NoChunk
from services.executor.kube import Object
from shared.contracts.artifacts import MAX_CHUNK, Artifact, Trouble
from shared.contracts.events import Captured

MOST_TEXT = 5 * 1024 * 1024
"""So much is read of a file, and so much of it outlives the backup or restore."""

_FINAL = frozenset({Trouble.NOT_THERE})
_LISTS = frozenset({Artifact.RESULTS, Artifact.RESOURCES})
"""JSON of lists of texts, which is JSON again when it is cut."""
_ASIDE: Final = ThreadPoolExecutor(2, "measuring")
"""Threads of its own, for all clusters: names of hosts, among others, are looked up in those that everybody uses."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Files:
    """Reads files of what has ended. Every method raises NoChunk when that cannot be done now."""

    artifacts: Artifacts

    async def read(self, of: Object, target: str, *, keep: bool = False) -> Unpacked:
        """Read a file until enough of its text is known; one that is not there is empty."""
        found, etag = Unpacked(MOST_TEXT, keep=keep), None
        while not found.ended:
            try:
                chunk = await self.artifacts.piece(of, target, found.read, MAX_CHUNK, etag)
            except NoChunk as no:
                if no.trouble not in _FINAL:
                    raise
                return found
            found.feed(chunk.data, chunk.total)
            etag = chunk.etag
        return found

    async def size(self, of: Object, target: str) -> int:
        """Return how many bytes a file has; 0 if there is none."""
        try:
            return (await self.artifacts.piece(of, target, 0, 1)).total
        except NoChunk as no:
            if no.trouble not in _FINAL:
                raise
            return 0


async def aside(work: Callable[..., T], *about: Any) -> T:
    """Do pure work that may take seconds, in which nothing else of any cluster may stand still."""
    return await asyncio.get_running_loop().run_in_executor(_ASIDE, work, *about)


def captured(uid: str, texts: Mapping[Artifact, Unpacked]) -> list[Captured]:
    """Return the parts of what is to outlive what it is about."""
    return [part for artifact, found in texts.items() for part in _parts(uid, artifact, found)]


def parsed(found: Unpacked) -> Any:
    """Return what a file says; a text if that cannot be known."""
    if found.cut or found.broken:
        return ""
    try:
        return json.loads(found.text)
    except (ValueError, RecursionError):
        return ""


def _parts(uid: str, artifact: Artifact, found: Unpacked) -> Iterator[Captured]:
    """Yield the parts of one text: as it lies in the bucket, or cut and packed anew; none of what cannot be read."""
    packed = bytes(found.packed)
    if found.cut:
        text = bytes(found.text)
        whole = mended(text.decode(errors="ignore")).encode() if artifact in _LISTS else text[: text.rfind(b"\n") + 1]
        packed = gzip.compress(whole or text, mtime=0)
    pieces = [] if found.broken else [packed[start : start + MAX_CHUNK] for start in range(0, len(packed), MAX_CHUNK)]
    for number, piece in enumerate(pieces):
        yield Captured(uid=uid, artifact=artifact, part=number, parts=len(pieces), data=piece, cut=found.cut)
