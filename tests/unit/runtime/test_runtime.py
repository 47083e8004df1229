"""The skeleton of a process: readiness tells the truth, logs keep secrets, wrong settings are told in words."""

import asyncio
import contextlib
import json
import logging as stdlib
import os
import signal
import socket
from pathlib import Path

import httpx2
import pytest
import structlog

from shared.runtime import logging
from shared.runtime.health import Health
from shared.runtime.http import health_app, serving
from shared.runtime.process import Runtime, _live
from shared.runtime.settings import HttpSettings, LogSettings, MongoSettings, ServiceSettings, load
from shared.runtime.stopping import unless_cancelled


def test_readiness_names_what_is_missing_and_hangs_on_what_is_required():
    health = Health()
    nats, cluster = health.depends_on("nats"), health.depends_on("cluster eu1", required=False)
    assert not health.ready, "what was never heard from is missing"
    nats.answers()
    assert health.ready
    cluster.missing("connection refused")
    assert health.ready
    assert health.report()["missing"] == ["cluster eu1"]
    nats.missing("disconnected")
    assert not health.ready
    assert health.report()["dependencies"] == {"nats": "disconnected", "cluster eu1": "connection refused"}
    health.forget("nats")
    assert health.ready


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("password", "hunter2", "[redacted]"),
        ("nats_token", "hunter2", "[redacted]"),
        ("Authorization", "Bearer hunter2", "[redacted]"),
        ("reason", "cannot reach mongodb://leeward:hunter2@db:27017/x", "cannot reach mongodb://[redacted]@db:27017/x"),
        ("url", "https://s3/bucket/key?X-Amz-Signature=hunter2", "https://s3/bucket/key?[redacted]"),
        ("cluster", "eu1", "eu1"),
        ("seconds", 1.5, 1.5),
    ],
)
def test_a_log_line_keeps_secrets(field, value, shown):
    assert logging.redact(None, "info", {field: value})[field] == shown


def test_a_line_is_one_json_object_with_constant_names_also_for_exceptions_of_libraries(capsys):
    root = stdlib.getLogger()
    before, level, config = root.handlers[:], root.level, structlog.get_config()
    try:
        logging.configure("executor", "one", LogSettings())
        structlog.get_logger("x").info("hello", **{logging.CLUSTER: "eu1"})
        try:
            int("mongodb://u:hunter2@h")
        except ValueError:
            stdlib.getLogger("library").exception("broke")
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        structlog.configure(**config)
        structlog.contextvars.clear_contextvars()
    assert lines[0]["event"] == "hello"
    assert (lines[0]["service"], lines[0]["instance"], lines[0]["cluster"]) == ("executor", "one", "eu1")
    assert "ValueError" in lines[1]["exception"]
    assert "hunter2" not in json.dumps(lines)


def test_wrong_settings_are_told_by_variable_and_without_values(monkeypatch):
    class Settings(ServiceSettings):
        needed: int

    monkeypatch.setenv("LEEWARD_HTTP__PORT", "hunter2")
    with pytest.raises(SystemExit) as end:
        load(Settings)
    assert "LEEWARD_HTTP__PORT: " in str(end.value)
    assert "LEEWARD_NEEDED: Field required" in str(end.value)
    assert "hunter2" not in str(end.value)


def test_a_secret_may_come_from_a_file(monkeypatch, tmp_path):
    class Settings(ServiceSettings):
        mongo: MongoSettings = MongoSettings()

    (tmp_path / "leeward_instance").write_text("seven\n")
    (tmp_path / "leeward_mongo__url").write_text("mongodb://u:hunter2@db\n")
    found = Settings(_secrets_dir=tmp_path)
    assert found.instance == "seven"
    assert found.mongo.url.get_secret_value() == "mongodb://u:hunter2@db"
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False), ("db", False)],
)
def test_what_counts_as_this_machine_only(host, loopback):
    assert HttpSettings(host=host).is_loopback is loopback


async def test_every_process_answers_how_it_is():
    health = Health()
    dependency = health.depends_on("nats")
    async with (
        serving(health_app(health), HttpSettings()) as port,
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        assert (await client.get("/livez")).text == "ok"
        missing = await client.get("/readyz")
        assert (missing.status_code, missing.json()["missing"]) == (503, ["nats"])
        dependency.answers()
        assert (await client.get("/readyz")).status_code == 200
        assert 'leeward_dependency_up{dependency="nats"} 1.0' in (await client.get("/metrics")).text


async def test_what_is_served_is_sent_at_once():
    async with serving(health_app(Health()), HttpSettings()) as port, httpx2.AsyncClient() as client:
        await client.get(f"http://127.0.0.1:{port}/livez")
        (accepted,) = (each for each in open_sockets() if has_ends(each, port))
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), "else each push waits 40 ms for an ack"


def open_sockets():
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            yield socket.socket(fileno=os.dup(int(entry.name)))


def has_ends(connection, port):
    with contextlib.suppress(OSError, IndexError):
        return connection.getsockname()[1] == port and bool(connection.getpeername())
    return False


async def test_a_stop_that_was_asked_for_ends_well_and_a_failure_does_not():
    ended = []

    async def works(_runtime):
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("tidied up")

    async def fails(_runtime):
        raise ValueError("boom")

    running = asyncio.create_task(_live(Runtime("test", "one"), 60, works))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(running, 60) == 0
    assert ended == ["tidied up"]
    assert await _live(Runtime("test", "one"), 60, fails) == 1


async def test_a_swallowed_cancellation_is_noticed():
    reached = []

    async def swallows():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            reached.append("swallowed")
        unless_cancelled()
        reached.append("went on")

    task = asyncio.create_task(swallows())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert reached == ["swallowed"]
