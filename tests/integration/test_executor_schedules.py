"""Slots in a cluster: one backup each, or one word of why not, whatever the cluster, its storage and its other backups do."""

import dataclasses
from datetime import timedelta

import pytest

from services.executor import handlers
from shared.contracts import ids, subjects
from shared.contracts.catalogue import encode
from shared.contracts.commands import Origin
from shared.contracts.names import (
    ANNOTATION_CREATED_BY,
    ANNOTATION_SLOT,
    LABEL_CLUSTER,
    LABEL_OPERATION_ID,
    LABEL_SCHEDULE_ID,
    LABEL_VELERO_SCHEDULE,
)
from shared.runtime.clock import now
from tests.integration import executor_harness
from tests.integration.executor_harness import WAITS, Faulty, location
from tests.support.messages import NIGHTLY, backup_command, trigger_command
from tests.support.waiting import eventually

EACH = {"misfire": "all", "concurrencyPolicy": "allow"}


def ago(minutes):
    """A slot that lies so far back."""
    return now().replace(microsecond=0) - timedelta(minutes=minutes)


def another(name):
    return Origin(id=f"id-of-{name}", name=name)


def code(world, operation):
    return world.answer(operation).refusal.code


def names(world):
    return sorted(b["metadata"]["name"] for b in world.backups())


def named(slot, schedule="nightly"):
    return ids.slot_backup_name(schedule, slot)


def set_phase(cluster, slot, phase):
    cluster.store.patch("backups", named(slot), {"status": {"phase": phase}}, "velero")


def set_location(cluster, phase, **status):
    cluster.store.patch("backupstoragelocations", "default", {"status": {"phase": phase, **status}}, "velero")


async def redeliver(admin, command) -> None:
    """Put the same command on the stream again, past the guard that refuses a second one."""
    await admin.stream.publish(subjects.command("eu1", "schedule", "trigger", command.operationid), encode(command))


async def test_a_slot_becomes_one_backup_that_says_whose_it_is(world):
    await world.add("eu1")
    slot = ago(0)
    async with world.executor():
        operation = await world.trigger(slot, labels={"team": "shop"})
        await eventually("accepted", lambda: world.answers(operation) == ["accepted"])
    (made,) = world.backups()
    assert made["metadata"]["name"] == named(slot)
    assert made["metadata"]["labels"] == {
        "team": "shop",
        LABEL_CLUSTER: "eu1",
        LABEL_OPERATION_ID: operation,
        LABEL_SCHEDULE_ID: NIGHTLY.id,
        LABEL_VELERO_SCHEDULE: "nightly",
    }
    assert made["metadata"]["annotations"][ANNOTATION_SLOT] == f"{slot:%Y-%m-%dT%H:%M:%SZ}"
    assert made["metadata"]["annotations"][ANNOTATION_CREATED_BY] == "schedule/nightly"
    accepted = world.answer(operation)
    assert (accepted.noun, accepted.object.uid) == ("backup", made["metadata"]["uid"])


async def test_the_same_slot_again_makes_no_second_backup_even_when_the_first_is_gone(world, admin):
    cluster = await world.add("eu1")
    command = trigger_command(ago(0))
    async with world.executor():
        await world.order(command, "scheduler")
        await eventually("accepted", lambda: world.answers(command.operationid))
        await redeliver(admin, command)
        other = await world.trigger(ago(1), **EACH)  # behind it in the same line
        await eventually("the next one", lambda: world.answers(other) == ["accepted"])
        assert len(world.backups()) == 2
        cluster.store.delete("backups", command.data.name, "velero")
        await redeliver(admin, command)
        last = await world.trigger(ago(2), **EACH)
        await eventually("the last one", lambda: world.answers(last) == ["accepted"])
    assert command.data.name not in names(world)
    assert world.answers(command.operationid) == ["accepted"]


@pytest.mark.parametrize("after", [False, True], ids=["between create and accepted", "between accepted and ack"])
async def test_a_crash_makes_no_second_backup_and_a_slot_is_not_in_its_own_way(world, after):
    await world.add("eu1")
    operation = await world.trigger(ago(0))
    async with world.executor(wrap=lambda p: Faulty(p, lambda s: ".operation.accepted." in s, after)) as dying:
        await dying.crashed()
    (made,) = world.backups()
    async with world.executor(instance="two"):
        await eventually("accepted", lambda: world.answers(operation))
        last = await world.trigger(ago(1), **EACH)
        await eventually("the next one", lambda: world.answers(last))
    assert world.answers(operation) == ["accepted"]
    assert made in world.backups()


