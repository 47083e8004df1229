"""What a cluster whose etcd is on disk still has after its process, and what it has lost."""

import pytest

from simulator.cluster import SimulatedCluster
from simulator.disk import DataInUse
from simulator.errors import ApiError


def backup(name="nightly", **metadata):
    return {"metadata": {"name": name, **metadata}, "spec": {"ttl": "1h"}}


@pytest.fixture
def incarnation(tmp_path):
    """Open the same cluster again and again, as processes one after another do."""
    opened = []

    def reopen():
        for cluster in opened:
            cluster.close()
        opened[:] = [SimulatedCluster("eu1", data=tmp_path / "eu1", namespaces={"shop": {"environment": "production"}})]
        return opened[0]

    yield reopen
    opened[0].close()


def test_every_object_returns_as_it_was(incarnation):
    before = incarnation()
    before.store.create("backups", backup(labels={"a": "b"}), "velero")
    before.store.create("backups", backup("doomed"), "velero")
    before.store.patch("backups", "nightly", {"status": {"phase": "Completed"}}, "velero")
    before.store.delete("backups", "doomed", "velero")
    everything = before.snapshot()
    after = incarnation()
    assert (before.is_new, after.is_new) == (True, False)
    assert after.snapshot() == everything
    assert after.uid == before.uid


def test_versions_go_on_rising_and_older_ones_have_expired(incarnation):
    before = incarnation()
    first = int(before.store.create("backups", backup(), "velero")["metadata"]["resourceVersion"])
    second = int(before.store.create("backups", backup("second"), "velero")["metadata"]["resourceVersion"])
    after = incarnation()
    with pytest.raises(ApiError) as refused:
        after.store.watch("backups", since=first)
    assert refused.value.code == 410
    watch = after.store.watch("backups", since=second)
    third = after.store.create("backups", backup("third"), "velero")
    assert int(third["metadata"]["resourceVersion"]) == second + 1
    assert [event.object["metadata"]["name"] for event in watch.take()] == ["third"]


def test_an_etcd_gone_back_to_a_backup_is_kept_like_that(incarnation):
    before = incarnation()
    taken = before.snapshot()
    before.store.create("backups", backup(), "velero")
    before.restore_etcd(taken)
    assert incarnation().snapshot() == taken


def test_a_rebuilt_cluster_stays_another_one(incarnation):
    before = incarnation()
    first = before.uid
    before.rebuild()
    assert incarnation().uid == before.uid != first


def test_two_processes_cannot_share_a_folder(incarnation, tmp_path):
    incarnation()
    with pytest.raises(DataInUse, match=r"etcd.sqlite is in use"):
        SimulatedCluster("eu1", data=tmp_path / "eu1")
