"""Velero's BackupSpec (v1.18) without the namespace lists, which the scope resolves to. Strict, with Velero's own names.

Sources of the rules: Velero's CRD `backups.velero.io` and its item collector; each one that would let a backup run on
something else than was asked for, or stall, is refused here.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from shared.contracts.base import Wire
from shared.contracts.durations import GoDuration

DEFAULT_TTL = "720h"
DEFAULT_ITEM_OPERATION_TIMEOUT = "72h"
DEFAULT_CSI_SNAPSHOT_TIMEOUT = "10m"

_DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_NAME_LIMIT, _LABEL_LIMIT = 253, 63


def _object_name(value: str) -> str:
    if len(value) > _NAME_LIMIT or not _DNS_SUBDOMAIN.fullmatch(value):
        raise ValueError(
            "must be at most 253 lower case letters, digits, '-' and '.', beginning and ending with a letter or digit"
        )
    return value


def _label_key(value: str) -> str:
    prefix, slash, name = value.rpartition("/")
    if slash and (len(prefix) > _NAME_LIMIT or not _DNS_SUBDOMAIN.fullmatch(prefix)):
        raise ValueError(f"the prefix of label {value!r} is not a DNS name")
    if len(name) > _LABEL_LIMIT or not _QUALIFIED_NAME.fullmatch(name):
        raise ValueError(f"{value!r} is not a label name")
    return value


def _label_value(value: str) -> str:
    if value and (len(value) > _LABEL_LIMIT or not _QUALIFIED_NAME.fullmatch(value)):
        raise ValueError(f"{value!r} is not a label value")
    return value


ObjectName = Annotated[str, AfterValidator(_object_name)]
LabelKey = Annotated[str, AfterValidator(_label_key)]
LabelValue = Annotated[str, AfterValidator(_label_value)]
Labels = dict[LabelKey, LabelValue]
Kind = Annotated[str, StringConstraints(min_length=1, max_length=_NAME_LIMIT, pattern=r"^\S+$")]
Kinds = list[Kind]


class LabelRequirement(Wire):
    """One expression of a label selector."""

    key: LabelKey
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: list[LabelValue] = []

    @model_validator(mode="after")
    def _values_fit(self) -> Self:
        if (self.operator in {"In", "NotIn"}) != bool(self.values):
            raise ValueError(f"operator {self.operator} {'takes no' if self.values else 'needs'} values")
        return self


class LabelSelector(Wire):
    """A selector of objects by label. An empty one is refused: Velero writes it as `<none>` and then fails on every kind."""

    match_labels: Labels = {}
    match_expressions: list[LabelRequirement] = []

    @model_validator(mode="after")
    def _selects(self) -> Self:
        if not self.match_labels and not self.match_expressions:
            raise ValueError("selects nothing in particular: name a label, or leave the selector out")
        return self


class ExecHook(Wire):
    """A command run in a container before or after its pod is backed up."""

    container: str | None = None
    command: Annotated[list[str], Field(min_length=1)]
    on_error: Literal["Continue", "Fail"] | None = None
    timeout: GoDuration | None = None


class Hook(Wire):
    """One step of a hook."""

    exec: ExecHook


class ResourceHook(Wire):
    """Hooks for the pods that match."""

    name: Annotated[str, StringConstraints(min_length=1)]
    included_namespaces: list[str] = []
    excluded_namespaces: list[str] = []
    included_resources: Kinds = []
    excluded_resources: Kinds = []
    label_selector: LabelSelector | None = None
    pre: list[Hook] = []
    post: list[Hook] = []


class Hooks(Wire):
    """All hooks of a backup."""

    resources: list[ResourceHook] = []


class UploaderConfig(Wire):
    """How volume files are uploaded."""

    parallel_files_upload: Annotated[int, Field(ge=1, le=1024)] | None = None


class ResourcePolicy(Wire):
    """A ConfigMap in Velero's namespace with volume policies. Any other kind Velero would ignore without a word."""

    kind: Literal["configmap", "ConfigMap"] = "configmap"
    name: ObjectName


class BackupSpec(Wire):
    """What to back up and how; `None` and empty mean what Velero takes them to mean, except where a default stands here."""

    included_resources: Kinds = []
    excluded_resources: Kinds = []
    include_cluster_resources: bool | None = None
    included_cluster_scoped_resources: Kinds = []
    excluded_cluster_scoped_resources: Kinds = []
    included_namespace_scoped_resources: Kinds = []
    excluded_namespace_scoped_resources: Kinds = []
    label_selector: LabelSelector | None = None
    or_label_selectors: list[LabelSelector] = []
    ordered_resources: dict[str, str] = {}
    hooks: Hooks | None = None
    resource_policy: ResourcePolicy | None = None

    storage_location: ObjectName | None = None
    volume_snapshot_locations: list[ObjectName] = []
    snapshot_volumes: bool | None = None
    snapshot_move_data: bool | None = None
    default_volumes_to_fs_backup: bool | None = None
    datamover: Annotated[str, StringConstraints(max_length=253)] | None = None
    uploader_config: UploaderConfig | None = None
    volume_group_snapshot_label_key: LabelKey | None = None

    csi_snapshot_timeout: GoDuration = DEFAULT_CSI_SNAPSHOT_TIMEOUT
    item_operation_timeout: GoDuration = DEFAULT_ITEM_OPERATION_TIMEOUT
    ttl: GoDuration = DEFAULT_TTL
