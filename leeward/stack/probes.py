"""How a process is asked whether it is ready. Each returns what is missing, None when nothing is."""

import asyncio
import contextlib
from functools import partial
from pathlib import Path

import httpx2

from leeward.stack.ports import HOST
from leeward.stack.process import Probe

_TIMEOUT = 2.0


def listening(port: int) -> Probe:
    """Ask whether connections are accepted."""
    return partial(_accepts, port)


def readiness(client: httpx2.AsyncClient, port: int) -> Probe:
    """Ask `/readyz`, which names what is missing."""
    return partial(_ready, client, port)


def written(file: Path, port: int) -> Probe:
    """Ask whether connections are accepted and a file is there that is written after that."""
    return partial(_written, file, port)


async def _written(file: Path, port: int) -> str | None:
    return await _accepts(port) if file.exists() else f"{file.name} is not written yet"  # noqa: ASYNC240 - a stat of a local file


async def _accepts(port: int) -> str | None:
    try:
        async with asyncio.timeout(_TIMEOUT):
            _, writer = await asyncio.open_connection(HOST, port)
    except (OSError, TimeoutError):
        return f"nobody listens on port {port}"
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return None


async def _ready(client: httpx2.AsyncClient, port: int) -> str | None:
    try:
        answer = await client.get(f"http://{HOST}:{port}/readyz", timeout=_TIMEOUT)
        if answer.status_code == httpx2.codes.OK:
            return None
        report = answer.json()
        return ", ".join(f"{name}: {report['dependencies'][name]}" for name in report["missing"]) or "not ready"
    except (httpx2.HTTPError, ValueError, KeyError, TypeError):
        return "does not answer yet"
