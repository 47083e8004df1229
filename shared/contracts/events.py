"""What the rooms tell each other: observations of clusters, outcomes of commands, changes of what people see."""

from typing import Any

from pydantic import Field

from shared.contracts.artifacts import Artifact
from shared.contracts.base import Blob, Instant, Wire
from shared.contracts.notices import Notice
from shared.contracts.refusals import Refusal


class Observed(Wire):
    """`<noun>.observed`: a Kubernetes object as the cluster shows it now.

    `epoch` and `resourceVersion` order observations; both compare as integers. `object` comes without managedFields and
    last-applied, its longest texts cut (`truncated`). An object that cannot be carried has `unreadable` with the reason
    and only its metadata.
    """

    epoch: int
    uid: str
    resource_version: int
    namespace: str
    name: str
    object: dict[str, Any]
    deleted: bool = False
    truncated: bool = False
    unreadable: str | None = None


class Snapshot(Wire):
    """`<noun>.snapshot`: one page of what existed at `listRv`: every object with fromUid <= uid < toUid is named in `uids`.

    A bound of None is open. A page applies alone: what is in its range, of its epoch, not newer and not named, is gone.
    """

    epoch: int
    list_rv: int
    from_uid: str | None = None
    to_uid: str | None = None
    uids: list[str]


class Accepted(Wire):
    """`operation.accepted`: the cluster has the object that the operation made; it counts as an observation, too.

    `notices`: what a person should know of the request and this cluster, although it was accepted.
    """

    noun: str
    object: Observed
    notices: list[Notice] = []


class Volume(Wire):
    """What became of one volume of a backup. None = not known; sizes in bytes.

    `method` and `result` are Velero's words (BackupVolumeInfos): NativeSnapshot, CSISnapshot, PodVolumeBackup, Skipped;
    DataMovement stands for a CSI snapshot whose data was moved. `message`: why it failed, or was left out.
    """

    namespace: str | None = None
    claim: str | None = None
    volume: str | None = None
    method: str | None = None
    result: str | None = None
    size_bytes: int | None = None
    incremental_bytes: int | None = None
    message: str | None = None


class Cause(Wire):
    """Why a backup did not end well: one reason, how often it stands in the results, and an object that it hit.

    `message` is the reason with what differs from object to object left out.
    """

    message: str
    count: int
    example: str | None = None
    namespace: str | None = None


class Measured(Wire):
    """`backup.measured`: what was found out about a backup that has ended; None = could not be found out.

    `backup` is the Backup as it was then, with no more than what tells whose it is. `metadataBytes`: what lies in the storage
    location of it, without volumes. `volumeBytes` is known only if the size of every volume is.
    """

    backup: Observed
    metadata_bytes: int | None = None
    volume_bytes: int | None = None
    volumes: list[Volume] | None = None
    volumes_truncated: bool = False
    causes: list[Cause] = []
    causes_truncated: bool = False


class RestoreCounts(Wire):
    """How many objects a restore created, updated, skipped because they were there, and failed at. None = not known."""

    created: int | None = None
    updated: int | None = None
    skipped: int | None = None
    failed: int | None = None


class RestoreMeasured(Wire):
    """`restore.measured`: what was found out about a restore that has ended.

    `restore` is the Restore as it was then, with no more than what tells whose it is.
    """

    restore: Observed
    counts: RestoreCounts = RestoreCounts()
    causes: list[Cause] = []
    causes_truncated: bool = False


class Captured(Wire):
    """`backup.captured`, `restore.captured`: a part of a text that outlives what it is about, as it lies in the bucket (gzip).

    `uid` is the object's; the parts of one artifact, put together in order, are the whole. `cut`: only the first 5 MiB.
    """

    uid: str
    artifact: Artifact
    part: int
    parts: int
    data: Blob
    cut: bool = False


class Rejected(Wire):
    """`operation.rejected`: the cluster, or the executor on its behalf, said no."""

    refusal: Refusal


