"""Whether a ConfigMap is a resource policy that Velero takes (v1.18, and what earlier versions know of it). Pure.

Velero reads it strictly when a backup begins, and fails the backup over whatever it does not know.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from typing import Any, Final

import yaml

Check = Callable[[Any], str]
"""Says what a value should be, when it is something else; empty when all is well."""

_VERSION: Final = "v1"
_ACTIONS: Final = ("skip", "fs-backup", "snapshot", "custom")
_FILTERS: Final = ("includeExcludePolicy", "clusterScopedFilterPolicy", "namespacedFilterPolicies")
"""The parts that choose resources: none of them may stand beside the old filters of a backup."""
_SECTIONS: Final = ("version", "volumePolicies", *_FILTERS)
_LONGEST: Final = 128 * 1024
"""Characters that are judged here. What is longer, or says the same by reference, is left for Velero to judge."""
_QUANTITY: Final = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d{1,3})?")
_SCALES: Final = {
    **{f"{letter}i": Decimal(1024) ** n for n, letter in enumerate("KMGTPE", 1)},
    **{letter: Decimal(1000) ** n for n, letter in enumerate("num", -3)},
    **{letter: Decimal(1000) ** n for n, letter in enumerate("kMGTPE", 1)},
}


@dataclass(frozen=True, slots=True)
class Policy:
    """What is to be known of a resource policy: what Velero would not take about it, and which parts choose resources."""

    problem: str = ""
    filters: tuple[str, ...] = ()


class _LeftToVeleroError(Exception):
    """It says things by reference, which can make a short text endless."""


class _Loader(yaml.SafeLoader):
    """Reads YAML without references, in which no key stands twice."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise _LeftToVeleroError
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise _LeftToVeleroError
        mapping = super().construct_mapping(node, deep)
        if len(mapping) < len(node.value):
            raise yaml.constructor.ConstructorError(None, None, "a key stands twice", node.start_mark)
        return mapping


def read(config_map: Mapping[str, Any]) -> Policy:
    """Judge a ConfigMap. It may take some time when the text is long."""
    data = config_map.get("data") or {}
    if len(data) != 1:
        return Policy(f"it must have exactly one key, and has {len(data)}")
    (text,) = data.values()
    if len(text) > _LONGEST:
        return Policy()
    try:
        policy = next(yaml.load_all(text, _Loader), None)  # Velero reads no further document, either
    except _LeftToVeleroError:
        return Policy()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if "\t" in text:
            return Policy()  # Velero reads tabs in places where this reader does not
        return Policy(f"it is not YAML: {' '.join(str(error).split())[:200]}")
    if not isinstance(policy, dict):
        return Policy("it must be a mapping with 'version: v1'")
    return Policy(next(_problems(policy), ""), tuple(name for name in _FILTERS if policy.get(name)))


