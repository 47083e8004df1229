"""Why a schedule is FailedValidation: code → whether it mends itself, and the sentence. Reasons are data, as refusals are."""

from dataclasses import dataclass
from enum import StrEnum

from shared.contracts.base import Wire


class ReasonCode(StrEnum):
    """Every reason for which a schedule cannot run as it stands."""

    CRON_INVALID = "CronInvalid"
    CLUSTER_UNKNOWN = "ClusterUnknown"
    LOCATION_UNKNOWN = "LocationUnknown"
    LOCATION_READ_ONLY = "LocationReadOnly"
    SCOPE_INVALID = "ScopeInvalid"
    CLUSTER_OFFLINE = "ClusterOffline"
    LOCATION_UNAVAILABLE = "LocationUnavailable"
    VELERO_NOT_ANSWERING = "VeleroNotAnswering"
    REFUSED_BY_VELERO = "RefusedByVelero"


@dataclass(frozen=True, slots=True)
class Rule:
    """How a reason is told. `permanent`: somebody has to change something, and slots meanwhile end as Invalid.

    The others pass by themselves: slots are sent to the cluster all the same, and run late when the cause goes in time.
    """

    permanent: bool
    sentence: str


RULES: dict[ReasonCode, Rule] = {
    ReasonCode.CRON_INVALID: Rule(True, "{message}"),
    ReasonCode.CLUSTER_UNKNOWN: Rule(True, "No cluster {cluster} is registered, and none of that name reports."),
    ReasonCode.LOCATION_UNKNOWN: Rule(True, "Cluster {cluster} has no storage location {location}."),
    ReasonCode.LOCATION_READ_ONLY: Rule(True, "Storage location {location} is read-only."),
    ReasonCode.SCOPE_INVALID: Rule(True, "{message}"),
    ReasonCode.CLUSTER_OFFLINE: Rule(False, "Cluster {cluster} has not been seen since {since}."),
    ReasonCode.LOCATION_UNAVAILABLE: Rule(False, "Storage location {location} is not available: {message}"),
    ReasonCode.VELERO_NOT_ANSWERING: Rule(False, "Velero of cluster {cluster} does not answer: {message}"),
    ReasonCode.REFUSED_BY_VELERO: Rule(True, "{message}"),
}


class ScheduleReason(Wire):
    """One reason: a code for programs and a sentence for people."""

    code: str
    message: str
    permanent: bool


def reason(code: ReasonCode, **facts: object) -> ScheduleReason:
    """Fill in the sentence of a reason.

    Raises KeyError when a fact that it names is missing.
    """
    rule = RULES[code]
    return ScheduleReason(code=code, message=rule.sentence.format(**facts), permanent=rule.permanent)
