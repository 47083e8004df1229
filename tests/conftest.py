"""Fixtures that more than one kind of test needs. Servers start once per test process and are shared; state is not."""

import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog

from tests.support.servers import MongoServer, NatsServer
from tests.support.timing import PATIENT

# What a shell starts in the background ignores Ctrl-C, and what nohup starts the end of its terminal; every command that we
# start and send one would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Properties judge what the code does, not how fast this machine is; a failing example can be replayed from what is printed.
hypothesis.settings.register_profile(
    "leeward", deadline=None, print_blob=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("leeward")

structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.format_exc_info,
        structlog.processors.KeyValueRenderer(key_order=["event"]),
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
)


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    """A database server for the session; every test takes a database of its own in it."""
    server = MongoServer(tmp_path_factory.mktemp("mongo"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def nats_timeout() -> float:
    """Seconds that everybody waits for an answer of NATS; less in a test that takes it away (`takes_nats_away`)."""
    return PATIENT


@pytest.fixture
def nats_server(tmp_path: Path, nats_timeout: float) -> Iterator[NatsServer]:
    """A NATS server of the test's own, with permissions on; killing it is allowed."""
    server = NatsServer(tmp_path / "nats", timeout=nats_timeout)
    server.start()
    yield server
    server.kill()
