"""What lives in a data directory: every process that a supervisor has started works in it."""

import contextlib
from pathlib import Path


def processes_in(directory: Path) -> dict[int, list[str]]:
    """Return the command of every living process that works in the directory, by its id."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if (entry / "cwd").readlink() == directory:
                found[int(entry.name)] = (entry / "cmdline").read_bytes().decode().split("\0")
    return found


def process_of(directory: Path, part: str) -> int:
    """Return the process itself, not its guard, of which one argument is this."""
    (found,) = [
        pid for pid, command in processes_in(directory).items() if part in command and not any("guard.py" in a for a in command)
    ]
    return found
