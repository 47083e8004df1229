"""The envelope of every message: CloudEvents 1.0 as structured JSON, with the extensions that routing and audit need."""

from typing import Generic, Literal, TypeVar

from pydantic import SerializeAsAny

from shared.contracts.base import Instant, Wire

CONTENT_TYPE = "application/cloudevents+json"
TYPE_PREFIX = "dev.leeward."
TYPE_SUFFIX = ".v1"

D_co = TypeVar("D_co", bound=Wire, covariant=True)


def type_name(noun: str, verb: str) -> str:
    """Return the CloudEvents type of a noun and a verb, version 1."""
    return f"{TYPE_PREFIX}{noun}.{verb}{TYPE_SUFFIX}"


class Envelope(Wire, Generic[D_co]):
    """One message. `id` is unique per `source` and is the broker's deduplication id, too.

    `time` is when the fact was true for its publisher; `expiresat` is the deadline of a command.
    """

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: str
    time: Instant
    datacontenttype: Literal["application/json"] = "application/json"
    cluster: str
    operationid: str | None = None
    principal: str | None = None
    expiresat: Instant | None = None
    traceparent: str | None = None
    data: SerializeAsAny[D_co]
