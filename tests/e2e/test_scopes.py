"""What a backup is of, on a real Velero: each kind of scope, selectors, filters, and volumes with and without snapshots."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.product import Product, until
from tests.e2e.real.api import Json, velero_path
from tests.e2e.real.cluster import RealCluster
from tests.e2e.real.fleet import Fleet
from tests.e2e.real.installation import manifest

ESTATE = {
    "estate-live": {"environment": "production"},
    "estate-prod": {"environment": "prod"},
    "estate-test": {"environment": "test"},
    "estate-plain": {},
}
ZONE = "us-east-1a"


@pytest.fixture(scope="module")
def cluster(product: Product, fleet: Fleet) -> RealCluster:
    """A cluster with namespaces of every environment, each with something in it, as Leeward knows it."""
    found = fleet["us1"]
    for name, labels in ESTATE.items():
        namespace = manifest("Namespace", name, namespace="")
        namespace["metadata"]["labels"] = labels
        found.api.ensure(namespace)
        for app in ("paint", "shape"):
            thing = manifest("ConfigMap", app, namespace=name, data={"app": app})
            thing["metadata"]["labels"] = {"app": app}
            found.api.ensure(thing)

    def known() -> bool:
        names = {each["name"] for each in product.get("/clusters/us1/namespaces", limit=500).json()["items"]}
        return names >= set(ESTATE)

    until("the namespaces are known", known)
    return found


def namespaces(cluster: RealCluster) -> dict[str, dict[str, str]]:
    """Every namespace there is, with its labels, by the API server."""
    items = cluster.api.get("/api/v1/namespaces")["items"]
    return {item["metadata"]["name"]: item["metadata"].get("labels", {}) for item in items}


def stored(cluster: RealCluster, name: str) -> Json:
    return dict(cluster.api.get(velero_path("backups", name)))


def homes(contained: dict[str, list[str]]) -> set[str]:
    """The namespaces of the ConfigMaps inside a backup: each namespace has one of Kubernetes' own at least."""
    return {entry.partition("/")[0] for entry in contained["v1/ConfigMap"]}


Meaning = Callable[[dict[str, dict[str, str]]], set[str]]


def environment(*wanted: str) -> Meaning:
    return lambda found: {name for name, labels in found.items() if labels.get("environment") in wanted}


def other_environment(found: dict[str, dict[str, str]]) -> set[str]:
    return {name for name, labels in found.items() if labels.get("environment", "prod") not in {"production", "prod"}}


