"""The read-only storage location through which a restore reads another cluster's backup: which one it is. Pure.

Restores share it: each marks it as used, and the last one to go removes it. One that people have made is used as it is.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from services.executor.locations.judging import KEY, STORAGE, labels
from services.executor.manifests import ids_of, is_of, is_passing, location_of, owner_of, valid_name
from services.executor.restores.judging import moment_of, phase_of
from shared.contracts import names
from shared.contracts.commands import RestoreCreate
from shared.contracts.envelope import Envelope
from shared.contracts.locationspec import StorageLocationSpec, manifest_spec, place_of
from shared.contracts.reaching import Way, rank

Object = dict[str, Any]
Order = Envelope[RestoreCreate]

_SHORT: Final = 8
_OFTEN: Final = "10s"
"""How often Velero looks at a mirror, which does not live long; it lists the bucket once a minute, whatever is asked for."""
_NEVER: Final = "0s"
_AVAILABLE: Final = {"Available": True, "Unavailable": False}


class Standing(StrEnum):
    """What there is in the target of the backup that is meant."""

    ABSENT = "absent"
    THERE = "there"
    PASSING = "passing"
    """A copy whose mirror is going: it goes, too."""
    HIDDEN = "hidden"
    """Another one has its name, so that Velero never takes it from the bucket."""


def mirror_name(command: Order) -> str:
    """Return what the mirror of a command is called, if it makes one."""
    return f"{names.MIRROR_PREFIX}{str(command.operationid)[:_SHORT]}"


def wanted(command: Order) -> StorageLocationSpec:
    """Return the location that reaches the backup.

    Raises ValueError for a restore of the cluster's own backup.
    """
    if command.data.mirror is None:
        raise ValueError("a restore of the cluster's own backup needs no mirror")
    return command.data.mirror


def mirror(command: Order, namespace: str) -> dict[str, Any]:
    """Build the mirror of a command: read-only, nobody's default, and looked at often."""
    spec = {key: value for key, value in manifest_spec(wanted(command)).items() if key != "default"}
    name = mirror_name(command)
    credential = {"credential": {"name": STORAGE.secret(name), "key": KEY}} if command.data.credential else {}
    return {
        "apiVersion": "velero.io/v1",
        "kind": "BackupStorageLocation",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {**labels(command), names.LABEL_MIRROR_OF: command.data.source.cluster},
            "annotations": {names.ANNOTATION_CREATED_BY: str(command.principal or ""), _mark(command): command.data.name},
        },
        "spec": {
            **spec,
            **credential,
            "accessMode": "ReadOnly",
            "backupSyncPeriod": _OFTEN,
            "validationFrequency": _OFTEN,
        },
    }


def choose(command: Order, locations: Iterable[Object], *, begun: bool = False) -> Object | None:
    """Return the location through which to read: one already chosen, a person's that can be used, another restore's mirror.

    A person's that Velero cannot use only counts where the request says no better way, or where it could be used before
    (`begun`: one was chosen, and the backup is being looked for). One in which the cluster makes backups of its own may lie in
    another storage under the same names, so that it does not count, either, where the request says the way.
    """
    ranked = sorted((turn, name_of(x), x) for x in locations if (turn := _rank(command, x, begun)) is not None)
    return ranked[0][2] if ranked else None


def _rank(command: Order, location: Object, begun: bool) -> int | None:
    if not is_same_place(command, location):
        return None
    mirror = is_mirror(location, command.cluster)
    if mirror and is_used(location, command):
        return 0
    if mirror and is_leaving(location):
        return None
    available = _AVAILABLE.get(phase_of(location) or "")
    return rank(Way(mirror, _writes(location), available), said=_says_the_way(command), begun=begun)


def standing(command: Order, backup: Object | None, locations: Iterable[Object]) -> Standing:
    """Tell whether a Backup of that name is the one that is meant."""
    if backup is None:
        return Standing.ABSENT
    spot = location_of(backup)
    found = next((x for x in locations if name_of(x) == spot), None)
    if found is None or is_leaving(found):
        return Standing.PASSING if is_passing(backup) else Standing.HIDDEN
    started, meant = moment_of((backup.get("status") or {}).get("startTimestamp")), command.data.source.started_at
    same = meant is None or (started is not None and _seconds(started) == _seconds(meant))
    there = same and is_same_place(command, found) and _is_of_source(command, backup, found)
    return Standing.THERE if there else Standing.HIDDEN


