"""Lists: page after page, and again whenever something changes."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from leeward import words
from leeward.columns import Column, Item
from leeward.errors import UnreachableError
from leeward.finding import known_clusters
from leeward.output import Output
from leeward.session import Session

if TYPE_CHECKING:  # httpx2 takes longer to load than all the rest, and `--help` needs none of it
    from leeward.client import Client


_SETTLE = 0.3
"""Seconds in which changes are gathered before the list is read again."""
_RETRY = 2.0


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of the API: its address, how it is shown, and what its items are called."""

    path: str
    columns: Sequence[Column]
    noun: str
    advice: str = ""
    """What to do about an empty one."""
    kinds: Sequence[str] = ("backup",)
    """Which events may change it."""


async def read(client: "Client", listing: Listing, params: Mapping[str, Any], *, everything: bool) -> dict[str, Any]:
    """Return a page, or all of them as one."""
    pages = client.pages(listing.path, params)
    whole: dict[str, Any] = await anext(pages)
    if everything:
        async for page in pages:
            whole["items"] += page["items"]
            whole["unreadable"] = [*whole.get("unreadable", []), *page.get("unreadable", [])]
        whole["nextCursor"] = None
    return whole


async def show(session: Session, listing: Listing, params: Mapping[str, Any], *, everything: bool) -> None:
    """Print a list."""
    page = await read(session.client, listing, params, everything=everything)
    if not session.output.table:
        session.output.data(page)
        return
    if page["items"]:
        session.output.rows(listing.columns, page["items"])
    else:
        advice = [listing.advice] if listing.advice else await known_clusters(session.client) if params.get("cluster") else []
        session.output.say("\n  ".join([f"no {listing.noun}", *advice]))
    for line in _remarks(listing, page):
        session.output.say(line)


def _remarks(listing: Listing, page: Mapping[str, Any]) -> list[str]:
    remarks = []
    if page.get("nextCursor"):
        total = page.get("total")
        of = words.number(total) if total is not None else f"more than {words.number(page.get('totalAtLeast'))}"
        more = f"--all shows every one, --cursor {page['nextCursor']} goes on"
        remarks.append(f"{len(page['items'])} of {of} {listing.noun}: {more}")
    if page.get("unreadable"):
        remarks.append(f"the gateway cannot read {len(page['unreadable'])} more: {', '.join(page['unreadable'])}")
    return remarks


async def watch(session: Session, listing: Listing, params: Mapping[str, Any], *, everything: bool) -> None:
    """Print a list, then each item that changes, until interrupted. What belongs to the list is the gateway's to say."""
    changed = asyncio.Event()
    shown: dict[str, Any] | None = None
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_hear(session, {"cluster": params.get("cluster"), "kind": listing.kinds}, changed))
        while True:
            await changed.wait()
            changed.clear()
            try:
                page = await read(session.client, listing, params, everything=everything)
            except UnreachableError as error:
                session.output.say(f"{error.words}; trying again")
            else:
                _show_news(session.output, listing, page["items"], shown)
                shown = {item["id"]: item for item in page["items"]}
            await asyncio.sleep(_SETTLE)


async def _hear(session: Session, params: Mapping[str, Any], changed: asyncio.Event) -> None:
    """Note that something has changed, for ever; also whenever something may have been missed."""
    while True:
        changed.set()
        with contextlib.suppress(UnreachableError):
            async with session.client.events(params, None) as events:
                changed.set()
                async for event in events:
                    if event.kind:
                        changed.set()
        await asyncio.sleep(_RETRY)


def _show_news(output: Output, listing: Listing, items: Sequence[Item], shown: Mapping[str, Item] | None) -> None:
    known = shown or {}
    news = [item for item in items if known.get(item["id"]) != item]
    if not output.table:
        for item in news:
            output.data(item)
    elif news or shown is None:
        output.rows(listing.columns, items, only=news, header=shown is None)
