"""Go's durations, and the objects that Go cannot read because of one that is not."""

import re
from collections.abc import Iterator, Mapping

from simulator.documents import Document, dig

_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST = 2.0**63 * 1e-9
_UNIT = re.compile(r"[^\d.]*")

_BACKUP_SPEC = ("ttl", "csiSnapshotTimeout", "itemOperationTimeout")
DURATIONS: Mapping[str, tuple[str, ...]] = {
    "backups": tuple(f"spec.{field}" for field in _BACKUP_SPEC),
    "restores": ("spec.itemOperationTimeout",),
    "schedules": tuple(f"spec.template.{field}" for field in _BACKUP_SPEC),
    "backupstoragelocations": ("spec.backupSyncPeriod", "spec.validationFrequency"),
    "backuprepositories": ("spec.maintenanceFrequency",),
    "datauploads": ("spec.operationTimeout",),
    "datadownloads": ("spec.operationTimeout",),
}
"""Where each kind holds durations. The CRDs call them plain strings, so the API server admits what Velero cannot read."""


def parse_duration(text: str) -> float:
    """Read a duration such as `1h30m` into seconds. Raise ValueError in the words of Go's parser."""
    sign = -1.0 if text.startswith("-") else 1.0
    rest = text[1:] if text[:1] in {"-", "+"} else text
    if rest == "0":
        return 0.0
    if not rest:
        raise ValueError(f'time: invalid duration "{text}"')
    seconds = 0.0
    while rest:
        number = _NUMBER.match(rest)
        if number is None:
            raise ValueError(f'time: invalid duration "{text}"')
        rest = rest[number.end() :]
        unit = _UNIT.match(rest)
        name = unit.group() if unit else ""
        if not name:
            raise ValueError(f'time: missing unit in duration "{text}"')
        if name not in _SECONDS:
            raise ValueError(f'time: unknown unit "{name}" in duration "{text}"')
        seconds += float(number.group()) * _SECONDS[name]
        rest = rest[len(name) :]
    if seconds > _LONGEST:
        raise ValueError(f'time: invalid duration "{text}"')
    return sign * seconds


def format_duration(seconds: float) -> str:
    """Write a duration of whole seconds as Go does: `720h0m0s`, `10m0s`, `20s`."""
    sign, whole = ("-" if seconds < 0 else ""), abs(int(seconds))
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{sign}{hours}h{minutes}m{whole % 60}s"
    return f"{sign}{minutes}m{whole % 60}s" if minutes else f"{sign}{whole}s"


def unreadable(kind: str, document: Document) -> str | None:
    """Say why Go could not decode an object of a kind, or return None."""
    return next(_problems(kind, document), None)


def _problems(kind: str, document: Document) -> Iterator[str]:
    for path in DURATIONS.get(kind, ()):
        value = dig(document, path)
        if isinstance(value, str):
            try:
                parse_duration(value)
            except ValueError as error:
                yield str(error)
