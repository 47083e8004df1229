"""Messages for tests, as services would make them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from shared.contracts import ids
from shared.contracts.base import Wire
from shared.contracts.commands import (
    BackupCreate,
    BackupDelete,
    Origin,
    RestoreCreate,
    RestoreDelete,
    ScheduleTrigger,
)
from shared.contracts.envelope import Envelope, type_name

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NIGHTLY = Origin(id="5b1c2c0e-7f0e-4a57-9c53-0d6a3f0a1b11", name="nightly")


def envelope(noun: str, verb: str, data: Wire, *, cluster: str = "eu1", name: str = "m1", **more: Any) -> Envelope[Any]:
    fields = {"source": "/test", "time": NOW, **more}
    return Envelope[Wire](id=name, type=type_name(noun, verb), cluster=cluster, data=data, **fields)


def backup_command(
    operation_id: str,
    *,
    name: str = "shop",
    cluster: str = "eu1",
    scope: dict[str, Any] | None = None,
    expires_in: float = 3600,
    now: datetime | None = None,
    **spec: Any,
) -> Envelope[Any]:
    order = BackupCreate.model_validate({"name": name, "scope": scope or {"kind": "all"}, "spec": spec})
    moment = now or NOW
    return envelope(
        "backup",
        "create",
        order,
        cluster=cluster,
        name=operation_id,
        time=moment,
        operationid=operation_id,
        principal="anna",
        expiresat=moment + timedelta(seconds=expires_in),
    )


def trigger_command(
    slot: datetime,
    *,
    schedule: Origin = NIGHTLY,
    cluster: str = "eu1",
    due: datetime | None = None,
    expires_in: float = 3600,
    spec: dict[str, Any] | None = None,
    **more: Any,
) -> Envelope[Any]:
    """The command of a slot as the scheduler sends it: with the slot's own operation id and name, `expires_in` s from due."""
    when = due or slot
    order = {"scope": {"kind": "all"}, **more}
    operation = ids.slot_operation_id(schedule.id, slot)
    name = ids.slot_backup_name(schedule.name, slot)
    return envelope(
        "schedule",
        "trigger",
        ScheduleTrigger.model_validate(
            {"name": name, "schedule": schedule, "slot": slot, "due": when, "spec": spec or {}, **order}
        ),
        cluster=cluster,
        name=operation,
        time=when,
        operationid=operation,
        principal=f"schedule/{schedule.name}",
        expiresat=when + timedelta(seconds=expires_in),
    )


def delete_command(
    operation_id: str,
    *,
    backup: str,
    name: str = "shop",
    ids: tuple[str, ...] = (),
    cluster: str = "eu1",
    expires_in: float = 3600,
    now: datetime | None = None,
) -> Envelope[Any]:
    moment = now or NOW
    return envelope(
        "backup",
        "delete",
        BackupDelete(backup=backup, name=name, ids=list(ids)),
        cluster=cluster,
        name=operation_id,
        time=moment,
        operationid=operation_id,
        principal="anna",
        expiresat=moment + timedelta(seconds=expires_in),
    )


def restore_command(
    operation_id: str,
    *,
    name: str = "back",
    backup: str = "b",
    source: dict[str, Any] | None = None,
    cluster: str = "eu1",
    expires_in: float = 3600,
    now: datetime | None = None,
    spec: dict[str, Any] | None = None,
    **more: Any,
) -> Envelope[Any]:
    """A command to restore `backup`, which people know as `op-<name>` unless `source` says more of it."""
    moment = now or NOW
    of = {"id": f"op-{backup}", "name": backup, "cluster": cluster, **(source or {})}
    return envelope(
        "restore",
        "create",
        RestoreCreate.model_validate({"name": name, "source": of, "spec": spec or {}, **more}),
        cluster=cluster,
        name=operation_id,
        time=moment,
        operationid=operation_id,
        principal="anna",
        expiresat=moment + timedelta(seconds=expires_in),
    )


def restore_delete_command(
    operation_id: str,
    *,
    restore: str,
    name: str = "back",
    ids: tuple[str, ...] = (),
    cluster: str = "eu1",
    expires_in: float = 3600,
    now: datetime | None = None,
) -> Envelope[Any]:
    moment = now or NOW
    return envelope(
        "restore",
        "delete",
        RestoreDelete(restore=restore, name=name, ids=list(ids)),
        cluster=cluster,
        name=operation_id,
        time=moment,
        operationid=operation_id,
        principal="anna",
        expiresat=moment + timedelta(seconds=expires_in),
    )
