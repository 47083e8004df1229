"""Every no that Velero has for a Backup, once for Velero and once for Leeward, which must say it first.

`test_backup_validation` shows with `REFUSALS` what Velero says, on both stages. `tests/integration/test_refused_before_velero`
asks Leeward for the same, and wants a no that names the field before any object is made. So a case cannot be added for one
alone: what Leeward cannot know must say why (`beyond`).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.conformance.manifests import VELERO, Json, of_core, of_velero
from tests.e2e.real.api import KubeApi, collection_path


@dataclass(frozen=True, slots=True)
class Thing:
    """An object that stands in Velero's namespace while a Backup is asked for. Of a location, `fields` are parts of its spec.

    `phase` is the one that Velero gives it, for those that it judges.
    """

    kind: str
    name: str
    fields: Json = field(default_factory=dict)
    phase: str = ""

    def manifest(self, location: Json) -> Json:
        """The object; `location` is the spec of a location on the bucket of this cluster."""
        if self.kind == "ConfigMap":
            return of_core(self.kind, self.name, VELERO, **self.fields)
        base = location if self.kind == "BackupStorageLocation" else {}
        return of_velero(self.kind, self.name, spec={**base, **self.fields})

    @contextmanager
    def standing(self, api: KubeApi, location: Json) -> Iterator[None]:
        """Be there within the block."""
        manifest = self.manifest(location)
        api.create(manifest)
        try:
            yield
        finally:
            api.delete(f"{collection_path(manifest)}/{self.name}")


@dataclass(frozen=True, slots=True)
class Refused:
    """A Backup that Velero fails to validate: what is wrong with it, what Velero says, and which fields Leeward names.

    In the words, `{backup}` is the name of the Backup: Velero puts it where the name of a ConfigMap should be.
    """

    spec: Json
    words: Sequence[str]
    fields: Sequence[str]
    needs: Sequence[Thing] = ()
    cluster: str = "writer"
    """Which cluster of the stage; what its other Backups would suffer from is for `fragile`."""
    homeless: bool = False
    """The cluster has no storage location meanwhile."""
    beyond: str = ""
    """Why Leeward cannot know it beforehand; without it, it must."""

    def errors(self, backup: str) -> list[str]:
        """What Velero says to a Backup of this name."""
        return [words.replace("{backup}", backup) for words in self.words]

    def asked(self) -> Json:
        """The same as a person says it to Leeward: `scope` and `spec` of a request."""
        spec = {**self.spec}
        included, excluded = spec.pop("includedNamespaces", ["default"]), spec.pop("excludedNamespaces", [])
        named = {"namespaces": included} if included not in ([], ["*"]) else {}
        scope = {"kind": "specific" if named else "all", **named, **({"excludedNamespaces": excluded} if excluded else {})}
        return {"scope": scope, "spec": spec}


def policies(name: str, *documents: str) -> Thing:
    """A ConfigMap of resource policies; each document has a key of its own."""
    return Thing("ConfigMap", name, {"data": {f"policy-{number}.yaml": text for number, text in enumerate(documents)}})


def with_policy(name: str, words: str, *documents: str, field: str = "/spec/resourcePolicy", **spec: Any) -> Refused:
    """A Backup by resource policies that Velero does not take."""
    spec = {"resourcePolicy": {"kind": "configmap", "name": name}, **spec}
    return Refused(spec, [words], [field], needs=[policies(name, *documents)] if documents else [])


NO_LOCATION = (
    "an existing backup storage location was not specified at backup creation time and the default nowhere was not found. "
    "Please address this issue (see `velero backup-location -h` for options) and create a new backup. "
    'Error: BackupStorageLocation.velero.io "nowhere" not found'
)
NO_DEFAULT = (
    "an existing backup storage location was not specified at backup creation time and the server default default does not "
    "exist. Please address this issue (see `velero backup-location -h` for options) and create a new backup. "
    'Error: BackupStorageLocation.velero.io "default" not found'
)
NO_SNAPSHOT_LOCATION = (
    "a VolumeSnapshotLocation CRD for the location nowhere with the name specified in the backup spec needs to be created "
    'before this snapshot can be executed. Error: VolumeSnapshotLocation.velero.io "nowhere" not found'
)
AMBIGUOUS = (
    "provider aws has more than one possible volume snapshot location, and none were specified explicitly or as a default"
)
NO_CREDENTIAL = (
    "error adding credentials to volume snapshot location named locked: unable to get credentials: "
    'unable to get key for secret: Secret "nowhere" not found'
)
OLD_FILTERS = "include-resources, exclude-resources and include-cluster-resources are old filter parameters.\n"
MIXED_FILTERS = (
    f"{OLD_FILTERS}include-cluster-scoped-resources, exclude-cluster-scoped-resources, include-namespace-scoped-resources and "
    "exclude-namespace-scoped-resources are new filter parameters.\nThey cannot be used together"
)
BOTH_SELECTORS = "encountered labelSelector as well as orLabelSelectors in backup spec, only one can be specified"
NAMESPACES = "Invalid included/excluded namespace lists: "
RESOURCES = "Invalid included/excluded resource lists: "
NAMESPACED = "Invalid namespace-scoped included/excluded resource lists: "
CLUSTER_SCOPED = "Invalid cluster-scoped included/excluded resource lists: "
STAR_ALONE = "includes list must either contain '*' only, or a non-empty list of items"
STAR_ALONE_EXCLUDED = "excludes list must either contain '*' only, or a non-empty list of items"
STAR_EXCLUDED = "excludes list cannot contain '*'"
STAR_LEAVES_NOTHING = "when exclude is '*', include cannot have value"
IN_BOTH = "excludes list cannot contain an item in the includes list: "
NO_LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
LONG_NAME = "must be no more than 63 characters"
NO_PATTERN = "wildcard pattern contains "
NO_POLICY = 'invalid resource policies: fail to get ResourcePolicies velero/nowhere ConfigMap: ConfigMap "nowhere" not found'
UNREAD = "invalid resource policies: fail to read the ResourcePolicies from ConfigMap velero/{backup}: "
UNDECODED = UNREAD + "failed to decode yaml data into resource policies  yaml: unmarshal errors:\n  line "
UNMET = UNREAD + "failed to decode volume conditions: yaml: unmarshal errors:\n  line 1: "
INVALID_POLICY = "invalid resource policies: fail to validate ResourcePolicies in ConfigMap velero/{backup}: "
SELECTOR = {"matchLabels": {"a": "b"}}
LONG = "a" * 64
RESOURCE_FILTER = "[{kinds: [configmaps]}]"


def choosing(action: str, conditions: str = "{}") -> str:
    """Policies of one rule."""
    return f"version: v1\nvolumePolicies:\n- conditions: {conditions}\n  action: {{type: {action}}}\n"


REFUSALS: dict[str, Refused] = {
    # Locations.
    "a storage location that does not exist": Refused({"storageLocation": "nowhere"}, [NO_LOCATION], ["/spec/storageLocation"]),
    "no storage location at all": Refused({}, [NO_DEFAULT], ["/spec/storageLocation"], cluster="fragile", homeless=True),
    "a storage location that is read-only": Refused(
        {"storageLocation": "only-read"},
        ["backup can't be created because backup storage location only-read is currently in read-only mode"],
        ["/spec/storageLocation"],
        needs=[Thing("BackupStorageLocation", "only-read", {"accessMode": "ReadOnly"}, "Available")],
    ),
    "a storage location that cannot be reached": Refused(
        {"storageLocation": "out-of-reach"},
        ["backup can't be created because BackupStorageLocation out-of-reach is in Unavailable status."],
        ["/spec/storageLocation"],
        needs=[Thing("BackupStorageLocation", "out-of-reach", {"provider": "example"}, "Unavailable")],
    ),
    "a snapshot location that does not exist": Refused(
        {"volumeSnapshotLocations": ["nowhere"]}, [NO_SNAPSHOT_LOCATION], ["/spec/volumeSnapshotLocations"]
    ),
    "two snapshot locations of a provider and none chosen": Refused(
        {},
        [AMBIGUOUS],
        ["/spec/volumeSnapshotLocations"],
        needs=[Thing("VolumeSnapshotLocation", "rival", {"provider": "aws", "config": {"region": "us-east-1"}})],
        cluster="fragile",
    ),
    "two snapshot locations of a provider and both chosen": Refused(
        {"volumeSnapshotLocations": ["default", "other"]},
        ["more than one VolumeSnapshotLocation name specified for provider aws: other; unexpected name was default"],
        ["/spec/volumeSnapshotLocations"],
        needs=[Thing("VolumeSnapshotLocation", "other", {"provider": "aws", "config": {"region": "us-east-1"}})],
        cluster="fragile",
    ),
    "a snapshot location whose credential is missing": Refused(
        {"volumeSnapshotLocations": ["locked"]},
        [NO_CREDENTIAL],
        [],
        needs=[
            Thing("VolumeSnapshotLocation", "locked", {"provider": "example", "credential": {"name": "nowhere", "key": "k"}})
        ],
        cluster="fragile",
        beyond="an executor may not read Secrets",
    ),
    # Namespaces.
    "a namespace in both lists": Refused(
        {"includedNamespaces": ["a"], "excludedNamespaces": ["a"]},
        [f"{NAMESPACES}{IN_BOTH}a"],
        ["/scope/excludedNamespaces/0"],
    ),
    "all namespaces and one more": Refused(
        {"includedNamespaces": ["*", "a"]}, [NAMESPACES + STAR_ALONE], ["/scope/namespaces/0"]
    ),
    "all namespaces excluded from one": Refused(
        {"includedNamespaces": ["a"], "excludedNamespaces": ["*"]},
        [NAMESPACES + STAR_EXCLUDED],
        ["/scope/excludedNamespaces/0"],
    ),
    "all namespaces excluded": Refused(
        {"includedNamespaces": [], "excludedNamespaces": ["*"]},
        [NAMESPACES + STAR_EXCLUDED, f"{NAMESPACES}{IN_BOTH}*"],
        ["/scope/excludedNamespaces/0"],
    ),
    "a name that no namespace can have": Refused(
        {"includedNamespaces": ["Bad_Name"]}, [f'{NAMESPACES}invalid namespace "Bad_Name": {NO_LABEL}'], ["/scope/namespaces/0"]
    ),
    "a name longer than that of any namespace": Refused(
        {"excludedNamespaces": [LONG]},
        [f'{NAMESPACES}invalid namespace "{LONG}": {LONG_NAME}'],
        ["/scope/excludedNamespaces/0"],
    ),
    "a doubled asterisk": Refused(
        {"includedNamespaces": ["a**"]},
        [f"{NAMESPACES}{NO_PATTERN}consecutive asterisks (only single * allowed)"],
        ["/scope/namespaces/0"],
    ),
    "a bracket that is not closed": Refused(
        {"includedNamespaces": ["a[bc"]}, [f"{NAMESPACES}{NO_PATTERN}unclosed bracket '['"], ["/scope/namespaces/0"]
    ),
    "a bracket that is not opened": Refused(
        {"includedNamespaces": ["abc]"]}, [f"{NAMESPACES}{NO_PATTERN}unmatched closing bracket ']'"], ["/scope/namespaces/0"]
    ),
    "a bracket around nothing": Refused(
        {"excludedNamespaces": ["a[]"]},
        [f"{NAMESPACES}{NO_PATTERN}empty bracket pattern '[]'"],
        ["/scope/excludedNamespaces/0"],
    ),
    "alternatives in a pattern": Refused(
        {"includedNamespaces": ["{a,b}"]},
        [f"{NAMESPACES}{NO_PATTERN}unsupported characters: |, (, ), !, {{, }}, ,"],
        ["/scope/namespaces/0"],
    ),
    # Kinds.
    "old and new filters together": Refused(
        {"includedResources": ["configmaps"], "excludedClusterScopedResources": ["nodes"]},
        [MIXED_FILTERS],
        ["/spec/excludedClusterScopedResources"],
    ),
    "includeClusterResources with a new filter": Refused(
        {"includeClusterResources": True, "includedNamespaceScopedResources": ["pods"]},
        [MIXED_FILTERS],
        ["/spec/includedNamespaceScopedResources"],
    ),
    "all kinds and one more": Refused(
        {"includedResources": ["*", "pods"]}, [RESOURCES + STAR_ALONE], ["/spec/includedResources/0"]
    ),
    "a kind in both lists": Refused(
        {"includedResources": ["pods"], "excludedResources": ["pods"]},
        [f"{RESOURCES}{IN_BOTH}pods"],
        ["/spec/excludedResources/0"],
    ),
    "all kinds excluded": Refused({"excludedResources": ["*"]}, [RESOURCES + STAR_EXCLUDED], ["/spec/excludedResources/0"]),
    "all namespaced kinds and one more": Refused(
        {"includedNamespaceScopedResources": ["*", "pods"]},
        [NAMESPACED + STAR_ALONE],
        ["/spec/includedNamespaceScopedResources/0"],
    ),
    "all namespaced kinds and one more excluded": Refused(
        {"excludedNamespaceScopedResources": ["pods", "*"]},
        [NAMESPACED + STAR_ALONE_EXCLUDED],
        ["/spec/excludedNamespaceScopedResources/1"],
    ),
    "all namespaced kinds excluded from one": Refused(
        {"includedNamespaceScopedResources": ["pods"], "excludedNamespaceScopedResources": ["*"]},
        [NAMESPACED + STAR_LEAVES_NOTHING],
        ["/spec/excludedNamespaceScopedResources/0"],
    ),
    "a namespaced kind in both lists": Refused(
        {"includedNamespaceScopedResources": ["pods"], "excludedNamespaceScopedResources": ["secrets", "pods"]},
        [f"{NAMESPACED}{IN_BOTH}pods"],
        ["/spec/excludedNamespaceScopedResources/1"],
    ),
    "all cluster-scoped kinds and one more": Refused(
        {"includedClusterScopedResources": ["nodes", "*"]},
        [CLUSTER_SCOPED + STAR_ALONE],
        ["/spec/includedClusterScopedResources/1"],
    ),
    "all cluster-scoped kinds and one more excluded": Refused(
        {"excludedClusterScopedResources": ["*", "nodes"]},
        [CLUSTER_SCOPED + STAR_ALONE_EXCLUDED],
        ["/spec/excludedClusterScopedResources/0"],
    ),
    "all cluster-scoped kinds excluded from one": Refused(
        {"includedClusterScopedResources": ["nodes"], "excludedClusterScopedResources": ["*"]},
        [CLUSTER_SCOPED + STAR_LEAVES_NOTHING],
        ["/spec/excludedClusterScopedResources/0"],
    ),
    "a cluster-scoped kind in both lists": Refused(
        {"includedClusterScopedResources": ["nodes"], "excludedClusterScopedResources": ["nodes"]},
        [f"{CLUSTER_SCOPED}{IN_BOTH}nodes"],
        ["/spec/excludedClusterScopedResources/0"],
    ),
    # Labels.
    "both kinds of label selectors": Refused(
        {"labelSelector": SELECTOR, "orLabelSelectors": [SELECTOR]}, [BOTH_SELECTORS], ["/spec/orLabelSelectors"]
    ),
    # Resource policies.
    "a resource policy that does not exist": with_policy("nowhere", NO_POLICY, field="/spec/resourcePolicy/name"),
    "two resource policies in one": with_policy(
        "two-in-one", UNREAD + "illegal resource policies velero/two-in-one configmap", choosing("skip"), choosing("skip")
    ),
    "a resource policy of another version": with_policy(
        "of-v2", INVALID_POLICY + "incompatible version number v2 with supported version v1", "version: v2"
    ),
    "a resource policy with an action that nobody knows": with_policy(
        "ignores", INVALID_POLICY + "invalid action type ignore", choosing("ignore")
    ),
    "a resource policy with a field that nobody knows": with_policy(
        "colourful",
        UNDECODED + "2: field colour not found in type resourcepolicies.ResourcePolicies",
        "version: v1\ncolour: red",
    ),
    "a resource policy with a condition that nobody knows": with_policy(
        "mooned", UNMET + "field moon not found in type resourcepolicies.volumeConditions", choosing("skip", "{moon: full}")
    ),
    "a resource policy with labels that are none": with_policy(
        "unlabelled", UNREAD + "pvcLabels must be a map of string to string, got string", choosing("skip", "{pvcLabels: app}")
    ),
    "a resource policy with a capacity that is none": with_policy(
        "endless", UNREAD + "wrong format of Capacity 10Gi", choosing("skip", "{capacity: 10Gi}")
    ),
    "a resource policy with the attributes of no driver": with_policy(
        "driverless",
        INVALID_POLICY + "csi driver should not be empty when filtering by volume attributes",
        choosing("skip", "{csi: {volumeAttributes: {a: b}}}"),
    ),
    "a resource policy that includes everything": with_policy(
        "everything",
        INVALID_POLICY + "cannot use '*' in includes or excludes filters in the policy",
        "version: v1\nincludeExcludePolicy: {includedNamespaceScopedResources: ['*']}",
    ),
    "a resource policy that includes what it excludes": with_policy(
        "contrary",
        f"{INVALID_POLICY}{IN_BOTH}a",
        "version: v1\nincludeExcludePolicy: {includedClusterScopedResources: [a], excludedClusterScopedResources: [a]}",
    ),
    "a resource policy that filters beside old filters": with_policy(
        "filters",
        f"{OLD_FILTERS}They cannot be used with include-exclude policies.",
        "version: v1\nincludeExcludePolicy: {includedNamespaceScopedResources: [configmaps]}",
        includedResources=["configmaps"],
    ),
    "a resource policy that filters namespaces beside old filters": with_policy(
        "filters-namespaces",
        f"{OLD_FILTERS}They cannot be used with namespace-scoped or fine-grained global filter policies.",
        f"version: v1\nnamespacedFilterPolicies: [{{namespaces: [default], resourceFilters: {RESOURCE_FILTER}}}]",
        excludedResources=["secrets"],
    ),
    # All together.
    "three reasons at once": Refused(
        {
            "storageLocation": "nowhere",
            "volumeSnapshotLocations": ["nowhere"],
            "includedNamespaces": ["default"],
            "excludedNamespaces": ["default"],
        },
        [NO_LOCATION, NO_SNAPSHOT_LOCATION, f"{NAMESPACES}{IN_BOTH}default"],
        ["/scope/excludedNamespaces/0"],
    ),
}
