"""What the scheduler can be told."""

from typing import Annotated

from pydantic import Field

from shared.messaging.connection import NatsSettings
from shared.runtime.settings import MongoSettings, ServiceSettings

Seconds = Annotated[float, Field(gt=0)]


class Settings(ServiceSettings):
    """Durations in seconds."""

    nats: NatsSettings = NatsSettings(user="scheduler")
    mongo: MongoSettings = MongoSettings()

    lease_ttl: Seconds = 15.0
    """How long a scheduler may be silent before another one takes over; as the lease bucket has it."""
    look_interval: Annotated[float, Field(gt=0, le=5)] = 1.0
    """How long it sleeps at most: a clock that was set, or a process that was stopped, is noticed after that."""
    rescan_interval: Seconds = 30.0
    """How late a change is noticed at most whose hint was lost."""
    full_rescan_interval: Seconds = 3600.0
    """How often every schedule is gone through."""
    tidy_interval: Seconds = 3600.0
    """How often quiet times are made one record each."""
    ping_interval: Seconds = 2.0
    """How often the database is asked whether it is there."""
