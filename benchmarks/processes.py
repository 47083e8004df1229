"""What a process takes: memory and processor time, as the kernel counts them."""

import os
from dataclasses import dataclass
from pathlib import Path

_KIBIBYTE = 1024
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """`rss`: MiB resident; `pss`: the same with shared pages divided among who shares them; `seconds` of processor time."""

    rss: float
    pss: float
    seconds: float
    files: int


def usage(pid: int) -> Usage:
    """Return what a process takes now."""
    root = Path(f"/proc/{pid}")
    facts = dict(line.split(":", 1) for line in (root / "smaps_rollup").read_text().splitlines()[1:])
    rss, pss = (int(facts[name].split()[0]) / _KIBIBYTE for name in ("Rss", "Pss"))
    spent = (root / "stat").read_text().rpartition(")")[2].split()
    return Usage(rss, pss, (int(spent[11]) + int(spent[12])) / _TICKS, len(list((root / "fd").iterdir())))


def peak(pid: int) -> float:
    """Return the most MiB that were resident at once since the process began, or its peak was forgotten."""
    facts = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(facts["VmHWM"].split()[0]) / _KIBIBYTE


def forget_peak(pid: int) -> None:
    """Let the kernel begin anew with the peak of a process."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def processor(pid: int) -> float:
    """Return the seconds of processor time that a process's threads have had, to the microsecond."""
    waited = (path.read_text().split()[0] for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(map(int, waited)) / 1e9
