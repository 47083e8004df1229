"""Values for every field of a BackupSpec, made from the CRD's schema, and narrower where docs/fields.md says so."""

import re
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from shared.contracts.names import RESERVED_PREFIXES
from tests.contract import fields
from tests.contract.fields import Json

Values = st.SearchStrategy[Any]

NAMESPACES: Mapping[str, Mapping[str, str]] = {
    **{name: {} for name in ("shop-a", "shop-b")},
    "live": {"environment": "production"},
    "test": {"environment": "test"},
}
"""What there is in the cluster beside shop and cart, and what every cluster has."""

_SYSTEM = ["kube-node-lease", "kube-public", "kube-system"]
SCOPES: list[tuple[Json, list[str], list[str]]] = [
    ({"kind": "all"}, ["*"], []),
    ({"kind": "all", "excludedNamespaces": ["kube-*", "shop"]}, ["*"], [*_SYSTEM, "shop"]),
    ({"kind": "all", "excludedNamespaces": ["not-yet-there"]}, ["*"], ["not-yet-there"]),
    ({"kind": "specific", "namespaces": ["shop"]}, ["shop"], []),
    ({"kind": "specific", "namespaces": ["shop-*", "cart"]}, ["cart", "shop-a", "shop-b"], []),
    ({"kind": "specific", "namespaces": ["shop*"], "excludedNamespaces": ["shop-?"]}, ["shop"], []),
    ({"kind": "specific", "namespaces": ["shop-[ab]"], "excludedNamespaces": ["shop-b"]}, ["shop-a"], []),
    ({"kind": "production"}, ["live"], []),
    ({"kind": "nonProduction", "excludedNamespaces": ["live"]}, ["test"], []),
]
"""What can be asked for, and which namespaces Velero is to be told: included and excluded."""

LOCATIONS = ["default", "archive"]
SNAPSHOT_LOCATIONS = {"default": "aws", "elsewhere": "gcp"}
"""With their providers: of each there is one, so that Velero is always told both."""
POLICIES = ["small-volumes", "large-volumes"]

NAMESPACED = ["configmaps", "pods", "deployments.apps", "deploy", "Secret", "persistentvolumeclaims"]
CLUSTER_SCOPED = ["nodes", "persistentvolumes", "storageclasses.storage.k8s.io", "ns"]
_ALONE = ["*"]

TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
_WORD = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,20}[A-Za-z0-9])?"
_PREFIX = r"([a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?(\.[a-z0-9]{1,5}){0,2}/)?"
LABEL_NAME = st.one_of(
    st.from_regex(_PREFIX + _WORD, fullmatch=True),
    st.just("a" * 63),
    st.just(f"{'b' * 63}.{'c' * 63}.{'d' * 63}.{'e' * 61}/name"),
).filter(lambda name: not name.startswith(RESERVED_PREFIXES))
LABEL_VALUE = st.one_of(st.just(""), st.from_regex(_WORD, fullmatch=True), st.just("z" * 63))
LABELS = st.dictionaries(LABEL_NAME, LABEL_VALUE, min_size=1, max_size=4)
DURATION = st.one_of(
    st.builds("{}{}".format, st.integers(1, 9999), st.sampled_from(["s", "m", "h", "d"])),
    st.builds("{}d{}h".format, st.integers(1, 400), st.integers(0, 23)),
    st.sampled_from(["1h30m", "1.5h", "90m0s", "0.5s", "1ms", "2540400h10m10s"]),
)
NAME = st.one_of(st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?(\.[a-z0-9]{1,9})?", fullmatch=True), st.just("n" * 240))
"""Of a Backup, so that there is room for a number behind it."""


def lists_of(values: list[str]) -> Values:
    return st.lists(st.sampled_from(values), min_size=1, max_size=4, unique=True)


_KINDS = NAMESPACED + CLUSTER_SCOPED
_NAME_LIST = st.lists(st.from_regex(r"[a-z0-9]{1,5}/[a-z0-9]{1,5}", fullmatch=True), min_size=1, max_size=4).map(",".join)

BY_RULE: Mapping[str, Values] = {
    "duration": DURATION,
    "kinds": lists_of(_KINDS),
    "label name": LABEL_NAME,
    "operator": st.nothing(),  # with its values, below
    "policy kind": st.just("configmap"),
    "order": st.dictionaries(st.sampled_from(["pods", "configmaps", "persistentvolumes"]), _NAME_LIST, min_size=1),
    "mover": st.sampled_from(["velero", "kopia"]),
    "parallel": st.integers(1, 1024),
    "hook name": st.text(st.characters(codec="utf-8"), min_size=1, max_size=30),
}
# The two lists of a pair share nothing: the included one takes from the first half of the kinds, the excluded one the rest.
BY_PATH: Mapping[str, Values] = {
    "includedResources": st.one_of(st.just(_ALONE), lists_of(_KINDS[::2])),
    "excludedResources": lists_of(_KINDS[1::2]),
    "includedNamespaceScopedResources": st.one_of(st.just(_ALONE), lists_of(NAMESPACED[::2])),
    "excludedNamespaceScopedResources": st.one_of(st.just(_ALONE), lists_of(NAMESPACED[1::2])),
    "includedClusterScopedResources": st.one_of(st.just(_ALONE), lists_of(CLUSTER_SCOPED[::2])),
    "excludedClusterScopedResources": st.one_of(st.just(_ALONE), lists_of(CLUSTER_SCOPED[1::2])),
    "hooks.resources[].includedResources": lists_of(_KINDS[::2]),
    "hooks.resources[].excludedResources": lists_of(_KINDS[1::2]),
    "hooks.resources[].excludedNamespaces": st.lists(TEXT.map("not {}".format), min_size=1, max_size=3),
    "storageLocation": st.sampled_from(LOCATIONS),
    "volumeSnapshotLocations": lists_of(list(SNAPSHOT_LOCATIONS)),
    "resourcePolicy.name": st.sampled_from(POLICIES),
}

_RULES = {field.velero: field.rule for field in fields.ALL if field.velero}
_TAKEN = {field.velero for field in fields.ALL if field.velero and field.pointer.startswith("/spec/")}


def value(schema: Mapping[str, Any], path: str, wanted: str) -> Values:
    """Values of the schema at a path; along the way to `wanted` nothing is left out."""
    if path in BY_PATH:
        return BY_PATH[path]
    if (rule := _RULES.get(path, "")) in BY_RULE:
        return BY_RULE[rule]
    match schema["type"]:
        case "object" if "properties" in schema:
            return _object(schema, path, wanted)
        case "object":
            return LABELS if rule == "label value" else st.dictionaries(TEXT, TEXT, min_size=1, max_size=3)
        case "array":
            inner = path if schema["items"]["type"] == "string" else f"{path}[]"
            return st.lists(value(schema["items"], inner, wanted), min_size=1, max_size=3)
        case "string":
            return LABEL_VALUE if rule == "label value" else st.sampled_from(schema["enum"]) if "enum" in schema else TEXT
        case "boolean":
            return st.booleans()
        case _:
            raise NotImplementedError(f"{path}: {schema['type']}")


def _object(schema: Mapping[str, Any], path: str, wanted: str) -> Values:
    if path.endswith("matchExpressions[]"):
        return _expression(wanted)
    below = {name: f"{path}.{name}" if path else name for name in schema["properties"]}
    taken = {name for name, where in below.items() if any(_leads(where, leaf) for leaf in _TAKEN)}
    needed = {name for name in taken if name in schema.get("required", ()) or _leads(below[name], wanted)}
    values = {name: value(schema["properties"][name], below[name], wanted) for name in taken}
    found = st.fixed_dictionaries(
        {name: values[name] for name in sorted(needed)}, optional={name: values[name] for name in sorted(taken - needed)}
    )
    return found if path in {"", "hooks"} else found.filter(bool)


def _expression(wanted: str) -> Values:
    """A requirement of a label selector: whether there are values depends on the operator."""
    some = {"operator": st.sampled_from(["In", "NotIn"]), "values": st.lists(LABEL_VALUE, min_size=1, max_size=3)}
    none = {"operator": st.sampled_from(["Exists", "DoesNotExist"])}
    forms = [some] if wanted.endswith("values") else [some, none]
    return st.one_of(*(st.fixed_dictionaries({"key": LABEL_NAME, **form}) for form in forms))


def _leads(path: str, leaf: str) -> bool:
    return re.match(rf"{re.escape(path)}(\[\])?(\.|$)", leaf) is not None


# ---------------------------------------------------------------------- what fields may be together

_OLD = ("includedResources", "excludedResources", "includeClusterResources")
_NEW = tuple(f"{verb}{scope}ScopedResources" for verb in ("included", "excluded") for scope in ("Cluster", "Namespace"))
_PAIRS = (
    ("labelSelector", "orLabelSelectors"),
    *((old, new) for old in _OLD for new in _NEW),
)
_OF_SNAPSHOTS = (
    "snapshotMoveData",
    "datamover",
    "volumeSnapshotLocations",
    "volumeGroupSnapshotLabelKey",
    "csiSnapshotTimeout",
)


def compatible(spec: Json, wanted: str) -> Json:
    """Leave out what cannot stand beside what is wanted, or beside what stands before it."""
    top = re.split(r"[.\[]", wanted)[0]
    kept: Json = {}
    for name in sorted(spec, key=lambda name: name != top):
        if not any(_clash(name, spec[name], other, kept[other]) for other in kept):
            kept[name] = spec[name]
    return kept


def _clash(one: str, value: Any, other: str, other_value: Any) -> bool:
    if (one, other) in _PAIRS or (other, one) in _PAIRS:
        return True
    both = {one: value, other: other_value}
    if both.get("snapshotVolumes") is False and {one, other} & set(fields.ONLY_SNAPSHOTS):
        return True
    return any(
        both.get(f"excluded{what}") == _ALONE and f"included{what}" in both
        for what in ("ClusterScopedResources", "NamespaceScopedResources")
    )


@st.composite
def requests(draw: st.DrawFn, wanted: str) -> tuple[Json, list[str], list[str]]:
    """A request in which a field of Velero's is filled, and the namespaces that its scope means: included and excluded."""
    spec = compatible(draw(value(fields.crd_schema(), "", wanted)), wanted)
    scopes = [scope for scope in SCOPES if {"includedNamespaces": "namespaces"}.get(wanted, wanted) in scope[0]]
    scope, included, excluded = draw(st.sampled_from(scopes or SCOPES))
    labels = draw(st.one_of(st.just({}), LABELS))
    return {"name": draw(NAME), "labels": labels, "scope": scope, "spec": spec}, included, excluded
