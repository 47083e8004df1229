"""What fields of a request for a restore may be together. Pure. The rules are Velero's own (v1.18), as for backups."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pydantic import TypeAdapter

from services.gateway.rules import DEADLINE, LABELS, Finding, Part, in_both, list_pair
from shared.contracts.durations import parse
from shared.contracts.restorespec import RestoreSpec

_CONTAINER = ("name", "image", "command")


def _positive_durations(spec: RestoreSpec) -> Iterator[Finding]:
    """0 is what Velero replaces with its default."""
    if not parse(spec.item_operation_timeout):
        yield "/itemOperationTimeout", "must be longer than nothing (Velero takes 0 for its default)"
    for i, hook in enumerate(spec.hooks.resources if spec.hooks else []):
        for j, step in enumerate(hook.post_hooks):
            if step.exec is not None and step.exec.exec_timeout is not None and not parse(step.exec.exec_timeout):
                yield f"/hooks/resources/{i}/postHooks/{j}/exec/execTimeout", "must be longer than nothing"


def _resource_lists(spec: RestoreSpec) -> Iterator[Finding]:
    kinds = ("includedResources", spec.included_resources, "excludedResources", spec.excluded_resources)
    yield from list_pair(*kinds, all_excludable=False)
    if (status := spec.restore_status) is not None:
        yield from in_both(status.included_resources, "restoreStatus/excludedResources", status.excluded_resources)


def _hooks(spec: RestoreSpec) -> Iterator[Finding]:
    """Velero leaves out what is in both lists, and skips a hook of which nothing is left without a word."""
    for i, hook in enumerate(spec.hooks.resources if spec.hooks else []):
        where = f"hooks/resources/{i}"
        yield from in_both(hook.included_namespaces, f"{where}/excludedNamespaces", hook.excluded_namespaces)
        yield from in_both(hook.included_resources, f"{where}/excludedResources", hook.excluded_resources)
        for j, step in enumerate(hook.post_hooks):
            for k, container in enumerate(step.init.init_containers if step.init else []):
                if missing := [field for field in _CONTAINER if not container.get(field)]:
                    yield (
                        f"/{where}/postHooks/{j}/init/initContainers/{k}",
                        f"needs {', '.join(missing)}: Velero takes none without",
                    )


SPEC_RULES: tuple[Callable[[RestoreSpec], Iterable[Finding]], ...] = (_positive_durations, _resource_lists, _hooks)


def _spec_rules(spec: RestoreSpec) -> Iterator[Finding]:
    for rule in SPEC_RULES:
        yield from rule(spec)


PARTS = (Part(("spec",), TypeAdapter[Any](RestoreSpec), _spec_rules), LABELS, DEADLINE)
