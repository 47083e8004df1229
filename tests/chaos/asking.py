"""People who ask for backups, want things of schedules, and do not give up: the same again until there is an answer."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import httpx2

from tests.chaos.plan import NEVER_NOW, OFTEN, RARER, Request, Timed, Wish
from tests.e2e.product import Product

_FINAL: Final = {201, 202, 409, 422}
_PATIENCE: Final = 240.0
"""Seconds after which a person gives up, which fails the run."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered in the end, after how many tries."""

    request: Request
    code: int
    body: dict[str, Any]
    tries: int

    @property
    def operation(self) -> str:
        """The id of the operation: that of the backup (201), of the operation (202), or named by the problem (409, 422)."""
        return str(self.body.get("operationId") or self.body["id"])


class People:
    """Asks in threads of its own; a request that refers to an earlier one waits until that one has its answer."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self._pool = ThreadPoolExecutor(12)
        self._answers: dict[int, Future[Answer]] = {}
        self._wishes: list[Future[None]] = []
        self.schedules: dict[str, str] = {}
        self.over = threading.Event()

    def ask(self, request: Request) -> None:
        """Begin to ask."""
        self._answers[request.number] = self._pool.submit(self._persist, request)

    def answers(self) -> list[Answer]:
        """Return every answer, once all are there. Raise what a person raised who gave up."""
        return [future.result() for future in self._answers.values()]

    def have(self, timed: Timed) -> None:
        """Have a schedule made."""
        answer = self._product.post("/schedules", schedule(timed))
        assert answer.status_code == 201, answer.text
        self.schedules[timed.name] = answer.json()["id"]

    def want(self, wish: Wish) -> None:
        """Begin to want something of a schedule."""
        self._wishes.append(self._pool.submit(self._insist, wish))

    def rest(self) -> None:
        """Have every schedule run no more, once all that was wanted of them before has its answer."""
        self._granted()
        for name in self.schedules:
            self.want(Wish("never now", name))
        self._granted()

    def _granted(self) -> None:
        """Wait for every wish. Raise what a person raised who gave up."""
        for future in self._wishes:
            future.result()

    @property
    def waiting(self) -> int:
        """How many have no answer yet."""
        return sum(not future.done() for future in self._answers.values())

    def _insist(self, wish: Wish) -> None:
        deadline, last = time.monotonic() + _PATIENCE, "nothing"
        while time.monotonic() < deadline and not self.over.is_set():
            with suppress(httpx2.HTTPError):
                answer = self._ask(wish)
                if answer.status_code == 200:
                    return
                last = f"{answer.status_code} {answer.text}"
                if answer.status_code < 500:
                    break
            time.sleep(0.3)
        raise AssertionError(f"{wish}: no answer; the last was {last}")

    def _ask(self, wish: Wish) -> httpx2.Response:
        path = f"/schedules/{self.schedules[wish.schedule]}"
        if wish.kind in TIMES:
            return self._product.patch(path, {"cron": TIMES[wish.kind]}, timeout=15)
        return self._product.post(f"{path}/{wish.kind}", {"count": 1} if wish.kind == "skip" else None, timeout=15)

    def _persist(self, request: Request) -> Answer:
        if request.of is not None:
            self._answers[request.of].result()
        deadline, last = time.monotonic() + _PATIENCE, "nothing"
        tries = 0
        while time.monotonic() < deadline and not self.over.is_set():
            tries += 1
            with suppress(httpx2.HTTPError):
                answer = self._product.post("/backups", body(request), timeout=15, **headers(request))
                if answer.status_code in _FINAL:
                    return Answer(request, answer.status_code, answer.json(), tries)
                last = f"{answer.status_code} {answer.text}"
                if answer.status_code < 500:
                    break
            time.sleep(0.3)
        raise AssertionError(f"{request}: no answer after {tries} tries; the last was {last}")


TIMES: Final = {"rarer": RARER, "as before": OFTEN, "never now": NEVER_NOW}
"""The wishes that another time is, and which."""


def schedule(timed: Timed) -> dict[str, Any]:
    """Return the body that makes a schedule."""
    return {
        "name": timed.name,
        "cluster": timed.cluster,
        "cron": OFTEN,
        "spread": timed.spread,
        "misfire": timed.misfire,
        "concurrencyPolicy": timed.concurrency,
        "template": {
            "scope": {"kind": "specific", "namespaces": ["shop"]},
            "spec": {"snapshotVolumes": False},
        },
    }


def body(request: Request) -> dict[str, Any]:
    """Return the body that a request sends; the same again for the same request."""
    location = {"storageLocation": "nowhere"} if request.kind == "no such location" else {}
    namespace = "no-such-namespace" if request.kind == "no such namespace" else request.namespace
    return {
        "name": request.name,
        "cluster": request.cluster,
        "scope": {"kind": "specific", "namespaces": [namespace]},
        "spec": {"snapshotVolumes": False, **location},
    }


def headers(request: Request) -> dict[str, str]:
    """Return the headers that a request sends."""
    return {"Idempotency-Key": request.key, "Prefer": "respond-async" if request.number % 3 == 0 else "wait=5"}


@contextmanager
def people(product: Product) -> Iterator[People]:
    """People who stop asking when the run is over."""
    crowd = People(product)
    try:
        yield crowd
    finally:
        crowd.over.set()
        crowd._pool.shutdown(wait=False, cancel_futures=True)
