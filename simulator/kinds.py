"""The kinds that a simulated cluster serves, as one table, so that adding a kind is adding a row."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import yaml

from simulator.documents import Document

Schema = Mapping[str, Any]

READ_VERBS = ("get", "list", "watch")
ALL_VERBS = ("create", "delete", "get", "list", "patch", "update", "watch")

OPEN: Schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
TEXT: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
FLAG: Schema = {"type": "boolean"}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
LIST: Schema = {"type": "array", "items": OPEN}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One served kind. `schema` describes the whole object but for apiVersion, kind and metadata."""

    group: str
    version: str
    plural: str
    kind: str
    schema: Schema = field(repr=False, hash=False, compare=False)
    namespaced: bool = True
    short_names: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    custom: bool = False
    """Served by a CustomResourceDefinition; these differ from built-in kinds in a dozen small ways."""
    status_subresource: bool = False
    """Status is written through `/status` only. No Velero kind has it."""
    counts_generations: bool = True
    names_are_labels: bool = False
    """Names are DNS labels (63 characters, no dots) rather than DNS subdomains."""
    delete_returns_object: bool = False
    """A DELETE answers with the object rather than with a Status."""
    selectable: tuple[str, ...] = ()
    """Fields that a fieldSelector may name, besides metadata.name and metadata.namespace."""
    initial_status: Mapping[str, Any] = field(default_factory=dict, hash=False, compare=False)

    @property
    def api_version(self) -> str:
        """What objects carry as apiVersion."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """The plural with its group: the identity of the kind, and what messages call it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def list_kind(self) -> str:
        """What lists carry as kind."""
        return f"{self.kind}List"


def _builtin(kind: str, fields: Mapping[str, Schema], *, group: str = "", plural: str = "", **options: Any) -> Kind:
    schema = {"type": "object", "properties": fields}
    return Kind(group=group, version="v1", plural=plural or f"{kind.lower()}s", kind=kind, schema=schema, **options)


_RUNS: Mapping[str, Schema] = {"spec": OPEN, "status": OPEN}
_WORKLOAD: Mapping[str, Any] = {"status_subresource": True}
_CORE: Mapping[str, Any] = {"status_subresource": True, "counts_generations": False}
_EVENT: Mapping[str, Schema] = {
    **dict.fromkeys(("involvedObject", "source", "series", "related"), OPEN),
    **dict.fromkeys(("reason", "message", "type", "action", "firstTimestamp", "lastTimestamp", "eventTime"), TEXT),
    **dict.fromkeys(("reportingComponent", "reportingInstance"), TEXT),
    "count": INTEGER,
}
_SECRET: Mapping[str, Schema] = {"data": TEXTS, "stringData": TEXTS, "type": TEXT, "immutable": FLAG}
_CONFIG_MAP: Mapping[str, Schema] = {"data": TEXTS, "binaryData": TEXTS, "immutable": FLAG}
_ACCOUNT: Mapping[str, Schema] = {"secrets": LIST, "imagePullSecrets": LIST, "automountServiceAccountToken": FLAG}
_RBAC: Mapping[str, Any] = {"group": "rbac.authorization.k8s.io", "counts_generations": False}
_ROLE: Mapping[str, Schema] = {"rules": LIST, "aggregationRule": OPEN}
_BINDING: Mapping[str, Schema] = {"roleRef": OPEN, "subjects": LIST}
_STORAGE_CLASS: Mapping[str, Schema] = {
    **dict.fromkeys(("provisioner", "reclaimPolicy", "volumeBindingMode"), TEXT),
    "parameters": TEXTS, "mountOptions": LIST, "allowVolumeExpansion": FLAG, "allowedTopologies": LIST,
}  # fmt: skip
_SNAPSHOT_CLASS: Mapping[str, Schema] = {"driver": TEXT, "deletionPolicy": TEXT, "parameters": TEXTS}
_SNAPSHOTS: Mapping[str, Any] = {"group": "snapshot.storage.k8s.io", "custom": True}

