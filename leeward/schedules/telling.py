"""A schedule for people: what is wrong first, then when it runs, what it made, what became of the last slots, and its form."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from leeward import specs, words
from leeward.backups import scoping
from leeward.columns import TICKS, dig, schedule_status, storage
from leeward.output import Output
from shared.runtime import clock

Item = Mapping[str, Any]
_MEANS: Mapping[bool, str] = {
    True: "slots are left out until it is mended",
    False: "slots are sent all the same, and run late if that passes in time",
}
"""What a reason means for the slots, by whether it is permanent."""
_COUNTS: Mapping[str, str] = {
    "completed": "completed",
    "partiallyFailed": "partially failed",
    "failed": "failed",
    "missed": "missed",
    "skipped": "skipped",
}


def name(item: Item) -> str:
    """Return what a schedule is called, and where it is."""
    return f"schedule {words.plain(item.get('name'))} of cluster {words.plain(item.get('cluster'))}"


def from_on(item: Item) -> str:
    """Say which slot is the first that goes by a change; nothing if there is none."""
    first = words.moment(item.get("firstAffected"))
    return f", from the slot {first} on" if first != words.UNKNOWN else ""


def state(item: Item) -> str:
    """Return a schedule's status as it stands in a sentence."""
    return schedule_status(item, clock.now())


def reasons(item: Item) -> list[str]:
    """Return what is wrong with a schedule, and whether somebody has to do something about it."""
    return [
        f"{words.plain(r.get('message')).rstrip('.')}: {_MEANS[bool(r.get('permanent'))]}" for r in item.get("reasons") or []
    ]


def told(output: Output, item: Item, what: str) -> None:
    """Say what has become of a schedule, and what is wrong with it."""
    if not output.table:
        output.data(item)
        return
    output.line(f"{name(item)} {what}")
    for reason in reasons(item):
        output.say(f"{words.plain(item.get('status'))}: {reason}")


def show(output: Output, item: Item, coming: Item, gone_by: Sequence[Item]) -> None:
    """Print all that is known of a schedule. `coming` is a preview of its slots, `gone_by` what became of the last ones."""
    now = clock.now()
    output.facts(
        {
            "Name": item.get("name"),
            "Cluster": item.get("cluster"),
            "Id": item.get("id"),
            "Description": item.get("description"),
            "Managed By": "Velero, in the cluster: it is shown here and not changed"
            if item.get("managedBy") == "Velero"
            else None,
            "Status": schedule_status(item, now),
            "Why": "\n".join(reasons(item)),
        }
    )
    _deletion(output, item)
    output.section("When", _when(item))
    output.section("Next Slots", list(_coming(item, coming)))
    output.section("Rules", _rules(item))
    output.section("Backups", _backups(item))
    if gone_by:
        output.line("\nLast Slots:")
        output.rows(TICKS, gone_by, indent=2)
    _template(output, item)
    output.section(
        "Made",
        {
            "Created By": item.get("createdBy"),
            "Created": words.moment(item.get("createdAt"), seconds=True),
            "Changed": words.moment(item.get("changedAt"), seconds=True),
            "Version": item.get("version"),
            "As Of": words.ago(item.get("asOf"), now),
        },
    )


def _deletion(output: Output, item: Item) -> None:
    deletion = item.get("deleting")
    if not deletion:
        return
    output.section(
        "Deletion",
        {
            "Asked By": deletion.get("by"),
            "Asked": words.moment(deletion.get("at"), seconds=True),
            "Backups": "go with it" if deletion.get("deleteBackups") else "stay",
            "Attempt": deletion.get("attempt"),
            "Errors": "\n".join(map(words.plain, deletion.get("errors") or [])),
        },
    )


def _when(item: Item) -> dict[str, Any]:
    spread = item.get("spread")
    return {
        "Cron": item.get("cron"),
        "In Words": item.get("cronText"),
        "Time Zone": item.get("timezone"),
        "Spread": f"up to {spread} after each slot" if spread not in {None, "0s"} else None,
        "Paused": "nothing runs until it is resumed" if item.get("paused") else None,
        "Next Run": words.moment(item.get("nextRunAt"), seconds=True),
        "Left Out": slots(item.get("skipNext") or 0),
    }


def slots(count: int) -> str | None:
    """Return the next so many slots in words."""
    return None if not count else "the next slot" if count == 1 else f"the next {words.number(count)} slots"


def _coming(item: Item, coming: Item) -> Iterator[str]:
    """Say when the next slots are on the clocks of the schedule's time zone, and which of them do not run."""
    skipped = item.get("skipNext") or 0
    for number, instant in enumerate(coming.get("instants") or []):
        why = "paused" if item.get("paused") else "left out" if number < skipped else ""
        yield local(instant) + (f"  {why}" if why else "")


def local(instant: Item) -> str:
    """Return what the clocks show at a slot, with their offset."""
    at = words.instant(instant.get("local"))
    return at.strftime("%a %Y-%m-%d %H:%M %z") if at else words.moment(instant.get("at"))


def _rules(item: Item) -> dict[str, Any]:
    goes = "go with it" if item.get("deleteBackupsOnDeletion") else "stay"
    return {
        "Starting Deadline": item.get("startingDeadline"),
        "Misfire": item.get("misfire"),
        "Concurrency": item.get("concurrencyPolicy"),
        "On Deletion": f"its backups {goes}" if item.get("version") is not None else None,
    }


def _backups(item: Item) -> dict[str, Any]:
    last = item.get("lastBackup") or {}
    counts = item.get("counts") or {}
    return {
        "Last Backup": words.moment(item.get("lastBackupAt"), seconds=True),
        "Called": last.get("name"),
        "Result": last.get("status"),
        "Last Skipped": words.moment(item.get("lastSkippedAt"), seconds=True),
        "So Far": ", ".join(f"{words.number(counts[key])} {told}" for key, told in _COUNTS.items() if counts.get(key))
        or "none",
    }


def _template(output: Output, item: Item) -> None:
    template = item.get("template") or {}
    spec = template.get("spec") or item.get("veleroTemplate") or {}
    output.section(
        "Template",
        {
            "Storage Location": storage(item, clock.now()),
            "Bucket": dig(item, "storageLocation", "bucket"),
            "Scope": scoping.told(template.get("scope")),
            "Labels": template.get("labels") or None,
            **{title: value for title, value in specs.told({"spec": spec}, specs.BACKUP) if title != "Storage Location"},
        },
    )


def preview(output: Output, answer: Item) -> None:
    """Print when an expression would run, and what to know before trusting it."""
    output.line(words.plain(answer.get("cronText")))
    for instant in answer.get("instants") or []:
        output.line(f"  {local(instant)}  (in {words.remaining(instant.get('at'), clock.now())})")
    for warning in answer.get("warnings") or []:
        output.say(f"note: {words.plain(warning.get('message'))}")
