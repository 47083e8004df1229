"""What clusters tell the status service, made short: each function returns (routes, subject, envelope)."""

from datetime import datetime, timedelta
from typing import Any

from services.status.handlers import COMMAND_ROUTES, EVENT_ROUTES
from shared.contracts import subjects
from shared.contracts.artifacts import Artifact
from shared.contracts.commands import (
    BackupDelete,
    LocationApply,
    LocationDelete,
    SnapshotLocationApply,
    SnapshotLocationDelete,
)
from shared.contracts.events import (
    Accepted,
    Answer,
    Captured,
    Finished,
    Inventory,
    Measured,
    NamespaceInfo,
    Observed,
    Presence,
    Rejected,
    Snapshot,
    Step,
    VeleroInfo,
)
from shared.contracts.notices import Notice
from shared.contracts.refusals import Refusal
from tests.support.messages import NOW, backup_command, envelope
from tests.support.transcripts import Seen

CREATED = "2026-11-22T11:59:00Z"
STARTED = "2026-11-22T11:59:01Z"


def backup(
    uid: str = "u1",
    rv: int = 10,
    phase: str | None = None,
    *,
    name: str = "shop",
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    spec: dict[str, Any] | None = None,
    epoch: int = 1,
    deleted: bool = False,
    created: str = CREATED,
    **status: Any,
) -> Observed:
    """A Backup as the cluster shows it."""
    metadata = {"name": name, "namespace": "velero", "uid": uid, "resourceVersion": str(rv), "creationTimestamp": created}
    metadata |= {"labels": labels} if labels else {}
    metadata |= {"annotations": annotations} if annotations else {}
    status |= {"phase": phase} if phase else {}
    body = {"metadata": metadata, "spec": {"storageLocation": "default", "includedNamespaces": ["shop"], **(spec or {})}}
    body |= {"status": status} if status else {}
    return Observed(epoch=epoch, uid=uid, resource_version=rv, namespace="velero", name=name, object=body, deleted=deleted)


def ours(operation: str, cluster: str = "eu1") -> dict[str, str]:
    return {"leeward.dev/cluster": cluster, "leeward.dev/operation-id": operation}


def deletion(
    uid: str = "d1",
    rv: int = 50,
    phase: str | None = None,
    *,
    backup: str | None = "op1",
    operation: str = "del1",
    of: str | None = "u1",
    name: str = "shop",
    created: str = "2026-11-22T11:59:30Z",
    errors: list[str] | None = None,
    deleted: bool = False,
) -> Observed:
    """A DeleteBackupRequest as the cluster shows it; one that Leeward did not make says of no `backup`."""
    labels = {"velero.io/backup-name": name} | ({"velero.io/backup-uid": of} if of else {})
    labels |= {**ours(operation), "leeward.dev/backup-id": backup} if backup else {}
    called = f"leeward-{operation}"
    metadata = {"name": called, "namespace": "velero", "uid": uid, "resourceVersion": str(rv), "labels": labels}
    metadata |= {"creationTimestamp": created, "annotations": {"leeward.dev/created-by": "bert"}}
    body = {"metadata": metadata, "spec": {"backupName": name}}
    body |= {"status": {"phase": phase, **({"errors": errors} if errors else {})}} if phase else {}
    return Observed(epoch=1, uid=uid, resource_version=rv, namespace="velero", name=called, object=body, deleted=deleted)


def deletion_seen(data: Observed, *, at: datetime = NOW):
    return observed(data, noun="deletion", at=at)


def delete_command(operation: str = "del1", backup: str = "op1", *, name: str = "shop", **more: Any):
    data = BackupDelete(backup=backup, name=name)
    fields = {"operationid": operation, "principal": "bert", "expiresat": NOW + timedelta(hours=1), **more}
    message = envelope("backup", "delete", data, name=operation, **fields)
    return COMMAND_ROUTES, subjects.command("eu1", "backup", "delete", operation), message


def deletion_accepted(data: Observed, operation: str = "del1", **more: Any):
    return answer("accepted", Accepted(noun="deletion", object=data), operation, **more)


def measured(data: Observed, *, sequence: int = 7, at: datetime = NOW, **found: Any):
    """What was found out about a backup, stored by the broker as its message of that number."""
    message = envelope("backup", "measured", Measured(backup=data, **found), name=f"measured/{data.uid}/{sequence}", time=at)
    return EVENT_ROUTES, subjects.measured("eu1", data.uid), message, at, sequence


def captured(
    uid: str = "u1", artifact: str = "log", part: int = 0, parts: int = 1, *, data: bytes = b"x", sequence: int = 3, **more: Any
):
    told = Captured(uid=uid, artifact=Artifact(artifact), part=part, parts=parts, data=data, **more)
    message = envelope("backup", "captured", told, name=f"captured/{uid}/{artifact}/{part}/{sequence}")
    return EVENT_ROUTES, subjects.captured("eu1", uid), message, NOW, sequence


def observed(data: Observed, *, noun: str = "backup", cluster: str = "eu1", at: datetime = NOW):
    name = f"{cluster}/{data.uid}/{data.epoch}/{data.resource_version}/{data.deleted}"
    message = envelope(noun, "observed", data, cluster=cluster, name=name, time=at)
    return EVENT_ROUTES, subjects.observed(cluster, noun, data.uid), message