class Step(Wire):
    """`operation.step`: a long command has come this far.

    `refusal`: it comes to nothing, for this reason; what was made for it is being removed. `failing`: a sentence, as long as
    the API server fails at it; `resumed`: when it last went on after that. `since`: it is waited in from then, if that is not
    when this was told.
    """

    step: str
    detail: str = ""
    failing: str | None = None
    resumed: Instant | None = None
    since: Instant | None = None
    refusal: Refusal | None = None

    @property
    def words(self) -> str:
        """Return what people read: the detail, and how it goes."""
        goes = self.failing or (f"Goes on since {self.resumed:%H:%M:%S}Z." if self.resumed else None)
        return " ".join(filter(None, (self.detail, goes)))


class Finished(Wire):
    """`operation.finished`: a command whose end cannot be seen from its object has ended."""

    succeeded: bool
    detail: str = ""


class Answer(Wire):
    """When a dependency in the cluster last answered, and what it says is wrong with it now."""

    answered_at: Instant | None = None
    problem: str | None = None


class Problem(Wire):
    """Something in a cluster that needs a person: a code, a sentence with the cure, and the object if there is one."""

    code: str
    message: str
    object: str | None = None


class Presence(Wire):
    """`presence.observed`: the executor lives (the envelope's time says when), and what it last heard from the cluster.

    `clusterUid` is that of the namespace kube-system: two executors that tell different ones serve two clusters as one.
    """

    mode: str
    instance: str
    api_server: Answer
    velero: Answer
    problems: list[Problem] = []
    cluster_uid: str | None = None


class NamespaceInfo(Wire):
    """A namespace and its labels."""

    name: str
    labels: dict[str, str] = {}


class KindInfo(Wire):
    """A kind that can be chosen for a backup; `name` is the plural resource name. Velero takes the other names, too."""

    name: str
    group: str
    kind: str
    namespaced: bool
    singular: str = ""
    short_names: list[str] = []


class VeleroInfo(Wire):
    """What Velero says of itself. `version` is None until a status request has been answered.

    `nodeAgent`: whether one runs; None when that could not be seen.
    """

    namespace: str
    version: str | None = None
    plugins: list[str] = []
    node_agent: bool | None = None


class SealingKey(Wire):
    """The public key (Curve25519, 32 bytes) to which credentials for a cluster are sealed; `id` names it."""

    id: str
    key: Blob


class Inventory(Wire):
    """`inventory.observed`: what a cluster is and holds. `truncated` when it did not fit into one message."""

    kubernetes_version: str
    velero: VeleroInfo
    namespaces: list[NamespaceInfo]
    kinds: list[KindInfo]
    sealing_key: SealingKey | None = None
    truncated: bool = False


class Changed(Wire):
    """`<noun>.changed`: a status that people see has moved. Subscribers drop a `seq` at or below one they know for `id`.

    `seq` only grows, also when what it counts was forgotten and made again, or the database restored: it is never less than
    the milliseconds since 1970. So it has gaps, and says nothing about how many changes there were.
    """

    id: str
    seq: int
    from_: str | None = Field(default=None, alias="from")
    to: str
    at: Instant
    item: dict[str, Any]


class Progressed(Wire):
    """`<noun>.progressed`: something other than the status has moved; not stored.

    `seq` is that of the last change of the status: subscribers drop one below what they know for `id`.
    """

    id: str
    seq: int
    item: dict[str, Any]


class Hinted(Wire):
    """`schedule.hinted`: what is wanted or decided of a schedule has changed. Not stored; correctness rests on rescans."""

    id: str


class DeadLetter(Wire):
    """`message.buried`: a message given up on, with the reason. `payload` is base64.

    A long one is cut (`truncated`), so that the letter fits where the message did; whole it lies in `stream` at `sequence`.
    """

    stream: str
    consumer: str
    sequence: int
    subject: str
    deliveries: int
    reason: str
    headers: dict[str, str] = {}
    payload: str
    truncated: bool = False
