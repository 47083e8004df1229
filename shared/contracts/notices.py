"""What a person should know of a request that was accepted: code → field and sentence. Notices are data, as refusals are."""

from dataclasses import dataclass
from enum import StrEnum

from shared.contracts.base import Wire


class About(StrEnum):
    """Every reason for a notice."""

    EXCLUDED_KIND_UNKNOWN = "ExcludedKindUnknown"
    KINDS_UNCERTAIN = "KindsUncertain"
    NODE_AGENT_MISSING = "NodeAgentMissing"
    VOLUME_GROUPS_UNSUPPORTED = "VolumeGroupsUnsupported"
    VELERO_SILENT = "VeleroSilent"


@dataclass(frozen=True, slots=True)
class Rule:
    """How a notice is told: the field that it is about (JSON pointer into the request) and the sentence."""

    pointer: str
    sentence: str


RULES: dict[About, Rule] = {
    About.EXCLUDED_KIND_UNKNOWN: Rule("/spec/{field}", "Cluster {cluster} has no kind {kinds}: nothing is left out by it."),
    About.KINDS_UNCERTAIN: Rule("/spec/{field}", "Whether cluster {cluster} has {kinds} is not known: {message}"),
    About.NODE_AGENT_MISSING: Rule(
        "/spec/{field}", "No node agent of Velero's runs in cluster {cluster}: files of volumes cannot be copied."
    ),
    About.VOLUME_GROUPS_UNSUPPORTED: Rule(
        "/spec/volumeGroupSnapshotLabelKey", "Cluster {cluster} has no volume group snapshots: volumes are taken one by one."
    ),
    About.VELERO_SILENT: Rule("/cluster", "Velero of cluster {cluster} has not answered since {since}."),
}


class Notice(Wire):
    """One thing to know: a code for programs, the field that it is about and a sentence for people."""

    code: str
    pointer: str
    detail: str


def notice(about: About, **facts: object) -> Notice:
    """Fill in the sentence of a notice.

    Raises KeyError when a fact that it names is missing.
    """
    rule = RULES[about]
    return Notice(code=about, pointer=rule.pointer.format(**facts), detail=rule.sentence.format(**facts))
