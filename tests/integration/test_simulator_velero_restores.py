"""Restores by the simulated Velero: what a client sees of them, and what is in the cluster and in the bucket afterwards.

Phases, texts and fields were observed on a Velero v1.18.3, or read in its source.
"""

import asyncio
import gzip

import pytest
import yaml

from simulator.cloud import Cloud
from simulator.controller_manager import furnish_namespace
from simulator.velero import Flaw
from simulator.velero.storage import Storage, unpack
from tests.support.simulated_velero import Site
from tests.support.transcripts import transcript
from tests.support.waiting import eventually

ENDED = ("Completed", "PartiallyFailed", "Failed", "FailedValidation")
FINALIZER = "restores.velero.io/external-resources-finalizer"


class RestoreSite(Site):
    """A site whose Velero is installed, with something to restore in the namespace shop."""

    def __init__(self, cloud, name="eu1", **options):
        super().__init__(cloud, name, namespaces=("shop",), **options)
        self.store.create("deployments", {"metadata": {"name": "velero"}, "spec": {"replicas": 1}}, "velero")
        furnish_namespace(self.store, "shop")
        self.put("configmaps", "settings", data={"colour": "red"})
        self.restores = self.store.watch("restores", "velero")

    def put(self, kind, name, namespace="shop", **document):
        metadata = {"name": name, **document.pop("metadata", {})}
        return self.store.create(kind, {"metadata": metadata, **document}, namespace)

    async def backed_up(self, name="b", namespace="shop", **spec):
        self.backup(name, namespace, **spec)
        await self.until(name, "Completed")

    async def restored(self, name="r", *, backup="b", **spec):
        self.create("restores", name, {"backupName": backup, **spec} if backup else spec)
        return await self.until(name, *ENDED, kind="restores")

    def file(self, target, name="r"):
        return Storage(self.cloud, self.get("backupstoragelocations", "default")).get_file(target, name)

    def results(self, name="r"):
        return unpack(self.file("RestoreResults", name))

    def listed(self, name="r"):
        return unpack(self.file("RestoreResourceList", name))


@pytest.fixture
async def cloud():
    made = Cloud()
    made.make_bucket("velero")
    async with made:
        yield made


@pytest.fixture
async def site(cloud):
    made = RestoreSite(cloud)
    await made.start()
    yield made
    made.velero.kill()


def differs(kind, name):
    why = "Warning: the in-cluster version is different than the backed-up version"
    return f"could not restore, {kind}:{name} already exists. {why}"


# The life of a restore


async def test_every_step_is_one_event_as_on_a_real_velero(site):
    await site.backed_up()
    await site.restored(namespaceMapping={"shop": "shop-2"})
    seen = [event.object for event in site.restores.take()]
    steps = [(set(item.get("status", {})), item.get("status", {}).get("phase")) for item in seen]
    started = {"phase", "startTimestamp"}
    running = started | {"progress"}
    assert steps == [
        (set(), None),
        (set(), None),
        (started, "InProgress"),
        (running, "InProgress"),
        (running | {"warnings"}, "Finalizing"),
        (running | {"warnings", "hookStatus"}, "Finalizing"),
        (running | {"warnings", "hookStatus", "completionTimestamp"}, "Completed"),
    ]
    assert seen[1]["metadata"]["finalizers"] == [FINALIZER]
    assert seen[2]["spec"]["itemOperationTimeout"] == "4h0m0s"
    assert seen[2]["spec"]["excludedResources"][:2] == ["nodes", "events"]
    assert "backuprepositories.velero.io" in seen[2]["spec"]["excludedResources"]


