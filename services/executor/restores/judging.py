"""What Velero would fail on, stall on or do without a word when it restores: told before anything is made. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import yaml

from services.executor.backups.choices import NotYet, Refused
from services.executor.backups.requirements import silence
from services.executor.kinds import Kinds
from services.executor.manifests import is_of, location_of
from shared.contracts.commands import RestoreCreate
from shared.contracts.envelope import Envelope
from shared.contracts.events import Answer
from shared.contracts.names import ANNOTATION_LEAVING
from shared.contracts.notices import About, Notice, notice
from shared.contracts.phases import DELETING_PHASE, PHASE_OUTCOME, Outcome
from shared.contracts.refusals import Code, refusal
from shared.contracts.restorespec import RestoreSpec
from shared.contracts.scopes import is_pattern

Object = Mapping[str, Any]

_WORDS: Final = 500
_MOST = 20
"""Names that a sentence lists."""
_LONGEST: Final = 128 * 1024
"""Characters of a ConfigMap that are judged here; a longer one is left to Velero."""


@dataclass(frozen=True, slots=True)
class Running:
    """A Restore that has not ended, and the backup that it reads, if that is there."""

    restore: Object
    backup: Object | None


@dataclass(frozen=True, slots=True)
class Around:
    """The cluster as far as a restore needs it. `modifier`: the ConfigMap that the request names, if it is there."""

    running: list[Running] = field(default_factory=list)
    modifier: Object | None = None
    kinds: Kinds = field(default_factory=Kinds)
    velero: Answer = field(default_factory=Answer)


def phase_of(obj: Object) -> str:
    """Return the phase of an object; empty while it has none."""
    return str((obj.get("status") or {}).get("phase") or "")


def outcome_of(restore: Object) -> Outcome | None:
    """Return how a restore has ended; None while it goes on."""
    return PHASE_OUTCOME.get(phase_of(restore))


def moment_of(value: Any) -> datetime | None:
    """Return a moment as Velero writes it; None where there is none."""
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:
        return None


# ---------------------------------------------------------------------- the backup and where it lies


def check_backup(order: RestoreCreate, backup: Object, now: datetime) -> None:
    """Refuse what cannot be restored: Velero (1.18) would restore a backup of any phase.

    Raises Refused.
    """
    if reason := _unrestorable(backup, now):
        raise Refused(refusal(Code.BACKUP_NOT_RESTORABLE, name=order.source.name, reason=reason))
    held = _held(backup)
    if held is None:
        return
    asked = {"includedNamespaces": order.spec.included_namespaces, "namespaceMapping": list(order.spec.namespace_mapping)}
    for where, wanted in asked.items():
        if missing := [name for name in wanted if name not in held]:
            facts = {"name": order.source.name, "names": ", ".join(missing[:_MOST]), "field": where}
            raise Refused(refusal(Code.NAMESPACE_NOT_IN_BACKUP, **facts))


def check_location(cluster: str, backup: Object, locations: Iterable[Object]) -> None:
    """Refuse a backup whose storage location Velero cannot read.

    Raises Refused; NotYet while Velero has not looked at it.
    """
    wanted = location_of(backup)
    location = next((x for x in locations if (x.get("metadata") or {}).get("name") == wanted), None)
    if location is None:
        raise Refused(refusal(Code.LOCATION_UNKNOWN, pointer="/backup", cluster=cluster, location=wanted))
    if phase_of(location) == "Unavailable":
        told = {"location": wanted, "message": message_of(location)}
        raise Refused(refusal(Code.LOCATION_UNAVAILABLE, pointer="/backup", **told))
    if phase_of(location) != "Available":
        raise NotYet(f"storage location {wanted} has not been validated yet")
    if ANNOTATION_LEAVING in ((location.get("metadata") or {}).get("annotations") or {}):
        raise NotYet(f"storage location {wanted} is being removed, and the backup with it")


def message_of(location: Object) -> str:
    """Return what Velero says is wrong with a storage location."""
    return str((location.get("status") or {}).get("message") or "Velero gives no reason")[:_WORDS]


def _unrestorable(backup: Object, now: datetime) -> str | None:
    phase, meta = phase_of(backup), backup.get("metadata") or {}
    if phase == DELETING_PHASE or meta.get("deletionTimestamp"):
        return "it is being deleted"
    if phase not in PHASE_OUTCOME:
        return f"it has not ended, but is {phase or 'New'}"
    if PHASE_OUTCOME[phase] == Outcome.FAILED:
        return f"it is {phase}"
    expires = moment_of((backup.get("status") or {}).get("expiration"))
    return f"it expired at {expires:%Y-%m-%dT%H:%M:%SZ}" if expires and expires <= now else None


def _held(backup: Object | None) -> set[str] | None:
    """Return the namespaces that a backup was made of; None when it names no names."""
    spec = (backup or {}).get("spec") or {}
    included = spec.get("includedNamespaces") or []
    if not included or any(is_pattern(str(name)) for name in included):
        return None
    return {str(name) for name in included} - set(spec.get("excludedNamespaces") or [])


# ---------------------------------------------------------------------- the cluster around it


def judge(command: Envelope[RestoreCreate], backup: Object | None, around: Around) -> list[Notice]:
    """Return what a person should know of a restore that the cluster can carry out; `backup` is None while it is not there.

    Raises Refused.
    """
    order, cluster = command.data, command.cluster
    check_modifier(command, around.modifier)
    _check_overlap(command, backup, around.running)
    return [*silence(cluster, around.velero), *_kinds(order.spec, cluster, around.kinds)]


def kinds_needed(spec: RestoreSpec) -> list[str]:
    """Return every kind that a restore names."""
    return [name for _, names in _named(spec) for name in names]


def check_modifier(command: Envelope[RestoreCreate], config_map: Object | None) -> None:
    """Refuse modifiers that are not there, or are none.

    Raises Refused.
    """
    wanted = command.data.spec.resource_modifier
    if wanted is None or command.data.modifiers is not None:
        return
    if config_map is None:
        raise Refused(refusal(Code.MODIFIERS_UNKNOWN, cluster=command.cluster, name=wanted.name))
    if problem := _flaw(config_map):
        raise Refused(refusal(Code.MODIFIERS_INVALID, name=wanted.name, message=problem))


def _flaw(config_map: Object) -> str:
    """Return why a ConfigMap holds no resource modifiers; empty when it does, as far as that is judged here."""
    data = config_map.get("data") or {}
    if len(data) != 1:
        return f"it must have exactly one key, and has {len(data)}"
    (text,) = data.values()
    if len(text) > _LONGEST:
        return ""
    try:
        rules = next(iter(yaml.safe_load_all(text)), None)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return f"it is not YAML: {' '.join(str(error).split())[:200]}"
    if not isinstance(rules, dict) or rules.get("version") != "v1":
        return "it must be a mapping with 'version: v1'"
    listed = rules.get("resourceModifierRules")
    return "" if isinstance(listed, list) and listed else "it has no resourceModifierRules"


def _check_overlap(command: Envelope[RestoreCreate], backup: Object | None, running: Iterable[Running]) -> None:
    wanted = targets(command.data.spec.wire(), backup)
    for other in running:
        if is_of(other.restore, command):
            continue
        taken = targets(other.restore.get("spec") or {}, other.backup)
        both = taken if wanted is None else wanted if taken is None else wanted & taken
        if both is None or both:
            told = f"namespace {', '.join(sorted(both)[:_MOST])}" if both else "every namespace"
            name = (other.restore.get("metadata") or {}).get("name")
            raise Refused(refusal(Code.RESTORE_OVERLAP, name=name, namespaces=told, cluster=command.cluster))


def targets(spec: Object, backup: Object | None) -> frozenset[str] | None:
    """Return the namespaces that a restore brings objects into; None when these can be any."""
    named = {str(name) for name in spec.get("includedNamespaces") or ()}
    chosen = named if named and "*" not in named else _held(backup)
    if chosen is None:
        return None
    mapping = spec.get("namespaceMapping") or {}
    return frozenset(str(mapping.get(name, name)) for name in chosen - set(spec.get("excludedNamespaces") or ()))


# ---------------------------------------------------------------------- kinds


def _kinds(spec: RestoreSpec, cluster: str, kinds: Kinds) -> Iterator[Notice]:
    """Note kinds that the cluster does not have: they may come with the restore, so none is refused."""
    for where, named in _named(spec):
        if missing := [name for name in named if not kinds.named(name)]:
            why = next((doubt for name in missing if (doubt := kinds.doubt(name))), "it serves none of that name now")
            told = ", ".join(missing[:_MOST])
            yield notice(About.KINDS_UNCERTAIN, field=where, cluster=cluster, kinds=told, message=why[:_WORDS])


def _named(spec: RestoreSpec) -> Iterator[tuple[str, list[str]]]:
    def fields() -> Iterator[tuple[str, list[str]]]:
        yield "includedResources", spec.included_resources
        yield "excludedResources", spec.excluded_resources
        if spec.restore_status:
            yield "restoreStatus/includedResources", spec.restore_status.included_resources
            yield "restoreStatus/excludedResources", spec.restore_status.excluded_resources

    for name, kinds in fields():
        yield name, [kind for kind in kinds if kind != "*" and "{" not in kind]


def modifier_of(command: Envelope[RestoreCreate]) -> str | None:
    """Return the ConfigMap that must be there before a restore; None when it reads none, or one that is made for it."""
    wanted = command.data.spec.resource_modifier
    return wanted.name if wanted and command.data.modifiers is None else None
