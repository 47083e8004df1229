"""What a restore would meet, by what is known of both clusters: one rule a finding. Pure, and never in the way by itself.

`Blocker` findings are what a restore is refused with; what could not be looked at is a finding, too.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from services.gateway.restores import concerned, mirrors
from services.gateway.restores.concerned import Names
from shared.contracts.artifacts import Artifact, Trouble
from shared.contracts.events import KindInfo, Volume
from shared.contracts.findings import Finding, FindingCode, Severity, finding
from shared.contracts.phases import BackupStatus, ClusterStatus, LocationStatus
from shared.contracts.restorespec import RestoreSpec
from shared.contracts.scopes import is_pattern
from shared.contracts.surveys import BackupSurveyed, Held, RestoreLook, RestoreSeen
from shared.contracts.views import BackupDetail, BackupItem, ClusterItem, LocationItem

AGEING: Final = timedelta(hours=6)
"""How long before its end a backup is called old."""
MOST_ASKED: Final = 400 * 1024
"""Characters of names in one question: with what stands around them, it fits into a message."""
_SILENCES: Final = frozenset({"VeleroNotAnswering", "VeleroMissing", "VeleroStalled"})
_SNAPSHOTS: Final = frozenset({"NativeSnapshot", "CSISnapshot"})
_FILES: Final = frozenset({"PodVolumeBackup", "DataMovement"})
_FATES: Final = {
    "update": "they are changed to what the backup holds, as far as that can be",
    None: "they stay as they are",
    "none": "they stay as they are",
}


@dataclass(frozen=True, slots=True)
class Running:
    """A restore that has not ended, and the namespaces that it goes into; empty where these are not known."""

    name: str
    namespaces: frozenset[str]


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known before a restore. None = not known.

    `origin` is where the backup lies, by its own cluster; `locations` are those of the target. `credential` and `storage`:
    whether the request gives these. `cluster` is the target as it reports, with the `namespaces` that it has; `kinds` are those
    of both clusters. `doubts`: what could not be looked at.
    """

    now: datetime
    name: str
    target: str
    spec: RestoreSpec
    backup: BackupDetail
    origin: LocationItem | None = None
    locations: Sequence[LocationItem] = ()
    credential: bool = False
    storage: bool = False
    cluster: ClusterItem | None = None
    namespaces: frozenset[str] | None = None
    kinds: Sequence[KindInfo] = ()
    name_taken: bool = False
    running: Sequence[Running] = ()
    surveyed: BackupSurveyed | None = None
    seen: RestoreSeen | None = None
    doubts: Sequence[str] = field(default=())

    @property
    def crosses(self) -> bool:
        """Whether the backup is of another cluster than the one it goes into."""
        return self.backup.cluster != self.target

    @property
    def reached_through(self) -> LocationItem | None:
        """The location of the target through which its Velero reads the backup; None when there is none (yet)."""
        if not self.crosses or self.origin is None:
            return self.origin
        return mirrors.reaching(self.origin, self.locations, said=self.says_the_way)

    @property
    def says_the_way(self) -> bool:
        """Whether the target is told how the storage is reached, by whatever."""
        return self.credential or self.storage_told

    @property
    def storage_told(self) -> bool:
        """Whether the settings told are to be gone by: as the request has it, or because another storage has the same names."""
        there = mirrors.lying_there(self.origin, self.locations) if self.crosses and self.origin else []
        return self.storage or any(mirrors.is_another_storage(self.origin, each) for each in there if self.origin)

    @property
    def held(self) -> Sequence[Held] | None:
        """The objects of the backup."""
        return self.surveyed.held if self.surveyed else None

    @property
    def whole(self) -> bool:
        """Whether every object of the backup is known by its name."""
        return self.surveyed is not None and self.surveyed.held is not None and not self.surveyed.truncated

    @property
    def objects(self) -> list[Held]:
        """Those of the known objects that the restore is about, as they are called in the backup."""
        return concerned.concerned(self.held or (), self.spec, Names.told(self.kinds))


def judge(known: Known) -> list[Finding]:
    """Return all there is to know: what is gravest first, and otherwise in the order of the rules."""
    order = list(Severity)
    return sorted((found for rule in RULES for found in rule(known)), key=lambda found: order.index(found.severity))


def is_blocked(findings: Iterable[Finding]) -> bool:
    """Tell whether the restore would be refused."""
    return any(found.severity is Severity.BLOCKER for found in findings)


def question(known: Known, *, modifier: str | None) -> tuple[RestoreLook, str]:
    """Return what the target is to be asked, and a sentence about what it is not asked for want of room (or nothing)."""
    told = concerned.in_target(known.objects, known.spec.namespace_mapping)
    asked: list[Held] = []
    room = MOST_ASKED
    for each in told:
        names: list[str] = []
        for name in each.names:
            room -= len(name) + 3
            if room < 0:
                break
            names.append(name)
        if names:
            asked.append(each.model_copy(update={"names": names}))
    surveyed = known.surveyed or BackupSurveyed()
    ports = concerned.ports_of(surveyed.node_ports or (), known.objects) if known.spec.preserve_node_ports else []
    mapping = known.spec.namespace_mapping
    look = RestoreLook(
        held=asked,
        storage_classes=(surveyed.storage_classes or []) if concerned.has_kind(known.objects, "PersistentVolumeClaim") else [],
        node_ports=[port.model_copy(update={"service": concerned.renamed(port.service, mapping)}) for port in ports],
        modifier=modifier,
    )
    left = sum(len(each.names) for each in told) - sum(len(each.names) for each in asked)
    return look, f"{left} of the objects of the backup were not looked for." if left else ""


