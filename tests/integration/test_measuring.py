"""What an executor finds out about backups that have ended, once each, from a simulated Velero and its storage."""

import asyncio
import gzip
import json
import threading
from contextlib import asynccontextmanager

import pytest
import structlog

from services.executor.artifacts.files import MOST_TEXT, aside
from shared.contracts.artifacts import Artifact
from simulator.velero.faults import Flaw
from simulator.velero.storage import FILES
from tests.integration.executor_harness import MEASURING, velero_backup
from tests.support.sites import WITH_VELERO, furnished
from tests.support.waiting import PATIENCE, eventually


def measured(world, name="b"):
    return [e.data for e in world.heard.of("backup", "measured") if e.data.backup.name == name]


def captured(world, artifact):
    parts = [e.data for e in world.heard.of("backup", "captured") if e.data.artifact == artifact]
    assert [p.part for p in parts] == list(range(parts[0].parts if parts else 0))
    return b"".join(p.data for p in parts), any(p.cut for p in parts)


@asynccontextmanager
async def watched(world, measuring=MEASURING, **more):
    async with furnished(world, **more) as site, world.executor(measuring=measuring, rhythm=WITH_VELERO):
        yield site


async def until_measured(world, name="b", count=1):
    await eventually(f"{name} is measured", lambda: len(measured(world, name)) >= count)
    return measured(world, name)[-1]


def claim(site, name):
    """A claim with its volume."""
    volume = {
        "metadata": {"name": f"pv-{name}"},
        "spec": {
            "capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteOnce"],
            "csi": {"driver": "ebs.csi.aws.com", "volumeHandle": f"vol-{name}"},
        },
    }  # fmt: skip
    spec = {"volumeName": f"pv-{name}", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}}
    site.store.create("persistentvolumes", volume)
    site.store.create("persistentvolumeclaims", {"metadata": {"name": name}, "spec": spec}, "shop")


async def test_a_backup_is_measured_when_it_has_ended_and_its_texts_are_kept(world):
    async with watched(world) as site:
        site.backup("b")
        await site.until("b")
        found = await until_measured(world)
        files = [k for k in site.cloud.keys("velero", "backups/b/") if not k.endswith((".json", "podvolumebackups.json.gz"))]
        assert found.metadata_bytes == sum(len(site.cloud.get("velero", key)) for key in files)
        assert (found.volume_bytes, found.volumes, found.causes) == (0, [], [])
        backup = site.get("backups", "b")
        assert found.backup.uid == backup["metadata"]["uid"]
        assert found.backup.object["status"]["startTimestamp"] == backup["status"]["startTimestamp"]
        for artifact, target in ((Artifact.LOG, "BackupLog"), (Artifact.RESULTS, "BackupResults")):
            assert captured(world, artifact) == (site.cloud.get("velero", FILES[target].format(name="b")), False)


async def test_the_event_stream_is_the_memory_also_after_a_restart(world):
    async with furnished(world) as site:
        async with world.executor(rhythm=WITH_VELERO):
            site.backup("b")
            await site.until("b")
            await until_measured(world)
        site.cluster.faults.calls.clear()
        async with world.executor(rhythm=WITH_VELERO, instance="two"):
            site.backup("c")
            await site.until("c")
            await until_measured(world, "c")
            assert len(measured(world, "b")) == 1
            asked = [c for c in site.cluster.faults.calls if c.method == "POST" and "downloadrequests" in c.path]
            assert len(asked) == 7, "nobody looks into b again"


async def test_a_copy_that_was_brought_for_a_restore_is_left_alone(world):
    async with watched(world) as site:
        mirror = "leeward-mirror-0a1b2c3d"
        site.create("backupstoragelocations", mirror, {"provider": "aws", "objectStorage": {"bucket": "velero"}})
        await eventually("it can be used", lambda: site.phase("backupstoragelocations", mirror) == "Available")
        site.backup("copy", storageLocation=mirror)
        await site.until("copy")
        for name in ("before", "after"):
            site.backup(name)
            await site.until(name)
            await until_measured(world, name)
        assert measured(world, "copy") == []
        asked = [c for c in site.cluster.faults.calls if c.method == "POST" and "downloadrequests" in c.path]
        assert len(asked) == 14, "Velero signs for the other two alone"


