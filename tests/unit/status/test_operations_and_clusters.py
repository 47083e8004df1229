"""What became of a request, where backups lie, and whether a cluster answers."""

from datetime import timedelta
from itertools import permutations

import pytest

from services.status.ports import Listening
from services.status.sweeper import sweep
from shared.contracts import ids
from shared.contracts.documents import from_document
from shared.contracts.names import Noun
from shared.contracts.views import ClusterItem, LocationItem, OperationItem
from tests.support.messages import NOW
from tests.support.status_memory import Desk
from tests.support.status_messages import (
    accepted,
    backup,
    command,
    finished,
    inventory,
    location,
    observed,
    ours,
    presence,
    rejected,
    snapshot,
    step,
)

MODELS = {Noun.OPERATION: OperationItem, Noun.CLUSTER: ClusterItem, Noun.LOCATION: LocationItem}


@pytest.fixture
def desk():
    return Desk()


async def hear(desk, *messages):
    for message in messages:
        await desk.hear(*message)


def item(desk, noun, row_id):
    return MODELS[noun].read(from_document(desk.memory.rows[noun, row_id]["item"]))


def made(phase=None, rv=10):
    return backup(rv=rv, phase=phase, labels=ours("op1"))


@pytest.mark.parametrize(
    ("messages", "state"),
    [
        ([command()], "Queued"),
        ([command(), accepted(made())], "Accepted"),
        ([command(), rejected()], "Rejected"),
        ([command(), rejected(), accepted(made())], "Accepted"),
        ([command(), accepted(made()), observed(made("InProgress", 11))], "Accepted"),
        ([command(), accepted(made()), observed(made("Completed", 11))], "Succeeded"),
        ([command(), accepted(made()), observed(made("PartiallyFailed", 11))], "Failed"),
        ([command(), accepted(made()), observed(made("FailedValidation", 11))], "Failed"),
        ([command(), accepted(made()), finished()], "Succeeded"),
        ([command(), finished(succeeded=False)], "Failed"),
        ([command(), step("resolved"), step("created")], "Queued"),
    ],
)
async def test_the_state_follows_from_the_facts_in_whatever_order_they_come(messages, state):
    for order in permutations(messages):
        desk = Desk()
        await hear(desk, *order)
        operation = item(desk, Noun.OPERATION, "op1")
        assert (operation.state, operation.kind, operation.principal) == (state, "backup.create", "anna")


async def test_an_unanswered_operation_expires_by_the_sweep_and_a_late_yes_wins(desk):
    await hear(desk, command(expires_in=10))
    desk.now += timedelta(seconds=70)
    await sweep(desk.ports)
    assert item(desk, Noun.OPERATION, "op1").state == "Expired"
    await hear(desk, accepted(made(), at=desk.now))
    operation = item(desk, Noun.OPERATION, "op1")
    assert (operation.state, operation.object.name, operation.object.id) == ("Accepted", "shop", "op1")
    assert desk.speaker.statuses("operation") == ["Queued", "Expired", "Accepted"]
    assert desk.speaker.statuses("backup") == ["Creating", "Failed", "Creating"]


async def test_an_operation_without_a_deadline_the_calendar_can_hold_does_not_expire(desk):
    await hear(desk, command(expires_in=(NOW.replace(year=9999, month=12, day=31, hour=23, minute=59) - NOW).total_seconds()))
    assert desk.memory.rows[Noun.OPERATION, "op1"]["recheckAt"] is None


async def test_when_the_operation_is_accepted_its_backup_can_already_be_read(desk):
    await hear(desk, command(), accepted(made()))
    said = [subject for subject, _ in desk.speaker.said.values()]
    assert said.index("lw.state.eu1.operation.Accepted.op1") > said.index("lw.state.eu1.backup.Creating.op1")
    assert desk.memory.rows[Noun.BACKUP, "op1"]["item"]["present"]


async def test_steps_are_shown_once_and_in_order(desk):
    await hear(desk, step("second", at=NOW + timedelta(seconds=2)), step("first"), step("first"))
    assert [s.step for s in item(desk, Noun.OPERATION, "op1").steps] == ["first", "second"]


async def test_a_backup_and_its_operation_are_announced_under_ids_of_their_own(desk):
    await hear(desk, command())
    number = int(NOW.timestamp() * 1000)
    assert sorted(desk.speaker.said) == [f"backup/op1/{number}", f"operation/op1/{number}"]


