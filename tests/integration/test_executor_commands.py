"""`backup.create` in a cluster: made exactly once, or refused in words, whatever happens in between."""

from datetime import timedelta

import pytest

from services.executor.seeing.presence import Witness
from shared.contracts import subjects
from shared.contracts.catalogue import encode
from shared.contracts.names import ANNOTATION_CREATED_BY, ANNOTATION_SCOPE, LABEL_CLUSTER, LABEL_OPERATION_ID
from shared.runtime.clock import now
from simulator.access import Rule, User
from tests.integration.executor_harness import Faulty, location, snapshot_location, velero_backup
from tests.support.messages import restore_command
from tests.support.timing import BRIEF, PATIENT
from tests.support.waiting import eventually


async def test_a_command_becomes_one_backup_that_says_whose_it_is(world):
    await world.add("eu1")
    await world.ask("op1", scope={"kind": "specific", "namespaces": ["shop"]}, ttl="24h")
    async with world.executor():
        await eventually("accepted", lambda: world.answers("op1") == ["accepted"])
    (made,) = world.backups()
    assert made["metadata"]["labels"] == {LABEL_CLUSTER: "eu1", LABEL_OPERATION_ID: "op1"}
    assert made["metadata"]["annotations"][ANNOTATION_CREATED_BY] == "anna"
    assert "shop" in made["metadata"]["annotations"][ANNOTATION_SCOPE]
    assert made["spec"] == {
        "includedNamespaces": ["shop"],
        "storageLocation": "default",
        "ttl": "24h",
        "itemOperationTimeout": "72h",
        "csiSnapshotTimeout": "10m",
    }
    (accepted,) = world.heard.of("operation", "accepted")
    assert accepted.data.object.uid == made["metadata"]["uid"]


async def test_the_same_command_again_changes_nothing(world, admin):
    await world.add("eu1")
    command = await world.ask("op1")
    async with world.executor():
        await eventually("accepted", lambda: world.answers("op1"))
        before = world.backups()
        await redeliver(admin, command)
        await world.ask("op2", name="other")
        await eventually("the next one", lambda: world.answers("op2"))
    assert [b for b in world.backups() if b["metadata"]["name"] == "shop"] == before
    assert world.answers("op1") == ["accepted"]


async def test_the_same_command_again_after_the_object_is_gone_makes_no_second_one(world, admin):
    cluster = await world.add("eu1")
    command = await world.ask("op1")
    async with world.executor():
        await eventually("accepted", lambda: world.answers("op1"))
        cluster.store.delete("backups", "shop", "velero")
        await redeliver(admin, command)
        await world.ask("op2", name="other")
        await eventually("the next one", lambda: world.answers("op2"))
    assert [b["metadata"]["name"] for b in world.backups()] == ["other"]


async def test_a_refused_command_stays_refused_when_it_comes_again(world, admin):
    cluster = await world.add("eu1")
    cluster.store.create("backups", velero_backup("shop"))
    command = await world.ask("op1")
    async with world.executor():
        await eventually("refused", lambda: world.answers("op1") == ["rejected"])
        cluster.store.delete("backups", "shop", "velero")
        await redeliver(admin, command)
        await world.ask("op2", name="other")
        await eventually("the next one", lambda: world.answers("op2"))
    assert [b["metadata"]["name"] for b in world.backups()] == ["other"]


async def test_two_executors_on_one_cluster_make_one_backup(world):
    await world.add("eu1")
    async with world.executor(instance="one"), world.executor(user="cluster-eu1", instance="two"):
        for n in range(8):
            await world.ask(f"op{n}", name=f"b{n}")
        await eventually("all answered", lambda: all(world.answers(f"op{n}") for n in range(8)))
    assert sorted(b["metadata"]["name"] for b in world.backups()) == [f"b{n}" for n in range(8)]
    assert all(world.answers(f"op{n}") == ["accepted"] for n in range(8))


async def test_when_the_holder_of_the_lease_dies_the_other_executor_takes_over(world):
    await world.add("eu1")
    async with world.executor(instance="one") as first:
        await world.ask("op1", name="b1")
        await eventually("done by the first", lambda: world.answers("op1"))
        async with world.executor(instance="two"):
            for task in first.tasks:
                task.cancel()
            await world.ask("op2", name="b2")
            await eventually("done by the second", lambda: world.answers("op2"))