async def test_why_it_failed_is_grouped_and_counted(world):
    async with watched(world) as site:
        texts = tuple(
            f' resource: /pods name: /web-{n} message: /Error backing up item error: /pods "web-{n}" not found'
            for n in range(50)
        )
        site.velero.faults.flaw(Flaw(errors=(*texts, "something else")), "b")
        site.backup("b")
        await site.until("b", "PartiallyFailed")
        found = await until_measured(world)
    assert found.causes[0].count == 50
    assert "not found" in found.causes[0].message
    assert found.causes[1].count == 1


async def test_volumes_are_told_with_their_sizes_as_far_as_these_are_known(world):
    async with watched(world) as site:
        claim(site, "left")
        site.backup("b", snapshotVolumes=False)
        await site.until("b")
        found = await until_measured(world)
        assert [(v.claim, v.method, v.size_bytes) for v in found.volumes] == [("left", "Skipped", 0)]
        assert found.volume_bytes == 0
        site.backup("c")
        await site.until("c")
        found = await until_measured(world, "c")
        assert [(v.method, v.result, v.size_bytes) for v in found.volumes] == [("NativeSnapshot", "succeeded", None)]
        assert found.volume_bytes is None, "a native snapshot says no size"


async def test_one_that_failed_its_validation_holds_nothing(world):
    async with watched(world) as site:
        site.backup("b", storageLocation="none")
        await site.until("b", "FailedValidation")
        found = await until_measured(world)
        assert (found.metadata_bytes, found.volume_bytes, found.volumes) == (0, 0, [])
        assert captured(world, Artifact.LOG) == (b"", False)


@pytest.mark.parametrize("trouble", ["storage", "velero", "api"])
async def test_what_is_away_is_waited_for(world, trouble):
    async with furnished(world) as site:
        site.backup("b")
        await site.until("b")
        site.cloud.faults.down = trouble == "storage"
        if trouble == "velero":
            site.velero.kill()
        if trouble == "api":
            site.cluster.faults.fail_next(3, 503, when=lambda call: "downloadrequests" in call.path and call.method == "POST")
        with structlog.testing.capture_logs() as lines:
            impatient = MEASURING.model_copy(update={"signing": 1.0})
            async with world.executor(rhythm=WITH_VELERO, measuring=impatient if trouble == "velero" else MEASURING):
                await eventually("tried", lambda: [line for line in lines if line["event"] == "not measured yet"])
                assert measured(world) == []
                site.cloud.faults.clear()
                if trouble == "velero":
                    await site.velero.start()
                await until_measured(world)
        assert len(measured(world)) == 1


async def test_what_is_removed_while_it_is_looked_into_is_not_taken_for_small(world):
    async with furnished(world) as site:
        site.backup("b")
        await site.until("b")
        asked = []

        def deleted_meanwhile(call):
            if call.method == "POST" and "downloadrequests" in call.path:
                asked.append(call)
                if len(asked) == 2:
                    site.store.patch("backups", "b", {"status": {"phase": "Deleting"}}, "velero")
                    site.cloud.delete_prefix("velero", "backups/b/")
            return False

        site.cluster.faults.fail_next(when=deleted_meanwhile)
        async with world.executor(rhythm=WITH_VELERO, measuring=MEASURING.model_copy(update={"at_once": 1})):
            await eventually("looked into", lambda: len(asked) >= 7)
            site.backup("c")
            await site.until("c")
            await until_measured(world, "c")
        assert measured(world) == []


async def test_a_storm_of_old_backups_delays_no_command_and_the_newest_come_first(world):
    cluster = await world.add("eu1")
    taken = {"phase": "Failed", "failureReason": "backup already exists in object storage"}
    for number in range(300):
        ended = f"2026-11-{1 + number // 24:02}T{number % 24:02}:00:00Z"
        made = {**velero_backup(f"old-{number:03}"), "status": {**taken, "completionTimestamp": ended}}
        cluster.store.create("backups", made, "velero")
    async with world.executor(measuring=MEASURING.model_copy(update={"pause": 0.02})):
        await eventually("begun", lambda: world.heard.of("backup", "measured"))
        await world.ask("op1", name="new", scope={"kind": "all"})
        await eventually("accepted", lambda: world.answers("op1") == ["accepted"])
        assert len(world.heard.of("backup", "measured")) < 150, "the command has waited for the storm"
        await eventually("all", lambda: len(world.heard.of("backup", "measured")) >= 300)
    names = [e.data.backup.name for e in world.heard.of("backup", "measured")]
    assert len(set(names)) == len(names) == 300
    places = [names.index(f"old-{n:03}") for n in (299, 150, 0)]
    assert places == sorted(places)


