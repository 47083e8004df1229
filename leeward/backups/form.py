"""From options to the body of `POST /backups`, which is the form of a schedule's backups, too. Pure."""

from collections.abc import Sequence

from leeward.request import Field, Form, ValueFormError, config_map, pairs, selector, selectors, words


def orders(value: str) -> dict[str, str]:
    """Read `pods=ns/a,ns/b;persistentvolumes=pv1`."""
    found = {}
    for term in filter(None, (t.strip() for t in value.split(";"))):
        kind, equals, names = term.partition("=")
        if not equals:
            raise ValueFormError(f"{term!r} is not written as kind=namespace/name,namespace/name")
        found[kind.strip()] = names.strip()
    return found


_MANY = list[str]

FIELDS: Sequence[Field] = (
    Field("--cluster -c", "/cluster", str, "CLUSTER", "The cluster to back up."),
    Field(
        "--namespace -n --include-namespaces",
        *("/scope/namespaces", _MANY, "NAMESPACE", "Only these; also a pattern: 'shop-*', '?', '[abc]'.", words),
    ),
    Field(
        "--exclude-namespace --exclude-namespaces",
        *("/scope/excludedNamespaces", _MANY, "NAMESPACE", "Not these; also a pattern.", words),
    ),
    Field("--label -l --labels", "/labels", _MANY, "KEY=VALUE", "A label of the backup.", pairs),
    Field("--ttl", "/spec/ttl", str, "DURATION", "How long it is kept, e.g. 30d (usually 720h)."),
    Field("--deadline", "/deadline", str, "DURATION", "How long to wait for a cluster that is away (usually 1h)."),
    Field("--storage-location", "/spec/storageLocation", str, "LOCATION", "Where it is stored (usually the default one)."),
    # What of the cluster.
    Field("--include-resources", "/spec/includedResources", _MANY, "KIND", "Only these, e.g. deployments.", words),
    Field("--exclude-resources", "/spec/excludedResources", _MANY, "KIND", "Not these, e.g. events.", words),
    Field(
        "--include-cluster-resources/--no-include-cluster-resources",
        *("/spec/includeClusterResources", bool, None, "Objects outside of namespaces, too."),
    ),
    Field(
        "--include-cluster-scoped-resources",
        *("/spec/includedClusterScopedResources", _MANY, "KIND", "Only these outside of namespaces.", words),
    ),
    Field(
        "--exclude-cluster-scoped-resources",
        *("/spec/excludedClusterScopedResources", _MANY, "KIND", "Not these outside of namespaces.", words),
    ),
    Field(
        "--include-namespace-scoped-resources",
        *("/spec/includedNamespaceScopedResources", _MANY, "KIND", "Only these inside of namespaces.", words),
    ),
    Field(
        "--exclude-namespace-scoped-resources",
        *("/spec/excludedNamespaceScopedResources", _MANY, "KIND", "Not these inside of namespaces.", words),
    ),
    Field(
        "--selector", "/spec/labelSelector", str, "SELECTOR", "Only objects with labels: a=b,c!=d,e,!f (all hold).", selector
    ),
    Field("--or-selector", "/spec/orLabelSelectors", _MANY, "SELECTOR", "Several, of which one must hold.", selectors),
    Field("--ordered-resources", "/spec/orderedResources", str, "ORDER", "First these: pods=ns/a,ns/b;secrets=ns/c.", orders),
    # Volumes.
    Field(
        "--snapshot-volumes/--no-snapshot-volumes",
        *("/spec/snapshotVolumes", bool, None, "Take snapshots of volumes, or back up manifests only."),
    ),
    Field(
        "--volume-snapshot-location --volume-snapshot-locations",
        *("/spec/volumeSnapshotLocations", _MANY, "LOCATION", "Where snapshots are kept, one a provider.", words),
    ),
    Field(
        "--snapshot-move-data/--no-snapshot-move-data",
        *("/spec/snapshotMoveData", bool, None, "Move the data of snapshots to the storage location."),
    ),
    Field("--data-mover", "/spec/datamover", str, "NAME", "Who moves it: velero or kopia."),
    Field(
        "--default-volumes-to-fs-backup/--no-default-volumes-to-fs-backup",
        *("/spec/defaultVolumesToFsBackup", bool, None, "Copy the files of volumes instead."),
    ),
    Field("--parallel-files-upload", "/spec/uploaderConfig/parallelFilesUpload", int, "N", "Files copied at a time."),
    Field(
        "--volume-group-snapshot-label-key",
        *("/spec/volumeGroupSnapshotLabelKey", str, "KEY", "Volumes with the same value of this label are taken at once."),
    ),
    Field("--resource-policies-configmap", "/spec/resourcePolicy", str, "NAME", "ConfigMap with volume policies.", config_map),
    Field("--csi-snapshot-timeout", "/spec/csiSnapshotTimeout", str, "DURATION", "How long one may take (usually 10m)."),
    Field(
        "--item-operation-timeout", "/spec/itemOperationTimeout", str, "DURATION", "How long plugins may work (usually 72h)."
    ),
)
"""Every option that fills the body. Hooks are written in a file (--from-file), which takes all that the API takes."""

BACKUP = Form(
    FIELDS,
    "/scope",
    {
        "name": "what to call it (NAME)",
        "cluster": "which cluster to back up (--cluster; `leeward cluster list` shows them)",
    },
)
