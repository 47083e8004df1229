"""Schedules that go: without their backups at once, with them when all have gone; and what is told of them meanwhile."""

import asyncio
import contextlib
import json
from datetime import timedelta

import pytest

from shared.contracts import ids
from shared.contracts.documents import from_document, to_document
from shared.contracts.phases import OperationState
from shared.contracts.refusals import Code, refusal
from shared.contracts.schedules import Decision
from shared.contracts.views import ScheduleItem
from shared.runtime.clock import now as utc_now
from tests.support.gateway import (
    API,
    NOW,
    answering,
    backup_document,
    backup_item,
    eventually,
    operation_item,
    running,
    settings_for,
    stack,
    tokens_file,
)
from tests.support.schedules import BODY, create, decides, judging, row_of, tick, wanted

NOWAIT = {"Prefer": "wait=0"}


@pytest.fixture
async def made(nats_server, mongo_server):
    async with stack(nats_server, mongo_server, wait=0, departures=0.05) as running_stack:
        yield running_stack


def of_schedule(schedule_id, backup_id, **facts):
    schedule = {"id": schedule_id, "name": "nightly"}
    return backup_item(
        backup_id, schedule=schedule, created_by={"kind": "Schedule", "name": "nightly"}, phase="Completed", **facts
    )


async def has(made, *items):
    await made.status.writes("backups", *(backup_document(item) for item in items))


async def delete(made, schedule_id, backups="true", *, ago=60):
    """Ask for the deletion, and let the time pass for which a schedule stays at least."""
    response = await made.client.delete(f"{API}/schedules/{schedule_id}?deleteBackups={backups}")
    assert response.status_code == 202, response.text
    change = {"$set": {"deleting.at": utc_now() - timedelta(seconds=ago)}}
    await made.database["schedules"].update_one({"_id": schedule_id}, change)
    return response.json()


def another(made):
    """The settings of another gateway beside this one."""
    return settings_for(made.nats, made.mongo, departures=0.05).model_copy(update={"mongo": made.settings.mongo})


async def is_gone(made, schedule_id):
    return await made.database["schedules"].find_one({"_id": schedule_id}) is None


async def gone(made, schedule_id):
    await eventually("gone", lambda: is_gone(made, schedule_id))
    assert (await made.client.get(f"{API}/schedules/{schedule_id}")).status_code == 404


async def looks(made, count=3):
    """Wait until the schedules that are being deleted have been looked at again: one of no backups goes in the meantime."""
    for n in range(count):
        probe = (await create(made, NOWAIT, name=f"probe-{n}-{id(object())}", cluster="us1"))["id"]
        await delete(made, probe, "true")
        await eventually("looked", lambda probe=probe: is_gone(made, probe))


async def test_a_schedule_without_its_backups_goes_and_they_stay(made):
    async with judging(made):
        schedule_id = (await create(made, NOWAIT))["id"]
        await has(made, of_schedule(schedule_id, "b1"))
        path = f"{API}/schedules/{schedule_id}"
        response = await made.client.delete(path, headers={"Prefer": "wait=30"})
        assert (response.status_code, response.content) == (204, b"")
        assert (await made.client.get(path)).status_code == 404
        assert await made.commands() == 0

        async def told():
            return (await made.client.delete(path)).status_code == 204

        await eventually("known to have gone", told)
        assert (await create(made, NOWAIT))["id"] != schedule_id


async def test_while_it_goes_it_is_shown_and_can_neither_be_changed_nor_run(made):
    schedule_id = (await create(made, NOWAIT, deleteBackupsOnDeletion=True))["id"]
    await has(made, of_schedule(schedule_id, "b1", status="Creating"))
    path = f"{API}/schedules/{schedule_id}"
    response = await made.client.delete(path)
    assert (response.status_code, response.headers["etag"]) == (202, '"2"')
    deleting = response.json()["deleting"]
    assert (deleting["deleteBackups"], deleting["by"], deleting["attempt"], deleting["errors"]) == (True, "anonymous", 1, [])
    again = await made.client.delete(path)
    assert (again.status_code, again.json()["version"]) == (202, 2)
    for method, suffix, body in (
        ("PATCH", "", {"description": "b"}),
        ("POST", "/pause", None),
        ("POST", "/resume", None),
        ("POST", "/skip", {"count": 1}),
        ("POST", "/backups", {"name": "b"}),
    ):
        refused = await made.client.request(method, path + suffix, json=body)
        assert (refused.status_code, refused.json()["type"]) == (409, "/problems/schedule-deleting"), (method, suffix)
    # What was to go with its backups may go without them: they stay.
    assert (await made.client.delete(f"{path}?deleteBackups=false")).json()["deleting"]["attempt"] == 2
    await gone(made, schedule_id)
    assert await made.commands() == 0


