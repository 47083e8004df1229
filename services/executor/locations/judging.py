"""What Leeward makes of a storage location or a volume snapshot location, and what speaks against it. Pure."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.executor.backups.choices import Refused
from services.executor.manifests import valid_name
from shared.contracts import names
from shared.contracts.commands import LocationApply, SnapshotLocationApply
from shared.contracts.envelope import Envelope
from shared.contracts.locationspec import manifest_spec, place_of, spec_digest
from shared.contracts.names import Noun
from shared.contracts.refusals import Code, refusal

Object = Mapping[str, Any]

KEY: Final = "cloud"
"""Of a Secret, under which Velero's own installer keeps a credential."""

Order = LocationApply | SnapshotLocationApply
_SHORT: Final = 8


@dataclass(frozen=True, slots=True)
class Sort:
    """One of the two sorts of locations: what messages, Kubernetes and people call it, and how its Secrets begin."""

    noun: Noun
    kind: str
    words: str
    prefix: str

    def secret(self, location: str, operation: str = "") -> str:
        """Return what the Secret is called that an operation makes for a location; the name of a mirror holds its operation."""
        return self.prefix + valid_name("-".join(part for part in (location, operation[:_SHORT]) if part))


STORAGE: Final = Sort(Noun.LOCATION, "BackupStorageLocation", "storage location", "leeward-bsl-")
SNAPSHOTS: Final = Sort(Noun.SNAPSHOT_LOCATION, "VolumeSnapshotLocation", "volume snapshot location", "leeward-vsl-")


def manifest(sort: Sort, command: Envelope[Any], namespace: str) -> dict[str, Any]:
    """Build the location of a command."""
    order = command.data
    return {
        "apiVersion": "velero.io/v1",
        "kind": sort.kind,
        "metadata": {
            "name": order.name,
            "namespace": namespace,
            "labels": labels(command),
            "annotations": {names.ANNOTATION_CREATED_BY: str(command.principal or "")} | _said(order),
        },
        "spec": {**manifest_spec(order.spec), **_credential(sort, command)},
    }


def change(sort: Sort, command: Envelope[Any], live: Object) -> dict[str, Any]:
    """Build the merge patch that turns a location, as it is, into that of a command: null stands for what goes.

    What a newer Velero may have in its spec, and Leeward does not know, stays.
    """
    order = command.data
    config = {**dict.fromkeys(_spec(live).get("config") or {}), **order.spec.config}
    return {
        "metadata": {
            "resourceVersion": live["metadata"]["resourceVersion"],
            "labels": labels(command),
            "annotations": {names.ANNOTATION_SHARED_BUCKET: None} | _said(order) | _replaced(sort, command, live),
        },
        "spec": {**order.spec.wire(), "config": config, **_credential(sort, command)},
    }


def secret(name: str, namespace: str, location: str, text: bytes, labels: Mapping[str, str]) -> dict[str, Any]:
    """Build the Secret with the credential of a location; `text` is what Velero's plugin reads."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {**labels, names.LABEL_LOCATION: valid_name(location)},
        },
        "type": "Opaque",
        "data": {KEY: base64.b64encode(text).decode()},
    }


def labels(command: Envelope[Any]) -> dict[str, str]:
    """Return what says whose an object is, and that this command has made it what it is."""
    return {names.LABEL_CLUSTER: command.cluster, names.LABEL_OPERATION_ID: str(command.operationid)}


def check(sort: Sort, command: Envelope[Any], live: Object | None, all_of_them: Iterable[Object]) -> None:
    """Say what speaks against an order.

    Raises Refused when the location is not (any more) the one that was to be changed, or another writes into the same place.
    """
    order = command.data
    if order.expected is not None:
        check_expected(sort, command, live)
    if not isinstance(order, LocationApply) or order.shared_bucket:
        return
    spec = manifest_spec(order.spec)
    if not _writes(spec) or (live is not None and _writes(_spec(live)) and place_of(_spec(live)) == place_of(spec)):
        return  # it is not this order that brings two together
    owners = sorted(
        name
        for location in all_of_them
        if (name := location["metadata"]["name"]) != order.name
        and _writes(_spec(location))
        and place_of(_spec(location)) == place_of(spec)
    )
    if owners:
        told = f"Storage location {', '.join(owners)} of cluster {command.cluster}"
        raise Refused(refusal(Code.BUCKET_SHARED, owners=told))


def check_expected(sort: Sort, command: Envelope[Any], live: Object | None) -> None:
    """Say whether a location is the one that a command is about.

    Raises Refused when it is gone, or another by now.
    """
    order = command.data
    facts = {"cluster": command.cluster, "kind": sort.words, "name": order.name}
    if live is None:
        raise Refused(refusal(Code.LOCATION_GONE, **facts))
    if order.expected not in (None, spec_digest(_spec(live))):
        raise Refused(refusal(Code.LOCATION_CHANGED, **facts))


def is_default(location: Object) -> bool:
    """Tell whether a location is the one, or one of those, in which backups are made that name none."""
    return bool(_spec(location).get("default"))


def other_defaults(made: Object, all_of_them: Iterable[Object]) -> list[str]:
    """Return which locations have to cease to be the default for this one to be it: Velero lets the newest one win."""
    found = (x["metadata"]["name"] for x in all_of_them if is_default(x))
    return sorted(name for name in found if name != made["metadata"]["name"])


def uses(location: Object, secret: str) -> bool:
    """Tell whether a location takes its credential from this Secret."""
    return _held(location) == secret


def formers(location: Object) -> dict[str, str]:
    """Return the Secrets of ours that a location had before, each under the annotation that says so."""
    noted = ((location.get("metadata") or {}).get("annotations") or {}).items()
    return {key: str(name) for key, name in noted if key.startswith(names.ANNOTATION_REPLACED) and _is_ours(str(name))}


def secrets_of(location: Object) -> list[str]:
    """Return the Secrets that Leeward has made for a location, the former ones among them."""
    return sorted({name for name in (_held(location), *formers(location).values()) if _is_ours(name)})


def _credential(sort: Sort, command: Envelope[Any]) -> dict[str, Any]:
    order = command.data
    return {"credential": {"name": sort.secret(order.name, str(command.operationid)), "key": KEY}} if order.credential else {}


def _replaced(sort: Sort, command: Envelope[Any], live: Object) -> dict[str, str]:
    """Return what a location has to note of the Secret that this command takes it away from, if it is one of ours."""
    wanted = _credential(sort, command).get("credential") or command.data.spec.wire().get("credential") or {}
    former = _held(live)
    gone = _is_ours(former) and former != wanted.get("name")
    return {f"{names.ANNOTATION_REPLACED}{command.operationid}": former} if gone else {}


def _held(location: Object) -> str:
    return str((_spec(location).get("credential") or {}).get("name") or "")


def _is_ours(secret: str) -> bool:
    return secret.startswith((STORAGE.prefix, SNAPSHOTS.prefix))


def _said(order: Order) -> dict[str, str | None]:
    """Return what a person has said of a location beyond its spec."""
    return {names.ANNOTATION_SHARED_BUCKET: "true"} if isinstance(order, LocationApply) and order.shared_bucket else {}


def _writes(spec: Object) -> bool:
    return spec.get("accessMode") != "ReadOnly"


def _spec(obj: Object) -> Object:
    return obj.get("spec") or {}
