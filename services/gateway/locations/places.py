"""Where in which storage a location lies, who else writes there, and who needs it. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.contracts.locationspec import place_of
from shared.contracts.phases import LocationStatus
from shared.contracts.refusals import Code, Refusal, refusal
from shared.contracts.views import LocationItem

_NAMED = 5
"""Names that a sentence lists."""


def writes(spec: Mapping[str, Any]) -> bool:
    """Tell whether backups can be made in a location of this spec. Velero takes no mode for ReadWrite."""
    return spec.get("accessMode") != "ReadOnly"


def writers(
    spec: Mapping[str, Any], cluster: str, name: str, known: Iterable[LocationItem], before: Mapping[str, Any] | None = None
) -> list[LocationItem]:
    """Return the locations that would write into the same place as the one of this spec, cluster and name.

    `before` is the spec that it has now: two that are together already are not brought together by leaving it so.
    """
    place = place_of(spec)
    if not writes(spec) or (before is not None and writes(before) and place_of(before) == place):
        return []
    return [
        other
        for other in known
        if (other.cluster, other.name) != (cluster, name)
        and other.status is not LocationStatus.DELETED
        and writes(other.spec)
        and place_of(other.spec) == place
    ]


def shared(others: Sequence[LocationItem]) -> Refusal:
    """Return why a location that is not alone in its place is refused."""
    first, *more = sorted(others, key=lambda other: (other.cluster, other.name))
    owners = f"Storage location {first.name} of cluster {first.cluster}{f' (and {len(more)} more)' if more else ''}"
    return refusal(Code.BUCKET_SHARED, owners=owners)


def counted(noun: str, names: Sequence[str], count: int | None = None) -> str:
    """Return `3 schedules (a, b, c)`; of many only the first names, in their order."""
    number = len(names) if count is None else count
    listed = ", ".join(sorted(names)[:_NAMED]) + (", …" if number > _NAMED else "")
    return f"{number} {noun}{'' if number == 1 else 's'} ({listed})"
