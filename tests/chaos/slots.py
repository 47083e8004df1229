"""What must hold of schedules when a run is over: which slots there were, and that each has one end and at most one backup."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from tests.chaos.plan import NEVER_NOW, OFTEN, RARER

Json = dict[str, Any]

_EVERY: Final = {OFTEN: 1, RARER: 2}
"""At which minutes a run's expressions come: said here once more, so that a wrong timetable is found."""
_MINUTE: Final = timedelta(minutes=1)
ENDED: Final = {"Completed", "PartiallyFailed", "Failed"}
SLOT, SCHEDULE, OPERATION = "leeward.dev/slot", "leeward.dev/schedule-id", "leeward.dev/operation-id"


@dataclass(frozen=True, slots=True)
class Timekeeping:
    """Of one schedule: what the database holds, what people see, and what became of its slots, the newest first."""

    document: Mapping[str, Any]
    shown: Json
    ticks: Sequence[Json] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.document["name"])

    @property
    def slots(self) -> list[datetime]:
        """Every slot that there was, by the history that the database has of it."""
        eras = self.document["eras"]
        ends = [*(later["from"] for later in eras[1:]), None]
        found = []
        for number, (era, end) in enumerate(zip(eras, ends, strict=True)):
            if era["cron"] == NEVER_NOW or end is None:
                continue
            slot = era["from"].replace(second=0, microsecond=0)
            while slot < era["from"] or (slot == era["from"] and number == 0):
                slot += _MINUTE
            while slot < end:
                if slot.minute % _EVERY[era["cron"]] == 0:
                    found.append(slot)
                slot += _MINUTE
        return found

    @property
    def at_rest(self) -> bool:
        """Tell whether every slot was decided, and nothing that was fired goes on."""
        open_ones = [t for t in self.ticks if t["decision"] == "Triggered" and not (t["refusal"] or _ended(t))]
        return sum(tick["count"] for tick in self.ticks) >= len(self.slots) and not open_ones

    def status(self, objects: Sequence[Json]) -> str:
        """What people must see: every cluster answers and every location is there."""
        pauses = self.document["pauses"]
        if pauses and pauses[-1].get("to") is None:
            return "Paused"
        return "Active" if any(_of(item, self.document["_id"]) for item in objects) else "New"


def _ended(tick: Json) -> bool:
    return tick["result"] == "Undelivered" or (tick["backup"] or {}).get("status") in ENDED


def _of(item: Json, schedule: str) -> bool:
    return bool(item["metadata"]["labels"].get(SCHEDULE) == schedule)


def every_slot_was_decided_once(keeping: Sequence[Timekeeping]) -> Iterator[str]:
    for kept in keeping:
        left = kept.slots
        records = sorted(kept.ticks, key=lambda tick: tick["from"])
        for one, other in pairwise(records):
            if one["to"] >= other["from"]:
                yield f"{kept.name}: two records of {other['from']}"
        for tick in records:
            begin, end = (datetime.fromisoformat(tick[key]) for key in ("from", "to"))
            within = [slot for slot in left if begin <= slot <= end]
            if len(within) != tick["count"] or within[:1] != [begin] or within[-1:] != [end]:
                yield f"{kept.name}: {tick['decision']} is told of {tick['count']} from {begin} to {end}, there were {within}"
            left = [slot for slot in left if slot not in within]
        for slot in left:
            yield f"{kept.name}: nothing was decided for {slot}"


def what_was_fired_has_an_end(keeping: Sequence[Timekeeping]) -> Iterator[str]:
    for kept in keeping:
        for tick in kept.ticks:
            if tick["decision"] == "Triggered":
                if not tick["refusal"] and not tick["backup"] and tick["result"] != "Undelivered":
                    yield f"{kept.name}: {tick['from']} was fired and is {tick['result']}, with neither backup nor refusal"
            elif tick["backup"]:
                yield f"{kept.name}: {tick['from']} was {tick['decision']}, and there is backup {tick['backup']['name']} of it"


def no_slot_has_two_backups_and_no_backup_has_no_slot(
    keeping: Sequence[Timekeeping], objects: Mapping[str, Sequence[Json]]
) -> Iterator[str]:
    made = [item["metadata"] for items in objects.values() for item in items if SCHEDULE in item["metadata"]["labels"]]
    for (schedule, slot), times in Counter((m["labels"][SCHEDULE], m["annotations"][SLOT]) for m in made).items():
        if times > 1:
            yield f"{times} backups of schedule {schedule} for {slot}"
    fired = {tick["id"] for kept in keeping for tick in kept.ticks if tick["decision"] == "Triggered"}
    for metadata in made:
        if metadata["labels"][OPERATION] not in fired:
            yield f"backup {metadata['name']} is of a slot that nobody fired"


def schedules_are_shown_as_they_are(keeping: Sequence[Timekeeping], objects: Mapping[str, Sequence[Json]]) -> Iterator[str]:
    for kept in keeping:
        shown = kept.shown["status"], kept.shown["version"], kept.shown["reasons"]
        so_it_is = kept.status(objects[kept.document["cluster"]]), kept.document["version"], []
        if shown != so_it_is:
            yield f"{kept.name} is {so_it_is}, and is shown as {shown}"
