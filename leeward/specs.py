"""What was to be backed up or restored, and how, in words: in the order of Velero's own `describe`. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leeward import words

Item = Mapping[str, Any]
_LEFT_TO_VELERO = "auto"
_Form = Callable[[Any], str]


def _yes_no(value: Any) -> str:
    return _LEFT_TO_VELERO if value is None else words.plain(value)


def selector(value: Any) -> str:
    """Write a label selector as kubectl does."""
    told = [f"{key}={label}" for key, label in ((value or {}).get("matchLabels") or {}).items()]
    for term in (value or {}).get("matchExpressions") or []:
        key, operator, values = term.get("key"), term.get("operator"), ",".join(map(str, term.get("values") or []))
        simple = {"Exists": str(key), "DoesNotExist": f"!{key}"}
        told.append(simple.get(str(operator), f"{key} {str(operator).lower()} ({values})"))
    return words.plain(",".join(told))


def _selectors(value: Any) -> str:
    return " or ".join(selector(each) for each in value or []) or words.UNKNOWN


def _hook_names(value: Any) -> str:
    return words.plain([hook.get("name") for hook in (value or {}).get("resources") or []])


def _named(value: Any) -> str:
    return words.plain((value or {}).get("name"))


def _mapping(value: Any) -> str:
    return words.plain([f"{source} to {target}" for source, target in (value or {}).items()])


def _existing(value: Any) -> str:
    return "are updated" if value == "update" else "stay as they are"


def _status(value: Any) -> str:
    if value is None:
        return words.UNKNOWN
    without = f" without {words.plain(value['excludedResources'])}" if value.get("excludedResources") else ""
    return f"of {words.plain(value.get('includedResources') or 'all')}{without}"


@dataclass(frozen=True, slots=True)
class Table:
    """How a spec is told: what it takes and leaves out (title, fields, what an empty first one means), then field by field."""

    filters: Sequence[tuple[str, str, str, str]]
    fields: Sequence[tuple[str, str, _Form]]
    apart: frozenset[str] = frozenset()
    """What is told elsewhere."""

    @property
    def known(self) -> set[str]:
        """The fields that are told in words of ours."""
        return {
            *self.apart,
            *(field for _, *pair, _ in self.filters for field in pair),
            *(field for _, field, _ in self.fields),
        }


BACKUP = Table(
    filters=(
        ("Resources", "includedResources", "excludedResources", "all"),
        ("Cluster-scoped", "includedClusterScopedResources", "excludedClusterScopedResources", _LEFT_TO_VELERO),
        ("Namespace-scoped", "includedNamespaceScopedResources", "excludedNamespaceScopedResources", "all"),
    ),
    fields=(
        ("Cluster Resources", "includeClusterResources", _yes_no),
        ("Label Selector", "labelSelector", selector),
        ("Or Selectors", "orLabelSelectors", _selectors),
        ("Ordered Resources", "orderedResources", words.plain),
        ("Resource Policy", "resourcePolicy", _named),
        ("Storage Location", "storageLocation", words.plain),
        ("Snapshot Volumes", "snapshotVolumes", _yes_no),
        ("Snapshot Locations", "volumeSnapshotLocations", words.plain),
        ("Move Snapshot Data", "snapshotMoveData", words.plain),
        ("Data Mover", "datamover", words.plain),
        ("File System Backup", "defaultVolumesToFsBackup", words.plain),
        ("Uploader", "uploaderConfig", words.plain),
        ("Volume Group Label", "volumeGroupSnapshotLabelKey", words.plain),
        ("TTL", "ttl", words.plain),
        ("CSI Snapshot Timeout", "csiSnapshotTimeout", words.plain),
        ("Item Operation Timeout", "itemOperationTimeout", words.plain),
        ("Hooks", "hooks", _hook_names),
    ),
    apart=frozenset({"includedNamespaces", "excludedNamespaces"}),
)
RESTORE = Table(
    filters=(
        ("Namespaces", "includedNamespaces", "excludedNamespaces", "all"),
        ("Resources", "includedResources", "excludedResources", "all"),
    ),
    fields=(
        ("Namespace Mapping", "namespaceMapping", _mapping),
        ("Existing Objects", "existingResourcePolicy", _existing),
        ("Cluster Resources", "includeClusterResources", _yes_no),
        ("Label Selector", "labelSelector", selector),
        ("Or Selectors", "orLabelSelectors", _selectors),
        ("Restore Volumes", "restorePVs", _yes_no),
        ("Keep Node Ports", "preserveNodePorts", _yes_no),
        ("Restore Status", "restoreStatus", _status),
        ("Modifiers", "resourceModifier", _named),
        ("Uploader", "uploaderConfig", words.plain),
        ("Item Operation Timeout", "itemOperationTimeout", words.plain),
        ("Hooks", "hooks", _hook_names),
    ),
    apart=frozenset({"backupName", "scheduleName"}),
)


def told(item: Item, table: Table) -> Iterator[tuple[str, Any]]:
    """Say what was to be backed up or restored, and how."""
    spec = item.get("spec") or item.get("requestedSpec") or {}
    if not spec:
        return
    for title, included, excluded, usual in table.filters:
        which, without = spec.get(included) or [], spec.get(excluded) or []
        if which or without or title in _ALWAYS:
            named = words.plain(which) if which and which != ["*"] else "all" if which else usual
            yield title, named + (f" without {words.plain(without)}" if without else "")
    for title, field, form in table.fields:
        yield title, form(spec.get(field))
    for field, value in spec.items():  # what a newer Velero has
        if field not in table.known and value not in (None, [], {}, ""):
            yield field, words.plain(value)


_ALWAYS = {"Namespaces", "Resources"}