async def test_with_its_backups_it_goes_when_the_last_of_them_has_gone(made):
    schedule_id = (await create(made, NOWAIT))["id"]
    await has(
        made,
        of_schedule(schedule_id, "b1"),
        of_schedule(schedule_id, "b2", status="Failed"),
        of_schedule(schedule_id, "running", status="Creating"),
        of_schedule(schedule_id, "copy", replica=True),
        of_schedule(schedule_id, "elsewhere", cluster="us1"),
        of_schedule(schedule_id, "expired", status="Expired", present=False),
        of_schedule("another", "b3"),
        backup_item("b4"),
    )
    async with answering(made, made.status.deletes):
        await delete(made, schedule_id)

        async def two_left():
            rows = made.database["backups"].find({"item.schedule.id": schedule_id, "listed": True})
            return {row["_id"] async for row in rows} == {"running", "copy", "expired", "elsewhere"}

        await eventually("both deleted", two_left)
        await looks(made)
        assert not await is_gone(made, schedule_id)
        await has(made, of_schedule(schedule_id, "running"))
        await gone(made, schedule_id)
    commands = {c.data.backup: c for c in made.commands_seen}
    assert set(commands) == {"b1", "b2", "running"}
    assert len(made.commands_seen) == 3
    assert commands["b1"].operationid == ids.schedule_deletion_id(schedule_id, 1, "b1")
    assert (commands["b1"].principal, commands["b1"].expiresat - commands["b1"].time) == ("anonymous", timedelta(hours=168))


async def test_a_cluster_that_is_away_is_waited_for_and_asked_once(made):
    schedule_id = (await create(made, NOWAIT))["id"]
    await has(made, of_schedule(schedule_id, "b1"))
    await delete(made, schedule_id)
    await looks(made)
    assert (await made.commands(), await is_gone(made, schedule_id)) == (1, False)
    async with running(another(made)):  # restarted, or another
        await looks(made)
        assert (await made.commands(), await is_gone(made, schedule_id)) == (1, False)
        command = await made.admin.stream.get_msg("LW_COMMANDS", 1)
        operation = ids.schedule_deletion_id(schedule_id, 1, "b1")
        assert command.subject.endswith(operation)
        row = await made.database["backups"].find_one({"_id": "b1"})
        await made.status.writes("backups", {**row, "listed": False, "item": {**row["item"], "status": "Deleted"}})
        await gone(made, schedule_id)


@pytest.mark.parametrize(
    ("state", "no", "words"),
    [
        (OperationState.REJECTED, refusal(Code.FORBIDDEN_IN_CLUSTER, cluster="eu1", message="no rights"), "no rights"),
        (OperationState.FAILED, refusal(Code.DELETION_FAILED, name="b1", message="bucket away"), "bucket away"),
        (OperationState.EXPIRED, None, "has not answered for 168h"),
    ],
    ids=["rejected", "failed", "expired"],
)
async def test_what_could_not_be_deleted_is_told_and_tried_again_when_somebody_asks(made, state, no, words):
    schedule_id = (await create(made, NOWAIT))["id"]
    await has(made, of_schedule(schedule_id, "b1"), of_schedule(schedule_id, "b2"))
    path = f"{API}/schedules/{schedule_id}"

    async def answer(command):
        if command.data.backup == "b1" and command.operationid == ids.schedule_deletion_id(schedule_id, 1, "b1"):
            await made.status.ends(command, state, no)
        else:
            await made.status.deletes(command)

    async with answering(made, answer):
        await delete(made, schedule_id)

        async def told():
            return (await made.client.get(path)).json()["deleting"]["errors"]

        errors = await eventually("told", told)
        assert len(errors) == 1
        assert errors[0].startswith("Backup b1: ")
        assert words in errors[0]
        await looks(made)
        assert await told() == errors
        again = (await made.client.delete(f"{path}?deleteBackups=true")).json()["deleting"]
        assert (again["attempt"], again["errors"]) == (2, [])
        await made.database["schedules"].update_one({"_id": schedule_id}, {"$set": {"deleting.at": NOW}})
        await gone(made, schedule_id)
    asked = [c.operationid for c in made.commands_seen if c.data.backup == "b1"]
    assert asked == [ids.schedule_deletion_id(schedule_id, attempt, "b1") for attempt in (1, 2)]


