"""What people see of storage locations and of volume snapshot locations: the newest object of their name. Pure."""

from collections.abc import Sequence
from typing import Any, Final, Literal

from services.status.objects import Record, newest
from services.status.rows import Row
from services.status.values import cut, instant, mapping, text
from shared.contracts.names import ANNOTATION_SHARED_BUCKET, LABEL_CLUSTER, LABEL_MIRROR_OF
from shared.contracts.phases import LocationStatus
from shared.contracts.views import LocationItem, SnapshotLocationItem

_PHASES: Final = {"Available": LocationStatus.AVAILABLE, "Unavailable": LocationStatus.UNAVAILABLE}
_MODES: Final[dict[str, Literal["ReadWrite", "ReadOnly"]]] = {"": "ReadWrite", "ReadWrite": "ReadWrite", "ReadOnly": "ReadOnly"}
"""Velero takes none for ReadWrite."""
_MESSAGE_LIMIT: Final = 8192


def location(location_id: str, records: Sequence[Record]) -> Row | None:
    """Return what people see of a storage location; None when no object was ever seen."""
    shown = newest(records)
    if shown is None:
        return None
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
        status=LocationStatus.DELETED if shown.gone_at else _PHASES.get(shown.phase or "", LocationStatus.PENDING),
        message=cut(shown.status.get("message"), _MESSAGE_LIMIT) or shown.unreadable,
        last_validated_at=instant(shown.status.get("lastValidationTime")),
        last_synced_at=instant(shown.status.get("lastSyncedTime")),
        mirror_of=_mirror_of(shown),
        shared_bucket=shown.annotations.get(ANNOTATION_SHARED_BUCKET) == "true",
        spec=dict(shown.spec),
    )
    return _row(item, shown, records)


def snapshot_location(location_id: str, records: Sequence[Record]) -> Row | None:
    """Return what people see of a volume snapshot location; None when no object was ever seen."""
    shown = newest(records)
    if shown is None:
        return None
    item = SnapshotLocationItem(
        id=location_id,
        name=shown.name,
        cluster=shown.cluster,
        namespace=shown.namespace,
        provider=text(shown.spec.get("provider")),
        status=LocationStatus.DELETED if shown.gone_at else _PHASES.get(shown.phase or "", LocationStatus.UNCHECKED),
        message=cut(shown.status.get("message"), _MESSAGE_LIMIT) or shown.unreadable,
        spec=dict(shown.spec),
    )
    return _row(item, shown, records)


def _row(item: LocationItem | SnapshotLocationItem, shown: Record, records: Sequence[Record]) -> Row:
    told = max(r.gone_at or r.observed_at for r in records)
    return Row(cluster=shown.cluster, item=item, listed=shown.gone_at is None, as_of=told)


def _mirror_of(shown: Record) -> str | None:
    """Return the cluster that Leeward made it to reach: only of this cluster's own, not of one that somebody copied."""
    return shown.labels.get(LABEL_MIRROR_OF) if shown.labels.get(LABEL_CLUSTER) == shown.cluster else None


def _access_mode(shown: Record) -> Literal["ReadWrite", "ReadOnly"] | None:
    mode = None if shown.unreadable else shown.spec.get("accessMode", "")
    return _MODES.get(mode) if isinstance(mode, str) else None


def _default(shown: Record) -> bool | None:
    default = None if shown.unreadable else shown.spec.get("default", False)
    return default if isinstance(default, bool) else None


def is_read_only(stored: Any) -> bool:
    """Tell from a location's stored item whether no backup can be made in it."""
    return bool(stored) and stored["accessMode"] == "ReadOnly" and stored["status"] != LocationStatus.DELETED
