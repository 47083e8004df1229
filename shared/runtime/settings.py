"""Settings that more than one service has. All come from the environment (`LEEWARD_…`), secrets also from files."""

import ipaddress
import os
from typing import Literal, TypeVar

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

S = TypeVar("S", bound=BaseSettings)


def load(settings: type[S]) -> S:
    """Read the settings of a process; what is wrong with them ends it, in one line a setting and without their values.

    Raises SystemExit.
    """
    try:
        return settings()
    except ValidationError as error:
        prefix = str(settings.model_config.get("env_prefix", ""))
        lines = [
            f"{prefix}{'__'.join(str(part) for part in problem['loc']).upper()}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise SystemExit("\n".join(["the settings are not right:", *lines])) from None
    except SettingsError as error:  # a value that should be JSON and is not
        raise SystemExit(f"the settings are not right: {error}") from None


class HttpSettings(BaseModel):
    """Where a process answers `/livez`, `/readyz`, `/metrics` (and the gateway its API). Loopback unless told otherwise."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 takes a free port; the log says which."""

    @property
    def is_loopback(self) -> bool:
        """Tell whether only this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


class LogSettings(BaseModel):
    """How a process speaks: one JSON object a line for machines, or columns for people."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["json", "console"] = "json"


class MongoSettings(BaseModel):
    """Where the projections live. The URL may hold a password and is never logged."""

    url: SecretStr = SecretStr("mongodb://127.0.0.1:27017")
    database: str = "leeward"
    timeout: float = 2.0
    """Seconds after which an unanswered call counts as "database away"."""


class ServiceSettings(BaseSettings):
    """What every service can be told.

    `LEEWARD_NATS__URL` is `nats.url`. With LEEWARD_SECRETS_DIR each file there is one setting, named like its variable.
    """

    model_config = SettingsConfigDict(
        env_prefix="LEEWARD_",
        env_nested_delimiter="__",
        secrets_dir=os.environ.get("LEEWARD_SECRETS_DIR"),
        extra="ignore",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the library's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read nested settings from secret files, too."""
        return init_settings, env_settings, dotenv_settings, NestedSecretsSettingsSource(file_secret_settings)

    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    instance: str | None = None
    """Name of this process among its replicas; host name and process id unless set."""
    grace: float = 10.0
    """Seconds that work already begun has to end after a stop is asked for."""
    tracing: bool = False
    """Make spans (docs/tracing.md); where they go is said by OpenTelemetry's own variables."""
