"""What people see of a cluster: what its executor reports, and how long it has been silent. Pure.

Of presences, and of inventories, the newest counts; the last sign of life only ever moves forward. Only the broker's clock
decides which is newest, and how long a cluster is silent: that of an executor may be wrong.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from services.status.clusters import problems
from services.status.clusters.replicas import Place
from services.status.operations.answers import Learn
from services.status.rows import Facts, Limits, Row, Stored, after, soonest
from shared.contracts.documents import from_document, to_document
from shared.contracts.envelope import Envelope
from shared.contracts.events import Answer, Inventory, Presence
from shared.contracts.phases import ClusterStatus
from shared.contracts.views import ClusterItem, VeleroView

NAMES: Final = (
    "seenAt",
    *("presence", "presenceAt", "presenceSequence", "voices", "skews"),
    *("inventory", "inventoryAt", "inventorySequence", "namespaces", "kinds", "namespacesDigest"),
    "locationsListed",
)
"""The keys of a cluster's row that hold its facts."""

SILENCE: Final = "silence"
"""The key, in the row of a cluster, of what there is to say of a Velero that does not answer; in that of a backup without a
phase, of what it was when the row was computed."""

_ON_THE_WAY: Final = timedelta(seconds=1)
_INSTANT_AFTER: Final = timedelta(milliseconds=1)
_MODES: Final[dict[str, Literal["Hub", "Agent"]]] = {"Hub": "Hub", "Agent": "Agent"}


def present(heard: Envelope[Presence], stored: Stored) -> Learn:
    """Learn that the executor lives, and when the API server and Velero last answered it."""
    said = heard.data
    api_server, velero = (_corrected(answer, heard.time, stored.at) for answer in (said.api_server, said.velero))
    told = said.model_copy(update={"api_server": api_server, "velero": velero})

    def learn(facts: Facts) -> Facts:
        facts = {
            **_seen(facts, api_server.answered_at),
            "voices": problems.voices(facts.get("voices") or (), said, stored),
            "skews": problems.skews(facts.get("skews") or (), heard.time, stored),
        }
        if not _newer(facts, "presence", stored):
            return facts
        return {**facts, "presenceAt": stored.at, "presenceSequence": stored.sequence, "presence": to_document(told)}

    return learn


def inventoried(heard: Envelope[Inventory], stored: Stored) -> Learn:
    """Learn what the cluster is and holds; that it could be asked is a sign of life, too."""

    def learn(facts: Facts) -> Facts:
        facts = _seen(facts, stored.at)
        if not _newer(facts, "inventory", stored):
            return facts
        held = to_document(heard.data)
        lists = {name: held.pop(name) for name in ("namespaces", "kinds")}
        lists["namespacesDigest"] = _digest(heard.data)
        return {**facts, "inventoryAt": stored.at, "inventorySequence": stored.sequence, "inventory": held, **lists}

    return learn


def _digest(told: Inventory) -> str:
    """Return what stands for the namespaces of a cluster: another one when a scope may mean something else in it."""
    spaces = sorted((space.name, sorted(space.labels.items())) for space in told.namespaces)
    return hashlib.sha256(repr((told.truncated, spaces)).encode()).hexdigest()[:16]


def located(stored: Stored) -> Learn:
    """Learn that the cluster has told all of its storage locations once: from now on, what is not known is not there."""
    return lambda facts: {**_seen(facts, stored.at), "locationsListed": True}


def _corrected(answer: Answer, said_at: datetime, stored_at: datetime) -> Answer:
    """Return the answer by the broker's clock: what the executor's is ahead or behind shows in when it spoke.

    A difference that may as well be the message's way is none: with each presence that repeats one answer it is another.
    """
    apart = stored_at - said_at
    moment = after(answer.answered_at, apart if abs(apart) > _ON_THE_WAY else timedelta(0))
    return answer.model_copy(update={"answered_at": min(moment, stored_at) if moment else None})


def _seen(facts: Facts, moment: datetime | None) -> Facts:
    known = facts.get("seenAt")
    return {**facts, "seenAt": moment} if moment and (known is None or known < moment) else facts


def _newer(facts: Facts, name: str, stored: Stored) -> bool:
    at = facts.get(f"{name}At")
    return at is None or (at, facts[f"{name}Sequence"]) < (stored.at, stored.sequence)


def cluster(
    name: str,
    facts: Facts,
    before: str | None,
    *,
    stalled: str | None,
    trusted_from: datetime,
    now: datetime,
    limits: Limits,
    places: Sequence[Place] = (),
) -> Row | None:
    """Return what people see of a cluster; None when it never reported.

    `before` is its status until now: until `trusted_from` we have not listened for long enough to call anybody silent.
    `stalled` names a backup that Velero has not begun to look at; `places` are the locations in which it makes backups, and
    those of others that write into the same.
    """
    if not any(facts.get(key) for key in ("presence", "inventory", "locationsListed")):
        return None
    heard = Presence.read(from_document(facts["presence"])) if facts.get("presence") else None
    held = from_document(facts.get("inventory")) or {}
    velero: dict[str, Any] = held.get("velero") or {}
    item = ClusterItem(
        id=name,
        status=_status(facts.get("seenAt"), before, trusted_from, now, limits),
        last_seen_at=facts.get("seenAt"),
        mode=_MODES.get(heard.mode) if heard else None,
        kubernetes_version=held.get("kubernetesVersion"),
        velero=VeleroView(
            version=velero.get("version"),
            namespace=velero.get("namespace"),
            plugins=velero.get("plugins") or [],
            node_agent=velero.get("nodeAgent"),
            last_answered_at=heard.velero.answered_at if heard else None,
        ),
        as_of=facts.get("presenceAt"),
        problems=problems.problems(heard, facts, cluster=name, stalled=stalled, places=places, now=now, limits=limits),
    )
    silent = after(facts.get("seenAt"), limits.offline_after + _INSTANT_AFTER)
    online = item.status is ClusterStatus.ONLINE
    return Row(
        cluster=name,
        item=item,
        recheck_at=soonest(
            now,
            max(silent, trusted_from) if online and silent else None,
            problems.recheck_at(facts.get("voices") or (), now, limits),
        ),
        as_of=facts.get("presenceAt"),
        more={key: facts.get(key) for key in NAMES} | {SILENCE: _silence(heard)},
    )


def _silence(heard: Presence | None) -> str | None:
    """Say since when Velero has not answered; None while it does, or nobody has asked it."""
    if heard is None or not heard.velero.problem:
        return None
    since = heard.velero.answered_at
    return f"Velero has not answered since {since:%Y-%m-%d %H:%M:%S} UTC" if since else "Velero has not answered yet"


def _status(
    seen_at: datetime | None, before: str | None, trusted_from: datetime, now: datetime, limits: Limits
) -> ClusterStatus:
    if seen_at is not None and now - seen_at <= limits.offline_after:
        return ClusterStatus.ONLINE
    if now < trusted_from and before == ClusterStatus.ONLINE:
        return ClusterStatus.ONLINE
    return ClusterStatus.OFFLINE
