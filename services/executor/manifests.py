"""The Velero objects that Leeward makes, built from a command and what was resolved for it. Pure."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from shared.contracts import ids, names
from shared.contracts.commands import BackupCreate, BackupDelete, RestoreCreate, ScheduleTrigger
from shared.contracts.envelope import Envelope

Object = dict[str, Any]

_LONGEST_LABEL, _HASHED = 63, 6
_SLOT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a cluster's state turned a request into."""

    included: list[str]
    excluded: list[str]
    location: str
    snapshot_locations: list[str]


def backup(command: Envelope[BackupCreate], resolved: Resolved, namespace: str) -> Object:
    """Build the Backup of a command.

    Without a status and without nulls: Velero's CRD refuses an empty phase and may refuse a null, and what is absent
    means the same. The namespaces are never left empty, because to Velero an empty list means everything.
    """
    order = command.data
    if not resolved.included:
        raise ValueError("a backup without namespaces would be a backup of everything")
    spec = {
        **order.spec.model_dump(mode="json", by_alias=True, exclude_none=True),
        "includedNamespaces": resolved.included,
        "excludedNamespaces": resolved.excluded,
        "storageLocation": resolved.location,
        "volumeSnapshotLocations": resolved.snapshot_locations,
    }
    return {
        "apiVersion": "velero.io/v1",
        "kind": "Backup",
        "metadata": {
            "name": order.name,
            "namespace": namespace,
            "labels": {
                **order.labels,
                names.LABEL_CLUSTER: command.cluster,
                names.LABEL_OPERATION_ID: str(command.operationid),
                **_labels_of_schedule(order),
            },
            "annotations": {
                names.ANNOTATION_CREATED_BY: str(command.principal or ""),
                names.ANNOTATION_NAME: order.name,
                names.ANNOTATION_SCOPE: json.dumps(order.scope.wire(), separators=(",", ":")),
                **({names.ANNOTATION_SLOT: f"{order.slot:{_SLOT}}"} if isinstance(order, ScheduleTrigger) else {}),
            },
        },
        "spec": {key: value for key, value in spec.items() if not _is_empty(value)},
    }


def deletion_name(command: Envelope[BackupDelete]) -> str:
    """Return the name of a command's DeleteBackupRequest: always the same one, so that there is never a second."""
    return f"leeward-{command.operationid}"


def deletion(command: Envelope[BackupDelete], backup: Mapping[str, Any], namespace: str) -> Object:
    """Build the DeleteBackupRequest of a command. Velero finds it by the first two labels, Leeward by the others."""
    order = command.data
    return {
        "apiVersion": "velero.io/v1",
        "kind": "DeleteBackupRequest",
        "metadata": {
            "name": deletion_name(command),
            "namespace": namespace,
            "labels": {
                names.LABEL_VELERO_BACKUP: valid_name(order.name),
                names.LABEL_VELERO_BACKUP_UID: backup["metadata"]["uid"],
                names.LABEL_CLUSTER: command.cluster,
                names.LABEL_OPERATION_ID: str(command.operationid),
                names.LABEL_BACKUP_ID: order.backup,
            },
            "annotations": {names.ANNOTATION_CREATED_BY: str(command.principal or "")},
        },
        "spec": {"backupName": order.name},
    }


def modifiers_name(command: Envelope[RestoreCreate]) -> str:
    """Return what the ConfigMap with a command's resource modifiers is called."""
    return f"leeward-modifiers-{command.operationid}"


def modifiers(command: Envelope[RestoreCreate], namespace: str) -> Object:
    """Build the ConfigMap with a command's resource modifiers: one key, as Velero wants it, and JSON, which is YAML, too."""
    order = command.data
    if order.modifiers is None:
        raise ValueError("a restore without modifiers has no ConfigMap")
    rules = _said(order.modifiers.model_dump(mode="json", by_alias=True, exclude_none=True))
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": modifiers_name(command),
            "namespace": namespace,
            "labels": {
                names.LABEL_CLUSTER: command.cluster,
                names.LABEL_OPERATION_ID: str(command.operationid),
                names.LABEL_LOCATION: valid_name(order.name),
            },
        },
        "data": {"modifiers.yaml": json.dumps(rules, indent=1, ensure_ascii=False)},
    }


def owned_by(restore: Mapping[str, Any]) -> Object:
    """Build the patch by which an object goes together with a Restore."""
    meta = restore["metadata"]
    owner = {"apiVersion": "velero.io/v1", "kind": "Restore", "name": meta["name"], "uid": meta["uid"]}
    return {"metadata": {"ownerReferences": [owner]}}


def restore(command: Envelope[RestoreCreate], namespace: str) -> Object:
    """Build the Restore of a command.

    Without a status and without nulls, as a Backup is; of the two sources only the backup: Velero takes one. What is empty
    means the same as what is absent, but for `restoreStatus`, which restores the status of every kind when it is empty.
    """
    order = command.data
    spec = {
        **order.spec.model_dump(mode="json", by_alias=True, exclude_none=True),
        "backupName": order.source.name,
        **({"resourceModifier": {"kind": "configmap", "name": modifiers_name(command)}} if order.modifiers else {}),
    }
    schedule = order.schedule
    return {
        "apiVersion": "velero.io/v1",
        "kind": "Restore",
        "metadata": {
            "name": order.name,
            "namespace": namespace,
            "labels": {
                **order.labels,
                names.LABEL_CLUSTER: command.cluster,
                names.LABEL_OPERATION_ID: str(command.operationid),
                names.LABEL_BACKUP_ID: order.source.id,
                names.LABEL_BACKUP_CLUSTER: order.source.cluster,
                **({names.LABEL_SCHEDULE_ID: schedule.id, names.LABEL_VELERO_SCHEDULE: schedule.name} if schedule else {}),
            },
            "annotations": {
                names.ANNOTATION_CREATED_BY: str(command.principal or ""),
                names.ANNOTATION_NAME: order.name,
            },
        },
        "spec": {key: value for key, value in spec.items() if not _is_empty(value)},
    }


