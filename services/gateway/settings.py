"""What the gateway can be told. `LEEWARD_HTTP__PORT` is `http.port`, `LEEWARD_TOKENS_FILE` is `tokens_file`."""

from pathlib import Path

from pydantic import BaseModel

from shared.messaging.connection import NatsSettings
from shared.messaging.topology import Timing
from shared.runtime.settings import HttpSettings, MongoSettings, ServiceSettings


class GatewayHttp(HttpSettings):
    """Where the API is served; people type this port, so it is a fixed one."""

    port: int = 8080


class EventSettings(BaseModel):
    """How the event stream treats its clients."""

    history: int = 5000
    """Stored changes kept in memory, from which a client may resume."""
    buffer: int = 1000
    """Events that may wait for one client before it counts as too slow and is closed."""
    keepalive: float = 15.0
    """Seconds of silence after which a comment is sent, so that proxies do not cut the stream."""
    patience: float = 30.0
    """Seconds for which a client may leave its socket full."""


class ReadSettings(BaseModel):
    """How logs, results and tarballs are read through the executors."""

    timeout: float = 40.0
    """Seconds for one piece; the first one takes Velero, too."""
    tries: int = 3
    """How often a piece is asked for, once the answer has begun, before it is broken off."""
    pause: float = 1.0
    """Seconds between two of these."""
    patience: float = 120.0
    """Seconds for which a client may leave its socket full."""


class PreflightSettings(BaseModel):
    """How long the clusters are asked what a restore would meet, in seconds: by itself, and before one is made."""

    alone: float = 30.0
    before: float = 5.0


class Settings(ServiceSettings):
    """Everything that the gateway can be told."""

    http: GatewayHttp = GatewayHttp()
    nats: NatsSettings = NatsSettings(user="gateway")
    mongo: MongoSettings = MongoSettings()
    timing: Timing = Timing()
    """As given to the topology command: a cluster registered here must get the same consumer."""
    tokens_file: Path | None = None
    """JSON list of `{name, role, hash}`. Without one everybody is an admin, and only this machine may connect."""
    wait: float = 5.0
    """Seconds that a write waits for the cluster's answer unless the request prefers otherwise."""
    ping: float = 2.0
    """Seconds between two looks whether the database answers."""
    departures: float = 2.0
    """Seconds between two looks at the schedules that are being deleted."""
    events: EventSettings = EventSettings()
    reads: ReadSettings = ReadSettings()
    preflight: PreflightSettings = PreflightSettings()

    @property
    def refusal_to_bind(self) -> str | None:
        """Say why these settings must not be served, if so: an API without tokens is for this machine only."""
        if self.tokens_file is not None or self.http.is_loopback:
            return None
        return (
            f"refusing to listen on {self.http.host} without tokens: set LEEWARD_TOKENS_FILE to a tokens file "
            "(`python -m services.gateway token NAME --role admin --file tokens.json` makes one), "
            "or leave LEEWARD_HTTP__HOST at a loopback address"
        )
