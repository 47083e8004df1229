"""What is asked for and takes its time until it ends. One entry a thing, read by all who ask, wait and tell. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Noun:
    """A thing: what it and its events are called, where it stands below the API, and how it is told of.

    `begun` stands before the cluster while it is at work, `nothing` says that it never began.
    """

    name: str
    things: str
    begun: str
    nothing: str


BACKUP = Noun("backup", "backups", "is being made in", "no backup was made")
RESTORE = Noun("restore", "restores", "is being brought into", "nothing was restored")
