"""The structural schema, by small schemas of our own and by Velero's."""

from collections.abc import Iterator

import pytest

from simulator.kinds import default_kinds
from simulator.schema import IMPLEMENTED, WITHOUT_EFFECT, drop_nulls, fill_defaults, prune, validate

TEXT = {"type": "string"}
SCHEMA = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": TEXT,
        "color": {"type": "string", "enum": ["red", "blue"]},
        "count": {"type": "integer"},
        "ratio": {"type": "number"},
        "on": {"type": "boolean", "nullable": True},
        "since": {"type": "string", "format": "date-time", "nullable": True},
        "blob": {"type": "string", "format": "byte"},
        "port": {"x-kubernetes-int-or-string": True},
        "labels": {"type": "object", "additionalProperties": TEXT},
        "anything": {"type": "object", "additionalProperties": True},
        "tags": {"type": "array", "items": TEXT, "minItems": 1},
        "free": {"type": "object", "properties": {"known": TEXT}, "x-kubernetes-preserve-unknown-fields": True},
        "parts": {
            "type": "array",
            "items": {"type": "object", "properties": {"key": TEXT, "mode": {"type": "string", "default": "auto"}}},
        },
    },
}


def problems(**members):
    return [(cause.field, cause.reason) for cause in validate(SCHEMA, {"name": "x", **members})]


def test_unknown_fields_are_pruned_and_reported_by_path():
    value = {"name": "x", "extra": 1, "parts": [{"key": "a"}, {"key": "b", "odd": {}}], "labels": {"any": "thing"}}
    pruned, unknown = prune(SCHEMA, value)
    assert pruned == {"name": "x", "parts": [{"key": "a"}, {"key": "b"}], "labels": {"any": "thing"}}
    assert unknown == ["extra", "parts[1].odd"]


def test_a_schema_may_preserve_what_it_does_not_know():
    value = {"free": {"known": "a", "unknown": {"deep": [1, None]}}, "anything": {"goes": 1}}
    assert prune(SCHEMA, value) == (value, [])


def test_pruning_leaves_its_argument_alone():
    value = {"extra": 1}
    prune(SCHEMA, value)
    assert value == {"extra": 1}


def test_nulls_stay_only_where_the_schema_is_nullable():
    value = {"name": None, "on": None, "labels": {"a": None, "b": "c"}, "parts": [{"key": None}], "free": {"unknown": None}}
    assert drop_nulls(SCHEMA, value) == {"on": None, "labels": {"b": "c"}, "parts": [{}], "free": {"unknown": None}}


def test_a_null_in_a_list_is_refused():
    assert [cause.message for cause in validate(SCHEMA, {"name": "x", "tags": ["a", None]})] == [
        'Invalid value: "null": tags[1] in body must be of type string: "null"'
    ]


def test_defaults_are_filled_into_the_objects_that_are_there():
    assert fill_defaults(SCHEMA, {"parts": [{}, {"mode": "mine"}]}) == {"parts": [{"mode": "auto"}, {"mode": "mine"}]}


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("count", 3),
        ("ratio", 3),
        ("ratio", 0.5),
        ("on", None),
        ("on", False),
        ("since", "2026-11-22T09:06:01Z"),
        ("since", None),
        ("blob", "YQ=="),
        ("port", 80),
        ("port", "http"),
        ("labels", {}),
        ("color", "red"),
    ],
)
def test_right_values_pass(member, value):
    assert problems(**{member: value}) == []


@pytest.mark.parametrize(
    ("member", "value", "reason"),
    [
        ("name", 5, "FieldValueTypeInvalid"),
        ("count", "3", "FieldValueTypeInvalid"),
        ("count", True, "FieldValueTypeInvalid"),
        ("count", 0.5, "FieldValueTypeInvalid"),
        ("ratio", "0.5", "FieldValueTypeInvalid"),
        ("on", "yes", "FieldValueTypeInvalid"),
        ("since", "yesterday", "FieldValueTypeInvalid"),
        ("since", "2026-11-22", "FieldValueTypeInvalid"),
        ("blob", "!!", "FieldValueTypeInvalid"),
        ("port", 0.5, "FieldValueTypeInvalid"),
        ("labels", [], "FieldValueTypeInvalid"),
        ("tags", [], "FieldValueInvalid"),
        ("color", "", "FieldValueNotSupported"),
    ],
)
def test_wrong_values_name_their_field(member, value, reason):
    assert problems(**{member: value}) == [(member, reason)]


def test_a_missing_required_field_is_named():
    assert [(cause.field, cause.message) for cause in validate(SCHEMA, {}, "spec")] == [("spec.name", "Required value")]


def test_the_words_are_those_of_the_real_server():
    backup = default_kinds().named("backups")
    causes = validate(backup.schema, {"spec": {"includedNamespaces": "x", "ttl": 5}})
    assert {cause.message for cause in causes} == {
        'Invalid value: "string": spec.includedNamespaces in body must be of type array: "string"',
        'Invalid value: "integer": spec.ttl in body must be of type string: "integer"',
    }


def keywords(schema: object) -> Iterator[str]:
    """All keywords that a schema uses, at any depth."""
    if not isinstance(schema, dict):
        return
    yield from schema
    for name in ("items", "additionalProperties"):
        yield from keywords(schema.get(name))
    for member in schema.get("properties", {}).values():
        yield from keywords(member)


@pytest.mark.parametrize("kind", [kind for kind in default_kinds() if kind.custom], ids=lambda kind: kind.plural)
def test_velero_uses_no_keyword_that_the_simulator_would_ignore(kind):
    assert set(keywords(kind.schema)) <= IMPLEMENTED | WITHOUT_EFFECT
