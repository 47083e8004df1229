"""What every message and every view has in common: strict to write, lenient to read, camelCase on the wire."""

import base64
from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel


def _utc(value: datetime) -> datetime:
    """In UTC and whole milliseconds, because that is what the database keeps: a value survives any round trip."""
    try:
        value = value.astimezone(UTC)
    except OverflowError as error:  # pydantic turns only a ValueError into a refusal
        raise ValueError("is outside of the years that a date can hold") from error
    return value.replace(microsecond=value.microsecond // 1000 * 1000)


Instant = Annotated[AwareDatetime, AfterValidator(_utc)]
"""A moment in UTC with millisecond precision; RFC 3339 on the wire."""


def _bytes(value: Any) -> Any:
    return base64.b64decode(value, validate=True) if isinstance(value, str) else value


Blob = Annotated[
    bytes,
    BeforeValidator(_bytes),
    PlainSerializer(lambda value: base64.b64encode(value).decode(), return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]
"""Bytes; base64 on the wire."""


class Wire(BaseModel):
    """A piece of a message. Writers cannot add a field that the contract does not know; readers skip what they do not know."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
    )

    @classmethod
    def read(cls, value: Any) -> Self:
        """Read a decoded value from another version of the contract, ignoring fields unknown here.

        Raises pydantic.ValidationError when what is known here is missing or malformed.
        """
        return cls.model_validate(value, extra="ignore")

    def wire(self) -> dict[str, Any]:
        """Return the value as JSON types with the names used on the wire."""
        return self.model_dump(mode="json", by_alias=True)