def _is_of_source(command: Order, backup: Object, location: Object) -> bool:
    """Tell whether a Backup of the right name and start is the source's: schedules of one name begin in the same second.

    What Leeward has made says whose it is. Of the rest, what was there before it had started was not brought by Velero's sync.
    """
    source, owner = command.data.source, owner_of(backup)
    if owner is not None:
        known = ids_of(
            backup, source.cluster
        )  # by its start, too: the source may have taken it over from a cluster that is gone
        return owner != command.cluster and not known.isdisjoint((source.id, *source.ids))
    created = moment_of((backup.get("metadata") or {}).get("creationTimestamp"))
    started = moment_of((backup.get("status") or {}).get("startTimestamp"))
    return not (_writes(location) and created is not None and started is not None and created <= started)


def is_same_place(command: Order, location: Object) -> bool:
    """Tell whether a location reaches the backup, by whatever URL."""
    return place_of(location.get("spec") or {}) == place_of(wanted(command).wire())


def is_mirror(location: Object, cluster: str) -> bool:
    """Tell whether Leeward has made a location for restores from another cluster."""
    told = (location.get("metadata") or {}).get("labels") or {}
    return names.LABEL_MIRROR_OF in told and told.get(names.LABEL_CLUSTER) == cluster


def is_used(location: Object, command: Order) -> bool:
    """Tell whether the restore of a command reads through a location."""
    return _mark(command) in _annotations(location)


def is_given_up(location: Object, command: Order) -> bool:
    """Tell whether a command reads through another one's mirror that is of no use to it."""
    joined = is_mirror(location, command.cluster) and is_used(location, command) and not is_of(location, command)
    return joined and (phase_of(location) == "Unavailable" or is_leaving(location))


def is_leaving(location: Object) -> bool:
    """Tell whether a mirror is being removed."""
    return names.ANNOTATION_LEAVING in _annotations(location) or bool((location.get("metadata") or {}).get("deletionTimestamp"))


def users(location: Object) -> list[str]:
    """Return the operations whose restores read through a mirror."""
    return sorted(
        k.removeprefix(names.ANNOTATION_USED_BY) for k in _annotations(location) if k.startswith(names.ANNOTATION_USED_BY)
    )


def others(location: Object, command: Order) -> list[str]:
    """Return the other restores that read through a mirror, by name."""
    marks = _annotations(location).items()
    return sorted(str(v) for k, v in marks if k.startswith(names.ANNOTATION_USED_BY) and k != _mark(command))


def use(location: Object, command: Order, *, begin: bool) -> dict[str, Any]:
    """Build the patch by which a restore begins to use a mirror, or ceases to; it fails if somebody else is faster."""
    return _patch(location, {_mark(command): command.data.name if begin else None})


def leave(location: Object) -> dict[str, Any]:
    """Build the patch after which nobody uses a mirror any more, and Velero brings no more backups through it."""
    return _patch(location, {names.ANNOTATION_LEAVING: "true"}) | {"spec": {"backupSyncPeriod": _NEVER}}


def copies_of(location: str) -> str:
    """Return the label selector of what Velero has brought into a cluster through a location."""
    return f"{names.LABEL_VELERO_LOCATION}={valid_name(location)}"


def is_copy(backup: Object, location: str) -> bool:
    """Tell whether a Backup was brought by Velero through a location, and not made here by somebody."""
    return location_of(backup) == location and bool((backup.get("status") or {}).get("startTimestamp"))


def validated_again(location: Object, seconds: float) -> bool:
    """Tell whether Velero has looked at a mirror for so long that it has done so at least twice."""
    made = moment_of((location.get("metadata") or {}).get("creationTimestamp"))
    last = moment_of((location.get("status") or {}).get("lastValidationTime"))
    return made is not None and last is not None and (last - made).total_seconds() >= seconds


def name_of(obj: Object) -> str:
    """Return the name of an object."""
    return str((obj.get("metadata") or {}).get("name") or "")


def _says_the_way(command: Order) -> bool:
    """Tell whether the request itself says how the storage is reached: with which credential, or by which settings."""
    return command.data.credential is not None or command.data.storage_given


def _writes(location: Object) -> bool:
    return bool((location.get("spec") or {}).get("accessMode") != "ReadOnly")


def _mark(command: Order) -> str:
    return f"{names.ANNOTATION_USED_BY}{command.operationid}"


def _annotations(obj: Object) -> Mapping[str, Any]:
    return (obj.get("metadata") or {}).get("annotations") or {}


def _patch(location: Object, annotations: dict[str, str | None]) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": location["metadata"]["resourceVersion"], "annotations": annotations}}


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
