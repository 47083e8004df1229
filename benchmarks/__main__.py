"""`python -m benchmarks`: every benchmark, one after the other, each in a process of its own.

Ends with 1 when a benchmark breaks. A target that is missed is said, and breaks nothing: figures depend on the machine.
"""

import subprocess
import sys
import time
from typing import Final

NAMES: Final = ("latency", "pushes", "lists", "folding", "memory", "streaming", "fleet")


def main() -> int:
    """Run them all and return the exit code."""
    begun = time.monotonic()
    broken = [name for name in NAMES if subprocess.call([sys.executable, "-m", f"benchmarks.{name}"])]  # noqa: S603 - our own modules
    print(f"\n{time.monotonic() - begun:.0f} s", *(f"{name} is BROKEN" for name in broken), sep="; ")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
