"""Dead letters: a message given up on, whole, with the reason, so that a person can look at it and nothing is lost."""

import base64
from datetime import datetime

from nats.aio.msg import Msg

from shared.contracts.envelope import Envelope, type_name
from shared.contracts.events import DeadLetter
from shared.contracts.ids import is_cluster_id

_PAYLOAD_LIMIT = 512 * 1024
"""Bytes of a message that a letter carries: base64 makes a third more of them, and the broker takes 1 MiB a message."""


def dead_letter(
    stream: str, consumer: str, message: Msg, sequence: int, deliveries: int, *, reason: str, now: datetime
) -> Envelope[DeadLetter]:
    """Write the letter. Its id is the message's place in the stream, so that burying it twice is burying it once."""
    token = message.subject.split(".")[2:3]
    return Envelope[DeadLetter](
        id=f"{stream}/{consumer}/{sequence}",
        source=f"/consumers/{consumer}",
        type=type_name("message", "buried"),
        time=now,
        cluster=token[0] if token and is_cluster_id(token[0]) else "unknown",
        data=DeadLetter(
            stream=stream,
            consumer=consumer,
            sequence=sequence,
            subject=message.subject,
            deliveries=deliveries,
            reason=reason,
            headers=dict(message.headers or {}),
            payload=base64.b64encode(message.data[:_PAYLOAD_LIMIT]).decode(),
            truncated=len(message.data) > _PAYLOAD_LIMIT,
        ),
    )