@pytest.mark.parametrize("after", [False, True], ids=["between create and accepted", "between accepted and ack"])
async def test_a_crash_makes_no_second_backup_and_leaves_no_silence(world, after):
    cluster = await world.add("eu1")
    await world.ask("op1")
    async with world.executor(wrap=lambda p: Faulty(p, lambda s: ".operation.accepted." in s, after)) as dying:
        await dying.crashed()
    (made,) = world.backups()
    async with world.executor(instance="two"):
        await eventually("accepted", lambda: world.answers("op1"))
        await world.ask("op2", name="other")
        await eventually("the next one", lambda: world.answers("op2"))
    assert world.answers("op1") == ["accepted"]
    assert cluster.store.get("backups", "shop", "velero")["metadata"]["uid"] == made["metadata"]["uid"]


def makes_backup(call):
    return call.method == "POST" and call.path.endswith("/backups")


async def test_a_create_whose_answer_was_lost_is_found_again(world):
    cluster = await world.add("eu1")
    cluster.faults.lose_answers(1, when=lambda call: call.method == "POST" and call.path.endswith("/backups"))
    await world.ask("op1")
    async with world.executor():
        await eventually("accepted", lambda: world.answers("op1") == ["accepted"])
    assert len(world.backups()) == 1
    assert sum(c.method == "POST" and c.path.endswith("/backups") for c in cluster.faults.calls) == 1


@pytest.mark.parametrize("way", ["refused", "hanging", "429"])
async def test_a_command_waits_for_a_cluster_that_is_away_and_other_clusters_do_not(world, way):
    away, _ = await world.add("eu1"), await world.add("us1")
    async with world.executor(timeout=BRIEF) as running:
        await eventually("both present", lambda: {e.cluster for e in world.heard.of("presence")} == {"eu1", "us1"})
        match way:
            case "refused":
                await away.stop()
            case "hanging":
                away.faults.hang()
            case "429":
                away.faults.fail_next(10_000, 429)
        await world.ask("op1", cluster="eu1")
        await world.ask("op2", cluster="us1")
        await eventually("the other cluster", lambda: world.answers("op2") == ["accepted"])  # while the first is away
        await eventually("noticed", lambda: "cluster eu1" in running.health.report()["missing"])
        assert running.health.ready, "a hub is ready while one of its clusters is away"
        assert world.answers("op1") == []
        match way:
            case "refused":
                await away.start()
            case _:
                away.faults.clear()
        await eventually("runs when it returns", lambda: world.answers("op1") == ["accepted"])
        await eventually("healthy", lambda: "cluster eu1" not in running.health.report()["missing"])
    assert len(world.backups()) == 1


async def test_a_webhook_that_takes_long_to_fail_holds_up_its_own_command_only(world):
    cluster = await world.add("eu1")
    cluster.faults.fail_next(10_000, when=makes_backup, after=BRIEF + 1)
    async with world.executor(timeout=BRIEF, writing=PATIENT):
        await world.ask("op1")
        await eventually("it is tried again", lambda: sum(map(makes_backup, cluster.faults.calls)) > 1)
        await world.order(restore_command("op2", now=now()))  # of a backup that is not there
        await eventually("another command is answered", lambda: world.answers("op2") == ["rejected"])
        assert world.answers("op1") == []
        cluster.faults.clear()
        await eventually("made", lambda: world.answers("op1") == ["accepted"])
    assert len(world.backups()) == 1


async def test_a_command_that_could_not_begin_before_its_deadline_is_refused(world):
    cluster = await world.add("eu1")
    await cluster.stop()
    async with world.executor():
        command = await world.ask("op1", expires_in=0.5)
        await eventually("said that it is away", lambda: any(e.data.api_server.problem for e in world.heard.of("presence")))
        await eventually("the deadline has passed", lambda: now() > command.expiresat)
        await cluster.start()
        await eventually("refused", lambda: world.answers("op1") == ["rejected"])
    (rejected,) = world.heard.of("operation", "rejected")
    assert rejected.data.refusal.code == "DeadlineExceeded"
    assert world.backups() == []


