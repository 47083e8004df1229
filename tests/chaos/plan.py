"""What a run does, drawn from its seed alone: the same seed and length give the same faults and requests in the same order.

How they meet in time is the machine's affair; that is why a run has many of them.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

CLUSTERS: Final = ("eu1", "us1")
NAMESPACES: Final = ("shop", "cart", "payments")

OURS: Final = ("executor", "executor-2", "status", "gateway", "scheduler", "scheduler-2")
SERVERS: Final = ("nats", "mongo", "simulator")

FAULTS: Final[dict[str, tuple[Sequence[str], float]]] = {
    # what is done: (to whom, how often compared with the others)
    "kill": ((*OURS, *SERVERS), 6),
    "stop": (OURS, 3),
    "freeze": ((*OURS, *SERVERS), 3),
    "cut": (CLUSTERS, 4),
    "stall": (CLUSTERS, 2),
    "velero-killed": (CLUSTERS, 2),
    "bucket-denied": (CLUSTERS, 1),
    "watches-cut": (CLUSTERS, 1),
    "history-lost": (CLUSTERS, 1),
    "partial-failure": (CLUSTERS, 1),
}
"""kill = SIGKILL, stop = SIGTERM, freeze = SIGSTOP, each undone after a while; cut and stall are the link to an API server."""

_WISHFUL: Final = 0.3
"""In how many rounds somebody wants something of a schedule."""
REQUESTS: Final = {"backup": 12, "again": 2, "name taken": 2, "no such location": 2, "no such namespace": 1}
"""again = the request of an earlier one, with its key; name taken = the name of an earlier one, with a key of its own."""


WISHES: Final = {"pause": 2, "resume": 3, "skip": 2, "rarer": 1, "as before": 1}
"""What is wanted of a schedule, and how often; rarer and as before are other times at which it runs."""
OFTEN, RARER, NEVER_NOW = "* * * * *", "*/2 * * * *", "0 0 29 2 *"
"""Every minute, every other one, and, so that a run comes to rest, none that it will see."""


@dataclass(frozen=True, slots=True)
class Timed:
    """A schedule that there is from the beginning of a run."""

    name: str
    cluster: str
    spread: str
    misfire: str
    concurrency: str


SCHEDULES: Final = (
    Timed("prompt", "eu1", "0s", "latest", "forbid"),
    Timed("spread", "eu1", "20s", "all", "allow"),
    Timed("strict", "us1", "20s", "none", "allow"),
    Timed("later", "us1", "20s", "latest", "forbid"),
)


@dataclass(frozen=True, slots=True)
class Wish:
    """Something that a person wants of a schedule."""

    kind: str
    schedule: str


@dataclass(frozen=True, slots=True)
class Request:
    """One request for a backup. `of` is the number of the earlier request that it repeats or collides with."""

    number: int
    kind: str
    cluster: str
    namespace: str
    of: int | None = None

    @property
    def name(self) -> str:
        """The name that it asks for."""
        return f"chaos-{self.number if self.of is None else self.of}"

    @property
    def key(self) -> str:
        """Its Idempotency-Key."""
        return f"key-{self.of if self.kind == 'again' else self.number}"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something bad that begins, lasts, and is undone."""

    kind: str
    victim: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Round:
    """A fault, the requests and perhaps a wish that fall into it, how long to wait before them, and before the next round."""

    number: int
    fault: Fault
    requests: tuple[Request, ...]
    wish: Wish | None
    lead: float
    pause: float


LEAST: Final = 120.0
"""Seconds that a run lasts at least, however few its rounds: so two slots of each schedule fall into it."""


def plan(seed: int, rounds: int) -> list[Round]:
    """Return the rounds of a run."""
    chance = random.Random(seed)
    asked: list[Request] = []
    drawn = [_round(chance, number, asked) for number in range(rounds)]
    longer = max(0.0, LEAST - sum(this.lead + this.pause for this in drawn)) / max(1, rounds)
    return [replace(this, pause=this.pause + longer) for this in drawn]


def _round(chance: random.Random, number: int, asked: list[Request]) -> Round:
    kinds = list(FAULTS)
    kind = chance.choices(kinds, [FAULTS[k][1] for k in kinds])[0]
    fault = Fault(kind, chance.choice(FAULTS[kind][0]), round(chance.choice((0.1, 0.5, 1.0, 2.0, 4.0)), 1))
    requests = tuple(_request(chance, asked) for _ in range(chance.choice((1, 1, 2, 3))))
    wish = Wish(chance.choices(list(WISHES), list(WISHES.values()))[0], chance.choice(SCHEDULES).name)
    return Round(
        number,
        fault,
        requests,
        wish if chance.random() < _WISHFUL else None,
        lead=chance.choice((0.0, 0.02, 0.1)),
        pause=chance.uniform(0.2, 1.5),
    )


def _request(chance: random.Random, asked: list[Request]) -> Request:
    originals = [r for r in asked if r.kind == "backup"]
    kinds = list(REQUESTS) if originals else ["backup"]
    kind = chance.choices(kinds, [REQUESTS[k] for k in kinds])[0]
    if kind in {"again", "name taken"}:
        earlier = chance.choice(originals)
        request = Request(len(asked), kind, earlier.cluster, earlier.namespace, of=earlier.number)
    else:
        cluster = chance.choice(CLUSTERS)
        request = Request(len(asked), kind, cluster, chance.choice(NAMESPACES))
    asked.append(request)
    return request
