"""`GET /events`: every change as it is announced, as server-sent events that can be resumed."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.responses import Response

from services.gateway.fleet import Fleet
from services.gateway.listing.filters import Nothing, Text
from services.gateway.ports import API, Given, Viewer
from services.gateway.settings import EventSettings
from services.gateway.waiting import Event, Interest, Subscription
from services.gateway.web.problems import FieldError, ProblemError
from services.gateway.web.streaming import PatientStream

router = APIRouter(prefix=f"{API}/events", tags=["events"])

KINDS = ("backup", "schedule", "restore", "cluster", "location", "snapshotlocation", "operation")
_KEEPALIVE = b": alive\n\n"
_RETRY_MILLISECONDS = 2000


class EventQuery(Nothing):
    """Filters of `GET /events`."""

    cluster: list[Text] = []
    kind: list[Text] = []


class EventStream(PatientStream):
    """The stream of events."""

    media_type = "text/event-stream"


@router.get(
    "",
    status_code=200,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "Changes, for ever."}},
    response_class=EventStream,
)
async def events(
    ports: Given, _who: Viewer, query: Annotated[EventQuery, Query()], last_event_id: Annotated[str | None, Header()] = None
) -> Response:
    """Follow changes: `event` is the kind, `data` the item as its list shows it, `id` (opaque) where to resume.

    `event: reset` means that changes were missed which are no longer kept: list again. A cluster that is Unregistered and was
    never seen is gone.
    """
    odd = sorted(set(query.kind) - set(KINDS))
    if odd:
        errors: list[FieldError] = [{"parameter": "kind", "detail": f"{kind!r} is none of {', '.join(KINDS)}"} for kind in odd]
        raise ProblemError("invalid-query", "Unknown kind of event.", errors=errors)
    interest = Interest(frozenset(query.cluster), frozenset(query.kind))
    stream = _stream(ports.fleet, interest, last_event_id, ports.settings.events)
    first = await anext(stream)  # a feed that cannot be listened to is a problem, not an empty stream

    async def whole() -> AsyncIterator[bytes]:
        try:
            yield first
            async for piece in stream:
                yield piece
        finally:
            await stream.aclose()

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return EventStream(whole(), ports.settings.events.patience, headers=headers)


async def _stream(
    fleet: Fleet, interest: Interest, last_event_id: str | None, settings: EventSettings
) -> AsyncGenerator[bytes]:
    async with fleet.feed.listening(interest, last_event_id) as subscription:
        yield opening(subscription)
        for event in subscription.backlog:
            yield encode(fleet.shown(event))
        while True:
            try:
                news = await subscription.next(settings.keepalive)
            except TimeoutError:
                yield alive(fleet.feed.resume if subscription.queue.empty() else None)
                continue
            if news is None:
                return
            yield encode(fleet.shown(news))


def alive(resume: str | None) -> bytes:
    """Return what fills a silence: where to resume from moves on, also past what a filter has kept from the client."""
    return _KEEPALIVE + (f"id: {resume}\n\n".encode() if resume is not None else b"")


def opening(subscription: Subscription) -> bytes:
    """Return what a stream begins with: how soon to come back, and where to resume if nothing at all happens until then."""
    begin = b"retry: %d\n\n" % _RETRY_MILLISECONDS
    if subscription.reset:
        data = json.dumps({"reason": "changes since then are no longer kept: list again"})
        return begin + f"event: reset\nid: {subscription.begin}\ndata: {data}\n\n".encode()
    # An id without data moves a client's Last-Event-ID and dispatches nothing; a backlog brings ids of its own.
    return begin if subscription.backlog else begin + f"id: {subscription.begin}\n\n".encode()


def encode(event: Event) -> bytes:
    """Write one event; its data has no line break, because JSON escapes them."""
    where = f"id: {event.id}\n" if event.id is not None else ""
    data = json.dumps(event.item, ensure_ascii=False, separators=(",", ":"))
    return f"event: {event.noun}\n{where}data: {data}\n\n".encode("utf-8", "replace")