async def test_what_was_made_in_time_is_accepted_however_late(world):
    await world.add("eu1")
    await world.ask("op1", expires_in=3600)
    async with world.executor(wrap=lambda p: Faulty(p, lambda s: ".operation.accepted." in s, after=False)) as dying:
        await dying.crashed()
    async with world.executor(instance="two", ahead=timedelta(hours=2)):
        await eventually("accepted", lambda: world.answers("op1") == ["accepted"])


async def test_a_location_that_velero_has_not_validated_yet_is_waited_for(world):
    cluster = await world.add("eu1")
    cluster.store.delete("backupstoragelocations", "default", "velero")
    cluster.store.create("backupstoragelocations", location(phase=None))
    await world.ask("op1")
    async with world.executor():
        await eventually("looked at", lambda: any("/backupstoragelocations" in c.path for c in cluster.faults.calls))
        assert world.backups() == []
        cluster.store.patch("backupstoragelocations", "default", {"status": {"phase": "Available"}}, "velero")
        await eventually("accepted", lambda: world.answers("op1") == ["accepted"])


REFUSALS = {
    "name taken by another": (
        lambda c: c.store.create("backups", velero_backup("shop")),
        {},
        ("NameTaken", "/name", "already has a backup named shop"),
    ),
    "unknown namespace": (
        lambda c: None,
        {"scope": {"kind": "specific", "namespaces": ["shop", "nope"]}},
        ("NamespaceUnknown", "/scope/namespaces", "nope"),
    ),
    "everything excluded": (
        lambda c: None,
        {"scope": {"kind": "specific", "namespaces": ["shop"], "excludedNamespaces": ["shop"]}},
        ("ScopeMatchesNothing", "/scope", "matches no namespace"),
    ),
    "unknown location": (lambda c: None, {"storageLocation": "x"}, ("LocationUnknown", "/spec/storageLocation", "x")),
    "read-only location": (
        lambda c: c.store.create("backupstoragelocations", location("ro", mode="ReadOnly", default=False)),
        {"storageLocation": "ro"},
        ("LocationReadOnly", "/spec/storageLocation", "ro is read-only"),
    ),
    "unavailable location": (
        lambda c: c.store.create(
            "backupstoragelocations", location("down", phase="Unavailable", default=False, message="no such bucket")
        ),
        {"storageLocation": "down"},
        ("LocationUnavailable", "/spec/storageLocation", "no such bucket"),
    ),
    "no default among several": (
        lambda c: (
            c.store.delete("backupstoragelocations", "default", "velero"),
            [c.store.create("backupstoragelocations", location(n, default=False)) for n in ("a", "b")],
        ),
        {},
        ("LocationNotChosen", "/spec/storageLocation", "a, b"),
    ),
    "two snapshot locations of a provider": (
        lambda c: [c.store.create("volumesnapshotlocations", snapshot_location(n)) for n in ("one", "two")],
        {},
        ("SnapshotLocationAmbiguous", "/spec/volumeSnapshotLocations", "one, two"),
    ),
    "unknown snapshot location": (
        lambda c: None,
        {"volumeSnapshotLocations": ["x"]},
        ("SnapshotLocationUnknown", "/spec/volumeSnapshotLocations", "x"),
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_what_velero_would_stall_on_is_refused_in_words_that_name_the_field(world, case):
    arrange, request, (code, pointer, words) = REFUSALS[case]
    cluster = await world.add("eu1")
    arrange(cluster)
    before = world.backups()
    await world.ask("op1", **request)
    async with world.executor():
        await eventually("refused", lambda: world.answers("op1") == ["rejected"])
    refusal = world.heard.of("operation", "rejected")[0].data.refusal
    assert (refusal.code, refusal.pointer) == (code, pointer)
    assert words in refusal.detail
    assert world.backups() == before


async def test_what_the_cluster_does_not_allow_is_refused_and_says_so(world):
    reader = User("reader", (Rule(frozenset({"get", "list", "watch"}), frozenset("*")),))
    await world.add("eu1", tokens={"t": reader})
    await world.ask("op1")
    async with world.executor():
        await eventually("refused", lambda: world.answers("op1") == ["rejected"])
    refusal = world.heard.of("operation", "rejected")[0].data.refusal
    assert refusal.code == "ForbiddenInCluster"
    assert "cannot create" in refusal.detail


async def test_without_snapshots_the_snapshot_locations_need_no_choice(world):
    cluster = await world.add("eu1")
    for name in ("one", "two"):
        cluster.store.create("volumesnapshotlocations", snapshot_location(name))
    await world.ask("op1", snapshotVolumes=False)
    async with world.executor():
        await eventually("accepted", lambda: world.answers("op1") == ["accepted"])
    assert world.backups()[0]["spec"]["volumeSnapshotLocations"] == ["one"]


async def redeliver(admin, command) -> None:
    """Put the same command on the stream again, past the guard that refuses a second one (as a broker without memory would)."""
    await admin.stream.publish(subjects.command("eu1", "backup", "create", command.operationid), encode(command))


async def test_without_the_lease_two_executors_that_act_at_once_still_make_one_backup(world, admin, monkeypatch):
    class NoLease:
        def __init__(self, *_: object) -> None:
            pass

        async def work(self, body) -> None:
            await body()

    monkeypatch.setattr("services.executor.cluster.Lease", NoLease)
    cluster = await world.add("eu1")
    cluster.faults.slow(0.05)  # so that both look before either has created
    async with world.executor(instance="one"), world.executor(user="cluster-eu1", instance="two"):
        for n in range(4):
            command = await world.ask(f"op{n}", name=f"b{n}")
            await redeliver(admin, command)
        await eventually("all answered", lambda: all(world.answers(f"op{n}") for n in range(4)))
        await world.ask("last", name="last")
        await eventually("nothing is left to do", lambda: world.answers("last"))
    assert sorted(b["metadata"]["name"] for b in world.backups()) == ["b0", "b1", "b2", "b3", "last"]
    assert all(set(world.answers(f"op{n}")) == {"accepted"} for n in range(4))


@pytest.mark.parametrize("code", [500, 504], ids=["fails", "takes too long"])
async def test_an_object_that_a_webhook_fails_at_delays_no_other(world, code):
    cluster = await world.add("eu1")
    cluster.faults.fail_next(10_000, code, when=makes_backup)
    await world.ask("op1", name="b1")
    async with world.executor():
        await eventually("tried again", lambda: sum(map(makes_backup, cluster.faults.calls)) > 1)
        await world.order(restore_command("op2", now=now()))  # of a backup that is not there
        await eventually("another command is answered", lambda: world.answers("op2") == ["rejected"])
        assert world.answers("op1") == []
        cluster.faults.clear()
        await eventually("made in the end", lambda: world.answers("op1") == ["accepted"])
    assert [b["metadata"]["name"] for b in world.backups()] == ["b1"]


async def test_not_being_allowed_to_look_is_refused_too(world):
    blind = User(
        "blind", (Rule(frozenset({"list", "watch"}), frozenset("*")), Rule(frozenset({"get"}), frozenset({"namespaces"})))
    )
    await world.add("eu1", tokens={"t": blind})
    await world.ask("op1")
    async with world.executor():
        await eventually("refused", lambda: world.answers("op1") == ["rejected"])
    assert world.heard.of("operation", "rejected")[0].data.refusal.code == "ForbiddenInCluster"


async def test_after_a_failure_that_nobody_foresaw_a_cluster_is_served_again(world, monkeypatch):
    await world.add("eu1")
    monkeypatch.setattr("services.executor.cluster._AGAIN", 0.1)
    lives = []

    async def run(self, inner=Witness.run) -> None:
        lives.append(self)
        if len(lives) == 1:
            await eventually("under way", lambda: world.heard.of("backup", "snapshot"))
            raise RuntimeError("nobody foresaw this")
        await inner(self)

    monkeypatch.setattr(Witness, "run", run)
    async with world.executor():
        await eventually("begun again", lambda: len(lives) == 2)
        await world.ask("op1")
        await eventually("served", lambda: world.answers("op1") == ["accepted"])
