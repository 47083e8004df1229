"""The process of the simulated Velero: its end, its start, its queue, and what one bad object does to it."""

import asyncio
from dataclasses import replace

import pytest

from simulator.cloud import Cloud
from simulator.velero import Flaw, Settings
from tests.support.simulated_velero import QUICK, Site
from tests.support.waiting import PATIENCE, eventually

LEFT_BEHIND = 'found a backup with status "InProgress" during the server starting, mark it as "Failed"'


@pytest.fixture
async def cloud():
    async with Cloud() as running:
        running.make_bucket("velero")
        yield running


@pytest.fixture
def sites(cloud):
    """Make a cluster with these settings, and end its Velero afterwards."""
    made = []

    async def make(**changes):
        site = Site(cloud, settings=replace(QUICK, **changes), namespaces=("shop", "bank", "app"))
        made.append(site)
        await site.start()
        return site

    yield make
    for site in made:
        site.velero.kill()


async def settled(site, *, ticks=3.0):
    """Give every controller time enough to do what it should not do: a few ticks of the slowest one."""
    await site.velero.sleep(ticks * site.velero.settings.queue_recheck)


async def test_what_a_killed_process_left_in_progress_has_failed_after_the_start(sites):
    site = await sites()
    site.velero.faults.hold("first")
    site.backup("first")
    site.backup("second")
    await site.velero.faults.held("first")
    site.velero.kill()
    assert not site.velero.running
    before = len(site.seen("first"))
    site.velero.faults.release()
    await settled(site)
    assert len(site.seen("first")) == before

    await site.velero.start()
    status = site.get("backups", "first")["status"]
    assert (status["phase"], status["failureReason"]) == ("Failed", LEFT_BEHIND)
    assert "completionTimestamp" in status
    assert (await site.until("second"))["status"]["phase"] == "Completed"


async def test_a_backup_that_was_ready_is_forgotten_until_it_is_touched(sites):
    site = await sites()
    site.velero.faults.hold("ready", "ReadyToStart")
    site.backup("ready")
    await site.velero.faults.held("ready")
    site.velero.kill()
    site.velero.faults.release()
    await site.velero.start()
    await settled(site)
    assert site.phase("backups", "ready") == "ReadyToStart"
    site.store.patch("backups", "ready", {"metadata": {"labels": {"touched": "yes"}}}, "velero")
    assert (await site.until("ready"))["status"]["phase"] == "Completed"


async def test_a_deletion_that_was_cut_off_stays_so_and_another_one_ends_it(sites):
    site = await sites()
    site.backup("old")
    await site.until("old")
    site.velero.faults.hold("old", "Deleting")
    site.create("deletebackuprequests", "cut-off", {"backupName": "old"})
    await site.velero.faults.held("old")
    site.velero.kill()
    site.velero.faults.clear()
    await site.velero.start()
    await settled(site)
    assert (site.phase("deletebackuprequests", "cut-off"), site.phase("backups", "old")) == ("InProgress", "Deleting")
    site.create("deletebackuprequests", "again", {"backupName": "old"})
    await site.until_gone("backups", "old")
    await eventually("no request is left", lambda: not site.store.list("deletebackuprequests", "velero"))


async def test_a_backup_that_waits_for_its_operations_survives_a_kill(sites):
    site = await sites()
    site.velero.faults.flaw(Flaw(operations=1))
    site.velero.faults.hold("moving", "WaitingForPluginOperations")
    site.backup("moving")
    await site.velero.faults.held("moving")
    site.velero.kill()
    site.velero.faults.clear()
    await site.velero.start()
    assert (await site.until("moving"))["status"]["phase"] == "Completed"


async def test_a_stop_lets_the_backup_in_progress_end(sites):
    site = await sites(graceful_stop=PATIENCE * QUICK.speed)
    site.velero.faults.hold("last")
    site.backup("last")
    await site.velero.faults.held("last")
    stopping = asyncio.create_task(site.velero.stop())
    site.velero.faults.release()
    await stopping
    assert site.phase("backups", "last") == "Finalizing"
    assert not site.velero.running
    await site.velero.start()
    assert (await site.until("last"))["status"]["phase"] == "Completed"


async def test_a_duration_that_go_cannot_read_stalls_its_kind_until_it_is_mended(sites):
    site = await sites()
    site.backup("before")
    await site.until("before")
    site.backup("bad", ttl="30d")
    site.backup("after")
    await settled(site)
    assert site.velero.stalled == {"backups": 'time: unknown unit "d" in duration "30d"'}
    assert (site.phase("backups", "bad"), site.phase("backups", "after")) == ("", "")
    site.create("serverstatusrequests", "alive", {})
    await site.until("alive", "Processed", kind="serverstatusrequests")

    site.store.patch("backups", "bad", {"spec": {"ttl": "720h"}}, "velero")
    assert (await site.until("after"))["status"]["phase"] == "Completed"
    assert (await site.until("bad"))["status"]["phase"] == "Completed"
    assert site.velero.stalled == {}


