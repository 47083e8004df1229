"""Identities that every service derives alike, so that any number of them meet in one name."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID, uuid4, uuid5

NAMESPACE = UUID("6f1d5a52-6d0c-5c63-9b2e-0c8f4b7f9a11")
"""The uuid5 namespace of everything that Leeward derives. Changing it would make every retry a second request."""

_CLUSTER_ID = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")


def is_cluster_id(value: str) -> bool:
    """Tell whether the value is a DNS label (RFC 1123): cluster ids are subject tokens, consumer names and label values."""
    return _CLUSTER_ID.fullmatch(value) is not None


def is_token(value: str) -> bool:
    """Tell whether the value can stand as one token of a subject: no dot, no wildcard, no space."""
    return _TOKEN.fullmatch(value) is not None


def operation_id(principal: str, method: str, path: str, idempotency_key: str | None) -> str:
    """Return the id of what a request asks for: the same for every retry with one key, random without a key."""
    if idempotency_key is None:
        return str(uuid4())
    return str(uuid5(NAMESPACE, f"{principal}\n{method}\n{path}\n{idempotency_key}"))


def slot_operation_id(schedule_id: str, slot: datetime) -> str:
    """Return the id of one slot of a schedule: whoever fires it, it is one operation."""
    return str(uuid5(NAMESPACE, f"{schedule_id}/{slot.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"))


def slot_backup_name(schedule: str, slot: datetime) -> str:
    """Return what the backup of a slot is called, whoever fires it."""
    return f"{schedule}-{slot.astimezone(UTC):%Y%m%d%H%M%S}"


def schedule_deletion_id(schedule_id: str, attempt: int, backup_id: str) -> str:
    """Return the id of the deletion of one backup along with its schedule; each time that a person asks it is another."""
    return str(uuid5(NAMESPACE, f"{schedule_id}/delete/{attempt}/{backup_id}"))


def velero_schedule_id(cluster: str, name: str) -> str:
    """Return the id of a Schedule of Velero's own, by which lists and the state feed name it."""
    return str(uuid5(NAMESPACE, f"{cluster}/velero-schedule/{name}"))


@lru_cache(maxsize=8192)
def unstarted_backup_id(cluster: str, namespace: str, name: str, uid: str) -> str:
    """Return the id of a backup that Leeward did not ask for and that has not started: only its uid tells it apart."""
    return str(uuid5(NAMESPACE, f"{cluster}/{namespace}/{name}@{uid}"))


@lru_cache(maxsize=8192)
def started_backup_id(cluster: str, namespace: str, name: str, started_at: str) -> str:
    """Return the id of a backup that Leeward did not ask for, once started.

    The start (RFC 3339, as Velero wrote it) travels through the bucket, the uid does not: a backup that Velero's sync
    creates again is the same one, a name used again is another.
    """
    return str(uuid5(NAMESPACE, f"{cluster}/{namespace}/{name}@{started_at}"))


def location_id(cluster: str, name: str) -> str:
    """Return the id of a storage location, by which the state feed names it (its name may contain dots)."""
    return str(uuid5(NAMESPACE, f"{cluster}/location/{name}"))


def snapshot_location_id(cluster: str, name: str) -> str:
    """Return the id of a volume snapshot location."""
    return str(uuid5(NAMESPACE, f"{cluster}/snapshot-location/{name}"))


def restore_id(cluster: str, namespace: str, name: str, uid: str) -> str:
    """Return the id of a restore that Leeward did not ask for. Velero's sync carries no Restores, so the uid stays."""
    return str(uuid5(NAMESPACE, f"{cluster}/restore/{namespace}/{name}@{uid}"))
