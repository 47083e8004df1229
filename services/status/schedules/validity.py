"""Why a schedule cannot run as it stands, by all that is known of its cluster. Pure.

What a cluster has not told is held against nobody. What it told before it fell silent still counts where somebody has to
change something; of what passes by itself, nothing is known then but the silence.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from services.status.schedules.grounds import Ground, chosen
from services.status.values import cut
from shared.contracts.phases import LocationStatus
from shared.contracts.reasons import ReasonCode, ScheduleReason, reason
from shared.contracts.refusals import Code, refusal
from shared.contracts.schedules import Schedule
from shared.contracts.scopes import BY_ENVIRONMENT, AllNamespaces, Scope, resolve
from shared.contracts.selectors import Environments, environments_of
from shared.cron.expression import CronInvalidError
from shared.cron.timetable import timetable
from shared.cron.zones import ZoneInvalidError

Namespaces = Mapping[str, Mapping[str, str]]
"""The namespaces of a cluster, by name, with their labels."""

_LONGEST_MESSAGE: Final = 1024
"""Of each schedule in a cluster they lie in its row, and in every change of it."""


def validate(schedule: Schedule, ground: Ground, namespaces: Namespaces | None) -> list[ScheduleReason]:
    """Return every reason that holds, the permanent ones first. `namespaces` is None when not all of them are known."""
    found = [*_timetable(schedule), *_cluster(schedule, ground), *_location(schedule, ground)]
    found += _scope(schedule, ground, namespaces) if namespaces is not None else ()
    found = [each.model_copy(update={"message": cut(each.message, _LONGEST_MESSAGE)}) for each in found]
    return sorted(found, key=lambda each: not each.permanent)


def needs_namespaces(scope: Scope) -> bool:
    """Tell whether a scope may be wrong in one cluster and right in another."""
    return not isinstance(scope, AllNamespaces) or bool(scope.excluded_namespaces)


def _timetable(schedule: Schedule) -> Iterator[ScheduleReason]:
    try:
        timetable(schedule.cron, schedule.timezone)
    except (CronInvalidError, ZoneInvalidError) as error:
        yield reason(ReasonCode.CRON_INVALID, message=error)


def _cluster(schedule: Schedule, ground: Ground) -> Iterator[ScheduleReason]:
    cluster = schedule.cluster
    if ground.status is None and ground.selectors is None:
        yield reason(ReasonCode.CLUSTER_UNKNOWN, cluster=cluster)
    elif ground.offline:
        since = f"{ground.silent_since:%Y-%m-%d %H:%M:%S} UTC" if ground.silent_since else "it was registered"
        yield reason(ReasonCode.CLUSTER_OFFLINE, cluster=cluster, since=since)
    elif ground.velero_problem:
        yield reason(ReasonCode.VELERO_NOT_ANSWERING, cluster=cluster, message=ground.velero_problem)


def _location(schedule: Schedule, ground: Ground) -> Iterator[ScheduleReason]:
    if not ground.locations_listed:
        return
    wanted, locations = schedule.template.spec.storage_location, ground.locations
    found = chosen(wanted, locations)
    if found is None:
        if wanted is not None or not any(location.default for location in locations):
            yield reason(ReasonCode.LOCATION_UNKNOWN, cluster=schedule.cluster, location=wanted or _none_chosen(ground))
        return
    if found.read_only:
        yield reason(ReasonCode.LOCATION_READ_ONLY, location=found.name)
    if found.status == LocationStatus.UNAVAILABLE and not ground.offline:
        told = found.message or "Velero gives no reason"
        yield reason(ReasonCode.LOCATION_UNAVAILABLE, location=found.name, message=told)


def _none_chosen(ground: Ground) -> str:
    names = ", ".join(location.name for location in ground.locations)
    return f"by default: name one of {names}" if names else "at all"


def _scope(schedule: Schedule, ground: Ground, namespaces: Namespaces) -> Iterator[ScheduleReason]:
    scope, cluster = schedule.template.scope, schedule.cluster
    try:
        environments = environments_of(ground.selectors) if isinstance(scope, BY_ENVIRONMENT) else Environments()
    except ValueError:  # selectors of another version: what they mean is not known here
        return
    found = resolve(scope, environments, namespaces)
    if found.unknown:
        said = refusal(Code.NAMESPACE_UNKNOWN, cluster=cluster, names=", ".join(found.unknown))
        yield reason(ReasonCode.SCOPE_INVALID, message=said.detail)
    elif not found.included:
        yield reason(ReasonCode.SCOPE_INVALID, message=refusal(Code.SCOPE_MATCHES_NOTHING, cluster=cluster).detail)
