"""One connection to NATS: it reconnects for ever, says when it is away, and turns the client's errors into ours."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import nats
import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.kv import KeyValue
from pydantic import BaseModel, SecretStr

from shared.messaging.outcomes import Unavailable
from shared.runtime.health import Dependency
from shared.runtime.stopping import unless_cancelled

log = structlog.get_logger(__name__)

NATS = "nats"
"""The name of the dependency in readiness and in Unavailable."""


class NatsSettings(BaseModel):
    """Where NATS is and who we are there. One user per service and one per cluster: see permissions.py."""

    url: str = "nats://127.0.0.1:4222"
    user: str | None = None
    password: SecretStr | None = None
    timeout: float = 5.0
    """Seconds after which an unanswered request counts as "NATS away"."""


@dataclass(slots=True)
class Connection:
    """A live connection. `lost` fails when it is closed for good."""

    client: Client
    stream: JetStreamContext
    timeout: float
    lost: asyncio.Future[None]
    _buckets: dict[str, KeyValue] = field(default_factory=dict)

    async def bucket(self, name: str) -> KeyValue:
        """Return a key-value bucket, looked up once: afterwards, one that is gone shows in what is asked of it."""
        if name not in self._buckets:
            self._buckets[name] = await self.stream.key_value(name)
        return self._buckets[name]

    async def until_lost(self) -> None:
        """Wait for ever.

        Raises ConnectionError when the client has given up for good, so that the process ends and is started again.
        """
        await asyncio.shield(self.lost)


@contextlib.asynccontextmanager
async def connect(settings: NatsSettings, *, name: str, dependency: Dependency) -> AsyncIterator[Connection]:
    """Connect and stay connected while the context lasts; waits for a server that is not there yet."""
    lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    closing = False

    async def on_error(error: Exception) -> None:
        # A permission violation shows only here; the call itself merely times out.
        log.warning("nats error", reason=str(error) or type(error).__name__)
        if not isinstance(error, nats.errors.SlowConsumerError) and not client.is_connected:
            dependency.missing(str(error) or type(error).__name__)

    async def on_disconnect() -> None:
        if not closing:
            dependency.missing("disconnected")
            log.warning("nats disconnected")

    async def on_reconnect() -> None:
        dependency.answers()
        log.info("nats reconnected")

    async def on_close() -> None:
        if not closing and not lost.done():
            dependency.missing("closed")
            lost.set_exception(ConnectionError("the connection to NATS is closed for good"))

    client = Client()
    await client.connect(
        servers=settings.url,
        name=name,
        user=settings.user,
        password=settings.password.get_secret_value() if settings.password else None,
        inbox_prefix=f"_INBOX_{settings.user}".encode() if settings.user else b"_INBOX",
        allow_reconnect=True,
        max_reconnect_attempts=-1,
        reconnect_time_wait=1,
        connect_timeout=2,
        ping_interval=10,
        max_outstanding_pings=2,
        error_cb=on_error,
        disconnected_cb=on_disconnect,
        reconnected_cb=on_reconnect,
        closed_cb=on_close,
    )
    dependency.answers()
    try:
        yield Connection(client, client.jetstream(timeout=settings.timeout), settings.timeout, lost)
    finally:
        closing = True
        lost.cancel()
        with contextlib.suppress(Exception):
            await asyncio.wait_for(client.drain() if client.is_connected else client.close(), 5)


_TOO_MANY, _SERVER_ERROR = 429, 500

TRANSIENT: tuple[type[Exception], ...] = (
    nats.errors.TimeoutError,
    asyncio.TimeoutError,
    nats.errors.ConnectionClosedError,
    nats.errors.ConnectionReconnectingError,
    nats.errors.ConnectionDrainingError,
    nats.errors.NoRespondersError,
    nats.errors.OutboundBufferLimitError,
    nats.errors.StaleConnectionError,
    nats.js.errors.ServiceUnavailableError,
    nats.js.errors.NoStreamResponseError,
    nats.js.errors.NotFoundError,
    ConnectionError,
)


@contextlib.contextmanager
def available() -> Iterator[None]:
    """Turn every way in which NATS can fail to answer into Unavailable("nats"), and let no cancellation end in here."""
    try:
        yield
    except TRANSIENT as error:
        unless_cancelled()
        raise Unavailable(NATS, str(error) or type(error).__name__) from error
    except nats.js.errors.APIError as error:
        if error.code is None or (error.code != _TOO_MANY and error.code < _SERVER_ERROR):
            raise
        raise Unavailable(NATS, str(error)) from error
    unless_cancelled()
