"""The fleet of the demonstration, in one process: what lies in it at the start, and what can be done with it."""

import gzip

import httpx2
import pytest

from simulator.control import BadOrder, order
from simulator.disk import DataInUse
from simulator.fleet import Fleet
from simulator.seed import demo
from simulator.velero.client import phase_of
from tests.support.servers import PLAIN
from tests.support.simulated_velero import FINAL, QUICK
from tests.support.waiting import PATIENCE, eventually


def fleet(data=None):
    return Fleet(["eu1", "us1"], seed=demo(), settings=QUICK, data=data)


@pytest.fixture
async def running():
    async with fleet() as started:
        yield started


def store(running, cluster):
    return running.sites[cluster].cluster.store


async def ended(running, cluster, kind, name):
    """The object once it is in a final phase."""
    await eventually(f"{name} has ended", lambda: phase_of(store(running, cluster).find(kind, name, "velero")) in FINAL)
    return store(running, cluster).get(kind, name, "velero")


async def test_the_backups_of_the_seed_are_made_and_hold_something(running):
    for cluster, name in (("eu1", "before-release-4-2"), ("eu1", "payments-audit"), ("us1", "stock-before-count")):
        status = (await ended(running, cluster, "backups", name))["status"]
        assert (status["phase"], "warnings" in status) == ("Completed", False)
        assert status["progress"]["itemsBackedUp"] > 10
        assert status["volumeSnapshotsCompleted"] > 0
    assert phase_of(store(running, "eu1").get("schedules", "production-nightly", "velero")) == "Enabled"


async def test_a_namespace_of_one_cluster_comes_back_in_the_other(running):
    await ended(running, "eu1", "backups", "payments-audit")
    known = store(running, "us1")
    await eventually("the backup is known there", lambda: known.find("backups", "payments-audit", "velero"))
    known.create("restores", {"metadata": {"name": "rescue"}, "spec": {"backupName": "payments-audit"}}, "velero")
    restore = await ended(running, "us1", "restores", "rescue")
    assert restore["status"]["phase"] == "Completed"
    assert known.get("namespaces", "payments")["metadata"]["labels"]["compliance"] == "pci"
    assert known.get("persistentvolumeclaims", "data-ledger-0", "payments")["status"]["phase"] == "Bound"


async def test_logs_can_be_fetched_from_outside(running):
    await ended(running, "eu1", "backups", "payments-audit")
    spec = {"target": {"kind": "BackupLog", "name": "payments-audit"}}
    store(running, "eu1").create("downloadrequests", {"metadata": {"name": "d"}, "spec": spec}, "velero")
    request = await eventually(
        "the request is processed",
        lambda: phase_of(found := store(running, "eu1").get("downloadrequests", "d", "velero")) == "Processed" and found,
    )
    async with httpx2.AsyncClient(timeout=PATIENCE, **PLAIN) as client:
        answer = await client.get(request["status"]["downloadURL"])
    assert b"payments-audit" in gzip.decompress(answer.content)


async def test_an_ordered_failure_hits_the_next_backup_of_its_cluster_alone(running):
    for cluster in running.sites:
        for item in store(running, cluster).list("backups"):
            await ended(running, cluster, "backups", item["metadata"]["name"])
    await order(running, {"cluster": "us1", "fault": "partial-failure", "name": "ordered-us1", "text": "disk gone"})
    for cluster, phase in (("eu1", "Completed"), ("us1", "PartiallyFailed")):
        name, spec = f"ordered-{cluster}", {"includedNamespaces": ["cart"]}  # us1 reads the bucket of eu1: names are shared
        store(running, cluster).create("backups", {"metadata": {"name": name}, "spec": spec}, "velero")
        assert (await ended(running, cluster, "backups", name))["status"]["phase"] == phase


async def test_a_killed_velero_is_started_again_by_order(running):
    await order(running, {"fault": "velero-kill"})
    assert [velero.running for velero in running.veleros] == [False, False]
    await order(running, {"fault": "velero-start"})
    assert [velero.running for velero in running.veleros] == [True, True]


async def test_storage_that_is_down_makes_locations_unavailable_until_it_is_back(running):
    def phases():
        return {phase_of(item) for item in store(running, "us1").list("backupstoragelocations")}

    await eventually("all are available", lambda: phases() == {"Available"})
    await order(running, {"cluster": "us1", "fault": "bucket-deny", "bucket": "velero-eu1"})
    await eventually("one is unavailable", lambda: phases() == {"Available", "Unavailable"})
    await order(running, {"fault": "storage-down"})
    await eventually("none is available", lambda: phases() == {"Unavailable"})
    await order(running, {"fault": "clear"})
    await eventually("all are available again", lambda: phases() == {"Available"})


async def test_contents_are_as_large_as_ordered_when_they_are_fetched(running):
    await ended(running, "eu1", "backups", "payments-audit")
    found = await order(running, {"cluster": "eu1", "fault": "large-contents", "name": "payments-audit", "mebibytes": 2})
    spec = {"target": {"kind": "BackupContents", "name": "payments-audit"}}
    store(running, "eu1").create("downloadrequests", {"metadata": {"name": "d"}, "spec": spec}, "velero")
    request = await eventually(
        "the request is processed",
        lambda: phase_of(each := store(running, "eu1").get("downloadrequests", "d", "velero")) == "Processed" and each,
    )
    async with httpx2.AsyncClient(timeout=PATIENCE, **PLAIN) as client:
        answer = await client.get(request["status"]["downloadURL"])
    assert len(answer.content) == found["eu1"] > 2 * 1024 * 1024
    with pytest.raises(OSError, match="no backup"):
        await order(running, {"cluster": "eu1", "fault": "large-contents", "name": "nothing"})


async def test_an_order_that_nobody_can_follow_is_refused(running):
    with pytest.raises(BadOrder, match="no fault"):
        await order(running, {"fault": "fire"})


async def test_everything_outlives_the_process(tmp_path):
    async with fleet(tmp_path) as first:
        before = await ended(first, "eu1", "backups", "payments-audit")
        with pytest.raises(DataInUse):
            fleet(tmp_path)
    async with fleet(tmp_path) as second:
        assert store(second, "eu1").get("backups", "payments-audit", "velero") == before
        spec = {"backupName": "payments-audit", "namespaceMapping": {"payments": "again"}}
        store(second, "eu1").create("restores", {"metadata": {"name": "r"}, "spec": spec}, "velero")
        assert (await ended(second, "eu1", "restores", "r"))["status"]["phase"] == "Completed"
