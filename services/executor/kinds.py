"""The kinds of a cluster, found by every name that Velero finds them by; kept in memory, read anew when a name is not there."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

import structlog

from services.executor.kube import Kube, KubeError, Object
from shared.contracts.events import KindInfo
from shared.messaging.outcomes import Unavailable
from shared.runtime import logging

log = structlog.get_logger(__name__)

_NEEDED_VERBS = frozenset({"list", "create", "get", "delete"})
"""What Velero wants of a kind; it looks past any other."""
_AT_ONCE = 8
"""Requests under way while kinds are read."""


@dataclass(frozen=True)
class Kinds:
    """The kinds that were found, core group first, and why others may be missing: the API groups that did not answer."""

    found: tuple[KindInfo, ...] = ()
    silent: Mapping[str, str] = field(default_factory=dict)

    def named(self, name: str) -> list[KindInfo]:
        """Return the kinds that a name stands for, as Velero reads it: `resource[.group]`, or a pattern of such.

        The resource is the plural or the singular in any case, or a short name; of the group its beginning is enough.
        """
        resource, _, group = name.partition(".")
        fits = [*self._by_name.get(resource.lower(), ()), *self._by_short_name.get(resource, ())]
        if exact := [k for k in fits if group in ("", k.group)]:
            return exact
        if near := [k for k in fits if k.group.startswith(group)]:
            return near
        return [k for k in self.found if fnmatchcase(_full(k), name)] if any(c in name for c in "*?[") else []

    @cached_property
    def _by_name(self) -> dict[str, list[KindInfo]]:
        names: dict[str, list[KindInfo]] = {}
        for kind in self.found:
            for name in {kind.name, kind.singular or kind.kind.lower()}:
                names.setdefault(name, []).append(kind)
        return names

    @cached_property
    def _by_short_name(self) -> dict[str, list[KindInfo]]:
        names: dict[str, list[KindInfo]] = {}
        for kind in self.found:
            for name in kind.short_names:
                names.setdefault(name, []).append(kind)
        return names

    def doubt(self, name: str) -> str:
        """Return why it cannot be told whether there is a kind of that name; empty when it can."""
        _, _, group = name.partition(".")
        reasons = [f"{silent or 'the core group'}: {why}" for silent, why in self.silent.items() if silent.startswith(group)]
        return "; ".join(reasons)


def _full(kind: KindInfo) -> str:
    return f"{kind.name}.{kind.group}" if kind.group else kind.name


@dataclass(slots=True)
class KindMemory:
    """The kinds of one cluster as they were when last read."""

    kube: Kube
    known: Kinds = Kinds()
    _begun: float = float("-inf")
    """When the last reading that came to its end began."""
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def read(self) -> Kinds:
        """Read them anew; whoever asks meanwhile is answered by the next reading, and all of them by the same.

        Raises Unavailable when the API server does not answer.
        """
        asked = asyncio.get_running_loop().time()
        async with self._reading:
            if self._begun < asked:
                begun = asyncio.get_running_loop().time()
                self.known = await _read(self.kube, self.known.found)
                self._begun = begun
            return self.known

    async def with_names(self, names: Iterable[str]) -> Kinds:
        """Return what is known, read anew if one of the names is not among it."""
        return self.known if all(self.known.named(name) for name in names) else await self.read()


async def _read(kube: Kube, known: Iterable[KindInfo]) -> Kinds:
    """Read every kind of every group, in the version that the group prefers, else in the first that has it.

    A group that does not answer (a stale APIService is enough for that) keeps the kinds it was known for.
    """
    at_once = asyncio.Semaphore(_AT_ONCE)

    async def answer(name: str, versions: list[str]) -> dict[str, KindInfo] | str:
        try:
            async with at_once:
                pages = [await kube.read(f"/apis/{version}" if name else f"/api/{version}") for version in versions]
            return {k.name: k for page in reversed(pages) for k in _kinds_of(name, page)}
        except (Unavailable, KubeError, KeyError, TypeError, ValueError, AttributeError) as error:
            log.warning("API group not read", group=name, **{logging.REASON: repr(error)})
            return str(error) if isinstance(error, Unavailable | KubeError) else "it describes its kinds in an odd way"

    groups = {"": ["v1"]} | {str(g["name"]): _versions(g) for g in (await kube.read("/apis")).get("groups") or []}
    answers = dict(zip(groups, await asyncio.gather(*(answer(*each) for each in groups.items())), strict=True))
    silent = {name: answer for name, answer in answers.items() if isinstance(answer, str)}
    found = [k for answer in answers.values() if not isinstance(answer, str) for k in answer.values()]
    kept = [k for k in known if k.group in silent]
    return Kinds(tuple(sorted([*found, *kept], key=lambda k: (k.group, k.name))), silent)


def _versions(group: Mapping[str, Any]) -> list[str]:
    """Return the versions of a group, the preferred one first."""
    preferred = str(group["preferredVersion"]["groupVersion"])
    return [preferred, *(v for each in group.get("versions") or [] if (v := str(each["groupVersion"])) != preferred)]


def _kinds_of(group: str, resources: Object) -> list[KindInfo]:
    return [
        KindInfo(
            name=r["name"],
            group=group,
            kind=r["kind"],
            namespaced=bool(r["namespaced"]),
            singular=r.get("singularName") or "",
            short_names=r.get("shortNames") or [],
        )
        for r in resources.get("resources") or []
        if "/" not in r["name"] and set(r.get("verbs") or []) >= _NEEDED_VERBS
    ]
