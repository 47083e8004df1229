"""What a restore would meet: questions to the executors of both clusters, and their answers. Request and reply, not stored."""

from shared.contracts.artifacts import Trouble
from shared.contracts.backupspec import ObjectName
from shared.contracts.base import Wire

MOST_NAMES = 20_000
"""Names of objects that one message carries at most."""


class Held(Wire):
    """Objects of one kind; names are `namespace/name`, or `name` outside of namespaces."""

    api_version: str
    kind: str
    names: list[str]


class NodePort(Wire):
    """A port that a Service opens on every node."""

    service: str
    port: int


class BackupSurvey(Wire):
    """`backup.survey`: what is in this backup? `ids` as in `artifact.read`. Asked where it lies.

    `within`: seconds; what has not been found out by then is left out of the answer.
    """

    name: str
    ids: list[str]
    within: float = 2.5


class BackupSurveyed(Wire):
    """What is in a backup; None where it could not be found out. No contents of objects but what stands here.

    `storageClasses` are those that its claims name. `truncated`: there are more objects than are named.
    """

    held: list[Held] | None = None
    storage_classes: list[str] | None = None
    node_ports: list[NodePort] | None = None
    truncated: bool = False
    trouble: Trouble | None = None
    detail: str = ""


class RestoreLook(Wire):
    """`restore.look`: what of this is there already, and what is missing? Names are those in the target.

    `within`: seconds; what has not been found out by then is left out of the answer.
    """

    held: list[Held] = []
    storage_classes: list[str] = []
    node_ports: list[NodePort] = []
    modifier: ObjectName | None = None
    within: float = 2.0


class RestoreSeen(Wire):
    """What there is in the target; `unseen` names kinds that the executor may not look at.

    `modifierFound` is None when no ConfigMap was asked for.
    """

    unserved: list[str] = []
    existing: list[Held] = []
    unseen: list[str] = []
    missing_storage_classes: list[str] | None = None
    taken_node_ports: list[NodePort] | None = None
    modifier_found: bool | None = None
    detail: str = ""