async def test_a_backup_that_had_gone_already_is_no_trouble(made):
    schedule_id = (await create(made, NOWAIT))["id"]
    await has(made, of_schedule(schedule_id, "b1"))

    async def answer(command):
        row = await made.database["backups"].find_one({"_id": "b1"})
        await made.status.ends(command, OperationState.REJECTED, refusal(Code.BACKUP_GONE, cluster="eu1", name="b1"))
        await looks(made, 1)
        assert (await wanted(made, schedule_id)).deleting.errors == []
        await made.status.writes("backups", {**row, "listed": False})

    async with answering(made, answer):
        await delete(made, schedule_id)
        await gone(made, schedule_id)


async def test_what_is_still_on_its_way_is_waited_for_and_deleted_too(made):
    schedule_id = (await create(made, NOWAIT))["id"]
    slot = utc_now().replace(second=0, microsecond=0)
    sent = tick(schedule_id, slot, Decision.TRIGGERED, published=True)
    long_ago = tick(schedule_id, slot - timedelta(days=1), Decision.TRIGGERED)
    await decides(made, long_ago, sent)
    async with answering(made, made.status.deletes):
        await delete(made, schedule_id)
        await looks(made)
        assert not await is_gone(made, schedule_id), "its trigger is not seen yet"
        queued = operation_item(sent.id, OperationState.QUEUED, kind="schedule.trigger")
        row = {"_id": sent.id, "item": to_document(queued), "command": {"kind": "schedule.trigger", "schedule": schedule_id}}
        await made.status.writes("operations", row)
        await looks(made)
        assert not await is_gone(made, schedule_id), "its operation is queued"
        accepted = to_document(queued.model_copy(update={"state": OperationState.ACCEPTED}))
        await made.status.writes("operations", {**row, "item": accepted})
        await looks(made)
        assert not await is_gone(made, schedule_id), "its backup is not seen yet"
        await has(made, of_schedule(schedule_id, sent.id, status="Creating"))
        await looks(made)
        assert not await is_gone(made, schedule_id), "its backup has not ended"
        await made.status.writes("operations", {**row, "item": {**accepted, "state": "Succeeded"}})
        await has(made, of_schedule(schedule_id, sent.id))
        await gone(made, schedule_id)
    assert [c.data.backup for c in made.commands_seen] == [sent.id]


async def test_it_does_not_go_before_what_was_begun_can_have_been_heard_of(made):
    schedule_id = (await create(made, NOWAIT, cron="0 0 29 2 *"))["id"]
    await delete(made, schedule_id, ago=0)
    asked_at = (await wanted(made, schedule_id)).deleting.at
    await looks(made, 1)
    gone_already = await is_gone(made, schedule_id)
    assert not gone_already or utc_now() > asked_at + timedelta(seconds=9)
    await gone(made, schedule_id)


