"""Fixtures of the integration tests: a broker with its topology, and connections as each service's user."""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from shared.messaging.connection import Connection, connect
from shared.messaging.topology import ensure
from shared.runtime.health import Health
from tests.integration.executor_harness import World
from tests.support.servers import NatsServer
from tests.support.timing import TIMING
from tests.support.waiting import subscribed

Connects = Callable[..., Any]


@pytest.fixture
async def admin(nats_server: NatsServer) -> AsyncIterator[Connection]:
    """The administrator's connection; the topology exists."""
    settings = nats_server.settings("admin")
    async with connect(settings, name="admin", dependency=Health().depends_on("nats")) as connection:
        await ensure(connection.stream, nats_server.clusters, TIMING)
        yield connection


@pytest.fixture
async def as_user(nats_server: NatsServer, admin: Connection) -> AsyncIterator[Connects]:
    """Connect as a service's user, with that user's permissions; closed with the test."""
    async with contextlib.AsyncExitStack() as stack:

        async def open_connection(user: str, health: Health | None = None) -> Connection:
            dependency = (health or Health()).depends_on("nats")
            return await stack.enter_async_context(connect(nats_server.settings(user), name=user, dependency=dependency))

        yield open_connection


@pytest.fixture
async def world(admin: Connection, as_user: Connects, tmp_path: Path) -> AsyncIterator[World]:
    """Simulated clusters, the broker, and an ear on everything that is said about clusters."""
    built = World(admin, as_user, tmp_path)
    await admin.client.subscribe("lw.evt.>", cb=built.heard.hear)
    await subscribed(admin)
    yield built
    for cluster in built.clusters.values():
        await cluster.stop()
