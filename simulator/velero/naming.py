"""Names that Velero makes, and what its plugins put before an error."""

import hashlib

from simulator.cloud import StorageError

_LONGEST_LABEL = 63


def valid_name(name: str) -> str:
    """Return a name as the value of a label: long ones are cut and told apart by a hash."""
    if len(name) <= _LONGEST_LABEL:
        return name
    return name[: _LONGEST_LABEL - 6] + hashlib.sha256(name.encode()).hexdigest()[:6]


class Unasked(StorageError):  # noqa: N818 (it says what has not been done)
    """Velero cannot ask the storage at all: what it would ask with is missing."""


class NoPlugin(Unasked):
    """There is no plugin to ask for this provider."""

    def __init__(self, provider: str) -> None:
        name = provider if "/" in provider else f"velero.io/{provider}"
        super().__init__("", f"unable to locate ObjectStore plugin named {name}")


def plugin_error(error: StorageError) -> str:
    """Return an error of the storage as it comes back from the plugin that was asked."""
    return str(error) if isinstance(error, Unasked) else f"rpc error: code = Unknown desc = {error}"
