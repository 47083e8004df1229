"""What is not to be believed: copied labels, wrong clocks, labels that went away, a database from before."""

import asyncio
import contextlib
from datetime import timedelta
from itertools import permutations

import pytest
from pymongo.errors import OperationFailure

from services.status.backups import projection
from services.status.rows import difference
from services.status.sweeper import sweep, sweep_forever
from shared.awaiting import until_indexed
from shared.contracts import ids
from shared.contracts.names import Noun
from shared.contracts.refusals import Refusal
from shared.runtime.health import Dependency
from tests.support.messages import NOW
from tests.support.status_memory import Desk, Memory, Ticking
from tests.support.status_messages import (
    STARTED,
    accepted,
    backup,
    command,
    inventory,
    location,
    observed,
    ours,
    presence,
    rejected,
    snapshot,
)
from tests.support.status_stories import copied_and_stripped

FAR = "2036-11-22T12:00:00Z"
HOUR = timedelta(hours=1)


@pytest.fixture
def desk():
    return Desk()


async def hear(desk, *messages):
    for message in messages:
        await desk.hear(*message)


def row(desk, noun=Noun.BACKUP, row_id="op1"):
    return desk.memory.rows[noun, row_id]


def item(desk, noun=Noun.BACKUP, row_id="op1"):
    return row(desk, noun, row_id)["item"]


def named(name, **more):
    labels = ours("op1") | {"leeward.dev/schedule-id": "s1", "team": "shop"}
    return {
        "labels": labels,
        "annotations": {"leeward.dev/name": name, "leeward.dev/created-by": "anna", "leeward.dev/scope": "{}"},
        **more,
    }


# ---------------------------------------------------------------- whose it is


def from_elsewhere(message):
    """The same message, as the agent of another cluster would send it."""
    routes, subject, told = message
    return routes, subject.replace(".eu1.", ".us1."), told.model_copy(update={"cluster": "us1", "id": f"us1/{told.id}"})


@pytest.mark.parametrize("order", range(24))
async def test_a_cluster_that_was_not_asked_has_no_say_whatever_it_claims_and_whenever(desk, order):
    forged = backup("u9", 99, "Failed", name="shop", labels=ours("op1", "us1"), startTimestamp=STARTED)
    story = [
        command(),
        from_elsewhere(rejected(at=NOW - timedelta(seconds=5))),
        from_elsewhere(accepted(forged, at=NOW - timedelta(seconds=4))),
        accepted(backup("u1", 10, labels=ours("op1"))),
    ]
    await hear(desk, *list(permutations(story))[order])
    await hear(desk, observed(backup("u1", 12, "Completed", labels=ours("op1"), startTimestamp=STARTED)))
    assert (item(desk)["cluster"], item(desk)["status"]) == ("eu1", "Completed")
    operation = item(desk, Noun.OPERATION)
    assert (operation["cluster"], operation["state"], operation["refusal"]) == ("eu1", "Succeeded", None)


async def test_a_copy_under_another_name_is_external_and_takes_nothing_from_the_original(desk):
    await hear(desk, command(), accepted(backup("u1", 10, **named("shop"))))
    await hear(desk, observed(backup("u1", 12, "Completed", startTimestamp=STARTED, **named("shop", expiration=FAR))))
    copy = backup("u2", 20, "Failed", name="shop-copy", startTimestamp="2026-11-22T12:30:00Z", **named("shop"))
    await hear(desk, observed(copy))
    assert (item(desk)["name"], item(desk)["status"], item(desk, Noun.OPERATION)["state"]) == ("shop", "Completed", "Succeeded")
    other = row(desk, row_id=ids.started_backup_id("eu1", "velero", "shop-copy", "2026-11-22T12:30:00Z"))
    assert (other["item"]["status"], other["item"]["createdBy"]) == ("Failed", {"kind": "External", "name": None})
    assert (other["item"]["schedule"], other["item"]["labels"]) == (None, [{"k": "team", "v": "shop"}])
    assert (other["detail"]["operationId"], other["detail"]["scope"]) == (None, None)


