"""Resource modifiers: rules in a ConfigMap by which a restore changes objects before it creates them."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from simulator.documents import Document, clone, merge_patch
from simulator.velero.selection import labels_match

_MERGES = ("mergePatches", "strategicPatches")


class BadModifiers(ValueError):  # noqa: N818 (named for the ConfigMap)
    """The ConfigMap does not hold rules; the text says why."""


class BadPatch(ValueError):  # noqa: N818 (named for the patch)
    """A patch does not fit the object; the text says why."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Which objects a rule is about, by what they are called in the backup, and what it does to them."""

    resource: str
    name: re.Pattern[str]
    namespaces: tuple[str, ...]
    labels: Document | None
    matches: tuple[Document, ...] = ()
    patches: tuple[Document, ...] = ()
    merges: tuple[Document, ...] = ()

    def concerns(self, resource: str, document: Document) -> bool:
        """Tell whether an object, still as in the backup, meets the conditions."""
        metadata = document["metadata"]
        if self.resource not in {resource, "*"} or not self.name.search(metadata["name"]):
            return False
        if self.namespaces and metadata.get("namespace", "") not in self.namespaces:
            return False
        if not labels_match({"labelSelector": self.labels}, metadata.get("labels", {})):
            return False
        return all(_read(document, _steps(match["path"])) == _value(match) for match in self.matches)


def read_rules(config_map: Document) -> list[Rule]:
    """Read the rules of a ConfigMap with exactly one key. Raise BadModifiers."""
    data = config_map.get("data") or {}
    if len(data) != 1:
        raise BadModifiers(f"illegal resource modifiers {config_map['metadata']['name']} configmap")
    try:
        document = yaml.safe_load(next(iter(data.values())))
    except yaml.YAMLError as error:
        raise BadModifiers(f"failed to decode yaml data into resource modifiers: {error}") from error
    version = document.get("version") if isinstance(document, dict) else None
    if version != "v1":
        raise BadModifiers(f"unsupported resource modifier version {version or ''}")
    return [_rule(rule) for rule in document.get("resourceModifierRules") or ()]


def _rule(given: Any) -> Rule:
    try:
        conditions = given["conditions"]
        return Rule(
            resource=conditions["groupResource"],
            name=re.compile(conditions.get("resourceNameRegex") or ""),
            namespaces=tuple(conditions.get("namespaces") or ()),
            labels=conditions.get("labelSelector"),
            matches=tuple(conditions.get("matches") or ()),
            patches=tuple(given.get("patches") or ()),
            merges=tuple(yaml.safe_load(patch["patchData"]) for key in _MERGES for patch in given.get(key) or ()),
        )
    except (KeyError, TypeError, re.error, yaml.YAMLError) as error:
        raise BadModifiers(f"failed to decode yaml data into resource modifiers: {error}") from error


def modify(rules: list[Rule], resource: str, document: Document) -> tuple[Document, list[str]]:
    """Apply the rules that concern an object; return it with what went wrong. Strategic patches merge as plain ones do."""
    changed, problems = document, []
    for rule in rules:
        if not rule.concerns(resource, document):
            continue
        try:
            for patch in rule.patches:
                changed = _OPERATIONS[patch["operation"]](clone(changed), patch)
        except (BadPatch, KeyError) as error:
            problems.append(f"error in applying JSON Patch to resource {error}")
        for merge in rule.merges:
            changed = merge_patch(changed, merge)
    return changed, problems


# JSON patches (RFC 6902), whose values are texts that may hold JSON


def _value(patch: Document) -> Any:
    value = patch.get("value")
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _steps(path: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")[1:]]


def _read(document: Any, steps: list[str]) -> Any:
    for step in steps:
        if isinstance(document, dict) and step in document:
            document = document[step]
        elif isinstance(document, list) and step.isdigit() and int(step) < len(document):
            document = document[int(step)]
        else:
            return None
    return document


def _parent(document: Document, path: str) -> tuple[Any, str]:
    *before, last = _steps(path)
    parent = _read(document, before)
    if not isinstance(parent, (dict, list)):
        raise BadPatch(f"jsonpatch: {path}: missing value")
    return parent, last


def _add(document: Document, patch: Document) -> Document:
    parent, last = _parent(document, patch["path"])
    if isinstance(parent, dict):
        parent[last] = _value(patch)
    else:
        parent.insert(len(parent) if last == "-" else int(last), _value(patch))
    return document


def _remove(document: Document, patch: Document) -> Document:
    parent, last = _parent(document, patch["path"])
    try:
        del parent[last if isinstance(parent, dict) else int(last)]
    except (KeyError, IndexError, ValueError) as error:
        raise BadPatch(f"remove operation does not apply: doc is missing key: {patch['path']}: missing value") from error
    return document


def _replace(document: Document, patch: Document) -> Document:
    _remove(document, patch)
    return _add(document, patch)


def _test(document: Document, patch: Document) -> Document:
    if _read(document, _steps(patch["path"])) != _value(patch):
        raise BadPatch(f"testing value {patch['path']} failed: test failed")
    return document


def _copy(document: Document, patch: Document) -> Document:
    return _add(document, {"path": patch["path"], "value": clone(_read(document, _steps(patch["from"])))})


def _move(document: Document, patch: Document) -> Document:
    moved = _copy(document, patch)
    return _remove(moved, {"path": patch["from"]})


_OPERATIONS: Mapping[str, Callable[[Document, Document], Document]] = {
    "add": _add, "remove": _remove, "replace": _replace, "test": _test, "copy": _copy, "move": _move,
}  # fmt: skip
