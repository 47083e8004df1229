"""The random walk of tests/unit/scheduler/test_model.py, shorter, with the real memory instead of one for tests."""

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import pytest

from services.scheduler import deciding
from services.scheduler.store import opened
from shared.contracts.documents import Collection
from shared.contracts.schedules import Tick
from tests.support.scheduler_memory import Memory
from tests.support.scheduler_walk import Walk, seeded, steps
from tests.support.status_service import database_of

pytestmark = pytest.mark.thorough


class Stored:
    """The database, in step with the model's own record of everything: what people do is written before anybody looks."""

    def __init__(self, database, store):
        self.database, self.store = database, store
        self.written = {}
        self.turn = asyncio.Lock()

    async def follow(self, world):
        """Write what has changed of the schedules and of their statuses."""
        wanted = {name: (each, world.reasons.get(name, (0, ()))) for name, each in world.schedules.items()}
        for name, (schedule, (version, codes)) in wanted.items():
            if self.written.get(name) != wanted[name]:
                row = {"_id": name, "item": {"version": version, "reasons": [{"code": c, "permanent": True} for c in codes]}}
                await self.database[Collection.SCHEDULES].replace_one({"_id": name}, schedule.document(), upsert=True)
                await self.database[Collection.SCHEDULE_STATUS].replace_one({"_id": name}, row, upsert=True)
        for name in self.written.keys() - wanted.keys():
            await self.database[Collection.SCHEDULES].delete_one({"_id": name})
        self.written = wanted


@dataclass(eq=False)
class Seen(Memory):
    """What a scheduler sees of the database, with the fault points of the memory of tests."""

    stored: Stored

    @contextlib.asynccontextmanager
    async def _asking(self):
        await self._meet()
        self.stage.busy += 1
        try:
            async with self.stored.turn:
                await self.stored.follow(self.world)
                yield self.stored.store
        finally:
            self.stage.busy -= 1

    async def _pages(self, name, since):
        async with self._asking() as store:
            pages = [page async for page in getattr(store, name)(since)]
        for page in pages:
            yield page

    def sketches(self, since):
        return self._pages("sketches", since)

    def unpublished(self, since):
        return self._pages("unpublished", since)

    async def facts(self, schedules):
        async with self._asking() as store:
            for name in set(schedules) & self.world.schedules.keys():
                self.world.read(self, self.world.schedules[name])
            found = await store.facts(schedules)
        await self._meet()
        return found

    async def insert(self, ticks):
        async with self._asking() as store:
            taken = await store.insert(ticks)
            for tick in ticks:
                if tick.id not in taken:
                    self.world.inserted(self, tick)
                    self.world.ticks[tick.id] = tick
        await self._meet()
        return taken


def _asked(name):
    async def ask(self, *arguments):
        async with self._asking() as store:
            answer = await getattr(store, name)(*arguments)
        await self._meet()
        return answer

    return ask


for _name in ("newest", "mark", "advance", "resting", "chain", "extend", "drop", "forget_clocks", "forget_skips"):
    setattr(Seen, _name, _asked(_name))


@pytest.mark.timeout(300)
async def test_a_random_walk_on_the_database_ends_in_the_ticks_of_the_model(mongo_server, monkeypatch):
    monkeypatch.setattr(deciding, "_LONG", timedelta(days=10_000))
    database = database_of(mongo_server)
    async with opened(database.settings) as store:
        await store.ensure()
        walk = Walk(seeded(), partial(Seen, stored=Stored(database, store)))
        await walk.steps_on(steps(1500))
        await walk.end()
        walk.world.ticks = {each["_id"]: Tick.of(each) async for each in database[Collection.TICKS].find()}
        clocks = database[Collection.SCHEDULE_CLOCK].find()
        walk.world.clocks = {each["_id"]: each["decidedTo"] async for each in clocks}
        walk.judged()
    await database.client.close()
