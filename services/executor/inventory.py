"""What a cluster is and holds, as one message can carry it."""

import json
from typing import Any

from services.executor.kube import NAMESPACES, Kube
from services.executor.observations import MAX_OBJECT_BYTES
from shared.contracts.events import Inventory, NamespaceInfo


async def namespaces(kube: Kube) -> list[NamespaceInfo]:
    """Return every namespace with its labels, by name."""
    found = [
        NamespaceInfo(name=i["metadata"]["name"], labels=i["metadata"].get("labels") or {})
        for i in (await kube.list(NAMESPACES)).items
    ]
    return sorted(found, key=lambda n: n.name)


def fitting(inventory: Inventory) -> Inventory:
    """Return the inventory as one message can carry it: labels go first, then namespaces, then kinds, and it says so."""
    if _size(inventory) <= MAX_OBJECT_BYTES:
        return inventory
    bare = [NamespaceInfo(name=n.name) for n in inventory.namespaces]
    short = inventory.model_copy(update={"namespaces": bare, "truncated": True})
    while _size(short) > MAX_OBJECT_BYTES and (short.namespaces or short.kinds):
        part = "namespaces" if short.namespaces else "kinds"
        left: list[Any] = getattr(short, part)
        short = short.model_copy(update={part: left[: len(left) * 3 // 4]})
    return short


def _size(inventory: Inventory) -> int:
    return len(json.dumps(inventory.wire()))
