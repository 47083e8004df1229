"""Things as people see them: written by status, announced on the state feed, served by the gateway, all in one shape."""

from typing import Any, Literal

from pydantic import Field

from shared.contracts.artifacts import Artifact
from shared.contracts.base import Instant, Wire
from shared.contracts.events import Cause, Problem, RestoreCounts, Volume
from shared.contracts.findings import Finding
from shared.contracts.notices import Notice
from shared.contracts.phases import (
    BackupStatus,
    ClusterStatus,
    LocationStatus,
    OperationState,
    Outcome,
    RestoreStatus,
    ScheduleStatus,
    SlotResult,
)
from shared.contracts.reasons import ScheduleReason
from shared.contracts.refusals import Refusal
from shared.contracts.schedules import Concurrency, Decision, Deletion, Misfire, Template


class Creator(Wire):
    """Who caused a backup. External: made in the cluster, past Leeward."""

    kind: Literal["User", "Schedule", "External"]
    name: str | None = None


class Progress(Wire):
    """How far Velero has come, by its own count (the total moves while it works)."""

    items_backed_up: int | None = None
    total_items: int | None = None


class Size(Wire):
    """Bytes stored. None = not known, never 0."""

    metadata_bytes: int | None = None
    volume_bytes: int | None = None
    total_bytes: int | None = None


class ScheduleRef(Wire):
    """The schedule that made a backup; `id` is None for a Schedule of Velero's own."""

    id: str | None = None
    name: str


class Shown(Wire):
    """A thing as people see it. Of two versions of one thing the one with the higher `revision` is the newer.

    So a page that was asked for and a change that was pushed can be put in order. The numbers have gaps; None = not counted.
    """

    revision: int | None = None


class BackupItem(Shown):
    """A backup in a list. What is not known is None."""

    id: str
    previous_ids: list[str] = []
    name: str
    cluster: str
    namespace: str | None = None
    created_by: Creator
    status: BackupStatus
    outcome: Outcome | None = None
    phase: str | None = None
    reason: str | None = None
    created_at: Instant | None = None
    started_at: Instant | None = None
    completed_at: Instant | None = None
    expires_at: Instant | None = None
    size: Size = Size()
    storage_location: str | None = None
    schedule: ScheduleRef | None = None
    labels: dict[str, str] = {}
    warnings: int | None = None
    errors: int | None = None
    progress: Progress | None = None
    queue_position: int | None = None
    replica: bool = False
    present: bool = False


class Transition(Wire):
    """A change of a backup's phase (Velero's) or status (ours), and when it was seen."""

    kind: Literal["Phase", "Status"]
    to: str
    at: Instant


class DeletionView(Wire):
    """The last time that a person had a backup deleted: who, and what Velero said to it. `errors`: it was not deleted."""

    operation_id: str
    by: str | None = None
    asked_at: Instant | None = None
    errors: list[str] = []


class RestoreRef(Wire):
    """A restore of a backup, in short; `cluster` is the one that it was brought into."""

    id: str
    name: str
    cluster: str
    status: RestoreStatus
    created_at: Instant | None = None


class BackupDetail(BackupItem):
    """A backup with all that is known of it.

    `resolvedNamespaces`: what the scope came to when the backup was made; None = every namespace, or not known.
    `slot`: that of its schedule which it was made for.
    `volumes` and `why` are known once the backup has ended and was looked into (`measuredAt`); `captured` names the artifacts
    that can be read although the backup has gone.
    """

    operation_id: str | None = None
    scope: dict[str, Any] | None = None
    resolved_namespaces: list[str] | None = None
    requested_spec: dict[str, Any] | None = None
    spec: dict[str, Any] | None = None
    validation_errors: list[str] = []
    failure_reason: str | None = None
    slot: Instant | None = None
    truncated: bool = False
    unreadable: str | None = None
    hook_status: dict[str, int] | None = None
    notices: list[Notice] = []
    volumes: list[Volume] | None = None
    volumes_truncated: bool = False
    why: list[Cause] = []
    why_truncated: bool = False
    deletion: DeletionView | None = None
    captured: list[Artifact] = []
    measured_at: Instant | None = None
    transitions: list[Transition] = []
    restores: list[RestoreRef] = []
    as_of: Instant | None = None


