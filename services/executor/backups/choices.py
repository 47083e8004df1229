"""What Velero would stall on, run to nothing on, or guess: decided here, before anything is created. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from services.executor.manifests import Resolved
from shared.contracts.commands import BackupCreate
from shared.contracts.refusals import Code, Refusal, refusal
from shared.contracts.scopes import resolve as resolve_scope
from shared.contracts.selectors import Environments

Object = Mapping[str, Any]


class Refused(Exception):  # noqa: N818 - a decision
    """The cluster as it is does not allow what was asked for."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason.detail)
        self.refusal = reason


class NotYet(Exception):  # noqa: N818 - a decision
    """The cluster may be ready soon: look again after so many seconds. `instead`: what to say if the deadline comes first."""

    def __init__(self, words: str, *, after: float = 2.0, instead: Refusal | None = None) -> None:
        super().__init__(words)
        self.after = after
        self.instead = instead


def resolve(
    order: BackupCreate,
    cluster: str,
    namespaces: Iterable[Object],
    locations: Iterable[Object],
    snapshot_locations: Iterable[Object],
) -> Resolved:
    """Turn an order into namespaces and locations that exist.

    Raises Refused with the field at fault; NotYet while Velero has not looked at the storage location.
    """
    included, excluded = _namespaces(order, cluster, namespaces)
    return Resolved(
        included=included,
        excluded=excluded,
        location=_location(order.spec.storage_location, cluster, list(locations)),
        snapshot_locations=_snapshot_locations(order, cluster, list(snapshot_locations)),
    )


def _namespaces(order: BackupCreate, cluster: str, namespaces: Iterable[Object]) -> tuple[list[str], list[str]]:
    existing = {_name(n): (n.get("metadata") or {}).get("labels") or {} for n in namespaces}
    found = resolve_scope(order.scope, order.environments or Environments(), existing)
    if found.unknown:
        raise Refused(refusal(Code.NAMESPACE_UNKNOWN, cluster=cluster, names=", ".join(found.unknown)))
    if not found.included:
        raise Refused(refusal(Code.SCOPE_MATCHES_NOTHING, cluster=cluster))
    return found.included, found.excluded


def _location(wanted: str | None, cluster: str, locations: list[Object]) -> str:
    """Choose the storage location: the one named, else the newest default (as Velero does), else the only one there is."""
    known = {_name(location): location for location in locations}
    if wanted is None:
        defaults = sorted((x for x in locations if _spec(x).get("default")), key=_created)
        chosen = defaults[-1] if defaults else next(iter(locations), None) if len(locations) == 1 else None
        if chosen is None:
            names = ", ".join(sorted(known)) or "none exists"
            raise Refused(refusal(Code.LOCATION_NOT_CHOSEN, cluster=cluster, locations=names))
        wanted = _name(chosen)
    elif wanted not in known:
        raise Refused(refusal(Code.LOCATION_UNKNOWN, cluster=cluster, location=wanted))
    location = known[wanted]
    status = location.get("status") or {}
    if _spec(location).get("accessMode") == "ReadOnly":
        raise Refused(refusal(Code.LOCATION_READ_ONLY, location=wanted))
    if status.get("phase") == "Unavailable":
        message = status.get("message") or "Velero gives no reason"
        raise Refused(refusal(Code.LOCATION_UNAVAILABLE, location=wanted, message=str(message)[:500]))
    if status.get("phase") != "Available":
        # Velero fails a backup whose location it has not validated yet; that takes it some seconds.
        raise NotYet(f"storage location {wanted} has not been validated yet")
    return wanted


def _snapshot_locations(order: BackupCreate, cluster: str, locations: list[Object]) -> list[str]:
    """Choose one volume snapshot location for each provider; Velero wants one even where nothing is snapshotted."""
    by_name = {_name(location): str(_spec(location).get("provider") or "") for location in locations}
    chosen: dict[str, str] = {}
    for name in order.spec.volume_snapshot_locations:
        if name not in by_name:
            raise Refused(refusal(Code.SNAPSHOT_LOCATION_UNKNOWN, cluster=cluster, location=name))
        provider = by_name[name]
        if chosen.setdefault(provider, name) != name:
            raise Refused(_ambiguous(provider, by_name))
    for name, provider in sorted(by_name.items()):
        others = [n for n, p in by_name.items() if p == provider]
        if provider in chosen:
            continue
        if len(others) > 1 and order.spec.snapshot_volumes is not False:
            raise Refused(_ambiguous(provider, by_name))
        chosen[provider] = name
    return sorted(chosen.values())


def _ambiguous(provider: str, by_name: Mapping[str, str]) -> Refusal:
    names = ", ".join(sorted(n for n, p in by_name.items() if p == provider))
    return refusal(Code.SNAPSHOT_LOCATION_AMBIGUOUS, provider=provider, locations=names)


def _name(obj: Object) -> str:
    return str((obj.get("metadata") or {}).get("name") or "")


def _created(obj: Object) -> str:
    return str((obj.get("metadata") or {}).get("creationTimestamp") or "")


def _spec(obj: Object) -> Mapping[str, Any]:
    return obj.get("spec") or {}
