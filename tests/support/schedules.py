"""Hands to play status and the scheduler before a gateway: rows of schedules as they are judged, ticks as they are decided."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.contracts import ids
from shared.contracts.documents import to_document
from shared.contracts.phases import ScheduleStatus
from shared.contracts.schedules import Decision, Schedule, Tick
from shared.contracts.views import ScheduleItem
from shared.runtime.stopping import unless_cancelled
from tests.support.gateway import API, Stack

BODY: dict[str, Any] = {"name": "nightly", "cluster": "eu1", "cron": "0 2 * * *", "template": {"scope": {"kind": "all"}}}
FAR = datetime(2027, 1, 1, tzinfo=UTC)


def row_of(schedule: Schedule, **facts: Any) -> dict[str, Any]:
    """Return the row that status writes of a schedule."""
    item = ScheduleItem(
        id=schedule.id,
        name=schedule.name,
        cluster=schedule.cluster,
        description=schedule.description,
        **{
            "status": ScheduleStatus.PAUSED if schedule.paused else ScheduleStatus.NEW,
            "cron": schedule.cron,
            "cron_text": "words of status",
            "timezone": schedule.timezone,
            "next_run_at": FAR,
            "skip_next": schedule.skip.count if schedule.skip else 0,
            "paused": schedule.paused,
            "deleting": schedule.deleting,
            "version": schedule.version,
            "revision": int(schedule.changed_at.timestamp() * 1000),
            "created_by": schedule.created_by,
            "created_at": schedule.created_at,
            **facts,
        },
    )
    return {"_id": schedule.id, "cluster": item.cluster, "listed": True, "item": to_document(item), "detail": None}


@contextlib.asynccontextmanager
async def judging(made: Stack, **facts: Any) -> AsyncIterator[None]:
    """Status, which judges every version of every schedule, and drops the rows of those that have gone."""

    async def work() -> None:
        known: dict[str, int] = {}
        while True:
            unless_cancelled()
            documents = [Schedule.of(document) async for document in made.database["schedules"].find({})]
            for schedule in documents:
                if known.get(schedule.id) != schedule.version:
                    await made.status.writes("schedule_status", row_of(schedule, **facts))
                    known[schedule.id] = schedule.version
            for lost in known.keys() - {schedule.id for schedule in documents}:
                del known[lost]
                change = {"$set": {"listed": False, "item.status": "Deleted"}}
                await made.database["schedule_status"].update_one({"_id": lost}, change)
            await asyncio.sleep(0.02)

    task = asyncio.create_task(work())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


async def create(made: Stack, headers: dict[str, str] | None = None, **facts: Any) -> dict[str, Any]:
    """Make a schedule; returns it as it was answered."""
    response = await made.client.post(f"{API}/schedules", json={**BODY, **facts}, headers=headers)
    assert response.status_code == 201, response.text
    body: dict[str, Any] = response.json()
    return body


async def wanted(made: Stack, schedule_id: str) -> Schedule:
    """Return what the database holds of a schedule."""
    return Schedule.of(await made.database["schedules"].find_one({"_id": schedule_id}))


def tick(schedule_id: str, slot: datetime, decision: Decision, *, until: datetime | None = None, **facts: Any) -> Tick:
    """Return a decision as the scheduler makes it: in time, with the deadline of an hour."""
    return Tick(
        id=ids.slot_operation_id(schedule_id, slot),
        schedule=schedule_id,
        cluster="eu1",
        from_=slot,
        to=until or slot,
        decision=decision,
        **{
            "due_at": slot,
            "deadline": slot + timedelta(hours=1) if decision is Decision.TRIGGERED else None,
            "decided_at": slot,
            **facts,
        },
    )


async def decides(made: Stack, *ticks: Tick) -> None:
    """Store decisions."""
    await made.database["ticks"].insert_many([each.document() for each in ticks])
