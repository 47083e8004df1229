"""From options to the body of `POST /schedules`, and to the changes of `PATCH /schedules/{id}`. Pure."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

from leeward.errors import CliError, Exit
from leeward.request import FIELDS, Body, Field, Form, filled, put

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
_CHANGE = Form(CHANGES, SCHEDULE.scope, {})
_FIXED = ("name", "cluster")
"""What a file may say and no schedule can change."""


def changes(
    now: Body, given: Mapping[str, Any], unset: Sequence[str] = (), *, base: Body | None = None
) -> tuple[Body, dict[str, str]]:
    """Return the merge patch (RFC 7396) that makes of a schedule what is wanted, and which option wants which place.

    `base` is what a file said, `unset` names options whose fields go back to what they usually are. An option replaces all that
    stands in its field. Raises CliError for a value that cannot be read, and for an option that is not known.
    """
    wanted = _merged(now, base or {})
    for key in _FIXED:
        if key in (base or {}) and wanted[key] != now.get(key):
            raise CliError(f"the file is of {key} {wanted[key]}, the schedule of {key} {now.get(key)}", Exit.USAGE)
    options = {}
    for field in (_field(name) for name in unset):
        put(wanted, field.pointer, None)
        options[field.pointer] = f"--unset {field.option.lstrip('-')}"
    wanted, said = filled(given, _CHANGE, wanted)
    return patch(now, wanted), options | said


def _field(name: str) -> Field:
    """Return the field of an option by its name, with or without dashes.

    Raises CliError.
    """
    for field in CHANGES:
        if f"--{name.lstrip('-')}" in field.names.replace("/", " ").split():
            return field
    raise CliError(f"--unset {name}: there is no option --{name.lstrip('-')} of a field", Exit.USAGE)


_NOTHING: Sequence[Any] = (None, "", [], {})
"""What says as much as leaving the field out."""


def patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> Body:
    """Return the merge patch that leads from one object to another."""
    changed: Body = {}
    for key in {**before, **after}:
        old, new = before.get(key), after.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            if below := patch(old, new):
                changed[key] = below
        elif old != new and not (old in _NOTHING and new in _NOTHING):
            changed[key] = new
    return changed


def _merged(now: Body, change: Mapping[str, Any]) -> Body:
    """Return an object with a merge patch applied."""
    merged = deepcopy(now)
    for key, value in change.items():
        below = merged.get(key)
        merged[key] = _merged(below if isinstance(below, dict) else {}, value) if isinstance(value, Mapping) else value
    return merged
