"""What the restore controller does before it runs a restore: defaults are written into the spec, and the spec is judged."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from simulator.documents import Document, clone, dig
from simulator.velero.client import Client, phase_of
from simulator.velero.modifiers import BadModifiers, InvalidModifiers, Rule, read_rules
from simulator.velero.restore_hooks import hook_errors
from simulator.velero.settings import Settings
from simulator.velero.validation import list_problems

SCHEDULE_LABEL = "velero.io/schedule-name"
NEVER_RESTORED = (
    "nodes", "events", "events.events.k8s.io", "backups.velero.io", "restores.velero.io", "resticrepositories.velero.io",
    "csinodes.storage.k8s.io", "volumeattachments.storage.k8s.io", "backuprepositories.velero.io",
)  # fmt: skip

_BOTH_SELECTORS = "encountered labelSelector as well as orLabelSelectors in restore spec, only one can be specified"
_ONE_SOURCE = "Either a backup or schedule must be specified as a source for the restore, but not both"


class _Refused(Exception):  # noqa: N818 (it ends the judgement, not the program)
    """What comes later cannot be judged any more."""


@dataclass(slots=True)
class Plan:
    """A restore as the controller is about to run it: the new spec, what is wrong with it, and what it needs."""

    spec: Document
    errors: list[str] = field(default_factory=list)
    location: Document = field(default_factory=dict)
    rules: list[Rule] = field(default_factory=list)

    def patch(self, client: Client) -> Document:
        """Return the write by which the restore starts or fails validation."""
        status: Document = {"phase": "InProgress", "startTimestamp": client.timestamp()}
        if self.errors:
            status = {"phase": "FailedValidation", "validationErrors": self.errors}
        return {"spec": self.spec, "status": status}


def plan(restore: Document, client: Client, settings: Settings) -> Plan:
    """Fill in defaults and judge everything, in the order in which Velero reports it."""
    planned = Plan(clone(restore.get("spec") or {}))
    spec = planned.spec
    given = spec.get("excludedResources") or []
    spec["excludedResources"] = [*given, *(resource for resource in NEVER_RESTORED if resource not in given)]
    planned.errors += _list_errors(spec)
    try:
        _find_source(planned, client)
    except _Refused as refused:
        planned.errors.append(str(refused))
    spec.setdefault("itemOperationTimeout", settings.default_item_operation_timeout)
    return planned


def _list_errors(spec: Document) -> Iterator[str]:
    included = spec.get("includedResources") or []
    yield from (f"{name} are non-restorable resources" for name in NEVER_RESTORED if name in included)
    for problem in list_problems(included, spec["excludedResources"]):
        yield f"Invalid included/excluded resource lists: {problem}"
    for problem in list_problems(spec.get("includedNamespaces") or [], spec.get("excludedNamespaces") or []):
        yield f"Invalid included/excluded namespace lists: {problem}"
    if spec.get("labelSelector") is not None and spec.get("orLabelSelectors") is not None:
        yield _BOTH_SELECTORS


def _find_source(planned: Plan, client: Client) -> None:
    spec = planned.spec
    if bool(spec.get("backupName")) == bool(spec.get("scheduleName")):
        raise _Refused(_ONE_SOURCE)
    planned.errors += hook_errors(spec)
    policy = spec.get("existingResourcePolicy")
    if policy and policy not in {"none", "update"}:
        planned.errors.append(f"Invalid ExistingResourcePolicy: {policy}")
    if spec.get("scheduleName"):
        spec["backupName"] = _latest_backup(planned, client)
    backup = _backup(client, spec["backupName"])
    planned.location = _location(client, backup)
    if phase_of(planned.location) != "Available":
        name = planned.location["metadata"]["name"]
        raise _Refused(f"The BSL {name} is unavailable, cannot retrieve the backup")
    schedule = backup["metadata"].get("labels", {}).get(SCHEDULE_LABEL)
    if schedule and not spec.get("scheduleName"):
        spec["scheduleName"] = schedule
    planned.rules = _rules(client, spec)


def _latest_backup(planned: Plan, client: Client) -> str:
    backups = client.list("backups", f"{SCHEDULE_LABEL}={planned.spec['scheduleName']}")
    if not backups:
        planned.errors.append("No backups found for schedule")
    completed = [backup for backup in backups if phase_of(backup) == "Completed"]
    if not completed:
        raise _Refused("No completed backups found for schedule")
    latest = max(completed, key=lambda backup: str(dig(backup, "status.startTimestamp") or ""))
    return str(latest["metadata"]["name"])


def _backup(client: Client, name: str) -> Document:
    found = client.find("backups", name)
    if found is None:
        why = f'can\'t find backup {client.namespace}/{name}: Backup.velero.io "{name}" not found'
        raise _Refused(f"Error retrieving backup: {why}")
    return found


def _location(client: Client, backup: Document) -> Document:
    name = str(dig(backup, "spec.storageLocation") or "")
    found = client.find("backupstoragelocations", name)
    if found is None:
        raise _Refused(f'Error retrieving backup: BackupStorageLocation.velero.io "{name}" not found')
    return found


def _rules(client: Client, spec: Document) -> list[Rule]:
    reference: Any = spec.get("resourceModifier") or {}
    if str(reference.get("kind", "")).lower() != "configmap":
        return []
    path = f"{client.namespace}/{reference.get('name', '')}"
    found = client.find("configmaps", reference.get("name", ""))
    if found is None:
        raise _Refused(f"failed to get resource modifiers configmap {path}")
    try:
        return read_rules(found)
    except BadModifiers as error:
        what = "Validation error in" if isinstance(error, InvalidModifiers) else "Error in parsing"
        raise _Refused(f"{what} resource modifiers provided in configmap {path}: {error}") from error
