"""Claims and their volumes, as backups and restores look at them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from simulator.documents import Document, dig
from simulator.store import Store

_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def size_of(quantity: str) -> int:
    """Read an amount of storage such as `8Gi` into bytes."""
    for unit, factor in _UNITS.items():
        if quantity.endswith(unit):
            return int(float(quantity.removesuffix(unit)) * factor)
    return int(float(quantity or 0))


def capacity(volume: Document) -> int:
    """Return the bytes of a PersistentVolume or a PersistentVolumeClaim."""
    found = dig(volume, "spec.capacity.storage") or dig(volume, "spec.resources.requests.storage") or "1Gi"
    return size_of(str(found))


@dataclass(frozen=True, slots=True)
class Bound:
    """A claim of the backup with its volume."""

    claim: Document
    volume: Document

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name of the claim."""
        metadata = self.claim["metadata"]
        return metadata["namespace"], metadata["name"]

    def info(self, **parts: Any) -> Document:
        """Return what the file of volumes says of it."""
        spec = self.volume["spec"]
        labels = self.volume["metadata"].get("labels", {})
        own = {"reclaimPolicy": spec.get("persistentVolumeReclaimPolicy", ""), "labels": labels}
        names = {"pvcName": self.key[1], "pvcNamespace": self.key[0], "pvName": self.volume["metadata"]["name"]}
        flags = {"snapshotDataMoved": False, "preserveLocalSnapshot": False, "skipped": False}
        return {**names, **flags, **parts, "pvInfo": own}


def bound_claims(store: Store, claims: Iterable[Document]) -> list[Bound]:
    """Return the claims that have a volume, with it."""
    found = ((claim, store.find("persistentvolumes", dig(claim, "spec.volumeName") or "")) for claim in claims)
    return [Bound(claim, volume) for claim, volume in found if volume is not None]


def claims_of(pod: Document) -> Iterable[tuple[str, str]]:
    """Return the volumes of a pod that are claims, as (volume, claim)."""
    for volume in dig(pod, "spec.volumes") or ():
        if claim := dig(volume, "persistentVolumeClaim.claimName"):
            yield volume["name"], claim
