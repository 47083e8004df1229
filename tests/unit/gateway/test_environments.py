import pytest
from pydantic import TypeAdapter

from services.gateway.clusters.environments import Held, preview
from services.gateway.reading import inventory
from shared.contracts.backupspec import LabelSelector
from shared.contracts.scopes import Scope
from shared.contracts.selectors import Environments
from tests.support.gateway import NOW, cluster_document

HELD = Held(
    {
        "shop": {"environment": "production"},
        "cart": {"environment": "prod", "velero.io/exclude-from-backup": "true"},
        "team-a": {"environment": "test"},
        "team-b": {"environment": "staging"},
        "kube-system": {},
    },
    NOW,
)
EVERYTHING = ["cart", "kube-system", "shop", "team-a", "team-b"]


def means(held=HELD, selectors=None, **scope):
    return preview(TypeAdapter(Scope).validate_python(scope), "eu1", selectors or Environments(), held)


@pytest.mark.parametrize(
    ("scope", "namespaces", "excluded"),
    [
        ({"kind": "all"}, EVERYTHING, []),
        ({"kind": "all", "excludedNamespaces": ["team-*", "nowhere"]}, ["cart", "kube-system", "shop"], ["team-a", "team-b"]),
        ({"kind": "production"}, ["cart", "shop"], []),
        ({"kind": "nonProduction", "excludedNamespaces": ["team-b"]}, ["team-a"], ["team-b"]),
        ({"kind": "specific", "namespaces": ["team-?", "shop"], "excludedNamespaces": ["*-b"]}, ["shop", "team-a"], ["team-b"]),
    ],
    ids=lambda value: value.get("kind", "") if isinstance(value, dict) else "",
)
def test_a_scope_means_the_namespaces_that_there_are_now(scope, namespaces, excluded):
    found = means(**scope)
    assert (found.namespaces, found.excluded, found.refusal) == (namespaces, excluded, None)
    assert found.everything == (scope["kind"] == "all")
    assert found.opted_out == [name for name in namespaces if name == "cart"]
    assert found.as_of == NOW


def test_a_clusters_own_selectors_decide():
    own = Environments(production=LabelSelector(match_labels={"environment": "staging"}))
    assert means(selectors=own, kind="production").namespaces == ["team-b"]


@pytest.mark.parametrize(
    ("scope", "code"),
    [
        ({"kind": "specific", "namespaces": ["shop", "nowhere"]}, "NamespaceUnknown"),
        ({"kind": "specific", "namespaces": ["nothing-*"]}, "ScopeMatchesNothing"),
        ({"kind": "production", "excludedNamespaces": ["shop", "c*"]}, "ScopeMatchesNothing"),
        ({"kind": "all", "excludedNamespaces": ["*-*", "shop", "cart"]}, "ScopeMatchesNothing"),
    ],
    ids=str,
)
def test_what_would_be_refused_is_told_in_the_same_words(scope, code):
    found = means(**scope)
    assert found.refusal.code == code
    assert found.refusal.pointer.startswith("/scope")
    assert found.unknown == (["nowhere"] if code == "NamespaceUnknown" else [])


def test_what_a_cluster_could_not_tell_of_may_be_there_all_the_same():
    held = Held(HELD.namespaces, NOW, truncated=True)
    found = means(held, kind="specific", namespaces=["nowhere"])
    assert (found.unknown, found.refusal, found.truncated) == (["nowhere"], None, True)


def test_a_cluster_that_has_told_of_nothing_holds_nothing_that_is_known():
    assert inventory(None) is None
    assert inventory({"item": {}}) is None
    state = cluster_document(
        "eu1", namespaces=[{"name": "a", "labels": [{"k": "x", "v": "y"}]}, 3], inventory={"truncated": True}
    )
    assert inventory(state) == Held({"a": {"x": "y"}}, NOW, truncated=True)
