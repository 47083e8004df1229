"""Every no that Velero has for a Restore, once for Velero and once for Leeward, which must say it first.

`test_restore_validation` shows with `RESTORE_REFUSALS` what Velero says, on both stages; whoever asks Leeward for the same
finds here which fields of the request it has to name.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.conformance.manifests import Json
from tests.conformance.refusals import (
    IN_BOTH,
    NAMESPACES,
    RESOURCES,
    SELECTOR,
    STAR_ALONE,
    STAR_EXCLUDED,
    Thing,
)

ONE_SOURCE = "Either a backup or schedule must be specified as a source for the restore, but not both"
BOTH_SELECTORS = "encountered labelSelector as well as orLabelSelectors in restore spec, only one can be specified"
UNREAD = "Error in parsing resource modifiers provided in configmap velero/{name}: "
UNDECODED = UNREAD + "failed to decode yaml data into resource modifiers, err: "
INVALID = "Validation error in resource modifiers provided in configmap velero/{name}: "
INCOMPLETE = "invalid InitContainer in restore hook, it doesn't have Command, Name or Image field"
ADD = "patches: [{operation: add, path: /a, value: b}]"


@dataclass(frozen=True, slots=True)
class RefusedRestore:
    """A Restore that Velero fails to validate: what is wrong with it, what Velero says, and which fields Leeward names."""

    spec: Json
    words: Sequence[str]
    fields: Sequence[str] = ()
    needs: Sequence[Thing] = ()

    def asked(self, known: str) -> Json:
        """The spec of the Restore, of the Backup `known` unless it says another one."""
        spec = {"backupName": known, **self.spec}
        return {key: value for key, value in spec.items() if value is not None}


def modifiers(name: str, *documents: str) -> Thing:
    """A ConfigMap of resource modifiers; each document has a key of its own."""
    return Thing("ConfigMap", name, {"data": {f"rules-{number}.yaml": text for number, text in enumerate(documents)}})


def with_modifiers(name: str, words: str, *documents: str) -> RefusedRestore:
    """A Restore by resource modifiers that Velero does not take."""
    spec = {"resourceModifier": {"kind": "configmap", "name": name}}
    return RefusedRestore(spec, [words.replace("{name}", name)], ["/spec/resourceModifier"], [modifiers(name, *documents)])


def ruled(patches: str, conditions: str = "{groupResource: pods}") -> str:
    """Modifiers of one rule."""
    return f"version: v1\nresourceModifierRules:\n- conditions: {conditions}\n  {patches}\n"


RESTORE_REFUSALS: dict[str, RefusedRestore] = {
    # Sources.
    "no source": RefusedRestore({"backupName": None}, [ONE_SOURCE], ["/backup"]),
    "two sources": RefusedRestore({"scheduleName": "nobody"}, [ONE_SOURCE], ["/schedule"]),
    "a backup that does not exist": RefusedRestore(
        {"backupName": "nobody"},
        ['Error retrieving backup: can\'t find backup velero/nobody: Backup.velero.io "nobody" not found'],
        ["/backup"],
    ),
    "a schedule without backups": RefusedRestore(
        {"backupName": None, "scheduleName": "nobody"},
        ["No backups found for schedule", "No completed backups found for schedule"],
        ["/schedule"],
    ),
    # What is there already.
    "a policy that nobody knows": RefusedRestore(
        {"existingResourcePolicy": "replace"},
        ["Invalid ExistingResourcePolicy: replace"],
        ["/spec/existingResourcePolicy"],
    ),
    # Namespaces.
    "a namespace in both lists": RefusedRestore(
        {"includedNamespaces": ["a"], "excludedNamespaces": ["a"]}, [f"{NAMESPACES}{IN_BOTH}a"], ["/spec"]
    ),
    "all namespaces and one more": RefusedRestore(
        {"includedNamespaces": ["*", "a"]}, [NAMESPACES + STAR_ALONE], ["/spec/includedNamespaces/0"]
    ),
    "all namespaces excluded from one": RefusedRestore(
        {"includedNamespaces": ["a"], "excludedNamespaces": ["*"]}, [NAMESPACES + STAR_EXCLUDED], ["/spec/excludedNamespaces/0"]
    ),
    # Kinds.
    "all kinds and one more": RefusedRestore(
        {"includedResources": ["*", "pods"]}, [RESOURCES + STAR_ALONE], ["/spec/includedResources/0"]
    ),
    "a kind in both lists": RefusedRestore(
        {"includedResources": ["pods"], "excludedResources": ["pods"]},
        [f"{RESOURCES}{IN_BOTH}pods"],
        ["/spec/excludedResources/0"],
    ),
    "all kinds excluded": RefusedRestore(
        {"excludedResources": ["*"]}, [RESOURCES + STAR_EXCLUDED], ["/spec/excludedResources/0"]
    ),
    "a kind that is never restored": RefusedRestore(
        {"includedResources": ["nodes"]},
        ["nodes are non-restorable resources", f"{RESOURCES}{IN_BOTH}nodes"],
        ["/spec/includedResources/0"],
    ),
    # Labels.
    "both kinds of label selectors": RefusedRestore(
        {"labelSelector": SELECTOR, "orLabelSelectors": [SELECTOR]}, [BOTH_SELECTORS], ["/spec"]
    ),
    # Resource modifiers.
    "modifiers that do not exist": RefusedRestore(
        {"resourceModifier": {"kind": "configmap", "name": "nobody"}},
        ["failed to get resource modifiers configmap velero/nobody"],
        ["/spec/resourceModifier/name"],
    ),
    "two sets of modifiers in one": with_modifiers(
        "two-sets", f"{UNREAD}illegal resource modifiers velero/{{name}} configmap", "version: v1", "version: v1"
    ),
    "modifiers that are no YAML": with_modifiers(
        "no-yaml", f"{UNDECODED}error converting YAML to JSON: yaml: line 1: did not find expected node content", "{"
    ),
    "modifiers with a field that nobody knows": with_modifiers(
        "colourful",
        f'{UNDECODED}error unmarshaling JSON: while decoding JSON: json: unknown field "colour"',
        "version: v1\ncolour: red",
    ),
    "modifiers with a condition that nobody knows": with_modifiers(
        "mooned",
        f'{UNDECODED}error unmarshaling JSON: while decoding JSON: json: unknown field "moon"',
        ruled(ADD, "{groupResource: pods, moon: full}"),
    ),
    "modifiers of another version": with_modifiers(
        "of-version-2", f"{INVALID}unsupported resource modifier version v2", "version: v2\nresourceModifierRules: []"
    ),
    "modifiers without rules": with_modifiers("ruleless", f"{INVALID}resource modifier rules cannot be empty", "version: v1"),
    "modifiers without a kind": with_modifiers("kindless", f"{INVALID}groupkResource cannot be empty", ruled(ADD, "{}")),
    "modifiers with an operation that nobody knows": with_modifiers(
        "paints", f"{INVALID}unsupported operation paint", ruled("patches: [{operation: paint, path: /a, value: b}]")
    ),
    "modifiers without a path": with_modifiers(
        "pathless", f"{INVALID}path cannot be empty", ruled("patches: [{operation: add, value: b}]")
    ),
    "modifiers in two ways at once": with_modifiers(
        "both-ways",
        f"{INVALID}only one of patches, mergePatches, strategicPatches can be specified",
        ruled(f"{ADD}\n  mergePatches: [{{patchData: '{{}}'}}]"),
    ),
    # Hooks.
    "an init hook whose container has no command": RefusedRestore(
        {"hooks": {"resources": [{"name": "h", "postHooks": [{"init": {"initContainers": [{"name": "a", "image": "b"}]}}]}]}},
        [f'invalid init container in restore hook "h": {INCOMPLETE}'],
        ["/spec/hooks/resources/0/postHooks/0/init/initContainers/0"],
    ),
    # All together.
    "three reasons at once": RefusedRestore(
        {
            "includedNamespaces": ["a"],
            "excludedNamespaces": ["a"],
            "labelSelector": SELECTOR,
            "orLabelSelectors": [SELECTOR],
            "backupName": "nobody",
        },
        [
            f"{NAMESPACES}{IN_BOTH}a",
            BOTH_SELECTORS,
            'Error retrieving backup: can\'t find backup velero/nobody: Backup.velero.io "nobody" not found',
        ],
        ["/spec"],
    ),
}
