"""The indexes of what the gateway alone writes, as a table: made before the first document is."""

from collections.abc import Mapping
from typing import Any, Final

from shared.contracts.documents import Collection

INDEXES: Final[Mapping[Collection, tuple[tuple[tuple[str, ...], Mapping[str, Any]], ...]]] = {
    Collection.SCHEDULES: (
        (("cluster", "name"), {"unique": True}),
        (("deleting.at",), {"sparse": True}),
        (("changedAt",), {}),
    ),
}
"""Collection → keys, all upwards, and options. By `changedAt` others find what has changed since they looked."""
