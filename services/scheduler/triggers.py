"""The command of a slot: all that an executor needs to make its backup. Pure."""

from datetime import datetime
from typing import Final

from shared.contracts import subjects
from shared.contracts.base import Wire
from shared.contracts.commands import Origin, ScheduleTrigger
from shared.contracts.envelope import Envelope, type_name
from shared.contracts.names import Noun
from shared.contracts.schedules import Schedule, Tick
from shared.contracts.selectors import Environments

SOURCE: Final = "/scheduler"
_VERB: Final = "trigger"


def trigger(schedule: Schedule, tick: Tick, environments: Environments | None, now: datetime) -> tuple[str, Envelope[Wire]]:
    """Return the subject and the message for a slot that was decided to run, from the schedule as it is now.

    Raises ValueError when no message can carry it.
    """
    data = ScheduleTrigger(
        name=tick.backup_name or "",
        labels=schedule.template.labels,
        scope=schedule.template.scope,
        spec=schedule.template.spec,
        environments=environments,
        schedule=Origin(id=schedule.id, name=schedule.name),
        slot=tick.from_,
        due=tick.due_at,
        concurrency_policy=schedule.concurrency_policy,
        misfire=schedule.misfire,
    )
    envelope = Envelope[Wire](
        id=tick.id,
        source=SOURCE,
        type=type_name(Noun.SCHEDULE, _VERB),
        time=now,
        cluster=tick.cluster,
        operationid=tick.id,
        principal=f"schedule/{schedule.name}",
        expiresat=tick.deadline,
        data=data,
    )
    return subjects.command(tick.cluster, Noun.SCHEDULE, _VERB, tick.id), envelope
