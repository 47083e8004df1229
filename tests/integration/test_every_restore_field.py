"""Every field of a RestoreSpec reaches the command, and the Restore that is made of it: nothing is lost or changed."""

from collections.abc import Iterator
from typing import Any

import pytest

from services.executor import manifests
from tests.contract.fieldtables import crd_leaves
from tests.contract.restorefields import RESTORES
from tests.support.gateway import API, answering, backup_document, backup_item, cluster_document, location_document, stack
from tests.support.waiting import eventually

pytestmark = pytest.mark.thorough

SELECTORS = [
    {"matchLabels": {"app/name": "shop"}, "matchExpressions": [{"key": "tier", "operator": "In", "values": ["a", "b"]}]},
    {"matchExpressions": [{"key": "old", "operator": "DoesNotExist"}]},
]
CONTAINER = {"name": "i", "image": "busybox", "command": ["true"], "env": [{"name": "A", "value": ""}]}
EXEC = {
    "container": "web",
    "command": ["/bin/sh", "-c", "true"],
    "onError": "Fail",
    "execTimeout": "30s",
    "waitTimeout": "5m",
    "waitForReady": True,
}
HOOK = {
    "name": "after",
    "includedNamespaces": ["shop"],
    "excludedNamespaces": ["cart"],
    "includedResources": ["pods"],
    "excludedResources": ["jobs"],
    "labelSelector": SELECTORS[0],
    "postHooks": [
        {"exec": EXEC},
        {"init": {"initContainers": [CONTAINER], "timeout": "1m"}},
    ],
}
WHOLE = {
    "includedNamespaces": ["shop", "cart"],
    "excludedNamespaces": ["test"],
    "namespaceMapping": {"shop": "shop-old", "cart": "cart-old"},
    "includedResources": ["deployments.apps", "pods"],
    "excludedResources": ["secrets"],
    "includeClusterResources": False,
    "labelSelector": SELECTORS[0],
    "existingResourcePolicy": "update",
    "restorePVs": False,
    "preserveNodePorts": True,
    "restoreStatus": {"includedResources": ["jobs"], "excludedResources": ["pods"]},
    "uploaderConfig": {"writeSparseFiles": False, "parallelFilesDownload": 7},
    "itemOperationTimeout": "96h",
    "resourceModifier": {"kind": "configmap", "name": "rules"},
    "hooks": {"resources": [HOOK]},
}
OTHER = {"orLabelSelectors": SELECTORS, "restoreStatus": {"includedResources": [], "excludedResources": []}}
OTHERS = [OTHER, {"includeClusterResources": True, "existingResourcePolicy": "none", "restorePVs": True}, {}]


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """The paths of all fields of a spec, as the CRD's are called."""
    known = set(crd_leaves(RESTORES.crd_schema()))
    for name, part in value.items():
        here = f"{path}.{name}" if path else name
        if here in known:
            yield here
        else:
            for one in part if isinstance(part, list) else [part]:
                yield from leaves(one, f"{here}[]" if isinstance(part, list) else here)


def test_every_field_that_can_be_asked_for_is_asked_for():
    asked = {leaf for spec in (WHOLE, *OTHERS) for leaf in leaves(spec)}
    beside = {"backupName", "scheduleName"}
    assert asked == {field.velero for field in RESTORES.fields if field.velero and field.pointer} - beside


@pytest.fixture
async def made(nats_server, mongo_server):
    async with stack(nats_server, mongo_server) as running:
        item = backup_item("b1", name="shop", phase="Completed", storage_location="default")
        await running.status.writes("backups", backup_document(item))
        await running.status.writes("locations", location_document("default"))
        await running.status.writes("cluster_state", cluster_document("eu1"))
        yield running


async def test_a_spec_reaches_the_cluster_as_it_was_asked_for(made):
    specs = {f"again-{number}": spec for number, spec in enumerate([WHOLE, *OTHERS])}

    async def heard(_command):
        """The cluster has the command, and is in no hurry."""

    async with answering(made, heard):
        for name, spec in specs.items():
            body = {"name": name, "backup": "b1", "spec": spec}
            response = await made.client.post(f"{API}/restores", json=body, headers={"prefer": "respond-async"})
            assert response.status_code == 202, response.text
        await eventually("the cluster has heard of all", lambda: len(made.commands_seen) == len(specs))
    for command in made.commands_seen:
        manifest = manifests.restore(command, "velero")
        told = {"itemOperationTimeout": "72h", **specs[command.data.name], "backupName": "shop"}
        assert without_empty(manifest["spec"]) == without_empty(told)
        assert ("restoreStatus" in manifest["spec"]) == ("restoreStatus" in told), "an empty one means every kind"


def without_empty(value: Any) -> Any:
    """To Velero, an empty list or object is the same as none, but for `restoreStatus`."""
    if isinstance(value, dict):
        parts = {key: without_empty(part) for key, part in value.items()}
        return {key: part for key, part in parts.items() if part not in ([], {}, None)}
    return [without_empty(part) for part in value] if isinstance(value, list) else value
