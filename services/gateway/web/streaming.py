"""Answers that come bit by bit: given up on when nobody takes them, and never ended as if they were whole."""

import asyncio
from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse
from starlette.types import Message, Send


class BrokenOffError(Exception):
    """The rest of an answer cannot be had: the connection is to be cut, so that nobody takes half for the whole."""


class PatientStream(StreamingResponse):
    """A stream that gives up on a client that leaves its socket full for longer than `patience` seconds."""

    def __init__(
        self,
        content: AsyncIterator[bytes],
        patience: float,
        *,
        status_code: int = 200,
        headers: dict[str, str] | None = None,
        media_type: str | None = None,
    ) -> None:
        super().__init__(content, status_code, headers, media_type)
        self._patience = patience

    async def stream_response(self, send: Send) -> None:
        """Send the stream."""

        async def bounded(message: Message) -> None:
            async with asyncio.timeout(self._patience):
                await send(message)

        await super().stream_response(bounded)
