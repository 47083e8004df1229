"""The indexes of what the scheduler writes, and the one by which it finds what has changed, as a table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shared.contracts.documents import Collection
from shared.contracts.schedules import Decision


@dataclass(frozen=True, slots=True)
class Index:
    """An index: the collection, its keys, all upwards, and what else there is to say about it."""

    collection: Collection
    keys: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


INDEXES: Final[tuple[Index, ...]] = (
    Index(Collection.TICKS, ("schedule", "to")),
    Index(Collection.TICKS, ("schedule", "decision", "to")),
    Index(Collection.TICKS, ("decision", "decidedAt")),
    Index(Collection.TICKS, ("forgetAt",), {"expireAfterSeconds": 0}),
    Index(Collection.TICKS, ("deadline",), {"partialFilterExpression": {"published": False}}),
    Index(Collection.TICKS, ("skip",), {"partialFilterExpression": {"decision": Decision.SKIPPED.value}}),
    Index(Collection.SCHEDULES, ("changedAt",)),
)
