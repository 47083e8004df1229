"""Keeping the agenda: everything at the beginning, what changes by a rescan, and at once what a hint says."""

import asyncio
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from services.scheduler.agenda import Agenda
from services.scheduler.measures import BROKEN
from services.scheduler.planner import next_due
from services.scheduler.ports import Ports, Sketch
from shared.contracts.schedules import Era, Schedule
from shared.runtime import logging

log = structlog.get_logger(__name__)

OVERLAP: Final = timedelta(minutes=5)
"""How far a rescan goes back before the last one: clocks differ, and a write may take long to be seen."""


async def rescan(ports: Ports, agenda: Agenda, since: datetime | None = None) -> None:
    """Note when to look at every schedule, or at those that have changed since then; whole, it forgets those that are gone.

    Raises Unavailable when the memory does not answer.
    """
    gone = agenda.known() if since is None else set()
    async for sketches in ports.memory.sketches(since):
        for sketch in sketches:
            gone.discard(str(sketch.document["_id"]))
            _note(agenda, sketch)
        await asyncio.sleep(0)  # a hundred thousand take seconds: what is due meanwhile is not to wait
    agenda.forget(gone)


def _note(agenda: Agenda, sketch: Sketch) -> None:
    name = str(sketch.document["_id"])
    try:
        agenda.put(name, _due(sketch))
    except Exception as error:  # noqa: BLE001 - anything may lie in a document; the others must not wait for it
        BROKEN.labels("scan").inc()
        told = {logging.OBJECT: name, logging.KIND: "scan", logging.REASON: type(error).__name__}
        log.error("schedule set aside", **told)  # noqa: TRY400 - its words may hold what a person wrote


def _due(sketch: Sketch) -> datetime | None:
    """Return when the next slot is due, from the little that says so."""
    document = sketch.document
    if document.get("deleting"):
        return None
    eras = [Era.read(era) for era in document["eras"]]
    spread = {"spread": document.get("spread", "0s"), "spread_since": document.get("spreadSince")}
    known: dict[str, Any] = {"id": str(document["_id"]), "eras": eras, **spread, "deleting": None}
    return next_due(Schedule.model_construct(**known), sketch.decided_to)
