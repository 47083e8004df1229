"""`leeward schedule` as people run it, against the real gateway; all other services are played by the test."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from leeward.errors import Exit
from shared.contracts.phases import BackupStatus
from shared.contracts.reasons import ReasonCode, reason
from shared.contracts.schedules import Decision
from shared.contracts.views import ScheduleRef
from tests.support.command import leeward
from tests.support.gateway import answering, backup_document, backup_item, cluster_document, stack
from tests.support.schedules import create, decides, judging, tick, wanted
from tests.support.waiting import eventually

pytestmark = pytest.mark.thorough

SLOT = datetime(2026, 3, 1, 2, tzinfo=UTC)
NIGHTLY = ("schedule", "create", "nightly", "--cluster", "eu1", "--schedule", "0 2 * * *", "-n", "shop")


@pytest.fixture
async def made(nats_server, mongo_server):
    async with stack(nats_server, mongo_server, wait=20) as running:
        await running.status.writes("cluster_state", cluster_document("eu1"))
        yield running


@pytest.fixture
def folder(made, tmp_path):
    (tmp_path / ".leeward").mkdir()
    (tmp_path / ".leeward" / "client.json").write_text(json.dumps({"url": f"http://127.0.0.1:{made.settings.http.port}"}))
    return tmp_path


async def stored(made, name="nightly"):
    return await wanted(made, str((await made.database["schedules"].find_one({"name": name}))["_id"]))


async def test_a_schedule_is_made_listed_and_looked_at(made, folder):
    async with judging(made):
        asked = await leeward(
            folder, *NIGHTLY, "--timezone", "Europe/Berlin", "--ttl", "30d", "--misfire", "all", "--skip-next", "2"
        )
        assert asked.out == "schedule nightly of cluster eu1 is New, and runs first at 2027-01-01 00:00Z\n", asked
        schedule = await stored(made)
        assert (schedule.cron, schedule.timezone, schedule.misfire.value, schedule.skip.count) == (
            "0 2 * * *",
            "Europe/Berlin",
            "all",
            2,
        )
        assert (schedule.template.spec.ttl, schedule.template.scope.namespaces) == ("720h", ["shop"])
        again = await leeward(folder, *NIGHTLY)
        assert (again.code, again.out) == (Exit.FAILED, "")
        assert "leeward: " in again.err
        listed = await leeward(folder, "schedule", "list", "--cluster", "eu1", "--status", "new")
        assert listed.out.splitlines()[1].split()[:3] == ["nightly", "New", "eu1"]
        shown = json.loads((await leeward(folder, "schedule", "get", "nightly", "-o", "json")).out)
        assert shown == (await made.client.get(f"/api/v1/schedules/{schedule.id}")).json()
        described = await leeward(folder, "schedule", "describe", schedule.id)
        assert described.out.split()[:2] == ["Name:", "nightly"]
        assert described.out.count("  left out\n") == 2
        unknown = await leeward(folder, "schedule", "pause", "nightl")
        assert (unknown.code, unknown.err.splitlines()[1]) == (Exit.NOT_FOUND, "  did you mean nightly?")


async def test_what_is_not_there_yet_is_said_and_the_schedule_is_kept(made, folder):
    missing = reason(ReasonCode.LOCATION_UNKNOWN, cluster="eu1", location="vault")
    async with judging(made, status="FailedValidation", reasons=[missing]):
        asked = await leeward(folder, *NIGHTLY, "--storage-location", "vault")
    assert (asked.code, asked.out) == (0, "schedule nightly of cluster eu1 is FailedValidation (LocationUnknown)\n")
    assert asked.err == ("FailedValidation: Cluster eu1 has no storage location vault: slots are left out until it is mended\n")


async def test_mistakes_are_told_by_the_options(made, folder):
    wrong = await leeward(folder, *NIGHTLY, "--ttl", "30x", "--spread", "9d", "--concurrency", "maybe")
    assert wrong.code == Exit.USAGE
    assert wrong.err.startswith("leeward: 3 things are wrong\n")
    assert all(f"\n  {option}" in wrong.err for option in ("--ttl: ", "--spread 9d: ", "--concurrency maybe: "))
    odd = await leeward(folder, "schedule", "preview", "61 * * * *")
    assert (odd.code, odd.out, odd.err.startswith("leeward: CRON 61 * * * *: ")) == (Exit.USAGE, "", True)
    assert await made.database["schedules"].count_documents({}) == 0


async def test_a_preview_shows_the_clocks_of_the_zone_and_what_to_know(folder):
    shown = await leeward(folder, "schedule", "preview", "30 2 * * *", "--tz", "Europe/Berlin", "--count", "2")
    words, *lines = shown.out.splitlines()
    assert words == "Every day at 02:30"
    assert len(lines) == 2
    assert all(" 02:30 +0" in line for line in lines)
    assert "note: " in shown.err
    data = json.loads((await leeward(folder, "schedule", "preview", "@daily", "-o", "json")).out)
    assert len(data["instants"]) == 10


async def test_a_schedule_is_edited_paused_resumed_and_skipped(made, folder):
    async with judging(made):
        await create(made)
        edited = await leeward(
            folder,
            "schedule",
            "edit",
            "nightly",
            "--cron",
            "0 3 * * *",
            "--production",
            "--label",
            "team=shop",
            "--unset",
            "ttl",
        )
        assert edited.code == 0, edited
        assert edited.out.startswith("schedule nightly of cluster eu1 is changed, from the slot ")
        schedule = await stored(made)
        assert (schedule.cron, len(schedule.eras), schedule.template.scope.kind) == ("0 3 * * *", 2, "production")
        assert schedule.template.labels == {"team": "shop"}
        same = await leeward(folder, "schedule", "edit", "nightly", "--cron", "0 3 * * *")
        assert (same.code, "is like that already" in same.err) == (Exit.USAGE, True)
        paused = await leeward(folder, "schedule", "pause", "nightly")
        assert paused.out.startswith("schedule nightly of cluster eu1 is paused, from the slot ")
        assert paused.out.endswith("03:00Z on\n")
        assert (await stored(made)).paused
        for verb in ("unpause", "resume"):
            resumed = await leeward(folder, "schedule", verb, "--all", "--cluster", "eu1")
            assert (resumed.code, "runs again" in resumed.out) == (0, True)
        skipped = await leeward(folder, "schedule", "skip", "nightly", "--count", "3", "-o", "json")
        assert json.loads(skipped.out)["skipNext"] == 3
        assert (await stored(made)).skip.count == 3
        wrong = await leeward(folder, "schedule", "skip", "nightly", "--count", "-1")
        assert (wrong.code, "--count" in wrong.err) == (Exit.USAGE, True)


async def test_every_slot_says_what_became_of_it(made, folder):
    async with judging(made):
        body = await create(made)
    hour = timedelta(hours=1)
    fired = tick(body["id"], SLOT + 5 * hour, Decision.TRIGGERED, published=True, backup_name="nightly-20260301070000")
    ref = ScheduleRef(id=body["id"], name="nightly")
    backup = backup_item(fired.id, name=fired.backup_name, schedule=ref, created_at=fired.due_at, phase="Completed")
    await made.status.writes("backups", backup_document(backup))
    await decides(
        made,
        tick(body["id"], SLOT, Decision.PAUSED, until=SLOT + 2 * hour, count=3),
        tick(body["id"], SLOT + 3 * hour, Decision.INVALID, reason="LocationUnknown"),
        tick(body["id"], SLOT + 4 * hour, Decision.SUPERSEDED, ran=SLOT + 5 * hour),
        fired,
    )
    shown = await leeward(folder, "schedule", "ticks", "nightly")
    assert [line.split("  ")[0] for line in shown.out.splitlines()[1:]] == [
        "2026-03-01 07:00Z",
        "2026-03-01 06:00Z",
        "2026-03-01 05:00Z",
        "2026-03-01 02:00Z to 2026-03-01 04:00Z (3)",
    ]
    assert "nightly-20260301070000  Completed" in shown.out
    assert "2026-03-01 07:00Z ran instead" in shown.out
    only = await leeward(folder, "schedule", "ticks", "nightly", "--decision", "invalid", "--from", "2026-03-01", "-o", "json")
    assert [(t["decision"], t["reason"]) for t in json.loads(only.out)["items"]] == [("Invalid", "LocationUnknown")]
    described = await leeward(folder, "schedule", "describe", "nightly")
    assert "\nLast Slots:\n" in described.out


async def test_a_backup_now_is_made_by_the_form_of_a_schedule(made, folder):
    async with judging(made):
        await create(made, name="nightly", template={"scope": {"kind": "all"}, "spec": {"ttl": "48h"}})
    async with answering(made, made.status.accepts):
        ran = await leeward(folder, "schedule", "run", "nightly", "--name", "before-upgrade")
        assert (ran.code, ran.out) == (0, "backup before-upgrade is being made in cluster eu1\n"), ran
        asked = await leeward(folder, "backup", "create", "--from-schedule", "nightly", "--cluster", "eu1")
        assert asked.code == 0, asked
    first, second = made.commands_seen
    assert (first.data.name, first.data.spec.ttl, first.data.schedule.name) == ("before-upgrade", "48h", "nightly")
    assert second.data.name.startswith("nightly-20")
    assert second.data.name[-2:] != "00"
    both = await leeward(folder, "backup", "create", "x", "--from-schedule", "nightly", "--ttl", "1h")
    assert (both.code, "leave out --ttl" in both.err) == (Exit.USAGE, True)


async def test_a_schedule_goes_with_its_backups(made, folder):
    async with judging(made):
        body = await create(made, deleteBackupsOnDeletion=True)
        ref = ScheduleRef(id=body["id"], name="nightly")
        for number in range(3):
            item = backup_item(f"b{number}", phase="Completed", schedule=ref, status=BackupStatus.COMPLETED)
            await made.status.writes("backups", backup_document(item))
        unasked = await leeward(folder, "schedule", "delete", "nightly")
        assert (unasked.code, "--confirm" in unasked.err) == (Exit.USAGE, True)
        assert (await stored(made)).deleting is None
        async with answering(made, made.status.deletes):
            deleted = await leeward(folder, "schedule", "delete", "nightly", "--confirm", "--wait", "--timeout", "60s")
    assert (deleted.code, deleted.out) == (0, "schedule nightly of cluster eu1 is deleted, with 3 backups\n"), deleted
    assert {command.data.backup for command in made.commands_seen} == {"b0", "b1", "b2"}
    assert await made.database["schedules"].count_documents({}) == 0


async def test_a_schedule_goes_and_its_backups_stay(made, folder):
    async with judging(made):
        body = await create(made, deleteBackupsOnDeletion=True)
        item = backup_item("b1", phase="Completed", schedule=ScheduleRef(id=body["id"], name="nightly"))
        await made.status.writes("backups", backup_document(item))
        deleted = await leeward(folder, "schedule", "delete", "nightly", "--keep-backups", "-y", "--wait", "--timeout", "60s")
        assert (deleted.code, deleted.out) == (0, "schedule nightly of cluster eu1 is deleted\n"), deleted

        async def no_schedule():
            return await made.database["schedules"].count_documents({}) == 0

        await eventually("gone", no_schedule)
    assert await made.commands() == 0
