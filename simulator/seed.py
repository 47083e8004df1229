"""Clusters that look lived in: workloads with their pods, volumes and secrets, and an installed Velero.

`furnish` writes what is said in short, as `seed.yaml` does.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from simulator.cloud import Cloud
from simulator.controller_manager import Placed, namespace_furniture
from simulator.documents import Document
from simulator.seed_workloads import Place, workload
from simulator.store import Store

Said = Mapping[str, Any]
"""A cluster in short: region, nodes, namespaces with their apps, storage locations, schedules and backups."""

STORAGE_CLASS = "gp3"
DRIVER = "ebs.csi.aws.com"


@cache
def demo() -> Mapping[str, Said]:
    """Return the clusters of the demonstration by name."""
    fleet: Mapping[str, Said] = yaml.safe_load((files("simulator") / "seed.yaml").read_text())
    return fleet


def furnish(store: Store, said: Said, velero_namespace: str = "velero") -> None:
    """Write everything that is said of a cluster into one that is new."""
    for kind, document in _everything(said, velero_namespace):
        _write(store, kind, document)


def make_buckets(cloud: Cloud, said: Said) -> None:
    """Make the buckets behind the storage locations of a cluster."""
    for location in said["locations"].values():
        cloud.make_bucket(location["bucket"])


def bare(bucket: str, region: str = "eu-central-1") -> Said:
    """Return a cluster that holds an installed Velero with one location, and nothing else."""
    locations = {"default": {"bucket": bucket, "default": True}}
    return {"region": region, "nodes": ["node-1"], "namespaces": {}, "locations": locations}


def _write(store: Store, kind: str, document: Document) -> None:
    status = document.get("status")
    metadata = document["metadata"]
    if kind == "namespaces" and store.find(kind, metadata["name"]) is not None:
        store.patch(kind, metadata["name"], {"metadata": metadata})
        return
    store.create(kind, document, metadata.get("namespace", ""))
    if status and store.kinds.named(kind).status_subresource:
        store.patch(kind, metadata["name"], {"status": status}, metadata.get("namespace", ""), subresource="status")


def _everything(said: Said, velero_namespace: str) -> Iterator[Placed]:
    yield "storageclasses", {
        "metadata": {"name": STORAGE_CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": DRIVER, "reclaimPolicy": "Delete", "volumeBindingMode": "WaitForFirstConsumer",
        "allowVolumeExpansion": True, "parameters": {"type": "gp3"},
    }  # fmt: skip
    for index, node in enumerate(said["nodes"]):
        yield "nodes", _node(node, said["region"], index)
    for name, namespace in said["namespaces"].items():
        yield "namespaces", {"metadata": {"name": name, "labels": namespace.get("labels", {})}}
        yield from namespace_furniture(name)
        place = Place(name, said["region"], tuple(said["nodes"]), STORAGE_CLASS, DRIVER)
        for app, details in namespace["apps"].items():
            yield from workload(place, app, details)
    yield from _velero(said, velero_namespace)


def _node(name: str, region: str, index: int) -> Document:
    zone = f"{region}{'abc'[index % 3]}"
    labels = {
        "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "topology.kubernetes.io/region": region,
        "topology.kubernetes.io/zone": zone,
    }  # fmt: skip
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status"}
    spec = {"providerID": f"aws:///{zone}/i-{fingerprint(name)[:17]}"}
    status = {"conditions": [ready], "capacity": {"cpu": "8", "memory": "32Gi", "pods": "110"}}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec, "status": status}


def _velero(said: Said, namespace: str) -> Iterator[Placed]:
    place = Place(namespace, said["region"], tuple(said["nodes"]), STORAGE_CLASS, DRIVER)
    yield "namespaces", {"metadata": {"name": namespace, "labels": {"component": "velero"}}}
    yield from namespace_furniture(namespace)
    secret = base64.b64encode(b"[default]\naws_access_key_id=demo\naws_secret_access_key=demo\n").decode()
    yield "secrets", _object("cloud-credentials", namespace, data={"cloud": secret}, type="Opaque")
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    subject = {"kind": "ServiceAccount", "name": "velero", "namespace": namespace}
    yield "clusterrolebindings", {"metadata": {"name": "velero"}, "roleRef": role, "subjects": [subject]}
    yield from workload(place, "velero", {"image": "velero/velero:v1.18.2", "replicas": 1, "labels": {"component": "velero"}})
    yield from workload(
        place, "node-agent", {"image": "velero/velero:v1.18.2", "daemon": True, "labels": {"role": "node-agent"}}
    )
    yield (
        "volumesnapshotlocations",
        _object("default", namespace, spec={"provider": "aws", "config": {"region": said["region"]}}),
    )
    for name, location in said["locations"].items():
        yield "backupstoragelocations", _object(name, namespace, spec=_location(location, said["region"]))
    for name, schedule in said.get("schedules", {}).items():
        template = {"includedNamespaces": schedule["namespaces"], "ttl": schedule["ttl"], "storageLocation": "default"}
        yield "schedules", _object(name, namespace, spec={"schedule": schedule["cron"], "template": template})
    for name, backup in said.get("backups", {}).items():
        spec = {"includedNamespaces": backup["namespaces"], "ttl": backup["ttl"], "storageLocation": "default"}
        yield "backups", _object(name, namespace, spec=spec)


def _location(said: Said, region: str) -> Document:
    spec: Document = {
        "provider": "aws",
        "objectStorage": {"bucket": said["bucket"]},
        "config": {"region": region},
        "credential": {"name": "cloud-credentials", "key": "cloud"},
        "accessMode": said.get("mode", "ReadWrite"),
    }
    return spec | ({"default": True} if said.get("default") else {})


def _object(name: str, namespace: str, **parts: Any) -> Document:
    return {"metadata": {"name": name, "namespace": namespace}, **parts}


def fingerprint(*words: str) -> str:
    """Return letters and digits that look random and are the same for the same words."""
    return hashlib.sha256("/".join(words).encode()).hexdigest()
