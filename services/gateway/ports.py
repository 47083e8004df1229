"""What every handler needs, and how it gets it: the ports, who is asking, a checked query, a limited body."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from services.gateway.auth import ANONYMOUS, Principal, Role, Tokens
from services.gateway.bus import Bus
from services.gateway.fleet import Fleet
from services.gateway.settings import Settings
from services.gateway.sharing import Shared
from services.gateway.store import Store
from services.gateway.waiting import Feed
from services.gateway.web.problems import ProblemError
from shared.runtime.clock import Clock
from shared.runtime.health import Health

API = "/api/v1"
MAX_BODY = 512 * 1024
_PATIENCE = 8 * 1024 * 1024
"""Bytes of a body that are read and thrown away: a client that is cut off while it sends does not get to read why."""
_JSON = frozenset({"application/json"})
MERGE_PATCH = frozenset({"application/merge-patch+json", "application/json"})
_ETAG = re.compile(r'(W/)?"([^"]*)"')


@dataclass(frozen=True, slots=True)
class Ports:
    """The world of the gateway. `tokens` is None where everybody is an admin."""

    settings: Settings
    store: Store
    bus: Bus
    feed: Feed
    fleet: Fleet
    tokens: Tokens | None
    health: Health
    clock: Clock
    shared: Shared = field(default_factory=Shared)
    departures: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a schedule has begun to go: no need to wait for the next look."""


async def _ports(request: Request) -> Ports:  # async, like all dependencies here: a plain function would go to a thread
    ports: Ports = request.app.state.ports
    return ports


Given = Annotated[Ports, Depends(_ports)]

_bearer = HTTPBearer(auto_error=False, description="A token from the gateway's tokens file.")


def _role(needed: Role) -> Callable[..., Awaitable[Principal]]:
    async def who(
        request: Request, ports: Given, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
    ) -> Principal:
        principal = _principal(ports.tokens, credentials)
        request.scope["leeward.principal"] = principal.name
        if not principal.role.covers(needed):
            raise ProblemError("forbidden", f"{principal.name} is a {principal.role}; this needs the role {needed}.")
        return principal

    return who


def _principal(tokens: Tokens | None, credentials: HTTPAuthorizationCredentials | None) -> Principal:
    if tokens is None:
        return ANONYMOUS
    if credentials is None:
        raise ProblemError("unauthenticated", "The request carries no bearer token.", headers={"WWW-Authenticate": "Bearer"})
    principal = tokens.principal(credentials.credentials)
    if principal is None:
        raise ProblemError(
            "unauthenticated", "The token is not valid.", headers={"WWW-Authenticate": 'Bearer error="invalid_token"'}
        )
    return principal


Viewer = Annotated[Principal, Depends(_role(Role.VIEWER))]
Operator = Annotated[Principal, Depends(_role(Role.OPERATOR))]
Admin = Annotated[Principal, Depends(_role(Role.ADMIN))]


async def _no_query(request: Request) -> None:
    """Refuse every query parameter. Stands behind the role in a handler's signature: nobody's mistakes are not explained."""
    for name in request.query_params:
        raise ProblemError(
            "invalid-query", "This address takes no query parameters.", errors=[{"parameter": name, "detail": "is not known"}]
        )


NoQuery = Annotated[None, Depends(_no_query)]


async def body_of(request: Request, media_types: frozenset[str] = _JSON) -> bytes:
    """Return the request's body.

    Raises the problems of one that is too large or says that it is not JSON.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in media_types:
        raise ProblemError("unsupported-media-type", f"The body says that it is {media_type or 'nothing in particular'}.")
    body, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MAX_BODY:
            body += chunk
        elif size > _PATIENCE:
            break
    if size > MAX_BODY:
        raise ProblemError("body-too-large", f"The body has more than {MAX_BODY} bytes.", headers={"Connection": "close"})
    return bytes(body)


def check_if_match(request: Request, etag: str) -> None:
    """Honour `If-Match` (RFC 9110): only a strong, equal ETag, or `*`, lets the request pass.

    Raises the problem of a stale one.
    """
    wanted = request.headers.get("if-match")
    if wanted is None or wanted.strip() == "*":
        return
    if etag not in {value for weak, value in _ETAG.findall(wanted) if not weak}:
        raise ProblemError("precondition-failed", f"The version is now {etag}.", headers={"ETag": f'"{etag}"'})
