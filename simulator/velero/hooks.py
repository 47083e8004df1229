"""Hooks of a backup: commands in pods before and after they are stored. No command is run; what can be told is told."""

from collections.abc import Iterator
from dataclasses import dataclass

from simulator.documents import Document, dig
from simulator.store import Store
from simulator.velero.items import Item
from simulator.velero.report import Report
from simulator.velero.selection import labels_match, namespaces_of, resolve

_ANNOTATION = "{}.hook.backup.velero.io/{}"


@dataclass(slots=True)
class HookCount:
    """How many hooks were run, and how many of them failed."""

    attempted: int = 0
    failed: int = 0

    def status(self) -> dict[str, int]:
        """Return the counters as a status carries them: zero is left out."""
        return {key: n for key, n in (("hooksAttempted", self.attempted), ("hooksFailed", self.failed)) if n}


def run_hooks(store: Store, spec: Document, item: Item, moment: str, count: HookCount, report: Report) -> bool:
    """Run the hooks of one object at a moment, `pre` or `post`. Return whether the object may still be stored."""
    if item.kind.resource != "pods":
        return True
    for fatal in _hooks(store, spec, item, moment):
        count.attempted += 1
        if problem := _problem(store, item.document):
            count.failed += 1
            report.say("Error executing hook", level="error", error=problem)
            if fatal:
                return False
    return True


def _hooks(store: Store, spec: Document, item: Item, moment: str) -> Iterator[bool]:
    """Return for each hook whether its failure is fatal to the object. An annotation keeps the hooks of the spec away."""
    annotations = item.document["metadata"].get("annotations", {})
    if _ANNOTATION.format(moment, "command") in annotations:
        yield annotations.get(_ANNOTATION.format(moment, "on-error"), "Fail") == "Fail"
        return
    for resource in dig(spec, "hooks.resources") or ():
        if _concerns(store, resource, item):
            yield from (dig(hook, "exec.onError") != "Continue" for hook in resource.get(moment) or ())


def _concerns(store: Store, resource: Document, item: Item) -> bool:
    included, excluded = (
        resolve(resource.get(field) or (), store.kinds) for field in ("includedResources", "excludedResources")
    )
    if (included and not included & {item.kind.resource, "*"}) or item.kind.resource in excluded:
        return False
    labels = item.document["metadata"].get("labels", {})
    return bool(namespaces_of(resource, [item.namespace])) and labels_match(
        {"labelSelector": resource.get("labelSelector")}, labels
    )


def _problem(store: Store, pod: Document) -> str:
    """Say why a command cannot be run in a pod: it is on no node, or on one that is not there."""
    node = dig(pod, "spec.nodeName")
    if not node:
        return f"pod {pod['metadata']['name']} does not have a host assigned"
    return "" if store.find("nodes", node) else f'pods "{node}" not found'
