"""What scenarios put into a cluster, said once."""

import base64
import itertools
from typing import Any

Json = dict[str, Any]

VELERO = "velero"
"""Velero's namespace, on every stage."""

_numbers = itertools.count(1)


def unique(stem: str) -> str:
    """A name that no other scenario of this session has."""
    return f"{stem}-{next(_numbers)}"


def of_velero(kind: str, name: str, **fields: Any) -> Json:
    """An object of velero.io/v1 in Velero's namespace; `metadata` adds to its metadata."""
    metadata = {"name": name, "namespace": VELERO, **fields.pop("metadata", {})}
    return {"apiVersion": "velero.io/v1", "kind": kind, "metadata": metadata, **fields}


def of_core(kind: str, name: str, namespace: str = "", **fields: Any) -> Json:
    """An object of the core group; without a namespace for cluster-scoped kinds."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **fields.pop("metadata", {})}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **fields}


def deletion_of(backup: Json) -> Json:
    """A DeleteBackupRequest as clients make it, with the labels by which Velero finds its siblings."""
    name, uid = backup["metadata"]["name"], backup["metadata"]["uid"]
    labels = {"velero.io/backup-name": name, "velero.io/backup-uid": uid}
    return of_velero("DeleteBackupRequest", unique(f"{name}-delete"), metadata={"labels": labels}, spec={"backupName": name})


def furnishing(namespace: str) -> list[Json]:
    """What `Cluster.furnish` puts into a namespace: two ConfigMaps and a Secret that differ in their labels."""
    secret = base64.b64encode(b"brush").decode()
    return [
        of_core("ConfigMap", "paint", namespace, metadata={"labels": {"app": "paint"}}, data={"colour": "green"}),
        of_core("ConfigMap", "shape", namespace, metadata={"labels": {"app": "shape"}}, data={"corners": "3"}),
        of_core("Secret", "tool", namespace, metadata={"labels": {"app": "paint"}}, data={"name": secret}),
    ]
