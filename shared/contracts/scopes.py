"""Which namespaces a backup is of: what a person can say, and what it means in a cluster as it is now. Pure.

Velero knows neither environments nor, before 1.18, patterns: both are resolved to names when the backup is made, by the rule
that Velero 1.18 has for patterns (`*`, `?` and `[abc]`). The gateway resolves by the same function to show beforehand what
a scope means.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import translate
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from shared.contracts.base import Wire
from shared.contracts.selectors import Environments

EVERYTHING = "*"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_PATTERN = re.compile(r"([-a-z0-9*?]|\[[-a-z0-9]+\])+")
_LONGEST_NAME = 63
_LONGEST_PATTERN = 253


def is_namespace(value: str) -> bool:
    """Tell whether a namespace can have this name."""
    return len(value) <= _LONGEST_NAME and bool(_NAME.fullmatch(value))


def _pattern(value: str) -> str:
    if is_namespace(value):
        return value
    if len(value) > _LONGEST_PATTERN or not is_pattern(value) or not _PATTERN.fullmatch(value) or "**" in value:
        raise ValueError(
            "must be the name of a namespace (at most 63 lower case letters, digits and '-', not at the ends), "
            "or a pattern of such with '*', '?' or '[abc]'"
        )
    if value == EVERYTHING:
        raise ValueError("'*' is every namespace: to back up all is the scope of kind 'all', to leave out all is no backup")
    return value


NamespacePattern = Annotated[str, AfterValidator(_pattern)]
"""The name of a namespace, or a pattern that matches any number of them."""


class AllNamespaces(Wire):
    """Every namespace, also those made after the request."""

    kind: Literal["all"]
    excluded_namespaces: list[NamespacePattern] = []


class ProductionNamespaces(Wire):
    """Every namespace of production, by the cluster's selector."""

    kind: Literal["production"]
    excluded_namespaces: list[NamespacePattern] = []


class NonProductionNamespaces(Wire):
    """Every namespace of an environment other than production, by the cluster's selectors."""

    kind: Literal["nonProduction"]
    excluded_namespaces: list[NamespacePattern] = []


class SpecificNamespaces(Wire):
    """The namespaces named, which must exist, and those that match. Never empty: to Velero an empty list means everything."""

    kind: Literal["specific"]
    namespaces: Annotated[list[NamespacePattern], Field(min_length=1)]
    excluded_namespaces: list[NamespacePattern] = []


Scope = Annotated[
    AllNamespaces | ProductionNamespaces | NonProductionNamespaces | SpecificNamespaces, Field(discriminator="kind")
]
BY_ENVIRONMENT = (ProductionNamespaces, NonProductionNamespaces)
"""The scopes that mean nothing without the cluster's selectors."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a scope means in a cluster now: what Velero is to be told, and which names are of no namespace.

    `included` is `["*"]` for every namespace, and empty when nothing is left: that must never reach Velero.
    """

    included: list[str]
    excluded: list[str]
    unknown: list[str]


def resolve(scope: Scope, environments: Environments, namespaces: Mapping[str, Mapping[str, str]]) -> Resolution:
    """Resolve a scope among the namespaces of a cluster, given by name with their labels."""
    left_out = _matching(scope.excluded_namespaces, namespaces)
    if isinstance(scope, AllNamespaces):
        nothing_left = bool(scope.excluded_namespaces) and not (namespaces.keys() - left_out)
        named = {name for name in scope.excluded_namespaces if not is_pattern(name)}
        return Resolution([] if nothing_left else [EVERYTHING], sorted(left_out | named), [])
    unknown: list[str] = []
    if isinstance(scope, SpecificNamespaces):
        wanted = _matching(scope.namespaces, namespaces)
        unknown = sorted({name for name in scope.namespaces if not is_pattern(name) and name not in namespaces})
    else:
        belongs = environments.is_production if isinstance(scope, ProductionNamespaces) else environments.is_non_production
        wanted = {name for name, labels in namespaces.items() if belongs(labels)}
    return Resolution(sorted(wanted - left_out), [], unknown)


def is_pattern(name: str) -> bool:
    """Tell whether this stands for what it matches rather than for one namespace."""
    return any(c in name for c in "*?[")


def _matching(patterns: Iterable[str], namespaces: Iterable[str]) -> set[str]:
    """Return the namespaces that one of the patterns matches, or names."""
    known, wanted = set(namespaces), set(patterns)
    wild = {pattern for pattern in wanted if is_pattern(pattern)}
    # One expression for all of them: a thousand patterns and ten thousand namespaces would take seconds one by one.
    matches = re.compile("|".join(map(translate, sorted(wild)))).match
    return ((wanted - wild) & known) | ({name for name in known if matches(name)} if wild else set())
