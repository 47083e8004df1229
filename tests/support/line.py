"""The way of a request as far as the object: gateway, NATS, database and executor, before a simulated cluster.

No Velero works in the cluster, so what is stored there is what Leeward has sent. All of it runs in a thread, so that a test (or
hypothesis) can ask again and again.
"""

import asyncio
import itertools
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, Self

from shared.contracts.catalogue import decode
from shared.contracts.envelope import Envelope
from shared.messaging.connection import Connection, connect
from shared.runtime.health import Health
from tests.conformance.manifests import Json
from tests.e2e.real.access import Access
from tests.e2e.real.api import KubeApi
from tests.integration.executor_harness import World, snapshot_location
from tests.support.gateway import API, Stack, stack
from tests.support.servers import MongoServer, NatsServer
from tests.support.waiting import PATIENCE, eventually, subscribed

_PROMPT = {"Prefer": "respond-async"}


@dataclass(frozen=True, slots=True)
class Reply:
    """What Leeward says to a request in the end: the stored Backup, or no, with the fields at fault."""

    backup: Json | None
    fields: frozenset[str]
    words: str
    notices: frozenset[str] = frozenset()
    """The codes of what a person should know."""


class Line:
    """Runs inside a `with` block. `api` is the API server of the cluster, which is called eu1."""

    def __init__(self, directory: Path, mongo: MongoServer, namespaces: Mapping[str, Mapping[str, str]]) -> None:
        self._mongo, self._directory, self._namespaces = mongo, directory, namespaces
        self._loop, self._running = asyncio.new_event_loop(), AsyncExitStack()
        self._thread = Thread(target=self._loop.run_forever, name="line", daemon=True)
        self._numbers = itertools.count(1)
        self._answers: dict[str, Future[Envelope[Any]]] = {}

    def __enter__(self) -> Self:
        self._nats = NatsServer(self._directory / "nats")
        self._nats.start()
        self._thread.start()
        try:
            self._do(self._open())
        except BaseException:
            self._close()
            raise
        self.api = KubeApi(Access(self.world.clusters["eu1"].url))
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        try:
            self._do(self._running.aclose())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
            self._nats.kill()

    def _do(self, work: Coroutine[Any, Any, Any], timeout: float = PATIENCE) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    async def _open(self) -> None:
        self.stack: Stack = await self._running.enter_async_context(stack(self._nats, self._mongo))
        self.world = World(self.stack.admin, self._connect, self._directory)
        cluster = await self.world.add("eu1")
        self._running.push_async_callback(cluster.stop)
        for name, labels in self._namespaces.items():
            cluster.store.create("namespaces", {"metadata": {"name": name, "labels": dict(labels)}})
        cluster.store.create("volumesnapshotlocations", snapshot_location("default"))
        await self.stack.admin.client.subscribe("lw.evt.*.operation.>", cb=self._hear)
        await subscribed(self.stack.admin)
        executor = await self._running.enter_async_context(self.world.executor("eu1"))
        await eventually("the executor is ready", lambda: executor.health.ready)

    async def _connect(self, user: str, health: Health | None = None) -> Connection:
        dependency = (health or Health()).depends_on("nats")
        return await self._running.enter_async_context(connect(self._nats.settings(user), name=user, dependency=dependency))

    async def _hear(self, message: Any) -> None:
        _, envelope = decode(message.subject, message.data)
        answer = self._answers.setdefault(str(envelope.operationid), Future())
        if envelope.type.split(".")[3] in {"accepted", "rejected"} and not answer.done():
            answer.set_result(envelope)

    def ask(self, body: Json, *, within: float = PATIENCE) -> Reply:
        """Ask for a backup of eu1, under a name of its own unless it has one, and wait for what becomes of it."""
        whole = {"name": f"line-{next(self._numbers)}", "cluster": "eu1", **body}
        response = self._do(self.stack.client.post(f"{API}/backups", json=whole, headers=_PROMPT))
        said = response.json()
        if response.status_code != 202:
            assert response.status_code in {409, 422}, f"{response.status_code}: {response.text}"
            return Reply(None, frozenset(error["pointer"] for error in said["errors"]), response.text)
        answer = self._do(self._answer(said["id"]), within)
        if answer.type.split(".")[3] == "rejected":
            no = answer.data.refusal
            return Reply(None, frozenset([no.pointer]), f"{no.code}: {no.detail}")
        stored = self.world.clusters["eu1"].store.get("backups", whole["name"], "velero")
        return Reply(stored, frozenset(), "", frozenset(notice.code for notice in answer.data.notices))

    async def _answer(self, operation: str) -> Envelope[Any]:
        answer = self._answers.setdefault(operation, Future())
        return await asyncio.wrap_future(answer)

    def names(self) -> set[str]:
        """The Backups that were made, by name."""
        return {str(item["metadata"]["name"]) for item in self.world.backups()}
