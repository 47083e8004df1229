"""What the status service can be told."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from services.status.rows import Limits
from shared.messaging.connection import NatsSettings
from shared.messaging.consumer import Patience
from shared.runtime.settings import MongoSettings, ServiceSettings

Seconds = Annotated[float, Field(gt=0)]


class Settings(ServiceSettings):
    """Durations in seconds."""

    nats: NatsSettings = NatsSettings(user="status")
    mongo: MongoSettings = MongoSettings()

    sweep_interval: Annotated[float, Field(gt=0, le=2)] = 1.0
    """How late time and left-behind announcements are noticed at most; never over 2 (architecture, section 4)."""
    offline_after: Seconds = 90.0
    """A cluster that has been silent for longer is Offline."""
    expire_after: Seconds = 60.0
    """How long after its deadline an unanswered operation is Expired."""
    sync_period: Seconds = 60.0
    """How often Velero brings back from the bucket what vanished from the cluster (its `--backup-sync-period`)."""
    gone_after: Seconds = 180.0
    """How long a backup that vanished is expected back at least; two sync periods if those are longer."""
    stalled_after: Seconds = 90.0
    """A backup without a phase for longer means that Velero does not work."""
    step_after: Seconds = 900.0
    """How long a step of a long operation, once begun, may take until the deadline of its command counts."""
    patience: Patience = Patience()
    """How the consumers wait and retry."""

    @property
    def limits(self) -> Limits:
        """The same, as the views need it."""
        return Limits(
            offline_after=timedelta(seconds=self.offline_after),
            expire_after=timedelta(seconds=self.expire_after),
            gone_after=timedelta(seconds=max(self.gone_after, 2 * self.sync_period)),
            stalled_after=timedelta(seconds=self.stalled_after),
            step_after=timedelta(seconds=self.step_after),
        )
