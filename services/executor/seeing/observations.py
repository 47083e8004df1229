"""What is said of an object: pure functions from what the API server shows to what goes over the wire."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from shared.contracts import durations
from shared.contracts.events import Observed, Problem, Snapshot

Object = dict[str, Any]

MAX_ERRORS = 100
MAX_REASON_BYTES = 8 * 1024
MAX_OBJECT_BYTES = 768 * 1024
"""Below the broker's limit of 1 MiB a message, with room for the envelope."""

_PAGE = 5000
_ECHO = 40
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_DURATIONS: dict[str, tuple[str, ...]] = {
    "Backup": ("ttl", "csiSnapshotTimeout", "itemOperationTimeout"),
    "BackupStorageLocation": ("backupSyncPeriod", "validationFrequency"),
    "Restore": ("itemOperationTimeout",),
}
_DURATIONS["Schedule"] = _DURATIONS["Backup"]  # its template is the spec of a Backup

_HOOKS = ("pre", "post", "postHooks")
_HOOK_DURATIONS = {"exec": ("timeout", "execTimeout", "waitTimeout"), "init": ("timeout",)}


def version_of(obj: Object) -> int:
    """Return the resource version as a number; 0 when the server left it out."""
    return int(obj.get("metadata", {}).get("resourceVersion") or 0)


def uid_of(obj: Object) -> str:
    """Return the object's uid."""
    return str(obj.get("metadata", {}).get("uid") or "")


def observed(obj: Object, epoch: int, *, deleted: bool = False) -> Observed:
    """Say what an object looks like now: without bookkeeping, its longest texts cut, or only its name when it is too large."""
    body, truncated = _cut(_stripped(obj))
    meta = body["metadata"]
    unreadable = None
    size = len(json.dumps(body, separators=(",", ":")))
    if size > MAX_OBJECT_BYTES:
        unreadable = f"the object has {size} bytes, more than a message can carry"
        kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        body = {k: body.get(k) for k in ("apiVersion", "kind")} | {"metadata": {k: meta[k] for k in kept if k in meta}}
    return Observed(
        epoch=epoch,
        uid=uid_of(obj),
        resource_version=version_of(obj),
        namespace=str(meta.get("namespace") or ""),
        name=str(meta.get("name") or ""),
        object=body,
        deleted=deleted,
        truncated=truncated,
        unreadable=unreadable,
    )


def fingerprint(obj: Object) -> int:
    """Return a number that changes with everything but an object's progress and version."""
    body = _stripped(obj)
    meta = {k: v for k, v in body["metadata"].items() if k not in {"resourceVersion", "generation"}}
    status = body.get("status")
    rest = {k: v for k, v in status.items() if k != "progress"} if isinstance(status, dict) else status
    return hash(json.dumps({**body, "metadata": meta, "status": rest}, sort_keys=True))


def pages(uids: Iterable[str], epoch: int, list_rv: int, size: int = _PAGE) -> Iterator[Snapshot]:
    """Cut what a list showed into pages that cover every possible uid; without any object that is one empty page."""
    names = sorted(uids)
    starts = range(0, len(names), size) or range(1)
    for start in starts:
        yield Snapshot(
            epoch=epoch,
            list_rv=list_rv,
            from_uid=names[start] if start else None,
            to_uid=names[start + size] if start + size < len(names) else None,
            uids=names[start : start + size],
        )


def poison(obj: Object) -> Problem | None:
    """Tell whether the object stops Velero from reading any object of its kind: a duration that Go cannot parse does."""
    kind, name = str(obj.get("kind") or ""), str(obj.get("metadata", {}).get("name") or "")
    spec = obj.get("spec")
    if kind == "Schedule":
        spec = spec.get("template") if isinstance(spec, dict) else None
    for key, value in _durations(kind, spec):
        if isinstance(value, str) and not durations.is_go(value):
            return Problem(
                code="PoisonObject",
                message=(
                    f"{kind} {name} has {key} {value[:_ECHO]!r}, which Velero cannot read: "
                    f"every {kind} of this cluster stands still. "
                    f"Correct the field or delete the object; Velero goes on within a minute."
                ),
                object=f"{kind}/{name}",
            )
    return None


def _durations(kind: str, spec: Any) -> Iterator[tuple[str, Any]]:
    """Yield every duration of a spec with its name, as far as the spec has the form it should have."""
    if not isinstance(spec, dict):
        return
    yield from ((key, spec.get(key)) for key in _DURATIONS.get(kind, ()))
    hooks = spec.get("hooks")
    for resource in _dicts(hooks.get("resources") if isinstance(hooks, dict) else None):
        for hook in (step for when in _HOOKS for step in _dicts(resource.get(when))):
            for action, times in _HOOK_DURATIONS.items():
                command = hook.get(action)
                if isinstance(command, dict):
                    yield from (("a hook's timeout", command.get(time)) for time in times)


def _dicts(value: Any) -> list[Object]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _stripped(obj: Object) -> Object:
    meta = {k: v for k, v in (obj.get("metadata") or {}).items() if k != "managedFields"}
    if isinstance(meta.get("annotations"), dict):
        meta["annotations"] = {k: v for k, v in meta["annotations"].items() if k != _LAST_APPLIED}
    return {**obj, "metadata": meta}


def _cut(obj: Object) -> tuple[Object, bool]:
    status = obj.get("status")
    if not isinstance(status, dict):
        return obj, False
    errors, reason, cut = status.get("validationErrors"), status.get("failureReason"), False
    if isinstance(errors, list):
        short = [_short(e) for e in errors[:MAX_ERRORS]]
        if short != errors:
            status, cut = {**status, "validationErrors": short}, True
    if isinstance(reason, str) and _short(reason) != reason:
        status, cut = {**status, "failureReason": _short(reason)}, True
    return {**obj, "status": status}, cut


def _short(text: Any) -> Any:
    if not isinstance(text, str) or len(text.encode()) <= MAX_REASON_BYTES:
        return text
    return text.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
