"""The columns of every table: title, what stands in it, and how early it gives way on a narrow terminal. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from leeward import words

Item = Mapping[str, Any]
Cell = Callable[[Item, datetime], str]


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `yields`: the higher, the sooner it is left out where there is no room; 0 = never."""

    title: str
    cell: Cell
    yields: int = 0
    right: bool = False
    coloured: bool = False


def _of(*path: str) -> Cell:
    """Return the value at a path as plain text."""
    return lambda item, _now: words.plain(dig(item, *path))


def dig(item: Any, *path: str) -> Any:
    """Return the value at a path; None where there is none."""
    for step in path:
        item = item.get(step) if isinstance(item, Mapping) else None
    return item


def creator(item: Item) -> str:
    """Return who caused a backup: a person by name, anything else by its kind as well."""
    kind, name = dig(item, "createdBy", "kind"), dig(item, "createdBy", "name")
    if kind == "User" or not name:
        return words.plain(name or kind)
    return f"{words.plain(kind)} {words.plain(name)}"


_GOING: Mapping[str, str] = {"Creating": "itemsBackedUp", "Restoring": "itemsRestored"}
"""What counts how far something has come, by the status that it has meanwhile."""


def done(item: Item) -> Any:
    """Return how many objects a backup or a restore has handled; None if that is not known."""
    progress = item.get("progress") or {}
    return next((progress[key] for key in _GOING.values() if progress.get(key) is not None), None)


def status(item: Item, _now: datetime) -> str:
    """Return the status of a backup or a restore, while it is at work with how far it has come."""
    told, count, total = words.plain(item.get("status")), done(item), dig(item, "progress", "totalItems")
    return f"{told} {words.plain(count)}/{words.plain(total)}" if told in _GOING and total and count is not None else told


def home(item: Item, _now: datetime) -> str:
    """Return the cluster that shows a backup, and whether what it shows is a copy of another one's."""
    told = words.plain(item.get("cluster"))
    return f"{told} (copy)" if item.get("replica") else told


def expires(item: Item, now: datetime) -> str:
    """Return how long a backup is still kept; one that was deleted is not."""
    return words.UNKNOWN if item.get("status") == "Deleted" else words.remaining(item.get("expiresAt"), now)


def problems(item: Item, _now: datetime) -> str:
    """Return the codes of what is wrong with a cluster."""
    return words.plain([p.get("code") for p in item.get("problems") or []])


BACKUPS: Sequence[Column] = (
    Column("Name", _of("name")),
    Column("Cluster", home, yields=1),
    Column("Created By", lambda item, _now: creator(item), yields=5),
    Column("Status", status, coloured=True),
    Column("Backup Date", lambda item, _now: words.moment(item.get("createdAt")), yields=2),
    Column("Expires In", expires, yields=3),
    Column("Size", lambda item, _now: words.size(dig(item, "size", "totalBytes")), yields=4, right=True),
)


def claim(item: Item) -> str:
    """Return which claim a volume belongs to, or the volume if that is not known."""
    names = [item.get("namespace"), item.get("claim") or item.get("volume")]
    return "/".join(words.plain(name) for name in names if name)


VOLUMES: Sequence[Column] = (
    Column("Claim", lambda item, _now: claim(item)),
    Column("Volume", _of("volume"), yields=3),
    Column("Method", _of("method"), yields=2),
    Column("Result", _of("result"), coloured=True),
    Column("Size", lambda item, _now: words.size(item.get("sizeBytes")), right=True),
    Column("New Data", lambda item, _now: words.size(item.get("incrementalBytes")), yields=5, right=True),
)
CLUSTERS: Sequence[Column] = (
    Column("Name", _of("id")),
    Column("Display Name", _of("displayName"), yields=6),
    Column("Status", _of("status"), coloured=True),
    Column("Last Seen", lambda item, now: words.ago(item.get("lastSeenAt"), now), yields=1),
    Column("Mode", _of("mode"), yields=5),
    Column("Kubernetes", _of("kubernetesVersion"), yields=4),
    Column("Velero", _of("velero", "version"), yields=3),
    Column("Problems", problems, yields=2),
)


