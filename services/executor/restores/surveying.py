"""What is in a backup, told within seconds: the names of its objects, the storage classes of its claims, its node ports.

The first comes from the list of its resources, the rest from the tarball itself, of which nothing else is kept.
"""

import asyncio
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from services.executor.artifacts.archives import Archive
from services.executor.artifacts.causes import mended
from services.executor.artifacts.files import Files, aside
from services.executor.artifacts.reading import Artifacts, target_of
from services.executor.artifacts.unpacking import Unpacked
from services.executor.fetching import NoChunk
from services.executor.kube import Object
from services.executor.settings import Surveying
from shared.contracts.artifacts import MAX_CHUNK, Artifact
from shared.contracts.envelope import Envelope
from shared.contracts.surveys import MOST_NAMES, BackupSurvey, BackupSurveyed, Held, NodePort

MOST_BYTES: Final = 700_000
"""Of names in one message: with what is around them they fit into one of NATS (1 MiB)."""

_CLAIMS, _SERVICES = "v1/PersistentVolumeClaim", "v1/Service"
_PLURALS: Final = {"persistentvolumeclaims": _CLAIMS, "services": _SERVICES}
_PATH: Final = re.compile(r"(?:\./)?resources/(persistentvolumeclaims|services)/namespaces/([^/]+)/([^/]+)\.json")
_OLD_CLASS: Final = "volume.beta.kubernetes.io/storage-class"


@dataclass(slots=True)
class _Inside:
    """What the tarball has told so far. `left`: how many claims and Services are still to come; None = not known."""

    left: int | None
    classes: set[str] = field(default_factory=set)
    ports: list[NodePort] = field(default_factory=list)

    def take(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Look into some files."""
        for path, content in files:
            match = _PATH.fullmatch(path)
            if match is None:
                continue
            self.left = None if self.left is None else self.left - 1
            obj = _read(content)
            if _PLURALS[match[1]] == _CLAIMS:
                self.classes |= set(storage_classes(obj))
            else:
                self.ports += node_ports(f"{match[2]}/{match[3]}", obj)


@dataclass(frozen=True, slots=True)
class Surveyor:
    """Answers what is in the backups of one cluster."""

    artifacts: Artifacts
    settings: Surveying

    async def answer(self, question: Envelope[BackupSurvey]) -> BackupSurveyed:
        """Tell what is in a backup, as far as that can be found out in time."""
        order, within = question.data, f"{question.data.within:g} s"
        end = asyncio.get_running_loop().time() + order.within
        try:
            async with asyncio.timeout_at(end):
                backup = await self.artifacts.meant("backup", order.name, order.ids)
                listed = await Files(self.artifacts).read(backup, target_of(backup, Artifact.RESOURCES))
                names, known = await aside(held, listed)
        except NoChunk as no:
            return BackupSurveyed(trouble=no.trouble, detail=no.detail)
        except TimeoutError:
            return BackupSurveyed(detail=f"What is in backup {order.name} could not be read within {within}.")
        told = BackupSurveyed(held=names, truncated=not known)
        inside = _Inside(_count(names) if known else None)
        try:
            async with asyncio.timeout_at(end):
                await self._look_inside(backup, inside)
        except NoChunk as no:
            return told.model_copy(update={"trouble": no.trouble, "detail": no.detail})
        except TimeoutError:
            words = f"The contents of backup {order.name} could not be read within {within}."
            return told.model_copy(update={"detail": words})
        except _TooMuchError as much:
            return told.model_copy(update={"detail": str(much)})
        return told.model_copy(update={"storage_classes": sorted(inside.classes), "node_ports": inside.ports[:MOST_NAMES]})

    async def _look_inside(self, backup: Object, inside: _Inside) -> None:
        """Read the tarball until all that matters has been seen.

        Raises NoChunk; _TooMuchError when it is too large to be read now, or cannot be read.
        """
        archive, read, etag, total = Archive(lambda name: _PATH.fullmatch(name) is not None), 0, None, 1
        while inside.left != 0 and read < total:
            chunk = await self.artifacts.piece(backup, target_of(backup, Artifact.CONTENTS), read, MAX_CHUNK, etag)
            inside.take(await aside(archive.feed, chunk.data))
            read, etag, total = read + len(chunk.data), chunk.etag, chunk.total
            if archive.broken or not chunk.data:
                raise _TooMuchError("The contents of the backup cannot be read.")
            if max(total, archive.unpacked) > self.settings.most_bytes:
                raise _TooMuchError("The contents of the backup are too large to be looked into.")


class _TooMuchError(Exception):
    """The tarball is not read to its end."""


def held(listed: Unpacked) -> tuple[list[Held], bool]:
    """Return the objects in a backup's list of resources, and whether these are all of them. Pure."""
    words = listed.text.decode(errors="replace")
    try:
        found = json.loads(mended(words) if listed.cut else words) if listed.total else {}
    except (ValueError, RecursionError):
        found = {}
    whole, names, room = bool(listed.total) and not listed.cut and not listed.broken, MOST_NAMES, MOST_BYTES
    told: list[Held] = []
    for kind, each in sorted(_lists(found)):
        fitting = 0
        for name in each:
            room -= len(name.encode()) + 3
            if room < 0 or fitting >= names:
                break
            fitting += 1
        version, _, word = kind.rpartition("/")
        names, whole = names - fitting, whole and fitting == len(each)
        if fitting:
            told.append(Held(api_version=version, kind=word, names=each[:fitting]))
    return told, whole


def storage_classes(claim: Mapping[str, Any]) -> Iterator[str]:
    """Yield the storage class that a claim names; one that names none gets the cluster's default. Pure."""
    spec, meta = claim.get("spec"), claim.get("metadata")
    named = spec.get("storageClassName") if isinstance(spec, dict) else None
    old = (meta.get("annotations") or {}).get(_OLD_CLASS) if isinstance(meta, dict) else None
    if found := named or old:
        yield str(found)


def node_ports(service: str, obj: Mapping[str, Any]) -> Iterator[NodePort]:
    """Yield the ports that a Service opens on every node. Pure."""
    spec = obj.get("spec")
    if not isinstance(spec, dict):
        return
    listed = spec.get("ports")
    opened = [port.get("nodePort") for port in listed if isinstance(port, dict)] if isinstance(listed, list) else []
    for number in (*opened, spec.get("healthCheckNodePort")):
        if isinstance(number, int) and number > 0:
            yield NodePort(service=service, port=number)


def _count(names: Iterable[Held]) -> int:
    return sum(len(each.names) for each in names if f"{each.api_version}/{each.kind}" in {_CLAIMS, _SERVICES})


def _lists(found: Any) -> Iterator[tuple[str, list[str]]]:
    for kind, names in found.items() if isinstance(found, dict) else ():
        if isinstance(names, list):
            yield str(kind), [name for name in names if isinstance(name, str)]


def _read(content: bytes) -> Mapping[str, Any]:
    try:
        obj = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return obj if isinstance(obj, dict) else {}
