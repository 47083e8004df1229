"""Where backups and snapshots of volumes go, as people see it; and what became of the requests to change it."""

from itertools import permutations

import pytest

from shared.contracts import ids
from shared.contracts.documents import from_document
from shared.contracts.names import Noun
from shared.contracts.views import LocationItem, SnapshotLocationItem
from tests.support.messages import NOW
from tests.support.status_memory import Desk
from tests.support.status_messages import (
    finished,
    location,
    location_accepted,
    location_command,
    observed,
    ours,
    rejected,
    snapshot,
    snapshot_location,
)
from tests.support.status_views import hear, operation

ROW, SNAPSHOTS = ids.location_id("eu1", "default"), ids.snapshot_location_id("eu1", "default")


@pytest.fixture
def desk():
    return Desk()


def place(desk):
    return LocationItem.read(from_document(desk.memory.rows[Noun.LOCATION, ROW]["item"]))


def snapshots(desk):
    return SnapshotLocationItem.read(from_document(desk.memory.rows[Noun.SNAPSHOT_LOCATION, SNAPSHOTS]["item"]))


@pytest.mark.parametrize(
    ("messages", "state"),
    [
        ([location_command("location", "apply", "op1")], "Queued"),
        ([location_command("location", "apply", "op1"), rejected("LocationChanged")], "Rejected"),
        ([location_command("location", "apply", "op1"), location_accepted("location", location(), "op1")], "Succeeded"),
        ([location_command("location", "delete", "op1")], "Queued"),
        ([location_command("location", "delete", "op1"), finished()], "Succeeded"),
        ([location_command("location", "delete", "op1"), rejected("LocationNotDeleted")], "Rejected"),
        ([location_command("location", "delete", "op1"), rejected("LocationNotDeleted"), finished()], "Succeeded"),
    ],
)
async def test_what_became_of_a_request_about_a_location(messages, state):
    for order in permutations(messages):
        desk = Desk()
        await hear(desk, *order)
        seen = operation(desk, "op1")
        assert (seen.state, seen.principal, seen.object.kind, seen.object.id, seen.object.name) == (
            state,
            "anna",
            "Location",
            ROW,
            "default",
        )
        assert (seen.refusal is not None) == (state == "Rejected")


async def test_what_became_of_a_request_about_a_snapshot_location(desk):
    await hear(
        desk, location_command("snapshotlocation", "apply", "op1"), location_command("snapshotlocation", "delete", "op2")
    )
    await hear(desk, location_accepted("snapshotlocation", snapshot_location(), "op1"))
    made, removed = operation(desk, "op1"), operation(desk, "op2")
    assert (made.kind, made.state, made.object.kind, made.object.id) == (
        "snapshotlocation.apply",
        "Succeeded",
        "SnapshotLocation",
        SNAPSHOTS,
    )
    assert (removed.kind, removed.state, removed.object) == ("snapshotlocation.delete", "Queued", made.object)


async def test_a_location_is_there_as_soon_as_the_request_has_succeeded(desk):
    await hear(desk, location_command("location", "apply", "op1"), location_accepted("location", location(phase=None), "op1"))
    assert place(desk).status == "Pending"
    said = [subject for subject, _ in desk.speaker.said.values()]
    assert said.index("lw.state.eu1.operation.Succeeded.op1") > said.index(f"lw.state.eu1.location.Pending.{ROW}")


async def test_nothing_of_a_credential_is_kept(desk):
    sealed = {"credential": {"key": "k", "box": b"sealed-up"}}
    await hear(desk, location_command("location", "apply", "op1", **sealed))
    assert "sealed-up" not in repr((desk.memory.rows, desk.speaker.said))


@pytest.mark.parametrize(("cluster", "mirror_of"), [("eu1", "us1"), ("eu2", None)])
async def test_a_location_says_whose_backups_it_was_made_to_reach_if_it_was_made_here(desk, cluster, mirror_of):
    marks = {"labels": {**ours("re1", cluster), "leeward.dev/mirror-of": "us1"}}
    await hear(desk, observed(location(marks=marks), noun="location"))
    assert (place(desk).mirror_of, place(desk).shared_bucket) == (mirror_of, False)


@pytest.mark.parametrize(("said", "shared"), [("true", True), ("yes", False), (None, False)])
async def test_a_location_says_that_others_may_write_there_if_a_person_has_said_so(desk, said, shared):
    marks = {"annotations": {"leeward.dev/shared-bucket": said}} if said else {}
    await hear(desk, observed(location(marks=marks), noun="location"))
    assert place(desk).shared_bucket is shared


async def test_a_snapshot_location_is_unchecked_unless_velero_says_otherwise_until_it_is_gone(desk):
    await hear(desk, observed(snapshot_location(), noun="snapshotlocation"))
    seen = snapshots(desk)
    assert (seen.status, seen.provider, seen.spec["config"], seen.namespace) == ("Unchecked", "aws", {"region": "eu"}, "velero")
    await hear(desk, observed(snapshot_location(rv=6, phase="Unavailable"), noun="snapshotlocation"))
    assert snapshots(desk).status == "Unavailable"
    await hear(desk, snapshot([], noun="snapshotlocation", at=NOW))
    assert (snapshots(desk).status, desk.memory.rows[Noun.SNAPSHOT_LOCATION, SNAPSHOTS]["listed"]) == ("Deleted", False)
    assert desk.speaker.statuses("snapshotlocation") == ["Unchecked", "Unavailable", "Deleted"]
