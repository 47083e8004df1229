"""The HTTP side of a process: `/livez`, `/readyz`, `/metrics`, and whatever app a service brings."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import structlog
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from shared.runtime.health import Health
from shared.runtime.settings import HttpSettings

log = structlog.get_logger(__name__)


def health_routes(health: Health) -> list[Route]:
    """Return the three routes that every process answers; they need no token, and hold nothing secret."""

    async def livez(_request: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(_request: Request) -> Response:
        return JSONResponse(health.report(), status_code=200 if health.ready else 503)

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)]


def health_app(health: Health) -> Starlette:
    """Return an app with nothing but the three routes."""
    return Starlette(routes=health_routes(health))


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: when to stop is the process's decision, not the server's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(
    app: ASGIApp, settings: HttpSettings, *, grace: float = 5.0, patience: float | None = None
) -> AsyncIterator[int]:
    """Serve the app while the context lasts; yields the port.

    `patience`: seconds after which the kernel cuts a client that takes nothing of what was sent. An app can only end its
    answer: what is left of it would lie in the socket for as long as the client keeps that open.
    Raises OSError when the address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # asyncio sends at once (TCP_NODELAY) only on sockets that name their protocol: without it, a push waits 40 ms for an ack.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if patience is not None and (option := getattr(socket, "TCP_USER_TIMEOUT", None)) is not None:  # Linux has it
        listener.setsockopt(socket.IPPROTO_TCP, option, int(patience * 1000))  # connections inherit it
    try:
        listener.bind((settings.host, settings.port))
        listener.listen()  # who is told the port may connect at once, also before the server has begun
    except OSError:
        listener.close()
        raise
    port = int(listener.getsockname()[1])
    server = _Server(
        uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=int(grace) or 1, lifespan="off")
    )
    task = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    log.info("listening", host=settings.host, port=port)
    try:
        yield port
    finally:
        server.should_exit = True
        await task
        listener.close()
