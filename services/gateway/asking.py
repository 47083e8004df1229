"""Questions to the executor of a cluster: request and reply, remembered by nobody."""

from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import uuid4

from pydantic_core import from_json

from services.gateway.ports import Ports
from shared.contracts.base import Wire
from shared.contracts.envelope import Envelope, type_name
from shared.messaging.outcomes import Unavailable

W = TypeVar("W", bound=Wire)

_AGENT = "Agent"


def is_agent(state: Mapping[str, Any] | None) -> bool:
    """Tell from what a cluster reports whether its executor runs inside of it; else it is asked at the hub."""
    return ((state or {}).get("item") or {}).get("mode") == _AGENT


async def ask(
    ports: Ports,
    principal: str,
    cluster: str,
    subject: str,
    verb: tuple[str, str],
    question: Wire,
    answer: type[W],
    timeout: float,
) -> W:
    """Ask an executor and return its answer; its time runs from when it is our turn to ask.

    Raises Unavailable: of `nats` when there is no connection to ask through, else of the executor, with words for people.
    """
    envelope = Envelope[Wire](
        id=str(uuid4()),
        source="/gateway",
        type=type_name(*verb),
        time=ports.clock(),
        cluster=cluster,
        principal=principal,
        data=question,
    )
    text = await ports.bus.ask(subject, envelope, timeout)
    try:
        return answer.read(from_json(text))
    except ValueError as error:
        raise Unavailable(f"executor of {cluster}", "has answered something that cannot be read") from error