async def test_while_a_backup_of_the_schedule_runs_a_slot_is_left_out_and_the_next_one_after_it_runs(world):
    cluster = await world.add("eu1")
    first, second, third = ago(2), ago(1), ago(0)
    late = timedelta(minutes=5)  # so that the first, made just now, does not cover the others
    async with world.executor():
        running = await world.trigger(first)
        await eventually("runs", lambda: world.answers(running) == ["accepted"])
        set_phase(cluster, first, "InProgress")
        left_out = await world.trigger(second, due=second + late)
        await eventually("left out", lambda: world.answers(left_out) == ["rejected"])
        assert code(world, left_out) == "Overlap"
        assert world.answer(left_out).refusal.detail == f"Backup {named(first)} of schedule nightly is still InProgress."
        allowed = await world.trigger(second, schedule=another("other"))
        await eventually("another schedule is not concerned", lambda: world.answers(allowed) == ["accepted"])
        set_phase(cluster, first, "PartiallyFailed")
        again = await world.trigger(third, due=third + late)
        await eventually("runs", lambda: world.answers(again) == ["accepted"])
    assert names(world) == sorted([named(first), named(second, "other"), named(third)])


async def test_with_overlap_allowed_it_runs_beside_the_other(world):
    await world.add("eu1")
    async with world.executor():
        for minutes in (1, 0):
            operation = await world.trigger(ago(minutes), **EACH)
            await eventually("runs", lambda op=operation: world.answers(op) == ["accepted"])
    assert len(world.backups()) == 2


async def test_one_that_a_person_made_from_the_schedule_is_of_it_and_in_the_way_while_it_runs(world):
    await world.add("eu1")
    command = backup_command("op1", name="by-hand", now=now())
    order = command.data.model_copy(update={"schedule": NIGHTLY})
    async with world.executor():
        await world.order(command.model_copy(update={"data": order}))
        await eventually("made", lambda: world.answers("op1") == ["accepted"])
        operation = await world.trigger(ago(0))
        await eventually("left out", lambda: world.answers(operation) == ["rejected"])
    (made,) = world.backups()
    assert made["metadata"]["labels"][LABEL_SCHEDULE_ID] == NIGHTLY.id
    assert made["metadata"]["labels"][LABEL_VELERO_SCHEDULE] == "nightly"
    assert ANNOTATION_SLOT not in made["metadata"]["annotations"]
    assert code(world, operation) == "Overlap"


async def test_a_copy_that_was_synced_from_another_cluster_is_not_in_the_way(world):
    cluster = await world.add("eu1")
    labels = {LABEL_CLUSTER: "us1", LABEL_SCHEDULE_ID: NIGHTLY.id}
    meta = {"name": "elsewhere", "namespace": "velero", "labels": labels}
    cluster.store.create("backups", {"metadata": meta, "spec": {}, "status": {"phase": "InProgress"}})
    async with world.executor():
        operation = await world.trigger(ago(0))
        await eventually("runs", lambda: world.answers(operation) == ["accepted"])


async def test_a_cluster_that_was_away_for_three_slots_makes_one_backup_for_them_and_says_why(world):
    cluster = await world.add("eu1")
    await cluster.stop()
    async with world.executor():
        first, second, third = [await world.trigger(ago(minutes)) for minutes in (3, 2, 1)]
        await eventually("said that it is away", lambda: any(e.data.api_server.problem for e in world.heard.of("presence")))
        await cluster.start()
        await eventually("all answered", lambda: all(world.answers(op) for op in (first, second, third)))
    assert world.answers(first) == ["accepted"]
    assert [code(world, op) for op in (second, third)] == ["Superseded", "Superseded"]
    (made,) = world.backups()
    assert made["metadata"]["name"] in world.answer(third).refusal.detail
    assert made["metadata"]["creationTimestamp"] in world.answer(third).refusal.detail


async def test_a_cluster_that_was_away_makes_each_if_each_is_wanted(world):
    cluster = await world.add("eu1")
    await cluster.stop()
    async with world.executor():
        operations = [await world.trigger(ago(minutes), **EACH) for minutes in (3, 2, 1)]
        await cluster.start()
        await eventually("all made", lambda: all(world.answers(op) == ["accepted"] for op in operations))
    assert len(world.backups()) == 3


