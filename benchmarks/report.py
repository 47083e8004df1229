"""`python -m benchmarks.report`: writes the tables of docs/performance.md from what was measured last."""

import json
from pathlib import Path
from typing import Any, Final

from benchmarks.__main__ import NAMES as MEASURED
from benchmarks.measuring import RESULTS, Figure, shown

NAMES: Final = ("latency", "latency-real", *MEASURED[1:])
PAGE: Final = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- figures: made by `make bench-report` -->", "<!-- end of figures -->"


def table(result: dict[str, Any]) -> list[str]:
    """Return one benchmark as Markdown."""
    lines = [
        f"### {result['title']}",
        "",
        f"{result['setting'].capitalize()}.",
        "",
        "| | measured | target |",
        "|---|---:|---|",
    ]
    figures = (Figure(**figure) for figure in result["figures"])
    return [*lines, *(f"| {f.name} | {shown(f.value)} {f.unit} | {f.verdict} |" for f in figures), ""]


def machine(facts: dict[str, Any]) -> str:
    """Return what the figures were measured on, in one sentence."""
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    return (
        f"Measured on {facts['cores']} cores and {facts['memoryGiB']} GiB ({facts['system']}), Python {facts['python']}, "
        f"{versions}; load of the machine at the end: {facts['load']}."
    )


def main() -> None:
    """Put the tables between their marks."""
    results = [json.loads((RESULTS / f"{name}.json").read_text()) for name in NAMES if (RESULTS / f"{name}.json").exists()]
    lines = [line for result in results for line in table(result)]
    text = PAGE.read_text()
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    PAGE.write_text("\n".join([f"{before}{BEGIN}", "", machine(results[-1]["machine"]), "", *lines, f"{END}{after}"]))


if __name__ == "__main__":
    main()