def labels(item: Item, _now: datetime) -> str:
    """Return the labels of a namespace without the one that repeats its name."""
    told = item.get("labels") or {}
    return words.plain({key: value for key, value in told.items() if key != "kubernetes.io/metadata.name"})


NAMESPACES: Sequence[Column] = (
    Column("Name", _of("name")),
    Column("Environment", _of("environment"), yields=1),
    Column("Labels", labels, yields=2),
)
KINDS: Sequence[Column] = (
    Column("Name", _of("name")),
    Column("Group", _of("group"), yields=1),
    Column("Kind", _of("kind"), yields=2),
    Column("In Namespaces", _of("namespaced"), yields=3),
)
LOCATIONS: Sequence[Column] = (
    Column("Name", _of("name")),
    Column("Cluster", _of("cluster")),
    Column("Status", _of("status"), coloured=True),
    Column("Provider", _of("provider"), yields=3),
    Column("Bucket", _of("bucket"), yields=1),
    Column("Prefix", _of("prefix"), yields=6),
    Column("Access", _of("accessMode"), yields=4),
    Column("Default", _of("default"), yields=2),
    Column("Validated", lambda item, now: words.ago(item.get("lastValidatedAt"), now), yields=5),
)
OPERATIONS: Sequence[Column] = (
    Column("Id", _of("id")),
    Column("Kind", _of("kind"), yields=4),
    Column("Cluster", _of("cluster"), yields=2),
    Column("State", _of("state"), coloured=True),
    Column("Asked By", _of("principal"), yields=5),
    Column("Asked", lambda item, now: words.ago(item.get("createdAt"), now), yields=3),
    Column("Made", _of("object", "name"), yields=1),
)


def schedule_name(item: Item, _now: datetime) -> str:
    """Return a schedule's name, and whether it is one of Velero's own."""
    told = words.plain(item.get("name"))
    return f"{told} (Velero)" if item.get("managedBy") == "Velero" else told


def schedule_status(item: Item, _now: datetime) -> str:
    """Return a schedule's status, with the codes of what is wrong, and whether it is on its way out."""
    more = [
        *(words.plain(reason.get("code")) for reason in item.get("reasons") or []),
        *(["deleting"] if item.get("deleting") else []),
    ]
    told = words.plain(item.get("status"))
    return f"{told} ({', '.join(more)})" if more else told


def storage(item: Item, _now: datetime) -> str:
    """Return where the backups of a schedule go: the location, and whose storage it is."""
    name, provider = dig(item, "storageLocation", "name"), dig(item, "storageLocation", "provider")
    return f"{words.plain(name)} ({words.plain(provider)})" if name and provider else words.plain(name)


def when(item: Item, _now: datetime) -> str:
    """Return when a schedule runs, in words if it has a meaning, and where it is that time."""
    told, zone = words.plain(item.get("cronText") or item.get("cron")), item.get("timezone")
    return f"{told} ({words.plain(zone)})" if zone not in {None, "UTC"} else told


SCHEDULES: Sequence[Column] = (
    Column("Schedule Name", schedule_name),
    Column("Status", schedule_status, coloured=True),
    Column("Cluster", _of("cluster"), yields=1),
    Column("Storage Location", storage, yields=6),
    Column("Cron", when, yields=5),
    Column("Next Run", lambda item, _now: words.moment(item.get("nextRunAt")), yields=2),
    Column("Last Backup", lambda item, _now: words.moment(item.get("lastBackupAt")), yields=3),
    Column("Last Result", _of("lastBackup", "status"), yields=4, coloured=True),
    Column("Last Skipped", lambda item, _now: words.moment(item.get("lastSkippedAt")), yields=7),
)

