"""Hooks of a restore: containers that prepare a pod, and commands in pods that have been restored.

Both are for pods by the namespace that they are restored to. No command is run: no pod of a simulated cluster ever runs one,
so each waits for its time and fails.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from simulator.documents import Document, clone, dig
from simulator.velero.durations import parse_duration
from simulator.velero.selection import labels_match, namespaces_of

_LONGEST = 600.0
"""How long the end of a restore waits for commands that name no time."""
_NEEDED = ("command", "name", "image")
_INIT = "init.hook.restore.velero.io/container-"
_POST = "post.hook.restore.velero.io/"


def hook_errors(spec: Document) -> Iterator[str]:
    """Return what is wrong with the containers of init hooks."""
    for resource in dig(spec, "hooks.resources") or ():
        for hook in resource.get("postHooks") or ():
            for container in dig(hook, "init.initContainers") or ():
                if not all(container.get(field) for field in _NEEDED):
                    why = "invalid InitContainer in restore hook, it doesn't have Command, Name or Image field"
                    yield f'invalid init container in restore hook "{resource["name"]}": {why}'


def prepared(pod: Document, spec: Document, target: str) -> Document:
    """Return a pod with the containers that its annotations, or else the hooks of the spec, put before its own."""
    annotations = pod["metadata"].get("annotations") or {}
    if image := annotations.get(f"{_INIT}image"):
        added = [{"name": annotations.get(f"{_INIT}name", "velero-restore-init"), "image": image}]
    else:
        found = (dig(hook, "init.initContainers") or () for _, hook in _hooks(pod, spec, target))
        added = [clone(container) for containers in found for container in containers]
    if not added:
        return pod
    own = dig(pod, "spec.initContainers") or []
    return {**pod, "spec": {**pod["spec"], "initContainers": [*added, *own]}}


@dataclass(frozen=True, slots=True)
class Command:
    """A command that is to be run in a pod once it runs, within so many seconds of Velero's."""

    hook: str
    container: str
    namespace: str
    pod: str
    patience: float

    @property
    def failure(self) -> str:
        """What is said when its time is over."""
        where = f"container {self.container} in pod {self.namespace}/{self.pod}"
        return f"hook {self.hook} in {where} not executed: context deadline exceeded"


def commands(pod: Document, spec: Document, target: str) -> list[Command]:
    """Return the commands that the annotations of a restored pod, or else the hooks of the spec, ask for."""
    name = str(pod["metadata"]["name"])
    containers = [each["name"] for each in dig(pod, "spec.containers") or ()]
    annotations = pod["metadata"].get("annotations") or {}
    if annotations.get(f"{_POST}command"):
        told = {key: annotations.get(f"{_POST}{key}", "") for key in ("container", "wait-timeout")}
        asked = [("<from-annotation>", told["container"], told["wait-timeout"])]
    else:
        runs = ((hook_name, hook["exec"]) for hook_name, hook in _hooks(pod, spec, target) if hook.get("exec"))
        asked = [(hook_name, run.get("container", ""), run.get("waitTimeout", "")) for hook_name, run in runs]
    found = [(hook, container or containers[0], parse_duration(wait) if wait else _LONGEST) for hook, container, wait in asked]
    return [Command(hook, container, target, name, wait) for hook, container, wait in found if container in containers]


def _hooks(pod: Document, spec: Document, target: str) -> Iterator[tuple[str, Document]]:
    labels = pod["metadata"].get("labels") or {}
    for resource in dig(spec, "hooks.resources") or ():
        if namespaces_of(resource, [target]) and labels_match({"labelSelector": resource.get("labelSelector")}, labels):
            yield from ((str(resource["name"]), hook) for hook in resource.get("postHooks") or ())
