"""Structural schemas: what the API server drops, fills in and refuses in the body of an object.

Implements the part of OpenAPI v3 that Velero's CustomResourceDefinitions use (a unit test says so if that changes).
The order is Kubernetes': unknown fields are pruned, nulls dropped, defaults filled in, and what is left is validated.
"""

import base64
import binascii
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from simulator.documents import clone
from simulator.errors import Cause, invalid_value, unsupported_value
from simulator.kinds import Schema

IMPLEMENTED = frozenset({
    "type", "properties", "additionalProperties", "items", "required", "enum", "nullable", "default", "format", "minItems",
    "x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string",
})  # fmt: skip
WITHOUT_EFFECT = frozenset({"description", "x-kubernetes-map-type", "x-kubernetes-list-type"})
"""Keywords that change nothing here: they describe, or tell server-side apply how to merge."""


def prune(schema: Schema, value: Any, path: str = "") -> tuple[Any, list[str]]:
    """Return the value without the fields that the schema does not know, and the paths of those fields."""
    unknown: list[str] = []
    return _prune(schema, value, path, unknown), unknown


def _prune(schema: Schema, value: Any, path: str, unknown: list[str]) -> Any:
    if isinstance(value, list):
        items = schema.get("items", {})
        return [_prune(items, item, f"{path}[{index}]", unknown) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    kept = {}
    for key, item in value.items():
        member, inner = _member(schema, key), _join(path, key)
        if member is not None:
            kept[key] = _prune(member, item, inner, unknown)
        elif schema.get("x-kubernetes-preserve-unknown-fields"):
            kept[key] = clone(item)
        else:
            unknown.append(inner)
    return kept


def drop_nulls(schema: Schema, value: Any) -> Any:
    """Drop every member that is null although its schema is not nullable. Nulls in lists stay, to be refused."""
    if isinstance(value, list):
        return [drop_nulls(schema.get("items", {}), item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {}
    for key, item in value.items():
        member = _member(schema, key)
        if item is None and member is not None and not member.get("nullable"):
            continue
        kept[key] = item if member is None else drop_nulls(member, item)
    return kept


def fill_defaults(schema: Schema, value: Any) -> Any:
    """Fill in the defaults of missing members, in the objects that are there."""
    if isinstance(value, list):
        return [fill_defaults(schema.get("items", {}), item) for item in value]
    if not isinstance(value, dict):
        return value
    filled = {key: fill_defaults(_member(schema, key) or {}, item) for key, item in value.items()}
    for key, member in schema.get("properties", {}).items():
        if "default" in member and key not in filled:
            filled[key] = clone(member["default"])
    return filled


def validate(schema: Schema, value: Any, path: str = "") -> list[Cause]:
    """Return everything that is wrong with a pruned value, in the API server's words."""
    return list(_validate(schema, value, path))


def _validate(schema: Schema, value: Any, path: str) -> Iterator[Cause]:
    if value is None and schema.get("nullable"):
        return
    expected = "int-or-string" if schema.get("x-kubernetes-int-or-string") else schema.get("type")
    if expected and not _TYPES[expected](value):
        yield _type_cause(path, expected, type_name(value))
        return
    if "enum" in schema and value not in schema["enum"]:
        yield unsupported_value(path, str(value), schema["enum"])
    if "format" in schema and not _FORMATS.get(schema["format"], _anything)(value):
        yield _type_cause(path, schema["format"], str(value))
    if isinstance(value, list):
        yield from _validate_items(schema, value, path)
    elif isinstance(value, dict):
        yield from _validate_members(schema, value, path)


def _validate_items(schema: Schema, items: list[Any], path: str) -> Iterator[Cause]:
    least = schema.get("minItems", 0)
    if len(items) < least:
        yield invalid_value(path, str(len(items)), f"{path} in body should have at least {least} items")
    for index, item in enumerate(items):
        yield from _validate(schema.get("items", {}), item, f"{path}[{index}]")


def _validate_members(schema: Schema, members: dict[str, Any], path: str) -> Iterator[Cause]:
    for key in schema.get("required", ()):
        if key not in members:
            yield Cause(_join(path, key), "Required value", "FieldValueRequired")
    for key, item in members.items():
        member = _member(schema, key)
        if member is not None:
            yield from _validate(member, item, _join(path, key))


def _member(schema: Schema, key: str) -> Schema | None:
    """Return the schema of one member of an object: a property, or what all additional properties share."""
    properties: Schema = schema.get("properties", {})
    if key in properties:
        found: Schema = properties[key]
        return found
    additional = schema.get("additionalProperties")
    return additional if isinstance(additional, dict) else {} if additional else None


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _type_cause(path: str, expected: str, found: str) -> Cause:
    text = f'Invalid value: "{found}": {path} in body must be of type {expected}: "{found}"'
    return Cause(path, text, "FieldValueTypeInvalid")


def type_name(value: Any) -> str:
    """Name what OpenAPI calls the type of a JSON value."""
    for name in ("null", "boolean", "integer", "number", "string", "array"):
        if _TYPES[name](value):
            return name
    return "object"


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_date_time(value: Any) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None and "T" in value.upper()
    except (ValueError, TypeError):
        return False


def _is_base64(value: Any) -> bool:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError, TypeError):
        return False
    return True


def _anything(_: Any) -> bool:
    return True


_TYPES: dict[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": _is_integer,
    "number": lambda value: _is_integer(value) or isinstance(value, float),
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "int-or-string": lambda value: _is_integer(value) or isinstance(value, str),
}
_FORMATS: dict[str, Callable[[Any], bool]] = {"date-time": _is_date_time, "byte": _is_base64}
