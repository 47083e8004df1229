"""What people see of a backup storage location: the newest object of its name. Pure."""

from collections.abc import Sequence
from typing import Any, Final, Literal

from services.status.objects import Record, newest
from services.status.rows import Row
from services.status.values import cut, instant, mapping, text
from shared.contracts.phases import LocationStatus
from shared.contracts.views import LocationItem

_PHASES: Final = {"Available": LocationStatus.AVAILABLE, "Unavailable": LocationStatus.UNAVAILABLE}
_MODES: Final[dict[str, Literal["ReadWrite", "ReadOnly"]]] = {"": "ReadWrite", "ReadWrite": "ReadWrite", "ReadOnly": "ReadOnly"}
"""Velero takes none for ReadWrite."""
_MESSAGE_LIMIT: Final = 8192


def location(location_id: str, records: Sequence[Record]) -> Row | None:
    """Return what people see of a storage location; None when no object was ever seen."""
    shown = newest(records)
    if shown is None:
        return None
    gone = shown.gone_at is not None
    storage = mapping(shown.spec.get("objectStorage"))
    item = LocationItem(
        id=location_id,
        name=shown.name,
        cluster=shown.cluster,
        namespace=shown.namespace,
        provider=text(shown.spec.get("provider")),
        bucket=text(storage.get("bucket")),
        prefix=text(storage.get("prefix")),
        access_mode=_access_mode(shown),
        default=_default(shown),
        status=LocationStatus.DELETED if gone else _PHASES.get(shown.phase or "", LocationStatus.PENDING),
        message=cut(shown.status.get("message"), _MESSAGE_LIMIT) or shown.unreadable,
        last_validated_at=instant(shown.status.get("lastValidationTime")),
        last_synced_at=instant(shown.status.get("lastSyncedTime")),
        spec=dict(shown.spec),
    )
    return Row(cluster=shown.cluster, item=item, listed=not gone, as_of=max(r.gone_at or r.observed_at for r in records))


def _access_mode(shown: Record) -> Literal["ReadWrite", "ReadOnly"] | None:
    mode = None if shown.unreadable else shown.spec.get("accessMode", "")
    return _MODES.get(mode) if isinstance(mode, str) else None


def _default(shown: Record) -> bool | None:
    default = None if shown.unreadable else shown.spec.get("default", False)
    return default if isinstance(default, bool) else None


def is_read_only(stored: Any) -> bool:
    """Tell from a location's stored item whether no backup can be made in it."""
    return bool(stored) and stored["accessMode"] == "ReadOnly" and stored["status"] != LocationStatus.DELETED
