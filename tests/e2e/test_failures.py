"""Anything may be killed at any point of the line: what was asked for is made exactly once, and people see the truth."""

import contextlib
import threading
import time

import httpx2
import pytest

from tests.e2e.product import QUEUED, TIMEOUT, Product, until
from tests.e2e.real.api import velero_path
from tests.e2e.real.fleet import Fleet


def persist(product: Product, name: str, cluster: str, namespace: str, timeout: float = 90) -> str:
    """Ask as a careful client does: the same request with the same key until there is an answer; return the operation."""

    def asked() -> str | None:
        answer = product.ask(name, cluster, namespaces=[namespace], key=f"key-{name}")
        return answer.json()["id"] if answer.status_code in {201, 202} else None

    return until("accepted in the end", asked, timeout)


def exactly_one_completed(product: Product, fleet: Fleet, cluster: str, name: str, identity: str) -> None:
    """It completed, was made once (never a second object, never a second answer), and is one row."""
    until(
        f"{name} completed",
        lambda: product.backup(identity)["status"] == "Completed",
        QUEUED,
        instead=lambda: f"Leeward: {product.backup(identity)}; the cluster: {fleet[cluster].phases()}",
    )
    made = fleet[cluster].api.get(velero_path("backups", name))
    # What became of the command may be known before what was seen meanwhile, if the broker was away.
    seen = until("it was seen", lambda: product.incarnations(cluster, name), 60)
    assert seen == {made["metadata"]["uid"]}
    # An executor killed between create and answer says so when the command comes again; its object is seen before that.
    answers = until("answered", lambda: product.answers(identity))
    assert answers == ["accepted"]
    assert len(product.rows(name)) == 1


@pytest.mark.parametrize("moment", [0.0, 0.03, 0.1])
@pytest.mark.parametrize("victim", ["executor", "status", "gateway", "nats", "mongo"])
def test_a_process_killed_in_the_middle_of_a_request_changes_nothing_in_the_end(
    product: Product, fleet: Fleet, victim: str, moment: float
) -> None:
    fleet["eu1"].seed_workload("killed")
    name = f"killed-{victim}-{int(moment * 1000)}"

    def ask() -> None:
        with contextlib.suppress(httpx2.HTTPError):
            product.ask(name, namespaces=["killed"], key=f"key-{name}", Prefer="wait=20")

    with product.listening(kind="backup") as heard:
        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        time.sleep(moment)  # the moment is what varies
        product.process(victim).kill()
        _others_say_what_is_missing(product, victim)
        product.process(victim).start()
        identity = persist(product, name, "eu1", "killed")
        exactly_one_completed(product, fleet, "eu1", name, identity)
        until("announced", lambda: "Completed" in heard.statuses(name))
        assert heard.statuses(name) in (["Creating", "Completed"], ["Completed"])
        said = [(begun, to) for noun, begun, to in product.announced(identity) if noun == "backup"]
        whole, late = [(None, "Creating"), ("Creating", "Completed")], [(None, "Completed")]
        # An executor that could not speak for some seconds answers with the Backup as it is by then, and status may hear of
        # nothing before that.
        assert said in ([whole, late] if victim == "nats" else [whole]), "each change once, in order"
    for service in product.services.values():
        until(f"{service.name} recovers by itself", service.is_ready)


@pytest.mark.parametrize("moment", [0.0, 0.01, 0.05, 0.15, 0.5])
def test_an_executor_killed_at_any_moment_makes_one_backup(product: Product, fleet: Fleet, moment: float) -> None:
    fleet["us1"].seed_workload("moment")
    name = f"moment-{int(moment * 1000)}"
    assert product.ask(name, "us1", namespaces=["moment"], key=f"key-{name}", Prefer="respond-async").status_code == 202
    time.sleep(moment)  # the moment is what varies
    product.process("executor").kill()
    product.process("executor").start()
    identity = persist(product, name, "us1", "moment")
    exactly_one_completed(product, fleet, "us1", name, identity)