async def test_an_object_of_an_executor_that_did_not_write_the_name_is_still_ours(desk):
    await hear(desk, observed(backup(phase="Completed", labels=ours("op1"))))
    assert row(desk)["detail"]["operationId"] == "op1"


async def test_a_backup_whose_labels_were_taken_away_stays_the_one_that_was_asked_for():
    messages = [
        command(),
        accepted(backup("u1", 10, labels=ours("op1"))),
        observed(backup("u1", 11, "InProgress", startTimestamp=STARTED)),
        observed(backup("u1", 12, "Completed", startTimestamp=STARTED, expiration=FAR)),
    ]
    external = sorted(
        [ids.unstarted_backup_id("eu1", "velero", "shop", "u1"), ids.started_backup_id("eu1", "velero", "shop", STARTED)]
    )
    for order in permutations(messages):
        desk = Desk(clock=Ticking(NOW))
        await hear(desk, *order)
        assert [row_id for noun, row_id in desk.memory.rows if noun is Noun.BACKUP] == ["op1"]
        assert (item(desk)["status"], item(desk, Noun.OPERATION)["state"]) == ("Completed", "Succeeded")
        assert (item(desk)["createdBy"], row(desk)["aliases"]) == ({"kind": "User", "name": "anna"}, external)
        assert {t["backupId"] for t in desk.memory.transitions.values() if t["kind"] == "Phase"} == {"op1"}


async def test_what_the_executor_says_it_made_is_the_operation_s_even_if_it_never_had_a_label():
    messages = [command(), accepted(backup("u1", 10)), observed(backup("u1", 12, "Completed", startTimestamp=STARTED))]
    for order in permutations(messages):
        desk = Desk(clock=Ticking(NOW))
        await hear(desk, *order)
        assert (item(desk)["status"], item(desk, Noun.OPERATION)["state"]) == ("Completed", "Succeeded")


async def test_labels_put_on_later_do_not_make_it_another_operation_s(desk):
    await hear(desk, command("op2", name="other"), observed(backup("u1", 10, labels=ours("op1"))))
    await hear(desk, observed(backup("u1", 11, "Completed", labels=ours("op2"))))
    assert (item(desk)["status"], item(desk, row_id="op2")["status"], row(desk)["aliases"]) == ("Completed", "Creating", [])


async def test_a_crash_before_the_former_row_was_brought_up_to_date_is_made_good_by_the_repetition(desk):
    await hear(desk, observed(backup(rv=1)))
    started = backup(rv=2, phase="InProgress", startTimestamp=STARTED)
    gone = observed(started)
    forgetful = Desk(memory=desk.memory)
    forgetful.memory.forget = _dies
    with pytest.raises(KeyboardInterrupt):
        await hear(forgetful, gone)
    del forgetful.memory.forget
    await hear(desk, observed(backup(rv=3, phase="InProgress", startTimestamp=STARTED)), gone)
    assert list(desk.memory.rows) == [(Noun.BACKUP, ids.started_backup_id("eu1", "velero", "shop", STARTED))]


async def _dies(*_args):
    raise KeyboardInterrupt


# ---------------------------------------------------------------- numbers


async def test_a_row_that_was_forgotten_goes_on_counting_when_it_is_made_again():
    desk = Desk(clock=Ticking(NOW))
    await hear(desk, observed(backup(rv=10)), observed(backup(rv=12, phase="InProgress", startTimestamp=STARTED)))
    await hear(desk, observed(backup(rv=10, epoch=2)))
    unstarted = ids.unstarted_backup_id("eu1", "velero", "shop", "u1")
    first, second = [envelope.data.seq for _, envelope in desk.speaker.said.values() if envelope.data.id == unstarted]
    assert first < second == row(desk, row_id=unstarted)["statusSeq"]


