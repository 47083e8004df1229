"""JSON documents, so that nobody changes an object that somebody else still holds."""

import json
from collections.abc import Iterable
from typing import Any

Document = dict[str, Any]

Name = tuple[str, str]
"""(namespace, name); the namespace of a cluster-scoped object is empty."""

Objects = dict[Name, Document]


def clone(value: Any) -> Any:
    """Copy a JSON value all the way down; `copy.deepcopy` does the same several times slower."""
    if isinstance(value, dict):
        return {key: clone(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clone(item) for item in value]
    return value


def merge_patch(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7396) and return the result; neither argument is changed."""
    if not isinstance(patch, dict):
        return clone(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def dig(document: Any, path: str) -> Any:
    """Return the value at a dotted path, or None where the path ends early."""
    for step in path.split("."):
        if not isinstance(document, dict):
            return None
        document = document.get(step)
    return document


def without(document: Document, keys: Iterable[str]) -> Document:
    """Return a shallow copy that lacks the given keys."""
    left_out = frozenset(keys)
    return {key: value for key, value in document.items() if key not in left_out}


def parse_json(text: bytes) -> Any:
    """Read JSON as the API server does: `1.0` is an integer. Raise ValueError."""
    return json.loads(text, parse_float=_number)


def _number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number