async def test_a_restore_into_another_namespace_makes_it_and_leaves_the_first_alone(site):
    site.put("secrets", "password", data={"password": "aGVsbG8="})
    site.put(
        "services",
        "web",
        spec={"clusterIP": "10.96.1.1", "clusterIPs": ["10.96.1.1"], "ports": [{"port": 80, "nodePort": 30080}]},
    )
    before = site.store.get("configmaps", "settings", "shop")
    await site.backed_up()
    restore = await site.restored(namespaceMapping={"shop": "shop-2"})
    assert (restore["status"]["phase"], restore["status"]["warnings"]) == ("Completed", 1)
    copy = site.store.get("configmaps", "settings", "shop-2")
    assert copy["data"] == {"colour": "red"}
    assert copy["metadata"]["labels"] == {"velero.io/backup-name": "b", "velero.io/restore-name": "r"}
    assert copy["metadata"]["uid"] != before["metadata"]["uid"]
    assert site.store.get("configmaps", "settings", "shop") == before
    service = site.store.get("services", "web", "shop-2")["spec"]
    assert "clusterIP" not in service
    assert service["ports"] == [{"port": 80}]
    assert site.results()["warnings"] == {"namespaces": {"shop-2": [differs("ConfigMap", "kube-root-ca.crt")]}}
    assert site.listed()["v1/Namespace"] == ["shop-2(created)"]
    assert site.listed()["v1/ConfigMap"] == ["shop-2/kube-root-ca.crt(failed)", "shop-2/settings(created)"]
    assert site.listed()["v1/ServiceAccount"] == ["shop-2/default(skipped)"]
    assert b"Attempting to restore ConfigMap: settings." in gzip.decompress(site.file("RestoreLog"))


async def test_a_lost_namespace_comes_back_with_its_labels(site):
    site.store.patch("namespaces", "shop", {"metadata": {"labels": {"environment": "production"}}})
    await site.backed_up()
    site.store.delete("namespaces", "shop")
    await site.restored()
    assert site.store.get("namespaces", "shop")["metadata"]["labels"]["environment"] == "production"
    assert site.store.get("configmaps", "settings", "shop")["data"] == {"colour": "red"}


@pytest.mark.parametrize(
    ("policy", "colour", "became", "warning"),
    [
        (None, "blue", "failed", differs("ConfigMap", "settings")),
        ("none", "blue", "failed", differs("ConfigMap", "settings").replace("ConfigMap:settings", 'ConfigMap "settings"')),
        ("update", "red", "updated", None),
    ],
)
async def test_what_has_changed_is_kept_or_put_back_as_the_policy_says(site, policy, colour, became, warning):
    await site.backed_up()
    site.store.patch("configmaps", "settings", {"data": {"colour": "blue", "size": "xl"}}, "shop")
    await site.restored(includedResources=["configmaps"], **({"existingResourcePolicy": policy} if policy else {}))
    data = site.store.get("configmaps", "settings", "shop")["data"]
    assert data == ({"colour": "red"} if colour == "red" else {"colour": "blue", "size": "xl"})
    assert f"shop/settings({became})" in site.listed()["v1/ConfigMap"]
    warnings = site.results()["warnings"].get("namespaces", {}).get("shop", [])
    assert [text for text in warnings if "settings" in text] == ([warning] if warning else [])


async def test_what_has_not_changed_is_skipped_without_a_warning(site):
    site.put("secrets", "password", data={"password": "aGVsbG8="})
    await site.backed_up()
    version = site.store.get("secrets", "password", "shop")["metadata"]["resourceVersion"]
    restore = await site.restored(includedResources=["secrets"])
    assert "warnings" not in restore["status"]
    assert site.listed()["v1/Secret"] == ["shop/password(skipped)"]
    assert site.store.get("secrets", "password", "shop")["metadata"]["resourceVersion"] == version


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        ({"includedResources": ["secrets"]}, {"secrets/a"}),
        ({"excludedResources": ["configmaps", "serviceaccounts"]}, {"secrets/a"}),
        ({"labelSelector": {"matchLabels": {"tier": "front"}}}, {"configmaps/front"}),
        (
            {"orLabelSelectors": [{"matchLabels": {"tier": "front"}}, {"matchLabels": {"tier": "back"}}]},
            {"configmaps/front", "configmaps/back"},
        ),
        ({"excludedNamespaces": ["shop"]}, set()),
    ],
)
async def test_only_what_is_asked_for_comes_back(site, spec, names):
    site.put("secrets", "a", data={})
    site.put("configmaps", "front", metadata={"labels": {"tier": "front"}}, data={})
    site.put("configmaps", "back", metadata={"labels": {"tier": "back"}}, data={})
    await site.backed_up()
    await site.restored(namespaceMapping={"shop": "shop-2"}, **spec)
    came = {
        f"{kind}/{item['metadata']['name']}"
        for kind in ("secrets", "configmaps")
        for item in site.store.list(kind, "shop-2", labels="velero.io/restore-name=r")
    }
    assert came == names


