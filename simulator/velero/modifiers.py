"""Resource modifiers: rules in a ConfigMap by which a restore changes objects before it creates them."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import yaml

from simulator.documents import Document, clone, dig, merge_patch
from simulator.velero.selection import labels_match

_MERGES = ("mergePatches", "strategicPatches")
_UNDECODED = "failed to decode yaml data into resource modifiers, err: "
_PATCH: Mapping[str, Any] = dict.fromkeys(("operation", "from", "path", "value"))
_SELECTOR: Mapping[str, Any] = dict.fromkeys(("matchLabels", "matchExpressions"))
_CONDITIONS: Mapping[str, Any] = {
    **dict.fromkeys(("namespaces", "groupResource", "resourceNameRegex")),
    "labelSelector": _SELECTOR, "matches": dict.fromkeys(("path", "value")),
}  # fmt: skip
_RULE: Mapping[str, Any] = {
    "conditions": _CONDITIONS, "patches": _PATCH, **dict.fromkeys(_MERGES, dict.fromkeys(("patchData",))),
}  # fmt: skip
_FIELDS: Mapping[str, Any] = {"version": None, "resourceModifierRules": _RULE}
"""The fields that rules may have, with those inside of them."""


class BadModifiers(ValueError):  # noqa: N818 (named for the ConfigMap)
    """The ConfigMap does not hold rules; the text says why."""


class InvalidModifiers(BadModifiers):
    """The ConfigMap holds rules that cannot be meant; the text says why."""


class BadPatch(ValueError):  # noqa: N818 (named for the patch)
    """A patch does not fit the object; the text says why."""


class FailedTest(BadPatch):
    """The object is not what a patch tests for: it is left as it is, and that is nothing to complain of."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Which objects a rule is about, by what they are called in the backup, and what it does to them."""

    resource: str
    name: str
    namespaces: tuple[str, ...]
    labels: Document | None
    matches: tuple[Document, ...] = ()
    patches: tuple[Document, ...] = ()
    merges: tuple[Document, ...] = ()

    def concerns(self, resource: str, document: Document) -> bool:
        """Tell whether an object, still as in the backup, meets the conditions. Raise BadPatch if one of them is none."""
        metadata = document["metadata"]
        if self.namespaces and metadata.get("namespace", "") not in self.namespaces:
            return False
        if not fnmatchcase(resource, self.resource):
            return False
        try:
            named = re.search(self.name, metadata["name"])
        except re.error as error:
            raise BadPatch(f"error in matching regex error parsing regexp: {error}") from error
        if not named:
            return False
        if not labels_match({"labelSelector": self.labels}, metadata.get("labels", {})):
            return False
        return all(_read(document, _steps(match["path"])) == _value(match) for match in self.matches)


def read_rules(config_map: Document) -> list[Rule]:
    """Read the rules of a ConfigMap with exactly one key. Raise BadModifiers, or InvalidModifiers."""
    data, metadata = config_map.get("data") or {}, config_map["metadata"]
    if len(data) != 1:
        raise BadModifiers(f"illegal resource modifiers {metadata.get('namespace', '')}/{metadata['name']} configmap")
    try:
        document = yaml.safe_load(next(iter(data.values()))) or {}
    except yaml.YAMLError as error:
        raise BadModifiers(f"{_UNDECODED}error converting YAML to JSON: {_in_gos_words(error)}") from error
    try:
        _refuse_unknown(document, _FIELDS)
        rules = document.get("resourceModifierRules") or []
        _judge(str(document.get("version") or ""), rules)
        return [_rule(rule) for rule in rules]
    except (AttributeError, KeyError, TypeError, yaml.YAMLError) as error:
        raise BadModifiers(f"{_UNDECODED}error unmarshaling JSON: {error}") from error


def _in_gos_words(error: yaml.YAMLError) -> str:
    """Return where a text stops being YAML; what is wrong there each library says in words of its own."""
    mark = getattr(error, "problem_mark", None)
    return f"yaml: line {mark.line + 1 if mark else 1}: did not find expected node content"


def _refuse_unknown(document: Any, known: Mapping[str, Any]) -> None:
    for field, value in document.items():
        if field not in known:
            raise BadModifiers(f'{_UNDECODED}error unmarshaling JSON: while decoding JSON: json: unknown field "{field}"')
        for each in value if isinstance(value, list) else [value]:
            if known[field] and each is not None:
                _refuse_unknown(each, known[field])


def _judge(version: str, rules: list[Document]) -> None:
    if version.lower() != "v1":
        raise InvalidModifiers(f"unsupported resource modifier version {version}")
    if not rules:
        raise InvalidModifiers("resource modifier rules cannot be empty")
    for rule in rules:
        if not dig(rule, "conditions.groupResource"):
            raise InvalidModifiers("groupkResource cannot be empty")  # so it is written
        if sum(bool(rule.get(way)) for way in ("patches", *_MERGES)) > 1:
            raise InvalidModifiers("only one of patches, mergePatches, strategicPatches can be specified")
        for patch in rule.get("patches") or ():
            if not patch.get("operation"):
                raise InvalidModifiers("operation cannot be empty")
            if patch["operation"].lower() not in _OPERATIONS:
                raise InvalidModifiers(f"unsupported operation {patch['operation']}")
            if not patch.get("path"):
                raise InvalidModifiers("path cannot be empty")


def _rule(given: Document) -> Rule:
    conditions = given["conditions"]
    return Rule(
        resource=conditions["groupResource"],
        name=conditions.get("resourceNameRegex") or "",
        namespaces=tuple(conditions.get("namespaces") or ()),
        labels=conditions.get("labelSelector"),
        matches=tuple(conditions.get("matches") or ()),
        patches=tuple(given.get("patches") or ()),
        merges=tuple(yaml.safe_load(patch["patchData"]) for key in _MERGES for patch in given.get(key) or ()),
    )


def modify(rules: list[Rule], resource: str, document: Document) -> tuple[Document, list[str]]:
    """Apply the rules that concern an object; return it with what went wrong. Strategic patches merge as plain ones do."""
    changed, problems = document, []
    for rule in rules:
        try:
            if not rule.concerns(resource, document):
                continue
        except BadPatch as error:
            problems.append(str(error))
            continue
        try:
            patched = changed
            for patch in rule.patches:
                patched = _OPERATIONS[patch["operation"].lower()](clone(patched), patch)
            changed = patched
        except FailedTest:
            continue
        except (BadPatch, KeyError) as error:
            problems.append(f"error in applying patch error in applying JSON Patch {error}")
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
        raise FailedTest(f"testing value {patch['path']} failed: test failed")
    return document


def _copy(document: Document, patch: Document) -> Document:
    return _add(document, {"path": patch["path"], "value": clone(_read(document, _steps(patch["from"])))})


def _move(document: Document, patch: Document) -> Document:
    moved = _copy(document, patch)
    return _remove(moved, {"path": patch["from"]})


_OPERATIONS: Mapping[str, Callable[[Document, Document], Document]] = {
    "add": _add, "remove": _remove, "replace": _replace, "test": _test, "copy": _copy, "move": _move,
}  # fmt: skip
