"""Clusters with a simulated Velero each, on one cloud, for tests of the simulator itself."""

import json
import re
from typing import Any

from simulator import SimulatedCluster
from simulator.cloud import Cloud
from simulator.velero import Settings, Velero
from simulator.velero.client import phase_of
from tests.support.servers import free_port
from tests.support.waiting import eventually

QUICK = Settings(speed=200.0, lost_wake_ups=0.0)
"""A minute of Velero's in 0.3 s, and no chance in it."""

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
FINAL = ("Completed", "PartiallyFailed", "Failed", "FailedValidation")


def timeless(value: Any) -> Any:
    """A document with every timestamp replaced, to compare what happened at different times."""
    return json.loads(_TIME.sub("<time>", json.dumps(value)))


class Site:
    """One cluster with its Velero. Everything that happens to its backups is recorded in `seen`."""

    def __init__(
        self, cloud: Cloud, name: str = "eu1", *, settings: Settings = QUICK, access: str = "", namespaces: tuple[str, ...] = ()
    ) -> None:
        self.cloud = cloud
        self.cluster = SimulatedCluster(name, namespaces={namespace: {} for namespace in namespaces}, port=free_port())
        self.store = self.cluster.store
        self.velero = Velero(self.cluster, cloud, settings)
        location = {"provider": "aws", "objectStorage": {"bucket": "velero"}} | ({"accessMode": access} if access else {})
        self.create("backupstoragelocations", "default", location)
        self.create("volumesnapshotlocations", "default", {"provider": "aws"})
        self._seen: list[Any] = []
        self._watch = self.store.watch("backups", "velero")

    async def start(self) -> None:
        await self.velero.start()
        await eventually("the location can be used", lambda: self.phase("backupstoragelocations", "default") == "Available")

    def create(self, kind: str, name: str, spec: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
        document = {"metadata": {"name": name, **metadata}} | ({} if spec is None else {"spec": spec})
        return self.store.create(kind, document, "velero")

    def backup(self, name: str, namespace: str = "shop", **spec: Any) -> dict[str, Any]:
        return self.create("backups", name, {"includedNamespaces": [namespace], **spec})

    def fill(self, namespace: str, count: int) -> None:
        for number in range(count):
            self.store.create("configmaps", {"metadata": {"name": f"thing-{number}"}, "data": {"n": str(number)}}, namespace)

    def find(self, kind: str, name: str) -> dict[str, Any] | None:
        return self.store.find(kind, name, "velero")

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return self.store.get(kind, name, "velero")

    def phase(self, kind: str, name: str) -> str:
        return phase_of(self.find(kind, name))

    async def until(self, name: str, *phases: str, kind: str = "backups") -> dict[str, Any]:
        """The object once it is in one of the phases; in a final one unless told."""
        wanted = phases or FINAL
        await eventually(f"{name} is {' or '.join(wanted)}", lambda: self.phase(kind, name) in wanted)
        return self.get(kind, name)

    async def until_gone(self, kind: str, name: str) -> None:
        await eventually(f"{kind} {name} is gone", lambda: self.find(kind, name) is None)

    def seen(self, name: str) -> list[Any]:
        """All events of one backup, in order."""
        self._seen += self._watch.take()
        return [event for event in self._seen if event.object["metadata"]["name"] == name]

    def phases(self, name: str) -> list[str]:
        """The phases of one backup, each as often as it was entered."""
        found: list[str] = []
        for event in self.seen(name):
            if not found or found[-1] != phase_of(event.object):
                found.append(phase_of(event.object))
        return found
