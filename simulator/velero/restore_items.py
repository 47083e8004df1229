"""What a restore brings back, in which order, and how each object is made fit for another life. Pure functions."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from simulator.documents import Document, clone, dig, merge_patch, without
from simulator.kinds import Kind, Kinds
from simulator.velero.selection import includes_all_namespaces, labels_match, namespaces_of, resolve

Archive = Mapping[str, Mapping[tuple[str, str], Document]]

RESTORE_STATUS = "velero.io/restore-status"

_FIRST = (
    "customresourcedefinitions.apiextensions.k8s.io", "namespaces", "storageclasses.storage.k8s.io",
    "volumesnapshotclasses.snapshot.storage.k8s.io", "volumesnapshotcontents.snapshot.storage.k8s.io",
    "volumesnapshots.snapshot.storage.k8s.io", "persistentvolumes", "persistentvolumeclaims", "serviceaccounts", "secrets",
    "configmaps", "pods", "replicasets.apps",
)  # fmt: skip
_FORGOTTEN = (
    "generateName", "selfLink", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
    "deletionGracePeriodSeconds", "ownerReferences", "managedFields",
)  # fmt: skip
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_MIRROR = "kubernetes.io/config.mirror"
_BINDING = ("pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller", "volume.kubernetes.io/selected-node")


@dataclass(frozen=True, slots=True)
class Piece:
    """One object of a backup that is to be restored, and the namespace that it goes to."""

    kind: Kind
    document: Document
    target: str

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.document["metadata"]["name"])

    @property
    def source(self) -> str:
        """The namespace that it comes from."""
        return str(self.document["metadata"].get("namespace", ""))

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is, where it goes and what it is called."""
        return self.kind.resource, self.target, self.name


class Choice:
    """What the spec of a restore takes from an archive."""

    def __init__(self, spec: Document, kinds: Kinds) -> None:
        self._spec = spec
        self._kinds = kinds
        self._included = resolve(spec.get("includedResources") or ["*"], kinds)
        self._excluded = resolve(spec.get("excludedResources") or [], kinds)
        self._mapping = spec.get("namespaceMapping") or {}

    def takes(self, resource: str) -> bool:
        """Tell whether objects of a resource are restored at all."""
        return ("*" in self._included or resource in self._included) and resource not in self._excluded

    def takes_cluster_scoped(self, *, related: bool = False) -> bool:
        """Tell whether objects without a namespace are restored, or may at least come along because another one needs them."""
        wanted = self._spec.get("includeClusterResources")
        if wanted is None:
            return related or includes_all_namespaces(self._spec)
        return bool(wanted)

    def namespaces(self, archive: Archive) -> list[Piece]:
        """Return the namespaces that are made even where nothing goes into them: all, if everything is restored."""
        if not self.takes("namespaces") or not self.takes_cluster_scoped():
            return []
        kind, found = self._kinds.named("namespaces"), archive.get("namespaces", {})
        wanted = [name for (_, name), document in sorted(found.items()) if self._selects(document)]
        return [Piece(kind, found["", name], self._mapping.get(name, name)) for name in namespaces_of(self._spec, wanted)]

    def _selects(self, document: Document) -> bool:
        return labels_match(self._spec, document["metadata"].get("labels", {}))

    def pieces(self, archive: Archive) -> list[Piece]:
        """Return what else is to be restored, in Velero's order; other namespaces are made when something goes into them."""
        found = []
        for resource in sorted(archive, key=_order):
            kind = next((kind for kind in self._kinds if kind.resource == resource), None)
            if kind is None or resource == "namespaces" or not self.takes(resource):
                continue
            found += [piece for piece in self._of_kind(kind, archive[resource]) if not _is_over(piece)]
        return found

    def _of_kind(self, kind: Kind, objects: Mapping[tuple[str, str], Document]) -> Iterator[Piece]:
        for (namespace, _), document in sorted(objects.items()):
            wanted = bool(namespaces_of(self._spec, [namespace])) if kind.namespaced else self.takes_cluster_scoped()
            if wanted and self._selects(document):
                yield self.piece(kind, document)

    def piece(self, kind: Kind, document: Document) -> Piece:
        """Return an object with the namespace that it goes to."""
        namespace = document["metadata"].get("namespace", "")
        return Piece(kind, document, self._mapping.get(namespace, namespace))


def _order(resource: str) -> tuple[int, str]:
    return (_FIRST.index(resource), "") if resource in _FIRST else (len(_FIRST), resource)


def _is_over(piece: Piece) -> bool:
    """Tell whether an object has done its work, or belongs to a node: nobody restores it."""
    document = piece.document
    if piece.kind.resource == "pods":
        return dig(document, "status.phase") in {"Succeeded", "Failed"} or _MIRROR in _annotations(document)
    return piece.kind.resource == "jobs.batch" and bool(dig(document, "status.completionTime"))


def _annotations(document: Document) -> Document:
    found: Document = document["metadata"].get("annotations") or {}
    return found


# What is changed in an object


