"""What a span costs, switched off and on, beside encoding and decoding a message: `python -m benchmarks.tracing`."""

import timeit
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from shared.contracts.catalogue import decode, encode
from shared.contracts.commands import BackupCreate
from shared.contracts.envelope import Envelope, type_name
from shared.contracts.scopes import AllNamespaces
from shared.messaging.traces import handling, sending
from shared.runtime import tracing

SUBJECT = "lw.cmd.eu1.backup.create.op-1"
MESSAGE = Envelope[BackupCreate](
    id="op-1",
    source="/gateway",
    type=type_name("backup", "create"),
    time=datetime(2026, 1, 1, tzinfo=UTC),
    cluster="eu1",
    operationid="op-1",
    data=BackupCreate(name="shop", scope=AllNamespaces(kind="all")),
)


class Nowhere(SpanExporter):
    """Takes spans and drops them."""

    def export(self, _spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Drop them."""
        return SpanExportResult.SUCCESS


def _send() -> None:
    with sending(SUBJECT, MESSAGE):
        pass


def _handle() -> None:
    with handling("LW_COMMANDS", "executor-eu1", SUBJECT, 1, MESSAGE):
        pass


def _child() -> None:
    with tracing.child("fold backup", {"leeward.row": "op-1"}):
        pass


def _measure(name: str, work: Callable[[], object], times: int) -> None:
    best = min(timeit.repeat(work, number=times, repeat=5)) / times
    print(f"{name:30} {best * 1e6:8.2f} µs")


def main() -> None:
    """Measure, off first."""
    payload = encode(MESSAGE)
    _measure("encode a message", lambda: encode(MESSAGE), 20_000)
    _measure("decode a message", lambda: decode(SUBJECT, payload), 20_000)
    for state, times in (("off", 200_000), ("on", 5_000)):
        if state == "on":
            tracing.start("benchmark", "one", Nowhere())
        with tracing.root("benchmark", tracing.INTERNAL, {}):
            for name, work in (("span of sending", _send), ("span of handling", _handle), ("span inside", _child)):
                _measure(f"{name}, {state}", work, times)
    tracing.stop()


if __name__ == "__main__":
    main()
