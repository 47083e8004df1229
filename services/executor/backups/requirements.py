"""What an order needs of its cluster beyond namespaces and locations: kinds, node agents, CSI, a policy. Pure.

What would hang, run to nothing or do something else than was asked for is refused; what is merely without effect is noted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from services.executor.backups.choices import Refused
from services.executor.backups.policies import Policy
from services.executor.kinds import Kinds
from shared.contracts.backupspec import BackupSpec
from shared.contracts.commands import BackupCreate
from shared.contracts.events import Answer
from shared.contracts.notices import About, Notice, notice
from shared.contracts.refusals import Code, refusal

SNAPSHOTS: Final = "volumesnapshots.snapshot.storage.k8s.io"
VOLUME_GROUPS: Final = "volumegroupsnapshots.groupsnapshot.storage.k8s.io"
NODE_AGENT_LABELS: Final = "role=node-agent"
_OWN_MOVER: Final = "velero"
_EVERYTHING: Final = "*"
_MOST = 20
"""Names that a sentence lists."""
_WORDS = 500


@dataclass(frozen=True, slots=True)
class Around:
    """The cluster as far as an order needs it. `node_agent` and `policy` are None where that is not known, or not asked for."""

    kinds: Kinds = field(default_factory=Kinds)
    node_agent: bool | None = None
    policy: Policy | None = None
    velero: Answer = field(default_factory=Answer)


@dataclass(frozen=True, slots=True)
class _Named:
    """Kinds that a field names. `namespaced`: only those of this scope count there; None = either does."""

    field: str
    names: tuple[str, ...]
    included: bool
    namespaced: bool | None = None


def kinds_needed(order: BackupCreate) -> list[str]:
    """Return every kind that an order names, or counts on."""
    spec = order.spec
    counted_on = ((SNAPSHOTS, spec.snapshot_move_data), (VOLUME_GROUPS, spec.volume_group_snapshot_label_key))
    return [
        *(name for named in _named(spec) for name in named.names),
        *spec.ordered_resources,
        *(name for name, asked_for in counted_on if asked_for),
    ]


def wants_node_agent(order: BackupCreate) -> bool:
    """Tell whether an order is for work that only a node agent of Velero's does; another data mover has agents of its own."""
    return _moved_by_velero(order.spec) or bool(order.spec.default_volumes_to_fs_backup)


def _moved_by_velero(spec: BackupSpec) -> bool:
    return bool(spec.snapshot_move_data) and spec.datamover in (None, "", _OWN_MOVER)


def judge(order: BackupCreate, cluster: str, around: Around) -> list[Notice]:
    """Return what a person should know of an order that the cluster can carry out.

    Raises Refused with the field at fault when it cannot.
    """
    _check_policy(order.spec, cluster, around.policy)
    return [
        *silence(cluster, around.velero),
        *_kinds(order.spec, cluster, around.kinds),
        *_volumes(order.spec, cluster, around),
    ]


def silence(cluster: str, velero: Answer) -> Iterator[Notice]:
    """Note that Velero does not answer: what was asked for waits until it does."""
    if velero.problem is not None:
        since = velero.answered_at.isoformat(timespec="seconds") if velero.answered_at else "the first time that it was asked"
        yield notice(About.VELERO_SILENT, cluster=cluster, since=since)


# ---------------------------------------------------------------------- kinds


def _kinds(spec: BackupSpec, cluster: str, kinds: Kinds) -> Iterator[Notice]:
    for named in _named(spec):
        missing = [name for name in named.names if not _fits(kinds, name, named.namespaced)]
        doubts = {name: why for name in missing if (why := kinds.doubt(name))}
        if doubts:
            yield _uncertain(named.field, cluster, doubts)
        unknown = [_told(name, named.namespaced, kinds) for name in missing if name not in doubts]
        if unknown and named.included:
            raise Refused(refusal(Code.KIND_UNKNOWN, field=named.field, cluster=cluster, kinds=_some(unknown)))
        if unknown:
            yield notice(About.EXCLUDED_KIND_UNKNOWN, field=named.field, cluster=cluster, kinds=_some(unknown))
    ordered = "orderedResources"
    plurals = {kind.name for kind in kinds.found}  # Velero knows these by nothing else
    missing = [name for name in spec.ordered_resources if name not in plurals]
    doubts = {name: why for name in missing if (why := kinds.doubt(name))}
    if doubts:
        yield _uncertain(ordered, cluster, doubts)
    if unknown := [name for name in missing if name not in doubts]:
        told = f"with the plural name {_some(unknown)}"
        raise Refused(refusal(Code.KIND_UNKNOWN, field=ordered, cluster=cluster, kinds=told))


