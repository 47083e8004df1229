"""How the command ends: the exit codes in one table, and errors that are told in words."""

from collections.abc import Sequence
from enum import IntEnum


class Exit(IntEnum):
    """The exit codes. Scripts rely on them: a code never changes its meaning."""

    OK = 0
    FAILED = 1
    USAGE = 2
    FORBIDDEN = 3
    NOT_FOUND = 4
    UNREACHABLE = 5
    TIMED_OUT = 6
    PARTIALLY_FAILED = 7
    INTERRUPTED = 130


MEANINGS: dict[Exit, str] = {
    Exit.OK: "done",
    Exit.FAILED: "what was asked for was refused or failed",
    Exit.USAGE: "the command, an option or a value is wrong; nothing was done",
    Exit.FORBIDDEN: "the token is missing, wrong, or its role does not permit this",
    Exit.NOT_FOUND: "there is nothing of that name or id",
    Exit.UNREACHABLE: "Leeward cannot be reached, or something it depends on is away",
    Exit.TIMED_OUT: "the time to wait is over; what was asked for goes on",
    Exit.PARTIALLY_FAILED: "the backup or restore was made, but not of everything",
    Exit.INTERRUPTED: "interrupted by Ctrl-C; what was asked for goes on",
}


class CliError(Exception):
    """The command ends with words: what is wrong, and what to do about it."""

    def __init__(self, words: str, exit_code: Exit = Exit.FAILED, *, hints: Sequence[str] = ()) -> None:
        super().__init__(words)
        self.words = words
        self.exit_code = exit_code
        self.hints = list(hints)

    def __str__(self) -> str:
        return self.words


class UnreachableError(CliError):
    """Nobody answers, or only to say that the answer is not to be had now: trying again later may help.

    `sent`: the request may have arrived, and what it asks for may be done.
    """

    def __init__(self, words: str, *, hints: Sequence[str] = (), retry_after: float | None = None, sent: bool = True) -> None:
        super().__init__(words, Exit.UNREACHABLE, hints=hints)
        self.retry_after = retry_after
        self.sent = sent