# ---------------------------------------------------------------------- namespaces


def namespaces_of(backup: BackupDetail, held: Sequence[Held] | None = None) -> frozenset[str] | None:
    """Return the namespaces of a backup: those of its objects, else those that it was made of. None = all, or not known."""
    if held is not None:
        return concerned.namespaces_in(held)
    made_of = backup.resolved_namespaces
    return None if made_of is None or any(map(is_pattern, made_of)) else frozenset(made_of)


def targets(spec: RestoreSpec, of_backup: frozenset[str] | None) -> frozenset[str]:
    """Return the namespaces that a restore goes into, as far as they are known."""
    chosen = frozenset(spec.included_namespaces) or of_backup or frozenset()
    return frozenset(spec.namespace_mapping.get(name, name) for name in chosen if concerned.takes(name, spec))


def _of_backup(known: Known) -> frozenset[str] | None:
    return namespaces_of(known.backup, known.held if known.whole else None)


# ---------------------------------------------------------------------- the backup and where it lies


def _backup(known: Known) -> Iterator[Finding]:
    backup = known.backup
    if why := unfit(backup, known.now):
        yield finding(FindingCode.BACKUP_NOT_RESTORABLE, name=backup.name, reason=why)
        return
    if backup.status is BackupStatus.PARTIALLY_FAILED:
        yield finding(FindingCode.BACKUP_PARTIAL, name=backup.name, errors=backup.errors or "some")
    if backup.expires_at is not None and backup.expires_at - known.now < AGEING:
        yield finding(FindingCode.BACKUP_AGEING, name=backup.name, at=_instant(backup.expires_at))


_UNFIT: Final[Mapping[BackupStatus, str]] = {
    BackupStatus.CREATING: "it is still being made",
    BackupStatus.FAILED: "it has failed",
    BackupStatus.EXPIRED: "it has expired",
    BackupStatus.DELETING: "it is being deleted",
    BackupStatus.DELETED: "it was deleted",
    BackupStatus.REFUSED: "it was never made",
}


def unfit(backup: BackupItem, now: datetime) -> str:
    """Say why a backup cannot be restored; nothing when it can."""
    if backup.status in _UNFIT:
        return _UNFIT[backup.status]
    if backup.expires_at is not None and backup.expires_at <= now:
        return _UNFIT[BackupStatus.EXPIRED]
    return "" if backup.present else f"cluster {backup.cluster} does not have it any more"


def _location(known: Known) -> Iterator[Finding]:
    origin, through = known.origin, known.reached_through
    if origin is None:
        location = known.backup.storage_location or "of the backup"
        yield finding(FindingCode.LOCATION_UNKNOWN, cluster=known.backup.cluster, location=location)
        return
    if through is not None and through.status is LocationStatus.UNAVAILABLE:
        message = through.message or "Velero gives no reason."
        yield finding(FindingCode.LOCATION_UNAVAILABLE, location=through.name, cluster=through.cluster, message=message)
    elif known.crosses:
        yield from _crossing(known, origin, through)


def _crossing(known: Known, origin: LocationItem, through: LocationItem | None) -> Iterator[Finding]:
    storage = mirrors.words_for(origin)
    if through is not None:
        yield finding(FindingCode.MIRROR_FOUND, location=through.name, cluster=known.target, storage=storage)
        given = {"credential": known.credential, "storage settings": known.storage}
        if left := " and ".join(name for name, is_given in given.items() if is_given):
            yield finding(FindingCode.STORAGE_NOT_USED, location=through.name, given=left)
        return
    yield finding(FindingCode.MIRROR_NEEDED, cluster=known.target, storage=storage)
    if not known.credential:
        yield finding(FindingCode.CREDENTIAL_MISSING, cluster=known.target, storage=storage)


# ---------------------------------------------------------------------- the target


def _cluster(known: Known) -> Iterator[Finding]:
    if known.cluster is None or known.cluster.status in {ClusterStatus.OFFLINE, ClusterStatus.NEVER_SEEN}:
        seen = known.cluster.last_seen_at if known.cluster else None
        yield finding(FindingCode.CLUSTER_OFFLINE, cluster=known.target, since=_instant(seen) if seen else "it was registered")
        return
    for problem in known.cluster.problems:
        if problem.code in _SILENCES:
            yield finding(FindingCode.VELERO_SILENT, cluster=known.target, message=problem.message)
            return


def _name(known: Known) -> Iterator[Finding]:
    if known.name_taken:
        yield finding(FindingCode.NAME_TAKEN, cluster=known.target, name=known.name)