@pytest.mark.parametrize(("wanted", "there"), [(None, True), (True, True), (False, False)])
async def test_cluster_scoped_objects_come_along_as_asked(site, wanted, there):
    site.store.create("storageclasses", {"metadata": {"name": "fast"}, "provisioner": "example.com/p"})
    await site.backed_up(namespace="*")
    site.store.delete("storageclasses", "fast")
    await site.restored(**({} if wanted is None else {"includeClusterResources": wanted}))
    assert (site.store.find("storageclasses", "fast") is not None) is there


async def test_work_that_is_done_does_not_come_back(site):
    for name, phase in (("over", "Succeeded"), ("alive", "Running")):
        site.put("pods", name, spec={"containers": [], "nodeName": "n1"})
        site.store.patch("pods", name, {"status": {"phase": phase}}, "shop", subresource="status")
    await site.backed_up()
    await site.restored(namespaceMapping={"shop": "shop-2"})
    pods = site.store.list("pods", "shop-2")
    assert [pod["metadata"]["name"] for pod in pods] == ["alive"]
    assert "nodeName" not in pods[0]["spec"]


async def test_status_comes_back_only_where_it_is_asked_for(site):
    site.put("deployments.apps", "web", spec={"replicas": 1})
    site.store.patch("deployments.apps", "web", {"status": {"replicas": 1}}, "shop", subresource="status")
    await site.backed_up()
    await site.restored("r1", namespaceMapping={"shop": "shop-2"})
    await site.restored("r2", namespaceMapping={"shop": "shop-3"}, restoreStatus={"includedResources": ["deployments"]})
    assert "status" not in site.store.get("deployments.apps", "web", "shop-2")
    assert site.store.get("deployments.apps", "web", "shop-3")["status"] == {"replicas": 1}


async def test_node_ports_are_kept_when_asked(site):
    site.put("services", "web", spec={"ports": [{"port": 80, "nodePort": 30080}]})
    await site.backed_up()
    await site.restored(namespaceMapping={"shop": "shop-2"}, preserveNodePorts=True)
    assert site.store.get("services", "web", "shop-2")["spec"]["ports"] == [{"port": 80, "nodePort": 30080}]


# Validation


@pytest.mark.parametrize(
    ("spec", "errors"),
    [
        ({}, ["Either a backup or schedule must be specified as a source for the restore, but not both"]),
        (
            {"backupName": "b", "scheduleName": "s"},
            ["Either a backup or schedule must be specified as a source for the restore, but not both"],
        ),
        ({"backupName": "none"}, [
            'Error retrieving backup: can\'t find backup velero/none: Backup.velero.io "none" not found',
        ]),
        ({"scheduleName": "none"}, ["No backups found for schedule", "No completed backups found for schedule"]),
        ({"backupName": "b", "includedResources": ["nodes"]}, [
            "nodes are non-restorable resources",
            "Invalid included/excluded resource lists: excludes list cannot contain an item in the includes list: nodes",
        ]),
        ({"backupName": "b", "includedNamespaces": ["a"], "excludedNamespaces": ["a"]}, [
            "Invalid included/excluded namespace lists: excludes list cannot contain an item in the includes list: a",
        ]),
        ({"backupName": "b", "existingResourcePolicy": "replace"}, ["Invalid ExistingResourcePolicy: replace"]),
        ({"backupName": "b", "resourceModifier": {"kind": "ConfigMap", "name": "none"}}, [
            "failed to get resource modifiers configmap velero/none",
        ]),
        ({"backupName": "b", "labelSelector": {"matchLabels": {"a": "b"}}, "orLabelSelectors": [{"matchLabels": {"a": "b"}}]}, [
            "encountered labelSelector as well as orLabelSelectors in restore spec, only one can be specified",
        ]),
    ],
)  # fmt: skip
async def test_what_cannot_be_meant_is_refused_in_velero_s_words(site, spec, errors):
    await site.backed_up()
    refused = await site.restored(backup=None, **spec)
    assert refused["status"] == {"phase": "FailedValidation", "validationErrors": errors}
    assert refused["metadata"]["finalizers"] == [FINALIZER]


async def test_a_location_that_is_not_available_refuses(site):
    await site.backed_up()
    site.cloud.faults.down = True
    await site.until("default", "Unavailable", kind="backupstoragelocations")
    refused = await site.restored()
    assert refused["status"]["validationErrors"] == ["The BSL default is unavailable, cannot retrieve the backup"]