async def test_a_slot_that_was_due_and_is_not_decided_is_waited_for(made):
    schedule_id = (await create(made, NOWAIT, cron="* * * * *"))["id"]
    before = utc_now().replace(microsecond=0) - timedelta(hours=1)
    change = {"$set": {"createdAt": before, "eras.0.from": before}}
    await made.database["schedules"].update_one({"_id": schedule_id}, change)
    await delete(made, schedule_id, ago=12)
    asked_at = (await wanted(made, schedule_id)).deleting.at
    await looks(made, 1)
    gone_already = await is_gone(made, schedule_id)
    assert not gone_already or utc_now() > asked_at + timedelta(seconds=55)
    await decides(made, tick(schedule_id, before, Decision.MISSED, until=utc_now() + timedelta(minutes=1), count=60))
    await gone(made, schedule_id)


async def test_two_gateways_delete_each_backup_once(made):
    async with running(another(made)), answering(made, made.status.deletes):
        schedule_ids = [(await create(made, NOWAIT, name=f"s{n}"))["id"] for n in range(3)]
        for schedule_id in schedule_ids:
            await has(made, *(of_schedule(schedule_id, f"{schedule_id}-{n}") for n in range(10)))
            await delete(made, schedule_id)
        for schedule_id in schedule_ids:
            await gone(made, schedule_id)
    # Both may have asked; of what they asked the stream keeps one command each.
    assert await made.commands() == len({c.operationid for c in made.commands_seen}) == 30
    assert await made.commands() == 30


async def test_while_nats_is_away_nothing_is_lost(made):
    schedule_id = (await create(made, NOWAIT))["id"]
    await has(made, of_schedule(schedule_id, "b1"))
    made.nats.kill()
    await delete(made, schedule_id)
    made.nats.start()
    await made.ready()

    async def asked():
        with contextlib.suppress(Exception):
            return await made.commands()

    await eventually("asked for", asked, timeout=60)
    row = await made.database["backups"].find_one({"_id": "b1"})
    await made.status.writes("backups", {**row, "listed": False})
    await gone(made, schedule_id)


async def test_a_schedule_that_cannot_be_read_does_not_keep_others_here(made):
    odd = (await create(made, NOWAIT, name="odd"))["id"]
    good = (await create(made, NOWAIT))["id"]
    await made.database["schedules"].update_one({"_id": odd}, {"$set": {"eras": [], "deleting": {"at": NOW}}})
    await delete(made, good)
    await gone(made, good)
    assert (await made.client.get(f"{API}/schedules/{odd}")).status_code == 500


async def test_an_operator_may_let_a_schedule_go_and_only_an_admin_its_backups(nats_server, mongo_server, tmp_path):
    path = tmp_path / "tokens.json"
    who = tokens_file(path, otto="operator", anna="admin")
    async with stack(nats_server, mongo_server, wait=0, departures=0.05, tokens_file=path) as made:
        otto, anna = ({"Authorization": who[name]} for name in ("otto", "anna"))
        body = (await made.client.post(f"{API}/schedules", json={**BODY, "deleteBackupsOnDeletion": True}, headers=otto)).json()
        one = f"{API}/schedules/{body['id']}"
        assert (await made.client.delete(one, headers=otto)).status_code == 403
        await has(made, of_schedule(body["id"], "b1"))
        assert (await made.client.delete(one, headers=anna)).json()["deleting"]["by"] == "anna"
        assert (await made.client.delete(one, headers=otto)).status_code == 403
        assert (await made.client.delete(f"{one}?deleteBackups=false", headers=otto)).json()["deleting"]["by"] == "otto"

        async def left():
            return await is_gone(made, body["id"])

        await eventually("gone", left)


async def test_changes_of_schedules_are_events(made):
    schedule = await wanted(made, (await create(made, NOWAIT))["id"])
    item = ScheduleItem.read(from_document(row_of(schedule)["item"]))
    async with made.client.stream("GET", f"{API}/events?kind=schedule") as stream, asyncio.timeout(20):
        lines = stream.aiter_lines()
        await anext(lines)
        await made.status.announces("backup", backup_item("b"))
        await made.status.announces("schedule", item)
        told = [line async for line in _until_data(lines)]
    assert "event: schedule" in told
    assert json.loads(told[-1].removeprefix("data: "))["id"] == schedule.id


async def _until_data(lines):
    async for line in lines:
        yield line
        if line.startswith("data:"):
            return