async def test_a_database_from_before_goes_on_counting_and_one_from_the_future_too(desk):
    await hear(desk, command())
    view = projection.backup("op1", [], row(desk, Noun.OPERATION), now=NOW, limits=desk.limits)
    number = int(NOW.timestamp() * 1000)
    assert difference(None, view, NOW).status_seq == number
    assert difference({"statusSeq": 3, "item": {"status": "Failed"}}, view, NOW).status_seq == number
    assert difference({"statusSeq": number + 9, "item": {"status": "Failed"}}, view, NOW).status_seq == number + 10


async def test_progress_says_which_status_it_belongs_to(desk):
    await hear(desk, observed(backup(rv=1, phase="InProgress", labels=ours("op1"))))
    await hear(desk, observed(backup(rv=2, phase="InProgress", labels=ours("op1"), progress={"itemsBackedUp": 3})))
    ((_, progress),) = desk.speaker.told
    assert progress.data.seq == row(desk)["statusSeq"] == int(NOW.timestamp() * 1000)


async def test_progress_is_told_also_by_who_is_not_sure_to_have_written_it():
    class Unsure(Memory):
        """Writes over a row and cannot tell: another write of its group came too late."""

        async def save(self, noun, row_id, current, change):
            written = await super().save(noun, row_id, current, change)
            return None if current else written

    desk = Desk(Unsure())
    await hear(desk, observed(backup(rv=1, phase="InProgress", labels=ours("op1"))))
    await hear(desk, observed(backup(rv=2, phase="InProgress", labels=ours("op1"), progress={"itemsBackedUp": 3})))
    await hear(desk, observed(backup(rv=3, phase="Completed", labels=ours("op1"))))
    ((_, progress),) = desk.speaker.told
    assert progress.data.item["progress"]["itemsBackedUp"] == 3
    assert desk.speaker.statuses("backup") == ["Creating", "Completed"]


async def test_of_two_versions_of_a_row_the_one_with_the_higher_revision_is_newer(desk):
    await hear(desk, observed(backup(rv=1, phase="InProgress", labels=ours("op1"))))
    await hear(desk, observed(backup(rv=2, phase="InProgress", labels=ours("op1"), progress={"itemsBackedUp": 3})))
    await hear(desk, observed(backup(rv=3, phase="Completed", labels=ours("op1"))))
    said = [envelope.data.item for _, envelope in desk.speaker.said.values() if envelope.type.endswith("backup.changed.v1")]
    ((_, progress),) = desk.speaker.told
    revisions = [said[0]["revision"], progress.data.item["revision"], said[1]["revision"]]
    assert revisions == sorted(set(revisions))
    assert row(desk)["item"]["revision"] == revisions[-1]


async def test_what_says_nothing_new_has_no_new_revision(desk):
    await hear(desk, observed(backup(rv=1, phase="InProgress", labels=ours("op1"))))
    before = row(desk)
    await hear(desk, observed(backup(rv=2, phase="InProgress", labels=ours("op1"))))
    assert row(desk)["item"] == before["item"]


# ---------------------------------------------------------------- clocks


async def test_an_executor_whose_clock_is_ahead_goes_offline_and_what_it_says_later_is_shown(desk):
    await hear(desk, (*presence(NOW + HOUR), NOW), (*inventory(NOW + HOUR, "v1.33"), NOW))
    seen = item(desk, Noun.CLUSTER, "eu1")
    assert (seen["lastSeenAt"], seen["asOf"], seen["velero"]["lastAnsweredAt"], seen["status"]) == (NOW, NOW, NOW, "Online")
    desk.now += timedelta(minutes=2)
    await sweep(desk.ports)
    assert item(desk, Noun.CLUSTER, "eu1")["status"] == "Offline"
    await hear(desk, presence(desk.now, velero_problem="down"), inventory(desk.now, "v1.35"))
    seen = item(desk, Noun.CLUSTER, "eu1")
    assert (seen["kubernetesVersion"], [p["code"] for p in seen["problems"]]) == ("v1.35", ["VeleroNotAnswering"])