class RestoreProgress(Wire):
    """How far Velero has come, by its own count (the total moves while it works)."""

    items_restored: int | None = None
    total_items: int | None = None


class RestoreSource(Wire):
    """The backup that a restore is of. `id` and `cluster` are None when only Velero's name for it is known."""

    id: str | None = None
    name: str | None = None
    cluster: str | None = None


class RestoreItem(Shown):
    """A restore in a list. `cluster` is the one that it was brought into. What is not known is None.

    `schedule`: the one whose latest good backup a person asked for.
    """

    id: str
    name: str
    cluster: str
    namespace: str | None = None
    backup: RestoreSource = RestoreSource()
    schedule: ScheduleRef | None = None
    created_by: Creator
    status: RestoreStatus
    outcome: Outcome | None = None
    phase: str | None = None
    reason: str | None = None
    created_at: Instant | None = None
    started_at: Instant | None = None
    completed_at: Instant | None = None
    labels: dict[str, str] = {}
    warnings: int | None = None
    errors: int | None = None
    progress: RestoreProgress | None = None
    present: bool = False


class OperationStep(Wire):
    """A step of a long operation."""

    step: str
    detail: str = ""
    at: Instant


class RestoreDetail(RestoreItem):
    """A restore with all that is known of it.

    `requestedSpec` is what was asked for, `spec` what Velero made of it. `counts` and `why` are known once the restore has
    ended and was looked into (`measuredAt`); `captured` names the artifacts that can be read although it has gone. `steps`: of
    a restore from another cluster. `findings`: what the pre-flight said when it was asked for.
    """

    operation_id: str | None = None
    requested_spec: dict[str, Any] | None = None
    modifiers: dict[str, Any] | None = None
    spec: dict[str, Any] | None = None
    validation_errors: list[str] = []
    failure_reason: str | None = None
    truncated: bool = False
    unreadable: str | None = None
    hook_status: dict[str, int] | None = None
    notices: list[Notice] = []
    findings: list[Finding] = []
    steps: list[OperationStep] = []
    counts: RestoreCounts = RestoreCounts()
    why: list[Cause] = []
    why_truncated: bool = False
    captured: list[Artifact] = []
    measured_at: Instant | None = None
    transitions: list[Transition] = []
    as_of: Instant | None = None


class ObjectRef(Wire):
    """What an operation made, or is about."""

    kind: str
    id: str
    name: str


class OperationItem(Shown):
    """What was asked for and what became of it. `clusterLastSeenAt`: when the cluster was last seen, if ever.

    `findings`: of a restore, what the pre-flight said when it was asked for.
    """

    id: str
    kind: str
    cluster: str
    principal: str | None = None
    state: OperationState
    refusal: Refusal | None = None
    notices: list[Notice] = []
    findings: list[Finding] = []
    steps: list[OperationStep] = []
    created_at: Instant | None = None
    deadline: Instant | None = None
    cluster_last_seen_at: Instant | None = None
    object: ObjectRef | None = None


class LocationItem(Shown):
    """A backup storage location of a cluster. What is not known is None.

    `mirrorOf`: the cluster whose backups it was made to reach, for a restore. `sharedBucket`: a person has said that other
    clusters may write into the same place. `spec` is Velero's; the credential in it is the name of a Secret.
    """

    id: str
    name: str
    cluster: str
    namespace: str
    provider: str | None = None
    bucket: str | None = None
    prefix: str | None = None
    access_mode: Literal["ReadWrite", "ReadOnly"] | None = None
    default: bool | None = None
    status: LocationStatus
    message: str | None = None
    last_validated_at: Instant | None = None
    last_synced_at: Instant | None = None
    mirror_of: str | None = None
    shared_bucket: bool = False
    spec: dict[str, Any] = {}


