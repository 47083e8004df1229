"""What happens to every request whatever it asks for: host check, headers, one log line, one count, no stack trace."""

import re
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import structlog
from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.web.problems import ProblemError
from services.gateway.web.streaming import BrokenOffError
from shared.runtime import logging
from shared.runtime.settings import HttpSettings

log = structlog.get_logger(__name__)

_REQUESTS = Counter(
    "leeward_http_requests_total", "Requests by what was asked for and how it ended", ["method", "route", "status"]
)
_SECONDS = Histogram("leeward_http_request_seconds", "Time until a request was answered in full", ["method", "route"])

_METHODS = frozenset({"GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS"})
QUIET = frozenset({"/livez", "/readyz", "/metrics"})
_HOST = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^:\[\]]+)(:\d+)?")
_API = "/api/"
_GONE = 499
"""What is counted for a client that went away before it could be answered."""


@dataclass(frozen=True, slots=True)
class Edge:
    """The outermost layer. `local_only`: answer only requests for this machine, because there are no tokens."""

    app: ASGIApp
    local_only: bool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, answer = time.perf_counter(), _Answer(send, scope["path"].startswith(_API))
        try:
            stranger = _stranger(Headers(scope=scope)) if self.local_only else None
            if stranger is not None:
                refusal = ProblemError("host-refused", f"{stranger} is not this machine.")
                await refusal.response()(scope, receive, answer.send)
            else:
                await self.app(scope, receive, answer.send)
        except ClientDisconnect:
            answer.status = _GONE  # nobody is there to be told
        except BrokenOffError as broken:
            log.warning("answer broken off", path=scope["path"], **{logging.REASON: str(broken)})
            # Not ended, so that the server cuts the connection.
        except Exception as error:
            if isinstance(error, TimeoutError) and answer.open:
                log.info("client left its socket full, closed", path=scope["path"])
            else:
                log.exception("request failed", path=scope["path"])
            if answer.open:
                raise  # the server closes what was left half said
            if not answer.status:
                await internal_error().response()(scope, receive, answer.send)
        finally:
            _note(scope, answer.status, time.perf_counter() - begun)


@dataclass(slots=True)
class _Answer:
    """The answer on its way out: remembers the status, adds the headers that every answer has."""

    _send: Send
    api: bool
    status: int = 0
    open: bool = False
    """The answer has begun and not ended."""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.open, self.status = True, message["status"]
            headers = MutableHeaders(scope=message)
            headers.setdefault("X-Content-Type-Options", "nosniff")
            if self.api:
                headers.setdefault("Cache-Control", "no-store")
        await self._send(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.open = False


def internal_error() -> ProblemError:
    """Return the problem of a fault of ours: nothing of what it was."""
    return ProblemError("internal-error", "The request could not be answered. What was asked for may have been done.")


def _stranger(headers: Headers) -> str | None:
    """Return the host or origin that is not this machine, if there is one.

    A page on the web can make a browser send requests to a loopback address under its own name (DNS rebinding).
    """
    host = headers.get("host", "")
    if not is_loopback_host(host):
        return f"host {host!r}"
    origin = headers.get("origin")
    if origin is not None and not is_loopback_host(urlsplit(origin).netloc if "://" in origin else origin):
        return f"origin {origin!r}"
    return None


def is_loopback_host(host: str) -> bool:
    """Tell whether a Host header names this machine."""
    match = _HOST.fullmatch(host)
    return match is not None and HttpSettings(host=match["host"].strip("[]").lower()).is_loopback


def _note(scope: Scope, status: int, seconds: float) -> None:
    method = scope["method"] if scope["method"] in _METHODS else "other"
    # The addresses that every process has are plain routes, of which the scope says nothing.
    plain: str = scope["path"] if scope["path"] in QUIET else "none"
    route: str = getattr(scope.get("route"), "path", plain)
    _REQUESTS.labels(method, route, status).inc()
    _SECONDS.labels(method, route).observe(seconds)
    facts: dict[str, Any] = {
        "method": method,
        "path": scope["path"],
        "route": route,
        "status": status,
        "ms": round(seconds * 1000, 1),
    }
    if "leeward.principal" in scope:
        facts[logging.PRINCIPAL] = scope["leeward.principal"]
    (log.debug if route in QUIET else log.info)("request", **facts)
