"""Selectors, read as apimachinery reads them. The messages were taken from a kube-apiserver v1.35.4."""

import pytest

from simulator.errors import ApiError
from simulator.kinds import default_kinds
from simulator.selectors import parse_fields, parse_labels, selector

BACKUPS = default_kinds().named("backups")
PODS = default_kinds().named("pods")
CONFIG_MAPS = default_kinds().named("configmaps")


def selects(text, **labels):
    return all(requirement.matches(labels) for requirement in parse_labels(text))


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("", {}),
        ("a=b", {"a": "b"}),
        ("a==b", {"a": "b"}),
        (" a = b , c ", {"a": "b", "c": ""}),
        ("a!=b", {"a": "c"}),
        ("a!=b", {}),
        ("a=", {"a": ""}),
        ("a", {"a": "anything"}),
        ("!a", {"b": "c"}),
        ("a in (b, c)", {"a": "c"}),
        ("a in (b,)", {"a": ""}),
        ("a in ()", {"a": ""}),
        ("a notin (b,c)", {"a": "d"}),
        ("a notin (b,c)", {}),
        ("a,a notin (b,c)", {"a": "d"}),
        ("a>3", {"a": "4"}),
        ("a<3,a>-1", {"a": "2"}),
        ("in in (in)", {"in": "in"}),
        ("example.com/a=b", {"example.com/a": "b"}),
    ],
)
def test_selected(text, labels):
    assert selects(text, **labels)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("a=b", {}),
        ("a=b", {"a": "c"}),
        ("a!=b", {"a": "b"}),
        ("a", {}),
        ("!a", {"a": ""}),
        ("a in (b,c)", {}),
        ("a notin (b,c)", {"a": "b"}),
        ("a,a notin (b,c)", {}),
        ("a>3", {"a": "3"}),
        ("a>3", {"a": "many"}),
        ("a>3", {}),
        ("a=b,c=d", {"a": "b"}),
    ],
)
def test_not_selected(text, labels):
    assert not selects(text, **labels)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("!!a", "unable to parse requirement: found '!', expected: identifier"),
        ("a===b", "unable to parse requirement: found '=', expected: identifier"),
        ("a in (x", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a=b!", "found '!', expected: ',' or 'end of string'"),
        ("a=b,", "found '', expected: identifier after ','"),
        (",", "found ',', expected: !, identifier, or 'end of string'"),
    ],
)
def test_misread_in_the_words_of_the_real_server(text, message):
    with pytest.raises(ApiError) as refused:
        parse_labels(text)
    assert (refused.value.code, refused.value.message) == (400, message)


def test_bounds_are_numbers():
    with pytest.raises(ApiError) as refused:
        parse_labels("a>x")
    assert refused.value.message.endswith("Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer")


@pytest.mark.parametrize("text", ["a/b/c=d", "-a", "a=-b", "a in (b c)", "a=" + "x" * 64])
def test_malformed_keys_and_values_are_refused(text):
    with pytest.raises(ApiError) as refused:
        parse_labels(text)
    assert refused.value.code == 400


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("metadata.name=a", True),
        ("metadata.name==a", True),
        ("metadata.name!=a", False),
        ("metadata.namespace=x,metadata.name=a", True),
        ("metadata.namespace=y,metadata.name=a", False),
    ],
)
def test_field_selectors(text, expected):
    document = {"metadata": {"name": "a", "namespace": "x"}}
    assert selector(BACKUPS, fields=text).matches(document) is expected


def test_an_absent_field_counts_as_empty():
    document = {"metadata": {"name": "a"}, "spec": {}}
    assert selector(PODS, fields="spec.nodeName=").matches(document)
    assert not selector(PODS, fields="spec.nodeName!=").matches(document)


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (BACKUPS, "spec.foo=x", "field label not supported: spec.foo"),
        (CONFIG_MAPS, "spec.foo=x", '"spec.foo" is not a known field selector: only "metadata.name", "metadata.namespace"'),
        (PODS, "foo", "invalid selector: 'foo'; can't understand 'foo'"),
    ],
)
def test_unsupported_fields_are_refused(kind, text, message):
    with pytest.raises(ApiError) as refused:
        parse_fields(kind, text)
    assert (refused.value.code, refused.value.message) == (400, message)
