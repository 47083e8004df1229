"""Restores for tests of the status service: as their cluster shows them, and what was asked for."""

from datetime import datetime, timedelta
from typing import Any

from services.status.handlers import COMMAND_ROUTES, EVENT_ROUTES
from shared.contracts import subjects
from shared.contracts.artifacts import Artifact
from shared.contracts.commands import RestoreCreate, RestoreDelete
from shared.contracts.events import Accepted, Captured, Observed, RestoreMeasured, Step
from shared.contracts.views import RestoreDetail
from tests.support.messages import NOW, envelope
from tests.support.status_messages import CREATED, answer, observed, ours
from tests.support.status_views import detail_of

SOURCE = {"id": "b1", "name": "shop", "cluster": "eu1"}


def restore(
    uid: str = "r1",
    rv: int = 10,
    phase: str | None = None,
    *,
    name: str = "shop-again",
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    spec: dict[str, Any] | None = None,
    deleted: bool = False,
    epoch: int = 1,
    **status: Any,
) -> Observed:
    """A Restore as the cluster shows it."""
    metadata = {"name": name, "namespace": "velero", "uid": uid, "resourceVersion": str(rv), "creationTimestamp": CREATED}
    metadata |= {"labels": labels} if labels else {}
    metadata |= {"annotations": annotations} if annotations else {}
    status |= {"phase": phase} if phase else {}
    body: dict[str, Any] = {"metadata": metadata, "spec": {"backupName": "shop", **(spec or {})}}
    body |= {"status": status} if status else {}
    return Observed(epoch=epoch, uid=uid, resource_version=rv, namespace="velero", name=name, object=body, deleted=deleted)


def mine(phase: str | None = None, rv: int = 10, operation: str = "re1", cluster: str = "eu1", **more: Any) -> Observed:
    """A restore that Leeward made."""
    labels = {**ours(operation, cluster), "leeward.dev/backup-id": "b1", "leeward.dev/backup-cluster": "eu1"}
    return restore(rv=rv, phase=phase, **{"labels": {**labels, **more.pop("labels", {})}, **more})


def seen(data: Observed, *, cluster: str = "eu1", at: datetime = NOW):
    return observed(data, noun="restore", cluster=cluster, at=at)


def restore_command(operation: str = "re1", *, at: datetime = NOW, cluster: str = "eu1", expires_in: float = 3600, **more: Any):
    data = RestoreCreate.model_validate({"name": "shop-again", "source": SOURCE, **more})
    fields = {"operationid": operation, "principal": "anna", "time": at, "expiresat": at + timedelta(seconds=expires_in)}
    message = envelope("restore", "create", data, cluster=cluster, name=operation, **fields)
    return COMMAND_ROUTES, subjects.command(cluster, "restore", "create", operation), message


def removal_command(operation: str = "del1", of: str = "re1", *, at: datetime = NOW, expires_in: float = 3600):
    data = RestoreDelete(restore=of, name="shop-again")
    fields = {"operationid": operation, "principal": "bert", "time": at, "expiresat": at + timedelta(seconds=expires_in)}
    message = envelope("restore", "delete", data, name=operation, **fields)
    return COMMAND_ROUTES, subjects.command("eu1", "restore", "delete", operation), message


def restore_accepted(data: Observed, operation: str = "re1", **more: Any):
    return answer("accepted", Accepted(noun="restore", object=data), operation, **more)


def step(word: str, detail: str, operation: str = "re1", *, at: datetime = NOW):
    return answer("step", Step(step=word, detail=detail), operation, at=at, name=f"{operation}/{word}/{detail}/{at}")


def restore_measured(data: Observed, *, sequence: int = 7, at: datetime = NOW, **found: Any):
    told = RestoreMeasured(restore=data, **found)
    message = envelope("restore", "measured", told, name=f"measured/{data.uid}/{sequence}", time=at)
    return EVENT_ROUTES, subjects.measured("eu1", data.uid, "restore"), message, at, sequence


def restore_captured(artifact: str = "log", uid: str = "r1", part: int = 0, parts: int = 1, *, sequence: int = 3):
    told = Captured(uid=uid, artifact=Artifact(artifact), part=part, parts=parts, data=b"x")
    message = envelope("restore", "captured", told, name=f"captured/{uid}/{artifact}/{part}/{sequence}")
    return EVENT_ROUTES, subjects.captured("eu1", uid, "restore"), message, NOW, sequence


def shown_restore(desk: Any, restore_id: str = "re1") -> RestoreDetail:
    """A restore as the API would show it, without its history."""
    return detail_of(RestoreDetail, desk.memory.rows["restore", restore_id])
