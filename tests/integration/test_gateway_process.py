"""The gateway as the process that is deployed, and its own OpenAPI document turned against it."""

import asyncio
import gzip
import os
import re
import signal
import sys
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from shared.contracts.artifacts import Artifact
from shared.contracts.documents import to_document
from shared.contracts.phases import OperationState
from shared.contracts.schedules import Decision, Schedule
from shared.contracts.views import ScheduleItem
from shared.messaging.connection import connect
from shared.messaging.topology import ensure
from shared.runtime.health import Health
from tests.support.gateway import (
    API,
    NOW,
    Bucket,
    backup_document,
    backup_item,
    captured,
    cluster_document,
    location_document,
    operation_item,
    serving,
    snapshot_location_document,
    stack,
)
from tests.support.gateway_restores import restore_document, restore_item
from tests.support.locations import storage
from tests.support.schedules import decides, row_of, tick
from tests.support.servers import PLAIN, free_port
from tests.support.waiting import PATIENCE, eventually

GRACE = 60


async def test_the_process_serves_and_stops_when_it_is_asked_to(nats_server, mongo_server, tmp_path):
    async with connect(nats_server.settings("admin"), name="test", dependency=Health().depends_on("nats")) as admin:
        await ensure(admin.stream, nats_server.clusters)
    port = free_port()
    environment = {
        **os.environ,
        **nats_server.environment("gateway"),
        "LEEWARD_MONGO__URL": mongo_server.url,
        "LEEWARD_MONGO__DATABASE": mongo_server.settings().database,
        "LEEWARD_HTTP__PORT": str(port),
        "LEEWARD_GRACE": str(GRACE),
    }
    with (tmp_path / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.gateway", env=environment, stderr=log)
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE, **PLAIN) as client:

            async def ready():
                assert process.returncode is None, (tmp_path / "log").read_text()
                try:
                    return (await client.get("/readyz")).status_code == 200
                except httpx2.TransportError:
                    return False

            await eventually("ready", ready)
            async with client.stream("GET", f"{API}/events") as stream:
                assert stream.status_code == 200
                process.send_signal(signal.SIGTERM)
                async with asyncio.timeout(GRACE / 2):  # the stream does not end by itself
                    assert await process.wait() == 0
        text = (tmp_path / "log").read_text()
        assert '"event": "stopped"' in text
        assert "Traceback" not in text, text
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


SCHEDULE = {
    "cluster": "eu1",
    "eras": [{"from": NOW, "cron": "0 2 * * *"}],
    "template": {"scope": {"kind": "all"}},
    "created_by": "anna",
    "created_at": NOW,
    "changed_at": NOW,
}

KNOWN = """
[generation]
max-examples = 5
[[operations]]
include-path-regex = "^/api/v1/(backups|restores)/[^/]+(/contents)?$"
generation = { max-examples = 20 }
[dictionaries.backups]
values = ["b0", "b1", "b2", "gone", "nobody"]
[dictionaries.restores]
values = ["r0", "r1", "gone", "nobody"]
[dictionaries.namespaces]
values = ["shop", "cart"]
[dictionaries.clusters]
values = ["eu1", "us1"]
[dictionaries.schedules]
values = ["s0", "s1", "s2", "s3", "v0", "nobody"]
[dictionaries.crons]
values = ["0 2 * * *", "@daily", "61 * * * *"]
[dictionaries.zones]
values = ["UTC", "Europe/Berlin", "Mars/Base"]
[dictionaries.locations]
values = ["main", "default", "nobody"]
[dictionaries.operations]
values = ["op1", "nobody"]
[dictionaries.ranges]
values = ["bytes=0-9", "bytes=5-", "bytes=-3", "bytes=99999999-", "bytes=x"]
[dictionaries.names]
values = ["shop", "cart-1"]
[dictionaries.durations]
values = ["1h", "30m"]
[parameters]
"path.backup_id" = { dictionary = "backups", probability = 0.9 }
"path.restore_id" = { dictionary = "restores", probability = 0.9 }
"path.schedule_id" = { dictionary = "schedules", probability = 0.9 }
"path.name" = { dictionary = "locations", probability = 0.9 }
"path.operation_id" = { dictionary = "operations", probability = 0.9 }
"path.cluster" = { dictionary = "clusters", probability = 0.9 }
"header.Range" = { dictionary = "ranges", probability = 0.7 }
"body.backup" = { dictionary = "backups", probability = 0.9 }
"body.schedule" = { dictionary = "schedules", probability = 0.9 }
"body.cluster" = { dictionary = "clusters", probability = 0.8 }
"body.name" = { dictionary = "names", probability = 0.9 }
"body.cron" = { dictionary = "crons", probability = 0.9 }
"body.timezone" = { dictionary = "zones", probability = 0.9 }
"body.startingDeadline" = { dictionary = "durations", probability = 0.9 }
"body.spread" = { dictionary = "durations", probability = 0.9 }
"body.deadline" = { dictionary = "durations", probability = 0.9 }
"body.spec.ttl" = { dictionary = "durations" }
"body.spec.csiSnapshotTimeout" = { dictionary = "durations" }
"body.spec.itemOperationTimeout" = { dictionary = "durations" }
"""
"""What there is: requests for what there is not all end in the same 404. More often where there is more to be met."""


