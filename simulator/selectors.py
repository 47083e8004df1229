"""Label and field selectors, because a selector that is read differently here would test the wrong thing.

The grammar and the messages are those of k8s.io/apimachinery (pkg/labels, pkg/fields).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from simulator.documents import Document, dig
from simulator.errors import bad_request
from simulator.kinds import Kind
from simulator.names import label_key_problems, label_value_problems

_TOKEN = re.compile(r"\s*(?:(==|!=|[=!(),<>])|([^\s=!(),<>]+))")
_OPERATORS = {  # as written: (what it means, whether a list in parentheses follows)
    "=": ("in", False), "==": ("in", False), "!=": ("notin", False), ">": ("gt", False), "<": ("lt", False),
    "in": ("in", True), "notin": ("notin", True),
}  # fmt: skip
_SYMBOLS = frozenset(("=", "==", "!=", "!", "(", ")", ",", "<", ">"))


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label; `operator` is exists, absent, in, notin, gt or lt."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether labels meet the condition."""
        present, value = self.key in labels, labels.get(self.key, "")
        match self.operator:
            case "exists":
                return present
            case "absent":
                return not present
            case "in":
                return present and value in self.values
            case "notin":
                return not present or value not in self.values
        bound = int(next(iter(self.values)))
        if not re.fullmatch(r"[+-]?\d+", value):
            return False
        return int(value) > bound if self.operator == "gt" else int(value) < bound


@dataclass(frozen=True, slots=True)
class FieldRequirement:
    """One condition on one field: equal, or not equal."""

    path: str
    value: str
    equal: bool

    def matches(self, document: Document) -> bool:
        """Tell whether an object meets the condition."""
        found = dig(document, self.path)
        return (("" if found is None else str(found)) == self.value) is self.equal


@dataclass(frozen=True, slots=True)
class Selector:
    """A label selector and a field selector together; the empty one selects everything."""

    labels: tuple[Requirement, ...] = ()
    fields: tuple[FieldRequirement, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.labels or self.fields)

    def matches(self, document: Document) -> bool:
        """Tell whether an object is selected."""
        labels = document["metadata"].get("labels", {})
        return all(requirement.matches(labels) for requirement in self.labels) and all(
            requirement.matches(document) for requirement in self.fields
        )


def selector(kind: Kind, labels: str = "", fields: str = "") -> Selector:
    """Read the two query parameters. Raise ApiError (400) as the API server would."""
    return Selector(parse_labels(labels), parse_fields(kind, fields))


def parse_labels(text: str) -> tuple[Requirement, ...]:
    """Read a label selector. Raise ApiError (400)."""
    return _LabelParser(text).requirements()


def parse_fields(kind: Kind, text: str) -> tuple[FieldRequirement, ...]:
    """Read a field selector over the fields that this kind supports. Raise ApiError (400)."""
    return tuple(_field_requirement(kind, term) for term in text.split(",") if term)


def _field_requirement(kind: Kind, term: str) -> FieldRequirement:
    found = re.fullmatch(r"([^=!]+)(==|!=|=)(.*)", term)
    if found is None:
        raise bad_request(f"invalid selector: '{term}'; can't understand '{term}'")
    path, operator, value = found.groups()
    if path not in ("metadata.name", "metadata.namespace", *kind.selectable):
        raise bad_request(_unknown_field(kind, path))
    return FieldRequirement(path, value, operator != "!=")


def _unknown_field(kind: Kind, path: str) -> str:
    if kind.custom or kind.selectable:
        return f"field label not supported: {path}"
    return f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"'


class _LabelParser:
    """A recursive descent over the tokens, in the steps of apimachinery's parser, so that it fails in the same words."""

    def __init__(self, text: str) -> None:
        self._tokens: list[str] = [symbol or word for symbol, word in _TOKEN.findall(text)] + [""]
        self._position = 0

    def requirements(self) -> tuple[Requirement, ...]:
        found = []
        if self._peek() == "":
            return ()
        if not (self._at_word() or self._peek() == "!"):
            raise bad_request(f"found '{self._peek()}', expected: !, identifier, or 'end of string'")
        while True:
            found.append(self._requirement())
            separator = self._next()
            if separator == "":
                return tuple(found)
            if separator != ",":
                raise bad_request(f"found '{separator}', expected: ',' or 'end of string'")
            if not (self._at_word() or self._peek() == "!"):
                raise bad_request(f"found '{self._peek()}', expected: identifier after ','")

    def _requirement(self) -> Requirement:
        if self._peek() == "!":
            self._next()
            return Requirement(self._key(), "absent")
        key = self._key()
        if self._peek() in ("", ","):
            return Requirement(key, "exists")
        operator, several = self._operator()
        values = self._values() if several else [self._value()]
        _check_values(key, operator, values)
        return Requirement(key, operator, frozenset(values))

    def _key(self) -> str:
        key = self._word("identifier")
        problems = label_key_problems(key)
        if problems:
            raise _misread(f'<nil>: Invalid value: "{key}": {"; ".join(problems)}')
        return key

    def _operator(self) -> tuple[str, bool]:
        text = self._next()
        if text not in _OPERATORS:
            raise _misread(f"found '{text}', expected: in, notin, =, ==, !=, gt, lt")
        return _OPERATORS[text]

    def _value(self) -> str:
        return "" if self._peek() in ("", ",") else self._word("identifier")

    def _values(self) -> list[str]:
        if self._peek() != "(":
            raise _misread(f"found '{self._peek()}' expected: '('")
        self._next()
        values = [self._listed()]
        while self._peek() == ",":
            self._next()
            values.append(self._listed())
        if self._peek() != ")":
            raise _misread(f"found '{self._peek()}', expected: ',' or ')'")
        self._next()
        return values

    def _listed(self) -> str:
        return "" if self._peek() in (",", ")") else self._word("',', ')' or identifier")

    def _word(self, expected: str) -> str:
        if not self._at_word():
            raise _misread(f"found '{self._peek()}', expected: {expected}")
        return self._next()

    def _at_word(self) -> bool:
        return self._peek() != "" and self._peek() not in _SYMBOLS

    def _peek(self) -> str:
        return self._tokens[self._position]

    def _next(self) -> str:
        token = self._tokens[self._position]
        self._position = min(self._position + 1, len(self._tokens) - 1)
        return token


def _check_values(key: str, operator: str, values: Iterable[str]) -> None:
    for index, value in enumerate(values):
        if operator in ("gt", "lt"):
            if not re.fullmatch(r"[+-]?\d+", value):
                why = "for 'Gt', 'Lt' operators, the value must be an integer"
                raise _misread(f'values[{index}]: Invalid value: "{value}": {why}')
        elif problems := label_value_problems(value):
            raise _misread(f'values[{index}][{key}]: Invalid value: "{value}": {"; ".join(problems)}')


def _misread(why: str) -> Exception:
    return bad_request(f"unable to parse requirement: {why}")