def valid_name(name: str) -> str:
    """Return a name as Velero writes it into a label: a long one is cut, and told apart by a hash."""
    if len(name) <= _LONGEST_LABEL:
        return name
    return name[: _LONGEST_LABEL - _HASHED] + hashlib.sha256(name.encode()).hexdigest()[:_HASHED]


def is_of(obj: Mapping[str, Any], command: Envelope[Any]) -> bool:
    """Tell whether an object was made for this command, in this cluster.

    The cluster is compared, too: Velero's sync carries labels through the bucket into other clusters.
    """
    labels = (obj.get("metadata") or {}).get("labels") or {}
    return (
        labels.get(names.LABEL_OPERATION_ID) == command.operationid
        and command.operationid is not None
        and labels.get(names.LABEL_CLUSTER) == command.cluster
    )


def of_schedule(backup: Mapping[str, Any], command: Envelope[ScheduleTrigger]) -> bool:
    """Tell whether a Backup was made in this cluster from the command's schedule: for a slot, or because a person asked."""
    labels = (backup.get("metadata") or {}).get("labels") or {}
    return (
        labels.get(names.LABEL_SCHEDULE_ID) == command.data.schedule.id
        and labels.get(names.LABEL_CLUSTER) == command.cluster
        and _marks_are_its_own(backup)
    )


def slot_of(backup: Mapping[str, Any]) -> datetime | None:
    """Return the slot that a Backup was made for; None for one that a person made, or whose mark nobody of ours has written."""
    annotations = (backup.get("metadata") or {}).get("annotations") or {}
    try:
        return datetime.strptime(str(annotations.get(names.ANNOTATION_SLOT)), _SLOT).replace(tzinfo=UTC)
    except ValueError:
        return None


def ids_of(obj: Mapping[str, Any], cluster: str) -> frozenset[str]:
    """Return every id by which people of this cluster may know a Backup; two of one name share none, unless they are one."""
    meta = obj.get("metadata") or {}
    name, labels = str(meta.get("name") or ""), meta.get("labels") or {}
    where = (cluster, str(meta.get("namespace") or ""), name)
    found = {ids.unstarted_backup_id(*where, str(meta.get("uid") or ""))}
    if start := (obj.get("status") or {}).get("startTimestamp"):
        found.add(ids.started_backup_id(*where, str(start)))
    if _marks_are_its_own(obj) and labels.get(names.LABEL_CLUSTER) == cluster and labels.get(names.LABEL_OPERATION_ID):
        found.add(str(labels[names.LABEL_OPERATION_ID]))
    return frozenset(found)


def owner_of(obj: Mapping[str, Any]) -> str | None:
    """Return the cluster in which Leeward has made an object; None for one that it has not made."""
    meta = obj.get("metadata") or {}
    return (meta.get("labels") or {}).get(names.LABEL_CLUSTER) if _marks_are_its_own(obj) else None


def restore_ids_of(obj: Mapping[str, Any], cluster: str) -> frozenset[str]:
    """Return every id by which people of this cluster may know a Restore."""
    meta = obj.get("metadata") or {}
    labels = meta.get("labels") or {}
    uid = str(meta.get("uid") or "")
    found = {ids.restore_id(cluster, str(meta.get("namespace") or ""), str(meta.get("name") or ""), uid)}
    if _marks_are_its_own(obj) and labels.get(names.LABEL_CLUSTER) == cluster and labels.get(names.LABEL_OPERATION_ID):
        found.add(str(labels[names.LABEL_OPERATION_ID]))
    return frozenset(found)


def location_of(backup: Mapping[str, Any]) -> str:
    """Return the storage location that a Backup lies in; empty for one for which Velero has not chosen yet."""
    return str((backup.get("spec") or {}).get("storageLocation") or "")


def is_passing(backup: Mapping[str, Any]) -> bool:
    """Tell whether a Backup was brought through a mirror: with that it goes. A Restore lies in no location, so it never was."""
    return location_of(backup).startswith(names.MIRROR_PREFIX)


def _marks_are_its_own(obj: Mapping[str, Any]) -> bool:
    """Tell whether what an object carries of ours is about itself, and not about one of another name that it is a copy of."""
    meta = obj.get("metadata") or {}
    return bool((meta.get("annotations") or {}).get(names.ANNOTATION_NAME, meta.get("name")) == meta.get("name"))


def _labels_of_schedule(order: BackupCreate) -> dict[str, str]:
    origin = order.schedule
    return {names.LABEL_SCHEDULE_ID: origin.id, names.LABEL_VELERO_SCHEDULE: origin.name} if origin else {}


def _said(value: Any) -> Any:
    """Return a value without anything empty in it."""
    if isinstance(value, dict):
        return {key: told for key, part in value.items() if not _is_empty(told := _said(part))}
    return [_said(part) for part in value] if isinstance(value, list) else value


def _is_empty(value: Any) -> bool:
    return value is None or value in ({}, [])
