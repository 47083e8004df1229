"""The kinds of a cluster: found by every name that Velero knows them by, and doubted where a group does not answer."""

import asyncio

import pytest

from services.executor.kinds import KindMemory, Kinds
from services.executor.kube import ForbiddenError
from shared.contracts.events import KindInfo
from shared.messaging.outcomes import Unavailable

PODS = KindInfo(name="pods", group="", kind="Pod", namespaced=True, singular="pod", short_names=["po"])
NODES = KindInfo(name="nodes", group="", kind="Node", namespaced=False)
DEPLOYMENTS = KindInfo(name="deployments", group="apps", kind="Deployment", namespaced=True, short_names=["deploy"])
SNAPSHOTS = KindInfo(name="volumesnapshots", group="snapshot.storage.k8s.io", kind="VolumeSnapshot", namespaced=True)
KNATIVE = KindInfo(name="services", group="serving.knative.dev", kind="Service", namespaced=True, short_names=["ksvc"])
SERVICES = KindInfo(name="services", group="", kind="Service", namespaced=True, short_names=["svc"])
KINDS = Kinds((NODES, PODS, SERVICES, DEPLOYMENTS, KNATIVE, SNAPSHOTS))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("pods", [PODS]),
        ("pod", [PODS]),
        ("Pod", [PODS]),
        ("PODS", [PODS]),
        ("po", [PODS]),
        ("PO", []),
        ("node", [NODES]),
        ("deploy.apps", [DEPLOYMENTS]),
        ("deployments.apps", [DEPLOYMENTS]),
        ("deployments.extensions", []),
        ("volumesnapshots.snapshot", [SNAPSHOTS]),
        ("volumesnapshots.storage", []),
        ("services", [SERVICES, KNATIVE]),
        ("services.serving", [KNATIVE]),
        ("ksvc", [KNATIVE]),
        ("volume*", [SNAPSHOTS]),
        ("*.apps", [DEPLOYMENTS]),
        ("*.nowhere", []),
        ("podz", []),
        ("", []),
    ],
)
def test_a_name_is_read_as_velero_reads_it(name, found):
    assert KINDS.named(name) == found


def test_what_cannot_be_told_is_said_with_the_reason_and_the_rest_is_certain():
    kinds = Kinds((PODS,), {"metrics.k8s.io": "HTTP 503"})
    assert "metrics.k8s.io: HTTP 503" in kinds.doubt("podmetrics")
    assert kinds.doubt("podmetrics.metrics.k8s.io")
    assert kinds.doubt("podmetrics.metrics")
    assert kinds.doubt("deployments.apps") == ""
    assert Kinds((PODS,)).doubt("podz") == ""


def resources(*kinds, verbs=("list", "create", "get", "delete")):
    return {
        "resources": [
            {
                "name": k.name,
                "singularName": k.singular,
                "shortNames": k.short_names,
                "kind": k.kind,
                "namespaced": k.namespaced,
                "verbs": list(verbs),
            }
            for k in kinds
        ]
    }


def group(name, *versions):
    entries = [{"groupVersion": f"{name}/{version}"} for version in versions]
    return {"name": name, "versions": entries, "preferredVersion": entries[0]}


class Discovery:
    """An API server that tells what kinds it has; what is an exception is raised."""

    def __init__(self, **answers) -> None:
        self.answers = {"/apis": {"groups": []}, "/api/v1": resources(PODS)} | answers
        self.asked = []
        self.free = asyncio.Event()
        self.free.set()

    async def read(self, path):
        self.asked.append(path)
        await self.free.wait()
        answer = self.answers[path]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_a_kind_is_found_in_whatever_version_of_its_group_it_is_served():
    uploads = KindInfo(name="datauploads", group="velero.io", kind="DataUpload", namespaced=True)
    backups = KindInfo(name="backups", group="velero.io", kind="Backup", namespaced=True)
    old = backups.model_copy(update={"kind": "OldBackup"})
    api = Discovery(
        **{
            "/apis": {"groups": [group("velero.io", "v1", "v2alpha1")]},
            "/apis/velero.io/v1": resources(backups),
            "/apis/velero.io/v2alpha1": resources(old, uploads),
        }
    )
    found = await KindMemory(api).read()
    assert found.named("datauploads") == [uploads]
    assert found.named("backups") == [backups], "as the preferred version has it"


async def test_what_cannot_be_backed_up_is_no_kind():
    half = resources(NODES, verbs=("list", "get"))["resources"]
    api = Discovery(**{"/api/v1": {"resources": resources(PODS)["resources"] + half}})
    assert (await KindMemory(api).read()).found == (PODS,)


@pytest.mark.parametrize(
    "failure",
    [Unavailable("cluster eu1", "HTTP 503: no endpoints"), ForbiddenError("no"), {"resources": [{"odd": 1}]}, {"resources": 7}],
)
async def test_a_group_that_does_not_answer_keeps_its_kinds_and_leaves_a_doubt(failure):
    api = Discovery(**{"/apis": {"groups": [group("apps", "v1")]}, "/apis/apps/v1": resources(DEPLOYMENTS)})
    memory = KindMemory(api)
    await memory.read()
    api.answers["/apis/apps/v1"] = failure
    found = await memory.read()
    assert found.named("deploy") == [DEPLOYMENTS]
    assert found.doubt("statefulsets.apps")
    assert found.doubt("podz.other") == ""


async def test_names_that_are_known_cost_no_request_and_others_one_reading_for_all_who_ask():
    api = Discovery()
    memory = KindMemory(api)
    assert (await memory.with_names(["pods"])).named("pods")
    read_once = len(api.asked)
    await memory.with_names(["pods", "po"])
    await memory.with_names([])
    assert len(api.asked) == read_once
    api.free.clear()
    asking = [asyncio.create_task(memory.with_names(["podz"])) for _ in range(10)]
    await asyncio.sleep(0)
    api.answers["/api/v1"] = resources(PODS, NODES.model_copy(update={"name": "podz"}))
    api.free.set()
    assert all(kinds.named("podz") for kinds in await asyncio.gather(*asking))
    assert len(api.asked) <= 3 * read_once, "who asks while one reading is under way shares the next"
