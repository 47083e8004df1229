"""What a cluster is and holds, as one message can carry it."""

import json
from collections.abc import Sequence
from typing import TypeVar

from services.executor.backups.requirements import NODE_AGENT_LABELS
from services.executor.kube import NAMESPACES, PODS, Kube, KubeError
from services.executor.seeing.observations import MAX_OBJECT_BYTES
from shared.contracts.base import Wire
from shared.contracts.events import Inventory, NamespaceInfo

W = TypeVar("W", bound=Wire)


async def namespaces(kube: Kube) -> list[NamespaceInfo]:
    """Return every namespace with its labels, by name."""
    found = [
        NamespaceInfo(name=i["metadata"]["name"], labels=i["metadata"].get("labels") or {})
        for i in (await kube.list(NAMESPACES)).items
    ]
    return sorted(found, key=lambda n: n.name)


async def node_agent(kube: Kube) -> bool | None:
    """Tell whether a node agent of Velero's runs; None where that may not be seen."""
    try:
        pods = (await kube.list(PODS, NODE_AGENT_LABELS)).items
    except KubeError:
        return None
    return any((pod.get("status") or {}).get("phase") == "Running" for pod in pods)


def fitting(inventory: Inventory) -> Inventory:
    """Return the inventory as one message can carry it: labels go first, then namespaces, then kinds, and it says so."""
    if _size(inventory) <= MAX_OBJECT_BYTES:
        return inventory
    empty = inventory.model_copy(update={"namespaces": [], "kinds": [], "truncated": True})
    kinds, room = _first(inventory.kinds, MAX_OBJECT_BYTES - _size(empty))
    spaces, _ = _first([NamespaceInfo(name=n.name) for n in inventory.namespaces], room)
    return empty.model_copy(update={"namespaces": spaces, "kinds": kinds})


def _first(entries: Sequence[W], room: int) -> tuple[list[W], int]:
    """Return as many entries as there is room for, and the room that is left."""
    taken: list[W] = []
    for entry in entries:
        size = _size(entry) + len(", ")
        if size > room:
            break
        taken.append(entry)
        room -= size
    return taken, room


def _size(part: Wire) -> int:
    return len(json.dumps(part.wire()))
