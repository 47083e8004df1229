"""A restore from another cluster while everything is killed at each of its steps: it ends alike each time, and once."""

import contextlib
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.local.running import VAULT, Running, eventually, vaulted
from tests.e2e.real.api import Json, velero_path

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="looks into /proc"),
    pytest.mark.timeout(600),
]

VICTIMS = ("executor", "gateway", "status", "scheduler", "nats")
LOCATIONS = "backupstoragelocations"
FINALIZER = "example.com/held"
HOLDS: dict[str, dict[str, str]] = {
    "MirrorLocation": {"kind": LOCATIONS, "phase": "New"},
    "FindBackup": {"kind": LOCATIONS, "phase": "Syncing"},
    "Restore": {"kind": "restores", "phase": "InProgress"},
    "CleanUp": {"kind": "restores", "phase": "InProgress"},
}
"""What of Velero's work stays where it is, so that the restore stays at a step. At the last one the mirror cannot go either."""

KEY, SECRET = "of-the-vault", secrets.token_urlsafe(24)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with Running(tmp_path_factory.mktemp("killed") / "data") as installation:
        yield installation


@pytest.fixture(scope="module")
def backup(running: Running) -> Iterator[Json]:
    with vaulted(running, KEY, SECRET) as found:
        yield found


def last_step(running: Running, operation: str) -> str:
    steps = running.get(f"/operations/{operation}").get("steps") or [{"step": ""}]
    return str(steps[-1]["step"])


def restores_of(running: Running, operation: str) -> list[Json]:
    found = running.kube("us1").get(velero_path("restores"), labelSelector=f"leeward.dev/operation-id={operation}")
    return list(found["items"])


def phases_of(running: Running, operation: str) -> list[str]:
    return [restore.get("status", {}).get("phase", "") for restore in restores_of(running, operation)]


def mirror(operation: str) -> str:
    return velero_path(LOCATIONS, f"leeward-mirror-{operation[:8]}")


@contextlib.contextmanager
def kept_at(running: Running, step: str) -> Iterator[Callable[[str], None]]:
    """Keep the target at a step within the block; gives what waits until a restore has come there."""
    kube, pinned = running.kube("us1"), []

    def reach(operation: str) -> None:
        if step in {"Restore", "CleanUp"}:
            eventually("Velero restores", lambda: phases_of(running, operation) == ["InProgress"])
        if step == "CleanUp":
            kube.patch(mirror(operation), {"metadata": {"finalizers": [FINALIZER]}})
            pinned.append(mirror(operation))
            running.order("release", "us1")
            eventually("the mirror is to go", lambda: "deletionTimestamp" in kube.get(mirror(operation))["metadata"])
        eventually(f"{operation} is at {step}", lambda: last_step(running, operation) == step)

    running.order("hold", "us1", **HOLDS[step])
    try:
        yield reach
    finally:
        running.order("release", "us1")
        for path in pinned:
            kube.patch(path, {"metadata": {"finalizers": None}})


def is_whole_and_alone(running: Running, operation: str, namespace: str) -> None:
    """It came out as if nothing had happened, once, and nothing that was made for it is left."""
    done = eventually("it has ended", lambda: (o := running.get(f"/operations/{operation}")).get("state") == "Succeeded" and o)
    restore = running.get(f"/restores/{operation}")
    kube = running.kube("us1")

    assert (restore["status"], restore["outcome"]) == ("Completed", "Completed")
    assert list(dict.fromkeys(step["step"] for step in done["steps"])) == list(HOLDS)
    assert len(restores_of(running, operation)) == 1
    assert kube.get(f"/api/v1/namespaces/{namespace}/configmaps/label")["data"] == {"to": "us1"}
    assert kube.get(f"/api/v1/namespaces/{namespace}/secrets/content")["data"] == {"gift": "Ym9vaw=="}
    became = running.get(f"/restores/{operation}/resources")
    assert became["v1/ConfigMap"][-1].startswith(f"{namespace}/"), became
    assert all(entry.endswith("(created)") for entry in became["v1/Secret"] + became["v1/Namespace"]), became
    left = [item["metadata"]["name"] for item in kube.get(velero_path(LOCATIONS))["items"]]
    assert [name for name in left if name.startswith("leeward-mirror-")] == []
    kept = [item["metadata"]["name"] for item in kube.get("/api/v1/namespaces/velero/secrets")["items"]]
    assert [name for name in kept if "mirror" in name] == []
    assert "parcel" not in [item["metadata"]["name"] for item in kube.get(velero_path("backups"))["items"]]


@pytest.mark.parametrize("step", HOLDS)
def test_whatever_is_killed_at_a_step_changes_nothing_in_the_end(running: Running, backup: Json, step: str) -> None:
    namespace = f"at-{step}".lower()
    asked = {
        "backup": backup["id"],
        "name": namespace,
        "cluster": "us1",
        "spec": {"namespaceMapping": {"parcel": namespace}},
        "credential": {"accessKeyId": KEY, "secretAccessKey": SECRET},
    }
    with kept_at(running, step) as reach:
        operation = running.make("/restores", asked, Prefer="respond-async", **{"Idempotency-Key": namespace})["id"]
        reach(operation)
        for victim in VICTIMS:
            running.back(victim, running.kill(victim))
            # Each is killed in the middle of the same step, not in the middle of the last one's recovery.
            eventually(f"{operation} is still at {step}", lambda: last_step(running, operation) == step)
            running.ready(victim)
    is_whole_and_alone(running, operation, namespace)
    again = running.make("/restores", asked, **{"Idempotency-Key": namespace})
    assert (again["id"], len(restores_of(running, operation))) == (operation, 1)
    assert VAULT in [item["metadata"]["name"] for item in running.kube("eu1").get(velero_path(LOCATIONS))["items"]]
    assert running.kube("eu1").get(velero_path("backups", "parcel"))["status"]["phase"] == "Completed"
