"""Which objects of a backup a restore is about, as far as their names tell. Pure.

The names are those of `backup.survey`; the rules are Velero's (v1.18, `pkg/restore`): see `docs/restore.md`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from shared.contracts.events import KindInfo
from shared.contracts.restorespec import RestoreSpec
from shared.contracts.surveys import Held, NodePort

_NAMESPACE = ("", "Namespace")
_NEVER = frozenset(
    {
        ("", "Node"),
        ("", "Event"),
        ("events.k8s.io", "Event"),
        ("storage.k8s.io", "CSINode"),
        ("storage.k8s.io", "VolumeAttachment"),
        *(("velero.io", kind) for kind in ("Backup", "Restore", "ResticRepository", "BackupRepository")),
    }
)
"""Group and kind of what Velero never restores."""


@dataclass(frozen=True, slots=True)
class Names:
    """Every name by which a kind can be meant, as the clusters told them; a kind that none has is guessed from its own."""

    known: Mapping[tuple[str, str], frozenset[str]]

    @classmethod
    def told(cls, kinds: Iterable[KindInfo]) -> "Names":
        """Return the names of the kinds of any number of clusters."""
        known: dict[tuple[str, str], frozenset[str]] = {}
        for each in kinds:
            words = {each.name, each.singular or each.kind, each.kind, *each.short_names}
            own = frozenset(word.lower() for word in words if word)
            known[each.group, each.kind] = known.get((each.group, each.kind), frozenset()) | own
        return cls(known)

    def of(self, held: Held) -> frozenset[str]:
        """Return every name of a kind that is in a backup: short and long, with and without its group and version."""
        group, version, kind = parts_of(held)
        word = held.kind.lower()
        guessed = {word, f"{word}s", f"{word}es", f"{word.removesuffix('y')}ies"}
        words = self.known.get((group, kind)) or guessed
        return frozenset(words) | {f"{w}.{end}" for w in words for end in (group, f"{version}.{group}") if group}


def parts_of(held: Held) -> tuple[str, str, str]:
    """Return group, version and kind."""
    group, _, version = held.api_version.rpartition("/")
    return group, version, held.kind


def namespace_of(name: str) -> str | None:
    """Return the namespace in `namespace/name`; None for an object outside of namespaces."""
    namespace, slash, _ = name.partition("/")
    return namespace if slash else None


def namespaces_in(held: Iterable[Held]) -> frozenset[str]:
    """Return the namespaces that a backup holds something of, or itself."""
    found = set[str]()
    for each in held:
        if parts_of(each)[::2] == _NAMESPACE:
            found |= set(each.names)
        else:
            found |= {namespace for name in each.names if (namespace := namespace_of(name)) is not None}
    return frozenset(found)


def concerned(held: Iterable[Held], spec: RestoreSpec, names: Names) -> list[Held]:
    """Return what of a backup would be restored; labels are not known here, so a selector may leave fewer of them."""
    found: list[Held] = []
    for each in held:
        group, _, kind = parts_of(each)
        if (group, kind) in _NEVER or not _kind_fits(names.of(each), spec):
            continue
        is_namespace = (group, kind) == _NAMESPACE
        chosen = [name for name in each.names if _name_fits(name if is_namespace else namespace_of(name), spec)]
        if chosen:
            found.append(each.model_copy(update={"names": chosen}))
    return found


def _kind_fits(words: Collection[str], spec: RestoreSpec) -> bool:
    included = not spec.included_resources or any(name == "*" or name.lower() in words for name in spec.included_resources)
    return included and not any(name.lower() in words for name in spec.excluded_resources)


def _name_fits(namespace: str | None, spec: RestoreSpec) -> bool:
    if namespace is not None:
        return takes(namespace, spec)
    if spec.include_cluster_resources is not None:
        return spec.include_cluster_resources
    return not spec.included_namespaces and not spec.excluded_namespaces


def takes(namespace: str, spec: RestoreSpec) -> bool:
    """Tell whether a namespace of the backup is restored."""
    return (not spec.included_namespaces or namespace in spec.included_namespaces) and (
        namespace not in spec.excluded_namespaces
    )


def in_target(held: Iterable[Held], mapping: Mapping[str, str]) -> list[Held]:
    """Return objects as they will be named; the namespaces themselves are left out: they are made as they are needed."""
    return [
        each.model_copy(update={"names": [renamed(name, mapping) for name in each.names]})
        for each in held
        if parts_of(each)[::2] != _NAMESPACE
    ]


def renamed(name: str, mapping: Mapping[str, str]) -> str:
    """Return the name of an object where it will be."""
    namespace, slash, rest = name.partition("/")
    return f"{mapping.get(namespace, namespace)}/{rest}" if slash else name


def ports_of(ports: Sequence[NodePort], held: Iterable[Held]) -> list[NodePort]:
    """Return the node ports of those Services that are among the objects."""
    services = {name for each in held if parts_of(each)[::2] == ("", "Service") for name in each.names}
    return [port for port in ports if port.service in services]


def has_kind(held: Iterable[Held], kind: str) -> bool:
    """Tell whether there is an object of a kind of Kubernetes' own among these."""
    return any(parts_of(each)[::2] == ("", kind) for each in held)
