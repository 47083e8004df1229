"""What is wrong with a cluster as a whole, in words with a cure. Pure."""

import re
from collections.abc import Collection, Sized
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from shared.contracts.events import Problem

OLDEST: Final = (1, 12)
"""The oldest Velero that Leeward is made for: it has no data mover and no resource modifiers before."""

SKEW: Final = timedelta(seconds=30)
"""By how much two clocks may differ before it is told: times of backups and of schedules are compared."""

_VERSION = re.compile(r"v?(\d+)\.(\d+)(\.|$)")
_SECOND = timedelta(seconds=1)


def missing_kinds(absent: Collection[str], watched: Sized, namespace: str) -> Problem | None:
    """Tell which of Velero's kinds, by their plural names, the cluster does not serve; all of them: it has no Velero."""
    if not absent:
        return None
    if len(absent) == len(watched):
        return Problem(
            code="VeleroMissing",
            message="The cluster does not know Velero's kinds: Velero is not installed. "
            f"Install it into the namespace {namespace}; Leeward sees it within seconds.",
        )
    names = ", ".join(f"{plural}.velero.io" for plural in sorted(absent))
    return Problem(
        code="CrdsMissing",
        message=f"The cluster does not know {names}: its CustomResourceDefinitions are not those of its Velero. "
        "Apply them anew: `velero install --crds-only --dry-run -o yaml | kubectl apply -f -`.",
    )


def too_old(version: str | None) -> Problem | None:
    """Tell that a Velero is older than what Leeward is made for; of a version in other words than `v1.18.2` nothing is said."""
    found = _VERSION.match(version or "")
    if found is None or (int(found[1]), int(found[2])) >= OLDEST:
        return None
    return Problem(
        code="VeleroTooOld",
        message=f"Velero {version} is older than {OLDEST[0]}.{OLDEST[1]}, the oldest that Leeward is made for: backups and "
        "restores may be refused, or leave out what they are asked for. Upgrade Velero.",
    )


def clock_skew(asked: datetime, answered: datetime, processed: Any) -> Problem | None:
    """Tell that the cluster's clock and ours differ.

    Velero wrote `processed` (whole seconds, cut off) between the moments that we asked and had the answer, by our clock.
    """
    try:
        theirs = datetime.fromisoformat(str(processed)).astimezone(UTC)
    except ValueError:
        return None
    ahead, behind = theirs - answered, asked - (theirs + _SECOND)
    if max(ahead, behind) <= SKEW:
        return None
    told = f"{_length(ahead)} ahead of" if ahead > behind else f"{_length(behind)} behind"
    return Problem(
        code="ClockSkew",
        message=f"The clock of Velero is {told} that of Leeward's executor: one of them is wrong, and what is due or "
        "expired is judged wrongly. See to the time service (NTP) of the cluster's nodes and of the executor's machine.",
    )


def _length(difference: timedelta) -> str:
    seconds = int(difference.total_seconds())
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"
