"""The objects of a backup: which ones, in which order, and how they lie in its archive."""

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from simulator.documents import Document, dig
from simulator.kinds import Kind
from simulator.store import Store
from simulator.velero.selection import (
    EXCLUDE_LABEL,
    ResourceFilter,
    has_unreadable_selector,
    includes_all_namespaces,
    labels_match,
    missing_namespaces,
    namespaces_of,
    selects_by_label,
)

FORMAT_VERSION = "1.1.0"

_FIRST = ("pods", "persistentvolumeclaims", "persistentvolumes")
_UNREADABLE_SELECTOR = "unable to parse requirement: found '<', expected: !, identifier, or 'end of string'"


@dataclass(frozen=True, slots=True)
class Item:
    """One object of a backup."""

    kind: Kind
    document: Document

    @property
    def namespace(self) -> str:
        """Its namespace, empty when it has none."""
        return str(self.document["metadata"].get("namespace", ""))

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.document["metadata"]["name"])

    @property
    def path(self) -> str:
        """What the list of resources calls it."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


Complain = Callable[..., None]
"""How an error is reported: message, then `namespace`, `resource`, `name` and `error` by keyword."""


def collect(store: Store, spec: Document, complain: Complain) -> list[Item]:
    """Return what a backup of this spec holds, in Velero's order, without what comes along because it is related."""
    active = [item for item in store.list("namespaces") if dig(item, "status.phase") != "Terminating"]
    names = [item["metadata"]["name"] for item in active]
    for name in missing_namespaces(spec, names):
        complain(f"fail to get the namespace {name} specified in backup.Spec.IncludedNamespaces", resource="namespaces")
    wanted = ResourceFilter(spec, store.kinds)
    chosen = namespaces_of(spec, names)
    items: list[Item] = []
    for kind in _ordered_kinds(store):
        if kind.resource != "namespaces" and wanted.takes(kind):
            items += _in_order(_list(store, kind, chosen, spec, complain), spec.get("orderedResources") or {}, kind)
    if wanted.takes(store.kinds.named("namespaces")):
        filled = {item.namespace for item in items}
        only_filled = includes_all_namespaces(spec) and selects_by_label(spec)
        kind = store.kinds.named("namespaces")
        for document in active:
            name, labels = document["metadata"]["name"], document["metadata"].get("labels", {})
            by_label = selects_by_label(spec) and labels_match(spec, labels)
            if by_label or name in filled or (name in chosen and not only_filled):
                items.append(Item(kind, document))
    return items


def _ordered_kinds(store: Store) -> list[Kind]:
    def order(kind: Kind) -> tuple[int, int]:
        return (0, _FIRST.index(kind.resource)) if kind.resource in _FIRST else (1 if not kind.group else 2, 0)

    return sorted(store.kinds, key=order)


def _list(store: Store, kind: Kind, namespaces: list[str], spec: Document, complain: Complain) -> Iterator[Item]:
    for namespace in namespaces if kind.namespaced else [""]:
        if has_unreadable_selector(spec):
            complain("Error listing items", namespace=namespace, resource=kind.plural, error=_UNREADABLE_SELECTOR)
            continue
        for document in store.list(kind, namespace):
            metadata = document["metadata"]
            labels = metadata.get("labels", {})
            going = "deletionTimestamp" in metadata
            if labels_match(spec, labels) and labels.get(EXCLUDE_LABEL) != "true" and not going:
                yield Item(kind, document)


def _in_order(items: Iterator[Item], orders: Document, kind: Kind) -> list[Item]:
    first = str(orders.get(kind.plural, "")).split(",")
    return sorted(items, key=lambda item: first.index(item.path) if item.path in first else len(first))


def related(store: Store, spec: Document, items: list[Item]) -> list[Item]:
    """Return the volumes that belong to the claims of a backup and are not in it yet."""
    volumes = store.kinds.named("persistentvolumes")
    if not ResourceFilter(spec, store.kinds).takes_related(volumes):
        return []
    held = {item.name for item in items if item.kind is volumes}
    claims = (item.document for item in items if item.kind.resource == "persistentvolumeclaims")
    names = dict.fromkeys(str(name) for claim in claims if (name := dig(claim, "spec.volumeName")) and name not in held)
    found = (store.find(volumes, name) for name in names)
    return [Item(volumes, document) for document in found if document is not None]


def resource_list(items: list[Item]) -> dict[str, list[str]]:
    """Return the list of resources: names by version and kind."""
    listed: dict[str, list[str]] = {}
    for item in items:
        listed.setdefault(f"{item.kind.api_version}/{item.kind.kind}", []).append(item.path)
    return {key: sorted(listed[key]) for key in sorted(listed)}


def pack_archive(items: list[Item]) -> bytes:
    """Write the archive of a backup."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        _add(archive, "metadata/version", f"{FORMAT_VERSION}\n".encode())
        for item in items:
            data = json.dumps(item.document, separators=(",", ":")).encode()
            place = f"namespaces/{item.namespace}" if item.namespace else "cluster"
            for version in ("", f"{item.kind.version}-preferredversion/"):
                _add(archive, f"resources/{item.kind.resource}/{version}{place}/{item.name}.json", data)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, path: str, data: bytes) -> None:
    member = tarfile.TarInfo(path)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def unpack_archive(data: bytes) -> dict[str, dict[tuple[str, str], Document]]:
    """Read an archive: objects by resource (`configmaps`, `deployments.apps`) and (namespace, name)."""
    found: dict[str, dict[tuple[str, str], Document]] = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        for member in archive:
            parts = member.name.split("/")
            if parts[0] != "resources" or parts[2] not in {"namespaces", "cluster"}:
                continue
            content = archive.extractfile(member)
            if content is not None:
                namespace = parts[3] if parts[2] == "namespaces" else ""
                name = parts[-1].removesuffix(".json")
                found.setdefault(parts[1], {})[namespace, name] = json.loads(content.read())
    return found
