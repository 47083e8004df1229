"""A client that takes nothing of what it asked for: its answer is ended, and its connection is cut, too."""

import asyncio
import socket
from pathlib import Path

import pytest

from services.gateway.web.streaming import PatientStream
from shared.runtime.http import serving
from shared.runtime.settings import HttpSettings
from tests.support.waiting import eventually

PATIENCE = 3.0
ESTABLISHED = "01"


async def endless():
    while True:
        yield b"x" * 512 * 1024


async def app(scope, receive, send):
    await PatientStream(endless(), PATIENCE)(scope, receive, send)


def connections(port):
    """Return how many connections a server still has, by what the kernel says."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == ESTABLISHED for row in rows)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux cuts connections by itself")
async def test_the_connection_of_a_client_that_takes_nothing_is_cut():
    async with serving(app, HttpSettings(), grace=1, patience=PATIENCE) as port:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: leeward\r\n\r\n")
            await asyncio.to_thread(client.recv, 1024)
            assert connections(port) == 1
            await eventually("connection cut", lambda: connections(port) == 0)
