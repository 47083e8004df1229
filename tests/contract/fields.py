"""`make schemas` writes docs/fields.md, too: every field of the form and of Velero's specs, in API and command line.

One table says where each field is. What the API calls it and what it is when left out comes from the gateway's own model, the
option from the command's own table, and which fields Velero has from its CRD: `test_fields` fails when one of them is not here.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from leeward.backups.form import FIELDS
from leeward.request import SCOPES
from services.gateway.schemas import CreateBackup
from tests.contract import restorefields
from tests.contract.fieldtables import Field, Json, Rule, Table, anchor, of_spec, selector

PAGE = Path(__file__).parents[2] / "docs" / "fields.md"

NAME_ARGUMENT = "NAME"
FROM_FILE = "--from-file"

RULES: Mapping[str, Rule] = {
    "duration": Rule(
        "a duration longer than nothing, as Go writes it, or with days",
        "one that Go cannot read stops every Backup of the cluster; a negative one makes a backup that has expired; "
        "0 would be Velero's default",
        "30 days",
    ),
    "kinds": Rule(
        "names without blanks, `*` alone; included ones of kinds that the cluster has there (others excluded are told)",
        "Velero takes any other name, too, and stores nothing for it",
        ["no such kind"],
    ),
    "namespaces": Rule(
        "names of namespaces that exist, and patterns with `*`, `?` and `[abc]`",
        "Velero before 1.18 takes a pattern for a name, and any version stores nothing for a name that is of none",
        ["Not_A_Name"],
    ),
    "label name": Rule("a name that a label can have", "nothing else can match", "-team"),
    "label value": Rule("a value that a label can have", "nothing else can match", "not a value"),
    "operator": Rule("`In`, `NotIn`, `Exists` or `DoesNotExist`", "Velero finds out about another when it runs", "Near"),
    "policy kind": Rule("`configmap`", "Velero ignores a reference to any other kind without a word", "secret"),
    "object name": Rule("the name of an object that exists", "it is looked up before the Backup is made", "No Name"),
    "order": Rule(
        "plural names of kinds, and for each `namespace/name`, with commas and without blanks",
        "Velero knows the kind by no other name, and up to 1.18 keeps a blank as part of the name",
        "a/b, a/c",
    ),
    "mover": Rule(
        "nothing, `velero`, `kopia`, or one that the settings of the cluster list",
        "Velero waits for any other until the timeout",
        "nobody",
    ),
    "parallel": Rule("1 to 1024", "no uploader works with less", 0),
    "hook name": Rule("any text but none", "errors of a hook are told by its name", ""),
}


def hook(when: str) -> list[Field]:
    """The fields of one step of a hook."""
    command = f"hooks.resources[].{when}[].exec"
    return [
        of_spec(f"{command}.container", absent="the first of the Pod"),
        of_spec(f"{command}.command", note="needed"),
        of_spec(f"{command}.onError", absent="`Fail`", note="`Continue` or `Fail`; either way the backup is PartiallyFailed"),
        of_spec(f"{command}.timeout", absent="30s", rule="duration"),
    ]


OLD = "*Global*: also outside of namespaces. Not beside the scoped lists"
SCOPED = "Not beside the global lists"
VELEROS_CHOICE = "as the Velero of the cluster is set"

SECTIONS: Mapping[str, Sequence[Field]] = {
    "Basic details": [
        Field("", "/name", "Backup Name", note="needed; becomes the name of the Backup"),
        Field(
            "", "/labels", "Labels", note="labels of the Backup itself, beside those that say whose it is", rule="label value"
        ),
    ],
    "Scope and policy": [
        Field("", "/cluster", "Select Cluster to Backup", note="needed"),
        Field(
            "",
            "/scope/kind",
            "Namespaces to Backup",
            note="needed by the API: `all`, `production`, `nonProduction` or `specific`",
        ),
        Field(
            "includedNamespaces",
            "/scope/namespaces",
            "Specific Namespaces",
            note="resolved to names when the backup is made, and never empty; `*` is scope `all`",
            rule="namespaces",
        ),
        Field("excludedNamespaces", "/scope/excludedNamespaces", "", note="with every scope; resolved, too", rule="namespaces"),
        of_spec("includedResources", guide="Included Resources (global)", note=OLD, rule="kinds"),
        of_spec("excludedResources", guide="Excluded Resources (global)", note=OLD, rule="kinds"),
        of_spec("includeClusterResources", guide="Specific Resources: Global", absent="what is related", note=OLD),
        of_spec("includedClusterScopedResources", guide="Included Resources (cluster)", note=SCOPED, rule="kinds"),
        of_spec("excludedClusterScopedResources", guide="Excluded Resources (cluster)", note=SCOPED, rule="kinds"),
        of_spec("includedNamespaceScopedResources", guide="Included Resources (namespace)", note=SCOPED, rule="kinds"),
        of_spec("excludedNamespaceScopedResources", guide="Excluded Resources (namespace)", note=SCOPED, rule="kinds"),
        of_spec("itemOperationTimeout", guide="Item Operation Timeout", rule="duration"),
    ],
    "Storage and snapshots": [
        of_spec(
            "volumeSnapshotLocations",
            guide="Volume Snapshot Location",
            absent="the only one of each provider",
            note="one a provider; the others are added, in the order of their names",
            rule="object name",
        ),
        of_spec("storageLocation", guide="Storage Location", absent="the default one", rule="object name"),
        of_spec(
            "snapshotVolumes",
            guide="Snapshot Option",
            absent="take, where it can be done",
            note="`true` takes snapshots, `false` skips them; what only snapshots need is refused beside `false`",
        ),
    ],
    "Snapshot volume settings": [
        of_spec(
            "snapshotMoveData", guide="Snapshot Move Data", absent=VELEROS_CHOICE, note="needs a node agent and CSI snapshots"
        ),
        of_spec("defaultVolumesToFsBackup", guide="Default Volumes to FS Backup", absent=VELEROS_CHOICE),
        of_spec("datamover", guide="Data Mover", absent="Velero's own", note="`kopia` is sent as `velero`", rule="mover"),
        of_spec("uploaderConfig.parallelFilesUpload", guide="Parallel Files Upload", absent=VELEROS_CHOICE, rule="parallel"),
    ],
    "Advanced timeouts": [
        of_spec("csiSnapshotTimeout", guide="CSI Snapshot Timeout", rule="duration"),
        of_spec("ttl", guide="Backup TTL", note="also of schedules", rule="duration"),
        Field("", "/deadline", note="how long the request may wait for a cluster that is away; at most 168h", rule="duration"),
    ],
    "Which objects, beyond the form": [
        *selector("labelSelector"),
        *selector("orLabelSelectors[]"),
        of_spec("orderedResources", note="kinds, and which objects of them come first", rule="order"),
        of_spec("volumeGroupSnapshotLabelKey", absent="`velero.io/volume-group`", rule="label name"),
        of_spec("resourcePolicy.kind", rule="policy kind"),
        of_spec("resourcePolicy.name", note="a ConfigMap in Velero's namespace, which is read before", rule="object name"),
    ],
    "Hooks": [
        of_spec("hooks.resources[].name", note="needed", rule="hook name"),
        of_spec("hooks.resources[].includedNamespaces"),
        of_spec("hooks.resources[].excludedNamespaces"),
        of_spec("hooks.resources[].includedResources", rule="kinds"),
        of_spec("hooks.resources[].excludedResources", rule="kinds"),
        *selector("hooks.resources[].labelSelector"),
        *hook("pre"),
        *hook("post"),
    ],
    "Not taken": [
        Field("metadata.labels", note="means something in a Velero Schedule only; labels of a backup are `/labels`"),
        Field("defaultVolumesToRestic", note="Velero's old name of `defaultVolumesToFsBackup`"),
        Field("resourcePolicy.apiGroup", note="Velero does not look at it"),
    ],
}
ALL: Sequence[Field] = [field for fields in SECTIONS.values() for field in fields]

ONLY_SNAPSHOTS = (
    "snapshotMoveData",
    "datamover",
    "volumeSnapshotLocations",
    "volumeGroupSnapshotLabelKey",
    "csiSnapshotTimeout",
)
TOGETHER = (
    "A selector names at least one label or expression: Velero writes an empty one as `<none>`, and then fails on every kind.",
    "`includedResources`, `excludedResources` and `includeClusterResources` (global) exclude the lists of one scope.",
    "`labelSelector` and `orLabelSelectors` exclude each other.",
    "What is included cannot be excluded, neither in the backup nor in a hook.",
    "`snapshotVolumes: false` excludes what only snapshots need: " + ", ".join(f"`{name}`" for name in ONLY_SNAPSHOTS) + ".",
    "A list has at most 1,000 entries, and the whole request at most 512 KiB.",
    "What is `null`, or an empty list or object, is not sent: to Velero it means the same.",
)


# What others say of these fields


def option(pointer: str) -> str:
    """How the command line says it."""
    if pointer == "/name":
        return NAME_ARGUMENT
    if pointer == "/scope/kind":
        return ", ".join(f"`{option}`" for option, _ in SCOPES.values())
    for field in FIELDS:
        if pointer == field.pointer or pointer.startswith(f"{field.pointer}/"):
            return f"`{field.names.split(' ')[0]}`"
    return f"`{FROM_FILE}`"


BACKUPS = Table(CreateBackup, "backups.velero.io", SECTIONS, option)


INTRODUCTION = """# Every field of a backup, and of a restore

