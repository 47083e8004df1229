"""From options to the body of `POST /restores`. Pure, but for options that name a file, which is read."""

from collections.abc import Sequence

from leeward import requestfile
from leeward.request import Field, Form, config_map, mapping, pairs, selector, selectors, words

_MANY = list[str]

FIELDS: Sequence[Field] = (
    Field("--backup --from-backup", "/backup", str, "NAME|ID", "The backup to restore."),
    Field("--schedule --from-schedule", "/schedule", str, "NAME|ID", "The latest good backup of this schedule."),
    Field("--cluster -c", "/cluster", str, "CLUSTER", "Into which cluster (usually the one that was backed up)."),
    Field(
        "--namespace -n --include-namespaces",
        *("/spec/includedNamespaces", _MANY, "NAMESPACE", "Only these, as they are called in the backup.", words),
    ),
    Field("--exclude-namespace --exclude-namespaces", "/spec/excludedNamespaces", _MANY, "NAMESPACE", "Not these.", words),
    Field(
        "--map --namespace-mappings",
        *("/spec/namespaceMapping", _MANY, "FROM=TO", "Bring a namespace back under another name.", mapping),
    ),
    Field(
        "--existing-resource-policy",
        *(
            "/spec/existingResourcePolicy",
            str,
            "POLICY",
            "Objects that are there already: none leaves them, update changes them.",
        ),
    ),
    Field("--label --labels", "/labels", _MANY, "KEY=VALUE", "A label of the restore.", pairs),
    Field("--deadline", "/deadline", str, "DURATION", "How long to wait for a cluster that is away (usually 1h)."),
    # What of the backup.
    Field("--include-resources", "/spec/includedResources", _MANY, "KIND", "Only these, e.g. deployments.", words),
    Field("--exclude-resources", "/spec/excludedResources", _MANY, "KIND", "Not these, e.g. secrets.", words),
    Field(
        "--include-cluster-resources/--no-include-cluster-resources",
        *("/spec/includeClusterResources", bool, None, "Objects outside of namespaces, too."),
    ),
    Field(
        "--selector -l", "/spec/labelSelector", str, "SELECTOR", "Only objects with labels: a=b,c!=d,e,!f (all hold).", selector
    ),
    Field("--or-selector", "/spec/orLabelSelectors", _MANY, "SELECTOR", "Several, of which one must hold.", selectors),
    Field(
        "--status-include-resources",
        *("/spec/restoreStatus/includedResources", _MANY, "KIND", "Of these the status is restored, too.", words),
    ),
    Field(
        "--status-exclude-resources",
        *("/spec/restoreStatus/excludedResources", _MANY, "KIND", "Of all but these the status is restored, too.", words),
    ),
    # How.
    Field(
        "--restore-volumes/--no-restore-volumes", "/spec/restorePVs", bool, None, "Bring volumes back from snapshots, or not."
    ),
    Field(
        "--preserve-nodeports/--no-preserve-nodeports",
        *("/spec/preserveNodePorts", bool, None, "Let Services keep their node ports."),
    ),
    Field(
        "--modifiers-file",
        *(
            "/resourceModifiers",
            str,
            "FILE",
            "Rules by which objects are changed, as Velero's ConfigMap has them; - for stdin.",
        ),
        requestfile.part("rules: version and resourceModifierRules were expected"),
    ),
    Field(
        "--resource-modifier-configmap",
        *("/spec/resourceModifier", str, "NAME", "ConfigMap with such rules, in the cluster.", config_map),
    ),
    Field(
        "--write-sparse-files/--no-write-sparse-files",
        "/spec/uploaderConfig/writeSparseFiles",
        bool,
        None,
        "Write sparse files.",
    ),
    Field("--parallel-files-download", "/spec/uploaderConfig/parallelFilesDownload", int, "N", "Files copied at a time."),
    Field(
        "--item-operation-timeout", "/spec/itemOperationTimeout", str, "DURATION", "How long plugins may work (usually 72h)."
    ),
    # How another cluster reaches the backup.
    Field("--storage-config", "/storage/config", _MANY, "KEY=VALUE", "Another way to the storage: s3Url=http://…", pairs),
    Field("--storage-cacert", "/storage/objectStorage/caCert", str, "FILE", "Certificates of the storage.", requestfile.text),
)
"""Every option that fills the body. Hooks are written in a file (--from-file), which takes all that the API takes."""

RESTORE = Form(FIELDS, None, {})
