"""Spans: one trace from the request to the announcement (OpenTelemetry). Off unless LEEWARD_TRACING is true.

The only importer of `opentelemetry`, and of its SDK (extra `tracing`) only when on. Where spans go, how many and with what
headers is said by OpenTelemetry's own variables (`OTEL_…`): docs/tracing.md. A span carries identities and never a message of
an error, because what another system says may hold anything.
"""

import contextlib
import threading
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

TRACE: Final = "trace_id"
SPAN: Final = "span_id"

Attributes = Mapping[str, str | int | None]
"""What a span says of itself; None is left out."""

SERVER, CLIENT, PRODUCER, CONSUMER, INTERNAL = (
    SpanKind.SERVER,
    SpanKind.CLIENT,
    SpanKind.PRODUCER,
    SpanKind.CONSUMER,
    SpanKind.INTERNAL,
)

_HEADER: Final = "traceparent"
_FAREWELL: Final = 3.0
"""Seconds that the last spans have to leave; a collector that is away must not hold up a stop."""
_OFF: Final[AbstractContextManager[Span]] = contextlib.nullcontext(trace.INVALID_SPAN)
_W3C: Final = TraceContextTextMapPropagator()


@dataclass(slots=True)
class _State:
    provider: "TracerProvider | None" = None
    tracer: trace.Tracer | None = None


_state: Final = _State()


def start(service: str, instance: str, exporter: "SpanExporter | None" = None) -> None:
    """Switch tracing on; without an exporter spans go where OpenTelemetry's variables say, in batches.

    Raises SystemExit when the extra is not installed.
    """
    try:
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource  # noqa: PLC0415 - optional, and not loaded when off
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - as above
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor  # noqa: PLC0415 - as above

        if exporter is None:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - as above
    except ImportError as error:
        words = f"LEEWARD_TRACING is on, but {error.name} is not installed: install leeward[tracing]"
        raise SystemExit(words) from None
    facts = {"service.namespace": "leeward", "service.name": f"leeward-{service}", "service.instance.id": instance}
    # What the operator's own OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME say comes first.
    resource = Resource.create(facts).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter) if exporter else BatchSpanProcessor(OTLPSpanExporter()))
    _state.provider, _state.tracer = provider, provider.get_tracer("leeward")


def stop() -> None:
    """Switch tracing off, having sent what is waiting, if that does not take long."""
    provider, _state.provider, _state.tracer = _state.provider, None, None
    if provider is not None:
        farewell = threading.Thread(target=provider.shutdown, daemon=True)
        farewell.start()
        farewell.join(_FAREWELL)


def is_on() -> bool:
    """Tell whether spans are made at all: who has to prepare something for one asks first."""
    return _state.tracer is not None


def root(name: str, kind: SpanKind, attributes: Attributes, parent: str | None = None) -> AbstractContextManager[Span]:
    """Make a span under that traceparent, else under the current span, else one that begins a trace."""
    if _state.tracer is None:
        return _OFF
    return _span(_state.tracer, name, kind, attributes, _W3C.extract({_HEADER: parent}, Context()) if parent else None)


def child(name: str, attributes: Attributes, kind: SpanKind = INTERNAL) -> AbstractContextManager[Span]:
    """Make a span under the current one; none where there is none, so that what nobody asked for begins no trace."""
    if _state.tracer is None or not trace.get_current_span().get_span_context().is_valid:
        return _OFF
    return _span(_state.tracer, name, kind, attributes, None)


def current() -> str | None:
    """Return the traceparent of the current span."""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier.get(_HEADER)


def identify(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Name the current trace and span in a log line (a structlog processor)."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event[TRACE], event[SPAN] = trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)
    return event


def failed(span: Span, kind: str) -> None:
    """Mark a span as failed, by what kind of failure it was."""
    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)


@contextlib.contextmanager
def _span(tracer: trace.Tracer, name: str, kind: SpanKind, attributes: Attributes, context: Context | None) -> Iterator[Span]:
    given = {key: value for key, value in attributes.items() if value is not None}
    with tracer.start_as_current_span(
        name, context=context, kind=kind, attributes=given, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield span
        except Exception as error:
            failed(span, type(error).__name__)
            raise
