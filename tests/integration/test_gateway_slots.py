"""Slots over HTTP: which goes first by a change made just before it, what became of each, and a timetable tried out."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from services.gateway.schedules import keeping
from shared.contracts import ids
from shared.contracts.documents import to_document
from shared.contracts.phases import OperationState, SlotResult
from shared.contracts.refusals import Refusal
from shared.contracts.schedules import Decision
from shared.runtime.clock import now as utc_now
from tests.support.gateway import API, backup_document, backup_item, eventually, operation_item, stack
from tests.support.schedules import create, decides, row_of, tick, wanted

NOWAIT = {"Prefer": "wait=0"}
HOUR = timedelta(hours=1)


@pytest.fixture
async def made(nats_server, mongo_server):
    async with stack(nats_server, mongo_server, wait=0) as running_stack:
        yield running_stack


def text(moment):
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


async def about_now(made, monkeypatch, **facts):
    """A schedule of every minute, as if its next slot were due while the change is stored: all margins are as wide as that."""
    monkeypatch.setattr(keeping, "_MARGIN", timedelta(seconds=70))
    body = await create(made, NOWAIT, cron="* * * * *", **facts)
    return body["id"], f"{API}/schedules/{body['id']}"


def next_minutes(count, after):
    first = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
    return [first + timedelta(minutes=n) for n in range(count)]


async def decided(made, schedule_id, slots, decision, **facts):
    await decides(made, *(tick(schedule_id, slot, decision, **facts) for slot in slots))


@pytest.mark.parametrize(
    ("action", "body", "facts", "obeyed", "before"),
    [
        ("pause", None, {}, Decision.PAUSED, Decision.TRIGGERED),
        ("resume", None, {"paused": True}, Decision.TRIGGERED, Decision.PAUSED),
        ("skip", {"count": 3}, {}, Decision.SKIPPED, Decision.TRIGGERED),
        ("skip", {"count": 0}, {"skipNext": 9}, Decision.TRIGGERED, Decision.SKIPPED),
    ],
)
async def test_the_slot_that_its_tick_proves_is_the_first_affected(made, monkeypatch, action, body, facts, obeyed, before):
    """Two slots about the time of the change were decided: the first just before it was stored, the second by it."""
    schedule_id, path = await about_now(made, monkeypatch, **facts)
    asked = asyncio.create_task(made.client.post(f"{path}/{action}", json=body))

    async def stored():
        return (await wanted(made, schedule_id)).version == 2

    await eventually("stored", stored)
    schedule = await wanted(made, schedule_id)
    first, second, third = next_minutes(3, schedule.changed_at)
    await decided(made, schedule_id, [first], before)
    skip = schedule.skip.id if obeyed is Decision.SKIPPED else None
    await decided(made, schedule_id, [second, third], obeyed, skip=skip)
    response = await asyncio.wait_for(asked, 100)
    assert response.json()["firstAffected"] == text(second)


async def test_a_slot_that_was_skipped_before_the_answer_is_the_first_affected(made, monkeypatch):
    schedule_id, path = await about_now(made, monkeypatch)
    asked = asyncio.create_task(made.client.post(f"{path}/skip", json={"count": 1}, headers={"Prefer": "wait=60"}))

    async def stored():
        return (await wanted(made, schedule_id)).version == 2

    await eventually("stored", stored)
    schedule = await wanted(made, schedule_id)
    first = next_minutes(1, schedule.changed_at)[0]
    await decided(made, schedule_id, [first], Decision.SKIPPED, skip=schedule.skip.id)
    await made.status.writes("schedule_status", row_of(schedule, skip_next=0))
    response = await asyncio.wait_for(asked, 100)
    assert (response.json()["firstAffected"], response.json()["skipNext"]) == (text(first), 0)


async def test_a_slot_that_nobody_has_decided_goes_by_what_is_stored(made, monkeypatch):
    monkeypatch.setattr(keeping, "_DECIDED_WITHIN", -100.0)
    schedule_id, path = await about_now(made, monkeypatch)
    response = await made.client.post(f"{path}/pause")
    first = next_minutes(1, (await wanted(made, schedule_id)).changed_at)[0]
    assert response.json()["firstAffected"] == text(first)


async def test_a_decision_that_cannot_be_read_does_not_fail_a_change_that_is_stored(made, monkeypatch):
    schedule_id, path = await about_now(made, monkeypatch)
    slots = next_minutes(3, utc_now())
    odd = [{**tick(schedule_id, slot, Decision.MISSED).document(), "decision": "Danced"} for slot in slots]
    await made.database["ticks"].insert_many(odd)
    response = await made.client.post(f"{path}/pause")
    assert response.status_code == 200, response.text
    first = next_minutes(1, (await wanted(made, schedule_id)).changed_at)[0]
    assert response.json()["firstAffected"] == text(first)


async def test_a_slot_that_was_passed_over_does_not_go_by_a_new_timetable(made, monkeypatch):
    schedule_id, path = await about_now(made, monkeypatch)
    asked = asyncio.create_task(made.client.patch(path, json={"cron": "*/1 * * * *"}))

    async def stored():
        return (await wanted(made, schedule_id)).version == 2

    await eventually("stored", stored)
    first, second = next_minutes(2, (await wanted(made, schedule_id)).changed_at)
    await decided(made, schedule_id, [second], Decision.TRIGGERED, decided_at=utc_now() + HOUR)
    response = await asyncio.wait_for(asked, 100)
    assert response.json()["firstAffected"] == text(second) != text(first)


async def test_of_every_slot_it_is_told_what_became_of_it(made):
    schedule_id = (await create(made, NOWAIT))["id"]
    slots = [datetime(2026, 3, 1, hour, tzinfo=UTC) for hour in range(24)]
    of = {hour: ids.slot_operation_id(schedule_id, slots[hour]) for hour in range(24)}
    ran = {"cluster": "eu1"}
    refusals = {
        n: Refusal(code=code, pointer="", detail=code) for n, code in ((4, "Overlap"), (5, "Superseded"), (6, "NameTaken"))
    }
    await decides(
        made,
        tick(schedule_id, slots[0], Decision.PAUSED, until=slots[1], count=2),
        tick(schedule_id, slots[2], Decision.TRIGGERED),
        tick(schedule_id, slots[3], Decision.TRIGGERED),
        *(tick(schedule_id, slots[n], Decision.TRIGGERED) for n in (4, 5, 6, 7)),
        tick(schedule_id, slots[8], Decision.INVALID, reason="CronInvalid"),
        tick(schedule_id, slots[9], Decision.INVALID, reason="CronInvalid", until=slots[11], count=3),
        tick(schedule_id, slots[12], Decision.INVALID, reason="ClusterUnknown"),
        tick(schedule_id, slots[13], Decision.SUPERSEDED, ran=slots[14]),
        tick(schedule_id, slots[14], Decision.TRIGGERED, deadline=datetime(2100, 1, 1, tzinfo=UTC)),
        tick(schedule_id, slots[15], Decision.TRIGGERED),
    )
    states = {2: OperationState.SUCCEEDED, 3: OperationState.ACCEPTED, 7: OperationState.EXPIRED}
    items = [
        *(operation_item(of[n], state, **ran) for n, state in states.items()),
        *(operation_item(of[n], OperationState.REJECTED, refusal=refusal) for n, refusal in refusals.items()),
    ]
    # A backup that was asked for is as old as its command, however late the cluster took it.
    answered = {of[2]: slots[2] + timedelta(seconds=60), of[3]: slots[3] + timedelta(seconds=61)}
    facts = {operation_id: {"accepted": {"at": at, "cluster": "eu1"}} for operation_id, at in answered.items()}
    await made.status.writes(
        "operations", *({"_id": item.id, "item": to_document(item), **facts.get(item.id, {})} for item in items)
    )
    await made.status.writes(
        "backups",
        backup_document(backup_item(of[2], created_at=slots[2])),
        backup_document(backup_item(of[3], created_at=slots[3], status="Creating")),
        backup_document(backup_item(of[4], status="Refused")),
    )
    path = f"{API}/schedules/{schedule_id}/ticks"
    body = (await made.client.get(path)).json()
    assert [(t["from"][11:13], t["to"][11:13], t["count"], t["decision"], t["result"]) for t in body["items"]] == [
        ("15", "15", 1, "Triggered", SlotResult.UNDELIVERED),
        ("14", "14", 1, "Triggered", SlotResult.PENDING),
        ("13", "13", 1, "Superseded", None),
        ("12", "12", 1, "Invalid", None),
        ("08", "11", 4, "Invalid", None),
        ("07", "07", 1, "Triggered", SlotResult.UNDELIVERED),
        ("06", "06", 1, "Triggered", SlotResult.REFUSED),
        ("05", "05", 1, "Triggered", SlotResult.SUPERSEDED),
        ("04", "04", 1, "Triggered", SlotResult.OVERLAP),
        ("03", "03", 1, "Triggered", SlotResult.LATE),
        ("02", "02", 1, "Triggered", SlotResult.ACCEPTED),
        ("00", "01", 2, "Paused", None),
    ]
    by_hour = {t["from"][11:13]: t for t in body["items"]}
    assert by_hour["02"]["backup"] == {"id": of[2], "name": of[2], "status": "Completed"}
    assert (by_hour["03"]["backup"]["status"], by_hour["04"]["backup"]) == ("Creating", None)
    assert (by_hour["06"]["refusal"]["code"], by_hour["06"]["operationId"]) == ("NameTaken", of[6])
    assert (by_hour["08"]["reason"], by_hour["12"]["reason"], by_hour["13"]["ran"]) == (
        *("CronInvalid", "ClusterUnknown"),
        "2026-03-01T14:00:00Z",
    )
    assert (by_hour["15"]["operationId"], by_hour["14"]["deadline"]) == (None, "2100-01-01T00:00:00Z")

    async def hours(query):
        response = await made.client.get(f"{path}?{query}")
        assert response.status_code == 200, response.text
        return [(t["from"][11:13], t["count"]) for t in response.json()["items"]]

    assert await hours("decision=Paused&decision=Superseded") == [("13", 1), ("00", 2)]
    assert await hours("decision=Invalid") == [("12", 1), ("09", 3), ("08", 1)]
    assert await hours("from=2026-03-01T14:00:00Z") == [("15", 1), ("14", 1)]
    assert await hours("from=2026-03-01T10:00:00Z&to=2026-03-01T12:00:00Z") == [("12", 1), ("09", 3)]
    assert await hours("to=2026-03-01T00:00:00Z") == [("00", 2)]

    assert (await made.client.get(f"{path}?decision=Odd")).status_code == 400


async def test_pages_of_slots_follow_one_another_also_while_new_ones_are_decided(made):
    schedule_id = (await create(made, NOWAIT))["id"]
    slots = [datetime(2026, 3, 1, hour, tzinfo=UTC) for hour in range(10)]
    await decides(made, *(tick(schedule_id, slot, Decision.TRIGGERED) for slot in slots[:7]))
    path, seen, cursor, coming = f"{API}/schedules/{schedule_id}/ticks?limit=3", [], "", iter(slots[7:])
    while cursor is not None:
        page = (await made.client.get(f"{path}{cursor and f'&cursor={cursor}'}")).json()
        seen += [t["from"][11:13] for t in page["items"]]
        cursor = page["nextCursor"]
        await decides(made, tick(schedule_id, next(coming), Decision.TRIGGERED))
    assert seen == ["06", "05", "04", "03", "02", "01", "00"]
    other = await made.client.get(f"{path}&decision=Paused&cursor={(await made.client.get(path)).json()['nextCursor']}")
    assert (other.status_code, other.json()["type"]) == (400, "/problems/invalid-cursor")


async def test_what_is_put_together_between_two_pages_is_shown_again_and_never_left_out(made):
    schedule_id = (await create(made, NOWAIT))["id"]
    slots = [datetime(2026, 3, 1, hour, tzinfo=UTC) for hour in range(6)]
    one_by_one = [tick(schedule_id, slot, Decision.MISSED) for slot in slots]
    await decides(made, *one_by_one)
    path = f"{API}/schedules/{schedule_id}/ticks?limit=2"
    first = (await made.client.get(path)).json()
    assert [(t["from"][11:13], t["to"][11:13]) for t in first["items"]] == [("04", "05")]
    together = tick(schedule_id, slots[1], Decision.MISSED, until=slots[5], count=5)
    await made.database["ticks"].delete_many({"_id": {"$in": [each.id for each in one_by_one[1:]]}})
    await decides(made, together)
    rest = (await made.client.get(f"{path}&cursor={first['nextCursor']}")).json()
    assert [(t["from"][11:13], t["to"][11:13], t["count"]) for t in rest["items"]] == [("00", "05", 6)]
    assert rest["nextCursor"] is None


async def test_a_decision_that_cannot_be_read_is_named_and_the_others_are_shown(made):
    schedule_id = (await create(made, NOWAIT))["id"]
    slot = datetime(2026, 3, 1, tzinfo=UTC)
    odd = {**tick(schedule_id, slot + HOUR, Decision.MISSED).document(), "decision": "Danced"}
    await decides(made, tick(schedule_id, slot, Decision.MISSED))
    await made.database["ticks"].insert_one(odd)
    body = (await made.client.get(f"{API}/schedules/{schedule_id}/ticks")).json()
    assert ([t["decision"] for t in body["items"]], body["unreadable"]) == (["Missed"], [odd["_id"]])


async def test_the_slots_of_a_schedule_that_has_gone_can_still_be_read(made):
    slot = datetime(2026, 3, 1, tzinfo=UTC)
    await decides(made, tick("gone", slot, Decision.MISSED))
    assert len((await made.client.get(f"{API}/schedules/gone/ticks")).json()["items"]) == 1
    assert (await made.client.get(f"{API}/schedules/gone/ticks?decision=Paused")).json()["items"] == []


async def test_a_timetable_can_be_tried_out(made):
    wish = {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "count": 100}
    body = (await made.client.post(f"{API}/schedules/preview", json=wish)).json()
    assert body["cronText"] == "Every day at 02:30"
    assert len(body["instants"]) == 100
    for instant in body["instants"]:
        local = datetime.fromisoformat(instant["local"])
        assert local == datetime.fromisoformat(instant["at"])
        assert local.utcoffset() in {HOUR, 2 * HOUR}
    assert {"SlotMoved", "SlotTakenOnce"} == {warning["code"] for warning in body["warnings"]}
    assert len((await made.client.post(f"{API}/schedules/preview", json={"cron": "@daily"})).json()["instants"]) == 10
    for wish, pointers in (
        ({"cron": "61 * * * *"}, ["/cron"]),
        ({"cron": "0 0 31 2 *", "timezone": "Mars/Base"}, ["/cron", "/timezone"]),
        ({"cron": "@daily", "count": 101}, ["/count"]),
        ({"cron": ""}, ["/cron"]),
        ({}, ["/cron"]),
    ):
        response = await made.client.post(f"{API}/schedules/preview", json=wish)
        assert (response.status_code, [e["pointer"] for e in response.json()["errors"]]) == (422, pointers), wish
