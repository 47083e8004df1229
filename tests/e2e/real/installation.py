"""Say what must stand in a cluster before Velero starts there: the objects that `velero install` would make."""

from tests.e2e.real.api import Json
from tests.e2e.real.s3 import BUCKET, CREDENTIALS, S3Server


def manifest(kind: str, name: str, version: str = "v1", *, namespace: str = "velero", **fields: object) -> Json:
    """A manifest; an empty namespace is for cluster-scoped kinds."""
    scope = {"namespace": namespace} if namespace else {}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **scope}, **fields}


def storage_location(name: str, s3: S3Server, prefix: str, *, access_mode: str = "ReadWrite", default: bool = False) -> Json:
    """A BackupStorageLocation on the shared bucket, for Velero's own credentials."""
    spec = {
        "provider": "aws",
        "objectStorage": {"bucket": BUCKET, **({"prefix": prefix} if prefix else {})},
        "accessMode": access_mode,
        "default": default,
        "config": {"region": "us-east-1", "s3ForcePathStyle": "true", "s3Url": s3.url},
    }
    return manifest("BackupStorageLocation", name, "velero.io/v1", spec=spec)


def velero_installation(s3: S3Server, prefix: str) -> list[Json]:
    """All of it, in the order in which it must be created."""
    labels = {"deploy": "velero", "component": "velero"}
    pod = {"serviceAccountName": "velero", "containers": [{"name": "velero", "image": "example.invalid/velero"}]}
    deployment = {"replicas": 0, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    everything = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    velero = {"kind": "ServiceAccount", "name": "velero", "namespace": "velero"}
    rbac = "rbac.authorization.k8s.io/v1"
    snapshots = {"provider": "aws", "config": {"region": "us-east-1"}}
    return [
        manifest("Namespace", "velero", namespace=""),
        manifest("Secret", "cloud-credentials", stringData={"cloud": CREDENTIALS}),
        manifest("ServiceAccount", "velero"),
        manifest("ClusterRoleBinding", "velero", rbac, namespace="", roleRef=everything, subjects=[velero]),
        # Every Restore reads this Deployment, though nothing runs in it: without it each one ends PartiallyFailed.
        manifest("Deployment", "velero", "apps/v1", spec=deployment),
        storage_location("default", s3, prefix, default=True),
        manifest("VolumeSnapshotLocation", "default", "velero.io/v1", spec=snapshots),
    ]


def workload(namespace: str, labels: dict[str, str]) -> list[Json]:
    """A namespace worth backing up: two each of Deployments, ConfigMaps and Secrets."""
    objects = [manifest("Namespace", namespace, namespace="")]
    objects[0]["metadata"]["labels"] = labels
    for name in ("web", "worker"):
        match = {"app": name}
        pod = {"containers": [{"name": name, "image": f"example.invalid/{name}"}]}
        spec = {"replicas": 1, "selector": {"matchLabels": match}, "template": {"metadata": {"labels": match}, "spec": pod}}
        objects += [
            manifest("Deployment", name, "apps/v1", namespace=namespace, spec=spec),
            manifest("ConfigMap", name, namespace=namespace, data={"colour": "green"}),
            manifest("Secret", name, namespace=namespace, stringData={"password": f"{name} of {namespace}"}),
        ]
    return objects
