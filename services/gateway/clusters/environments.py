"""Which environment a namespace is of, by the selectors of its cluster; and which namespaces a scope means. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.gateway.schemas import ScopePreview
from shared.contracts.backupspec import LabelSelector
from shared.contracts.refusals import Code, Refusal, refusal
from shared.contracts.scopes import AllNamespaces, Resolution, Scope, resolve
from shared.contracts.selectors import Environments

_OPTED_OUT = "velero.io/exclude-from-backup"
"""The label by which Velero leaves a namespace out of every backup (`true`), whatever was asked for."""


def environments(production: LabelSelector | None, non_production: LabelSelector | None) -> Environments:
    """Return the selectors of a cluster; one that it has not set is the usual one."""
    own = {"production": production, "non_production": non_production}
    return Environments(**{name: selector for name, selector in own.items() if selector is not None})


def environment(
    labels: Mapping[str, str], production: LabelSelector | None, non_production: LabelSelector | None
) -> Literal["Production", "NonProduction"] | None:
    """Return the environment of a namespace with these labels; None where neither selector matches."""
    wanted = environments(production, non_production)
    if wanted.is_production(labels):
        return "Production"
    return "NonProduction" if wanted.is_non_production(labels) else None


@dataclass(frozen=True, slots=True)
class Held:
    """The namespaces that a cluster has told of, with their labels; `truncated`: there are more."""

    namespaces: Mapping[str, Mapping[str, str]]
    as_of: datetime
    truncated: bool = False


def preview(scope: Scope, cluster: str, selectors: Environments, held: Held) -> ScopePreview:
    """Return what a scope means in a cluster, by the function that decides it when a backup is made."""
    found = resolve(scope, selectors, held.namespaces)
    everything = isinstance(scope, AllNamespaces)
    before = resolve(scope.model_copy(update={"excluded_namespaces": []}), selectors, held.namespaces)
    wanted = set(held.namespaces if everything else before.included)
    namespaces = sorted(wanted - set(found.excluded)) if everything else found.included
    return ScopePreview(
        everything=everything,
        namespaces=namespaces,
        excluded=sorted(wanted - set(namespaces)),
        opted_out=[name for name in namespaces if held.namespaces[name].get(_OPTED_OUT) == "true"],
        unknown=found.unknown,
        refusal=_refusal(found, cluster, held),
        truncated=held.truncated,
        as_of=held.as_of,
    )


def _refusal(found: Resolution, cluster: str, held: Held) -> Refusal | None:
    """Return what a backup would be refused with; what a cluster could not tell of may still be there."""
    if held.truncated:
        return None
    if found.unknown:
        return refusal(Code.NAMESPACE_UNKNOWN, cluster=cluster, names=", ".join(found.unknown))
    return refusal(Code.SCOPE_MATCHES_NOTHING, cluster=cluster) if not found.included else None
