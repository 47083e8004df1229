"""From options to the body of `POST /schedules`, and to the changes of `PATCH /schedules/{id}`. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from leeward.backups.form import FIELDS
from leeward.changing import Change
from leeward.request import Field, Form

_TEMPLATE = "/template"
_OF_THE_TEMPLATE = ("/labels", "/scope", "/spec")
_OWN: Sequence[Field] = (
    Field("--cron --schedule", "/cron", str, "CRON", "When: 'minute hour day month weekday', or @hourly … @yearly."),
    Field("--timezone --tz", "/timezone", str, "ZONE", "Where it is that time, e.g. Europe/Berlin (usually UTC)."),
    Field("--description", "/description", str, "WORDS", "What it is for."),
    Field(
        "--delete-backups-on-deletion/--no-delete-backups-on-deletion",
        *("/deleteBackupsOnDeletion", bool, None, "Whether its backups go with it when it is deleted."),
    ),
    Field(
        "--concurrency",
        *("/concurrencyPolicy", str, "POLICY", "While its last backup still runs: forbid another one, or allow it."),
    ),
    Field("--misfire", "/misfire", str, "POLICY", "Of times that passed while nothing could run: latest, all or none."),
    Field("--starting-deadline", "/startingDeadline", str, "DURATION", "How late one may still begin (usually 1h)."),
    Field("--spread", "/spread", str, "DURATION", "Begin up to so much later, always the same: not all at once."),
    Field("--paused/--no-paused", "/paused", bool, None, "Whether nothing runs until it is resumed."),
    Field("--skip-next", "/skipNext", int, "N", "Leave out so many of the next times."),
)

CHANGES: Sequence[Field] = (
    *_OWN,
    *(replace(field, pointer=_TEMPLATE + field.pointer) for field in FIELDS if field.pointer.startswith(_OF_THE_TEMPLATE)),
)
"""What can be changed of a schedule: its own fields, and the form of its backups as `backup create` has it."""

FIRST: Sequence[Field] = (next(field for field in FIELDS if field.pointer == "/cluster"), *CHANGES)
"""What can be said of a new one."""

SCHEDULE = Form(
    FIRST,
    f"{_TEMPLATE}/scope",
    {
        "name": "what to call it (NAME)",
        "cluster": "which cluster to back up (--cluster; `leeward cluster list` shows them)",
        "cron": "when (--cron; `leeward schedule preview '0 2 * * *'` shows what one means)",
    },
)
CHANGE = Change("schedule", Form(CHANGES, SCHEDULE.scope, {}), ("name", "cluster"))
