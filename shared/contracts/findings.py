"""What there is to know before a restore: code → severity and sentence. Findings are data, as refusals are."""

from dataclasses import dataclass
from enum import StrEnum

from shared.contracts.base import Wire

MOST_OBJECTS = 20


class Severity(StrEnum):
    """Blocker: the restore would be refused, or come to nothing. Warning: it may not do what is expected."""

    BLOCKER = "Blocker"
    WARNING = "Warning"
    INFO = "Info"


class FindingCode(StrEnum):
    """Every finding."""

    BACKUP_NOT_RESTORABLE = "BackupNotRestorable"
    BACKUP_PARTIAL = "BackupPartial"
    BACKUP_AGEING = "BackupExpiresSoon"
    FILES_MISSING = "BackupFilesMissing"
    LOCATION_UNKNOWN = "LocationUnknown"
    LOCATION_UNAVAILABLE = "LocationUnavailable"
    CLUSTER_OFFLINE = "ClusterOffline"
    VELERO_SILENT = "VeleroSilent"
    MIRROR_NEEDED = "MirrorNeeded"
    MIRROR_FOUND = "MirrorFound"
    STORAGE_NOT_USED = "StorageNotUsed"
    CREDENTIAL_MISSING = "CredentialMissing"
    NAME_TAKEN = "NameTaken"
    NAMESPACE_NOT_IN_BACKUP = "NamespaceNotInBackup"
    NAMESPACE_EXISTS = "NamespaceExists"
    NAMESPACE_BUSY = "NamespaceBusy"
    OBJECTS_EXIST = "ObjectsExist"
    KINDS_NOT_SERVED = "KindsNotServed"
    STORAGE_CLASSES_MISSING = "StorageClassesMissing"
    NODE_PORTS_TAKEN = "NodePortsTaken"
    NODE_PORTS_CHANGE = "NodePortsChange"
    VOLUMES_STAY = "VolumesStay"
    NODE_AGENT_MISSING = "NodeAgentMissing"
    MODIFIERS_UNKNOWN = "ModifiersUnknown"
    NOTHING_MATCHES = "NothingMatches"
    NOT_KNOWN = "NotKnown"


@dataclass(frozen=True, slots=True)
class Rule:
    """How a finding is told."""

    severity: Severity
    sentence: str


_B, _W, _I = Severity.BLOCKER, Severity.WARNING, Severity.INFO
RULES: dict[FindingCode, Rule] = {
    FindingCode.BACKUP_NOT_RESTORABLE: Rule(_B, "Backup {name} cannot be restored: {reason}."),
    FindingCode.BACKUP_PARTIAL: Rule(_W, "Backup {name} is not whole: {errors} errors came up while it was made."),
    FindingCode.BACKUP_AGEING: Rule(_W, "Backup {name} expires at {at}: the restore may not be done by then."),
    FindingCode.FILES_MISSING: Rule(
        _W, "The bucket does not hold the files of backup {name} (any more): it cannot be expected that it comes back."
    ),
    FindingCode.LOCATION_UNKNOWN: Rule(
        _B, "Cluster {cluster} has no storage location {location} any more: the data cannot be read."
    ),
    FindingCode.LOCATION_UNAVAILABLE: Rule(_B, "Storage location {location} of cluster {cluster} is not available: {message}"),
    FindingCode.CLUSTER_OFFLINE: Rule(
        _W, "Cluster {cluster} has not been seen since {since}: the restore waits until it is back."
    ),
    FindingCode.VELERO_SILENT: Rule(_W, "Velero of cluster {cluster} does not answer: {message}"),
    FindingCode.MIRROR_NEEDED: Rule(
        _I,
        "No storage location of cluster {cluster} reaches {storage}: a read-only one is made for the restore, then removed.",
    ),
    FindingCode.MIRROR_FOUND: Rule(
        _I,
        "Storage location {location} of cluster {cluster} has the same bucket and prefix ({storage}): it is read through that.",
    ),
    FindingCode.STORAGE_NOT_USED: Rule(
        _I, "Storage location {location} is used as it is: the {given} of the request are for one that would have to be made."
    ),
    FindingCode.CREDENTIAL_MISSING: Rule(
        _W, "The request gives no credential for {storage}: Velero of cluster {cluster} uses its own, which may not be let in."
    ),
    FindingCode.NAME_TAKEN: Rule(_B, "Cluster {cluster} already has a restore named {name}."),
    FindingCode.NAMESPACE_NOT_IN_BACKUP: Rule(
        _B, "The backup does not hold what is to be restored: namespaces are missing in it."
    ),
    FindingCode.NAMESPACE_EXISTS: Rule(
        _W, "Namespaces exist already in cluster {cluster}: what is restored is added to what is there."
    ),
    FindingCode.NAMESPACE_BUSY: Rule(_B, "Restore {name} still runs into a namespace that this one is for."),
    FindingCode.OBJECTS_EXIST: Rule(_W, "{count} objects exist already in cluster {cluster}: {fate}."),
    FindingCode.KINDS_NOT_SERVED: Rule(
        _W, "Cluster {cluster} does not serve kinds of the backup: objects of these are left out."
    ),
    FindingCode.STORAGE_CLASSES_MISSING: Rule(_W, "Cluster {cluster} lacks storage classes: volumes of these stay Pending."),
    FindingCode.NODE_PORTS_TAKEN: Rule(_W, "Node ports that are to be kept are taken in cluster {cluster}."),
    FindingCode.NODE_PORTS_CHANGE: Rule(_I, "Services get new node ports, because preserveNodePorts is not set."),
    FindingCode.VOLUMES_STAY: Rule(
        _W, "Volumes of the backup are snapshots that stay where they were taken: cluster {cluster} may not reach them."
    ),
    FindingCode.NODE_AGENT_MISSING: Rule(
        _W, "No node agent of Velero's runs in cluster {cluster}: files of volumes cannot be brought back."
    ),
    FindingCode.MODIFIERS_UNKNOWN: Rule(_B, "Velero's namespace in cluster {cluster} has no ConfigMap {name}."),
    FindingCode.NOTHING_MATCHES: Rule(_B, "Nothing in the backup matches what is to be restored."),
    FindingCode.NOT_KNOWN: Rule(_I, "Not everything could be looked at: {message}"),
}


class Finding(Wire):
    """One thing to know: a code for programs, how grave it is, a sentence for people, and what it is about (some of it)."""

    severity: Severity
    code: str
    message: str
    objects: list[str] = []


def finding(code: FindingCode, *objects: str, **facts: object) -> Finding:
    """Fill in the sentence of a finding; of many objects the first twenty, and how many more there are.

    Raises KeyError when a fact that the sentence names is missing.
    """
    rule = RULES[code]
    shown = list(objects[:MOST_OBJECTS])
    if len(objects) > MOST_OBJECTS:
        shown.append(f"and {len(objects) - MOST_OBJECTS} more")
    return Finding(severity=rule.severity, code=code, message=rule.sentence.format(**facts), objects=shown)
