"""What the API takes and gives beyond the shared views: requests, pages, and a cluster as registered and reporting."""

from typing import Annotated, Generic, Literal, TypeVar

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema

from shared.contracts.backupspec import BackupSpec, Labels, LabelSelector, ObjectName
from shared.contracts.base import Instant, Wire
from shared.contracts.durations import GoDuration
from shared.contracts.ids import is_cluster_id
from shared.contracts.refusals import Refusal
from shared.contracts.schedules import Concurrency, CronText, Misfire, ScheduleName, Template, ZoneName
from shared.contracts.scopes import Scope
from shared.contracts.views import ClusterItem, OperationItem

T = TypeVar("T", bound=Wire)

DEFAULT_DEADLINE = "1h"


def _cluster_id(value: str) -> str:
    if not is_cluster_id(value):
        raise ValueError("must be a DNS label: at most 63 lower case letters, digits and '-', not at the ends")
    return value


ClusterId = Annotated[
    str,
    AfterValidator(_cluster_id),
    WithJsonSchema({"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", "examples": ["eu1"]}),
]


class CreateBackup(Wire):
    """`POST /backups`. `deadline`: how long the command may wait for a cluster that is away, at most 168h."""

    name: ObjectName
    cluster: ClusterId
    labels: Labels = {}
    scope: Scope
    spec: BackupSpec = BackupSpec()
    deadline: GoDuration = DEFAULT_DEADLINE


DataMover = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=r"^\S+$")]


def _each_once(values: list[str]) -> list[str]:
    if len(set(values)) < len(values):
        raise ValueError("must not name one twice")
    return values


EachOnce = AfterValidator(_each_once)


ThingId = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class DeleteMany(Wire):
    """Many at once, by id. `deadline`: how long each command may wait for a cluster that is away, at most 168h."""

    ids: Annotated[list[ThingId], Field(min_length=1, max_length=500), EachOnce]
    deadline: GoDuration = DEFAULT_DEADLINE


class DeleteBackups(DeleteMany):
    """`POST /backups/delete`. `deadline`: how long each command may wait for a cluster that is away, at most 168h."""


MOST_SKIPPED = 1000
SkipCount = Annotated[int, Field(ge=0, le=MOST_SKIPPED)]


class ScheduleSettings(Wire):
    """What a person can say about a schedule, also later. An expression that cannot be read is stored, and shown as such.

    `skipNext`: how many of the next slots are not to run. `startingDeadline`: how late a slot may run, 1m to 168h. `spread`:
    each schedule runs a time of its own up to this behind its slots, at most 24h.
    """

    description: Annotated[str, StringConstraints(max_length=1000)] = ""
    cron: CronText
    timezone: ZoneName = "UTC"
    paused: bool = False
    skip_next: SkipCount = 0
    delete_backups_on_deletion: bool = False
    concurrency_policy: Concurrency = Concurrency.FORBID
    misfire: Misfire = Misfire.LATEST
    starting_deadline: GoDuration = "1h"
    spread: GoDuration = "0s"
    template: Template


class CreateSchedule(ScheduleSettings):
    """`POST /schedules`. The name stands before the slot in the names of backups; a cluster has each only once."""

    name: ScheduleName
    cluster: ClusterId


class SkipSlots(Wire):
    """`POST /schedules/{id}/skip`: how many of the next slots are not to run; 0 takes an earlier wish back."""

    count: SkipCount


class BackupFromSchedule(Wire):
    """`POST /schedules/{id}/backups`. `deadline`: how long the command may wait for a cluster that is away, at most 168h."""

    name: ObjectName
    deadline: GoDuration = DEFAULT_DEADLINE


class PreviewSchedule(Wire):
    """`POST /schedules/preview`."""

    cron: CronText
    timezone: ZoneName = "UTC"
    count: Annotated[int, Field(ge=1, le=100)] = 10


class PreviewInstant(Wire):
    """A slot, and what the clock on the wall shows then."""

    at: Instant
    local: Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]


