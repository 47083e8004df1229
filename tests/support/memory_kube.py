"""A cluster in memory behind the executor's port: as much of an API server as carrying out one command meets.

It can end the process between any two writes, which is what it is for.
"""

import copy
import itertools
from typing import Any

from services.executor.kube import (
    AlreadyExistsError,
    ConflictError,
    Kind,
    KubeError,
    Listed,
    NotFoundError,
    Object,
)


class Ended(BaseException):
    """The process ends here."""


class MemoryKube:
    """See Kube. `writes` notes every write that was done; `end_at` ends the process at that one, before or after it is done."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.writes: list[tuple[str, str, str]] = []
        self.refuses: dict[tuple[str, str], KubeError] = {}
        """What writes of a verb and a kind, and looks at one object (`get`), are answered with instead."""
        self.breaks: dict[tuple[str, str], KubeError] = {}
        """What they are answered with although they are done."""
        self.finalized: set[str] = set()
        """Names of objects that stay, being deleted, until somebody lets them go."""
        self.end_at: int | None = None
        self.end_after = False
        self._numbers = itertools.count(1)

    def end(self, at: int | None, *, after: bool = False) -> None:
        """End the process at that write from now on, or never."""
        self.end_at, self.end_after = at if at is None else len(self.writes) + at, after

    def put(self, kind: Kind, name: str, spec: Object | None = None, **metadata: Any) -> Object:
        """Have an object there that somebody else made."""
        return self._store(kind, {"metadata": {"name": name, **metadata}, **({"spec": spec} if spec else {})})

    def find(self, kind: Kind, name: str) -> Object | None:
        """Return an object, or None."""
        return self.objects.get((kind.plural, name))

    def names(self, kind: Kind) -> list[str]:
        """Return the names of all objects of a kind."""
        return sorted(name for plural, name in self.objects if plural == kind.plural)

    async def get(self, kind: Kind, name: str) -> Object:
        if no := self.refuses.get(("get", kind.plural)):
            raise no
        if found := self.find(kind, name):
            return copy.deepcopy(found)
        raise NotFoundError(f'{kind.plural} "{name}" not found')

    async def list(self, kind: Kind, labels: str = "") -> Listed:
        wanted = dict([labels.split("=")] if labels else [])
        items = [copy.deepcopy(body) for (plural, _), body in sorted(self.objects.items()) if plural == kind.plural]
        return Listed([x for x in items if wanted.items() <= (x["metadata"].get("labels") or {}).items()], 1)

    async def create(self, kind: Kind, body: Object) -> Object:
        with self._written("create", kind, body["metadata"]["name"]):
            if self.find(kind, body["metadata"]["name"]):
                raise AlreadyExistsError("already exists")
            return self._store(kind, copy.deepcopy(body))

    async def patch(self, kind: Kind, name: str, body: Object) -> Object:
        with self._written("patch", kind, name):
            live = await self.get(kind, name)
            if (
                body.get("metadata", {}).get("resourceVersion", live["metadata"]["resourceVersion"])
                != live["metadata"]["resourceVersion"]
            ):
                raise ConflictError("the object has been modified")
            return self._store(kind, _merged(live, body))

    async def delete(self, kind: Kind, name: str) -> None:
        with self._written("delete", kind, name):
            live = self.find(kind, name)
            if live and name in self.finalized:
                live["metadata"]["deletionTimestamp"] = "2026-11-22T12:00:00Z"
            else:
                self.objects.pop((kind.plural, name), None)

    def _written(self, verb: str, kind: Kind, name: str) -> "_Write":
        return _Write(self, (verb, kind.plural, name))

    def _store(self, kind: Kind, body: Object) -> Object:
        number = next(self._numbers)
        body["metadata"] = {"uid": f"uid-{number}", **body["metadata"], "resourceVersion": str(number)}
        self.objects[kind.plural, body["metadata"]["name"]] = body
        return copy.deepcopy(body)


class _Write:
    """One write: refused where that was ordered, and the end of the process before or after it."""

    def __init__(self, kube: MemoryKube, what: tuple[str, str, str]) -> None:
        self._kube, self._what = kube, what

    def __enter__(self) -> None:
        self._end(after=False)
        verb, plural, _ = self._what
        if no := self._kube.refuses.get((verb, plural)):
            raise no

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            self._end(after=True)
            self._kube.writes.append(self._what)
            verb, plural, _ = self._what
            if no := self._kube.breaks.get((verb, plural)):
                raise no

    def _end(self, *, after: bool) -> None:
        if self._kube.end_at == len(self._kube.writes) and self._kube.end_after == after:
            self._kube.end_at = None
            if after:
                self._kube.writes.append(self._what)
            raise Ended(self._what)


def _merged(old: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    base = old if isinstance(old, dict) else {}
    left = {key: value for key, value in base.items() if not (key in patch and patch[key] is None)}
    return left | {key: _merged(base.get(key), value) for key, value in patch.items() if value is not None}
