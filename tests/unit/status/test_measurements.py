"""What was found out about a backup that has ended: sizes, volumes, causes, and the texts that outlive it."""

from datetime import timedelta

import bson
import pytest

from services.status.objects import document
from shared.contracts.artifacts import MAX_CHUNK
from shared.contracts.documents import whole_capture
from shared.contracts.events import Cause, Volume
from shared.contracts.notices import About, notice
from tests.support.messages import NOW
from tests.support.status_memory import Desk
from tests.support.status_messages import STARTED, accepted, backup, captured, command, measured, observed, ours, snapshot
from tests.support.status_views import hear, only, operation, row, shown


def mine(phase="Completed", rv=12, uid="u1", **more):
    return backup(uid, rv, phase, labels=ours("op1"), startTimestamp=STARTED, **more)


@pytest.fixture
def desk():
    return Desk()


async def test_sizes_and_volumes_are_shown_when_they_are_known(desk):
    await hear(desk, observed(mine()))
    assert (shown(desk).size.total_bytes, shown(desk).volumes, shown(desk).measured_at) == (None, None, None)
    volumes = [Volume(claim="data", method="PodVolumeBackup", result="succeeded", size_bytes=30)]
    await hear(desk, measured(mine(), metadata_bytes=12, volume_bytes=30, volumes=volumes, volumes_truncated=True))
    seen = shown(desk)
    assert (seen.size.metadata_bytes, seen.size.volume_bytes, seen.size.total_bytes) == (12, 30, 42)
    assert (seen.volumes, seen.volumes_truncated, seen.measured_at) == (volumes, True, NOW)
    assert desk.speaker.told[-1][1].data.item["size"]["totalBytes"] == 42


@pytest.mark.parametrize(
    ("found", "sizes"),
    [
        ({"metadata_bytes": 5}, (5, None, None)),
        ({"volume_bytes": 5}, (None, 5, None)),
        ({"metadata_bytes": 5, "volume_bytes": 0}, (5, 0, 5)),
        ({}, (None, None, None)),
        ({"metadata_bytes": 2**70, "volume_bytes": 0}, (None, 0, None)),
        ({"metadata_bytes": 2**63 - 1, "volume_bytes": 1}, (2**63 - 1, 1, None)),
    ],
)
async def test_what_is_not_known_is_never_nothing(desk, found, sizes):
    await hear(desk, observed(mine()), measured(mine(), **found))
    size = shown(desk).size
    assert (size.metadata_bytes, size.volume_bytes, size.total_bytes) == sizes


async def test_a_backup_that_was_measured_before_it_was_seen_to_end_is_measured(desk):
    await hear(desk, measured(mine(), metadata_bytes=5), observed(mine("InProgress", 11)))
    assert shown(desk).size.metadata_bytes is None
    await hear(desk, observed(mine()))
    assert shown(desk).size.metadata_bytes == 5


async def test_a_measurement_alone_shows_no_backup(desk):
    await hear(desk, measured(mine(), metadata_bytes=5))
    assert desk.memory.rows == {}


async def test_the_size_is_known_when_the_backup_has_gone_and_when_it_came_back_by_sync(desk):
    await hear(desk, observed(mine()), measured(mine(), metadata_bytes=5, volume_bytes=0), snapshot([]))
    assert shown(desk).size.total_bytes == 5
    await hear(desk, observed(mine(rv=150, uid="u2")))
    assert (shown(desk).size.total_bytes, row(desk)["uids"]) == (5, ["u1", "u2"])


async def test_a_backup_made_past_leeward_is_measured_too(desk):
    external = backup("u1", 12, "PartiallyFailed", startTimestamp=STARTED, errors=2)
    await hear(desk, observed(external), measured(external, metadata_bytes=5, causes=[Cause(message="no pod", count=2)]))
    assert (only(desk).size.metadata_bytes, [c.message for c in only(desk).why]) == (5, ["no pod"])


async def test_what_was_found_of_a_failed_backup_does_not_count_when_it_completed_after_all(desk):
    failed = mine("Failed", failureReason="restarted")
    await hear(desk, observed(failed), measured(failed, metadata_bytes=1, causes=[Cause(message="restarted", count=1)]))
    assert (shown(desk).size.metadata_bytes, len(shown(desk).why)) == (1, 1)
    await hear(desk, observed(mine("Completed", 13)))
    assert (shown(desk).status, shown(desk).size.metadata_bytes, shown(desk).why) == ("Completed", None, [])
    await hear(desk, measured(mine("Completed", 13), sequence=9, metadata_bytes=70))
    assert shown(desk).size.metadata_bytes == 70


# ---------------------------------------------------------------- why


async def test_why_is_answered_by_what_was_measured_first(desk):
    partly = mine("PartiallyFailed", errors=3, failureReason="something")
    causes = [Cause(message="no node …", count=2, example="shop/web", namespace="shop"), Cause(message="x", count=1)]
    await hear(desk, observed(partly), measured(partly, causes=causes, causes_truncated=True))
    assert (shown(desk).why, shown(desk).why_truncated) == (causes, True)