async def test_however_much_there_is_to_think_about_others_find_a_thread():
    begun, free = threading.Event(), threading.Event()

    def think():
        begun.set()
        free.wait(120)

    busy = [asyncio.create_task(aside(think)) for _ in range(100)]
    try:
        await eventually("thinking", begun.is_set)
        async with asyncio.timeout(PATIENCE):
            await asyncio.get_running_loop().getaddrinfo("localhost", 80)
    finally:
        free.set()
        await asyncio.gather(*busy)


async def test_what_a_node_agent_says_is_a_cause_unless_the_results_say_it(world):
    async with watched(world) as site:
        site.velero.faults.hold("b", "InProgress")
        site.velero.faults.flaw(Flaw(errors=("pod volume backup failed: the repository is locked",)), "b")
        made = site.backup("b")
        await site.until("b", "InProgress")
        label = {"velero.io/backup-uid": made["metadata"]["uid"]}
        for pod, words in (("web-0", "the repository is locked"), ("web-1", "no space left")):
            spec = {
                "pod": {"namespace": "shop", "name": pod}, "volume": "data", "backupStorageLocation": "default",
                "node": "n", "repoIdentifier": "",
            }  # fmt: skip
            site.create("podvolumebackups", f"b-{pod}", spec, labels=label)
            site.store.patch("podvolumebackups", f"b-{pod}", {"status": {"phase": "Failed", "message": words}}, "velero")
        site.velero.faults.release("b")
        await site.until("b", "PartiallyFailed")
        found = await until_measured(world)
    assert {(c.message, c.example) for c in found.causes} == {
        ("pod volume backup failed: the repository is locked", None), ("no space left", "pods/web-1")
    }  # fmt: skip


async def test_a_long_log_is_kept_from_its_beginning_and_says_that_it_is_cut(world):
    async with furnished(world) as site:
        site.backup("b")
        await site.until("b")
        lines = b"".join(b'{"level":"info","msg":"line %d"}\n' % n for n in range(250_000))
        errors = {"errors": {"namespaces": {"shop": [f"error {n} " + "x" * 1000 for n in range(12_000)]}}, "warnings": {}}
        site.cloud.put("velero", FILES["BackupLog"].format(name="b"), gzip.compress(lines, 1))
        site.cloud.put("velero", FILES["BackupResults"].format(name="b"), gzip.compress(json.dumps(errors).encode(), 1))
        async with world.executor(rhythm=WITH_VELERO):
            found = await until_measured(world)
    packed, cut = captured(world, Artifact.LOG)
    text = gzip.decompress(packed)
    assert cut
    assert lines.startswith(text)
    assert MOST_TEXT - 100 < len(text) <= MOST_TEXT
    packed, cut = captured(world, Artifact.RESULTS)
    assert cut
    assert json.loads(gzip.decompress(packed))["errors"]["namespaces"]["shop"][0].startswith("error 0 ")
    assert (len(found.causes), found.causes_truncated) == (1, True)
    assert 4000 < found.causes[0].count < 6000


async def test_only_who_holds_the_lease_measures_and_the_other_takes_over(world):
    async with furnished(world) as site:
        async with world.executor(rhythm=WITH_VELERO, instance="one"):
            site.backup("b")
            await site.until("b")
            await until_measured(world)
            async with world.executor(rhythm=WITH_VELERO, instance="two"):
                site.backup("c")
                await site.until("c")
                await until_measured(world, "c")
                assert len(measured(world, "c")) == 1
        async with world.executor(rhythm=WITH_VELERO, instance="three"):
            site.backup("d")
            await site.until("d")
            await until_measured(world, "d")
    assert len(world.heard.of("backup", "measured")) == 3
