"""What is wrong with a cluster and needs a person: what its executor tells, and what only shows when it is compared. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from services.status.clusters.replicas import Place
from services.status.rows import Limits, Stored, after, soonest
from shared.contracts.events import Presence, Problem

Voice = Mapping[str, Any]
"""An executor as last heard: `{instance, uid, at, sequence}`; the uid is that of the cluster that it sees."""

_VOICES_KEPT: Final = timedelta(minutes=10)
_MOST_VOICES: Final = 20
_MOST_SKEWS: Final = 2
_SKEW: Final = timedelta(seconds=30)
_CLOCK_SKEW: Final = "ClockSkew"
_MOST_SHARED: Final = 20
_INSTANT_AFTER: Final = timedelta(milliseconds=1)


def voices(known: Sequence[Voice], told: Presence, stored: Stored) -> list[Voice]:
    """Return the executors that were heard of late, each as it was heard last; those that tell no uid are none of them."""
    if told.cluster_uid is None:
        return list(known)
    voice = {"instance": told.instance, "uid": told.cluster_uid, "at": stored.at, "sequence": stored.sequence}
    heard = sorted([*known, voice], key=lambda each: (each["at"], each["sequence"]))
    newest = list({each["instance"]: each for each in heard}.values())
    since = heard[-1]["at"] - _VOICES_KEPT
    return sorted((v for v in newest if v["at"] >= since), key=lambda v: (v["at"], v["sequence"]))[-_MOST_VOICES:]


def skews(known: Sequence[Mapping[str, Any]], said_at: datetime, stored: Stored) -> list[Mapping[str, Any]]:
    """Return by how many seconds the executor's clock was ahead of the broker's in its two newest presences."""
    skew = {"at": stored.at, "sequence": stored.sequence, "seconds": round((said_at - stored.at).total_seconds(), 3)}
    told = {(each["at"], each["sequence"]): each for each in (*known, skew)}
    return [told[key] for key in sorted(told)][-_MOST_SKEWS:]


def problems(
    heard: Presence | None,
    facts: Mapping[str, Any],
    *,
    cluster: str,
    stalled: str | None,
    places: Sequence[Place],
    now: datetime,
    limits: Limits,
) -> list[Problem]:
    """Return all that is wrong. `stalled` names a backup that Velero has not begun to look at; `places` see `shared`."""
    return [
        *(heard.problems if heard else ()),
        *_silent(heard),
        *_stalled(stalled, limits),
        *_two_clusters(cluster, facts.get("voices") or (), now, limits),
        *_clock_skew(heard, facts.get("skews") or ()),
        *shared(cluster, places),
    ]


def recheck_at(known: Sequence[Voice], now: datetime, limits: Limits) -> datetime | None:
    """Return when one of two executors that see different clusters has been silent for long enough to be no more."""
    heard = _speaking(known, now, limits)
    if len({each["uid"] for each in heard}) <= 1:
        return None
    return soonest(now, *(after(each["at"], limits.offline_after + _INSTANT_AFTER) for each in heard))


def _silent(heard: Presence | None) -> list[Problem]:
    if heard is None:
        return []
    answers = (("ApiServerNotAnswering", heard.api_server.problem), ("VeleroNotAnswering", heard.velero.problem))
    return [Problem(code=code, message=problem) for code, problem in answers if problem]


def _stalled(stalled: str | None, limits: Limits) -> list[Problem]:
    seconds = int(limits.stalled_after.total_seconds())
    words = f"Velero has not looked at a backup for {seconds} s: see whether it runs, and what its log says."
    return [Problem(code="VeleroStalled", message=words, object=stalled)] if stalled else []


def _speaking(known: Sequence[Voice], now: datetime, limits: Limits) -> list[Voice]:
    return [each for each in known if now - each["at"] <= limits.offline_after]


def _two_clusters(cluster: str, known: Sequence[Voice], now: datetime, limits: Limits) -> list[Problem]:
    heard = _speaking(known, now, limits)
    if len({each["uid"] for each in heard}) <= 1:
        return []
    who = ", ".join(f"{each['instance']} (kube-system {each['uid']})" for each in sorted(heard, key=lambda v: v["instance"]))
    words = (
        f"Executors of different clusters report as {cluster}: {who}. "
        "Stop the one that is not meant, or give it a cluster id of its own: until then what is shown is a mixture of both."
    )
    return [Problem(code="TwoClusters", message=words)]


def _clock_skew(heard: Presence | None, told: Sequence[Mapping[str, Any]]) -> list[Problem]:
    """Judge by the smaller of two: what was late once was not sent late by a clock."""
    if heard is None or len(told) < _MOST_SKEWS or any(each.code == _CLOCK_SKEW for each in heard.problems):
        return []
    ahead = [float(each["seconds"]) for each in told]
    least = min(map(abs, ahead))
    if least <= _SKEW.total_seconds() or min(ahead) < 0 < max(ahead):
        return []
    way = "ahead of" if ahead[0] > 0 else "behind"
    words = f"The clock of executor {heard.instance} is {least:.0f} s {way} the broker's: have it set by NTP."
    return [Problem(code=_CLOCK_SKEW, message=words)]


def shared(cluster: str, places: Sequence[Place]) -> list[Problem]:
    """Return where a cluster writes into one place with another, or twice itself, and nobody has said that this is meant.

    `places` are locations of this and of other clusters in which backups are made.
    """
    ordered = sorted(places, key=lambda p: (p.cluster, p.name))
    pairs = [
        (here, there)
        for here in ordered
        for there in ordered
        if here.cluster == cluster
        and (there.cluster != cluster or here.name < there.name)
        and here.storage is not None
        and here.storage == there.storage
        and not (here.shared or there.shared)
    ]
    return [Problem(code="SharedBucket", message=_both(here, there), object=here.name) for here, there in pairs[:_MOST_SHARED]]


def _both(here: Place, there: Place) -> str:
    bucket, prefix = (here.storage.bucket, here.storage.prefix) if here.storage else ("", "")
    where = f"bucket {bucket}, prefix {prefix}" if prefix else f"bucket {bucket}"
    return (
        f"Storage location {here.name} of cluster {here.cluster} and {there.name} of cluster {there.cluster} both write into "
        f"{where}: two that write there destroy each other's backups. Make one of them read-only, or give it a prefix of its "
        "own; if they are different storages, change one of them with `allowSharedBucket=true`."
    )
