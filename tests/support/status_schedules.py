"""Schedules for tests of the status service: what is wanted, what was decided, and the backups that they made."""

from datetime import datetime, timedelta
from typing import Any

from services.status.handlers import COMMAND_ROUTES
from shared.contracts import ids, subjects
from shared.contracts.commands import BackupCreate, ScheduleTrigger
from shared.contracts.events import Observed
from shared.contracts.schedules import Decision, Schedule, Tick
from tests.support.messages import NOW, envelope
from tests.support.status_messages import backup, observed, ours

SCHEDULE = "s1"
SLOT = NOW - timedelta(minutes=1)


def wanted(
    schedule_id: str = SCHEDULE,
    *,
    name: str = "nightly",
    cluster: str = "eu1",
    cron: str = "0 2 * * *",
    timezone: str = "UTC",
    scope: dict[str, Any] | None = None,
    location: str | None = None,
    at: datetime = NOW,
    **more: Any,
) -> Schedule:
    """A schedule as a person wants it since then."""
    spec = {"storageLocation": location} if location else {}
    return Schedule.read(
        {
            "id": schedule_id,
            "name": name,
            "cluster": cluster,
            "eras": [{"from": at, "cron": cron, "timezone": timezone}],
            "template": {"scope": scope or {"kind": "all"}, "spec": spec},
            "createdBy": "anna",
            "createdAt": at,
            "changedAt": at,
            **more,
        }
    )


def tick(decision: Decision, slot: datetime, *, schedule: str = SCHEDULE, to: datetime | None = None, **more: Any) -> Tick:
    """What was decided of a slot."""
    return Tick(
        id=ids.slot_operation_id(schedule, slot),
        schedule=schedule,
        cluster="eu1",
        from_=slot,
        to=to or slot,
        decision=decision,
        due_at=slot,
        decided_at=slot + timedelta(seconds=1),
        **more,
    )


def trigger_command(operation: str = "op1", *, schedule: str = SCHEDULE, slot: datetime = SLOT, at: datetime = NOW):
    """The command to make the backup of a slot."""
    origin = {"schedule": {"id": schedule, "name": "nightly"}, "slot": slot, "due": slot}
    data = ScheduleTrigger.model_validate({"name": ids.slot_backup_name("nightly", slot), "scope": {"kind": "all"}, **origin})
    return _command("trigger", data, operation, "schedule/nightly", at)


def from_schedule_command(operation: str = "op2", *, schedule: str = SCHEDULE, at: datetime = NOW):
    """The command to make a backup by hand from a schedule."""
    origin = {"schedule": {"id": schedule, "name": "nightly"}}
    data = BackupCreate.model_validate({"name": "by-hand", "scope": {"kind": "all"}, **origin})
    return _command("create", data, operation, "anna", at)


def _command(verb: str, data: BackupCreate, operation: str, principal: str, at: datetime):
    noun = "schedule" if verb == "trigger" else "backup"
    fields = {"operationid": operation, "principal": principal, "time": at, "expiresat": at + timedelta(hours=1)}
    message = envelope(noun, verb, data, name=operation, **fields)
    return COMMAND_ROUTES, subjects.command("eu1", noun, verb, operation), message


def backup_of(
    operation: str = "op1", uid: str = "u1", rv: int = 10, phase: str | None = None, *, schedule: str = SCHEDULE, **more: Any
) -> Observed:
    """A backup that a slot of a schedule made, as the cluster shows it."""
    labels = {**ours(operation), "leeward.dev/schedule-id": schedule, "velero.io/schedule-name": "nightly"}
    annotations = {"leeward.dev/slot": "2026-11-22T11:59:00Z", "leeward.dev/created-by": "schedule/nightly"}
    return backup(uid, rv, phase, labels=labels, annotations=annotations, **more)


def velero_schedule(
    uid: str = "v1", rv: int = 5, phase: str | None = "Enabled", *, name: str = "weekly", deleted: bool = False, **more: Any
) -> Observed:
    """A Schedule of Velero's own, as the cluster shows it; `more`: its status, and `spec` for more of its spec."""
    spec = {"schedule": "0 3 * * 0", "template": {"storageLocation": "default", "ttl": "720h0m0s"}, **more.pop("spec", {})}
    metadata = {"name": name, "namespace": "velero", "uid": uid, "resourceVersion": str(rv)}
    metadata |= {"creationTimestamp": "2026-11-22T11:00:00Z"}
    body = {"metadata": metadata, "spec": spec, "status": {**({"phase": phase} if phase else {}), **more}}
    return Observed(epoch=1, uid=uid, resource_version=rv, namespace="velero", name=name, object=body, deleted=deleted)


def schedule_seen(data: Observed, *, at: datetime = NOW):
    return observed(data, noun="schedule", at=at)
