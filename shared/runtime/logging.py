"""Structured logs with constant field names, and no secret in them."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final

import structlog

from shared.runtime import tracing
from shared.runtime.settings import LogSettings

SERVICE: Final = "service"
INSTANCE: Final = "instance"
CLUSTER: Final = "cluster"
OPERATION: Final = "operation_id"
SUBJECT: Final = "subject"
STREAM: Final = "stream"
CONSUMER: Final = "consumer"
SEQUENCE: Final = "sequence"
DEPENDENCY: Final = "dependency"
REASON: Final = "reason"
KIND: Final = "kind"
OBJECT: Final = "object"
PRINCIPAL: Final = "principal"

_SECRET_KEY = re.compile(r"password|passwd|token|secret|authorization|credential|api_?key|cookie", re.IGNORECASE)
_URL_USER = re.compile(r"(\w+://)[^/@\s]+@")
_URL_QUERY = re.compile(r"(https?://[^\s?'\"]+)\?[^\s'\"]+")


def configure(service: str, instance: str, settings: LogSettings) -> None:
    """Set up logging for the process; standard library loggers (uvicorn, pymongo, nats) come out in the same form."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
        *([tracing.identify] if tracing.is_on() else ()),
    ]
    renderer: structlog.types.Processor = structlog.processors.JSONRenderer()
    if settings.format == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer], foreign_pre_chain=shared
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    for chatty in ("uvicorn.access", "pymongo", "aiohttp", "kubernetes", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(**{SERVICE: service, INSTANCE: instance})


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank what a field's name says is secret, the user part of every URL, and the query of every signed one."""
    for key, value in event.items():
        if _SECRET_KEY.search(key):
            event[key] = "[redacted]"
        elif isinstance(value, str):
            event[key] = _URL_QUERY.sub(r"\1?[redacted]", _URL_USER.sub(r"\1[redacted]@", value))
    return event