class PreviewWarning(Wire):
    """What to know before trusting a timetable, and the instant that it is about, if it is about one."""

    code: str
    message: str
    at: Instant | None = None


class SchedulePreview(Wire):
    """When a timetable fires next: the words for it, its next slots, and what to know of it for the coming year."""

    cron_text: str
    instants: list[PreviewInstant]
    warnings: list[PreviewWarning] = []


class ScheduleSummary(Wire):
    """How many schedules there are by status, by cluster and by who keeps them."""

    status: dict[str, int]
    cluster: dict[str, int]
    managed_by: dict[str, int]


class ScopeRequest(Wire):
    """`POST /clusters/{cluster}/scope`."""

    scope: Scope


class ClusterSettings(Wire):
    """What a person can say about a cluster. A selector left out means the usual one.

    `dataMovers`: those that run in this cluster beside Velero's own; Velero waits for any other until its timeout.
    """

    display_name: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    production_selector: LabelSelector | None = None
    non_production_selector: LabelSelector | None = None
    data_movers: Annotated[list[DataMover], Field(max_length=20)] = []


class RegisterCluster(ClusterSettings):
    """`POST /clusters`."""

    id: ClusterId


class ClusterView(ClusterItem):
    """A cluster with what was registered of it; `version` is its ETag, None while it is not registered."""

    production_selector: LabelSelector | None = None
    non_production_selector: LabelSelector | None = None
    data_movers: list[str] = []
    version: int | None = None
    created_by: str | None = None
    created_at: Instant | None = None


class ClusterNamespace(Wire):
    """A namespace of a cluster and the environment that its labels put it in."""

    name: str
    labels: dict[str, str] = {}
    environment: Literal["Production", "NonProduction"] | None = None


class ScopePreview(Wire):
    """What a scope means in a cluster, by what the cluster said at `asOf`.

    `everything`: every namespace, also those made later. `excluded`: what the exclusions leave out. `optedOut`: those of
    `namespaces` that Velero leaves out all the same, because they carry its label `velero.io/exclude-from-backup=true`.
    `refusal`: the answer that a backup of this scope would get. `truncated`: the cluster has more namespaces than it told of.
    """

    everything: bool
    namespaces: list[str]
    excluded: list[str] = []
    opted_out: list[str] = []
    unknown: list[str] = []
    refusal: Refusal | None = None
    truncated: bool = False
    as_of: Instant


class Page(Wire, Generic[T]):
    """A page of a list. `total` is exact up to 10,000, above that None with `totalAtLeast`.

    `unreadable` names records that this version cannot read; they are counted but not shown.
    """

    items: list[T]
    next_cursor: str | None = None
    total: int | None = None
    total_at_least: int | None = None
    unreadable: list[str] = []


class InventoryPage(Page[T], Generic[T]):
    """A page of what a cluster holds, as it said at `asOf` (None: it has not said yet)."""

    as_of: Instant | None = None


class CreatorCount(Wire):
    """How many backups one creator has caused."""

    kind: str
    name: str | None = None
    count: int


class BackupSummary(Wire):
    """How many backups there are by status, and (Deleted ones left out) by cluster and by creator."""

    status: dict[str, int]
    cluster: dict[str, int]
    created_by: list[CreatorCount]


class ProblemField(Wire):
    """One thing that is wrong with a request."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None
    header: str | None = None


class ProblemDocument(Wire):
    """RFC 9457, with `errors` for validation and `operationId` where there is an operation."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[ProblemField] = Field(default=[])
    operation_id: str | None = None
    code: str | None = None
    dependency: str | None = None


class DeletionAnswer(Wire):
    """What became of one of many deletions asked for: the operation, or why there is none."""

    id: str
    operation: OperationItem | None = None
    problem: ProblemDocument | None = None


class DeletionAnswers(Wire):
    """`POST /backups/delete`: one answer for each id, in the order asked."""

    items: list[DeletionAnswer]