async def test_an_executor_whose_clock_is_behind_is_online(desk):
    late = NOW - timedelta(minutes=10)
    await hear(desk, (*presence(late, answered=late - timedelta(seconds=7)), NOW))
    seen = item(desk, Noun.CLUSTER, "eu1")
    assert (seen["status"], seen["lastSeenAt"], seen["asOf"]) == ("Online", NOW - timedelta(seconds=7), NOW)


async def test_an_answer_that_is_told_again_does_not_move_because_a_message_took_longer(desk):
    for seconds, way in ((0, 3), (15, 40), (30, 900)):
        said = NOW + timedelta(seconds=seconds)
        await hear(desk, (*presence(said, answered=NOW), said + timedelta(milliseconds=way)))
        assert item(desk, Noun.CLUSTER, "eu1")["lastSeenAt"] == NOW


async def test_an_answer_from_the_future_counts_as_of_when_it_was_stored(desk):
    await hear(desk, (*presence(NOW, answered=NOW + HOUR), NOW + timedelta(microseconds=3)))
    assert item(desk, Noun.CLUSTER, "eu1")["lastSeenAt"] == NOW


async def test_of_two_presences_stored_in_one_millisecond_the_later_one_counts_in_any_order():
    first, second = (*presence(NOW, velero_problem="down"), NOW, 7), (*presence(NOW), NOW, 8)
    for order in permutations([first, second]):
        desk = Desk()
        await hear(desk, *order)
        assert item(desk, Noun.CLUSTER, "eu1")["problems"] == []


async def test_when_a_backup_vanished_and_was_seen_is_told_by_the_broker(desk):
    done = backup(phase="Completed", labels=ours("op1"), expiration=FAR)
    await hear(desk, (*observed(done, at=NOW - HOUR), NOW), (*snapshot([], at=NOW - HOUR), NOW))
    assert (item(desk)["status"], row(desk)["asOf"], row(desk)["recheckAt"]) == ("Completed", NOW, NOW + timedelta(minutes=3))


# ---------------------------------------------------------------- time goes on


@pytest.mark.parametrize("call", ["due", "unannounced"])
async def test_nothing_ends_the_sweep_and_readiness_says_that_it_fails(call):
    calls = []

    class Broken(Memory):
        """Fails in a way that nobody has foreseen, three times."""

        async def _fails(self, *args):
            calls.append(args)
            if len(calls) <= 3:
                raise OperationFailure("cursor id 1 not found", 2)
            return []

    setattr(Broken, call, Broken._fails)
    database, nats, seen = Dependency("mongodb"), Dependency("nats"), []
    desk = Desk(Broken())
    task = asyncio.create_task(sweep_forever(desk.ports, timedelta(milliseconds=1), database, nats))
    while len(calls) < 10 and not task.done():
        await asyncio.sleep(0.001)
        seen.append(database.problem)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert "sweep failed: OperationFailure" in seen
    assert seen[-1] is None


async def test_nothing_ends_the_waiting_for_indexes():
    class Broken:
        """Cannot make its indexes, in a way that nobody has foreseen, the first two times."""

        calls = 0

        async def ensure(self):
            self.calls += 1
            if self.calls < 3:
                raise OperationFailure("bad value", 2)

    store, database = Broken(), Dependency("mongodb")
    await asyncio.wait_for(until_indexed(store.ensure, database, 0.001), 60)
    assert (store.calls, database.problem) == (3, None)


# ---------------------------------------------------------------- what is not known is not shown


async def test_where_a_backup_will_lie_is_not_known_before_it_does(desk):
    await hear(desk, command())
    assert item(desk)["namespace"] is None


