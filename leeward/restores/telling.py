"""A restore for people: how it went and why first, then what it is of, what became of the objects, and its history."""

from collections.abc import Mapping
from typing import Any

from leeward import specs, telling, words
from leeward.columns import creator, dig
from leeward.output import Output
from leeward.restores.form import FIELDS
from leeward.waiting import step
from shared.runtime import clock

Item = Mapping[str, Any]
_BLOCKER = "Blocker"
_DIFFER = "Kept as they are (differ)"


def show(output: Output, item: Item) -> None:
    """Print all that is known of a restore."""
    now = clock.now()
    output.facts(telling.short(item))
    output.section("Objects", _counts(item))
    output.section(
        "Made",
        {
            "Backup Id": dig(item, "backup", "id"),
            "Schedule": dig(item, "schedule", "name"),
            "Created By": creator(item),
            "Labels": item.get("labels") or None,
            "Restore Date": words.moment(item.get("createdAt"), seconds=True),
            "Started": words.moment(item.get("startedAt"), seconds=True),
            "Completed": words.moment(item.get("completedAt"), seconds=True),
            "Velero Namespace": item.get("namespace"),
            "Operation": item.get("operationId") if item.get("operationId") != item.get("id") else None,
            "In Cluster": item.get("present"),
            "Unreadable": item.get("unreadable"),
            "Kept": item.get("captured") or None,
            "As Of": words.ago(item.get("asOf"), now),
        },
    )
    output.section("Spec" if item.get("spec") else "Requested Spec", dict(specs.told(item, specs.RESTORE)))
    output.section("Modifiers", _modifiers(item.get("modifiers") or {}))
    output.section("Hooks", telling.hooks(item))
    output.section("Steps", [f"{words.moment(s.get('at'), seconds=True)}  {step(s)}" for s in item.get("steps") or []])
    output.section("Findings", telling.findings(item))
    output.section("Notes", telling.notices(item, {field.pointer: field.option for field in FIELDS}))
    output.section("History", telling.history(item))
    if item.get("outcome") in {"PartiallyFailed", "Failed"}:
        output.say(f"`leeward restore results {item.get('id')}` has every error")
        output.say(f"`leeward restore logs {item.get('id')}` has all that Velero wrote")


def _counts(item: Item) -> dict[str, Any]:
    """Return what became of the objects. Velero counts as failed, too, what differs and stays as it is: that is no error."""
    unharmed = item.get("errors") == 0
    return {
        _DIFFER if unharmed and name == "failed" and count else name.capitalize(): count
        for name, count in (item.get("counts") or {}).items()
    }


def _modifiers(modifiers: Item) -> list[str]:
    """Say of which objects the rules are."""
    told = []
    for rule in modifiers.get("resourceModifierRules") or []:
        about = rule.get("conditions") or {}
        names = f" called {words.plain(about['resourceNameRegex'])}" if about.get("resourceNameRegex") else ""
        where = f" in {words.plain(about['namespaces'])}" if about.get("namespaces") else ""
        told.append(f"{words.plain(about.get('groupResource'))}{names}{where}")
    return told


def preflight(output: Output, answer: Item) -> None:
    """Print what a restore would meet, and whether it would be refused."""
    found = answer.get("findings") or []
    for line in telling.findings(answer):
        output.line(line)
    blockers = sum(finding.get("severity") == _BLOCKER for finding in found)
    if answer.get("blocked"):
        output.say(f"it would be refused: {words.number(blockers)} blocker{'' if blockers == 1 else 's'}")
    else:
        output.say("nothing stands against it" + (", but know the above" if found else ""))
