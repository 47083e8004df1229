"""A backup in full, for people: how it went and why first, then what it is of, what it holds, and its history."""

from datetime import datetime
from typing import Any

from leeward import specs, telling, words
from leeward.backups import scoping
from leeward.backups.form import FIELDS
from leeward.columns import VOLUMES, claim, creator, dig
from leeward.output import Output
from leeward.telling import Item
from shared.runtime import clock


def show(output: Output, item: Item) -> None:
    """Print all that is known of a backup."""
    now = clock.now()
    output.facts(telling.short(item))
    output.section("Scope", _scope(item))
    output.section("Made", _made(item, now))
    output.section("Spec" if item.get("spec") else "Requested Spec", dict(specs.told(item, specs.BACKUP)))
    _volumes(output, item)
    output.section("Hooks", telling.hooks(item))
    output.section("Notes", telling.notices(item, {field.pointer: field.option for field in FIELDS}))
    _deletion(output, item)
    output.section(
        "Restores",
        [
            f"{words.plain(r.get('name'))} into {words.plain(r.get('cluster'))}: {words.plain(r.get('status'))}"
            for r in item.get("restores") or []
        ],
    )
    output.section("History", telling.history(item))
    if item.get("outcome") in {"PartiallyFailed", "Failed"}:
        output.say(f"`leeward backup results {item.get('id')}` has every error")
        output.say(f"`leeward backup logs {item.get('id')}` has all that Velero wrote")


def _scope(item: Item) -> dict[str, Any]:
    spec = item.get("spec") or {}
    names = item.get("resolvedNamespaces")
    included = [n for n in spec.get("includedNamespaces") or [] if n != "*"]
    without = f" without {words.plain(spec['excludedNamespaces'])}" if spec.get("excludedNamespaces") else ""
    return {
        "Asked For": scoping.told(item.get("scope")),
        "Namespaces": names if names is not None else words.plain(included or "all") + without if spec else None,
    }


def _made(item: Item, now: datetime) -> dict[str, Any]:
    return {
        "Created By": creator(item),
        "Schedule": dig(item, "schedule", "name"),
        "Labels": item.get("labels") or None,
        "Backup Date": words.moment(item.get("createdAt"), seconds=True),
        "Queue Position": item.get("queuePosition"),
        "Started": words.moment(item.get("startedAt"), seconds=True),
        "Completed": words.moment(item.get("completedAt"), seconds=True),
        "Expires": words.moment(item.get("expiresAt"), seconds=True),
        "Velero Namespace": item.get("namespace"),
        "Operation": item.get("operationId") if item.get("operationId") != item.get("id") else None,
        "Copy": "of another cluster's backup" if item.get("replica") else None,
        "In Cluster": item.get("present"),
        "Unreadable": item.get("unreadable"),
        "Kept": item.get("captured") or None,
        "As Of": words.ago(item.get("asOf"), now),
    }


def _volumes(output: Output, item: Item) -> None:
    """Print one line a volume, and below them what there is to say about some."""
    volumes = item.get("volumes")
    if volumes is None:
        return
    output.line(f"\nVolumes:{'' if volumes else ' none'}")
    if volumes:
        output.rows(VOLUMES, volumes, indent=2)
    told = [f"{claim(volume)}: {telling.cut(volume['message'])}" for volume in volumes if volume.get("message")]
    output.indented([*telling.first(told), *(["(there were more)"] if item.get("volumesTruncated") else [])])


def _deletion(output: Output, item: Item) -> None:
    deletion = item.get("deletion")
    if not deletion:
        return
    output.section(
        "Deletion",
        {
            "Asked By": deletion.get("by"),
            "Asked": words.moment(deletion.get("askedAt"), seconds=True),
            "Errors": "\n".join(telling.first([telling.cut(error) for error in deletion.get("errors") or []])),
        },
    )