async def test_a_request_that_came_too_late_says_so_in_a_sentence(desk):
    await hear(desk, command(), rejected("DeadlineExceeded"))
    assert item(desk)["reason"] == "No."
    _, subject, answer = rejected("DeadlineExceeded", "op2")
    silent = answer.data.model_copy(update={"refusal": Refusal(code="DeadlineExceeded", pointer="", detail="")})
    await hear(desk, command("op2"), (rejected()[0], subject, answer.model_copy(update={"data": silent})))
    assert item(desk, row_id="op2")["reason"].startswith("Nobody answered")


async def test_a_location_that_cannot_be_read_claims_nothing(desk):
    where = ids.location_id("eu1", "default")
    bare = location().model_copy(update={"object": {"metadata": {"name": "default"}}, "unreadable": "too large"})
    await hear(desk, observed(bare, noun="location"))
    seen = item(desk, Noun.LOCATION, where)
    assert (seen["accessMode"], seen["default"], seen["message"]) == (None, None, "too large")


@pytest.mark.parametrize(
    ("spec", "mode", "default"),
    [
        ({}, "ReadWrite", False),
        ({"accessMode": "", "default": True}, "ReadWrite", True),
        ({"accessMode": "ReadOnly"}, "ReadOnly", False),
        ({"accessMode": "WriteOnly", "default": "yes"}, None, None),
    ],
)
async def test_a_location_shows_what_velero_makes_of_its_spec(desk, spec, mode, default):
    odd = location()
    odd.object["spec"] = spec
    await hear(desk, observed(odd, noun="location"))
    seen = item(desk, Noun.LOCATION, ids.location_id("eu1", "default"))
    assert (seen["accessMode"], seen["default"]) == (mode, default)


async def test_a_long_message_of_a_location_is_cut(desk):
    odd = location(phase="Unavailable")
    odd.object["status"]["message"] = "x" * 9000
    await hear(desk, observed(odd, noun="location"))
    message = item(desk, Noun.LOCATION, ids.location_id("eu1", "default"))["message"]
    assert (len(message), message[-2:]) == (8192, "x…")


@pytest.mark.parametrize("broken", ["_seen", "_asked_for", "life_of"])
async def test_a_backup_of_which_nothing_is_understood_is_still_there(desk, monkeypatch, broken):
    monkeypatch.setattr(projection, broken, lambda *_, **__: 1 / 0)
    await hear(desk, command())
    assert (item(desk)["name"], item(desk)["status"]) == ("shop", "Creating")
    await hear(desk, observed(backup(phase="Completed", labels=ours("op1"))))
    assert (item(desk)["name"], item(desk)["present"]) == ("shop", True)
    assert item(desk)["status"] == ("Creating" if broken == "life_of" else "Completed")


# ---------------------------------------------------------------- no more work than needed


async def test_a_cluster_s_row_is_computed_only_when_velero_is_late_with_a_backup_or_has_begun_it_late(desk):
    await hear(desk, presence(), inventory())
    read = []

    class Counting(Memory):
        async def row(self, noun, row_id):
            read.append(noun)
            return await super().row(noun, row_id)

    known = desk.memory
    counting = Desk(Counting(known.objects, known.pages, known.rows, known.transitions))
    await hear(counting, *(m for m in copied_and_stripped() if m[1].endswith("backup.observed.u1")))
    await hear(counting, snapshot(["u1"], rv=14))
    assert read.count(Noun.CLUSTER) == 0
    await hear(counting, observed(backup("u6", 40, name="now")), observed(backup("u6", 41, "New", name="now")))
    assert read.count(Noun.CLUSTER) == 0
    late = {"name": "late", "created": "2026-11-22T11:58:00Z"}
    await hear(counting, observed(backup("u7", 50, **late)), observed(backup("u7", 51, "New", **late)))
    await hear(counting, observed(backup("u7", 52, "InProgress", **late)))
    assert read.count(Noun.CLUSTER) == 2