def _namespaces(known: Known) -> Iterator[Finding]:
    of_backup = _of_backup(known)
    named = {*known.spec.included_namespaces, *known.spec.namespace_mapping}
    if of_backup is not None and (missing := sorted(named - of_backup)):
        yield finding(FindingCode.NAMESPACE_NOT_IN_BACKUP, *missing)
    into = targets(known.spec, of_backup)
    if there := sorted(into & (known.namespaces or frozenset())):
        yield finding(FindingCode.NAMESPACE_EXISTS, *there, cluster=known.target)
    for other in known.running:
        if both := sorted(into & other.namespaces):
            yield finding(FindingCode.NAMESPACE_BUSY, *both, name=other.name)


def _objects(known: Known) -> Iterator[Finding]:
    if known.whole and not known.objects and (known.kinds or not known.spec.included_resources):
        yield finding(FindingCode.NOTHING_MATCHES)
    if known.seen is None:
        return
    if there := [f"{each.kind} {name}" for each in known.seen.existing for name in each.names]:
        fate = _FATES[known.spec.existing_resource_policy]
        yield finding(FindingCode.OBJECTS_EXIST, *there, count=len(there), cluster=known.target, fate=fate)
    if known.seen.unserved:
        yield finding(FindingCode.KINDS_NOT_SERVED, *known.seen.unserved, cluster=known.target)
    if known.seen.modifier_found is False and known.spec.resource_modifier is not None:
        yield finding(FindingCode.MODIFIERS_UNKNOWN, cluster=known.target, name=known.spec.resource_modifier.name)


def _ports(known: Known) -> Iterator[Finding]:
    if known.spec.preserve_node_ports:
        if known.seen is not None and known.seen.taken_node_ports:
            taken = [f"{port.port} ({port.service})" for port in known.seen.taken_node_ports]
            yield finding(FindingCode.NODE_PORTS_TAKEN, *taken, cluster=known.target)
    elif known.surveyed is not None:
        services = {port.service for port in concerned.ports_of(known.surveyed.node_ports or (), known.objects)}
        if services:
            yield finding(FindingCode.NODE_PORTS_CHANGE, *sorted(services))


# ---------------------------------------------------------------------- volumes


def _volumes(known: Known) -> Iterator[Finding]:
    if known.seen is not None and known.seen.missing_storage_classes:
        yield finding(FindingCode.STORAGE_CLASSES_MISSING, *known.seen.missing_storage_classes, cluster=known.target)
    if known.crosses and known.spec.restore_p_vs is not False and (stay := _stored_by(known, _SNAPSHOTS)):
        yield finding(FindingCode.VOLUMES_STAY, *stay, cluster=known.target)
    agent = known.cluster.velero.node_agent if known.cluster else None
    if agent is False and (files := _stored_by(known, _FILES)):
        yield finding(FindingCode.NODE_AGENT_MISSING, *files, cluster=known.target)


def _stored_by(known: Known, methods: frozenset[str]) -> list[str]:
    """Return the volumes that the restore is about and that were stored by one of these methods."""
    stored = [each for each in known.backup.volumes or () if each.method in methods]
    return [_volume(each) for each in stored if each.namespace is None or concerned.takes(each.namespace, known.spec)]


def _volume(volume: Volume) -> str:
    return "/".join(filter(None, (volume.namespace, volume.claim or volume.volume)))


# ---------------------------------------------------------------------- what is not known


def _doubts(known: Known) -> Iterator[Finding]:
    for doubt in known.doubts:
        yield finding(FindingCode.NOT_KNOWN, message=doubt)
    if known.surveyed is not None:
        yield from _doubts_of_backup(known.backup.name, known.surveyed)
    if known.seen is not None:
        if known.seen.unseen:
            words = f"the executor of cluster {known.target} may not look at every kind."
            yield finding(FindingCode.NOT_KNOWN, *known.seen.unseen, message=words)
        if known.seen.detail:
            yield finding(FindingCode.NOT_KNOWN, message=known.seen.detail)
    if known.spec.label_selector is not None or known.spec.or_label_selectors:
        yield finding(
            FindingCode.NOT_KNOWN, message="labels were not looked at, so fewer objects may be restored than said here."
        )


def _doubts_of_backup(name: str, surveyed: BackupSurveyed) -> Iterator[Finding]:
    if surveyed.trouble is Trouble.NOT_THERE:
        yield finding(FindingCode.FILES_MISSING, name=name)
        return
    unread = surveyed.held is None or (surveyed.truncated and not surveyed.held)
    if unread or surveyed.detail:
        words = surveyed.detail or f"the {Artifact.RESOURCES} of the backup could not be read."
        yield finding(FindingCode.NOT_KNOWN, message=words)
    if surveyed.held and surveyed.truncated:
        yield finding(FindingCode.NOT_KNOWN, message="the backup holds more objects than could be told of.")


RULES: Final[Sequence[Callable[[Known], Iterator[Finding]]]] = (
    _backup,
    _location,
    _cluster,
    _name,
    _namespaces,
    _objects,
    _ports,
    _volumes,
    _doubts,
)


def _instant(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
