"""What the backup controller does before it runs a backup: defaults are written into the spec, and the spec is judged."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from simulator.documents import Document, clone, dig
from simulator.names import label_problems
from simulator.velero import policies
from simulator.velero.client import Client, phase_of
from simulator.velero.durations import parse_duration
from simulator.velero.naming import valid_name
from simulator.velero.selection import (
    AUTO_EXCLUDED_CLUSTER,
    AUTO_EXCLUDED_NAMESPACED,
    EXCLUDE_LABEL,
    mixes_filters,
    uses_old_filters,
)
from simulator.velero.settings import Settings

LOCATION_LABEL = "velero.io/storage-location"

_OLD_FILTERS = "include-resources, exclude-resources and include-cluster-resources are old filter parameters.\n"
_MIXED = (
    f"{_OLD_FILTERS}include-cluster-scoped-resources, exclude-cluster-scoped-resources, include-namespace-scoped-resources and "
    "exclude-namespace-scoped-resources are new filter parameters.\nThey cannot be used together"
)
_BRACKETS = re.compile(r"\[[^]]+\]")
_BOTH_SELECTORS = "encountered labelSelector as well as orLabelSelectors in backup spec, only one can be specified"
_ONE_STAR = "{} list must either contain '*' only, or a non-empty list of items"
_IN_BOTH = "excludes list cannot contain an item in the includes list: {}"


@dataclass(slots=True)
class Request:
    """A backup as the controller is about to run it: the new spec, what is wrong with it, and where it goes."""

    spec: Document
    errors: list[str] = field(default_factory=list)
    location: Document | None = None
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    expires_after: float = 0.0

    def patch(self, client: Client) -> Document:
        """Return the write by which the backup starts or fails validation."""
        status: Document = {"version": 1, "formatVersion": "1.1.0", "expiration": client.timestamp(self.expires_after)}
        if self.errors:
            status |= {"phase": "FailedValidation", "validationErrors": self.errors}
        else:
            status |= {"phase": "InProgress", "startTimestamp": client.timestamp()}
        return {"metadata": {"labels": self.labels, "annotations": self.annotations}, "spec": self.spec, "status": status}


def prepare(backup: Document, client: Client, settings: Settings) -> Request:
    """Fill in defaults and judge everything, in the order in which Velero reports it."""
    request = Request(clone(backup.get("spec") or {}))
    _fill_in(request, settings)
    _find_location(request, client, settings)
    _find_snapshot_locations(request, client, settings)
    major, minor = settings.kubernetes.removeprefix("v").split(".")[:2]
    request.annotations = {
        "velero.io/resource-timeout": settings.resource_timeout,
        "velero.io/source-cluster-k8s-gitversion": settings.kubernetes,
        "velero.io/source-cluster-k8s-major-version": major,
        "velero.io/source-cluster-k8s-minor-version": minor,
    }
    _judge_filters(request, client)
    _judge_policy(request, client, str(backup["metadata"]["name"]))
    return request


def _fill_in(request: Request, settings: Settings) -> None:
    spec = request.spec
    defaults = (
        ("ttl", settings.default_ttl),
        ("csiSnapshotTimeout", settings.csi_snapshot_timeout),
        ("itemOperationTimeout", settings.default_item_operation_timeout),
    )
    for name, default in defaults:
        if not spec.get(name) or parse_duration(spec[name]) == 0:
            spec[name] = default
    seconds = parse_duration(spec["ttl"])
    request.expires_after = seconds
    if spec.get("defaultVolumesToRestic"):
        spec["defaultVolumesToFsBackup"] = True
    flags = (
        ("defaultVolumesToFsBackup", settings.default_volumes_to_fs_backup),
        ("snapshotMoveData", settings.default_snapshot_move_data),
    )
    for name, flag in flags:
        if spec.get(name) is None:
            spec[name] = flag
    spec.setdefault("volumeGroupSnapshotLabelKey", "velero.io/volume-group")
    if not spec.get("includedNamespaces"):
        spec["includedNamespaces"] = ["*"]


def _find_location(request: Request, client: Client, settings: Settings) -> None:
    spec = request.spec
    named = spec.get("storageLocation")
    if not named:
        marked = (item["metadata"]["name"] for item in client.list("backupstoragelocations") if dig(item, "spec.default"))
        spec["storageLocation"] = next(marked, settings.default_location)
    name = spec["storageLocation"]
    request.labels[LOCATION_LABEL] = valid_name(name)
    location = client.find("backupstoragelocations", name)
    if location is None:
        request.errors.append(
            "an existing backup storage location was not specified at backup creation time and the "
            f"{'' if named else 'server '}default {name} {'was not found' if named else 'does not exist'}. "
            "Please address this issue (see `velero backup-location -h` for options) and create a new backup. "
            f'Error: BackupStorageLocation.velero.io "{name}" not found'
        )
        return
    request.location = location
    if dig(location, "spec.accessMode") == "ReadOnly":
        request.errors.append(f"backup can't be created because backup storage location {name} is currently in read-only mode")
    if phase_of(location) != "Available":
        request.errors.append(f"backup can't be created because BackupStorageLocation {name} is in Unavailable status.")


def _find_snapshot_locations(request: Request, client: Client, settings: Settings) -> None:
    providers = {item["metadata"]["name"]: str(dig(item, "spec.provider")) for item in client.list("volumesnapshotlocations")}
    named = request.spec.get("volumeSnapshotLocations") or []
    chosen: dict[str, str] = {}
    errors = []
    for name in named:
        if name not in providers:
            errors.append(
                f"a VolumeSnapshotLocation CRD for the location {name} with the name specified in the backup spec needs to be "
                f'created before this snapshot can be executed. Error: VolumeSnapshotLocation.velero.io "{name}" not found'
            )
        elif (other := chosen.setdefault(providers[name], name)) != name:
            errors.append(
                f"more than one VolumeSnapshotLocation name specified for provider {providers[name]}: {name}; "
                f"unexpected name was {other}"
            )
    if not errors:
        errors = list(_choose_snapshot_locations(chosen, providers, dict(settings.default_snapshot_locations)))
    if not errors:
        errors = [problem for name in chosen.values() for problem in _credential_problems(name, client)]
    if errors:
        request.errors += errors
    elif chosen:
        request.spec["volumeSnapshotLocations"] = [chosen[provider] for provider in sorted(chosen)]


def _credential_problems(name: str, client: Client) -> Iterator[str]:
    location = client.find("volumesnapshotlocations", name) or {}
    credential = dig(location, "spec.credential") or {}
    secret, key = credential.get("name", ""), credential.get("key", "")
    found = client.find("secrets", secret) if secret else {"data": {key: ""}}
    if found is None or key not in (found.get("data") or {}):
        why = f'Secret "{secret}" not found' if found is None else f'"{secret}" secret is missing data for key "{key}"'
        words = "unable to get credentials: unable to get key for secret"
        yield f"error adding credentials to volume snapshot location named {name}: {words}: {why}"


def _choose_snapshot_locations(chosen: dict[str, str], providers: dict[str, str], defaults: dict[str, str]) -> Iterator[str]:
    for provider in sorted(set(providers.values()) - chosen.keys()):
        names = [name for name, of in providers.items() if of == provider]
        if len(names) == 1:
            chosen[provider] = names[0]
        elif provider not in defaults:
            yield (
                f"provider {provider} has more than one possible volume snapshot location, and none were specified explicitly "
                "or as a default"
            )
        elif defaults[provider] not in providers:
            name = defaults[provider]
            why = f'VolumeSnapshotLocation.velero.io "{name}" not found'
            yield f"error getting volume snapshot location named {name}: {why}"
        else:
            chosen[provider] = defaults[provider]


def _judge_filters(request: Request, client: Client) -> None:
    spec = request.spec
    opted_out = [item["metadata"]["name"] for item in client.store.list("namespaces", labels=f"{EXCLUDE_LABEL}=true")]
    if opted_out:
        spec["excludedNamespaces"] = [*spec.get("excludedNamespaces", []), *opted_out]
    if mixes_filters(spec):
        request.errors.append(_MIXED)
    for words, name, added, problems in _OLD_LISTS if uses_old_filters(spec) else _NEW_LISTS:
        included, excluded = spec.get(f"included{name}") or [], spec.get(f"excluded{name}") or []
        wrong = [f"Invalid {words} lists: {problem}" for problem in problems(included, excluded)]
        request.errors += wrong
        if not wrong:
            _exclude(spec, name, included, excluded, added)
    namespaces = spec["includedNamespaces"], spec.get("excludedNamespaces") or []
    request.errors += [f"Invalid included/excluded namespace lists: {problem}" for problem in namespace_problems(*namespaces)]
    if spec.get("labelSelector") is not None and spec.get("orLabelSelectors") is not None:
        request.errors.append(_BOTH_SELECTORS)


def _exclude(spec: Document, name: str, included: Sequence[str], excluded: Sequence[str], added: Sequence[str]) -> None:
    """Leave out what plugins take care of."""
    if any(item in added for item in included):
        spec[f"included{name}"] = [item for item in included if item not in added]
    if "*" not in excluded:
        spec[f"excluded{name}"] = [*excluded, *(item for item in added if item not in excluded)]


def list_problems(included: Sequence[str], excluded: Sequence[str]) -> Iterator[str]:
    """Say what is wrong with two lists of names."""
    if len(set(included)) > 1 and "*" in included:
        yield _ONE_STAR.format("includes")
    if "*" in excluded:
        yield "excludes list cannot contain '*'"
    yield from (_IN_BOTH.format(item) for item in sorted(set(included) & set(excluded)))


def scoped_list_problems(included: Sequence[str], excluded: Sequence[str]) -> Iterator[str]:
    """Say what is wrong with two lists of resources of one scope."""
    if len(set(included)) > 1 and "*" in included:
        yield _ONE_STAR.format("includes")
    if len(set(excluded)) > 1 and "*" in excluded:
        yield _ONE_STAR.format("excludes")
    if included and "*" in excluded:
        yield "when exclude is '*', include cannot have value"
    yield from (_IN_BOTH.format(item) for item in sorted(set(included) & set(excluded)))


Problems = Callable[[Sequence[str], Sequence[str]], Iterator[str]]
_Lists = tuple[tuple[str, str, tuple[str, ...], Problems], ...]

_OLD_LISTS: _Lists = (
    ("included/excluded resource", "Resources", (*AUTO_EXCLUDED_NAMESPACED, *AUTO_EXCLUDED_CLUSTER), list_problems),
)
_NEW_LISTS: _Lists = (
    ("cluster-scoped included/excluded resource", "ClusterScopedResources", AUTO_EXCLUDED_CLUSTER, scoped_list_problems),
    ("namespace-scoped included/excluded resource", "NamespaceScopedResources", AUTO_EXCLUDED_NAMESPACED, scoped_list_problems),
)
"""What to call two lists, the fields that hold them, what plugins add to the excluded one, and how to judge them."""


def namespace_problems(included: Sequence[str], excluded: Sequence[str]) -> Iterator[str]:
    """Say what is wrong with two lists of namespaces; `*`, `?` and `[abc]` are patterns."""
    yield from list_problems(included, excluded)
    for name in sorted({*included, *excluded} - {""}):
        if problem := pattern_problem(name):
            yield problem
            continue
        plain = name.translate(str.maketrans("*?[]", "xxxx"))
        yield from (f'invalid namespace "{name}": {problem}' for problem in label_problems(plain))


def pattern_problem(name: str) -> str:
    """Say what is wrong with a name as a pattern."""
    if any(letter in name for letter in "|()!{},"):
        return "wildcard pattern contains unsupported characters: |, (, ), !, {, }, ,"
    if "**" in name:
        return "wildcard pattern contains consecutive asterisks (only single * allowed)"
    outside = _BRACKETS.sub("", name)
    for what, words in (
        ("[]", "empty bracket pattern '[]'"),
        ("[", "unclosed bracket '['"),
        ("]", "unmatched closing bracket ']'"),
    ):
        if what in outside:
            return f"wildcard pattern contains {words}"
    return ""


def _judge_policy(request: Request, client: Client, backup: str) -> None:
    policy: Any = request.spec.get("resourcePolicy") or {}
    name = policy.get("name", "")
    if str(policy.get("kind", "")).lower() != "configmap":
        return
    found = client.find("configmaps", name)
    if found is None:
        what = f"{client.namespace}/{name} ConfigMap"
        request.errors.append(f'invalid resource policies: fail to get ResourcePolicies {what}: ConfigMap "{name}" not found')
        return
    try:
        taken = policies.read(found, client.namespace, backup)
    except policies.PolicyError as error:
        request.errors.append(f"invalid resource policies: {error}")
        return
    if uses_old_filters(request.spec):
        request.errors += [_OLD_FILTERS + problem for problem in policies.filters_problems(taken)]
