"""The shape in which views lie in MongoDB, agreed between status, which writes them, and the gateway, which reads them.

Every view document is `{_id, item, …}`: `item` is the view's model with its wire names, datetimes as datetimes, and label
maps as `[{k, v}]` lists, so that keys with dots neither break the database nor escape an index.
"""

from collections.abc import Iterable, Mapping
from enum import Enum, StrEnum
from typing import Any

from shared.contracts.base import Wire


class Collection(StrEnum):
    """The collections; each has exactly one writer (architecture, section 4)."""

    CLUSTERS = "clusters"
    OBJECTS = "objects"
    BACKUPS = "backups"
    RESTORES = "restores"
    LOCATIONS = "locations"
    SNAPSHOT_LOCATIONS = "snapshot_locations"
    OPERATIONS = "operations"
    CLUSTER_STATE = "cluster_state"
    TRANSITIONS = "transitions"
    SCHEDULES = "schedules"
    """What is wanted (`shared.contracts.schedules.Schedule`). Written by the gateway."""
    TICKS = "ticks"
    """What was decided (`shared.contracts.schedules.Tick`). Written by the scheduler."""
    SCHEDULE_CLOCK = "schedule_clock"
    """Up to which slot all is decided: `{_id: schedule, decidedTo}`. Written by the scheduler."""
    SCHEDULE_STATUS = "schedule_status"
    """What people see of a schedule. Written by status."""
    CAPTURES = "captures"
    """Texts that outlive their backups: `{_id, cluster, uid, artifact, part, parts, cut, data, at}`, one document a part."""


def capture_id(cluster: str, uid: str, artifact: str = "", part: int | None = None) -> str:
    """Return the id of a part of a captured text; what is left out makes it the beginning of all such ids."""
    return f"{cluster}/{uid}/" + (f"{artifact}/" if artifact else "") + ("" if part is None else str(part))


def whole_capture(parts: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the parts of one captured text in order, if all are there; of texts captured twice those of the newer one."""
    found = sorted(parts, key=lambda part: int(part["part"]))
    count = max(found, key=lambda part: (part["at"], part["parts"]))["parts"] if found else 0
    shown = [part for part in found if part["parts"] == count]
    return shown if len(shown) == count else []


_LABEL_MAPS = frozenset({"labels", "matchLabels", "annotations", "orderedResources", "namespaceMapping"})
_ODD = "kv"


def to_document(value: Any, *, name: str = "") -> Any:
    """Return a value that MongoDB stores as it is: maps of people's keys become `[{k, v}]`, any other odd map `{kv: […]}`."""
    if isinstance(value, Wire):
        return to_document(value.model_dump(mode="python", by_alias=True), name=name)
    if isinstance(value, Mapping):
        if name in _LABEL_MAPS:
            return [{"k": k, "v": to_document(v)} for k, v in sorted(value.items())]
        if any("." in k or k.startswith("$") or not k for k in value) or set(value) == {_ODD}:
            return {_ODD: [{"k": k, "v": to_document(v, name=k)} for k, v in value.items()]}
        return {k: to_document(v, name=k) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_document(v) for v in value]
    if isinstance(value, Enum):
        return value.value
    return value


def from_document(value: Any, *, name: str = "") -> Any:
    """Undo `to_document`."""
    if isinstance(value, Mapping):
        if set(value) == {_ODD}:
            return {pair["k"]: from_document(pair["v"], name=pair["k"]) for pair in value[_ODD]}
        return {k: from_document(v, name=k) for k, v in value.items()}
    if isinstance(value, list):
        if name in _LABEL_MAPS and all(isinstance(pair, Mapping) and set(pair) == {"k", "v"} for pair in value):
            return {pair["k"]: from_document(pair["v"]) for pair in value}
        return [from_document(v) for v in value]
    return value