_WHY: Mapping[str, Callable[[Item], str]] = {
    "Skipped": lambda _tick: "a person asked to leave it out",
    "Paused": lambda _tick: "the schedule was paused",
    "Invalid": lambda tick: words.plain(tick.get("reason")),
    "Missed": lambda _tick: "nobody could decide in time",
    "Superseded": lambda tick: f"{words.moment(tick.get('ran'))} ran instead",
}


def slot(tick: Item, _now: datetime) -> str:
    """Return the slot of a tick, or from which to which one, and how many."""
    begin = words.moment(tick.get("from"))
    count = tick.get("count") or 1
    return begin if count == 1 else f"{begin} to {words.moment(tick.get('to'))} ({words.number(count)})"


def why(tick: Item, _now: datetime) -> str:
    """Return why a slot ended as it did: what the cluster said, else what the decision means."""
    refused = dig(tick, "refusal", "detail")
    told = _WHY.get(str(tick.get("decision")))
    return words.plain(refused) if refused else told(tick) if told else words.plain(_LATE.get(str(tick.get("result"))))


_LATE: Mapping[str, str] = {
    "Pending": "the cluster has not answered yet",
    "Late": "made more than a minute after it was due",
    "Undelivered": "the cluster did not answer before the deadline",
}

TICKS: Sequence[Column] = (
    Column("Slot", slot),
    Column("Decision", _of("decision"), coloured=True),
    Column("Result", _of("result"), yields=3, coloured=True),
    Column("Backup", _of("backup", "name"), yields=2),
    Column("Status", _of("backup", "status"), yields=1, coloured=True),
    Column("Why", why, yields=4),
)


def origin(item: Item, _now: datetime) -> str:
    """Return the backup that a restore is of, and its cluster if that is another one."""
    name, cluster = dig(item, "backup", "name"), dig(item, "backup", "cluster")
    told = words.plain(name)
    return f"{told} ({words.plain(cluster)})" if cluster and cluster != item.get("cluster") else told


RESTORES: Sequence[Column] = (
    Column("Name", _of("name")),
    Column("Cluster", _of("cluster"), yields=1),
    Column("Backup", origin, yields=2),
    Column("Created By", lambda item, _now: creator(item), yields=6),
    Column("Status", status, coloured=True),
    Column("Restore Date", lambda item, _now: words.moment(item.get("createdAt")), yields=3),
    Column("Errors", _of("errors"), yields=4, right=True),
    Column("Warnings", _of("warnings"), yields=5, right=True),
)
SNAPSHOT_LOCATIONS: Sequence[Column] = (
    Column("Name", _of("name")),
    Column("Cluster", _of("cluster")),
    Column("Status", _of("status"), coloured=True),
    Column("Provider", _of("provider"), yields=2),
    Column("Config", _of("spec", "config"), yields=3),
    Column("Message", _of("message"), yields=1),
)

COLOURS: Mapping[str, str] = {
    "Creating": "cyan",
    "Restoring": "cyan",
    "Deleting": "cyan",
    "Queued": "cyan",
    "Accepted": "cyan",
    "Triggered": "cyan",
    "New": "cyan",
    "Active": "green",
    "Completed": "green",
    "Succeeded": "green",
    "succeeded": "green",
    "Online": "green",
    "Available": "green",
    "PartiallyFailed": "yellow",
    "Warning": "yellow",
    "Pending": "yellow",
    "Paused": "yellow",
    "Skipped": "yellow",
    "Late": "yellow",
    "Overlap": "yellow",
    "Unregistered": "yellow",
    "NeverSeen": "yellow",
    "FailedValidation": "red",
    "Blocker": "red",
    "Invalid": "red",
    "Missed": "red",
    "Refused": "red",
    "Undelivered": "red",
    "Failed": "red",
    "Rejected": "red",
    "failed": "red",
    "Offline": "red",
    "Unavailable": "red",
}
"""Colours of statuses, by their first word; every other one is dim. A colour never says what the word does not."""