async def test_while_its_storage_is_away_a_slot_waits_and_runs_late_and_nothing_else_waits_with_it(world):
    cluster = await world.add("eu1")
    cluster.store.create("backupstoragelocations", location("other", default=False))
    set_location(cluster, "Unavailable", message="no such bucket")
    slot = ago(0)
    async with world.executor():
        waiting = await world.trigger(slot)
        elsewhere = await world.trigger(slot, schedule=another("elsewhere"), spec={"storageLocation": "other"})
        await eventually("another schedule runs", lambda: world.answers(elsewhere) == ["accepted"])
        await world.ask("op1")
        await eventually("a person is told at once", lambda: world.answers("op1") == ["rejected"])
        assert code(world, "op1") == "LocationUnavailable"
        await eventually("tried", lambda: any(c.path.endswith(f"/{named(slot)}") for c in cluster.faults.calls))
        assert world.answers(waiting) == []
        set_location(cluster, "Available")
        await eventually("runs late", lambda: world.answers(waiting) == ["accepted"])
    assert names(world) == sorted([named(slot), named(slot, "elsewhere")])


async def test_a_slot_whose_storage_does_not_come_back_in_time_is_refused_and_says_so(world):
    cluster = await world.add("eu1")
    set_location(cluster, "Unavailable", message="no such bucket")
    async with world.executor():
        operation = await world.trigger(ago(0), expires_in=3)
        await eventually("refused", lambda: world.answers(operation) == ["rejected"])
    assert code(world, operation) == "LocationUnavailable"
    assert "no such bucket" in world.answer(operation).refusal.detail
    assert world.backups() == []


async def test_a_slot_that_came_too_late_for_its_deadline_is_refused(world):
    await world.add("eu1")
    operation = await world.trigger(ago(10), expires_in=300)
    async with world.executor():
        await eventually("refused", lambda: world.answers(operation) == ["rejected"])
    assert code(world, operation) == "DeadlineExceeded"
    assert world.backups() == []


async def test_a_slot_that_waits_for_storage_leaves_that_to_the_next_one_of_its_schedule(world):
    cluster = await world.add("eu1")
    set_location(cluster, "Unavailable", message="no such bucket")
    async with world.executor():
        older, newer = [await world.trigger(ago(minutes), due=ago(0)) for minutes in (1, 0)]
        await eventually("the older one does not wait any more", lambda: world.answers(older) == ["rejected"])
        assert code(world, older) == "LocationUnavailable"
        set_location(cluster, "Available")
        await eventually("the newer one runs", lambda: world.answers(newer) == ["accepted"])
    assert len(world.backups()) == 1


async def test_if_each_slot_is_wanted_they_wait_in_line_and_run_in_order(world):
    cluster = await world.add("eu1")
    set_location(cluster, "Unavailable", message="no such bucket")
    slots = [ago(minutes) for minutes in (2, 1, 0)]
    async with world.executor():
        operations = [await world.trigger(slot, due=ago(0), **EACH) for slot in slots]
        await eventually("tried", lambda: any(c.path.endswith(f"/{named(slots[0])}") for c in cluster.faults.calls))
        set_location(cluster, "Available")
        await eventually("all made", lambda: all(world.answers(op) == ["accepted"] for op in operations))
    made = sorted(world.backups(), key=lambda backup: int(backup["metadata"]["resourceVersion"]))
    assert [b["metadata"]["name"] for b in made] == [named(slot) for slot in slots]


async def test_however_many_wait_for_storage_others_get_through(world, monkeypatch):
    monkeypatch.setattr(handlers, "MOST_WAITING", 2)
    monkeypatch.setattr(executor_harness, "WAITS", dataclasses.replace(WAITS, capacity=4))
    cluster = await world.add("eu1")
    cluster.store.create("backupstoragelocations", location("other", default=False))
    set_location(cluster, "Unavailable", message="no such bucket")
    stuck = [await world.trigger(ago(0), schedule=another(f"s{n}")) for n in range(8)]
    healthy = await world.trigger(ago(0), spec={"storageLocation": "other"})
    async with world.executor():
        await eventually("gets through", lambda: world.answers(healthy) == ["accepted"])
        refused = [op for op in stuck if world.answers(op)]
        assert refused
        assert {code(world, op) for op in refused} == {"LocationUnavailable"}
