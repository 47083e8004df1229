"""What a run does, drawn from its seed alone: the same seed and length give the same faults and requests in the same order.

How they meet in time is the machine's affair; that is why a run has many of them.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

CLUSTERS: Final = ("eu1", "us1")
NAMESPACES: Final = ("shop", "cart", "payments")

OURS: Final = ("executor", "executor-2", "status", "gateway")
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

REQUESTS: Final = {"backup": 12, "again": 2, "name taken": 2, "no such location": 2, "no such namespace": 1}
"""again = the request of an earlier one, with its key; name taken = the name of an earlier one, with a key of its own."""


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
    """A fault, the requests that fall into it, how long to wait before the first of them, and before the next round."""

    number: int
    fault: Fault
    requests: tuple[Request, ...]
    lead: float
    pause: float


def plan(seed: int, rounds: int) -> list[Round]:
    """Return the rounds of a run."""
    chance = random.Random(seed)
    asked: list[Request] = []
    return [_round(chance, number, asked) for number in range(rounds)]


def _round(chance: random.Random, number: int, asked: list[Request]) -> Round:
    kinds = list(FAULTS)
    kind = chance.choices(kinds, [FAULTS[k][1] for k in kinds])[0]
    fault = Fault(kind, chance.choice(FAULTS[kind][0]), round(chance.choice((0.1, 0.5, 1.0, 2.0, 4.0)), 1))
    requests = tuple(_request(chance, asked) for _ in range(chance.choice((1, 1, 2, 3))))
    return Round(number, fault, requests, lead=chance.choice((0.0, 0.02, 0.1)), pause=chance.uniform(0.2, 1.5))


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