def _problems(policy: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown("", policy, _SECTIONS)
    if policy.get("version") != _VERSION:
        yield f"version must be {_VERSION}"
    rules = policy.get("volumePolicies")
    if not isinstance(rules, list | None):
        yield "volumePolicies must be a list"
        return
    for number, rule in enumerate(rules or []):
        for problem in _of_rule(rule) if rule is not None else ():
            yield f"volumePolicies[{number}]: {problem}"
    yield from _of_lists(policy.get("includeExcludePolicy"))
    if policy.get("clusterScopedFilterPolicy") == {}:
        yield "clusterScopedFilterPolicy must not be empty"


def _of_rule(rule: Any) -> Iterator[str]:
    if not isinstance(rule, dict):
        yield "must be a mapping with conditions and an action"
        return
    yield from _unknown("", rule, ("conditions", "action"))
    action, conditions = ({} if (value := rule.get(part)) is None else value for part in ("action", "conditions"))
    if not isinstance(action, dict) or action.get("type") not in _ACTIONS:
        yield f"action.type must be one of {', '.join(_ACTIONS)}"
    else:
        yield from _unknown("action.", action, ("type", "parameters"))
        if not isinstance(action.get("parameters"), dict | None):
            yield "action.parameters must be a mapping"
    if not isinstance(conditions, dict):
        yield "conditions must be a mapping"
        return
    yield from _unknown("conditions.", conditions, tuple(_CONDITIONS))
    for name, check in _CONDITIONS.items():
        value = conditions.get(name)
        left_out = name not in conditions if name in _NEVER_NULL else value is None
        if not left_out and (wanted := check(value)):
            yield f"conditions.{name} must be {wanted}"


def _of_lists(lists: Any) -> Iterator[str]:
    """Judge the part that includes and excludes kinds, in the same four lists as a backup."""
    if lists is None:
        return
    if not isinstance(lists, dict):
        yield "includeExcludePolicy must be a mapping"
        return
    pairs = [tuple(f"{way}{scope}ScopedResources" for way in ("included", "excluded")) for scope in ("Cluster", "Namespace")]
    yield from _unknown("includeExcludePolicy.", lists, tuple(chain(*pairs)))
    for name in chain(*pairs):
        if (value := lists.get(name)) is not None and (wanted := _texts(value)):
            yield f"includeExcludePolicy.{name} must be {wanted}"
            return
    for included, excluded in pairs:
        ins, outs = lists.get(included) or [], lists.get(excluded) or []
        if "*" in (*ins, *outs):
            yield f"includeExcludePolicy: '*' may stand in neither {included} nor {excluded}"
        if both := [name for name in ins if name in set(outs)]:
            yield f"includeExcludePolicy: {str(both[0])[:100]} is in {included} and in {excluded}"


def _unknown(where: str, value: Mapping[Any, Any], known: tuple[str, ...]) -> Iterator[str]:
    for name in value:
        if name not in known:
            yield f"{where}{str(name)[:100]} is not known: it must be one of {', '.join(known)}"


# ---------------------------------------------------------------------- what the conditions of a rule may be


def _text(value: Any) -> str:
    return "" if isinstance(value, str) else "a text"


def _texts(value: Any) -> str:
    fits = isinstance(value, list) and not any(isinstance(item, dict | list) for item in value)
    return "" if fits else "a list of texts"


def _strictly_texts(value: Any) -> str:
    return "" if isinstance(value, list) and all(isinstance(item, str) for item in value) else "a list of texts"


def _map(value: Any) -> str:
    plain = isinstance(value, dict) and not any(isinstance(item, dict | list) for item in value.values())
    return "" if plain else "a mapping of texts to texts"


def _nfs(value: Any) -> str:
    fits = isinstance(value, dict) and value.keys() <= {"server", "path"}
    return "" if fits else "a mapping of server and path"


def _csi(value: Any) -> str:
    fits = isinstance(value, dict) and value.keys() <= {"driver", "volumeAttributes"}
    if not fits or _map(value.get("volumeAttributes") or {}):
        return "a mapping of driver and volumeAttributes"
    return "told with its driver" if value.get("volumeAttributes") is not None and not value.get("driver") else ""


def _capacity(value: Any) -> str:
    """Two quantities with a comma: from (0 when left out) and to (no end when left out)."""
    wanted = "two quantities such as '10Gi,100Gi', the smaller first; one of them may be left out"
    parts = [part.strip() for part in (value or ",").split(",")] if isinstance(value, str) else []
    numbers = [_quantity(part or "0") for part in parts]
    match numbers:
        case [Decimal() as low, Decimal() as high] if low <= high or (low and not high):
            return ""
    return wanted


def _quantity(text: str) -> Decimal | None:
    """Read a quantity of Kubernetes; None for what is none."""
    found = _QUANTITY.fullmatch(text)
    if found is None:
        return None
    number, suffix = Decimal(found[1]), found[2] or ""
    return number * (_SCALES[suffix] if suffix in _SCALES else Decimal(f"1{suffix}") if suffix else 1)


_CONDITIONS: Final[dict[str, Check]] = {
    "capacity": _capacity,
    "storageClass": _texts,
    "nfs": _nfs,
    "csi": _csi,
    "volumeTypes": _texts,
    "pvcLabels": _map,
    "pvcPhase": _texts,
    "pvcVolumeMode": _text,
    "pvcAccessModes": _strictly_texts,
}
_NEVER_NULL: Final = ("pvcLabels", "pvcVolumeMode", "pvcAccessModes")
