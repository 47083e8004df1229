"""Asking for something: sent once, told of in the words of whoever typed the options, and waited for if that is wanted."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

from leeward import arguments, describing, telling, waiting
from leeward.errors import Exit, UnreachableError
from leeward.finding import known_clusters
from leeward.nouns import BACKUP, Noun
from leeward.problems import ApiError
from leeward.request import Body
from leeward.session import Session


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent where, which option has filled which place of it, and the file that the rest is from.

    `typed` is the body as it was typed, where names have become ids since. `facts` are what is known beside it, for advice.
    """

    address: str
    body: Body
    options: Mapping[str, str]
    source: str | None = None
    key: str | None = None
    typed: Body | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def repeating(self, key: str | None) -> "Request":
        """Return the same request under a key, if there is one."""
        return replace(self, key=key)

    def told(self, error: ApiError) -> ApiError:
        """Return an error in the words of whoever typed the options."""
        return error.told(self.options, self.typed or self.body, self.source, self.facts)


async def asked(
    session: Session, request: Request, patience: timedelta | None, *, wait: bool, noun: Noun = BACKUP
) -> Exit | None:
    """Send a request that becomes a backup or a restore, and say what has become of it, or wait until it has ended."""
    answer = await sent(session, request)
    seen = waiting.Seen(answer["id"], noun=noun, **{"operation" if "state" in answer else "item": answer})
    told: set[str] = set()
    _note(session, answer, request.options, told)
    try:
        if not wait:
            return describing.asked(session.output, seen)
        seen = await waiting.until_ended(session.client, session.output, seen, answer["cluster"], patience)
        _note(session, seen.item or seen.operation or {}, request.options, told)
        return describing.ended(session.output, seen)
    except ApiError as error:  # the cluster's no, that came later
        raise request.told(error) from error


async def sent(session: Session, request: Request, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Send a request; what is wrong with it is told by the options that it was made of."""
    key = request.key or str(uuid4())
    try:
        answer: dict[str, Any] = await session.client.post(request.address, request.body, key=key, params=params)
    except ApiError as error:
        words = await told(session, error, request)
        words.hints += _unknown(error.sent, key)
        raise words from error
    except UnreachableError as error:
        error.hints += _unknown(error.sent, key)
        raise
    except asyncio.CancelledError:
        session.output.say(f"interrupted: it may have been asked for; --idempotency-key {key} repeats just this request")
        raise
    return answer


async def told(session: Session, error: ApiError, request: Request) -> ApiError:
    """Return an error in the words of whoever typed the options, with the clusters that there are if another one was named."""
    words = request.told(error)
    if error.code == "ClusterUnknown" or any(e.get("pointer") == "/cluster" for e in error.errors):
        words.hints += await known_clusters(session.client)
    return words


def _unknown(sent: bool, key: str) -> list[str]:
    """Say how to find out, if it is not known whether a request was taken."""
    return (
        [f"it may have been taken: --idempotency-key {key} repeats just this request, and nothing is done twice"]
        if sent
        else []
    )


def _note(session: Session, answer: Mapping[str, Any], options: Mapping[str, str], told: set[str]) -> None:
    """Say what a person should know of a request that was accepted, each thing once."""
    lines = [*(f"note: {line}" for line in telling.notices(answer, options)), *telling.findings(answer)]
    for line in lines:
        if line not in told:
            session.output.say(line)
        told.add(line)


async def waited(session: Session, noun: Noun, name_or_id: str, cluster: str | None, timeout: str | None) -> Exit:
    """Wait until something has ended that was asked for before."""
    patience = arguments.duration(timeout)
    begin = await waiting.begin(session.client, name_or_id, cluster, noun)
    where = (begin.item or begin.operation or {})["cluster"]
    seen = begin if begin.ended else await waiting.until_ended(session.client, session.output, begin, where, patience)
    return describing.ended(session.output, seen)
