"""Locations over HTTP: a cluster with a key of its own, which makes, changes and removes what it is asked to."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from nacl.public import PrivateKey, SealedBox

from shared.contracts.commands import LocationApply, LocationDelete, SnapshotLocationApply
from shared.contracts.documents import to_document
from shared.contracts.envelope import Envelope
from shared.contracts.events import SealingKey
from shared.contracts.locationspec import manifest_spec
from shared.contracts.phases import OperationState
from shared.contracts.views import ObjectRef
from tests.support.gateway import Stack, cluster_document, location_document, operation_item, snapshot_location_document

MARKER = "Zx9-marker-of-a-secret"
KEYS = {"accessKeyId": f"{MARKER}-id", "secretAccessKey": f"{MARKER}-key"}
SPEC = {"provider": "aws", "objectStorage": {"bucket": "velero", "prefix": "eu"}, "config": {"region": "eu"}}


def storage(name: str = "main", cluster: str = "eu1", spec: dict[str, Any] = SPEC, **facts: Any) -> dict[str, Any]:
    """The row of a storage location, as status writes it."""
    shown = {"spec": spec, "provider": spec["provider"], "bucket": spec["objectStorage"]["bucket"]}
    return location_document(name, cluster, **{**shown, "access_mode": spec.get("accessMode", "ReadWrite"), **facts})


@dataclass
class Cluster:
    """What executor and status do with the commands of one cluster, in short."""

    made: Stack
    private: PrivateKey = field(default_factory=PrivateKey.generate)

    @property
    def key(self) -> SealingKey:
        """The public half."""
        public = bytes(self.private.public_key)
        return SealingKey(id=hashlib.sha256(public).hexdigest()[:16], key=public)

    async def tells_its_key(self, **facts: Any) -> None:
        """Status has heard the inventory."""
        told = {"sealingKey": to_document(self.key)}
        await self.made.status.writes("cluster_state", cluster_document("eu1", inventory=told, **facts))

    def opened(self, command: Envelope[Any]) -> str:
        """What was sealed into a command."""
        assert command.data.credential.key == self.key.id
        return SealedBox(self.private).decrypt(command.data.credential.box).decode()

    async def obeys(self, command: Envelope[Any]) -> None:
        """The row first, then the operation, as status writes them."""
        order = command.data
        if isinstance(order, LocationApply | SnapshotLocationApply):
            spec = manifest_spec(order.spec)
            if order.credential:
                spec["credential"] = {"name": f"leeward-{order.name}", "key": "cloud"}
            if isinstance(order, LocationApply):
                row = storage(order.name, command.cluster, spec, shared_bucket=order.shared_bucket)
                await self.made.status.writes("locations", row)
            else:
                row = snapshot_location_document(order.name, command.cluster, provider=order.spec.provider, spec=spec)
                await self.made.status.writes("snapshot_locations", row)
        else:
            collection = "locations" if isinstance(order, LocationDelete) else "snapshot_locations"
            gone = {"listed": False, "item.status": "Deleted"}
            await self.made.database[collection].update_one({"item.name": order.name}, {"$set": gone})
        await self._succeeds(command)

    async def _succeeds(self, command: Envelope[Any]) -> None:
        operation = str(command.operationid)
        about = ObjectRef(kind="Location", id="x", name=command.data.name)
        item = operation_item(operation, OperationState.SUCCEEDED, kind=command.type, cluster=command.cluster, object=about)
        await self.made.status.writes("operations", {"_id": operation, "item": to_document(item)})
        await self.made.status.announces("operation", item)