BUILTIN_KINDS: tuple[Kind, ...] = (
    _builtin("Namespace", _RUNS, namespaced=False, short_names=("ns",), names_are_labels=True,
             selectable=("status.phase",), initial_status={"phase": "Active"}, **_CORE),
    _builtin("Node", _RUNS, namespaced=False, short_names=("no",), selectable=("spec.unschedulable",), **_CORE),
    _builtin("PersistentVolume", _RUNS, namespaced=False, short_names=("pv",), delete_returns_object=True,
             initial_status={"phase": "Pending"}, **_CORE),
    _builtin("PersistentVolumeClaim", _RUNS, short_names=("pvc",), delete_returns_object=True,
             initial_status={"phase": "Pending"}, **_CORE),
    _builtin("Pod", _RUNS, short_names=("po",), delete_returns_object=True, initial_status={"phase": "Pending"},
             selectable=("spec.nodeName", "status.phase", "spec.serviceAccountName"), **_WORKLOAD),
    _builtin("Service", _RUNS, short_names=("svc",), names_are_labels=True, delete_returns_object=True,
             initial_status={"loadBalancer": {}}, **_CORE),
    _builtin("ConfigMap", _CONFIG_MAP, short_names=("cm",), counts_generations=False),
    _builtin("Secret", _SECRET, selectable=("type",), counts_generations=False),
    _builtin("ServiceAccount", _ACCOUNT, short_names=("sa",), delete_returns_object=True, counts_generations=False),
    _builtin("Event", _EVENT, short_names=("ev",), counts_generations=False,
             selectable=("involvedObject.kind", "involvedObject.name", "involvedObject.namespace", "reason", "type")),
    _builtin("Deployment", _RUNS, group="apps", short_names=("deploy",), **_WORKLOAD),
    _builtin("StatefulSet", _RUNS, group="apps", short_names=("sts",), **_WORKLOAD),
    _builtin("DaemonSet", _RUNS, group="apps", short_names=("ds",), **_WORKLOAD),
    _builtin("ReplicaSet", _RUNS, group="apps", short_names=("rs",), **_WORKLOAD),
    _builtin("Job", _RUNS, group="batch", **_WORKLOAD),
    _builtin("CronJob", _RUNS, group="batch", short_names=("cj",), **_WORKLOAD),
    _builtin("Ingress", _RUNS, group="networking.k8s.io", plural="ingresses", short_names=("ing",),
             initial_status={"loadBalancer": {}}, **_WORKLOAD),
    _builtin("NetworkPolicy", _RUNS, group="networking.k8s.io", plural="networkpolicies", short_names=("netpol",)),
    _builtin("PodDisruptionBudget", _RUNS, group="policy", short_names=("pdb",), **_WORKLOAD),
    _builtin("Role", _ROLE, **_RBAC),
    _builtin("RoleBinding", _BINDING, **_RBAC),
    _builtin("ClusterRole", _ROLE, namespaced=False, **_RBAC),
    _builtin("ClusterRoleBinding", _BINDING, namespaced=False, **_RBAC),
    _builtin("StorageClass", _STORAGE_CLASS, group="storage.k8s.io", plural="storageclasses", namespaced=False,
             short_names=("sc",), counts_generations=False),
    _builtin("VolumeSnapshotClass", _SNAPSHOT_CLASS, plural="volumesnapshotclasses", namespaced=False, **_SNAPSHOTS),
    _builtin("VolumeSnapshot", _RUNS, status_subresource=True, short_names=("vs",), **_SNAPSHOTS),
    _builtin("VolumeSnapshotContent", _RUNS, namespaced=False, status_subresource=True, short_names=("vsc",), **_SNAPSHOTS),
    _builtin("CustomResourceDefinition", _RUNS, group="apiextensions.k8s.io", namespaced=False,
             short_names=("crd", "crds"), verbs=READ_VERBS),
)  # fmt: skip


@cache
def velero_definitions() -> tuple[Document, ...]:
    """Return the CustomResourceDefinitions of Velero, as its release ships them."""
    documents = [yaml.safe_load(file.read_text()) for file in _yaml_files(files("simulator") / "crds")]
    return tuple(sorted(documents, key=lambda crd: str(crd["metadata"]["name"])))


def _yaml_files(folder: Traversable) -> Iterator[Traversable]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _yaml_files(entry)
        elif entry.name.endswith(".yaml"):
            yield entry


def custom_kinds(definition: Document) -> Iterator[Kind]:
    """Return the kinds, one a served version, that a CustomResourceDefinition declares."""
    spec = definition["spec"]
    names = spec["names"]
    for version in spec["versions"]:
        if version["served"]:
            yield Kind(
                group=spec["group"],
                version=version["name"],
                plural=names["plural"],
                kind=names["kind"],
                schema=version["schema"]["openAPIV3Schema"],
                namespaced=spec["scope"] == "Namespaced",
                short_names=tuple(names.get("shortNames", ())),
                custom=True,
                status_subresource="status" in version.get("subresources", {}),
            )


class Kinds:
    """The table, with the ways of looking a kind up."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._kinds = tuple(kinds)
        self._by_path = {(kind.group, kind.version, kind.plural): kind for kind in self._kinds}
        self._by_name = {kind.plural: kind for kind in reversed(self._kinds)} | {kind.resource: kind for kind in self._kinds}

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._kinds)

    def served(self, group: str, version: str, plural: str) -> Kind | None:
        """Return the kind behind a URL, if there is one."""
        return self._by_path.get((group, version, plural))

    def named(self, name: str) -> Kind:
        """Find a kind by its plural, with or without its group (`backups`, `backups.velero.io`). Raise KeyError."""
        return self._by_name[name]

    def groups(self) -> dict[str, list[str]]:
        """Return versions by group, the preferred version of each first; the core group is left out."""
        groups: dict[str, list[str]] = {}
        for kind in self._kinds:
            if kind.group and kind.version not in groups.setdefault(kind.group, []):
                groups[kind.group].append(kind.version)
        return {group: sorted(versions, key=lambda version: ("alpha" in version or "beta" in version, version))
                for group, versions in groups.items()}  # fmt: skip


@cache
def default_kinds() -> Kinds:
    """Return everything: the built-in kinds and Velero's."""
    return Kinds((*BUILTIN_KINDS, *(kind for crd in velero_definitions() for kind in custom_kinds(crd))))