def reset(document: Document) -> Document:
    """Return an object without what only the server writes, and without its status."""
    return {**without(document, ["status"]), "metadata": without(document["metadata"], _FORGOTTEN)}


def same(one: Document, other: Document) -> bool:
    """Tell whether two objects differ in nothing but what the server writes; empty labels are none."""
    return _without_empty(reset(one)) == _without_empty(reset(other))


def _without_empty(document: Document) -> Document:
    return {**document, "metadata": {key: value for key, value in document["metadata"].items() if value}}


def changed(existing: Document, wanted: Document, kind: Kind) -> Document:
    """Return an existing object brought back to the version of the backup; what the cluster has assigned to it is kept."""
    if kind.resource in _PREPARATIONS:
        merged: Document = merge_patch(existing, wanted)
        return merged
    return {**existing, **wanted, "metadata": {**existing["metadata"], **wanted["metadata"]}}


def merged_account(existing: Document, wanted: Document) -> Document:
    """Return a ServiceAccount with what the backup knew in addition; that happens under every policy."""
    merged = clone(existing)
    for part in ("secrets", "imagePullSecrets"):
        names = {entry.get("name") for entry in existing.get(part) or ()}
        added = [entry for entry in wanted.get(part) or () if entry.get("name") not in names]
        if added:
            merged[part] = [*(existing.get(part) or ()), *added]
    for part in ("labels", "annotations"):
        own = {key: value for key, value in (wanted["metadata"].get(part) or {}).items() if not key.startswith("velero.io/")}
        if own:
            merged["metadata"][part] = {**own, **(existing["metadata"].get(part) or {})}
    return dict(merged)


def wants_status(spec: Document, resource: str, document: Document, kinds: Kinds) -> bool:
    """Tell whether the status of an object is restored as well."""
    own = _annotations(document).get(RESTORE_STATUS)
    if own is not None:
        return str(own).lower() == "true"
    asked = spec.get("restoreStatus")
    if asked is None:
        return False
    included, excluded = (resolve(asked.get(field) or [], kinds) for field in ("includedResources", "excludedResources"))
    return (not included or "*" in included or resource in included) and resource not in excluded


def prepare(piece: Piece, spec: Document) -> Document:
    """Return an object as it is created again, still in its old namespace: what the old cluster had assigned is taken out."""
    document = clone(reset(piece.document))
    return _PREPARATIONS.get(piece.kind.resource, _as_it_is)(document, spec)


def _as_it_is(document: Document, _: Document) -> Document:
    return document


def _service(document: Document, spec: Document) -> Document:
    service = document.get("spec") or {}
    if service.get("clusterIP") != "None":
        for assigned in ("clusterIP", "clusterIPs"):
            service.pop(assigned, None)
    if not spec.get("preserveNodePorts"):
        kept = set(_applied_node_ports(document))
        for port in service.get("ports") or ():
            if port.get("nodePort") not in kept:
                port.pop("nodePort", None)
        service.pop("healthCheckNodePort", None)
    return document


def _applied_node_ports(document: Document) -> Iterator[int]:
    try:
        applied = json.loads(_annotations(document).get(_LAST_APPLIED, "{}"))
    except ValueError:
        return
    yield from (port["nodePort"] for port in dig(applied, "spec.ports") or () if port.get("nodePort"))


def _pod(document: Document, _: Document) -> Document:
    for assigned in ("nodeName", "priority"):
        document.get("spec", {}).pop(assigned, None)
    return document


def _claim(document: Document, _: Document) -> Document:
    for annotation in _BINDING:
        _annotations(document).pop(annotation, None)
    return document


def _volume(document: Document, spec: Document) -> Document:
    reference = dig(document, "spec.claimRef")
    if reference:
        mapping = spec.get("namespaceMapping") or {}
        namespace = reference.get("namespace", "")
        kept = without(reference, ("uid", "resourceVersion"))
        document["spec"]["claimRef"] = {**kept, "namespace": mapping.get(namespace, namespace)}
    return document


def _job(document: Document, _: Document) -> Document:
    owned = ("controller-uid", "batch.kubernetes.io/controller-uid")
    for labels in (document["metadata"].get("labels"), dig(document, "spec.template.metadata.labels")):
        for label in owned:
            (labels or {}).pop(label, None)
    document.get("spec", {}).pop("selector", None)
    return document


def _binding(document: Document, spec: Document) -> Document:
    mapping = spec.get("namespaceMapping") or {}
    for subject in document.get("subjects") or ():
        if subject.get("namespace") in mapping:
            subject["namespace"] = mapping[subject["namespace"]]
    return document


_PREPARATIONS: Mapping[str, Callable[[Document, Document], Document]] = {
    "services": _service,
    "pods": _pod,
    "persistentvolumeclaims": _claim,
    "persistentvolumes": _volume,
    "jobs.batch": _job,
    "rolebindings.rbac.authorization.k8s.io": _binding,
    "clusterrolebindings.rbac.authorization.k8s.io": _binding,
}
