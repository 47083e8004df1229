"""One listening socket inside a running event loop, stopped as a killed process stops: at once, in the middle of anything.

Only uvicorn's protocol is used. Its server would take over the signals of the process, and close connections politely.
"""

import asyncio
import socket
from functools import partial

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

_PATIENCE = 1.0
"""Seconds that a request may take to notice that its connection is broken."""


class Listener:
    """Serves an application on one port, again and again. The port is chosen at the first start, and kept."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        self.host = host
        self.port = port
        """The port; 0 until the first start if the system is to choose."""
        self._config = uvicorn.Config(app, interface="asgi3", log_config=None, access_log=False, lifespan="off", ws="none")
        self._state = ServerState()
        self._server: asyncio.Server | None = None

    @property
    def listening(self) -> bool:
        """Whether connections are accepted."""
        return self._server is not None

    async def start(self) -> None:
        """Listen, unless it does already. Raise OSError when the port is taken."""
        if self._server is not None:
            return
        bound = _bind(self.host, self.port)
        self.port = bound.getsockname()[1]
        if not self._config.loaded:
            self._config.load()
        self._state = ServerState()
        protocol = partial(H11Protocol, config=self._config, server_state=self._state, app_state={})
        self._server = await asyncio.get_running_loop().create_server(protocol, sock=bound)

    async def stop(self) -> None:
        """Close the port and break every connection."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        self.drop()
        if self._state.tasks:
            _, late = await asyncio.wait(tuple(self._state.tasks), timeout=_PATIENCE)
            for task in late:
                task.cancel()
        await server.wait_closed()

    def drop(self, client: object = None) -> None:
        """Break the connection with one client, given as (host, port), or with all of them."""
        for connection in tuple(self._state.connections):
            if client is None or getattr(connection, "client", None) == client:
                connection.transport.abort()


def _bind(host: str, port: int) -> socket.socket:
    # asyncio sends at once (TCP_NODELAY) only on sockets that name their protocol; without it each answer takes 40 ms longer.
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from error
    return bound
