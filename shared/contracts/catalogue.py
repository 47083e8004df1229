"""Every message type and what it carries, in one table; and the one way to write and to read a message."""

import json
from typing import Any

from pydantic import ValidationError

from shared.contracts import artifacts, commands, events, surveys
from shared.contracts.base import Wire
from shared.contracts.envelope import Envelope, type_name
from shared.contracts.subjects import Subject, SubjectError, parse

TYPES: dict[str, type[Wire]] = {
    type_name("backup", "create"): commands.BackupCreate,
    type_name("backup", "delete"): commands.BackupDelete,
    type_name("schedule", "trigger"): commands.ScheduleTrigger,
    type_name("restore", "create"): commands.RestoreCreate,
    type_name("restore", "delete"): commands.RestoreDelete,
    type_name("location", "apply"): commands.LocationApply,
    type_name("location", "delete"): commands.LocationDelete,
    type_name("snapshotlocation", "apply"): commands.SnapshotLocationApply,
    type_name("snapshotlocation", "delete"): commands.SnapshotLocationDelete,
    type_name("restore", "observed"): events.Observed,
    type_name("restore", "snapshot"): events.Snapshot,
    type_name("restore", "measured"): events.RestoreMeasured,
    type_name("restore", "captured"): events.Captured,
    type_name("restore", "changed"): events.Changed,
    type_name("restore", "progressed"): events.Progressed,
    type_name("snapshotlocation", "observed"): events.Observed,
    type_name("snapshotlocation", "snapshot"): events.Snapshot,
    type_name("snapshotlocation", "changed"): events.Changed,
    type_name("snapshotlocation", "progressed"): events.Progressed,
    type_name("schedule", "hinted"): events.Hinted,
    type_name("schedule", "observed"): events.Observed,
    type_name("schedule", "snapshot"): events.Snapshot,
    type_name("schedule", "changed"): events.Changed,
    type_name("schedule", "progressed"): events.Progressed,
    type_name("backup", "observed"): events.Observed,
    type_name("backup", "snapshot"): events.Snapshot,
    type_name("backup", "measured"): events.Measured,
    type_name("backup", "captured"): events.Captured,
    type_name("deletion", "observed"): events.Observed,
    type_name("deletion", "snapshot"): events.Snapshot,
    type_name("location", "observed"): events.Observed,
    type_name("location", "snapshot"): events.Snapshot,
    type_name("operation", "accepted"): events.Accepted,
    type_name("operation", "rejected"): events.Rejected,
    type_name("operation", "step"): events.Step,
    type_name("operation", "finished"): events.Finished,
    type_name("presence", "observed"): events.Presence,
    type_name("inventory", "observed"): events.Inventory,
    type_name("backup", "changed"): events.Changed,
    type_name("location", "changed"): events.Changed,
    type_name("cluster", "changed"): events.Changed,
    type_name("operation", "changed"): events.Changed,
    type_name("backup", "progressed"): events.Progressed,
    type_name("operation", "progressed"): events.Progressed,
    type_name("cluster", "progressed"): events.Progressed,
    type_name("location", "progressed"): events.Progressed,
    type_name("message", "buried"): events.DeadLetter,
    type_name("artifact", "read"): artifacts.ArtifactRead,
    type_name("backup", "survey"): surveys.BackupSurvey,
    type_name("restore", "look"): surveys.RestoreLook,
}


class UnreadableError(ValueError):
    """The message cannot be what its subject says that it is; the words are for the dead letter."""


def encode(envelope: Envelope[Wire]) -> bytes:
    """Write an envelope as the broker carries it."""
    return envelope.model_dump_json(by_alias=True, exclude_none=True).encode()


def decode(subject: str, payload: bytes) -> tuple[Subject, Envelope[Any]]:
    """Read a message and check that envelope and subject tell the same story.

    Raises UnreadableError when it is not JSON, not an envelope, of an unknown type, malformed in what we know, or when it
    names another cluster, type or operation than its subject: the subject is what the broker's permissions have checked.
    """
    try:
        address = parse(subject)
        raw = json.loads(payload)
    except (SubjectError, ValueError, RecursionError) as error:  # the last from JSON nested without end
        raise UnreadableError(str(error)) from error
    if not isinstance(raw, dict):
        raise UnreadableError("not a JSON object")
    kind = raw.get("type")
    model = TYPES.get(kind) if isinstance(kind, str) else None
    if model is None:
        raise UnreadableError(f"unknown type {kind!r}")
    try:
        data = model.read(raw.get("data"))
        envelope = Envelope[Wire].read({**raw, "data": {}} | {"data": data})
    except ValidationError as error:
        raise UnreadableError(_words(error)) from error
    if kind != type_name(address.noun, address.verb):
        raise UnreadableError(f"type {kind} on subject {subject}")
    if address.cluster and envelope.cluster != address.cluster:
        raise UnreadableError(f"cluster {envelope.cluster!r} on subject {subject}")
    if address.family == "cmd" or address.noun == "operation":
        expected = address.id if address.family in {"cmd", "evt"} else envelope.operationid
        if envelope.operationid != expected:
            raise UnreadableError(f"operation {envelope.operationid!r} on subject {subject}")
    return address, envelope


def _words(error: ValidationError) -> str:
    """Say what is wrong without the values, which may be large or secret."""
    return "; ".join(
        f"{'/'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False, include_input=False)[:10]
    )
