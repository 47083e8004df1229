"""The clusters of the demonstration: whether what they hold belongs together."""

import pytest

from simulator.cloud import Cloud
from simulator.cluster import SimulatedCluster
from simulator.seed import demo, furnish, make_buckets


@pytest.fixture(scope="module", params=["eu1", "us1"])
def store(request):
    return SimulatedCluster(request.param, furnish=lambda store: furnish(store, demo()[request.param])).store


def names(store, kind):
    return {(item["metadata"].get("namespace", ""), item["metadata"]["name"]) for item in store.list(kind)}


def test_pods_run_on_nodes_that_exist_and_mount_claims_that_exist(store):
    nodes = {name for _, name in names(store, "nodes")}
    claims = names(store, "persistentvolumeclaims")
    for pod in store.list("pods"):
        assert pod["status"]["phase"] == "Running"
        assert pod["spec"]["nodeName"] in nodes
        for volume in pod["spec"].get("volumes", ()):
            assert (pod["metadata"]["namespace"], volume["persistentVolumeClaim"]["claimName"]) in claims


def test_claims_and_volumes_are_bound_to_each_other(store):
    volumes = {item["metadata"]["name"]: item for item in store.list("persistentvolumes")}
    claims = store.list("persistentvolumeclaims")
    assert len(volumes) == len(claims) > 0
    for claim in claims:
        reference = volumes[claim["spec"]["volumeName"]]["spec"]["claimRef"]
        assert (reference["namespace"], reference["name"]) == (claim["metadata"]["namespace"], claim["metadata"]["name"])
        assert claim["status"]["phase"] == "Bound"


def test_velero_is_installed_with_an_agent_on_every_node(store):
    assert store.find("deployments.apps", "velero", "velero")
    agents = {pod["spec"]["nodeName"] for pod in store.list("pods", "velero", labels="role=node-agent")}
    assert agents == {name for _, name in names(store, "nodes")}
    assert store.get("backupstoragelocations", "default", "velero")["spec"]["default"] is True


def test_production_is_found_by_its_label(store):
    production = {item["metadata"]["name"] for item in store.list("namespaces", labels="environment=production")}
    assert {"shop", "cart"} <= production
    assert "shop-staging" not in production


def test_the_second_cluster_reads_the_bucket_of_the_first():
    cloud = Cloud()
    for said in demo().values():
        make_buckets(cloud, said)
    assert cloud.keys("velero-eu1") == cloud.keys("velero-us1") == []
    assert demo()["us1"]["locations"]["eu1"] == {"bucket": "velero-eu1", "mode": "ReadOnly"}
