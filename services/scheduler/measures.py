"""What the scheduler counts."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

DECISIONS: Final = Counter("leeward_scheduler_slots_total", "Slots by what was decided", ["decision"])
BROKEN: Final = Counter(
    "leeward_scheduler_broken_total", "Looks at schedules that cannot be read, decided or sent; others go on", ["step"]
)
DRIFT: Final = Histogram(
    "leeward_scheduler_drift_seconds",
    "From the instant at which a slot was due until its command was stored",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600),
)
DUE: Final = Gauge("leeward_scheduler_due", "Schedules whose time has come and that were not looked at yet")
KNOWN: Final = Gauge("leeward_scheduler_schedules", "Schedules that this process watches; 0 while another one holds the lease")
