"""Velero's RestoreSpec (v1.18) without the backup, which a request names by its id. Strict, with Velero's own names.

Source of the rules: Velero's CRD `restores.velero.io` and its restore controller; whatever that would ignore without a word, or
fail on only while it restores, is refused here.
"""

from collections import Counter
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from shared.contracts.backupspec import Kind, Kinds, LabelSelector, ObjectName
from shared.contracts.base import Wire
from shared.contracts.durations import GoDuration
from shared.contracts.scopes import is_namespace

DEFAULT_ITEM_OPERATION_TIMEOUT = "72h"


def _namespace(value: str) -> str:
    if value == "*":
        raise ValueError("must be the name of a namespace; without includedNamespaces, all of the backup are restored")
    if not is_namespace(value):
        raise ValueError(
            "must be the name of a namespace (at most 63 lower case letters, digits and '-', not at the ends); "
            "Velero takes no patterns here"
        )
    return value


NamespaceName = Annotated[str, AfterValidator(_namespace)]
"""The name of a namespace."""


class RestoreExec(Wire):
    """A command run in a container once its pod has been restored."""

    container: str | None = None
    command: Annotated[list[str], Field(min_length=1)]
    on_error: Literal["Continue", "Fail"] | None = None
    exec_timeout: GoDuration | None = None
    wait_timeout: GoDuration | None = None
    wait_for_ready: bool | None = None


class RestoreInit(Wire):
    """Init containers that are added to a pod as it is restored, each as Kubernetes writes a container."""

    init_containers: Annotated[list[dict[str, Any]], Field(min_length=1)]
    timeout: GoDuration | None = None


class PostHook(Wire):
    """One step of a hook: exactly one of the two."""

    exec: RestoreExec | None = None
    init: RestoreInit | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.exec is None) == (self.init is None):
            raise ValueError("needs either exec or init")
        return self


class RestoreResourceHook(Wire):
    """Hooks for the restored pods that match. Namespaces are those that they are restored to, not those of the backup."""

    name: Annotated[str, StringConstraints(min_length=1)]
    included_namespaces: list[str] = []
    excluded_namespaces: list[str] = []
    included_resources: Kinds = []
    excluded_resources: Kinds = []
    label_selector: LabelSelector | None = None
    post_hooks: list[PostHook] = []


class RestoreHooks(Wire):
    """All hooks of a restore."""

    resources: list[RestoreResourceHook] = []


class RestoreStatusSpec(Wire):
    """Of which kinds the status is restored, too. Both empty: of every kind."""

    included_resources: Kinds = []
    excluded_resources: Kinds = []


class RestoreUploaderConfig(Wire):
    """How volume files are brought back."""

    write_sparse_files: bool | None = None
    parallel_files_download: Annotated[int, Field(ge=1, le=1024)] | None = None


class ModifierRef(Wire):
    """A ConfigMap in Velero's namespace with resource modifiers. Any other kind Velero would ignore without a word."""

    kind: Literal["configmap", "ConfigMap"] = "configmap"
    name: ObjectName


class RestoreSpec(Wire):
    """What of a backup to bring back, and how; `None` and empty mean what Velero takes them to mean.

    Namespaces are those of the backup; `namespaceMapping` says where each goes. `restoreStatus` None restores no status.
    """

    included_namespaces: list[NamespaceName] = []
    excluded_namespaces: list[NamespaceName] = []
    included_resources: Kinds = []
    excluded_resources: Kinds = []
    include_cluster_resources: bool | None = None
    label_selector: LabelSelector | None = None
    or_label_selectors: list[LabelSelector] = []
    namespace_mapping: dict[NamespaceName, NamespaceName] = {}
    restore_p_vs: Annotated[bool | None, Field(alias="restorePVs")] = None
    existing_resource_policy: Literal["none", "update"] | None = None
    preserve_node_ports: bool | None = None
    restore_status: RestoreStatusSpec | None = None
    hooks: RestoreHooks | None = None
    resource_modifier: ModifierRef | None = None
    uploader_config: RestoreUploaderConfig | None = None
    item_operation_timeout: GoDuration = DEFAULT_ITEM_OPERATION_TIMEOUT

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if both := set(self.included_namespaces) & set(self.excluded_namespaces):
            raise ValueError(f"namespace {min(both)} cannot be both included and excluded")
        if self.label_selector and self.or_label_selectors:
            raise ValueError("labelSelector and orLabelSelectors exclude each other")
        for source in self.namespace_mapping:
            if source in self.excluded_namespaces or (self.included_namespaces and source not in self.included_namespaces):
                raise ValueError(f"namespaceMapping names {source}, which is not restored")
        twice = [name for name, times in Counter(self.namespace_mapping.values()).items() if times > 1]
        if twice:
            raise ValueError(f"namespaceMapping brings two namespaces into {min(twice)}")
        return self


class ModifierMatch(Wire):
    """What an object must hold for a rule to be about it: a JSON pointer and the value there."""

    path: Annotated[str, StringConstraints(min_length=1)]
    value: str


class ModifierConditions(Wire):
    """Which objects a rule is about, by what they are called in the backup."""

    group_resource: Kind
    resource_name_regex: str | None = None
    namespaces: list[str] = []
    label_selector: LabelSelector | None = None
    matches: list[ModifierMatch] = []


class JsonPatch(Wire):
    """One step of a JSON patch (RFC 6902); Velero takes the value as text."""

    operation: Literal["add", "remove", "replace", "move", "copy", "test"]
    from_: Annotated[str | None, Field(alias="from")] = None
    path: Annotated[str, StringConstraints(min_length=1)]
    value: str | None = None


class PatchData(Wire):
    """A merge patch as YAML or JSON text."""

    patch_data: Annotated[str, StringConstraints(min_length=1)]


class ModifierRule(Wire):
    """What is changed in the objects that meet the conditions; exactly one way of saying it."""

    conditions: ModifierConditions
    patches: list[JsonPatch] = []
    merge_patches: list[PatchData] = []
    strategic_patches: list[PatchData] = []

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(map(bool, (self.patches, self.merge_patches, self.strategic_patches))) != 1:
            raise ValueError("needs exactly one of patches, mergePatches and strategicPatches")
        return self


class ResourceModifiers(Wire):
    """Rules by which objects are changed as they are restored; kept in the cluster as a ConfigMap beside the Restore."""

    version: Literal["v1"] = "v1"
    resource_modifier_rules: Annotated[list[ModifierRule], Field(min_length=1, max_length=200)]
