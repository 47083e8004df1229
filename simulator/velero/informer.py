"""Informers: what Velero knows of one kind, and how one object that Go cannot read keeps it from knowing more."""

import asyncio
from collections.abc import Awaitable, Callable

from simulator.documents import Document
from simulator.errors import ApiError
from simulator.velero.client import Client
from simulator.velero.controller import Change
from simulator.velero.durations import unreadable


class Undecodable(Exception):  # noqa: N818 (named for the object)
    """An object that Go cannot read is among those of the kind; the text is the decoder's."""


class Informer:
    """Tells changes of one kind, as a list and a watch from then on. It lists again whenever the watch breaks.

    While an object of the kind cannot be read nothing of the whole kind is heard, as in Go, where neither a watch nor a list
    gets past it.
    """

    RETRY = 0.5
    DECODE_RETRY = 15.0
    """How long it waits, in Velero's seconds, before it lists again; the longer one is where Go's back-off arrives."""

    def __init__(
        self, client: Client, kind: str, hear: Callable[[Change], None], pause: Callable[[float], Awaitable[None]]
    ) -> None:
        self.kind = kind
        self.problem = ""
        """Why it hears nothing now; empty while all is well."""
        self.synced = asyncio.Event()
        """Set when it has listed its kind once."""
        self._client = client
        self._hear = hear
        self._pause = pause
        self._known: dict[str, Document] = {}

    @property
    def known(self) -> list[Document]:
        """The objects of the kind as it has heard of them, which nobody may change."""
        return list(self._known.values())

    async def run(self) -> None:
        """List and watch for ever."""
        while True:
            try:
                await self._follow()
            except (ApiError, Undecodable) as error:
                self.problem = str(error)
                await self._pause(self.DECODE_RETRY if isinstance(error, Undecodable) else self.RETRY)

    async def _follow(self) -> None:
        watch = self._client.watch(self.kind)
        try:
            listed = {event.object["metadata"]["name"]: event.object for event in watch.take()}
            self._decode(*listed.values())
            self.problem = ""
            for name in self._known.keys() - listed.keys():
                self._learn(name, None)
            for name, document in listed.items():
                if self._known.get(name) != document:
                    self._learn(name, document)
            self.synced.set()
            async for event in watch:
                gone = event.type == "DELETED"
                if not gone:
                    self._decode(event.object)
                self._learn(event.object["metadata"]["name"], None if gone else event.object)
        finally:
            watch.close()

    def _decode(self, *documents: Document) -> None:
        for document in documents:
            if problem := unreadable(self.kind, document):
                raise Undecodable(problem)

    def _learn(self, name: str, document: Document | None) -> None:
        before = self._known.pop(name, None)
        if document is not None:
            self._known[name] = document
        self._hear(Change(self.kind, name, before, document))
