"""The span of a request: under the caller's `traceparent` if it sends one, named by the route once that is known."""

from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.web.edge import QUIET
from shared.runtime import tracing

_FAULT = 500


@dataclass(frozen=True, slots=True)
class Traced:
    """Around everything else, and only there when tracing is on."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request inside a span; what only looks whether we are well is not traced."""
        if scope["type"] != "http" or scope["path"] in QUIET:
            await self.app(scope, receive, send)
            return
        status = 0

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        facts = {"http.request.method": scope["method"], "url.path": scope["path"], "url.scheme": scope["scheme"]}
        parent = Headers(scope=scope).get("traceparent")
        with tracing.root(scope["method"], tracing.SERVER, facts, parent) as span:
            await self.app(scope, receive, note)
            span.set_attribute("http.response.status_code", status)
            if route := getattr(scope.get("route"), "path", None):
                span.update_name(f"{scope['method']} {route}")
                span.set_attribute("http.route", route)
            if status >= _FAULT:
                tracing.failed(span, str(status))
