"""What the gateway needs of NATS, also while there is none: every call either succeeds or raises Unavailable."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from shared.contracts.base import Wire
from shared.contracts.envelope import Envelope
from shared.messaging import rpc
from shared.messaging.connection import NATS, Connection, available
from shared.messaging.hints import hint
from shared.messaging.outcomes import Unavailable
from shared.messaging.publisher import Publisher, Record
from shared.messaging.topology import Timing, ensure_cluster
from shared.runtime.clock import Clock

_QUESTIONS: Final = 8
"""Questions to one executor under way at a time: it refuses what it cannot keep waiting, and would break off others."""


@dataclass(slots=True)
class Bus:
    """The commands: published once each, and remembered by their stream. And questions, which nobody remembers."""

    timing: Timing
    connection: Connection | None = None
    _turns: dict[str, asyncio.Semaphore] = field(default_factory=dict)

    @contextlib.contextmanager
    def using(self, connection: Connection) -> Iterator[None]:
        """Speak through a connection while the context lasts."""
        self.connection = connection
        try:
            yield
        finally:
            self.connection = None

    async def command(self, operation_id: str) -> Envelope[Any] | None:
        """Return the stored command of an operation; None if there is none."""
        return await Record(self._connected()).command(operation_id)

    async def publish_command(self, subject: str, envelope: Envelope[Wire]) -> None:
        """Store a command.

        Raises CommandTakenError when its operation has one already.
        """
        await Publisher(self._connected()).publish_command(subject, envelope)

    async def hint(self, schedule_id: str, cluster: str, clock: Clock) -> None:
        """Tell whoever listens that a schedule has changed; without a connection they find out by themselves."""
        if self.connection is not None:
            await hint(Publisher(self.connection), "/gateway", schedule_id, cluster, clock)

    async def ask(self, subject: str, envelope: Envelope[Wire], timeout: float) -> bytes:
        """Ask an executor, and return its answer; its time runs from when it is our turn to ask.

        Raises Unavailable: of `nats` when there is no connection, else of whoever did not answer.
        """
        async with self._turns.setdefault(subject, asyncio.Semaphore(_QUESTIONS)):
            return await rpc.ask(self._connected(), subject, envelope, timeout)

    async def ensure_cluster(self, cluster: str) -> None:
        """Make the consumer through which a cluster gets its commands."""
        connection = self._connected()
        with available():
            try:
                await ensure_cluster(connection.stream, cluster, self.timing)
            except Exception as error:  # the client's own words for "no such stream" stay in shared.messaging
                raise Unavailable(NATS, str(error) or type(error).__name__) from error

    def _connected(self) -> Connection:
        if self.connection is None:
            raise Unavailable(NATS, "not connected yet")
        return self.connection
