"""From options to what is registered of a cluster. Pure."""

from collections.abc import Sequence

from leeward.changing import Change
from leeward.request import Field, Form, selector, words

FIELDS: Sequence[Field] = (
    Field("--display-name", "/displayName", str, "WORDS", "What people call it."),
    Field(
        "--production-selector", "/productionSelector", str, "SELECTOR", "Labels of production namespaces: env=prod.", selector
    ),
    Field(
        "--non-production-selector", "/nonProductionSelector", str, "SELECTOR", "Labels of all other ones: env!=prod.", selector
    ),
    Field("--data-mover", "/dataMovers", list[str], "NAME", "One that runs there beside Velero's own.", words),
)
CLUSTER = Form(FIELDS, None, {})
CHANGE = Change("cluster", CLUSTER, ("id",))
