"""Whose a backup is: originals and copies, takeover and return, and backups that were made past Leeward."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from services.status.clusters.replicas import Estate, Place, affected, is_replica, place
from services.status.judging import Judge
from services.status.sweeper import sweep
from shared.contracts.locationspec import Place as Storage
from shared.contracts.names import Noun
from tests.support.messages import NOW
from tests.support.status_memory import Desk, Memory, Ticking, alike, documents
from tests.support.status_messages import STARTED, backup, command, location, observed, ours, snapshot
from tests.support.status_views import hear, judged, only, shown

PAST = "2026-11-22T11:59:30Z"
SHARED = Storage("aws", "", "b", "p")


def at(cluster="eu1", *, mode="ReadWrite", storage=SHARED, name="default"):
    return Place(cluster, name, storage, read_only=mode == "ReadOnly", writable=mode == "ReadWrite")


def estate(*places, registered=("us1",)):
    return Estate(frozenset(registered), frozenset(places))


THEIRS = at("us1")


@pytest.mark.parametrize(
    ("owner", "here", "known", "copy"),
    [
        ("eu1", at(mode="ReadOnly"), estate(THEIRS), False),
        ("us1", at(), estate(THEIRS), True),
        ("us1", at(), estate(THEIRS, registered=()), False),
        ("us1", at(mode="ReadOnly"), estate(registered=()), True),
        ("us1", at(), estate(at("us1", mode="ReadOnly")), False),
        ("us1", at(), estate(at("us1", storage=replace(SHARED, prefix="other"))), False),
        ("us1", at(), estate(at("us1", storage=replace(SHARED, provider="gcp"))), False),
        ("us1", at(), estate(at("ap1"), registered=("us1", "ap1")), False),
        ("us1", at(storage=None), estate(at("us1", storage=None)), True),
        ("us1", None, estate(registered=()), True),
        (None, None, estate(), False),
        (None, at(), estate(THEIRS), False),
        (None, at(mode="ReadOnly"), estate(), True),
    ],
)
def test_the_rule(owner, here, known, copy):
    assert is_replica(owner, "eu1", here, known) is copy


@pytest.mark.parametrize(
    ("facts", "storage"),
    [
        ({}, SHARED),
        ({"provider": "velero.io/aws"}, SHARED),
        ({"prefix": "/p/"}, SHARED),
        ({"prefix": None}, replace(SHARED, prefix="")),
        ({"provider": "velero.io/disks"}, replace(SHARED, provider="disks")),
        ({"spec": {"config": {"storageAccount": "a"}}}, SHARED),
        ({"provider": "azure", "spec": {"config": {"storageAccount": "a"}}}, Storage("azure", "a", "b", "p")),
        ({"bucket": None}, None),
    ],
)
def test_two_ways_to_write_one_place_are_one_place(facts, storage):
    item = {"cluster": "eu1", "name": "x", "provider": "aws", "bucket": "b", "prefix": "p"}
    assert place({**item, "accessMode": "ReadWrite", "status": "Available", **facts}).storage == storage


def test_a_location_that_is_gone_is_nobody_s():
    item = {"cluster": "eu1", "name": "x", "provider": "aws", "bucket": "b", "prefix": "p", "accessMode": "ReadWrite"}
    assert not place({**item, "status": "Deleted"}).writable


def test_only_what_a_change_can_touch_is_judged_anew():
    here, theirs, far = at(), at("us1"), at("ap1", storage=replace(SHARED, bucket="far"))
    before = estate(here, theirs, far)
    assert affected(None, before) == {here, theirs, far}
    assert affected(before, before) == set()
    assert affected(before, estate(here, theirs, far, registered=())) == {here, theirs}
    closed = at("us1", mode="ReadOnly")
    assert affected(before, estate(here, closed, far)) == {here, closed}
    assert affected(before, estate(here, theirs)) == set()


# ---------------------------------------------------------------- as a life


def elsewhere(message, cluster="us1"):
    routes, subject, told = message
    update = {"cluster": cluster, "id": f"{cluster}/{told.id}"}
    return routes, subject.replace(".eu1.", f".{cluster}."), told.model_copy(update=update)


def place_of(cluster, **more):
    return elsewhere(observed(location(f"l-{cluster}", **more), noun="location"), cluster)


COPY = observed(backup(phase="Completed", labels=ours("op1", cluster="us1"), startTimestamp=STARTED))


async def test_the_backups_of_a_dead_cluster_are_taken_over_and_given_back_when_it_returns():
    desk, judge = Desk(), Judge()
    desk.memory.registered = {"eu1", "us1"}
    await hear(desk, place_of("eu1"), place_of("us1"), COPY)
    assert only(desk).replica
    desk.memory.registered = {"eu1"}
    await judged(desk, judge)
    assert not only(desk).replica
    desk.memory.registered = {"eu1", "us1"}
    await judged(desk, judge)
    assert only(desk).replica
    await hear(desk, place_of("us1", rv=9, mode="ReadOnly"))
    await judged(desk, judge)
    assert not only(desk).replica
    await hear(desk, place_of("eu1", rv=9, mode="ReadOnly"))
    await judged(desk, judge)
    assert only(desk).replica


async def test_the_sweep_looks_again_within_five_seconds_and_reads_little_when_nothing_has_changed():
    calls = []

    class Counting(Memory):
        async def owners(self, cluster, location):
            calls.append((cluster, location))
            return await super().owners(cluster, location)

    desk, judge = Desk(Counting()), Judge()
    desk.memory.registered = {"us1"}
    await hear(desk, place_of("eu1"), place_of("us1"), COPY)
    await judge.look(desk.ports)
    assert calls == [("eu1", "default"), ("us1", "default")]
    for _ in range(10):
        desk.now += timedelta(seconds=2)
        await judge.look(desk.ports)
    assert len(calls) == 4  # once more, for what was computed meanwhile; then never again
    desk.memory.registered = set()
    desk.now += timedelta(seconds=4)
    await judge.look(desk.ports)
    assert (len(calls), only(desk).replica) == (6, False)


async def test_a_row_computed_from_what_was_before_is_found_by_the_second_look():
    desk, judge = Desk(), Judge()
    desk.memory.registered = {"us1"}
    await hear(desk, place_of("eu1"), place_of("us1"), COPY)
    await judged(desk, judge)
    desk.memory.registered = set()
    await judged(desk, judge)
    desk.memory.registered = {"us1"}
    await hear(desk, COPY)  # somebody read the registrations a moment before they changed …
    desk.memory.registered = set()
    await judged(desk, judge)
    assert not only(desk).replica


@pytest.mark.parametrize("seed", range(30))
async def test_any_order_of_backups_locations_and_looks_ends_in_the_same_documents(seed):
    messages = [
        place_of("eu1"),
        place_of("eu1", rv=8, mode="ReadOnly"),
        place_of("eu1", rv=9),
        place_of("us1"),
        place_of("us1", rv=9, mode="ReadOnly"),
        place_of("us1", rv=11),
        COPY,
        observed(backup("u2", 20, "Completed", name="external", startTimestamp=STARTED)),
        observed(backup("u3", 30, "Completed", name="mine", labels=ours("op3"))),
    ]

    async def ending(messages, looks):
        desk, judge = Desk(clock=Ticking(NOW)), Judge()
        desk.memory.registered = {"us1"}
        for number, message in enumerate(messages):
            await desk.hear(*message)
            if number in looks:
                await judged(desk, judge)
        await judged(desk, judge)
        return documents(desk.memory)

    chance = random.Random(seed)
    mixed = chance.sample([*messages, *chance.choices(messages, k=4)], len(messages) + 4)
    alike(await ending(mixed, chance.sample(range(len(mixed)), 3)), await ending(messages, []))


# ---------------------------------------------------------------- in a read-only location; past Leeward


async def test_an_expired_copy_in_a_read_only_location_is_expired_and_stays_so_when_its_maker_collects_it():
    desk = Desk()
    old = backup(phase="Completed", labels=ours("op1", cluster="us1"), startTimestamp=STARTED, expiration=PAST)
    await hear(desk, place_of("eu1", mode="ReadOnly"), observed(old))
    seen = only(desk)
    assert (seen.status, seen.outcome, seen.replica, seen.present) == ("Expired", "Completed", True, True)
    await hear(desk, snapshot([]))
    assert (only(desk).status, only(desk).present) == ("Expired", False)


async def test_a_copy_that_vanishes_comes_back_by_sync_as_the_same_backup():
    desk = Desk()
    desk.memory.registered = {"us1"}
    await hear(desk, place_of("eu1"), place_of("us1"), COPY, snapshot([]))
    assert (only(desk).status, only(desk).present) == ("Completed", False)
    synced = backup("u7", 150, "Completed", labels=ours("op1", cluster="us1"), startTimestamp=STARTED)
    await hear(desk, observed(synced))
    desk.now += timedelta(minutes=5)
    await sweep(desk.ports)
    assert (only(desk).status, only(desk).present, only(desk).replica) == ("Completed", True, True)


async def test_a_backup_of_the_velero_command_line_is_adopted_as_external():
    desk = Desk()
    await hear(
        desk, place_of("eu1"), observed(backup(rv=1)), observed(backup(rv=2, phase="InProgress", startTimestamp=STARTED))
    )
    await hear(desk, observed(backup(rv=3, phase="PartiallyFailed", startTimestamp=STARTED, errors=1, labels={"team": "shop"})))
    seen = only(desk)
    assert (seen.status, seen.created_by.kind, seen.created_by.name, seen.schedule) == (
        "PartiallyFailed",
        "External",
        None,
        None,
    )
    assert (seen.replica, seen.labels, seen.reason) == (False, {"team": "shop"}, "1 error")


async def test_a_backup_of_a_velero_schedule_is_adopted_with_that_schedule():
    desk = Desk()
    labels = {"velero.io/schedule-name": "nightly", "velero.io/storage-location": "default"}
    await hear(desk, observed(backup(phase="Completed", labels=labels, startTimestamp=STARTED)))
    seen = only(desk)
    assert (seen.created_by.kind, seen.created_by.name, seen.labels) == ("Schedule", "nightly", {})
    assert (seen.schedule.id, seen.schedule.name, seen.operation_id) == (None, "nightly", None)


async def test_what_this_cluster_made_is_its_own_wherever_it_lies():
    desk = Desk()
    await hear(desk, command(), place_of("eu1", mode="ReadOnly"), observed(backup(phase="Completed", labels=ours("op1"))))
    await judged(desk)
    assert not shown(desk).replica
    assert (Noun.BACKUP, "op1") in desk.memory.rows
