"""What the controller manager of a cluster does, as far as backups and restores notice it."""

from collections.abc import Iterator

from simulator.documents import Document, dig
from simulator.store import Store

ROOT_CA = "kube-root-ca.crt"

_BUNDLE = "-----BEGIN CERTIFICATE-----\nc2ltdWxhdGVk\n-----END CERTIFICATE-----\n"
_ABOUT = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints."

Placed = tuple[str, Document]
"""(kind, object), as `Store.create` takes them; the object carries its namespace."""


def namespace_furniture(namespace: str) -> Iterator[Placed]:
    """Return what every new namespace is given."""
    about = {"annotations": {"kubernetes.io/description": _ABOUT}}
    yield "configmaps", {"metadata": {"name": ROOT_CA, "namespace": namespace, **about}, "data": {"ca.crt": _BUNDLE}}
    yield "serviceaccounts", {"metadata": {"name": "default", "namespace": namespace}}


def furnish_namespace(store: Store, namespace: str) -> None:
    """Give a new namespace what it has to have."""
    for kind, document in namespace_furniture(namespace):
        if store.find(kind, document["metadata"]["name"], namespace) is None:
            store.create(kind, document, namespace)


def bind(store: Store, claim: Document) -> None:
    """Bind a new claim: to the volume that it names, or to one that is provisioned for it."""
    metadata, spec = claim["metadata"], claim["spec"]
    namespace, name = metadata["namespace"], metadata["name"]
    volume = spec.get("volumeName") or f"pvc-{metadata['uid']}"
    reference = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": namespace,
        "name": name,
        "uid": metadata["uid"],
    }
    if store.find("persistentvolumes", volume) is None:
        if spec.get("volumeName"):
            return  # It waits for a volume that may never come.
        store.create("persistentvolumes", {"metadata": {"name": volume}, "spec": _volume(store, claim, volume)})
    store.patch("persistentvolumes", volume, {"spec": {"claimRef": reference}})
    store.patch("persistentvolumes", volume, {"status": {"phase": "Bound"}}, subresource="status")
    store.patch("persistentvolumeclaims", name, {"spec": {"volumeName": volume}}, namespace)
    bound = {"phase": "Bound", "capacity": dig(claim, "spec.resources.requests") or {}}
    store.patch("persistentvolumeclaims", name, {"status": bound}, namespace, subresource="status")


def _volume(store: Store, claim: Document, name: str) -> Document:
    class_name = dig(claim, "spec.storageClassName") or ""
    storage_class = store.find("storageclasses", class_name) or {}
    return {
        "accessModes": claim["spec"].get("accessModes", []),
        "capacity": dig(claim, "spec.resources.requests") or {},
        "csi": {"driver": storage_class.get("provisioner", "example.com/none"), "volumeHandle": f"vol-{name[-17:]}"},
        "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy", "Delete"),
        "storageClassName": class_name,
    }
