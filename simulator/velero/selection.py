"""What a backup is to hold: namespaces, kinds and labels. Pure functions over its spec."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from simulator.documents import Document
from simulator.kinds import Kind, Kinds

AUTO_EXCLUDED_NAMESPACED = ("volumesnapshots.snapshot.storage.k8s.io",)
AUTO_EXCLUDED_CLUSTER = ("volumesnapshotcontents.snapshot.storage.k8s.io",)
EXCLUDE_LABEL = "velero.io/exclude-from-backup"

_OLD_FILTERS = ("includedResources", "excludedResources", "includeClusterResources")
_OPERATORS = ("Exists", "DoesNotExist", "In", "NotIn")
_NEW_FILTERS = (
    "includedClusterScopedResources", "excludedClusterScopedResources",
    "includedNamespaceScopedResources", "excludedNamespaceScopedResources",
)  # fmt: skip


def uses_old_filters(spec: Document) -> bool:
    """Tell whether a spec names resources in the way of before 1.11."""
    return any(spec.get(field) not in (None, []) for field in _OLD_FILTERS)


def mixes_filters(spec: Document) -> bool:
    """Tell whether a spec uses both ways of naming resources."""
    return uses_old_filters(spec) and any(spec.get(field) for field in _NEW_FILTERS)


# Namespaces


def _matches(patterns: Iterable[str], name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def includes_all_namespaces(spec: Document) -> bool:
    """Tell whether a spec leaves no namespace out."""
    return spec.get("includedNamespaces") in (None, [], ["*"]) and not spec.get("excludedNamespaces")


def namespaces_of(spec: Document, existing: Iterable[str]) -> list[str]:
    """Return those of the existing namespaces that a spec means."""
    included = spec.get("includedNamespaces") or ["*"]
    excluded = spec.get("excludedNamespaces") or []
    return [name for name in existing if _matches(included, name) and not _matches(excluded, name)]


def missing_namespaces(spec: Document, existing: Sequence[str]) -> list[str]:
    """Return the namespaces that a spec names but that do not exist; a pattern need not match anything."""
    return [name for name in spec.get("includedNamespaces") or [] if "*" not in name and name not in existing]


# Labels


def _label_selectors(spec: Document) -> list[Document]:
    if spec.get("orLabelSelectors"):
        return list(spec["orLabelSelectors"])
    return [spec["labelSelector"]] if spec.get("labelSelector") is not None else []


def selects_by_label(spec: Document) -> bool:
    """Tell whether a spec has any label selector."""
    return bool(_label_selectors(spec))


def has_unreadable_selector(spec: Document) -> bool:
    """Tell whether Velero writes a selector as `<none>` or `<error>`, which the API server cannot read.

    That is one without a condition, or with an operator that there is not.
    """
    return any(
        not any(selector.values())
        or any(term.get("operator") not in _OPERATORS for term in selector.get("matchExpressions") or ())
        for selector in _label_selectors(spec)
    )


def labels_match(spec: Document, labels: Document) -> bool:
    """Tell whether an object of these labels is selected."""
    selectors = _label_selectors(spec)
    return not selectors or any(_selects(selector, labels) for selector in selectors)


def _selects(selector: Document, labels: Document) -> bool:
    wanted = (selector.get("matchLabels") or {}).items()
    return all(labels.get(key) == value for key, value in wanted) and all(
        _meets(term, labels) for term in selector.get("matchExpressions") or ()
    )


def _meets(term: Document, labels: Document) -> bool:
    key, values = term.get("key", ""), term.get("values") or []
    match term.get("operator"):
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
    return False


# Kinds


def resolve(names: Iterable[str], kinds: Kinds) -> set[str]:
    """Return names of resources as `plural.group`; what discovery does not know is kept as it is."""
    known: dict[str, str] = {}
    for kind in kinds:
        for name in (kind.plural, kind.kind.lower(), *kind.short_names):
            known.setdefault(name, kind.resource)
            known.setdefault(f"{name}.{kind.group}", kind.resource)
    return {known.get(name.lower(), name) for name in names}


@dataclass(frozen=True, slots=True)
class _Lists:
    included: set[str]
    excluded: set[str]

    def take(self, resource: str) -> bool:
        wanted = not self.included or "*" in self.included or resource in self.included
        return wanted and resource not in self.excluded and "*" not in self.excluded


def _lists(spec: Document, word: str, kinds: Kinds) -> _Lists:
    return _Lists(*(resolve(spec.get(f"{way}{word}") or (), kinds) for way in ("included", "excluded")))


class ResourceFilter:
    """Which kinds a backup takes, by the old or the new way of naming them."""

    def __init__(self, spec: Document, kinds: Kinds) -> None:
        everything = includes_all_namespaces(spec)
        self._old = uses_old_filters(spec)
        self._cluster_flag: Any = spec.get("includeClusterResources")
        if self._old:
            self._namespaced = self._cluster = _lists(spec, "Resources", kinds)
            self._takes_cluster = self._cluster_flag is True or (self._cluster_flag is None and everything)
            return
        self._namespaced = _lists(spec, "NamespaceScopedResources", kinds)
        self._cluster = _lists(spec, "ClusterScopedResources", kinds)
        unlimited = not self._namespaced.included and not self._namespaced.excluded - set(AUTO_EXCLUDED_NAMESPACED)
        no_cluster_list = not self._cluster.included and not self._cluster.excluded - set(AUTO_EXCLUDED_CLUSTER)
        self._takes_cluster = bool(self._cluster.included) or (everything and unlimited and no_cluster_list)

    def takes(self, kind: Kind) -> bool:
        """Tell whether objects of a kind are listed for the backup."""
        if kind.namespaced:
            return self._namespaced.take(kind.resource)
        if kind.resource == "namespaces":
            if self._old:
                return self._cluster_flag is not False and self._cluster.take(kind.resource)
            return self.takes_related(kind)
        return self._takes_cluster and self._cluster.take(kind.resource)

    def takes_related(self, kind: Kind) -> bool:
        """Tell whether an object of a cluster-scoped kind may come along because another one needs it."""
        if self._old:
            return self._cluster_flag is not False
        return kind.resource not in self._cluster.excluded and "*" not in self._cluster.excluded
