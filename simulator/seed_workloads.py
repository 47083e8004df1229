"""From one line about an app to the objects that it consists of, as they look while all is well."""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from simulator.controller_manager import Placed
from simulator.documents import Document

Details = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an app runs."""

    namespace: str
    region: str
    nodes: tuple[str, ...]
    storage_class: str
    driver: str


def workload(place: Place, app: str, details: Details) -> Iterator[Placed]:
    """Return the objects of an app: what it needs first, then the controller and its pods.

    An app with `volume` is a StatefulSet, with `schedule` a CronJob, with `daemon` a DaemonSet, else a Deployment.
    """
    labels = {"app.kubernetes.io/name": app, **details.get("labels", {})}
    made = _Maker(place, app, labels, details)
    yield "serviceaccounts", made.object(app)
    yield "configmaps", made.object(f"{app}-config", data={"LOG_LEVEL": "info", "REGION": place.region})
    for key in details.get("secrets", ()):
        value = base64.b64encode(_letters("secret", place.namespace, app, key)[:24].encode()).decode()
        yield "secrets", made.object(f"{app}-{key}", data={key: value}, type="Opaque")
    if "port" in details:
        yield "services", made.service()
    if "host" in details:
        yield "ingresses", made.ingress()
    shape = next((shape for word, shape in _SHAPES.items() if word in details), _Maker.deployment)
    yield from shape(made)


def _letters(*words: str) -> str:
    return hashlib.sha256("/".join(words).encode()).hexdigest()


class _Maker:
    def __init__(self, place: Place, app: str, labels: dict[str, str], details: Details) -> None:
        self._place = place
        self._app = app
        self._labels = labels
        self._details = details
        self._replicas = int(details.get("replicas", 1))

    def object(self, name: str, labels: Mapping[str, str] | None = None, **parts: Any) -> Document:
        metadata = {"name": name, "namespace": self._place.namespace, "labels": {**self._labels, **(labels or {})}}
        return {"metadata": metadata, **parts}

    def service(self) -> Document:
        port = self._details["port"]
        ports = [{"name": "main", "port": port, "targetPort": port, "protocol": "TCP"}]
        number = int(_letters("ip", self._place.namespace, self._app)[:4], 16)
        address = f"10.96.{number >> 8}.{number & 255}"
        spec = {"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address], "ports": ports, "selector": self._labels}
        return self.object(self._app, spec=spec)

    def ingress(self) -> Document:
        backend = {"service": {"name": self._app, "port": {"number": self._details["port"]}}}
        path = {"path": "/", "pathType": "Prefix", "backend": backend}
        rule = {"host": self._details["host"], "http": {"paths": [path]}}
        return self.object(self._app, spec={"ingressClassName": "nginx", "rules": [rule]})

    def _pod_spec(self, claim: str = "") -> Document:
        container: Document = {"name": self._app, "image": self._details["image"]}
        container["envFrom"] = [{"configMapRef": {"name": f"{self._app}-config"}}]
        if "port" in self._details:
            container["ports"] = [{"containerPort": self._details["port"], "protocol": "TCP"}]
        spec: Document = {"serviceAccountName": self._app, "containers": [container], "restartPolicy": "Always"}
        if claim:
            container["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
            spec["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
        return spec

    def _controller(self, name: str, claim: str = "", **spec: Any) -> Document:
        template = {"metadata": {"labels": self._labels}, "spec": self._pod_spec(claim)}
        return self.object(name, spec={"selector": {"matchLabels": self._labels}, "template": template, **spec})

    def _pod(self, name: str, index: int, claim: str = "") -> Document:
        nodes = self._place.nodes or ("node-1",)
        node = nodes[(index + len(self._app)) % len(nodes)]
        pod = self.object(name, spec={**self._pod_spec(claim), "nodeName": node})
        state = {"name": self._app, "image": self._details["image"], "ready": True, "restartCount": 0, "started": True}
        pod["status"] = {
            "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [state], "hostIP": "10.20.0.10", "podIP": f"10.244.{index}.{len(self._app)}",
        }  # fmt: skip
        return pod

    def deployment(self) -> Iterator[Placed]:
        counts = dict.fromkeys(("replicas", "readyReplicas", "availableReplicas", "updatedReplicas"), self._replicas)
        yield "deployments.apps", self._controller(self._app, replicas=self._replicas) | {"status": counts}
        template = _letters("template", self._place.namespace, self._app)[:10]
        owner = f"{self._app}-{template}"
        yield "replicasets.apps", self._controller(owner, replicas=self._replicas) | {"status": counts}
        for index in range(self._replicas):
            name = f"{owner}-{_letters(owner, str(index))[:5]}"
            yield "pods", self._pod(name, index)

    def stateful_set(self) -> Iterator[Placed]:
        counts = dict.fromkeys(("replicas", "readyReplicas", "currentReplicas"), self._replicas)
        claims = [{"metadata": {"name": "data"}, "spec": self._claim_spec()}]
        whole = self._controller(self._app, "data", replicas=self._replicas, serviceName=self._app, volumeClaimTemplates=claims)
        yield "statefulsets.apps", whole | {"status": counts}
        for index in range(self._replicas):
            name = f"{self._app}-{index}"
            volume = f"pvc-{_volume_uid(self._place, name)}"
            yield "persistentvolumes", self._volume(volume, f"data-{name}", index)
            claim = self.object(f"data-{name}", spec={**self._claim_spec(), "volumeName": volume})
            claim["status"] = {"phase": "Bound", "capacity": {"storage": self._details["volume"]}}
            yield "persistentvolumeclaims", claim
            yield "pods", self._pod(name, index, f"data-{name}")

    def _claim_spec(self) -> Document:
        size = {"requests": {"storage": self._details["volume"]}}
        return {"accessModes": ["ReadWriteOnce"], "storageClassName": self._place.storage_class, "resources": size}

    def _volume(self, name: str, claim: str, index: int) -> Document:
        zone = f"{self._place.region}{'abc'[index % 3]}"
        labels = {"topology.kubernetes.io/region": self._place.region, "topology.kubernetes.io/zone": zone}
        claimed = {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": self._place.namespace, "name": claim}
        spec = {
            "accessModes": ["ReadWriteOnce"], "capacity": {"storage": self._details["volume"]},
            "claimRef": claimed,
            "csi": {"driver": self._place.driver, "fsType": "ext4", "volumeHandle": f"vol-{_letters('volume', name)[:17]}"},
            "persistentVolumeReclaimPolicy": "Delete", "volumeMode": "Filesystem",
            "storageClassName": self._place.storage_class,
        }  # fmt: skip
        return {"metadata": {"name": name, "labels": labels}, "spec": spec, "status": {"phase": "Bound"}}

    def cron_job(self) -> Iterator[Placed]:
        job = {"template": {"metadata": {"labels": self._labels}, "spec": self._pod_spec() | {"restartPolicy": "OnFailure"}}}
        spec = {"schedule": self._details["schedule"], "concurrencyPolicy": "Forbid", "jobTemplate": {"spec": job}}
        yield "cronjobs.batch", self.object(self._app, spec=spec)

    def daemon_set(self) -> Iterator[Placed]:
        nodes = self._place.nodes
        counts = dict.fromkeys(("currentNumberScheduled", "desiredNumberScheduled", "numberReady"), len(nodes))
        yield "daemonsets.apps", self._controller(self._app) | {"status": {**counts, "numberMisscheduled": 0}}
        for index, node in enumerate(nodes):
            pod = self._pod(f"{self._app}-{_letters(self._app, node)[:5]}", index)
            pod["spec"]["nodeName"] = node
            yield "pods", pod


def _volume_uid(place: Place, name: str) -> str:
    digits = _letters("pvc", place.region, place.namespace, name)
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))


_SHAPES = {"volume": _Maker.stateful_set, "schedule": _Maker.cron_job, "daemon": _Maker.daemon_set}
