"""One trace from the request to the announcement; and nothing at all of it while tracing is off."""

import gzip
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from shared.contracts import subjects
from shared.messaging.publisher import Publisher
from shared.messaging.topology import COMMANDS, STATE
from shared.runtime import tracing
from tests.support.gateway import API, running, settings_for
from tests.support.messages import backup_command
from tests.support.servers import free_port
from tests.support.status_service import status_service, stored
from tests.support.waiting import PATIENCE, eventually

CALLER = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{CALLER}-00f067aa0ba902b7-01"
BODY = {"name": "shop", "cluster": "eu1", "scope": {"kind": "all"}}
HEADERS = {"traceparent": TRACEPARENT, "Idempotency-Key": "s3cr3t-key", "Authorization": "Bearer s3cr3t-token"}


@pytest.fixture
def spans():
    exporter = InMemorySpanExporter()
    tracing.start("test", "one", exporter)
    yield exporter
    tracing.stop()


def lineage(found, spans):
    """The names from a span up to the first that has no parent here."""
    by_id = {span.context.span_id: span for span in spans}
    names = []
    while found is not None:
        names.append(found.name)
        found = by_id.get(found.parent.span_id) if found.parent else None
    return names


async def test_a_request_is_one_trace_over_gateway_cluster_and_status_to_its_announcement(
    spans, world, nats_server, mongo_server
):
    await world.add("eu1")
    settings = settings_for(nats_server, mongo_server, wait=PATIENCE)
    async with (
        world.executor(),
        status_service(nats_server, settings.mongo),
        running(settings) as client,
    ):
        await eventually("ready", lambda: _is_ready(client))
        await client.post(f"{API}/clusters", json={"id": "eu1"})
        await eventually("online", lambda: _online(client))
        answer = await client.post(f"{API}/backups", json=BODY, headers=HEADERS)
        assert answer.status_code == 201, answer.text
        operation = answer.json()["id"]

        def ours():
            return [span for span in spans.get_finished_spans() if f"{span.context.trace_id:032x}" == CALLER]

        def named(name):
            return next((span for span in ours() if span.name == name), None)

        await eventually("the request's span", lambda: named("POST /api/v1/backups"))
        await eventually("the last span", lambda: named("process operation.accepted"))
        trace = ours()

    subject = subjects.state("eu1", "operation", "Accepted", operation)
    announced = [s for s in trace if s.attributes.get("messaging.destination.name") == subject]
    assert announced, sorted({s.name for s in trace})
    assert lineage(announced[0], trace) == [
        "publish operation.changed",
        "announce operation",
        "fold operation",
        "process operation.accepted",
        "publish operation.accepted",
        "process backup.create",
        "publish backup.create",
        "POST /api/v1/backups",
    ]
    request = named("POST /api/v1/backups")
    assert f"{request.parent.span_id:016x}" == TRACEPARENT.split("-")[2], "the caller's own span is the parent"
    assert request.attributes["http.response.status_code"] == 201
    created = next(s for s in trace if s.name == "kubernetes POST")
    assert lineage(created, trace)[1] == "process backup.create"
    assert created.attributes["http.response.status_code"] == 201
    handled = next(s for s in trace if s.name == "process backup.create" and s.attributes["leeward.stream"] == COMMANDS)
    assert handled.kind is SpanKind.CONSUMER
    assert handled.attributes["messaging.system"] == "nats"
    assert handled.attributes["leeward.operation_id"] == operation
    assert handled.attributes["leeward.cluster"] == "eu1"
    assert "s3cr3t" not in "".join(span.to_json() for span in spans.get_finished_spans())
    feed = await stored(world.admin, STATE)
    told = [e.traceparent for s, e in feed if s.split(".")[3] == "operation" and e.data.id == operation]
    assert told, "the announcement names the trace, so that whoever hears it can go on with it"
    assert all(CALLER in parent for parent in told)


async def test_a_failure_is_named_by_its_kind_and_never_by_words_that_another_system_chose(spans):
    with pytest.raises(RuntimeError), tracing.root("work", tracing.INTERNAL, {"known": 1, "unknown": None}):
        raise RuntimeError("mongodb://leeward:hunter2@db")
    (span,) = spans.get_finished_spans()
    assert span.attributes == {"known": 1, "error.type": "RuntimeError"}
    assert not span.status.is_ok
    assert "hunter2" not in span.to_json()


async def test_what_nobody_asked_for_begins_no_trace(spans):
    with tracing.child("fold backup", {}):
        pass
    assert spans.get_finished_spans() == ()


async def test_a_log_line_names_the_trace_it_belongs_to(spans):
    with tracing.root("work", tracing.INTERNAL, {}, TRACEPARENT):
        line = tracing.identify(None, "info", {"event": "x"})
    assert line[tracing.TRACE] == CALLER
    assert re.fullmatch("[0-9a-f]{16}", line[tracing.SPAN])
    assert tracing.identify(None, "info", {"event": "x"}) == {"event": "x"}


async def test_off_a_message_goes_out_as_it_was_made(admin, as_user):
    assert not tracing.is_on()
    command = backup_command("op-1").model_copy(update={"traceparent": TRACEPARENT})
    await Publisher(await as_user("gateway")).publish_command(subjects.command("eu1", "backup", "create", "op-1"), command)
    ((_, envelope),) = await stored(admin, COMMANDS)
    assert envelope == command


OFF = """
import sys
import services.gateway.__main__, services.executor.__main__, services.status.__main__
from shared.runtime import tracing
with tracing.root("a", tracing.SERVER, {}), tracing.child("b", {}) as span:
    span.set_attribute("c", 1)
    assert not span.is_recording() and tracing.current() is None
loaded = [name for name in sys.modules if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter"))]
assert not loaded, loaded
"""


def test_off_no_service_loads_more_than_the_api():
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", OFF], capture_output=True, text=True, env=environment, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


WITHOUT_EXTRA = """
import sys
sys.modules["opentelemetry.sdk.resources"] = None
from shared.runtime.settings import ServiceSettings
from shared.runtime.process import run
run("status", ServiceSettings(), None)
"""


def test_on_without_the_extra_the_process_says_what_to_install_and_ends():
    environment = {"LEEWARD_TRACING": "true", "PATH": ""}
    command = [sys.executable, "-c", WITHOUT_EXTRA]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)
    assert done.returncode == 1
    assert "install leeward[tracing]" in done.stderr
    assert "Traceback" not in done.stderr


async def _is_ready(client):
    return (await client.get("/readyz")).status_code == 200


async def _online(client):
    return (await client.get(f"{API}/clusters/eu1")).json().get("status") == "Online"


ON = """
import sys, time
from shared.runtime import tracing
tracing.start("status", "one")
with tracing.root("work", tracing.INTERNAL, {}):
    pass
begun = time.monotonic()
tracing.stop()
assert time.monotonic() - begun < 8, "a collector that is away must not hold up a stop"
"""


class Collector(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_on_spans_go_by_http_to_where_the_standard_variable_says_and_none_is_left_behind_by_a_stop():
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        server.got = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "PATH": ""}
        subprocess.run([sys.executable, "-c", ON], env=environment, check=True, timeout=60)
        server.shutdown()
    ((path, body),) = server.got
    assert path == "/v1/traces"
    assert b"leeward-status" in body
    assert b"work" in body


def test_a_collector_that_is_away_holds_up_nothing():
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}", "PATH": ""}
    subprocess.run([sys.executable, "-c", ON], env=environment, check=True, timeout=60)