def location(
    uid: str = "l1",
    rv: int = 5,
    *,
    name: str = "default",
    phase: str | None = "Available",
    mode: str = "ReadWrite",
    bucket: str = "b",
    marks: dict[str, Any] | None = None,
    **more,
):
    """A storage location as the cluster shows it; `marks`: its labels and annotations."""
    metadata = {"name": name, "namespace": "velero", "uid": uid, "resourceVersion": str(rv), **(marks or {})}
    spec = {"provider": "aws", "objectStorage": {"bucket": bucket, "prefix": "p"}, "accessMode": mode, "default": True}
    body = {"metadata": metadata, "spec": spec, "status": {"phase": phase} if phase else {}}
    return Observed(epoch=1, uid=uid, resource_version=rv, namespace="velero", name=name, object=body, **more)


def snapshot_location(uid: str = "s1", rv: int = 5, *, name: str = "default", phase: str | None = None, **more):
    """A volume snapshot location as the cluster shows it."""
    metadata = {"name": name, "namespace": "velero", "uid": uid, "resourceVersion": str(rv)}
    body = {"metadata": metadata, "spec": {"provider": "aws", "config": {"region": "eu"}}}
    body |= {"status": {"phase": phase}} if phase else {}
    return Observed(epoch=1, uid=uid, resource_version=rv, namespace="velero", name=name, object=body, **more)


_LOCATION_COMMANDS: dict[tuple[str, str], tuple[type, dict[str, Any]]] = {
    ("location", "apply"): (LocationApply, {"spec": {"provider": "aws", "objectStorage": {"bucket": "b", "prefix": "p"}}}),
    ("location", "delete"): (LocationDelete, {}),
    ("snapshotlocation", "apply"): (SnapshotLocationApply, {"spec": {"provider": "aws"}}),
    ("snapshotlocation", "delete"): (SnapshotLocationDelete, {}),
}


def location_command(noun: str, verb: str, operation: str, *, name: str = "default", **more: Any):
    model, spec = _LOCATION_COMMANDS[noun, verb]
    fields = {"operationid": operation, "principal": "anna", "expiresat": NOW + timedelta(hours=1)}
    message = envelope(noun, verb, model.model_validate({"name": name, **spec, **more}), name=operation, **fields)
    return COMMAND_ROUTES, subjects.command("eu1", noun, verb, operation), message


def location_accepted(noun: str, data: Observed, operation: str):
    return answer("accepted", Accepted(noun=noun, object=data), operation)


def snapshot(uids: list[str], *, rv: int = 100, noun: str = "backup", epoch: int = 1, at: datetime = NOW, **bounds):
    data = Snapshot(epoch=epoch, list_rv=rv, uids=uids, **bounds)
    message = envelope(noun, "snapshot", data, name=f"snapshot/{epoch}/{rv}/{bounds}/{at}", time=at)
    return EVENT_ROUTES, subjects.snapshot("eu1", noun), message


def command(operation: str = "op1", **more: Any):
    return COMMAND_ROUTES, subjects.command("eu1", "backup", "create", operation), backup_command(operation, **more)


def answer(verb: str, data: Any, operation: str = "op1", *, at: datetime = NOW, name: str | None = None):
    message = envelope("operation", verb, data, name=name or f"{operation}/{verb}/{at}", operationid=operation, time=at)
    return EVENT_ROUTES, subjects.operation("eu1", verb, operation), message


def accepted(data: Observed, operation: str = "op1", *, notices: list[Notice] | None = None, **more: Any):
    return answer("accepted", Accepted(noun="backup", object=data, notices=notices or []), operation, **more)


def rejected(code: str = "NameTaken", operation: str = "op1", **more: Any):
    return answer("rejected", Rejected(refusal=Refusal(code=code, pointer="/name", detail="No.")), operation, **more)


def step(word: str, operation: str = "op1", **more: Any):
    return answer("step", Step(step=word), operation, name=f"{operation}/{word}", **more)


def finished(operation: str = "op1", *, succeeded: bool = True, **more: Any):
    return answer("finished", Finished(succeeded=succeeded), operation, **more)


def presence(
    at: datetime = NOW,
    *,
    answered: datetime | None = None,
    velero_answered: datetime | None = None,
    velero_problem: str | None = None,
    instance: str = "i1",
    cluster: str = "eu1",
    **more: Any,
):
    data = Presence(
        mode="Agent",
        instance=instance,
        **more,
        api_server=Answer(answered_at=answered or at),
        velero=Answer(answered_at=velero_answered or at, problem=velero_problem),
    )
    message = envelope("presence", "observed", data, cluster=cluster, name=f"presence/{instance}/{at}", time=at)
    return EVENT_ROUTES, subjects.presence(cluster), message


def inventory(at: datetime = NOW, version: str = "v1.35.4", *, node_agent: bool | None = None, **more: Any):
    velero = VeleroInfo(namespace="velero", version="v1.18.3", plugins=["velero.io/aws"], node_agent=node_agent)
    spaces = [NamespaceInfo(name="shop", labels={"a.b/c": "d"})]
    data = Inventory(kubernetes_version=version, velero=velero, namespaces=spaces, kinds=[], **more)
    return EVENT_ROUTES, subjects.inventory("eu1"), envelope("inventory", "observed", data, name=f"inventory/{at}", time=at)


def as_observed(seen: Seen, *, start: datetime = NOW):
    """What an executor would publish of an event of a transcript."""
    metadata = seen.object["metadata"]
    data = Observed(
        epoch=1,
        uid=metadata["uid"],
        resource_version=int(metadata["resourceVersion"]),
        namespace=metadata["namespace"],
        name=metadata["name"],
        object=seen.object,
        deleted=seen.type == "DELETED",
    )
    moment = start + timedelta(milliseconds=int(seen.seconds * 1000))
    return observed(data, at=moment)