@pytest.mark.timeout(900)
def test_two_executors_on_one_cluster_make_one_backup_each_time(product: Product, fleet: Fleet) -> None:
    for n in range(6):
        # Of one namespace, each would wait for the one before it in Velero's queue, and now and then a minute longer.
        fleet["eu1"].seed_workload(f"pair-{n}")
    second = product.add_executor("executor-2", "eu1", "us1")
    try:
        until("ready", second.is_ready)
        ids = {}
        for n in range(4):
            ids[n] = persist(product, f"pair-{n}", "eu1", f"pair-{n}")
        product.process("executor").kill()
        for n in range(4, 6):
            ids[n] = persist(product, f"pair-{n}", "eu1", f"pair-{n}")
        assert second.process
        assert second.process.poll() is None
        for n, identity in ids.items():
            exactly_one_completed(product, fleet, "eu1", f"pair-{n}", identity)
    finally:
        stopped = second.stop()
        del product.services["executor-2"]
        if product.process("executor").process is None:
            product.process("executor").start()
    assert stopped == 0


@pytest.mark.parametrize("way", ["killed", "stopped"])
def test_while_an_api_server_is_away_reads_answer_and_what_is_asked_for_waits(product: Product, fleet: Fleet, way: str) -> None:
    cluster, name = fleet["eu1"], f"away-{way}"
    cluster.seed_workload("away")
    until("seen", lambda: any(n["name"] == "away" for n in product.get("/clusters/eu1/namespaces").json()["items"]))
    before = product.get("/backups", cluster="eu1").json()["total"]
    cluster.kill_apiserver() if way == "killed" else cluster.pause_apiserver()
    try:
        begun = time.monotonic()
        asked = product.ask(name, namespaces=["away"], Prefer="wait=2")
        assert asked.status_code == 202, asked.text
        assert time.monotonic() - begun < 10
        operation = asked.json()["id"]
        assert asked.headers["location"].endswith(f"/operations/{operation}")

        until("listed", lambda: product.rows(name))
        begun = time.monotonic()
        assert product.get("/backups", cluster="eu1").json()["total"] == before + 1
        assert product.rows(name)[0]["status"] == "Creating"
        assert time.monotonic() - begun < TIMEOUT, "reads answer at once from what is stored"

        def known():
            seen = product.get("/clusters/eu1").json()
            return seen["status"] == "Offline" and seen["problems"] and seen  # who hangs has his time to answer first

        silent = until("offline, and why", known)
        assert silent["asOf"] is not None
        waiting = product.get(f"/operations/{operation}").json()
        assert waiting["state"] == "Queued"
        assert waiting["clusterLastSeenAt"] == silent["lastSeenAt"]
        assert "cluster eu1" in product.services["executor"].readiness()["missing"]

        other = product.ask(f"{name}-us1", "us1", namespaces=["default"])
        assert other.status_code == 201, "another cluster does not wait"

        doomed = product.ask(f"{name}-doomed", namespaces=["away"], deadline="1s", Prefer="respond-async").json()["id"]
        expired = until("expired", lambda: (o := product.get(f"/operations/{doomed}").json())["state"] == "Expired" and o)
        assert expired["clusterLastSeenAt"] == silent["lastSeenAt"]
        assert product.backup(doomed)["status"] == "Failed"
    finally:
        cluster.start_apiserver() if way == "killed" else cluster.resume_apiserver()
    until("online", lambda: product.get("/clusters/eu1").json()["status"] == "Online")
    exactly_one_completed(product, fleet, "eu1", name, operation)
    until("and the doomed one was refused", lambda: product.get(f"/operations/{doomed}").json()["state"] == "Rejected")
    assert f"{name}-doomed" not in [i["metadata"]["name"] for i in cluster.api.get(velero_path("backups"))["items"]]


def test_velero_down_is_told_and_the_backup_completes_when_it_is_back(product: Product, fleet: Fleet) -> None:
    cluster = fleet["us1"]
    cluster.seed_workload("velero-down")
    cluster.stop_velero()
    try:
        made = product.ask("velero-down", "us1", namespaces=["velero-down"])
        assert made.status_code == 201, made.text
        told = until(
            "told",
            lambda: [p for p in product.get("/clusters/us1").json()["problems"] if p["code"] == "VeleroNotAnswering"],
        )
        assert told
        assert product.backup(made.json()["id"])["status"] == "Creating"
    finally:
        cluster.start_velero()
    exactly_one_completed(product, fleet, "us1", "velero-down", made.json()["id"])
    until("well again", lambda: not product.get("/clusters/us1").json()["problems"])


def _others_say_what_is_missing(product: Product, victim: str) -> None:
    missing = {"nats": "nats", "mongo": "mongodb"}.get(victim)
    if missing is None:
        return
    for name in ("gateway", "status") if victim == "mongo" else ("gateway", "status", "executor"):
        until(f"{name} misses {missing}", lambda n=name: missing in product.services[n].readiness()["missing"])
