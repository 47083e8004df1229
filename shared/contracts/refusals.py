"""Why a cluster, or the gateway, says no: code → HTTP status, field and sentence. Refusals are data."""

from dataclasses import dataclass
from enum import StrEnum

from shared.contracts.base import Wire


class Code(StrEnum):
    """Every reason for which a command is refused."""

    CLUSTER_UNKNOWN = "ClusterUnknown"
    NAME_TAKEN = "NameTaken"
    NAMESPACE_UNKNOWN = "NamespaceUnknown"
    SCOPE_MATCHES_NOTHING = "ScopeMatchesNothing"
    LOCATION_UNKNOWN = "LocationUnknown"
    LOCATION_NOT_CHOSEN = "LocationNotChosen"
    LOCATION_READ_ONLY = "LocationReadOnly"
    LOCATION_UNAVAILABLE = "LocationUnavailable"
    SNAPSHOT_LOCATION_UNKNOWN = "SnapshotLocationUnknown"
    SNAPSHOT_LOCATION_AMBIGUOUS = "SnapshotLocationAmbiguous"
    KIND_UNKNOWN = "KindUnknown"
    NODE_AGENT_MISSING = "NodeAgentMissing"
    SNAPSHOTS_UNSUPPORTED = "SnapshotsUnsupported"
    RESOURCE_POLICY_UNKNOWN = "ResourcePolicyUnknown"
    RESOURCE_POLICY_INVALID = "ResourcePolicyInvalid"
    FIELD_UNSUPPORTED = "FieldUnsupported"
    BACKUP_GONE = "BackupGone"
    BACKUP_NOT_ENDED = "BackupNotEnded"
    BACKUP_IS_REPLICA = "BackupIsReplica"
    DELETION_FAILED = "DeletionFailed"
    OVERLAP = "Overlap"
    SUPERSEDED = "Superseded"
    RESTORE_NAME_TAKEN = "RestoreNameTaken"
    RESTORE_GONE = "RestoreGone"
    RESTORE_NOT_ENDED = "RestoreNotEnded"
    RESTORE_OVERLAP = "RestoreOverlap"
    RESTORE_NOT_DELETED = "RestoreNotDeleted"
    BACKUP_NOT_RESTORABLE = "BackupNotRestorable"
    BACKUP_HIDDEN = "BackupHidden"
    BACKUP_NOT_FOUND_THERE = "BackupNotFoundThere"
    NO_GOOD_BACKUP = "NoGoodBackup"
    NAMESPACE_NOT_IN_BACKUP = "NamespaceNotInBackup"
    NOTHING_MATCHES = "NothingMatches"
    MODIFIERS_UNKNOWN = "ModifiersUnknown"
    MODIFIERS_INVALID = "ModifiersInvalid"
    MIRROR_FAILED = "MirrorFailed"
    LOCATION_TAKEN = "LocationTaken"
    LOCATION_GONE = "LocationGone"
    LOCATION_CHANGED = "LocationChanged"
    LOCATION_NOT_DELETED = "LocationNotDeleted"
    LOCATION_IN_USE = "LocationInUse"
    BUCKET_SHARED = "BucketShared"
    CREDENTIAL_UNREADABLE = "CredentialUnreadable"
    REFUSED_BY_CLUSTER = "RefusedByCluster"
    CLUSTER_FAILS = "ClusterFails"
    FORBIDDEN_IN_CLUSTER = "ForbiddenInCluster"
    VELERO_MISSING = "VeleroMissing"
    DEADLINE_EXCEEDED = "DeadlineExceeded"


@dataclass(frozen=True, slots=True)
class Rule:
    """How a refusal is told: the HTTP status, the field at fault (JSON pointer into the request) and the sentence.

    Pointer and sentence may name facts in braces.
    """

    status: int
    pointer: str
    sentence: str