@pytest.mark.timeout(300)
@pytest.mark.thorough
async def test_no_request_that_the_document_allows_or_forbids_meets_a_fault_or_an_answer_it_does_not_tell_of(
    nats_server, mongo_server, tmp_path
):
    files = {("b0", artifact): gzip.compress(b"{}") for artifact in Artifact}
    async with stack(nats_server, mongo_server, wait=0) as made, serving(made, Bucket(files)):
        rows = [backup_item(f"b{n}", phase="Completed", storage_location="default") for n in range(3)]
        gone = backup_item("gone", status="Deleted", present=False)
        await made.status.writes("backups", *(backup_document(item, uids=["uid-1"]) for item in (*rows, gone)))
        await made.status.writes("captures", *captured(Artifact.LOG, gzip.compress(b"kept")))
        restores = [restore_item(f"r{n}", name="b0", phase="Completed") for n in range(2)]
        removed = restore_item("gone", status="Deleted", present=False)
        await made.status.writes("restores", *(restore_document(item, uids=["uid-1"]) for item in (*restores, removed)))
        await made.status.writes("locations", location_document("default"))
        for cluster in ("eu1", "us1"):
            snapshots = snapshot_location_document("main", cluster, provider="aws", spec={"provider": "aws"})
            await made.status.writes("locations", storage("main", cluster))
            await made.status.writes("snapshot_locations", snapshots)
        await made.status.writes("cluster_state", cluster_document("eu1", namespaces=[{"name": "a", "labels": []}]))
        operation = operation_item("op1", OperationState.ACCEPTED)
        await made.status.writes("operations", {"_id": "op1", "item": to_document(operation)})
        for n in range(4):
            schedule = Schedule(**{**SCHEDULE, "id": f"s{n}", "name": f"s{n}"})
            await made.database["schedules"].insert_one(schedule.document())
            await made.status.writes("schedule_status", row_of(schedule))
            await decides(made, tick(f"s{n}", NOW, Decision.TRIGGERED), tick(f"s{n}", NOW + timedelta(days=1), Decision.MISSED))
        velero = ScheduleItem(id="v0", name="v0", cluster="eu1", managed_by="Velero", status="Active", cron="@daily")
        row = {"_id": "v0", "cluster": "eu1", "listed": True, "item": to_document(velero), "asOf": NOW, "detail": None}
        await made.status.writes("schedule_status", row)
        (tmp_path / "schemathesis.toml").write_text(KNOWN)
        # Made once, here: the program that tests by it does not wait for long.
        document = (await made.client.get(f"{API}/openapi.json")).json()
        before = await counted(made)
        checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).parent / "schemathesis"),
            *("run", f"http://127.0.0.1:{made.settings.http.port}{API}/openapi.json", "--exclude-path", f"{API}/events"),
            *("--phases", "fuzzing", "--seed", "1", "--checks", checks, "--no-color"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()[-6000:]
        count = sum(len(operations) for operations in document["paths"].values()) - 1  # events never end
        assert f"Tested: {count}".encode() in output, output.decode()[-3000:]
        answered = {key for key, times in (await counted(made)).items() if times > before.get(key, 0)}
        assert answered >= REACHED, f"never got so far: {REACHED - answered}"


async def counted(made):
    """How often the gateways of this process have answered so: (method, address, status) -> times."""
    metrics = (await made.client.get("/metrics")).text
    return {(m[1], m[2].removeprefix(API), int(m[3])): float(m[4]) for m in COUNTED.finditer(metrics)}


COUNTED = re.compile(r'leeward_http_requests_total{method="(\w+)",route="([^"]*)",status="(\d+)"} (\S+)')
SORTS = ("storage", "snapshot")
REACHED = {
    ("POST", "/schedules", 201),
    ("POST", "/schedules", 422),
    ("GET", "/schedules/{schedule_id}", 200),
    ("GET", "/schedules/{schedule_id}/ticks", 200),
    ("GET", "/schedules/{schedule_id}/ticks", 404),
    ("POST", "/schedules/{schedule_id}/pause", 200),
    ("POST", "/schedules/{schedule_id}/pause", 409),
    ("POST", "/schedules/{schedule_id}/skip", 200),
    ("POST", "/schedules/preview", 200),
    ("POST", "/schedules/preview", 422),
    ("DELETE", "/schedules/{schedule_id}", 202),
    ("POST", "/backups", 202),
    ("POST", "/backups", 422),
    ("DELETE", "/backups/{backup_id}", 202),
    ("DELETE", "/backups/{backup_id}", 409),
    ("POST", "/backups/delete", 202),
    ("GET", "/backups/{backup_id}/logs", 200),
    ("GET", "/backups/{backup_id}/contents", 200),
    ("GET", "/backups/{backup_id}/contents", 206),
    ("GET", "/backups/{backup_id}/contents", 404),
    ("GET", "/backups/{backup_id}/contents", 416),
    ("POST", "/restores", 422),
    ("POST", "/restores/preflight", 422),
    ("POST", "/restores/delete", 202),
    ("GET", "/restores", 200),
    ("GET", "/restores/summary", 200),
    ("GET", "/restores/{restore_id}", 200),
    ("GET", "/restores/{restore_id}", 404),
    ("GET", "/restores/{restore_id}/logs", 200),
    ("GET", "/restores/{restore_id}/results", 200),
    ("GET", "/restores/{restore_id}/resources", 200),
    ("DELETE", "/restores/{restore_id}", 202),
    ("DELETE", "/restores/{restore_id}", 409),
    *(("GET", f"/clusters/{{cluster}}/{sort}-locations/{{name}}", status) for sort in SORTS for status in (200, 404)),
    *((method, f"/clusters/{{cluster}}/{sort}-locations/{{name}}", 202) for sort in SORTS for method in ("PATCH", "DELETE")),
    *(("POST", f"/clusters/{{cluster}}/{sort}-locations", 422) for sort in SORTS),
    ("GET", "/clusters/{cluster}/join", 200),
    ("GET", "/operations/{operation_id}", 200),
    ("POST", "/clusters/{cluster}/scope", 200),
    ("POST", "/clusters/{cluster}/scope", 422),
}
"""What must have been met, or the test says less than it seems to."""
