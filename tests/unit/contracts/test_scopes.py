"""What a scope means among the namespaces of a cluster."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from shared.contracts.backupspec import LabelSelector
from shared.contracts.scopes import Scope, resolve
from shared.contracts.selectors import Environments

CLUSTER = {
    "shop": {"environment": "production"},
    "cart": {"environment": "prod"},
    "shop-test": {"environment": "test"},
    "kube-system": {},
    "kube-public": {},
}
USUAL = Environments()


def scope(kind: str, **more: Any) -> Scope:
    return TypeAdapter(Scope).validate_python({"kind": kind, **more})


@pytest.mark.parametrize(
    ("asked", "included", "excluded", "unknown"),
    [
        (scope("all"), ["*"], [], []),
        (scope("all", excludedNamespaces=["kube-*"]), ["*"], ["kube-public", "kube-system"], []),
        (scope("all", excludedNamespaces=["not-yet"]), ["*"], ["not-yet"], []),
        (
            scope("all", excludedNamespaces=["*o*", "cart", "kube-*"]),
            [],
            ["cart", "kube-public", "kube-system", "shop", "shop-test"],
            [],
        ),
        (scope("production"), ["cart", "shop"], [], []),
        (scope("production", excludedNamespaces=["c*"]), ["shop"], [], []),
        (scope("nonProduction"), ["shop-test"], [], []),
        (scope("nonProduction", excludedNamespaces=["shop-test"]), [], [], []),
        (scope("specific", namespaces=["shop*"]), ["shop", "shop-test"], [], []),
        (scope("specific", namespaces=["shop", "gone"]), ["shop"], [], ["gone"]),
        (scope("specific", namespaces=["gone-*"]), [], [], []),
        (scope("specific", namespaces=["[ck]*"], excludedNamespaces=["kube-?ystem"]), ["cart", "kube-public"], [], []),
    ],
    ids=str,
)
def test_a_scope_is_resolved_to_names(asked, included, excluded, unknown):
    found = resolve(asked, USUAL, CLUSTER)
    assert (found.included, found.excluded, found.unknown) == (included, excluded, unknown)


def test_a_cluster_may_have_selectors_of_its_own_and_production_wins_where_both_match():
    everything = LabelSelector.model_validate({"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]})
    own = Environments(production=LabelSelector(match_labels={"environment": "test"}), non_production=everything)
    assert resolve(scope("production"), own, CLUSTER).included == ["shop-test"]
    assert resolve(scope("nonProduction"), own, CLUSTER).included == ["cart", "kube-public", "kube-system", "shop"]


@pytest.mark.parametrize(
    "bad", ["", "*", "**", "a**", "Shop", "a b", "a{b,c}", "!a", "[!a]", "[]", "[a", "a|b", "a.b", "-a", "x" * 64]
)
def test_what_is_neither_a_name_nor_a_pattern_is_refused(bad):
    with pytest.raises(ValidationError):
        scope("specific", namespaces=[bad])
    with pytest.raises(ValidationError):
        scope("all", excludedNamespaces=[bad])


NAMES = st.text("ab-", min_size=1, max_size=4).filter(lambda n: not n.startswith("-") and not n.endswith("-"))
PATTERNS = st.text("ab-*?", min_size=2, max_size=4).filter(
    lambda p: "**" not in p and ("*" in p or "?" in p or not (p.startswith("-") or p.endswith("-")))
)


@given(
    st.lists(NAMES | PATTERNS, min_size=1), st.lists(NAMES | PATTERNS), st.dictionaries(NAMES, st.just({"environment": "prod"}))
)
def test_nothing_that_is_left_out_is_ever_included_and_nothing_included_does_not_exist(wanted, left_out, cluster):
    for asked in (
        scope("specific", namespaces=wanted, excludedNamespaces=left_out),
        scope("production", excludedNamespaces=left_out),
    ):
        found = resolve(asked, USUAL, cluster)
        assert set(found.included) <= set(cluster)
        assert not set(found.included) & set(resolve(scope("all", excludedNamespaces=left_out), USUAL, cluster).excluded)
