"""What only the clusters themselves can say before a restore: what is in the backup, and what of it is there already.

Asked of both executors within seconds. What was not answered is a doubt, never a failure.
"""

import asyncio
from dataclasses import replace
from typing import TypeVar

from services.gateway import asking
from services.gateway.ports import Ports
from services.gateway.restores import preflight
from services.gateway.restores.preflight import Known
from services.gateway.restores.sourcing import Sourced
from shared.contracts import subjects
from shared.contracts.base import Wire
from shared.contracts.surveys import BackupSurvey, BackupSurveyed, RestoreSeen
from shared.messaging.outcomes import Unavailable

W = TypeVar("W", bound=Wire)

_FIRST = 0.75
"""Of the time for two clusters the part of the one that is asked first."""
_ON_THE_WAY = 0.5
"""Seconds that a question and its answer may take, beside what the executor needs."""


async def looked(ports: Ports, who: str, source: Sourced, seconds: float) -> Known:
    """Return what is known of a restore, with what the clusters have said within that time.

    The rules see a backup that cannot be restored without any of this: nobody is asked then.
    """
    known = source.known
    if preflight.unfit(known.backup, known.now):
        return known
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    surveyed, doubts = await _survey(ports, who, source, seconds / 2)
    told = replace(known, surveyed=surveyed, doubts=(*known.doubts, *doubts))
    modifier = known.spec.resource_modifier.name if known.spec.resource_modifier else None
    if surveyed is None and modifier is None:
        return told
    question, left = preflight.question(told, modifier=modifier)
    rest = end - clock()
    look = question.model_copy(update={"within": _within(rest)})
    seen, doubt = await _ask(ports, who, known.target, ("restore", "look"), look, RestoreSeen, rest)
    return replace(told, seen=seen, doubts=(*told.doubts, *([left] if left else []), *doubt))


async def _survey(ports: Ports, who: str, source: Sourced, seconds: float) -> tuple[BackupSurveyed | None, list[str]]:
    """Return what is in the backup, or why nobody has said it.

    Its own cluster is asked. That one may be what is lost: then the target reads its copy, if it has one, and is asked first.
    What a copy says counts only if it names objects: everything else is better known where the backup was made.
    """
    own = (source.known.backup.cluster, source.ids)
    whom = [own]
    if source.copy_ids:
        whom.insert(1 if source.answers else 0, (source.known.target, source.copy_ids))
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    said: dict[str, tuple[BackupSurveyed | None, list[str]]] = {}
    for cluster, ids in whom:
        rest = end - clock()
        if len(said) < len(whom) - 1:
            rest *= _FIRST
        survey = BackupSurvey(name=source.known.backup.name, ids=ids, within=_within(rest))
        surveyed, doubts = said[cluster] = await _ask(ports, who, cluster, ("backup", "survey"), survey, BackupSurveyed, rest)
        if surveyed is not None and surveyed.held is not None:
            return surveyed, doubts
    return said[own[0]]


def _within(seconds: float) -> float:
    """Return how long an executor may look, so that its answer still comes in time."""
    return max(seconds - _ON_THE_WAY, seconds / 2)


_SUBJECTS = {("backup", "survey"): subjects.survey, ("restore", "look"): subjects.look}


async def _ask(
    ports: Ports, who: str, cluster: str, verb: tuple[str, str], question: Wire, answer: type[W], seconds: float
) -> tuple[W | None, list[str]]:
    """Return the answer of a cluster, or a sentence why there is none."""
    try:
        agent = asking.is_agent(await ports.store.cluster_state(cluster))
        subject = _SUBJECTS[verb](cluster, agent=agent)
        async with asyncio.timeout(max(seconds, 0)):  # also while others have their turn
            return await asking.ask(ports, who, cluster, subject, verb, question, answer, max(seconds, 0.1)), []
    except TimeoutError:
        return None, [f"the executor of cluster {cluster} did not answer in time."]
    except Unavailable as away:
        return None, [f"the {away.dependency} {away.reason}."]
