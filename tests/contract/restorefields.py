"""The part of docs/fields.md about restores: every field of the API and of Velero's RestoreSpec."""

from collections.abc import Mapping, Sequence

from leeward.restores.form import FIELDS
from services.gateway.restores.forms import CreateRestore
from tests.contract.fieldtables import Field, Table, of_spec, selector

FROM_FILE = "--from-file"
VELEROS_CHOICE = "as the Velero of the cluster is set"
OF_BACKUP = "names as they are in the backup; no patterns"
RULE = "/resourceModifiers/resourceModifierRules/*"
PATCH = f"{RULE}/patches/*"
_SEALED = "sealed on arrival, never shown again"


def _credential(name: str, note: str) -> Field:
    return Field("", f"/credential/{name}", note=note)


SECTIONS: Mapping[str, Sequence[Field]] = {
    "What, and where to": [
        Field("", "/name", absent="the name of the backup, and the time"),
        Field("backupName", "/backup", note="by its id; needed, if not `/schedule`"),
        Field("scheduleName", "/schedule", note="by its id: its latest good backup, which Velero is told by name"),
        Field("", "/cluster", absent="where the backup was made"),
        Field("", "/labels", note="labels of the Restore itself, beside those that say whose it is", rule="label value"),
        Field("", "/deadline", note="how long the request may wait for a cluster that is away; at most 168h", rule="duration"),
    ],
    "Which objects of the backup": [
        of_spec("includedNamespaces", note=OF_BACKUP),
        of_spec("excludedNamespaces", note=OF_BACKUP),
        of_spec("namespaceMapping", note="from a name in the backup to the one that it will have; no two to one"),
        of_spec("includedResources", note="names without blanks, `*` alone"),
        of_spec("excludedResources", note="names without blanks, not `*`"),
        of_spec("includeClusterResources", absent="with all namespaces, and what is related"),
        *selector("labelSelector"),
        *selector("orLabelSelectors[]"),
    ],
    "How they are brought back": [
        of_spec("existingResourcePolicy", absent="what exists stays as it is", note="`none` or `update`"),
        of_spec("restorePVs", absent=VELEROS_CHOICE),
        of_spec("preserveNodePorts", absent=VELEROS_CHOICE),
        of_spec("restoreStatus.includedResources", absent="no status; beside `restoreStatus`: of all kinds"),
        of_spec("restoreStatus.excludedResources"),
        of_spec("uploaderConfig.writeSparseFiles", absent=VELEROS_CHOICE),
        of_spec("uploaderConfig.parallelFilesDownload", absent=VELEROS_CHOICE, note="1 to 1024"),
        of_spec("itemOperationTimeout", rule="duration"),
        of_spec("resourceModifier.kind", note="`configmap`: Velero ignores any other without a word"),
        of_spec(
            "resourceModifier.name", note="a ConfigMap in Velero's namespace, which is read before; or the rules themselves:"
        ),
        Field("", "/resourceModifiers/version"),
        Field("", f"{RULE}/conditions/groupResource", note="needed, as `deployments.apps`"),
        Field("", f"{RULE}/conditions/resourceNameRegex"),
        Field("", f"{RULE}/conditions/namespaces", note="as they are in the backup"),
        Field("", f"{RULE}/conditions/labelSelector/matchLabels", rule="label value"),
        Field("", f"{RULE}/conditions/labelSelector/matchExpressions/*/key", rule="label name"),
        Field("", f"{RULE}/conditions/labelSelector/matchExpressions/*/operator", rule="operator"),
        Field("", f"{RULE}/conditions/labelSelector/matchExpressions/*/values", rule="label value"),
        Field("", f"{RULE}/conditions/matches/*/path"),
        Field("", f"{RULE}/conditions/matches/*/value"),
        Field("", f"{PATCH}/operation", note="a JSON patch: `add`, `remove`, `replace`, `move`, `copy` or `test`"),
        Field("", f"{PATCH}/from"),
        Field("", f"{PATCH}/path"),
        Field("", f"{PATCH}/value"),
        Field("", f"{RULE}/mergePatches/*/patchData", note="YAML or JSON"),
        Field("", f"{RULE}/strategicPatches/*/patchData", note="YAML or JSON"),
    ],
    "Hooks of restored Pods": [
        of_spec("hooks.resources[].name", note="needed"),
        of_spec("hooks.resources[].includedNamespaces", note="as they are called where they are brought"),
        of_spec("hooks.resources[].excludedNamespaces"),
        of_spec("hooks.resources[].includedResources"),
        of_spec("hooks.resources[].excludedResources"),
        *selector("hooks.resources[].labelSelector"),
        of_spec("hooks.resources[].postHooks[].exec.container", absent="the first of the Pod"),
        of_spec("hooks.resources[].postHooks[].exec.command", note="needed"),
        of_spec("hooks.resources[].postHooks[].exec.onError", absent="`Continue`", note="`Continue` or `Fail`"),
        of_spec("hooks.resources[].postHooks[].exec.execTimeout", absent="30s", rule="duration"),
        of_spec("hooks.resources[].postHooks[].exec.waitTimeout", absent="for ever", rule="duration"),
        of_spec("hooks.resources[].postHooks[].exec.waitForReady", absent="`false`"),
        of_spec(
            "hooks.resources[].postHooks[].init.initContainers",
            note="as Kubernetes writes containers; `name`, `image` and `command` are needed",
        ),
        of_spec("hooks.resources[].postHooks[].init.timeout", rule="duration"),
    ],
    "How another cluster reaches the backup": [
        Field(
            "",
            "/storage/config",
            absent="as in the cluster of the backup",
            note="settings of the provider; `null` leaves one out",
        ),
        Field("", "/storage/objectStorage/caCert", absent="as the backup's cluster has it", note="PEM, or base64 of it"),
        _credential("accessKeyId", f"aws; {_SEALED}"),
        _credential("secretAccessKey", "aws"),
        _credential("sessionToken", "aws"),
        _credential("storageAccountKey", "azure"),
        _credential("tenantId", "azure"),
        _credential("clientId", "azure"),
        _credential("clientSecret", "azure"),
        _credential("subscriptionId", "azure"),
        _credential("serviceAccountKey", "gcp"),
        _credential("file", "any provider: the text that Velero's plugin reads"),
    ],
    "Not taken": [
        Field("resourceModifier.apiGroup", note="Velero does not look at it"),
    ],
}


def option(pointer: str) -> str:
    """How the command line says it."""
    if pointer == "/name":
        return "NAME"
    if pointer.startswith("/credential"):
        return "`--credential-file`"
    for field in FIELDS:
        if pointer == field.pointer or pointer.startswith(f"{field.pointer}/"):
            return f"`{field.names.split(' ')[0]}`"
    return f"`{FROM_FILE}`"


RESTORES = Table(CreateRestore, "restores.velero.io", SECTIONS, option)

INTRODUCTION = """## Restores

Every property of `spec` in the CRD of Velero 1.18, and everything else in the body of `POST /api/v1/restores`, with the option
of `leeward restore create`. What each is good for stands in [restore.md](restore.md). A test fills every field, and compares
what the cluster is told with what was asked for.
"""


def lines() -> list[str]:
    """The part of the page."""
    told = [INTRODUCTION]
    for title, fields in SECTIONS.items():
        told += [f"### {title}", "", "| Velero | API | command line | left out | |", "|---|---|---|---|---|"]
        told += ["| " + " | ".join(RESTORES.cells(field)) + " |" for field in fields]
        told.append("")
    return told
