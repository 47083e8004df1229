"""What became of a backup's volumes: Velero's own file of them, and why node agents failed, told in one form. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from services.executor.artifacts.causes import Failure
from shared.contracts.events import Volume

Object = Mapping[str, Any]

MOST = 1000
MOST_BYTES = 384 * 1024
"""Volumes that one message tells of, beside everything else in it."""
_WORDS = 500
_SKIPPED, _MOVED = "Skipped", "DataMovement"
_OPERATION = "velero.io/async-operation-id"
_FAILED = frozenset({"Failed", "Canceled"})


@dataclass(frozen=True, slots=True)
class _Method:
    """Where a method keeps its details, and whether a size that is left out is a zero (Go writes none)."""

    details: str
    zero_is_left_out: bool = False


_METHODS: dict[str, _Method] = {
    "NativeSnapshot": _Method("nativeSnapshotInfo"),
    "CSISnapshot": _Method("csiSnapshotInfo"),
    _MOVED: _Method("snapshotDataMovementInfo", zero_is_left_out=True),
    "PodVolumeBackup": _Method("pvbInfo", zero_is_left_out=True),
}


def volumes(infos: Any, copies: Iterable[Object] = (), uploads: Iterable[Object] = ()) -> list[Volume] | None:
    """Read BackupVolumeInfos, with the words of PodVolumeBackups and DataUploads that failed; None if it is no list."""
    if infos is None:
        return []
    if not isinstance(infos, list):
        return None
    said = {_copied(copy): _message(copy) for copy in copies if _has_failed(copy)}
    said |= {_operation(upload): _message(upload) for upload in uploads if _has_failed(upload)}
    return [_volume(info, said) for info in infos if isinstance(info, dict)]


def fitting(found: list[Volume]) -> list[Volume]:
    """Return the first volumes, as many as one message can carry."""
    sizes = accumulate(len(volume.model_dump_json(by_alias=True).encode()) + 1 for volume in found[:MOST])
    return [volume for volume, size in zip(found, sizes, strict=False) if size <= MOST_BYTES]


def volume_bytes(found: list[Volume] | None) -> int | None:
    """Return the size of all volumes together, if it is known of each."""
    sizes = [volume.size_bytes for volume in found or []]
    return None if found is None or None in sizes else sum(size or 0 for size in sizes)


def failed(copies: Iterable[Object], uploads: Iterable[Object]) -> Iterator[Failure]:
    """Yield why node agents failed."""
    for copy in copies:
        if _has_failed(copy):
            pod = _map(_map(copy.get("spec")).get("pod"))
            yield Failure(_message(copy), f"pods/{pod.get('name')}", str(pod.get("namespace") or "") or None)
    for upload in uploads:
        if _has_failed(upload):
            spec = _map(upload.get("spec"))
            claim = f"persistentvolumeclaims/{spec.get('sourcePVC')}"
            yield Failure(_message(upload), claim, str(spec.get("sourceNamespace") or "") or None)


def _volume(info: Object, said: Mapping[Any, str]) -> Volume:
    claim, namespace = _text(info.get("pvcName")), _text(info.get("pvcNamespace"))
    if info.get("skipped"):
        return Volume(
            namespace=namespace, claim=claim, volume=_text(info.get("pvName")), method=_SKIPPED, size_bytes=0,
            message=_cut(info.get("skippedReason")),
        )  # fmt: skip
    own = _text(info.get("backupMethod"))
    method = _MOVED if info.get("snapshotDataMoved") else own
    rule = _METHODS.get(method or "")
    details = _map(info.get(rule.details)) if rule else {}
    pod = _map(info.get("pvbInfo"))
    copied = ("pod", *(_text(pod.get(name)) for name in ("podNamespace", "podName", "volumeName")))
    key = copied if method == "PodVolumeBackup" else None
    operation = _text(details.get("operationID"))
    result = _text(info.get("result"))
    return Volume(
        namespace=namespace or _text(pod.get("podNamespace")),
        claim=claim,
        volume=_text(info.get("pvName")) or _text(pod.get("volumeName")),
        method=method,
        result=result,
        size_bytes=_size(details, result, rule),
        incremental_bytes=_number(details.get("incrementalSize")),
        message=_cut(said.get(key) or (said.get(operation) if operation else None)),
    )


def _size(details: Object, result: str | None, rule: _Method | None) -> int | None:
    """Return a size, if the volume has one that counts: what failed is not stored as a whole, and not known in parts."""
    if rule is None or result != "succeeded":
        return None
    return _number(details.get("size")) or (0 if rule.zero_is_left_out else None)


def _copied(copy: Object) -> tuple[str, Any, Any, Any]:
    spec = _map(copy.get("spec"))
    pod = _map(spec.get("pod"))
    return "pod", pod.get("namespace"), pod.get("name"), spec.get("volume")


def _operation(upload: Object) -> Any:
    return _map(_map(upload.get("metadata")).get("labels")).get(_OPERATION)


def _has_failed(obj: Object) -> bool:
    return _map(obj.get("status")).get("phase") in _FAILED


def _message(obj: Object) -> str:
    status = _map(obj.get("status"))
    return str(status.get("message") or f"{status.get('phase')}, without a reason")


def _map(value: Any) -> Object:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _cut(value: Any) -> str | None:
    text = _text(value)
    return text[:_WORDS] if text else None


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
