"""A lease: at most one holder works at a time, and another takes over when it falls silent.

It saves work; correctness never rests on it (two holders for a moment meet in names and sequence numbers).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import nats.errors
import nats.js.errors
import structlog
from nats.js.kv import KeyValue

from shared.messaging.connection import Connection
from shared.messaging.topology import LEASES
from shared.runtime.health import Dependency
from shared.runtime.pacing import jittered
from shared.runtime.stopping import unless_cancelled

log = structlog.get_logger(__name__)

_TROUBLE = (nats.errors.Error, nats.js.errors.Error, ConnectionError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Lease:
    """One key of the lease bucket, held by `holder` while it renews it. `ttl` in seconds, as the bucket has it.

    `dependency`, if given, is told whether the bucket answers who waits for the lease.
    """

    connection: Connection
    key: str
    holder: str
    ttl: float = 15.0
    dependency: Dependency | None = None

    async def work(self, body: Callable[[], Awaitable[None]]) -> None:
        """Run `body` whenever the lease is held and cancel it when it is lost; for ever, until cancelled.

        A failure of `body` ends this call with it, and frees the lease.
        """
        while True:
            held = _Held(await self._acquire())
            log.info("lease held", lease=self.key)
            task = asyncio.ensure_future(body())
            try:
                await self._renew(task, held)
            finally:
                task.cancel()
                await asyncio.wait({task})
                await self._release(held)
            if not task.cancelled() and (failure := task.exception()) is not None:
                raise failure
            log.warning("lease lost", lease=self.key)

    async def _bucket(self) -> KeyValue:
        return await self.connection.bucket(LEASES)

    async def _acquire(self) -> int:
        while True:
            unless_cancelled()
            try:
                revision = await (await self._bucket()).create(self.key, self.holder.encode())
            except nats.js.errors.KeyWrongLastSequenceError:
                self._answered()  # somebody holds it
            except _TROUBLE as error:
                log.debug("lease not answered", lease=self.key, reason=str(error))
                if self.dependency:
                    self.dependency.missing(f"lease: {str(error) or type(error).__name__}", voice=self.key)
            else:
                self._answered()
                return revision
            await asyncio.sleep(jittered(self.ttl / 5))

    def _answered(self) -> None:
        if self.dependency:
            self.dependency.answers()

    async def _renew(self, task: "asyncio.Future[None]", held: "_Held") -> None:
        """Renew until the body ends or the lease is lost: taken by another, or not renewed for its whole time."""
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while True:
            done, _ = await asyncio.wait({task}, timeout=self.ttl / 3)
            unless_cancelled()
            if done:
                return
            try:
                bucket = await self._bucket()
                try:
                    held.revision = await bucket.update(self.key, self.holder.encode(), last=held.revision)
                except nats.js.errors.KeyWrongLastSequenceError:
                    entry = await bucket.get(self.key)
                    if entry.value != self.holder.encode():
                        return
                    held.revision = entry.revision or 0  # our own renewal, whose answer was lost
                renewed = loop.time()
            except nats.js.errors.KeyNotFoundError:
                return
            except _TROUBLE:
                if loop.time() - renewed > self.ttl:
                    return

    async def _release(self, held: "_Held") -> None:
        with contextlib.suppress(*_TROUBLE):  # it runs out by itself
            await asyncio.wait_for((await self._bucket()).delete(self.key, last=held.revision), 1)


@dataclass(slots=True)
class _Held:
    """The lease while we have it: the revision that only we have written."""

    revision: int