async def test_with_such_an_object_there_at_the_start_no_controller_begins(sites):
    site = await sites()
    site.velero.faults.hold("running")
    site.backup("running")
    await site.velero.faults.held("running")
    site.velero.kill()
    site.velero.faults.clear()
    site.backup("bad", ttl="30d", namespace="bank")
    await site.velero.start()
    site.create("serverstatusrequests", "alive", {})
    await settled(site)
    assert site.velero.running
    assert site.phase("serverstatusrequests", "alive") == ""
    site.store.delete("backups", "bad", "velero")
    await site.until("alive", "Processed", kind="serverstatusrequests")

    # What the start could not see stays in progress and keeps its namespace, until another start.
    site.backup("behind")
    site.backup("elsewhere", namespace="bank")
    await site.until("elsewhere")
    await settled(site)
    assert (site.phase("backups", "running"), site.phase("backups", "behind")) == ("InProgress", "Queued")
    site.velero.kill()
    await site.velero.start()
    assert site.phase("backups", "running") == "Failed"
    assert (await site.until("behind"))["status"]["phase"] == "Completed"


async def test_the_queue_numbers_those_who_wait_and_moves_them_up(sites):
    site = await sites()
    site.velero.faults.hold("one")
    for name in ("one", "two", "three"):
        site.backup(name)
    await site.velero.faults.held("one")
    await eventually("both wait", lambda: site.phase("backups", "three") == "Queued")
    waiting = [site.get("backups", name)["status"]["queuePosition"] for name in ("two", "three")]
    assert waiting == [1, 2]
    site.velero.faults.hold("two")
    site.velero.faults.release("one")
    await site.velero.faults.held("two")
    assert site.get("backups", "three")["status"]["queuePosition"] == 1
    assert "queuePosition" not in site.get("backups", "two")["status"]


async def test_several_backups_at_once_never_share_a_namespace(sites):
    site = await sites(concurrent_backups=3)
    site.velero.faults.hold()
    site.backup("shop-1")
    site.backup("shop-2")
    site.backup("bank-1", namespace="bank")
    await eventually("two run", lambda: site.phase("backups", "bank-1") == "InProgress")
    await settled(site)
    assert (site.phase("backups", "shop-1"), site.phase("backups", "shop-2")) == ("InProgress", "Queued")
    site.velero.faults.release()
    await site.until("shop-2")


async def test_a_lost_wake_up_lets_the_queue_wait_for_its_tick(sites):
    site = await sites(queue_recheck=100_000.0)
    site.velero.faults.lose_wake_ups(1)
    site.velero.faults.hold("one")
    site.backup("one")
    await site.velero.faults.held("one")
    site.backup("two", namespace="bank")
    await site.until("two", "Queued")
    site.velero.faults.release()
    await site.until("one")
    await site.velero.sleep(60)
    assert site.phase("backups", "two") == "Queued"
    # A backup that is new wakes everybody.
    site.backup("three", namespace="app")
    assert (await site.until("two"))["status"]["phase"] == "Completed"


async def test_wake_ups_are_lost_by_chance_as_often_as_the_settings_say(sites):
    site = await sites(queue_recheck=100_000.0, lost_wake_ups=1.0)
    for name, namespace in (("one", "shop"), ("two", "bank")):
        site.backup(name, namespace=namespace)
    await site.until("one")
    await site.velero.sleep(60)
    assert site.phase("backups", "two") == "Queued"


async def test_one_odd_object_does_not_stop_a_controller(sites):
    site = await sites()
    site.create("backups", "odd", {"includedNamespaces": ["shop"], "orderedResources": {"configmaps": ""}}, labels={"a": "b"})
    site.store.create("downloadrequests", {"metadata": {"name": "empty"}}, "velero")
    site.store.create("deletebackuprequests", {"metadata": {"name": "empty"}}, "velero")
    site.backup("fine")
    assert (await site.until("fine"))["status"]["phase"] == "Completed"
    assert (await site.until("empty", "Processed", kind="deletebackuprequests"))["status"]["errors"]


async def test_etcd_going_back_does_not_stop_the_controllers(sites):
    site = await sites()
    snapshot = site.cluster.snapshot()
    site.backup("lost")
    await site.until("lost")
    site.cluster.restore_etcd(snapshot)
    site.backup("fresh")
    await eventually("the backup is complete", lambda: site.phase("backups", "fresh") == "Completed")


def test_the_defaults_are_those_of_velero():
    settings = Settings()
    assert (settings.concurrent_backups, settings.gc_frequency, settings.queue_recheck) == (1, 3600.0, 60.0)
    assert settings.speed == pytest.approx(1.0)