CASES: dict[str, tuple[Json, Meaning]] = {
    "all": ({"kind": "all"}, set),
    "all-but-a-pattern": (
        {"kind": "all", "excludedNamespaces": ["kube-*", "estate-*"]},
        lambda found: {name for name in found if not name.startswith(("kube-", "estate-"))},
    ),
    "production": ({"kind": "production"}, environment("production", "prod")),
    "non-production": ({"kind": "nonProduction"}, other_environment),
    "specific": (
        {"kind": "specific", "namespaces": ["estate-p*", "estate-test"], "excludedNamespaces": ["estate-pr?d"]},
        lambda _: {"estate-plain", "estate-test"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_kind_of_scope_is_shown_before_and_holds_what_it_says(product: Product, cluster: RealCluster, case: str) -> None:
    scope, meaning = CASES[case]
    wanted = meaning(namespaces(cluster))
    assert wanted
    preview = product.post("/clusters/us1/scope", {"scope": scope})
    assert preview.status_code == 200, preview.text
    assert set(preview.json()["namespaces"]) == wanted
    assert preview.json()["everything"] == (scope["kind"] == "all"), "also those made later"

    backup = product.made(f"scope-{case}", "us1", scope=scope)

    assert backup["status"] == "Completed"
    assert backup["scope"]["kind"] == scope["kind"]
    told = stored(cluster, f"scope-{case}")["spec"]["includedNamespaces"]
    everything = scope["kind"] == "all"
    assert told == ["*"] if everything else set(told) == wanted
    if not everything:
        assert set(backup["resolvedNamespaces"]) == wanted
    assert homes(product.contained(backup["id"])) == wanted


def test_a_label_selector_takes_what_carries_the_label(product: Product, cluster: RealCluster) -> None:
    spec = {"labelSelector": {"matchLabels": {"app": "paint"}}, "snapshotVolumes": False}
    backup = product.made("by-label", "us1", namespaces=["estate-live", "estate-plain"], spec=spec)

    assert backup["status"] == "Completed"
    assert product.contained(backup["id"])["v1/ConfigMap"] == ["estate-live/paint", "estate-plain/paint"]


def test_one_of_several_selectors_is_enough(product: Product, cluster: RealCluster) -> None:
    selectors = [
        {"matchLabels": {"app": "paint"}},
        {"matchExpressions": [{"key": "app", "operator": "In", "values": ["shape"]}]},
    ]
    spec = {"orLabelSelectors": selectors, "includedNamespaceScopedResources": ["configmaps"], "snapshotVolumes": False}
    backup = product.made("by-labels", "us1", namespaces=["estate-test"], spec=spec)

    assert product.contained(backup["id"])["v1/ConfigMap"] == ["estate-test/paint", "estate-test/shape"]


def test_a_filter_of_cluster_scoped_kinds_takes_those_and_no_others(product: Product, cluster: RealCluster) -> None:
    rbac = "rbac.authorization.k8s.io/v1"
    cluster.api.ensure(manifest("ClusterRole", "estate-reader", rbac, namespace="", rules=[]))
    spec = {
        "includedClusterScopedResources": ["clusterroles.rbac.authorization.k8s.io"],
        "excludedNamespaceScopedResources": ["secrets"],
        "snapshotVolumes": False,
    }
    backup = product.made("by-scope-of-kind", "us1", namespaces=["estate-live"], spec=spec)
    inside = product.contained(backup["id"])

    assert "estate-reader" in inside[f"{rbac}/ClusterRole"]
    # Beside them Velero always stores the namespaces themselves.
    assert {kind for kind, names in inside.items() if any("/" not in name for name in names)} == {
        f"{rbac}/ClusterRole",
        "v1/Namespace",
    }
    assert "v1/Secret" not in inside


def provision(cluster: RealCluster, namespace: str) -> None:
    """A namespace with a claim `data` that is bound to a volume of the cloud."""
    volume, shape = f"{namespace}-volume", {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    csi = {"driver": "ebs.csi.aws.com", "volumeHandle": cluster.s3.make_volume(ZONE)}
    spec: dict[str, Any] = {**shape, "capacity": {"storage": "1Gi"}, "persistentVolumeReclaimPolicy": "Retain", "csi": csi}
    persistent = manifest("PersistentVolume", volume, namespace="", spec=spec)
    persistent["metadata"]["labels"] = {"topology.kubernetes.io/zone": ZONE}
    cluster.api.ensure(persistent)
    cluster.api.ensure(manifest("Namespace", namespace, namespace=""))
    claim = {**shape, "volumeName": volume, "resources": {"requests": {"storage": "1Gi"}}}
    cluster.api.ensure(manifest("PersistentVolumeClaim", "data", namespace=namespace, spec=claim))
    path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/data"
    until("the claim is bound", lambda: cluster.api.get(path)["status"]["phase"] == "Bound")


def test_a_volume_is_snapshotted_or_left_out_as_was_asked_for(product: Product, cluster: RealCluster) -> None:
    provision(cluster, "estate-volume")

    taken = product.made("volumes-taken", "us1", namespaces=["estate-volume"], spec={"snapshotVolumes": True})
    skipped = product.made("volumes-skipped", "us1", namespaces=["estate-volume"], spec={"snapshotVolumes": False})

    (volume,) = taken["volumes"]
    assert (volume["namespace"], volume["claim"]) == ("estate-volume", "data")
    assert (volume["method"], volume["result"].lower()) == ("NativeSnapshot", "succeeded")
    assert taken["size"]["volumeBytes"] is None, "how large a native snapshot is, nobody says"
    assert taken["size"]["totalBytes"] is None
    (left_out,) = skipped["volumes"]
    assert left_out["method"] == "Skipped"
    assert left_out["message"]
    assert skipped["size"]["volumeBytes"] == 0
    assert skipped["size"]["totalBytes"] == skipped["size"]["metadataBytes"] > 0
