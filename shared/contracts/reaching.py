"""Through which storage location of a cluster another one's backup is read: one rule for what is foretold and done. Pure."""

from dataclasses import dataclass

PEOPLES, MIRROR, UNUSABLE = 1, 2, 3
"""In this order they are taken: one that people have made, another restore's mirror, one that Velero cannot use (yet)."""


@dataclass(frozen=True, slots=True)
class Way:
    """A storage location of the target that lies where the backup does.

    `mirror`: Leeward has made it for a restore; `writes`: the target makes backups of its own in it; `available`: whether
    Velero can use it, None while it has not looked.
    """

    mirror: bool
    writes: bool
    available: bool | None


def rank(way: Way, *, said: bool, begun: bool = False) -> int | None:
    """Return when the turn of a location comes (the lowest number first); None if it is not taken.

    `said`: a person says how the storage is reached. Then none is waited for that Velero cannot use, unless it could be used
    before (`begun`), and none counts in which the target makes backups of its own: that may be another storage of those names.
    """
    if way.mirror:
        return None if way.available is False else MIRROR
    if said and way.writes:
        return None
    if way.available:
        return PEOPLES
    return UNUSABLE if begun or not said else None