async def test_a_schedule_stands_for_its_latest_completed_backup(site):
    for name, colour in (("early", "red"), ("late", "green"), ("broken", "blue")):
        site.store.patch("configmaps", "settings", {"data": {"colour": colour}}, "shop")
        if name == "broken":
            site.velero.faults.flaw(Flaw(errors=("no",)), name)
        site.create("backups", name, {"includedNamespaces": ["shop"]}, labels={"velero.io/schedule-name": "nightly"})
        await site.until(name)
    restore = await site.restored(backup=None, scheduleName="nightly", namespaceMapping={"shop": "shop-2"})
    completed = [name for name in ("early", "late") if restore["spec"]["backupName"] == name]
    assert completed  # both may have started within one second
    assert site.phase("backups", "broken") == "PartiallyFailed"


async def test_a_restore_of_a_scheduled_backup_learns_its_schedule(site):
    site.create("backups", "b", {"includedNamespaces": ["shop"]}, labels={"velero.io/schedule-name": "nightly"})
    await site.until("b")
    assert (await site.restored())["spec"]["scheduleName"] == "nightly"


# What goes wrong


async def test_without_its_deployment_velero_restores_nothing(site):
    await site.backed_up()
    site.store.delete("deployments", "velero", "velero")
    restore = await site.restored(namespaceMapping={"shop": "shop-2"})
    assert (restore["status"]["phase"], restore["status"]["errors"]) == ("PartiallyFailed", 1)
    assert site.results()["errors"] == {"velero": ['rpc error: code = Unknown desc = deployments.apps "velero" not found']}
    assert site.store.find("namespaces", "shop-2") is None


async def test_a_backup_whose_archive_is_gone_cannot_be_restored(site):
    await site.backed_up()
    site.cloud.delete_prefix("velero", "backups/b/b.tar.gz")
    restore = await site.restored()
    assert restore["status"]["phase"] == "Failed"
    assert restore["status"]["failureReason"].startswith(
        "restore execution failed: error downloading backup: error copying Backup to temp file: "
        "rpc error: code = Unknown desc = NoSuchKey"
    )
    assert restore["status"]["completionTimestamp"]


async def test_an_upload_of_the_log_that_fails_counts_as_an_error(site):
    await site.backed_up()
    site.cloud.faults.fail_puts(1, "restores/r/*-logs.gz")
    restore = await site.restored()
    assert (restore["status"]["phase"], restore["status"]["errors"]) == ("PartiallyFailed", 1)
    assert site.results()["errors"]["velero"][0].startswith("error uploading log file to backup storage")


async def test_ordered_errors_end_a_restore_partially_failed(site):
    await site.backed_up()
    site.velero.faults.flaw(Flaw(errors=("no",)), "r", kind="restores")
    assert (await site.restored())["status"]["phase"] == "PartiallyFailed"


async def test_a_killed_velero_leaves_a_restore_that_its_successor_fails(site):
    await site.backed_up()
    site.velero.faults.hold("r", "InProgress", kind="restores")
    site.create("restores", "r", {"backupName": "b"})
    await site.velero.faults.held("r")
    site.velero.kill()
    site.velero.faults.release()
    await asyncio.sleep(0)
    assert site.phase("restores", "r") == "InProgress"
    await site.velero.start()
    reason = site.get("restores", "r")["status"]["failureReason"]
    assert reason == 'found a restore with status "InProgress" during the server starting, mark it as "Failed"'


# Other clusters, and the end


async def test_another_cluster_restores_and_writes_even_to_a_location_it_may_only_read(cloud, site):
    await site.backed_up()
    other = RestoreSite(cloud, "us1", access="ReadOnly")
    other.store.delete("namespaces", "shop")
    await other.start()
    await eventually("the backup is known", lambda: other.find("backups", "b"))
    restore = await other.restored()
    other.velero.kill()
    assert restore["status"]["phase"] == "Completed"
    assert other.store.get("configmaps", "settings", "shop")["data"] == {"colour": "red"}
    assert "restores/r/restore-r-logs.gz" in cloud.keys("velero")