async def test_why_is_answered_by_the_object_until_it_was_measured(desk):
    await hear(desk, observed(mine("Failed", failureReason="bucket on fire")))
    assert [(c.message, c.count) for c in shown(desk).why] == [("bucket on fire", 1)]


async def test_why_lists_validation_errors_as_causes(desk):
    await hear(desk, observed(mine("FailedValidation", validationErrors=["bad", "worse", "bad"])))
    assert [(c.message, c.count) for c in shown(desk).why] == [("bad", 2), ("worse", 1)]


async def test_notices_stand_on_the_operation_and_on_its_backup(desk):
    told = notice(About.VELERO_SILENT, cluster="eu1", since="2026-11-22 11:57:00 UTC")
    await hear(desk, command(), accepted(backup("u1", 10, labels=ours("op1")), notices=[told]))
    assert (operation(desk, "op1").notices, shown(desk).notices) == ([told], [told])


# ---------------------------------------------------------------- texts that outlive the backup


async def test_a_captured_text_is_named_once_all_of_it_is_there(desk):
    await hear(desk, observed(mine()), captured(part=0, parts=2), measured(mine()))
    assert shown(desk).captured == []
    await hear(desk, captured(part=1, parts=2), captured(artifact="results"))
    assert shown(desk).captured == ["log", "results"]
    await hear(desk, snapshot([]))
    assert shown(desk).captured == ["log", "results"]


async def test_a_part_that_comes_again_changes_nothing_and_a_newer_one_replaces_it(desk):
    await hear(desk, captured(data=b"new", sequence=9), captured(data=b"old", sequence=3), captured(data=b"new", sequence=9))
    (part,) = desk.memory.captures.values()
    assert (part["_id"], part["data"], part["parts"]) == ("eu1/u1/log/0", b"new", 1)
    assert desk.memory.rows == {}


@pytest.mark.parametrize(
    "unfit",
    [
        captured(artifact="contents"),
        captured(artifact="resources"),
        captured(part=3, parts=2),
        captured(part=1, parts=1),
        captured(part=0, parts=0),
        captured(part=-1),
        captured(part=17, parts=17),
        captured(data=b"x" * (MAX_CHUNK + 1)),
    ],
)
async def test_what_is_not_to_be_kept_is_not_kept(desk, unfit):
    await hear(desk, unfit)
    assert desk.memory.captures == {}


def test_of_a_text_captured_twice_the_newer_one_is_whole_or_nothing():
    older = [{"part": n, "parts": 3, "at": NOW} for n in range(3)]
    newer = {"part": 0, "parts": 2, "at": NOW + timedelta(seconds=1)}
    assert whole_capture(reversed(older)) == older
    assert whole_capture([newer, *older[1:]]) == []
    assert whole_capture([]) == []


# ---------------------------------------------------------------- much of it


async def test_a_thousand_volumes_fit(desk):
    one = Volume(namespace="n" * 63, claim="c" * 253, message="m" * 300)
    volumes = [one.model_copy(update={"volume": f"pv-{n}", "size_bytes": n}) for n in range(1000)]
    await hear(desk, observed(mine()), measured(mine(), volumes=volumes, volume_bytes=sum(range(1000)), metadata_bytes=1))
    assert (len(shown(desk).volumes), shown(desk).size.total_bytes) == (1000, 499_501)
    for known in desk.memory.objects.values():
        bson.encode(document(known))
    assert len(bson.encode(row(desk))) < 2**20
    assert len(bson.encode({"item": row(desk)["item"]})) < 4096  # what a list reads, and what is announced


async def test_ten_thousand_validation_errors_and_a_reason_of_a_mebibyte_do_not_hide_the_backup(desk):
    errors = [f"error {n}: {'x' * 80}" for n in range(10_000)]
    await hear(desk, observed(mine("FailedValidation", validationErrors=errors, failureReason="y" * 2**20)))
    seen = shown(desk)
    assert (seen.status, len(seen.validation_errors), len(seen.failure_reason), seen.truncated) == ("Failed", 100, 8192, True)
    assert len(seen.reason) <= 300
    assert len(bson.encode(row(desk))) < 2**17
    await hear(desk, observed(mine("Failed", 13, failureReason="z" * 2**20)))
    assert (shown(desk).reason[-1], len(shown(desk).reason)) == ("…", 300)
    assert [len(cause.message) for cause in shown(desk).why] == [8192]


async def test_a_name_of_253_characters_and_labels_with_dots_and_slashes(desk):
    name = f"{'a' * 61}.{'b' * 63}.{'c' * 63}.{'d' * 63}"[:253]
    labels = ours("op1") | {"a.b/c.d": "x.y", "$odd": "1", "e.f.g/h": ""}
    long = backup(phase="Completed", name=name, labels=labels, startTimestamp=STARTED)
    await hear(desk, observed(long), measured(long, metadata_bytes=1, volume_bytes=1))
    seen = shown(desk)
    assert (len(seen.name), seen.labels) == (253, {"a.b/c.d": "x.y", "$odd": "1", "e.f.g/h": ""})
    assert seen.size.total_bytes == 2
    bson.encode(row(desk))