# ---------------------------------------------------------------- locations


async def test_a_location_shows_what_velero_says_until_it_is_gone(desk):
    row_id = ids.location_id("eu1", "default")
    await hear(desk, observed(location(phase=None), noun="location"))
    assert item(desk, Noun.LOCATION, row_id).status == "Pending"
    await hear(desk, observed(location(rv=6, phase="Unavailable"), noun="location"), observed(location(rv=7), noun="location"))
    seen = item(desk, Noun.LOCATION, row_id)
    assert (seen.status, seen.bucket, seen.prefix, seen.access_mode, seen.default) == ("Available", "b", "p", "ReadWrite", True)
    await hear(desk, snapshot([], noun="location"))
    assert item(desk, Noun.LOCATION, row_id).status == "Deleted"
    assert not desk.memory.rows[Noun.LOCATION, row_id]["listed"]
    await hear(desk, observed(location("l2", rv=120), noun="location"))
    assert item(desk, Noun.LOCATION, row_id).status == "Available"
    assert desk.speaker.statuses("location") == ["Pending", "Unavailable", "Available", "Deleted", "Available"]


# ---------------------------------------------------------------- clusters


async def test_a_silent_cluster_is_offline_after_a_while_and_online_again_when_it_speaks(desk):
    await hear(desk, presence(), inventory())
    desk.now += timedelta(seconds=90)
    await sweep(desk.ports)
    assert item(desk, Noun.CLUSTER, "eu1").status == "Online"
    desk.now += timedelta(milliseconds=1)
    await sweep(desk.ports)
    assert item(desk, Noun.CLUSTER, "eu1").status == "Offline"
    await hear(desk, presence(desk.now))
    assert item(desk, Noun.CLUSTER, "eu1").status == "Online"
    assert desk.speaker.statuses("cluster") == ["Online", "Offline", "Online"]


async def test_an_executor_whose_api_server_does_not_answer_does_not_keep_its_cluster_online(desk):
    await hear(desk, presence())
    desk.now += timedelta(seconds=100)
    await hear(desk, presence(desk.now, answered=NOW))
    seen = item(desk, Noun.CLUSTER, "eu1")
    assert (seen.status, seen.last_seen_at, seen.as_of) == ("Offline", NOW, desk.now)


async def test_after_a_gap_of_our_own_nobody_is_called_silent_before_we_listened_long_enough(desk):
    await hear(desk, presence())
    desk.now += timedelta(seconds=200)
    ports = desk.ports
    ports.listening.since = desk.now
    await sweep(ports)
    assert item(desk, Noun.CLUSTER, "eu1").status == "Online"
    desk.now += timedelta(seconds=90)
    await sweep(ports)
    assert item(desk, Noun.CLUSTER, "eu1").status == "Offline"
    assert isinstance(ports.listening, Listening)


async def test_what_a_cluster_reports_counts_by_the_broker_s_time_in_whatever_order_it_comes():
    later = NOW + timedelta(seconds=5)
    messages = [presence(), presence(later), inventory(version="v1.34"), inventory(later, version="v1.35")]
    for order in permutations(messages):
        desk = Desk()
        await hear(desk, *order)
        seen, row = item(desk, Noun.CLUSTER, "eu1"), desk.memory.rows[Noun.CLUSTER, "eu1"]
        assert (seen.kubernetes_version, seen.last_seen_at, seen.as_of, seen.mode) == ("v1.35", later, later, "Agent")
        assert (seen.velero.version, row["inventoryAt"]) == ("v1.18.3", later)
        assert row["namespaces"] == [{"name": "shop", "labels": [{"k": "a.b/c", "v": "d"}]}]


async def test_problems_name_what_does_not_answer_and_a_velero_that_does_not_work(desk):
    await hear(desk, observed(backup()), presence(velero_problem="no status request was answered"))
    assert [p.code for p in item(desk, Noun.CLUSTER, "eu1").problems] == ["VeleroNotAnswering"]
    desk.now += timedelta(seconds=31)
    await hear(desk, presence(desk.now))
    assert [(p.code, p.object) for p in item(desk, Noun.CLUSTER, "eu1").problems] == [("VeleroStalled", "velero/shop")]
    await hear(desk, observed(backup(rv=11, phase="New")), presence(desk.now + timedelta(seconds=1)))
    assert item(desk, Noun.CLUSTER, "eu1").problems == []
