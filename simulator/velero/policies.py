"""Resource policies: what Velero takes as such, and what it says to everything else. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import yaml

from simulator.documents import Document
from simulator.velero.claims import size_of

Policies = Mapping[str, Any]

_VERSION = "v1"
_ACTIONS = ("skip", "snapshot", "fs-backup", "custom")
_LISTS = tuple(f"{verb}{scope}ScopedResources" for scope in ("Cluster", "Namespace") for verb in ("included", "excluded"))
_FILTER = ("ResourceFilter", ("kinds", "labelSelector", "orLabelSelectors", "names", "excludedNames"))
_CONDITIONS = (
    "capacity", "storageClass", "nfs", "csi", "volumeTypes", "pvcLabels", "pvcPhase", "pvcVolumeMode", "pvcAccessModes",
)  # fmt: skip
_TYPES: tuple[tuple[tuple[str, ...], str, tuple[str, ...]], ...] = (
    ((), "ResourcePolicies",
     ("version", "volumePolicies", "includeExcludePolicy", "clusterScopedFilterPolicy", "namespacedFilterPolicies")),
    (("volumePolicies",), "VolumePolicy", ("conditions", "action")),
    (("volumePolicies", "action"), "Action", ("type", "parameters")),
    (("includeExcludePolicy",), "IncludeExcludePolicy", _LISTS),
    (("clusterScopedFilterPolicy",), "ClusterScopedFilterPolicy", ("resourceFilters",)),
    (("clusterScopedFilterPolicy", "resourceFilters"), *_FILTER),
    (("namespacedFilterPolicies",), "NamespacedFilterPolicy", ("namespaces", "resourceFilters")),
    (("namespacedFilterPolicies", "resourceFilters"), *_FILTER),
)  # fmt: skip
"""Where each of Velero's types stands, what it is called there, and the fields that it has; lists do not count as a step."""

_QUANTITY = re.compile(r"([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)")
_NO_QUANTITY = f"quantities must match the regular expression '^{_QUANTITY.pattern}$'"


class PolicyError(Exception):
    """Velero does not take the policies; the text is its own."""


def read(config_map: Document, namespace: str, backup: str) -> Policies:
    """Read the policies of a ConfigMap for a backup. Raise PolicyError."""
    try:
        found = _decode(config_map, namespace)
    except PolicyError as error:
        # Velero names the backup where it means the ConfigMap.
        raise PolicyError(f"fail to read the ResourcePolicies from ConfigMap {namespace}/{backup}: {error}") from error
    for problem in _problems(found):
        raise PolicyError(f"fail to validate ResourcePolicies in ConfigMap {namespace}/{backup}: {problem}")
    return found


def filters_problems(policies: Policies) -> Iterator[str]:
    """Say what of the policies cannot stand beside old filters."""
    if policies.get("includeExcludePolicy") is not None:
        yield "They cannot be used with include-exclude policies."
    if policies.get("namespacedFilterPolicies") or policies.get("clusterScopedFilterPolicy") is not None:
        yield "They cannot be used with namespace-scoped or fine-grained global filter policies."


# Reading


def _decode(config_map: Document, namespace: str) -> Policies:
    data = config_map.get("data") or {}
    if len(data) != 1:
        raise PolicyError(f"illegal resource policies {namespace}/{config_map['metadata']['name']} configmap")
    (text,) = data.values()
    undecoded = "failed to decode yaml data into resource policies  "
    try:
        tree, found = yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise PolicyError(f"{undecoded}yaml: {error}") from error
    if tree is None:
        raise PolicyError(f"{undecoded}EOF")
    if strange := list(_strange_fields(tree, ())):
        raise PolicyError(undecoded + _unmarshal_errors(strange))
    for policy in found.get("volumePolicies") or []:
        _judge_conditions(policy.get("conditions") or {})
    return dict(found)


def _strange_fields(node: yaml.Node, place: tuple[str, ...]) -> Iterator[tuple[int, str, str]]:
    """Find the fields that a type does not have: line, name and type."""
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _strange_fields(item, place)
    elif isinstance(node, yaml.MappingNode):
        name, known = next(((name, fields) for where, name, fields in _TYPES if where == place), ("", None))
        for key, value in node.value:
            if known is not None and key.value not in known:
                yield key.start_mark.line + 1, key.value, name
            else:
                yield from _strange_fields(value, (*place, key.value))


def _unmarshal_errors(strange: Iterable[tuple[int, str, str]]) -> str:
    lines = (f"\n  line {line}: field {name} not found in type resourcepolicies.{of}" for line, name, of in strange)
    return "yaml: unmarshal errors:" + "".join(lines)


def _judge_conditions(conditions: Mapping[str, Any]) -> None:
    labels = conditions.get("pvcLabels", {})
    if not isinstance(labels, dict):
        raise PolicyError(f"pvcLabels must be a map of string to string, got {_go_type(labels)}")
    for name, kind, words in (("pvcVolumeMode", str, "a string"), ("pvcAccessModes", list, "a list of strings")):
        if not isinstance(conditions.get(name, kind()), kind):
            raise PolicyError(f"{name} must be {words}, got {_go_type(conditions[name])}")
    # Velero writes them anew, in the order of their names, and reads them once more.
    strange = [(line, name, "volumeConditions") for line, name in enumerate(sorted(conditions), 1) if name not in _CONDITIONS]
    if strange:
        raise PolicyError(f"failed to decode volume conditions: {_unmarshal_errors(strange)}")
    capacity = str(conditions.get("capacity") or ",")
    if capacity.count(",") != 1:
        raise PolicyError(f"wrong format of Capacity {capacity}")
    for part in filter(str.strip, capacity.split(",")):
        if not _QUANTITY.fullmatch(part.strip()):
            raise PolicyError(f"wrong format of Capacity {part} with err {_NO_QUANTITY}")


def _go_type(value: Any) -> str:
    names = {str: "string", bool: "bool", int: "int", float: "float64", list: "[]interface {}", type(None): "<nil>"}
    return names.get(type(value), "map[string]interface {}")


# Judging


def _problems(policies: Policies) -> Iterator[str]:
    version = policies.get("version") or ""
    if version != _VERSION:
        yield f"incompatible version number {version} with supported version {_VERSION}"
    for policy in policies.get("volumePolicies") or []:
        yield from _action_problems(policy.get("action") or {})
        yield from _capacity_problems(policy.get("conditions") or {})
        csi = (policy.get("conditions") or {}).get("csi") or {}
        if csi.get("volumeAttributes") is not None and not csi.get("driver"):
            yield "csi driver should not be empty when filtering by volume attributes"
    filters = policies.get("includeExcludePolicy") or {}
    for included, excluded in zip(_LISTS[::2], _LISTS[1::2], strict=True):
        yield from _list_problems(filters.get(included) or [], filters.get(excluded) or [])


def _action_problems(action: Mapping[str, Any]) -> Iterator[str]:
    kind = action.get("type") or ""
    if kind not in _ACTIONS:
        yield f"invalid action type {kind}"


def _capacity_problems(conditions: Mapping[str, Any]) -> Iterator[str]:
    lower, upper = map(size_of, str(conditions.get("capacity") or ",").split(","))
    if upper and lower > upper:
        yield f"illegal values for capacity {conditions['capacity']}"


def _list_problems(included: Sequence[str], excluded: Sequence[str]) -> Iterator[str]:
    if "*" in (*included, *excluded):
        yield "cannot use '*' in includes or excludes filters in the policy"
    for name in sorted(set(included) & set(excluded)):
        yield f"excludes list cannot contain an item in the includes list: {name}"