RULES: dict[Code, Rule] = {
    Code.CLUSTER_UNKNOWN: Rule(422, "/cluster", "No cluster {cluster} is registered, and none of that name reports."),
    Code.NAME_TAKEN: Rule(409, "/name", "Cluster {cluster} already has a backup named {name}."),
    Code.NAMESPACE_UNKNOWN: Rule(422, "/scope/namespaces", "Cluster {cluster} has no namespace {names}."),
    Code.SCOPE_MATCHES_NOTHING: Rule(422, "/scope", "The scope matches no namespace of cluster {cluster}."),
    Code.LOCATION_UNKNOWN: Rule(422, "/spec/storageLocation", "Cluster {cluster} has no storage location {location}."),
    Code.LOCATION_NOT_CHOSEN: Rule(
        422, "/spec/storageLocation", "Cluster {cluster} has no default storage location: name one of {locations}."
    ),
    Code.LOCATION_READ_ONLY: Rule(422, "/spec/storageLocation", "Storage location {location} is read-only."),
    Code.LOCATION_UNAVAILABLE: Rule(422, "/spec/storageLocation", "Storage location {location} is not available: {message}"),
    Code.SNAPSHOT_LOCATION_UNKNOWN: Rule(
        422, "/spec/volumeSnapshotLocations", "Cluster {cluster} has no volume snapshot location {location}."
    ),
    Code.SNAPSHOT_LOCATION_AMBIGUOUS: Rule(
        422,
        "/spec/volumeSnapshotLocations",
        "Provider {provider} needs exactly one volume snapshot location: name one of {locations}.",
    ),
    Code.KIND_UNKNOWN: Rule(422, "/spec/{field}", "Cluster {cluster} has no kind {kinds}."),
    Code.NODE_AGENT_MISSING: Rule(
        422, "/spec/{field}", "No node agent of Velero's runs in cluster {cluster}: nobody would move the data."
    ),
    Code.SNAPSHOTS_UNSUPPORTED: Rule(
        422, "/spec/{field}", "Cluster {cluster} has no CSI snapshots (kind {kind}): there would be nothing to move."
    ),
    Code.RESOURCE_POLICY_UNKNOWN: Rule(
        422, "/spec/resourcePolicy/name", "Velero's namespace in cluster {cluster} has no ConfigMap {name}."
    ),
    Code.RESOURCE_POLICY_INVALID: Rule(422, "/spec/resourcePolicy", "ConfigMap {name} is no resource policy: {message}"),
    Code.FIELD_UNSUPPORTED: Rule(422, "/spec/{field}", "The Velero of cluster {cluster} does not know {field}."),
    Code.BACKUP_GONE: Rule(409, "", "Cluster {cluster} has no backup {name} (any more)."),
    Code.BACKUP_NOT_ENDED: Rule(409, "", "Backup {name} is {phase}: it can be deleted when it has ended."),
    Code.BACKUP_IS_REPLICA: Rule(
        409, "", "Backup {name} in cluster {cluster} is a copy of one that belongs to cluster {owner}: delete it there."
    ),
    Code.DELETION_FAILED: Rule(409, "", "Velero did not delete backup {name}: {message}"),
    Code.OVERLAP: Rule(409, "", "Backup {name} of schedule {schedule} is still {phase}."),
    Code.SUPERSEDED: Rule(409, "", "Backup {name} of schedule {schedule} was made at {at}, after this slot was due."),
    Code.RESTORE_NAME_TAKEN: Rule(409, "/name", "Cluster {cluster} already has a restore named {name}."),
    Code.RESTORE_GONE: Rule(409, "", "Cluster {cluster} has no restore {name} (any more)."),
    Code.RESTORE_NOT_ENDED: Rule(409, "", "Restore {name} is {phase}: it can be deleted when it has ended."),
    Code.RESTORE_OVERLAP: Rule(
        409, "/spec", "Restore {name} still runs into {namespaces} of cluster {cluster}: ask again when it has ended."
    ),
    Code.RESTORE_NOT_DELETED: Rule(
        409, "", "Velero has not removed restore {name} yet. Its storage location must be available for that: {message}"
    ),
    Code.BACKUP_NOT_RESTORABLE: Rule(409, "/backup", "Backup {name} cannot be restored: {reason}."),
    Code.BACKUP_HIDDEN: Rule(
        409, "/backup", "Cluster {cluster} has another backup named {name}, which hides the one that is meant from Velero."
    ),
    Code.BACKUP_NOT_FOUND_THERE: Rule(
        409,
        "/backup",
        "Velero of cluster {cluster} has not found backup {name} in storage location {location} within {patience}.",
    ),
    Code.NO_GOOD_BACKUP: Rule(409, "/schedule", "Schedule {schedule} has no backup that is Completed and still there."),
    Code.NAMESPACE_NOT_IN_BACKUP: Rule(422, "/spec/{field}", "Backup {name} does not hold namespace {names}."),
    Code.NOTHING_MATCHES: Rule(422, "/spec", "Nothing in backup {name} matches what is to be restored."),
    Code.MODIFIERS_UNKNOWN: Rule(
        422, "/spec/resourceModifier/name", "Velero's namespace in cluster {cluster} has no ConfigMap {name}."
    ),
    Code.MODIFIERS_INVALID: Rule(422, "/spec/resourceModifier", "ConfigMap {name} holds no resource modifiers: {message}"),
    Code.MIRROR_FAILED: Rule(
        409, "/credential", "Cluster {cluster} does not reach the backup through storage location {location}: {message}"
    ),
    Code.LOCATION_TAKEN: Rule(409, "/name", "Cluster {cluster} already has a {kind} named {name}."),
    Code.LOCATION_GONE: Rule(409, "", "Cluster {cluster} has no {kind} {name} (any more)."),
    Code.LOCATION_CHANGED: Rule(
        412, "", "The {kind} {name} of cluster {cluster} was changed meanwhile: look at it, and ask again."
    ),
    Code.LOCATION_NOT_DELETED: Rule(409, "", "Cluster {cluster} has not removed the {kind} {name} yet."),
    Code.LOCATION_IN_USE: Rule(
        409, "", "Storage location {name} of cluster {cluster} is used: {users}. `force=true` removes it all the same."
    ),
    Code.BUCKET_SHARED: Rule(
        409,
        "/spec/objectStorage",
        "{owners} writes into the same bucket and prefix: two that write there destroy each other's backups. "
        "`allowSharedBucket=true` if it is another storage.",
    ),
    Code.CREDENTIAL_UNREADABLE: Rule(
        409, "/credential", "Cluster {cluster} cannot open the credential: its key is another by now. Send it again."
    ),
    Code.REFUSED_BY_CLUSTER: Rule(422, "", "The API server of cluster {cluster} refused the object: {message}"),
    Code.CLUSTER_FAILS: Rule(409, "/cluster", "The API server of cluster {cluster} keeps failing at it: {message}"),
    Code.FORBIDDEN_IN_CLUSTER: Rule(422, "/cluster", "Leeward is not allowed to do this in cluster {cluster}: {message}"),
    Code.VELERO_MISSING: Rule(422, "/cluster", "Cluster {cluster} does not know Velero's kinds: is Velero installed?"),
    Code.DEADLINE_EXCEEDED: Rule(409, "/deadline", "The deadline {deadline} passed before cluster {cluster} could begin."),
}


class Refusal(Wire):
    """One no: a code for programs, the field at fault and a sentence for people."""

    code: str
    pointer: str
    detail: str

    @property
    def status(self) -> int:
        """The HTTP status; 422 for a code of a newer contract."""
        return RULES[Code(self.code)].status if self.code in set(Code) else 422


def refusal(code: Code, *, pointer: str | None = None, **facts: object) -> Refusal:
    """Fill in the sentence of a refusal; `pointer` where the request has the field elsewhere, or not at all (`""`).

    Raises KeyError when a fact that the sentence names is missing.
    """
    rule = RULES[code]
    where = rule.pointer.format(**facts) if pointer is None else pointer
    return Refusal(code=code, pointer=where, detail=rule.sentence.format(**facts))
