"""Label selectors as Kubernetes reads them, and the ones that tell production from the rest unless a cluster has its own."""

from collections.abc import Mapping
from typing import Any

from shared.contracts.backupspec import LabelRequirement, LabelSelector
from shared.contracts.base import Wire
from shared.contracts.documents import from_document

_PRODUCTION = ["production", "prod"]


class Environments(Wire):
    """What puts a namespace into an environment: production comes first, where both match."""

    production: LabelSelector = LabelSelector(
        match_expressions=[LabelRequirement(key="environment", operator="In", values=_PRODUCTION)],
    )
    non_production: LabelSelector = LabelSelector(
        match_expressions=[
            LabelRequirement(key="environment", operator="Exists"),
            LabelRequirement(key="environment", operator="NotIn", values=_PRODUCTION),
        ],
    )

    def is_production(self, labels: Mapping[str, str]) -> bool:
        """Tell whether a namespace with these labels is production."""
        return selects(self.production, labels)

    def is_non_production(self, labels: Mapping[str, str]) -> bool:
        """Tell whether a namespace with these labels is of another environment; without either it is of none."""
        return not self.is_production(labels) and selects(self.non_production, labels)


def environments_of(registration: Mapping[str, Any] | None) -> Environments:
    """Return the selectors of a cluster as it is registered; one that it has not set, or a cluster that is not, has the usual.

    Raises pydantic.ValidationError for a registration that cannot be read.
    """
    said = registration or {}
    own = {"production": said.get("productionSelector"), "nonProduction": said.get("nonProductionSelector")}
    return Environments.read({name: from_document(selector) for name, selector in own.items() if selector is not None})


def selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Tell whether the labels match. `NotIn` also matches where the label is missing, as in Kubernetes."""
    return all(labels.get(k) == v for k, v in selector.match_labels.items()) and all(
        _meets(requirement, labels) for requirement in selector.match_expressions
    )


def _meets(requirement: LabelRequirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case "In":
            return value in requirement.values
        case "NotIn":
            return value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
