"""What can be ordered from outside, as one table: a fault's name and what it does to a cluster, its Velero or the storage."""

from collections.abc import Callable, Mapping
from typing import Any

from simulator.cloud import StorageError
from simulator.documents import dig
from simulator.errors import ApiError
from simulator.fleet import Site
from simulator.velero.faults import Flaw
from simulator.velero.server import Velero

Order = Callable[..., Any]
"""Takes a site and arguments by keyword, whose annotations and defaults are what callers are told."""


def _velero(site: Site) -> Velero:
    if site.velero is None:
        raise OSError(f"cluster {site.cluster.name} has no Velero")
    return site.velero


# The API server


def _api_slow(site: Site, *, seconds: float = 1.0) -> None:
    site.cluster.faults.slow(seconds)


def _api_fail(site: Site, *, count: int = 1, code: int = 503) -> None:
    site.cluster.faults.fail_next(count, code)


def _api_lose_answers(site: Site, *, count: int = 1) -> None:
    site.cluster.faults.lose_answers(count, when=lambda call: call.method != "GET")


def _cut_watches(site: Site, *, reset: bool = False) -> int:
    return site.cluster.faults.cut_watches(reset=reset)


# Velero


async def _velero_start(site: Site) -> None:
    if not _velero(site).running:
        await _velero(site).start()


def _velero_slow(site: Site, *, factor: float = 10.0) -> None:
    _velero(site).faults.slowness = factor


def _hold(site: Site, *, name: str = "*", phase: str = "InProgress", kind: str = "backups") -> None:
    _velero(site).faults.hold(name, phase, kind=kind)


def _release(site: Site, *, name: str = "*") -> None:
    _velero(site).faults.release(name)


def _partial_failure(site: Site, *, name: str = "*", kind: str = "backups", text: str = "an item could not be handled") -> None:
    _velero(site).faults.flaw(Flaw(errors=(text,)), name, kind=kind)


def _upload_failure(site: Site, *, name: str = "*", kind: str = "backups", text: str = "error uploading the backup") -> None:
    _velero(site).faults.flaw(Flaw(upload=text), name, kind=kind)


def _large_contents(site: Site, *, name: str, mebibytes: int = 256) -> int:
    velero = _velero(site)
    try:
        backup = velero.client.find("backups", name)
        location = velero.client.find("backupstoragelocations", str(dig(backup or {}, "spec.storageLocation") or ""))
        if location is None:
            raise OSError(f"cluster {site.cluster.name} has no backup {name} with a location")
        return velero.storage(location).enlarge(name, mebibytes)
    except StorageError as error:
        raise OSError(str(error)) from error


def _delete(site: Site, *, kind: str, name: str) -> None:
    try:
        site.cluster.store.delete(kind, name, site.cluster.velero_namespace)
    except (ApiError, KeyError) as error:
        raise OSError(str(error)) from error


# The storage, which all clusters share


def _storage_down(site: Site) -> None:
    site.cloud.faults.down = True


def _storage_up(site: Site) -> None:
    site.cloud.faults.down = False


def _storage_slow(site: Site, *, seconds: float = 1.0) -> None:
    site.cloud.faults.latency = seconds


def _bucket_deny(site: Site, *, bucket: str) -> None:
    site.cloud.faults.denied.add(bucket)


def _bucket_allow(site: Site, *, bucket: str) -> None:
    site.cloud.faults.denied.discard(bucket)


def _bucket_lock(site: Site, *, bucket: str, key: str, secret: str) -> None:
    site.cloud.make_bucket(bucket)
    site.cloud.doors.lock(bucket, {key: secret})


def _bucket_open(site: Site, *, bucket: str) -> None:
    site.cloud.doors.open(bucket)


def _storage_fail_puts(site: Site, *, count: int = 1, keys: str = "*") -> None:
    site.cloud.faults.fail_puts(count, keys)


# Everything


def _clear(site: Site) -> None:
    site.cluster.faults.clear()
    site.cloud.faults.clear()
    site.cloud.doors.open_all()
    if site.velero:
        site.velero.faults.clear()


def _state(site: Site) -> dict[str, Any]:
    velero = site.velero
    return {
        "url": site.cluster.url, "listening": site.cluster.listening, "hanging": site.cluster.faults.hanging,
        "open_watches": site.cluster.faults.open_watches, "revision": site.cluster.store.revision,
        "velero": {"running": velero.running, "stalled": velero.stalled} if velero else None,
        "storage_down": site.cloud.faults.down, "denied_buckets": sorted(site.cloud.faults.denied),
        "locked_buckets": site.cloud.doors.locked,
    }  # fmt: skip


ORDERS: Mapping[str, Order] = {
    "state": _state,
    "clear": _clear,
    "api-down": lambda site: site.cluster.stop(),
    "api-up": lambda site: site.cluster.start(),
    "api-restart": lambda site: site.cluster.restart(),
    "api-hang": lambda site: site.cluster.faults.hang(),
    "api-release": lambda site: site.cluster.faults.release(),
    "api-slow": _api_slow,
    "api-fail": _api_fail,
    "api-lose-answers": _api_lose_answers,
    "cut-watches": _cut_watches,
    "compact": lambda site: site.cluster.compact(),
    "velero-stop": lambda site: _velero(site).stop(),
    "velero-kill": lambda site: _velero(site).kill(),
    "velero-start": _velero_start,
    "velero-slow": _velero_slow,
    "hold": _hold,
    "release": _release,
    "partial-failure": _partial_failure,
    "upload-failure": _upload_failure,
    "large-contents": _large_contents,
    "delete": _delete,
    "storage-down": _storage_down,
    "storage-up": _storage_up,
    "storage-slow": _storage_slow,
    "storage-fail-puts": _storage_fail_puts,
    "bucket-deny": _bucket_deny,
    "bucket-allow": _bucket_allow,
    "bucket-lock": _bucket_lock,
    "bucket-open": _bucket_open,
}
