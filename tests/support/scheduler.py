"""The scheduler as it runs, on a clock of the test's: a real broker under its own permissions, and a real database."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from services.scheduler.__main__ import main
from services.scheduler.settings import Settings
from shared.contracts.documents import Collection
from shared.contracts.schedules import Schedule, Tick
from shared.messaging.connection import Connection
from shared.messaging.publisher import Publisher
from shared.messaging.topology import COMMANDS
from shared.runtime.process import Runtime
from shared.runtime.settings import MongoSettings
from tests.support.servers import NatsServer
from tests.support.status_service import Database, stored
from tests.support.waiting import stopped

NOON = datetime(2031, 3, 5, 12, tzinfo=UTC)


def at(text: str) -> datetime:
    """A moment of the day of `NOON`: `12:03`, `12:03:30`; or of another day: `2031-03-06 02:00`."""
    return datetime.fromisoformat(text if "-" in text else f"{NOON:%Y-%m-%d} {text}").replace(tzinfo=UTC)


@dataclass
class SetClock:
    """A clock that goes only when it is told to."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def set(self, moment: datetime | str) -> None:
        self.now = at(moment) if isinstance(moment, str) else moment

    def step(self, **duration: float) -> None:
        self.now += timedelta(**duration)


def schedule(name: str = "nightly", **fields: Any) -> Schedule:
    """A schedule of every minute, made just before noon unless told otherwise; `cron` and `timezone` are of its first era."""
    made = fields.pop("made", NOON - timedelta(seconds=30))
    era = {"from": made, "cron": fields.pop("cron", "* * * * *"), "timezone": fields.pop("timezone", "UTC")}
    usual = {
        "id": f"{name}-{secrets.token_hex(4)}",
        "name": name,
        "cluster": "eu1",
        "eras": [era],
        "template": {"scope": {"kind": "all"}},
        "createdBy": "anna",
        "createdAt": made,
        "changedAt": made,
    }
    return Schedule.read(usual | fields)


@dataclass
class World:
    """What the others write and read: schedules, their statuses, ticks, and the commands in the stream."""

    database: Database
    admin: Connection
    clock: SetClock = field(default_factory=SetClock)

    async def keep(self, *schedules: Schedule) -> None:
        """Write schedules as the gateway does."""
        for each in schedules:
            await self.database[Collection.SCHEDULES].replace_one({"_id": each.id}, each.document(), upsert=True)

    async def change(self, wanted: Schedule, **fields: Any) -> Schedule:
        """Change a schedule as the gateway does; `fields` by their wire names."""
        changed = {**wanted.wire(), **fields, "version": wanted.version + 1, "changedAt": self.clock()}
        new = Schedule.read(changed)
        await self.keep(new)
        return new

    async def judge(self, wanted: Schedule, *codes: str, permanent: bool = True) -> None:
        """Write what status has found wrong with this version of a schedule."""
        reasons = [{"code": code, "message": code, "permanent": permanent} for code in codes]
        row = {"_id": wanted.id, "item": {"version": wanted.version, "reasons": reasons}}
        await self.database[Collection.SCHEDULE_STATUS].replace_one({"_id": wanted.id}, row, upsert=True)

    async def ticks(self, of: Schedule | None = None) -> list[Tick]:
        """Every decision of a schedule, or of all, in the order of slots."""
        found = self.database[Collection.TICKS].find({"schedule": of.id} if of else {})
        return sorted([Tick.of(each) async for each in found], key=lambda tick: (tick.from_, tick.schedule))

    async def told(self, of: Schedule) -> list[str]:
        """Every decision of a schedule in words: `12:01 Triggered`, `12:02-12:04 Paused 3`."""
        return [words(tick) for tick in await self.ticks(of)]

    async def commands(self) -> list[Any]:
        """Every command in the stream."""
        return [envelope for _, envelope in await stored(self.admin, COMMANDS)]


def words(tick: Tick) -> str:
    if tick.count == 1:
        return f"{tick.from_:%H:%M} {tick.decision}"
    return f"{tick.from_:%H:%M}-{tick.to:%H:%M} {tick.decision} {tick.count}"


@dataclass
class Service:
    """A running scheduler."""

    runtime: Runtime
    task: asyncio.Task[None] = field(repr=False)

    @property
    def missing(self) -> list[str]:
        return list(self.runtime.health.report()["missing"])  # type: ignore[call-overload]


@contextlib.asynccontextmanager
async def scheduler(
    nats: NatsServer,
    mongo: MongoSettings,
    clock: Callable[[], datetime],
    *,
    publisher: Callable[[Connection], Any] = Publisher,
    instance: str = "s1",
    **tunables: Any,
) -> AsyncIterator[Service]:
    """Run a scheduler while the context lasts; it looks often, so that a clock that was set is noticed soon."""
    quick = {"lease_ttl": 1.0, "look_interval": 0.05, "rescan_interval": 0.3, "ping_interval": 0.1, "grace": 4.0}
    settings = Settings(nats=nats.settings("scheduler"), mongo=mongo, **quick | tunables)
    runtime = Runtime("scheduler", instance, clock)
    task = asyncio.create_task(main(runtime, settings, publisher=publisher))
    try:
        yield Service(runtime, task)
    finally:
        await stopped(task)
        with contextlib.suppress(asyncio.CancelledError, BaseExceptionGroup):
            await task