class SnapshotLocationItem(Shown):
    """A volume snapshot location of a cluster. Velero never validates one: its status says Unchecked."""

    id: str
    name: str
    cluster: str
    namespace: str
    provider: str | None = None
    status: LocationStatus
    message: str | None = None
    spec: dict[str, Any] = {}


class VeleroView(Wire):
    """Velero in a cluster, as far as it is known. `nodeAgent`: whether one runs."""

    version: str | None = None
    namespace: str | None = None
    plugins: list[str] = []
    node_agent: bool | None = None
    last_answered_at: Instant | None = None


class ClusterItem(Shown):
    """A cluster: what was registered, joined with what reports. `asOf` is when it last told us anything."""

    id: str
    display_name: str | None = None
    status: ClusterStatus
    last_seen_at: Instant | None = None
    mode: Literal["Hub", "Agent"] | None = None
    kubernetes_version: str | None = None
    velero: VeleroView = VeleroView()
    as_of: Instant | None = None
    problems: list[Problem] = []


class ScheduleLocation(Wire):
    """Where a schedule's backups go. `name` is None until the cluster has told its default; the rest as far as it is known."""

    name: str | None = None
    provider: str | None = None
    bucket: str | None = None


class BackupRef(Wire):
    """A backup of a schedule, in short."""

    id: str
    name: str
    status: BackupStatus


class ScheduleCounts(Wire):
    """How many of a schedule's backups, and slots, ended how; of what is still kept."""

    completed: int = 0
    partially_failed: int = 0
    failed: int = 0
    missed: int = 0
    skipped: int = 0


class ScheduleItem(Shown):
    """A schedule in a list. What is not known is None.

    `managedBy`: Velero for a Schedule found in a cluster, which is shown and not changed; it has no `version`.
    `skipNext`: how many of the next slots will not run, because a person said so. `cronText`: the expression in words, or None
    when it has no meaning. `deleting`: it is on its way out. `lastBackupAt`: when the last backup was made.
    """

    id: str
    name: str
    cluster: str
    description: str = ""
    managed_by: Literal["Leeward", "Velero"] = "Leeward"
    status: ScheduleStatus
    reasons: list[ScheduleReason] = []
    storage_location: ScheduleLocation = ScheduleLocation()
    cron: str
    cron_text: str | None = None
    timezone: str = "UTC"
    next_run_at: Instant | None = None
    last_backup_at: Instant | None = None
    last_backup: BackupRef | None = None
    last_skipped_at: Instant | None = None
    skip_next: int = 0
    paused: bool = False
    spread: str = "0s"
    starting_deadline: str | None = None
    misfire: Misfire | None = None
    concurrency_policy: Concurrency | None = None
    delete_backups_on_deletion: bool = False
    counts: ScheduleCounts = ScheduleCounts()
    deleting: Deletion | None = None
    version: int | None = None
    created_by: str | None = None
    created_at: Instant | None = None


class ScheduleDetail(ScheduleItem):
    """A schedule with the form of its backups. `template` is None for one of Velero's own, whose spec is `veleroTemplate`.

    `firstAffected`, in the answer to a change: the first slot that goes by it; None when there is none.
    """

    template: Template | None = None
    velero_template: dict[str, Any] | None = None
    changed_at: Instant | None = None
    first_affected: Instant | None = None
    as_of: Instant | None = None


class TickItem(Wire):
    """What became of a slot, or of a run of slots that ended alike (`from` to `to`, `count` of them). The newest come first.

    `result` is None unless it was Triggered; `refusal`: why the cluster said no.
    """

    id: str
    from_: Instant = Field(alias="from")
    to: Instant
    count: int = 1
    decision: Decision
    reason: str | None = None
    ran: Instant | None = None
    due_at: Instant
    decided_at: Instant
    deadline: Instant | None = None
    result: SlotResult | None = None
    refusal: Refusal | None = None
    operation_id: str | None = None
    backup: BackupRef | None = None