Written by `make schemas`; do not edit.

What the form of the user guide asks for and what Velero 1.18 knows (every property of `spec` in its CRD), with its place in the
body of `POST /api/v1/backups`, the option of `leeward backup create`, and what leaving it out means. A `*` stands for any
index. What has no option of its own is written into a file, which takes all that the API takes (`--from-file`).

A test fills every field by the CRD's schema, sends it through the gateway and an executor, and compares it with the Backup that
the cluster got: nothing is lost, and nothing is changed but what stands here.
"""


def text() -> str:
    """The whole page."""
    lines = [INTRODUCTION]
    for title, fields in SECTIONS.items():
        lines += [f"## {title}", "", "| form | Velero | API | command line | left out | |", "|---|---|---|---|---|---|"]
        lines += ["| " + " | ".join((field.guide, *BACKUPS.cells(field))) + " |" for field in fields]
        lines.append("")
    lines += ["## Stricter than Velero's schema", "", "| | Leeward takes | because |", "|---|---|---|"]
    lines += [f'| <a id="{anchor(name)}"></a>{name} | {rule.takes} | {rule.because} |' for name, rule in RULES.items()]
    lines += ["", "## Together", "", *(f"- {rule}" for rule in TOGETHER), "", *restorefields.lines()[:-1]]
    return "\n".join(lines) + "\n"


def crd_schema() -> Json:
    """The schema of a BackupSpec."""
    return BACKUPS.crd_schema()


if __name__ == "__main__":
    PAGE.write_text(text())
