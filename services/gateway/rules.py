"""What fields of a request may be together. Pure.

The rules are Velero's own (v1.18: `backup_controller.go`, `pkg/util/collections`), told before anything is sent, plus those
that keep Velero from doing something else than was asked for, or nothing.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from functools import reduce
from typing import Any

from pydantic import TypeAdapter

from services.gateway.web.problems import FieldError, escape
from shared.contracts.backupspec import DEFAULT_CSI_SNAPSHOT_TIMEOUT, BackupSpec, Labels
from shared.contracts.base import Wire
from shared.contracts.durations import GoDuration, parse
from shared.contracts.names import RESERVED_PREFIXES
from shared.contracts.scopes import Scope, SpecificNamespaces, is_pattern

MAX_DEADLINE = timedelta(hours=168)
MIN_STARTING_DEADLINE = timedelta(minutes=1)
MAX_SPREAD = timedelta(hours=24)
MAX_PATTERNS = 100
"""Patterns in a list of namespaces: each is held against every namespace of the cluster."""

Finding = tuple[str, str]
"""A JSON pointer below the part that was looked at, and what is wrong there."""


def _scope_rules(scope: Scope) -> Iterator[Finding]:
    included = dict.fromkeys(scope.namespaces) if isinstance(scope, SpecificNamespaces) else {}
    for field, names in (("namespaces", included), ("excludedNamespaces", scope.excluded_namespaces)):
        if sum(map(is_pattern, names)) > MAX_PATTERNS:
            yield f"/{field}", f"must not have more than {MAX_PATTERNS} patterns"
            return
    for i, name in enumerate(scope.excluded_namespaces):
        if name in included:
            yield f"/excludedNamespaces/{i}", f"{name!r} is also included"
        elif is_pattern(name) and (hit := next((one for one in included if fnmatchcase(one, name)), None)):
            yield f"/excludedNamespaces/{i}", f"{name!r} leaves out {hit!r}, which is also included"


def _label_rules(labels: Labels) -> Iterator[Finding]:
    for key in labels:
        if key.startswith(RESERVED_PREFIXES):
            yield f"/{escape(key)}", f"labels beginning with {' or '.join(RESERVED_PREFIXES)} are Leeward's and Velero's own"


def _deadline_rules(deadline: GoDuration) -> Iterator[Finding]:
    if not timedelta(0) < parse(deadline) <= MAX_DEADLINE:
        yield "", "must be longer than nothing and at most 168h"


def _starting_deadline_rules(deadline: GoDuration) -> Iterator[Finding]:
    if not MIN_STARTING_DEADLINE <= parse(deadline) <= MAX_DEADLINE:
        yield "", "must be at least 1m and at most 168h"


def _spread_rules(spread: GoDuration) -> Iterator[Finding]:
    if parse(spread) > MAX_SPREAD:
        yield "", "must be at most 24h"


def _spec_rules(spec: BackupSpec) -> Iterator[Finding]:
    for rule in SPEC_RULES:
        yield from rule(spec)


def _positive_durations(spec: BackupSpec) -> Iterator[Finding]:
    """0 is what Velero replaces with its default: somebody who asks for 0 would get 30 days."""
    for field in ("ttl", "csiSnapshotTimeout", "itemOperationTimeout"):
        if not parse(_field(spec, field)):
            yield f"/{field}", "must be longer than nothing (Velero takes 0 for its default)"
    for i, hook in enumerate(spec.hooks.resources if spec.hooks else []):
        for when, steps in (("pre", hook.pre), ("post", hook.post)):
            for j, step in enumerate(steps):
                if step.exec.timeout is not None and not parse(step.exec.timeout):
                    yield f"/hooks/resources/{i}/{when}/{j}/exec/timeout", "must be longer than nothing"


def _one_selector(spec: BackupSpec) -> Iterator[Finding]:
    if spec.label_selector is not None and spec.or_label_selectors:
        yield "/orLabelSelectors", "cannot stand beside labelSelector: Velero takes only one of them"


OLD_FILTERS = ("includedResources", "excludedResources", "includeClusterResources")
NEW_FILTERS = (
    "includedClusterScopedResources",
    "excludedClusterScopedResources",
    "includedNamespaceScopedResources",
    "excludedNamespaceScopedResources",
)


def _one_filter_family(spec: BackupSpec) -> Iterator[Finding]:
    old, new = ([f for f in family if _field(spec, f) not in (None, [])] for family in (OLD_FILTERS, NEW_FILTERS))
    if old and new:
        for field in new:
            yield f"/{field}", f"cannot stand beside {', '.join(old)}: filter by scope, or globally, but not both"


RESOURCE_LISTS = (
    ("includedResources", "excludedResources", False),
    ("includedClusterScopedResources", "excludedClusterScopedResources", True),
    ("includedNamespaceScopedResources", "excludedNamespaceScopedResources", True),
)
"""Which lists belong together, and whether the excluded one may be `*` (everything)."""


def _resource_lists(spec: BackupSpec) -> Iterator[Finding]:
    for included, excluded, all_excludable in RESOURCE_LISTS:
        yield from list_pair(included, _field(spec, included), excluded, _field(spec, excluded), all_excludable=all_excludable)


def list_pair(
    included: str, includes: Sequence[str], excluded: str, excludes: Sequence[str], *, all_excludable: bool
) -> Iterator[Finding]:
    """Find what cannot be in two lists of kinds, one of which takes out of the other."""
    if "*" in includes and len(includes) > 1:
        yield f"/{included}/{includes.index('*')}", "'*' must stand alone"
    if "*" in excludes:
        where = f"/{excluded}/{excludes.index('*')}"
        if not all_excludable:
            yield where, "'*' is not allowed here: it would leave nothing"
        elif len(excludes) > 1:
            yield where, "'*' must stand alone"
        elif includes:
            yield where, f"'*' leaves nothing of {included}"
    yield from in_both(includes, excluded, excludes)


def in_both(includes: Sequence[str], excluded: str, excludes: Sequence[str]) -> Iterator[Finding]:
    """Find what is in both lists."""
    both = frozenset(includes) - {"*"}
    for i, name in enumerate(excludes):
        if name in both:
            yield f"/{excluded}/{i}", f"{name!r} is also included"


def _hooks(spec: BackupSpec) -> Iterator[Finding]:
    """Velero leaves out what is in both lists, and skips a hook of which nothing is left without a word."""
    for i, hook in enumerate(spec.hooks.resources if spec.hooks else []):
        where = f"hooks/resources/{i}"
        yield from in_both(hook.included_namespaces, f"{where}/excludedNamespaces", hook.excluded_namespaces)
        yield from in_both(hook.included_resources, f"{where}/excludedResources", hook.excluded_resources)


def _ordered_resources(spec: BackupSpec) -> Iterator[Finding]:
    """Velero up to 1.18 splits at the comma and does not trim: a space makes a name that exists nowhere."""
    for kind, names in spec.ordered_resources.items():
        if not kind or any(c.isspace() for c in kind):
            yield f"/orderedResources/{escape(kind)}", "must stand under the plural name of a kind, such as pods"
        if not all(_ORDERED.fullmatch(name) for name in names.split(",")):
            yield (
                f"/orderedResources/{escape(kind)}",
                "must be a comma-separated list of namespace/name (of name where there are no namespaces), without spaces",
            )


_ORDERED = re.compile(r"[^\s/]+(/[^\s/]+)?")


SNAPSHOT_SETTINGS: tuple[tuple[str, Callable[[BackupSpec], bool]], ...] = (
    ("snapshotMoveData", lambda spec: spec.snapshot_move_data is True),
    ("datamover", lambda spec: bool(spec.datamover)),
    ("volumeSnapshotLocations", lambda spec: bool(spec.volume_snapshot_locations)),
    ("volumeGroupSnapshotLabelKey", lambda spec: spec.volume_group_snapshot_label_key is not None),
    ("csiSnapshotTimeout", lambda spec: parse(spec.csi_snapshot_timeout) != parse(DEFAULT_CSI_SNAPSHOT_TIMEOUT)),
)


def _snapshot_settings(spec: BackupSpec) -> Iterator[Finding]:
    if spec.snapshot_volumes is False:
        for field, is_set in SNAPSHOT_SETTINGS:
            if is_set(spec):
                yield f"/{field}", "has no meaning while snapshotVolumes is false"


DATAMOVERS = {"velero": "velero", "kopia": "velero"}
"""The data movers that every cluster has, by the names that people use for them, and what Velero calls them."""


def unknown_mover(mover: str, cluster: str, known: Collection[str], within: str = "") -> Iterator[FieldError]:
    """Find a data mover that a cluster does not have: Velero waits for it until the timeout, and nobody would ever answer."""
    if mover and mover not in DATAMOVERS and mover not in known:
        names = ", ".join((*DATAMOVERS, *known))
        detail = f"must be empty or one of {names}; others stand in the settings of cluster {cluster} (dataMovers)"
        yield {"pointer": f"{within}/spec/datamover", "detail": detail}


SPEC_RULES: tuple[Callable[[BackupSpec], Iterable[Finding]], ...] = (
    _positive_durations,
    _one_selector,
    _one_filter_family,
    _resource_lists,
    _ordered_resources,
    _snapshot_settings,
    _hooks,
)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a request that can be judged without the others; `path` is where it lies, by names on the wire."""

    path: tuple[str, ...]
    form: TypeAdapter[Any]
    rules: Callable[[Any], Iterable[Finding]]

    def errors(self, value: Any) -> list[FieldError]:
        """Return what the rules find in a well-formed part."""
        return [{"pointer": f"/{'/'.join(self.path)}{pointer}", "detail": detail} for pointer, detail in self.rules(value)]

    def belongs_to(self, model: type[Wire]) -> bool:
        """Tell whether requests of that model have this part."""
        return any(info.alias == self.path[0] for info in model.model_fields.values())

    def of(self, request: Wire) -> Any:
        """Return the part of a request that was read."""
        return reduce(_field, self.path, request)

    def within(self, sent: Any) -> Any:
        """Return what was sent for this part; None for nothing."""
        for step in self.path:
            sent = sent.get(step) if isinstance(sent, dict) else None
        return sent


_SCOPE, _LABELS, _SPEC = TypeAdapter[Any](Scope), TypeAdapter[Any](Labels), TypeAdapter[Any](BackupSpec)
_DURATION = TypeAdapter[Any](GoDuration)

DEADLINE = Part(("deadline",), _DURATION, _deadline_rules)
LABELS = Part(("labels",), _LABELS, _label_rules)

PARTS = (
    Part(("scope",), _SCOPE, _scope_rules),
    LABELS,
    Part(("spec",), _SPEC, _spec_rules),
    DEADLINE,
    Part(("template", "scope"), _SCOPE, _scope_rules),
    Part(("template", "labels"), _LABELS, _label_rules),
    Part(("template", "spec"), _SPEC, _spec_rules),
    Part(("startingDeadline",), _DURATION, _starting_deadline_rules),
    Part(("spread",), _DURATION, _spread_rules),
)


def _field(request: Wire, name: str) -> Any:
    """Return a field by its name on the wire."""
    return next(getattr(request, attribute) for attribute, info in type(request).model_fields.items() if info.alias == name)