def _uncertain(field: str, cluster: str, doubts: Mapping[str, str]) -> Notice:
    message = next(iter(doubts.values()))[:_WORDS]
    return notice(About.KINDS_UNCERTAIN, field=field, cluster=cluster, kinds=_some(list(doubts)), message=message)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(names[:_MOST]) + more


def _named(spec: BackupSpec) -> Iterator[_Named]:
    """Return the lists of kinds in a spec. Alternatives in braces are left to Velero, which reads them as a pattern."""

    def fields() -> Iterator[tuple[str, list[str], bool, bool | None]]:
        yield "includedResources", spec.included_resources, True, None
        yield "excludedResources", spec.excluded_resources, False, None
        yield "includedClusterScopedResources", spec.included_cluster_scoped_resources, True, False
        yield "excludedClusterScopedResources", spec.excluded_cluster_scoped_resources, False, False
        yield "includedNamespaceScopedResources", spec.included_namespace_scoped_resources, True, True
        yield "excludedNamespaceScopedResources", spec.excluded_namespace_scoped_resources, False, True
        for number, hook in enumerate(spec.hooks.resources if spec.hooks else []):
            yield f"hooks/resources/{number}/includedResources", hook.included_resources, True, None
            yield f"hooks/resources/{number}/excludedResources", hook.excluded_resources, False, None

    for name, kinds, included, namespaced in fields():
        judged = tuple(kind for kind in kinds if kind != _EVERYTHING and "{" not in kind)
        yield _Named(name, judged, included, namespaced)


def _fits(kinds: Kinds, name: str, namespaced: bool | None) -> bool:
    return any(namespaced in (None, kind.namespaced) for kind in kinds.named(name))


def _told(name: str, namespaced: bool | None, kinds: Kinds) -> str:
    """Return the name, with the scope where that is what is wrong with it: Velero drops it without a word."""
    return f"{name} {'in namespaces' if namespaced else 'outside of namespaces'}" if kinds.named(name) else name


# ---------------------------------------------------------------------- volumes


def _volumes(spec: BackupSpec, cluster: str, around: Around) -> Iterator[Notice]:
    if spec.snapshot_move_data:
        moving = "snapshotMoveData"
        if not around.kinds.named(SNAPSHOTS):
            why = around.kinds.doubt(SNAPSHOTS)
            if not why:
                raise Refused(refusal(Code.SNAPSHOTS_UNSUPPORTED, field=moving, cluster=cluster, kind=SNAPSHOTS))
            yield _uncertain(moving, cluster, {SNAPSHOTS: why})
        if around.node_agent is False and _moved_by_velero(spec):
            raise Refused(refusal(Code.NODE_AGENT_MISSING, field=moving, cluster=cluster))
    if spec.default_volumes_to_fs_backup and around.node_agent is False:
        yield notice(About.NODE_AGENT_MISSING, field="defaultVolumesToFsBackup", cluster=cluster)
    kinds = around.kinds
    if spec.volume_group_snapshot_label_key and not kinds.named(VOLUME_GROUPS) and not kinds.doubt(VOLUME_GROUPS):
        yield notice(About.VOLUME_GROUPS_UNSUPPORTED, cluster=cluster)


# ---------------------------------------------------------------------- the resource policy

_OLD_FILTERS: Final = ("includedResources", "excludedResources", "includeClusterResources")


def _check_policy(spec: BackupSpec, cluster: str, policy: Policy | None) -> None:
    if spec.resource_policy is None:
        return
    name = spec.resource_policy.name
    if policy is None:
        raise Refused(refusal(Code.RESOURCE_POLICY_UNKNOWN, cluster=cluster, name=name))
    if policy.problem:
        raise Refused(refusal(Code.RESOURCE_POLICY_INVALID, name=name, message=policy.problem))
    old = [field for field in _OLD_FILTERS if spec.wire()[field] not in (None, [])]
    if policy.filters and old:
        clash = f"it has {', '.join(policy.filters)}, which Velero does not take beside {', '.join(old)}"
        raise Refused(refusal(Code.RESOURCE_POLICY_INVALID, name=name, message=clash))
