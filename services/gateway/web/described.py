"""What the OpenAPI document tells of an address beyond what FastAPI sees: bodies, headers, and every way to say no."""

from typing import Any

from services.gateway.web.problems import MEDIA_TYPE, PROBLEMS
from shared.contracts.views import OperationItem

Responses = dict[int | str, dict[str, Any]]

_PROBLEM = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
EVERYWHERE = ("invalid-query", "unauthenticated", "forbidden", "internal-error", "dependency-unavailable")
"""What any address of the API may answer."""

COMMAND_HEADERS = [
    {"name": name, "in": "header", "required": False, "schema": {"type": "string"}, "description": words}
    for name, words in (
        ("Idempotency-Key", "The same key, method, path and body mean the same operation, for 14 days."),
        ("Prefer", "`respond-async` answers at once; `wait=N` waits up to N (at most 60) seconds for the cluster."),
    )
]


IF_MATCH = {"name": "If-Match", "in": "header", "required": False, "schema": {"type": "string"}}


def told(*kinds: str | int) -> Responses:
    """Describe problems by their slugs; a number is a status that a refusal may have beside its kind's own."""
    found: Responses = {}
    for kind in kinds:
        status = PROBLEMS[kind].status if isinstance(kind, str) else kind
        title = PROBLEMS[kind].title if isinstance(kind, str) else PROBLEMS["refused"].title
        found[status] = either(found.get(status), {"description": title, "content": _PROBLEM})
    return found


def either(known: dict[str, Any] | None, other: dict[str, Any]) -> dict[str, Any]:
    """Describe two problems of one status."""
    return {**other, "description": f"{known['description']} / {other['description']}"} if known else other


def queued(words: str) -> Responses:
    """Describe the answer to a command whose end was not waited for, or did not come in time."""
    return {202: {"model": OperationItem, "description": words}}


def takes(
    schema: str, media_type: str = "application/json", *, parameters: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Describe a body that the handler reads itself."""
    content = {media_type: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    body = {"requestBody": {"required": True, "content": content}}
    return {**body, **({"parameters": parameters} if parameters else {})}


BODY = ("malformed-json", "body-too-large", "unsupported-media-type", "invalid-request")
"""What an address may answer that reads a body."""
