"""Spans of messages, by OpenTelemetry's conventions for messaging; the trace travels in the envelope's `traceparent`."""

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from shared.contracts.base import Wire
from shared.contracts.envelope import Envelope
from shared.runtime import tracing


def sending(subject: str, envelope: Envelope[Wire]) -> AbstractContextManager[Envelope[Wire]]:
    """Span the sending of a message; gives the envelope to send, which names this span as where it comes from."""
    return _sending(subject, envelope) if tracing.is_on() else contextlib.nullcontext(envelope)


def handling(stream: str, consumer: str, subject: str, deliveries: int, envelope: Envelope[Any]) -> AbstractContextManager[Any]:
    """Span one attempt at a message, under the span that sent it."""
    if not tracing.is_on():
        return contextlib.nullcontext()
    facts = {
        **_facts("process", subject, envelope),
        "messaging.consumer.group.name": consumer,
        "leeward.stream": stream,
        "leeward.deliveries": deliveries,
    }
    return tracing.root(f"process {_what(envelope)}", tracing.CONSUMER, facts, envelope.traceparent)


def trace_of(envelope: Envelope[Any] | None) -> dict[str, str]:
    """Return the trace that a message belongs to, as logs name it: for what is said of it outside of any span."""
    parts = (envelope.traceparent or "").split("-") if envelope and tracing.is_on() else []
    return {tracing.TRACE: parts[1]} if len(parts) > 1 else {}


@contextlib.contextmanager
def _sending(subject: str, envelope: Envelope[Wire]) -> Iterator[Envelope[Wire]]:
    # An envelope that already names a trace (an answer, made for its command) joins it where no span is current.
    parent = None if tracing.current() else envelope.traceparent
    with tracing.root(f"publish {_what(envelope)}", tracing.PRODUCER, _facts("send", subject, envelope), parent):
        yield envelope.model_copy(update={"traceparent": tracing.current() or envelope.traceparent})


def _what(envelope: Envelope[Any]) -> str:
    """Return noun and verb: few enough to name spans by, unlike subjects."""
    return ".".join(envelope.type.split(".")[2:4])


def _facts(kind: str, subject: str, envelope: Envelope[Any]) -> dict[str, str | int | None]:
    return {
        "messaging.system": "nats",
        "messaging.operation.name": "publish" if kind == "send" else kind,
        "messaging.operation.type": kind,
        "messaging.destination.name": subject,
        "messaging.message.id": envelope.id,
        "leeward.cluster": envelope.cluster,
        "leeward.operation_id": envelope.operationid,
    }
