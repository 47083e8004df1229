"""An endless pull on one consumer, by the protocol itself: the client's `fetch` waits until its batch is full."""

import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.runtime.stopping import unless_cancelled

_NANOSECONDS = 1_000_000_000
_HEARTBEAT, _NO_MESSAGES, _REQUEST_TIMEOUT, _CONFLICT = "100", "404", "408", "409"
_EXPIRES = 30.0
_IDLE_HEARTBEAT = 2.0
_PATIENCE = 0.5


class PullLost(Exception):  # noqa: N818 - a state of the link, not an error of ours
    """The consumer does not answer: deleted, its server gone, or the link cut. Pull again after a while."""


async def pull(client: Client, stream: str, consumer: str, room: Callable[[], Awaitable[int]]) -> AsyncGenerator[Msg]:
    """Yield messages as they arrive, never asking for more than `room()` grants (it resolves when that is at least one).

    Raises PullLost when the consumer stays silent for two heartbeats or says that it is gone.
    """
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox)
    try:
        while True:
            unless_cancelled()
            batch = await room()
            request = {
                "batch": batch,
                "expires": int(_EXPIRES * _NANOSECONDS),
                "idle_heartbeat": int(_IDLE_HEARTBEAT * _NANOSECONDS),
            }
            link, silence = client.stats["reconnects"], 0.0
            await client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}", json.dumps(request).encode(), reply=inbox)
            while batch > 0:
                try:
                    message = await subscription.next_msg(timeout=_PATIENCE)
                except (TimeoutError, nats.errors.TimeoutError) as error:
                    unless_cancelled()
                    if client.stats["reconnects"] != link:
                        break  # the request died with its connection: ask again on the new one
                    silence += _PATIENCE
                    if silence > 2 * _IDLE_HEARTBEAT:
                        raise PullLost("no heartbeat") from error
                    continue
                unless_cancelled()
                silence = 0.0
                status = (message.headers or {}).get("Status") if not message.data else None
                if status is None:
                    batch -= 1
                    yield message
                elif status in {_NO_MESSAGES, _REQUEST_TIMEOUT}:
                    break
                elif status != _HEARTBEAT:
                    words = (message.headers or {}).get("Description", "")
                    if status == _CONFLICT and "deleted" not in words.lower():
                        break  # leadership moved or a limit was met: ask again
                    raise PullLost(f"{status} {words}".strip())
    finally:
        with contextlib.suppress(nats.errors.Error):  # the link is gone, and the subscription with it
            await subscription.unsubscribe()