async def test_a_deleted_restore_takes_its_files_along_once_the_storage_is_there(site):
    await site.backed_up()
    await site.restored()
    site.cloud.faults.down = True
    await site.until("default", "Unavailable", kind="backupstoragelocations")
    site.store.delete("restores", "r", "velero")
    await eventually("it is marked", lambda: "deletionTimestamp" in site.get("restores", "r")["metadata"])
    site.cloud.faults.clear()
    await site.until_gone("restores", "r")
    assert site.cloud.keys("velero", "restores/") == []


# Resource modifiers


async def test_modifiers_change_what_comes_back(site):
    site.put("deployments.apps", "web", spec={"replicas": 3})
    rules = {
        "version": "v1",
        "resourceModifierRules": [
            {
                "conditions": {"groupResource": "deployments.apps", "resourceNameRegex": "^we", "namespaces": ["shop"]},
                "patches": [{"operation": "replace", "path": "/spec/replicas", "value": "1"}],
            },
            {
                "conditions": {"groupResource": "configmaps", "matches": [{"path": "/data/colour", "value": "red"}]},
                "mergePatches": [{"patchData": '{"data": {"colour": "green", "new": "yes"}}'}],
            },
            {
                "conditions": {"groupResource": "configmaps", "namespaces": ["elsewhere"]},
                "patches": [{"operation": "remove", "path": "/data"}],
            },
        ],
    }
    site.store.create("configmaps", {"metadata": {"name": "rules"}, "data": {"rules.yaml": yaml.safe_dump(rules)}}, "velero")
    await site.backed_up()
    await site.restored(namespaceMapping={"shop": "shop-2"}, resourceModifier={"kind": "configmap", "name": "rules"})
    assert site.store.get("deployments.apps", "web", "shop-2")["spec"]["replicas"] == 1
    assert site.store.get("configmaps", "settings", "shop-2")["data"] == {"colour": "green", "new": "yes"}


async def test_a_patch_that_does_not_fit_is_an_error_of_its_object(site):
    rule = {"conditions": {"groupResource": "configmaps", "resourceNameRegex": "settings"}}
    rule["patches"] = [{"operation": "remove", "path": "/data/none"}]
    text = yaml.safe_dump({"version": "v1", "resourceModifierRules": [rule]})
    site.store.create("configmaps", {"metadata": {"name": "rules"}, "data": {"rules": text}}, "velero")
    await site.backed_up()
    restore = await site.restored(namespaceMapping={"shop": "shop-2"}, resourceModifier={"kind": "configmap", "name": "rules"})
    assert restore["status"]["phase"] == "PartiallyFailed"
    assert "/data/none" in site.results()["errors"]["namespaces"]["shop-2"][0]


# Against what a real Velero was seen to do


def shape(document):
    """A restore without what differs from run to run: identities, times, and how far it was."""
    spec, status = document.get("spec", {}), dict(document.get("status", {}))
    for field in ("startTimestamp", "completionTimestamp", "progress"):
        if field in status:
            status[field] = "<some>"
    metadata = {key: document["metadata"].get(key) for key in ("finalizers", "name", "namespace")}
    return {"metadata": metadata, "spec": spec, "status": status}


def story(events):
    """Changes of one restore in order, each shape once: a real one tells its progress more often."""
    shapes = [(event.type if event.type != "DELETED" else "MODIFIED", shape(event.object)) for event in events]
    return [entry for index, entry in enumerate(shapes) if index == 0 or entry != shapes[index - 1]]


async def test_restores_look_as_recorded_from_a_real_velero(site):
    recorded = transcript("01-backup-download-restore-delete", "Restore")
    site.store.create("namespaces", {"metadata": {"name": "app-a"}})
    furnish_namespace(site.store, "app-a")
    for number in range(2):
        site.put("configmaps", f"settings-{number}", "app-a", data={"value": "kept"})
    await site.backed_up("b-a", "app-a")
    for name in dict.fromkeys(event.name for event in recorded):
        given = next(event.object["spec"] for event in recorded if event.name == name)
        site.create("restores", name, given)
        await site.until(name, *ENDED, kind="restores")
        site.store.patch("configmaps", "settings-0", {"data": {"value": "changed"}}, "app-a2")
    site.create("deletebackuprequests", "d", {"backupName": "b-a"})
    await site.until_gone("backups", "b-a")
    seen = site.restores.take()
    for name in ("r-a", "r-a-none", "r-a-update"):
        ours = [event for event in seen if event.object["metadata"]["name"] == name]
        assert story(ours) == story(event for event in recorded if event.name == name)
