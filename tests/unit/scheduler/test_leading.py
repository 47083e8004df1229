"""The term of a scheduler ends when it is asked to, whatever swallowed the request."""

import asyncio
import contextlib

from services.scheduler import leading
from services.scheduler.leading import Lead
from services.scheduler.ports import Ports
from services.scheduler.settings import Settings
from shared.runtime.health import Dependency
from tests.support.scheduler_memory import Everything, Memory, Stage, Stream


async def test_a_cancellation_that_the_database_swallowed_is_not_slept_over(monkeypatch):
    begun = asyncio.Event()

    async def swallows(_ports, after):
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return after

    async def silence():
        await asyncio.Event().wait()
        yield ""

    monkeypatch.setattr(leading, "tidy", swallows)
    world, stage = Everything(), Stage(free=True)
    ports = Ports(Memory(world, stage), Stream(world, stage), world.clock)
    settings = Settings(tidy_interval=3600, mongo={"url": "mongodb://nowhere"}, nats={"user": "x", "password": "y"})
    term = asyncio.create_task(Lead(ports, settings, silence, Dependency("mongodb"), Dependency("nats")).work())
    await begun.wait()
    term.cancel()
    done, _ = await asyncio.wait({term}, timeout=10)
    assert done == {term}
    assert term.cancelled()
