"""What a table of fields is made of: where Velero, the API and the command line have each, and what is said of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from shared.contracts.base import Wire
from simulator.kinds import default_kinds

Json = dict[str, Any]

ANY = "*"
"""Stands for any index of a list, in pointers and in paths of Velero's."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Where Leeward takes less than Velero's schema: what it takes, why, and a value that it therefore refuses."""

    takes: str
    because: str
    refused: Any


@dataclass(frozen=True, slots=True)
class Field:
    """One field: what the form calls it, its path in Velero's spec, and its place in the body of the request.

    Without `guide` it is beyond the form, without `velero` no part of the spec, without `pointer` it cannot be asked for.
    `absent` says what leaving it out means where the model cannot.
    """

    velero: str = ""
    pointer: str = ""
    guide: str = ""
    absent: str = ""
    note: str = ""
    rule: str = ""


def of_spec(velero: str, **more: str) -> Field:
    """A field that stands in the API where it stands in Velero."""
    return Field(velero, "/spec/" + velero.replace("[]", f".{ANY}").replace(".", "/"), **more)


def selector(velero: str) -> list[Field]:
    """The fields of a label selector."""
    expressions = f"{velero}.matchExpressions[]"
    return [
        of_spec(f"{velero}.matchLabels", note="names and values, all of which must be there", rule="label value"),
        of_spec(f"{expressions}.key", rule="label name"),
        of_spec(f"{expressions}.operator", rule="operator"),
        of_spec(f"{expressions}.values", rule="label value", note="needed by `In` and `NotIn`, refused beside the other two"),
    ]


@dataclass(frozen=True, slots=True)
class Table:
    """All fields of one kind of request: the model of its body, the CRD, and how the command line says each."""

    model: type[Wire]
    crd: str
    sections: Mapping[str, Sequence[Field]]
    option: Callable[[str], str]

    @property
    def fields(self) -> list[Field]:
        """Every field, in the order of the page."""
        return [field for fields in self.sections.values() for field in fields]

    def crd_schema(self) -> Json:
        """The schema of the spec in the CRD that this repository carries."""
        schema: Json = default_kinds().named(self.crd).schema["properties"]["spec"]  # type: ignore[assignment] (a Mapping)
        return schema

    def at(self, pointer: str) -> Json:
        """The schema at a place of the body. Raises KeyError where there is none."""
        nodes = [api_schema(self.model)]
        for step in pointer.split("/")[1:]:
            nodes = [found for node in nodes for form in self.forms(node) for found in _below(form, step)]
            if not nodes:
                raise KeyError(pointer)
        return nodes[0]

    def forms(self, node: Json) -> Iterator[Json]:
        """Every form that a value at this place may have."""
        if "$ref" in node:
            yield from self.forms(api_schema(self.model)["$defs"][node["$ref"].rpartition("/")[2]])
        for way in ("anyOf", "oneOf"):
            for one in node.get(way, ()):
                yield from self.forms(one)
        yield node

    def api_leaves(self, node: Json | None = None, pointer: str = "") -> Iterator[str]:
        """The pointers of all fields that the API takes."""
        whole = node or api_schema(self.model)
        properties = {name: part for form in self.forms(whole) for name, part in form.get("properties", {}).items()}
        for name, part in properties.items():
            here = f"{pointer}/{name}"
            items = next((form["items"] for form in self.forms(part) if "items" in form), None)
            inner, where = (items, f"{here}/{ANY}") if items is not None else (part, here)
            if any("properties" in form for form in self.forms(inner)):
                yield from self.api_leaves(inner, where)
            else:
                yield here

    def default(self, field: Field) -> str:
        """What leaving it out means."""
        if field.absent or not field.pointer:
            return field.absent
        found = self.at(field.pointer).get("default")
        return "" if found in (None, [], {}) else f"`{found}`"

    def cells(self, field: Field) -> list[str]:
        """The cells of a field in its row, behind what the form calls it."""
        names = (f"`{field.velero}`" if field.velero else "", f"`{field.pointer}`" if field.pointer else "")
        rule = f"[{field.rule}](#{anchor(field.rule)})" if field.rule else ""
        note = ". ".join(filter(None, (field.note, rule)))
        return [*names, self.option(field.pointer) if field.pointer else "", self.default(field), note]


def crd_leaves(schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """The paths of all fields that hold a value, a list of values or a map."""
    for name, part in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        inner, where = (part["items"], f"{here}[]") if part.get("type") == "array" else (part, here)
        if inner.get("properties"):
            yield from crd_leaves(inner, where)
        else:
            yield here


@cache
def api_schema(model: type[Wire]) -> Json:
    """The schema of a body."""
    return model.model_json_schema(by_alias=True)


def _below(node: Json, step: str) -> list[Json]:
    if step == ANY:
        return [node["items"]] if "items" in node else []
    return [node["properties"][step]] if step in node.get("properties", {}) else []


def anchor(name: str) -> str:
    """Where a rule stands on the page."""
    return f"rule-{name.replace(' ', '-')}"
