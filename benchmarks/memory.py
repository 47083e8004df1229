"""How much memory each process takes: when it has just come to rest, and after a thousand backups."""

import asyncio
import time
from typing import Final

from benchmarks.installation import Installation, installed
from benchmarks.lists import fill
from benchmarks.measuring import Report
from benchmarks.processes import usage

BACKUPS: Final = 1000
_REST: Final = 5.0


def note(product: Installation, report: Report, when: str) -> None:
    """Add what each process takes now."""
    time.sleep(_REST)
    servers = {"nats-server": product.nats.process, "database": product.mongo.process}
    processes = {**{name: service.process for name, service in product.services.items()}, **servers}
    for name, process in processes.items():
        assert process, name
        found = usage(process.pid)
        report.add(f"{name}, {when}: RSS", found.rss, "MiB")
        report.add(f"{name}, {when}: PSS", found.pss, "MiB")


def main() -> None:
    """Run the benchmark."""
    report = Report("memory", "Memory of each process", f"one cluster; at rest for {_REST:g} s each time")
    with installed() as product:
        note(product, report, "idle")
        asyncio.run(fill(product, BACKUPS))
        note(product, report, f"after {BACKUPS:,} backups")
    report.finish()


if __name__ == "__main__":
    main()
