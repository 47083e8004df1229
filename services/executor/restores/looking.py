"""What a restore would meet in a cluster, told within seconds: what it does not serve, what is there, what is missing or taken.

It needs to list what may be there already, of any kind in the backup and across namespaces (names only), the namespaces, the
StorageClasses and the Services. What it may not look at it says; nothing of this ever fails as a whole.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from services.executor.answering import if_there
from services.executor.kube import CONFIG_MAPS, NAMESPACES, Kube, KubeError, NotFoundError, Object
from services.executor.restores.surveying import MOST_BYTES, node_ports
from services.executor.settings import Surveying
from shared.contracts.envelope import Envelope
from shared.contracts.surveys import Held, NodePort, RestoreLook, RestoreSeen
from shared.messaging.outcomes import Unavailable

_AT_ONCE: Final = 8
"""Requests under way for one question."""
_FEW: Final = 3
"""In so many namespaces each is looked at by itself; in more, all at once."""
_STORAGE_CLASSES: Final = "/apis/storage.k8s.io/v1/storageclasses"
_SERVICES: Final = "/api/v1/services"
_WORDS: Final = 300

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Served:
    """A kind that the cluster serves."""

    held: Held
    plural: str
    namespaced: bool

    def paths(self, namespaces: set[str] | None) -> list[str]:
        """Return where its objects are listed, among these namespaces (None: any)."""
        root = _root(self.held.api_version)
        wanted = sorted({name.partition("/")[0] for name in self.held.names if namespaces is None or _in(name, namespaces)})
        if not self.namespaced or len(wanted) > _FEW:
            return [f"{root}/{self.plural}"]
        return [f"{root}/namespaces/{namespace}/{self.plural}" for namespace in wanted]


@dataclass(slots=True)
class _Look:
    """One question under way. `doubts`: why something could not be looked at."""

    kube: Kube
    most: int
    end: float
    turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))
    doubts: list[str] = field(default_factory=list)

    async def ask(self, work: Awaitable[T]) -> T | None:
        """Return what the cluster answers in time; None, with a doubt, if it does not."""
        try:
            async with asyncio.timeout_at(self.end):
                return await work
        except TimeoutError:
            self.doubts.append("The cluster did not answer in time.")
        except (Unavailable, KubeError) as error:
            self.doubts.append(str(error)[:_WORDS])
        return None

    async def everything(self, path: str, *, whole: bool = False) -> Sequence[Object]:
        """Return what a path lists.

        Raises KubeError also when that is too much.
        """
        async with self.turn:
            found = await self.kube.everywhere(path, self.most, whole=whole)
        if len(found) > self.most:
            raise KubeError(f"There are more than {self.most} objects at {path}.")
        return found


@dataclass(frozen=True, slots=True)
class Looker:
    """Answers what restores would meet in one cluster."""

    kube: Kube
    settings: Surveying

    async def answer(self, question: Envelope[RestoreLook]) -> RestoreSeen:
        """Tell what is there of what a restore would bring, and what it would miss."""
        order = question.data
        end = asyncio.get_running_loop().time() + order.within
        look = _Look(self.kube, self.settings.most_objects, end)
        (unserved, existing, unseen), missing, taken, modifier = await asyncio.gather(
            _objects(look, order.held),
            _missing_classes(look, order.storage_classes),
            _taken_ports(look, order.node_ports),
            _modifier(look, order.modifier),
        )
        return RestoreSeen(
            unserved=unserved,
            existing=existing,
            unseen=unseen,
            missing_storage_classes=missing,
            taken_node_ports=taken,
            modifier_found=modifier,
            detail=next(iter(look.doubts), ""),
        )


async def _objects(look: _Look, held: Iterable[Held]) -> tuple[list[str], list[Held], list[str]]:
    """Return the kinds that are not served, what exists of the others, and the kinds that could not be looked at."""
    kinds = list(held)
    versions = sorted({each.api_version for each in kinds})
    listed, answers = await asyncio.gather(
        look.ask(look.kube.list(NAMESPACES)),
        asyncio.gather(*(look.ask(_resources(look, version)) for version in versions)),
    )
    resources = dict(zip(versions, answers, strict=True))
    namespaces = None if listed is None else {str(x["metadata"]["name"]) for x in listed.items}
    unserved: list[str] = []
    unseen: list[str] = []
    served: list[_Served] = []
    for each in kinds:
        known = resources[each.api_version]
        if known is None:
            unseen.append(_told(each))
        elif each.kind not in known:
            unserved.append(_told(each))
        else:
            plural, namespaced = known[each.kind]
            served.append(_Served(each, plural, namespaced))
    found = await asyncio.gather(*(look.ask(_existing(look, each, namespaces)) for each in served))
    unseen += [_told(each.held) for each, names in zip(served, found, strict=True) if names is None]
    existing = [each.held.model_copy(update={"names": names}) for each, names in zip(served, found, strict=True) if names]
    return unserved, _fitting(existing), unseen


async def _resources(look: _Look, version: str) -> dict[str, tuple[str, bool]]:
    """Return plural name and scope of every kind of an API version; none if the cluster does not have it."""
    try:
        async with look.turn:
            page = await look.kube.read(_root(version))
    except NotFoundError:
        return {}
    resources: list[Any] = page.get("resources") or []
    return {str(r["kind"]): (str(r["name"]), bool(r["namespaced"])) for r in resources if "/" not in r["name"]}


async def _existing(look: _Look, kind: _Served, namespaces: set[str] | None) -> list[str]:
    wanted = set(kind.held.names)
    if kind.namespaced and namespaces is not None and not any(_in(name, namespaces) for name in wanted):
        return []
    pages = await asyncio.gather(*(look.everything(path) for path in kind.paths(namespaces)))
    there = {_full_name(x) for page in pages for x in page}
    return sorted(wanted & there)


async def _missing_classes(look: _Look, wanted: list[str]) -> list[str] | None:
    if not wanted:
        return []
    found = await look.ask(look.everything(_STORAGE_CLASSES))
    return None if found is None else sorted(set(wanted) - {str(x["metadata"]["name"]) for x in found})


async def _taken_ports(look: _Look, wanted: list[NodePort]) -> list[NodePort] | None:
    if not wanted:
        return []
    found = await look.ask(look.everything(_SERVICES, whole=True))
    if found is None:
        return None
    taken = {port.port: port.service for service in found for port in node_ports(_full_name(service), service)}
    return [port for port in wanted if taken.get(port.port, port.service) != port.service]


async def _modifier(look: _Look, name: str | None) -> bool | None:
    async def there(wanted: str) -> bool:
        return await if_there(look.kube, CONFIG_MAPS, wanted) is not None

    return await look.ask(there(name)) if name else None


def _fitting(existing: list[Held]) -> list[Held]:
    """Leave out what no message can carry."""
    room, told = MOST_BYTES, list[Held]()
    for each in existing:
        names = list[str]()
        for name in each.names:
            room -= len(name.encode()) + 3
            if room < 0:
                break
            names.append(name)
        if names:
            told.append(each.model_copy(update={"names": names}))
    return told


def _root(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def _told(held: Held) -> str:
    return f"{held.api_version}/{held.kind}"


def _in(name: str, namespaces: set[str]) -> bool:
    return name.partition("/")[0] in namespaces


def _full_name(obj: Object) -> str:
    meta = obj["metadata"]
    return f"{meta['namespace']}/{meta['name']}" if meta.get("namespace") else str(meta["name"])
