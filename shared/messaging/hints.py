"""Hints: "look at this schedule now". Nobody stores them and nobody may rest on them; a rescan finds what they said."""

import contextlib
import secrets
from collections.abc import AsyncIterator

import nats.errors

from shared.contracts import subjects
from shared.contracts.base import Wire
from shared.contracts.catalogue import UnreadableError, decode
from shared.contracts.envelope import Envelope, type_name
from shared.contracts.events import Hinted
from shared.messaging.connection import Connection
from shared.messaging.outcomes import Unavailable
from shared.messaging.publisher import Publishes
from shared.runtime.clock import Clock


async def hint(publisher: Publishes, source: str, schedule_id: str, cluster: str, clock: Clock) -> None:
    """Tell whoever listens that something about a schedule has changed; never fails."""
    envelope = Envelope[Wire](
        id=secrets.token_hex(8),
        source=source,
        type=type_name("schedule", "hinted"),
        time=clock(),
        cluster=cluster,
        data=Hinted(id=schedule_id),
    )
    with contextlib.suppress(Unavailable, subjects.SubjectError, nats.errors.Error, ConnectionError):
        await publisher.tell(subjects.hint(schedule_id), envelope)


async def hints(connection: Connection, *, besides: str | None = None) -> AsyncIterator[str]:
    """Yield ids of schedules as they pass by, but not what that source says; what is missed is missed."""
    subscription = await connection.client.subscribe("lw.hint.>")
    try:
        async for message in subscription.messages:
            with contextlib.suppress(UnreadableError):
                envelope = decode(message.subject, message.data)[1]
                if envelope.source != besides:
                    yield envelope.data.id
    finally:
        with contextlib.suppress(nats.errors.Error):
            await subscription.unsubscribe()
